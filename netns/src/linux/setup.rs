//! What a shim makes: network namespace, host name, `lo`, and interfaces. And what the daemon does for a gateway.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;

use ipnet::Ipv4Net;
use nix::sched::{CloneFlags, setns, unshare};
use switch::link::port::PortLink;
use switch::mac::MacAddr;

use super::ethtool::offload_only_what_can_be_said;
use super::failure::{Failure, Step};
use super::netlink::{LOOPBACK, Netlink};
use super::protocol::{InterfacePlan, NetworkNamespace, Plan};
use super::survey::index_of;
use super::sysctl;
use crate::network::EndpointKind;

/// An interface of a container: its index in the namespace, unless that may be another by now; the switch's end, if that is a
/// TAP; and the bridge that it belongs to.
pub(super) struct Interface {
    pub(super) tap: Option<PortLink>,
    pub(super) index: Option<u32>,
    pub(super) bridge: String,
}

/// Moves this process into the namespaces that the plan speaks of, and makes what is to be in them. `joined` is a pidfd of a
/// process in the network namespace to join.
pub(super) fn make(plan: &Plan, joined: Option<OwnedFd>) -> Result<(), Failure> {
    match (plan.namespace, joined) {
        (NetworkNamespace::New, _) => {
            unshare(CloneFlags::CLONE_NEWNET).map_err(Step::MakeNamespaces.on("a container"))?;
        }
        (NetworkNamespace::Joined, Some(pidfd)) => {
            setns(pidfd, CloneFlags::CLONE_NEWNET).map_err(Step::JoinNamespace.on("the other container"))?;
        }
        (NetworkNamespace::Joined | NetworkNamespace::Host, _) => {}
    }
    if let Some(hostname) = &plan.hostname {
        unshare(CloneFlags::CLONE_NEWUTS).map_err(Step::MakeNamespaces.on("a container"))?;
        nix::unistd::sethostname(hostname).map_err(Step::SetHostname.on(hostname))?;
    }
    if plan.namespace != NetworkNamespace::New {
        return Ok(());
    }
    // Of all interfaces, those to come included: the kernel copies `all` to `default`. Before `lo` is up, or it had ::1.
    disable_ipv6("all")?;
    let mut netlink = Netlink::open().map_err(Step::Configure.on("lo"))?;
    netlink.set_up(LOOPBACK).map_err(Step::Configure.on("lo"))
}

/// Makes an interface in the namespace of this process, or configures the end of a veth pair that was put there.
pub(super) fn make_interface(plan: &InterfacePlan) -> Result<Interface, Failure> {
    let tap = match plan.kind {
        EndpointKind::Tap => {
            let tap = PortLink::create(&plan.name, plan.offload);
            Some(tap.map_err(|why| Step::CreateTap.failed(&plan.name, why))?)
        }
        EndpointKind::Veth => {
            offload_only_what_can_be_said(&plan.name).map_err(Step::Configure.on(&plan.name))?;
            None
        }
    };
    if plan.announces {
        notify_of_addresses(&plan.name)?;
    }
    let mut netlink = Netlink::open().map_err(Step::Configure.on(&plan.name))?;
    let index = configure(&mut netlink, &plan.name, plan.mac, plan.mtu, plan.ip, plan.default_route)?;
    Ok(Interface { tap, index: Some(index), bridge: plan.bridge.clone() })
}

/// Makes the default route go out of this interface, by this router; or nowhere.
pub(super) fn route(to: Option<(&str, Ipv4Addr)>) -> Result<(), Failure> {
    let mut netlink = Netlink::open().map_err(Step::Configure.on("the default route"))?;
    netlink.delete_default_routes().map_err(Step::Configure.on("the default route"))?;
    let Some((name, gateway)) = to else { return Ok(()) };
    let index = index_of(name).ok_or_else(|| Step::Configure.failed(name, "it is gone"))?;
    netlink.add_default_route(index, gateway).map_err(Step::Configure.on(format!("{name} via {gateway}")))
}

/// Has everybody on the network told whose address this is now (a gratuitous ARP request, RFC 5227), since it may have been
/// another station's a moment ago: the kernel does when an interface that has an address is switched on.
pub(super) fn notify_of_addresses(name: &str) -> Result<(), Failure> {
    sysctl::write(&format!("net/ipv4/conf/{name}/arp_notify"), "1").map_err(Step::Configure.on(name))
}

/// Switches IPv6 off on the interface `name` of this network namespace, or on `all`. A kernel without IPv6 is content.
pub(super) fn disable_ipv6(name: &str) -> Result<(), Failure> {
    match sysctl::write(&format!("net/ipv6/conf/{name}/disable_ipv6"), "1") {
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result.map_err(Step::DisableIpv6.on(name)),
    }
}

/// Gives an interface MAC, MTU and address, and switches it on. Returns its index.
pub(super) fn configure(
    netlink: &mut Netlink,
    name: &str,
    mac: MacAddr,
    mtu: u32,
    ip: Ipv4Net,
    default_route: Option<Ipv4Addr>,
) -> Result<u32, Failure> {
    let index = index_of(name).ok_or_else(|| Step::Configure.failed(name, "it is gone"))?;
    netlink.configure(index, mac, mtu).map_err(Step::Configure.on(name))?;
    netlink.add_address(index, ip).map_err(Step::Configure.on(format!("{name} with {ip}")))?;
    netlink.set_up(index).map_err(Step::Configure.on(name))?;
    if let Some(gateway) = default_route {
        netlink.add_default_route(index, gateway).map_err(Step::Configure.on(format!("{name} via {gateway}")))?;
    }
    Ok(index)
}
