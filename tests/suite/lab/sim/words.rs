//! The lab's words in the simulator's.

use netns::error::Error;
use netns::manager::RunRequest;
use netns::publish::PortMapping;
use sim::SocketError;

use super::OUTSIDE_NAME;
use crate::lab::{NetError, Order, Place, Program, Refusal};

/// The exit status of what signal N ended is this and N.
const SIGNALLED: i32 = 128;

pub(super) fn there(place: Place<'_>) -> sim::Place {
    match place {
        Place::Host => sim::Place::Host,
        Place::In(name) => sim::Place::container(name),
        Place::Outside => sim::Place::outside(OUTSIDE_NAME),
        Place::Sandbox(name) => sim::Place::sandbox(name),
    }
}

pub(super) fn program_of(program: Program) -> sim::Program {
    match program {
        Program::Sleep => sim::Program::Sleep,
        Program::Exit(status) => sim::Program::Exit(i32::from(status)),
        Program::IgnoreTerm => sim::Program::IgnoreTerm,
        Program::KillSelf(signal) => sim::Program::Exit(SIGNALLED + signal),
        Program::Print(line) => sim::Program::Print(format!("{line}\n"), 0),
        Program::NotFound => sim::Program::NotFound("/no/such/command".to_owned()),
        Program::NotExecutable => sim::Program::NotExecutable("/etc/passwd".to_owned()),
    }
}

pub(super) fn request_of(order: &Order) -> RunRequest {
    RunRequest {
        name: order.name.as_ref().map(|name| name.parse().expect("a name")),
        mode: order.network.parse().expect("a mode"),
        ip: order.ip,
        mac: order.mac,
        mtu: order.mtu,
        hostname: order.hostname.clone(),
        aliases: order.aliases.clone(),
        publish: order.publish.iter().flat_map(|port| PortMapping::parse(port).expect("a port")).collect(),
        dns: order.dns.clone(),
        offload: order.offload,
        detached: order.detach,
        auto_remove: order.rm,
        command: vec![format!("{:?}", order.program)],
    }
}

pub(super) fn refusal(error: &Error) -> Refusal {
    Refusal { status: 1, message: error.to_string() }
}

pub(super) fn refusal_of_run(error: &Error) -> Refusal {
    Refusal { status: error.run_status(), message: error.to_string() }
}

pub(super) fn net_error(error: SocketError) -> NetError {
    match error {
        SocketError::AddressInUse => NetError::AddressInUse,
        SocketError::Refused => NetError::Refused,
        SocketError::TimedOut => NetError::TimedOut,
        SocketError::Reset | SocketError::BrokenPipe => NetError::Reset,
        SocketError::HostUnreachable | SocketError::NetworkUnreachable => NetError::Unreachable,
        other => panic!("{other}"),
    }
}
