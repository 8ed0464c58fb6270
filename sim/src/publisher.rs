//! The publisher: the process that passes what comes to ports of the host on to a container, as the one on Linux does.
//!
//! * Its sockets are bound before it begins, so that a port that can not be had is told at once.
//! * It lives on the host, and connects to the container as any process there would: the container sees the gateway as its
//!   peer. While there is no daemon it goes on, but the switch does not.
//! * When the container ends, its ports are free at once, and what had left the container is passed on for [`LAST_WORDS`];
//!   what was not passed on to its end is reset then.

mod tcp;
mod udp;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use netns::publish::{PortMapping, Protocol};

use crate::net::TcpListener;
use crate::socket::SocketId;
use crate::{process, task, time};

/// How long what had left a container is passed on when it has ended: longer than a cable is.
const LAST_WORDS: Duration = Duration::from_millis(1);

/// Tells a publisher that its container has ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bell(Rc<(Cell<bool>, RefCell<Option<Waker>>)>);

impl Bell {
    pub(crate) fn ring(&self) {
        self.0.0.set(true);
        self.0.1.borrow_mut().take().into_iter().for_each(Waker::wake);
    }

    async fn rings(&self) {
        poll_fn(|cx| {
            *self.0.1.borrow_mut() = Some(cx.waker().clone());
            if self.0.0.get() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

/// What the process does: it passes on what comes to `ports`, until a little after the bell.
pub(crate) async fn run(target: Ipv4Addr, ports: Vec<(PortMapping, SocketId)>, bell: Bell) -> i32 {
    let room = tcp::Room::default();
    for (mapping, socket) in ports {
        let target = SocketAddrV4::new(target, mapping.container);
        match mapping.protocol {
            Protocol::Tcp => drop(task::spawn(tcp::serve(TcpListener::of(socket), target, room.clone()))),
            Protocol::Udp => drop(task::spawn(process::run(udp::Port::new(socket, target)))),
        }
    }
    bell.rings().await;
    time::sleep(LAST_WORDS).await;
    0
}
