//! What is typed for what a scenario orders.

use std::path::PathBuf;

use netns::network::EndpointKind;

use super::Linux;
use crate::lab::{NetworkOrder, Order, Program};

impl Linux {
    pub(super) fn arguments_of(&self, order: &Order) -> Vec<String> {
        let mut arguments = vec!["run".to_owned(), "--network".to_owned(), order.network.clone()];
        let mut option = |name: &str, value: Option<String>| {
            arguments.extend(value.into_iter().flat_map(|value| [name.to_owned(), value]));
        };
        option("--name", order.name.clone());
        option("--ip", order.ip.map(|ip| ip.to_string()));
        option("--mac-address", order.mac.map(|mac| mac.to_string()));
        option("--mtu", order.mtu.map(|mtu| mtu.to_string()));
        order.aliases.iter().for_each(|alias| option("--network-alias", Some(alias.clone())));
        order.publish.iter().for_each(|port| option("-p", Some(port.clone())));
        order.dns.iter().for_each(|dns| option("--dns", Some(dns.to_string())));
        // With an equals sign: a host name may look like an option.
        arguments.extend(order.hostname.iter().map(|hostname| format!("--hostname={hostname}")));
        let flags = [(!order.offload, "--no-offload"), (order.detach, "-d"), (order.rm, "--rm")];
        arguments.extend(flags.iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| (*flag).to_owned()));
        arguments.push("--".to_owned());
        arguments.extend(self.command_of(order.program));
        arguments
    }

    pub(super) fn command_of(&self, program: Program) -> Vec<String> {
        let shell = |script: &str| vec!["sh".to_owned(), "-c".to_owned(), script.to_owned()];
        match program {
            Program::Sleep => vec!["sleep".to_owned(), "infinity".to_owned()],
            Program::Exit(status) => shell(&format!("exit {status}")),
            // The pipe tells when signals are ignored from now on.
            Program::IgnoreTerm => {
                shell(&format!("trap '' TERM; : >{}; exec sleep infinity", self.ready_pipe().display()))
            }
            Program::KillSelf(signal) => shell(&format!("kill -{signal} $$")),
            Program::Print(line) => shell(&format!("echo '{line}'")),
            Program::NotFound => vec!["/no/such/command".to_owned()],
            Program::NotExecutable => vec!["/etc/passwd".to_owned()],
        }
    }

    pub(super) fn ready_pipe(&self) -> PathBuf {
        self.dir.join("ready")
    }
}

/// The arguments that make a network.
pub fn network(order: NetworkOrder) -> Vec<String> {
    let mut arguments = vec!["network".to_owned(), "create".to_owned()];
    let mut option = |name: &str, value: Option<String>| {
        arguments.extend(value.into_iter().flat_map(|value| [name.to_owned(), value]));
    };
    option("--subnet", order.subnet.map(|subnet| subnet.to_string()));
    option("--gateway", order.gateway.map(|gateway| gateway.to_string()));
    option("--ip-range", order.ip_range.map(|range| range.to_string()));
    option("--mtu", order.mtu.map(|mtu| mtu.to_string()));
    option("-o", (order.endpoint != EndpointKind::Tap).then(|| format!("endpoint={}", order.endpoint)));
    arguments.extend(order.internal.then(|| "--internal".to_owned()));
    arguments.push(order.name);
    arguments
}
