//! Which process stands for which container.

use super::{Linux, processes};
use crate::lab::Lab;

impl Linux {
    /// The process that stands for a container.
    pub fn shim_of(&mut self, container: &str) -> i32 {
        let shim = processes::grandparent_of(self.pid_of(container));
        shim.expect("a command is under an init, and that under a shim")
    }

    /// The process of a container's command, also while there is no daemon to ask.
    pub fn pid_of(&mut self, container: &str) -> i32 {
        if !self.pids.contains_key(container) {
            self.note_pid(container);
        }
        let known = self.pids.get(container).copied();
        known.unwrap_or_else(|| panic!("no process is known of container {container}"))
    }

    pub(super) fn note_pid(&mut self, container: &str) {
        // One that has ended already has none.
        if let Ok(view) = self.inspect(container)
            && view.pid != 0
        {
            self.pids.insert(view.name, view.pid.cast_signed());
        }
    }
}
