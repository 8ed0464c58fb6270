//! [`Publisher`]: whoever has the ports of the host that a container publishes, seen from outside.

use std::net::{Ipv4Addr, SocketAddrV4};

use netns::backend::BackendError;
use netns::name::Id;
use netns::publish::{PortMapping, Protocol};

use super::{Daemon, HOST, Machine};
use crate::processes::Process;
use crate::program;
use crate::publisher::{self, Bell};
use crate::socket::{SocketError, SocketId};

/// A process on the host that has ports there.
#[derive(Debug)]
pub(crate) struct Publisher {
    pub(crate) target: Ipv4Addr,
    pid: u32,
    /// What it has bound.
    sockets: Vec<SocketId>,
    bell: Bell,
}

impl Machine {
    /// Gives a living container ports of the host, all or none, in place of those that it had.
    pub(crate) fn publish(&mut self, id: &Id, target: Ipv4Addr, mappings: &[PortMapping]) -> Result<(), BackendError> {
        self.living(id)?;
        self.unpublish(id);
        let pid = self.new_pid();
        let bound: Result<Vec<SocketId>, BackendError> = mappings
            .iter()
            .map(|mapping| self.bind_published(pid, mapping).map_err(|why| refused(mapping, why)))
            .collect();
        let sockets = match bound {
            Ok(sockets) => sockets,
            Err(why) => {
                let now = self.clock.now();
                self.namespace(HOST).close_all(pid, now);
                return Err(why);
            }
        };
        let bell = Bell::default();
        let ports = mappings.iter().copied().zip(sockets.iter().copied()).collect();
        let main = publisher::run(target, ports, bell.clone());
        let name = format!("the publisher of container {}", id.short());
        let process = Process { name, namespace: HOST, container: None, is_program: false };
        self.begin_as(pid, process, program::main(Box::pin(main)));
        if let Some(container) = self.containers.get_mut(id) {
            container.publisher = Some(Publisher { target, pid, sockets, bell });
        }
        Ok(())
    }

    /// A container's ports of the host are free, and what was passed on is cut off.
    pub(crate) fn unpublish(&mut self, id: &Id) {
        if let Some(publisher) = self.take_publisher(id) {
            self.end_process(publisher.pid);
        }
    }

    /// Its container has ended: its ports are free, and it ends when it has passed on what there is.
    pub(super) fn retire_publisher(&mut self, id: &Id) {
        let now = self.clock.now();
        if let Some(Publisher { sockets, bell, .. }) = self.take_publisher(id) {
            sockets.iter().for_each(|socket| self.namespace(HOST).close(socket.number, now));
            bell.ring();
        }
    }

    /// Whoever has a container's ports of the host is killed.
    pub(crate) fn kill_publisher(&mut self, id: &Id) {
        let Some(publisher) = self.take_publisher(id) else { return };
        self.end_process(publisher.pid);
        if self.daemon == Daemon::Alive {
            self.unpublished.push_back(id.clone());
        }
    }

    fn take_publisher(&mut self, id: &Id) -> Option<Publisher> {
        self.containers.get_mut(id)?.publisher.take()
    }

    fn bind_published(&mut self, pid: u32, mapping: &PortMapping) -> Result<SocketId, SocketError> {
        let (number, at) = (self.new_socket(), SocketAddrV4::new(mapping.ip, mapping.host));
        let host = self.namespace(HOST);
        match mapping.protocol {
            Protocol::Tcp => host.listen(number, pid, at)?,
            Protocol::Udp => host.bind_datagrams(number, pid, at)?,
        };
        Ok(SocketId { namespace: HOST, number })
    }
}

fn refused(mapping: &PortMapping, why: SocketError) -> BackendError {
    BackendError::Failed { operation: "publish", object: mapping.host_side(), cause: why.to_string(), hint: None }
}
