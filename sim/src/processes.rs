//! The processes of programs that are code: on a host, or in a container, with whose command they end.

use std::collections::BTreeMap;

use netns::files::Files;
use netns::name::Id;

use crate::executor::Work;
use crate::machine::{HOST, Machine};
use crate::namespace::NamespaceId;

/// A process that runs code.
#[derive(Debug)]
pub(crate) struct Process {
    /// What it is called where somebody is to be told of it.
    pub(crate) name: String,
    pub(crate) namespace: NamespaceId,
    /// The container in whose PID namespace it is.
    pub(crate) container: Option<Id>,
    /// Whether it does what a test told it, and is no part of the machine.
    pub(crate) is_program: bool,
}

/// All of them, by process id.
pub(crate) type Processes = BTreeMap<u32, Process>;

impl Machine {
    /// Begins a process beside those that a place has.
    pub(crate) fn begin(&mut self, process: Process, main: impl FnOnce(u32) -> Work) -> u32 {
        let pid = self.new_pid();
        self.begin_as(pid, process, main(pid));
        pid
    }

    /// Begins a process under a number that is there.
    pub(crate) fn begin_as(&mut self, pid: u32, process: Process, main: Work) {
        self.processes.insert(pid, process);
        self.executor.spawn(pid, main);
    }

    /// The main function of a process has returned.
    pub(crate) fn exit(&mut self, pid: u32, status: i32) {
        match self.command_of(pid) {
            Some(id) => self.end_command(&id, status),
            None => self.end_process(pid),
        }
    }

    /// Ends a process: its tasks, and its sockets as the kernel closes them.
    pub(crate) fn end_process(&mut self, pid: u32) {
        self.executor.end_process(pid);
        let Some(process) = self.processes.remove(&pid) else { return };
        let now = self.clock.now();
        if let Some(namespace) = self.namespaces.get_mut(&process.namespace) {
            namespace.close_all(pid, now);
        }
    }

    /// Ends all processes of a container, or, with `None`, those on the host that are in none.
    pub(crate) fn end_processes(&mut self, container: Option<&Id>) {
        let is_in = |(pid, process): (&u32, &Process)| {
            let is_here = container.is_some() || process.namespace == HOST;
            (is_here && process.container.as_ref() == container).then_some(*pid)
        };
        let own: Vec<u32> = self.processes.iter().filter_map(is_in).collect();
        own.into_iter().for_each(|pid| self.end_process(pid));
    }

    /// Ends all processes in a namespace.
    pub(crate) fn end_processes_in(&mut self, home: NamespaceId) {
        let own = self.processes.iter().filter(|(_, process)| process.namespace == home).map(|(pid, _)| *pid);
        let own: Vec<u32> = own.collect();
        own.into_iter().for_each(|pid| self.end_process(pid));
    }

    /// The namespace of a process that runs.
    pub(crate) fn home_of(&self, pid: u32) -> Option<NamespaceId> {
        self.processes.get(&pid).map(|process| process.namespace)
    }

    /// What a process is called.
    pub(crate) fn name_of(&self, pid: u32) -> String {
        self.processes.get(&pid).map_or_else(|| format!("process {pid}"), |process| process.name.clone())
    }

    /// A process prints. What a container's command prints is kept, if its output is; other processes have nowhere to print.
    pub(crate) fn print(&mut self, pid: u32, text: &str) {
        let command = self.containers.values_mut().find(|container| container.pid == pid);
        if let Some(container) = command.filter(|container| container.logs) {
            container.log.push_str(text);
        }
    }

    /// The files in `/etc` that a process sees: the host's, where its container has none of its own.
    pub(crate) fn files_of(&self, pid: u32) -> Files {
        let host = Files {
            resolv_conf: Some(self.resolv_conf.clone()),
            hosts: Some("127.0.0.1\tlocalhost\n".to_owned()),
            hostname: None,
        };
        let container = self.processes.get(&pid).and_then(|process| process.container.as_ref());
        let mut files = host;
        if let Some(container) = container.and_then(|id| self.containers.get(id)) {
            files.update(&container.files);
        }
        files
    }

    fn command_of(&self, pid: u32) -> Option<Id> {
        self.containers.iter().find(|(_, container)| container.pid == pid).map(|(id, _)| id.clone())
    }
}
