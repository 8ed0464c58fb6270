//! What there is on the host, and what is left.

use std::collections::BTreeSet;

use netns::manager::ContainerView;

use super::{Linux, processes, waited_for};
use crate::lab::{Census, Lab, Place, sorted};

impl Linux {
    /// After `down`: no process, no interface of ours and no socket is left, only records.
    pub fn assert_nothing_is_left(&mut self) {
        let left = waited_for(|| processes::others().is_empty().then_some(()));
        assert!(left.is_some(), "processes are left: {:?}", processes::others());
        let interfaces: BTreeSet<String> = self.interfaces(Place::Host).into_iter().map(|own| own.name).collect();
        assert!(interfaces.iter().all(|name| !name.starts_with("pontoon")), "interfaces are left: {interfaces:?}");
        let sockets = processes::sockets_below(&self.runtime_dir());
        assert!(sockets.is_empty(), "sockets are left: {sockets:?}");
    }

    /// [`Lab::census`].
    pub(super) fn counted(&mut self) -> Census {
        // A shim tells of the end first, and lets the kernel take its interface and namespace away then.
        let is_settled = waited_for(|| processes::shims_without_a_command().is_empty().then_some(()));
        assert!(is_settled.is_some(), "these do not end: {:?}", processes::shims_without_a_command());
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("read the mounts");
        let lease = |view: ContainerView| Some((view.name, view.networks.get("bridge")?.ip.addr()));
        Census {
            namespaces: processes::network_namespaces().len(),
            mounts: mounts.lines().count(),
            interfaces: sorted(self.interfaces(Place::Host).into_iter().map(|own| own.name).collect()),
            ports: sorted(self.bridges().into_iter().flat_map(|bridge| bridge.interfaces).collect()),
            leases: self.ps(true).into_iter().filter_map(lease).collect(),
        }
    }
}
