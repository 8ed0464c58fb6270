//! Connections through a published port: each is one to the publisher and one to the container, and what goes between.
//!
//! * What one side ends, and only that, is ended at the other, once all before it was passed on.
//! * A reset on one side, or a container that does not take the connection, is a reset for the other.
//! * What a side does not take is not read from the other.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddrV4;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};

use crate::net::{TcpListener, TcpStream};
use crate::task;

/// The most connections of one publisher at a time. Others wait in the queue of their listener.
const MAX_CONNECTIONS: usize = 10_000;
/// How much is passed on at a time.
const PIECE: usize = 64 * 1024;

/// How many more connections there may be.
#[derive(Clone, Debug, Default)]
pub(super) struct Room(Rc<(Cell<usize>, RefCell<Vec<Waker>>)>);

/// The place of one connection.
struct Place(Room);

impl Room {
    async fn place(&self) -> Place {
        poll_fn(|cx| {
            if self.0.0.get() < MAX_CONNECTIONS {
                return Poll::Ready(());
            }
            self.0.1.borrow_mut().push(cx.waker().clone());
            Poll::Pending
        })
        .await;
        self.0.0.set(self.0.0.get() + 1);
        Place(self.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.0.0.set(self.0.0.0.get().saturating_sub(1));
        self.0.0.1.take().into_iter().for_each(Waker::wake);
    }
}

/// Passes on what connects to a listener, until it is closed.
pub(super) async fn serve(listener: TcpListener, target: SocketAddrV4, room: Room) {
    loop {
        let place = room.place().await;
        let Ok((client, _)) = listener.accept().await else { return };
        task::spawn(async move {
            // What fails is told to both sides, by a reset.
            let _ = pass(&client, target).await;
            drop(place);
        });
    }
}

/// Whatever becomes of a side that has not been finished, its peer is not to take it for whole.
async fn pass(client: &TcpStream, target: SocketAddrV4) -> io::Result<()> {
    client.set_abort(true)?;
    client.set_nodelay(true)?;
    let container = TcpStream::connect(target).await?;
    container.set_abort(true)?;
    container.set_nodelay(true)?;
    let (mut there, mut back) = (pin!(pass_on(client, &container)), pin!(pass_on(&container, client)));
    let (mut there_is_done, mut back_is_done) = (false, false);
    let passed = poll_fn(|cx| {
        if !there_is_done && let Poll::Ready(passed) = there.as_mut().poll(cx) {
            passed?;
            there_is_done = true;
        }
        if !back_is_done && let Poll::Ready(passed) = back.as_mut().poll(cx) {
            passed?;
            back_is_done = true;
        }
        if there_is_done && back_is_done { Poll::Ready(io::Result::Ok(())) } else { Poll::Pending }
    })
    .await;
    if passed.is_err() {
        // (One that has ended already does not care.)
        let _ = client.set_abort(true).and(container.set_abort(true));
    }
    passed
}

async fn pass_on(from: &TcpStream, to: &TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; PIECE];
    loop {
        from.readable().await?;
        let length = match from.try_read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => length,
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => continue,
            Err(why) => return Err(why),
        };
        let mut piece = &buffer[..length];
        while !piece.is_empty() {
            to.writable().await?;
            match to.try_write(piece) {
                Ok(taken) => piece = &piece[taken..],
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => {}
                Err(why) => return Err(why),
            }
        }
    }
    to.finish()?;
    to.set_abort(false)
}
