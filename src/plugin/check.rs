//! CHECK: is an interface as it was left by the last of the plugins?

use std::net::Ipv4Addr;

use cni::call::Subject;
use cni::ipam::way;
use cni::outcome::{Interface, Outcome};
use cni::{Code, Failure};
use control::{CniAttached, CniOrder};
use ipnet::Ipv4Net;

use super::daemon::{Daemon, PATIENCE};
use super::delegate::Delegate;
use super::sandbox::{Sandbox, Seen};

/// Compares what there is with the previous result.
///
/// # Errors
/// What is not as it was.
pub fn check(subject: &Subject, netns: &str) -> Result<(), Failure> {
    let configuration = &subject.configuration;
    let ifname = subject.attachment.ifname.as_str();
    let missing = |what: String| Failure::new(Code::InvalidConfiguration, format_args!("read prevResult: {what}"));
    let previous = configuration.previous.as_ref().ok_or_else(|| missing("it is missing".into()))?;
    let ours = |interface: &&Interface| interface.name == ifname && interface.sandbox == netns;
    let (place, interface) = previous
        .interfaces
        .iter()
        .enumerate()
        .find(|(_, interface)| ours(interface))
        .ok_or_else(|| missing(format!("it has no interface {ifname} in {netns}")))?;
    if let Some(delegate) = Delegate::of(configuration, &subject.path)? {
        delegate.check()?;
    }
    let (network, publish) = (configuration.name.clone(), configuration.capabilities.publish.clone());
    let order = CniOrder::Check { network, key: subject.attachment.key(), publish };
    let _: CniAttached = Daemon::reach(configuration, PATIENCE)?.insist(order)?;
    let seen = Sandbox::open(netns)?.look()?;
    match difference(previous, place, interface, &seen) {
        None => Ok(()),
        Some(difference) => {
            Err(Failure::new(Code::CheckFailed, format_args!("check {ifname} in {netns}: {difference}")))
        }
    }
}

/// The first thing that is not as it was.
fn difference(previous: &Outcome, place: usize, was: &Interface, seen: &Seen) -> Option<String> {
    let Some(is) = seen.interfaces.iter().find(|is| is.name == was.name) else {
        return Some("there is no such interface".into());
    };
    if !is.up {
        return Some("it is switched off".into());
    }
    let mac = is.mac.to_string();
    if !was.mac.is_empty() && !was.mac.eq_ignore_ascii_case(&mac) {
        return Some(format!("its MAC was {} and is {mac}", was.mac));
    }
    if let Some(mtu) = was.mtu.filter(|mtu| *mtu != is.mtu) {
        return Some(format!("its MTU was {mtu} and is {}", is.mtu));
    }
    let own = previous.ips.iter().filter(|ip| ip.interface == Some(place));
    let addresses = own.filter_map(|ip| ip.address.parse::<Ipv4Net>().ok());
    if let Some(lost) = addresses.into_iter().find(|address| !is.ipv4.contains(address)) {
        return Some(format!("it has not the address {lost}"));
    }
    let routes = previous.routes.iter().filter_map(|route| way(&route.dst, route.gw.as_deref()).ok());
    let is_there = |to: Ipv4Net, by: Option<Ipv4Addr>| {
        seen.routes.iter().any(|(dst, gw, _)| *dst == to && (by.is_none() || *gw == by))
    };
    let lost = routes.into_iter().find(|way| !is_there(way.dst, way.gw));
    lost.map(|way| match way.gw {
        Some(gw) => format!("there is no route to {} by {gw}", way.dst),
        None => format!("there is no route to {}", way.dst),
    })
}
