//! How a shim ends when its container has: who is told what, in which order.

use std::fs;
use std::io::{self, Write};
use std::process::ExitCode;

use super::Shim;
use super::task::Task;
use crate::linux::netlink::Netlink;
use crate::linux::protocol::{Event, Reply};

impl Shim {
    /// Init has ended, and with it every process of the container.
    ///
    /// To delete a network interface takes the kernel some 25 ms, most of it spent waiting for RCU. Nobody is made to wait for
    /// that but those who can see the interface: containers that joined the namespace.
    pub(super) fn end(mut self) -> ExitCode {
        let mut tasks = std::mem::take(&mut self.tasks);
        let ends: Vec<i32> = tasks.values_mut().map(Task::wait).collect();
        let status = ends.first().copied().unwrap_or_default();
        if self.shared {
            self.delete_interfaces();
        }
        if let Err(why) = self.leave_status(status) {
            // Not `eprintln!`: it panics where the log can not be written.
            let _ = writeln!(io::stderr(), "pontoon: {}: status {status} is not kept: {why}", self.directory.display());
        }
        // What the daemon gives up when it hears of this, nobody else keeps.
        self.gateways.clear();
        // The daemon first: when a client hears of the end, the name and the address are free.
        for channel in self.peers.values_mut() {
            let _ = channel.send(&Reply::Ended { status }, &[]);
        }
        self.leave();
        for (task, status) in tasks.values_mut().zip(ends) {
            task.tell(&Event::Exited { status });
        }
        drop(tasks);
        self.delete_interfaces();
        ExitCode::SUCCESS
    }

    /// While this process still has its descriptors of the TAPs, so that the daemon's is never the last: the kernel would make the
    /// data plane wait until the interface is gone.
    fn delete_interfaces(&mut self) {
        for interface in std::mem::take(&mut self.interfaces).into_values() {
            let index = interface.index.unwrap_or_default();
            let _ = Netlink::open().and_then(|mut netlink| netlink.delete_link(index));
        }
    }

    /// For the daemon that comes next, if there is none now.
    fn leave_status(&self, status: i32) -> io::Result<()> {
        let beside = self.directory.join("status.new");
        fs::write(&beside, status.to_string())?;
        fs::rename(beside, self.directory.join("status"))
    }

    pub(super) fn leave(&self) {
        let _ = fs::remove_file(self.directory.join("shim.sock"));
    }
}
