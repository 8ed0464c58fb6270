//! Ports and stations by what people call them, and a frame from one to another.

use std::net::Ipv4Addr;

use control::{Bridge, Shown};
use netns::record::container_of;
use switch::frame::Tag;
use switch::mac::MacAddr;

use crate::cli::ExplainArgs;
use crate::failure::Failure;

const IPV4: u16 = 0x0800;

/// The name of the port that is meant: a port, a bridge for its own, or a container that has one.
///
/// # Errors
/// If there is none, or several.
pub fn port(bridges: &[Bridge], wanted: &str) -> Result<String, Failure> {
    if bridge_of(bridges, wanted).is_some() {
        return Ok(wanted.to_owned());
    }
    let is_of = |port: &&String| container_of(port) == Some(wanted);
    let of_container: Vec<&String> = bridges.iter().flat_map(|bridge| &bridge.interfaces).filter(is_of).collect();
    match of_container[..] {
        [only] => Ok(only.clone()),
        [] => {
            let hint = match nearest(bridges, wanted) {
                Some(near) => format!("is it {near}? `pontoon show` lists bridges and ports"),
                None => "`pontoon show` lists bridges and ports".to_owned(),
            };
            Err(Failure::new(format_args!("no such port: {wanted}")).with_hint(hint))
        }
        _ => {
            let names: Vec<&str> = of_container.iter().map(|name| name.as_str()).collect();
            Err(Failure::new(format_args!("container {wanted} has {} ports", names.len()))
                .with_hint(format!("name one of them: {}", names.join(", "))))
        }
    }
}

/// The frame that `--from`, `--to` and their like describe.
///
/// # Errors
/// If a station is not known.
pub fn frame(bridges: &[Bridge], containers: &[Shown], port: &str, args: &ExplainArgs) -> Result<Vec<u8>, Failure> {
    let stations = Stations { bridges, containers, bridge: bridge_of(bridges, port) };
    let source = match &args.from {
        Some(from) => stations.find("--from", from)?,
        None => stations.behind(port).ok_or_else(|| {
            Failure::new(format_args!("it is not known whose port {port} is")).with_hint("say it with --from MAC")
        })?,
    };
    let destination = stations.find("--to", args.to.as_deref().unwrap_or_default())?;
    let tag = args.vlan.map(|vlan| [Tag::CUSTOMER.to_be_bytes(), vlan.to_be_bytes()].concat()).unwrap_or_default();
    let ethertype = args.ethertype.unwrap_or(IPV4).to_be_bytes();
    let mut frame = [&destination.0[..], &source.0, &tag, &ethertype].concat();
    frame.resize(args.length as usize, 0);
    Ok(frame)
}

/// The bridge that a port is of, by the port's name or its own.
fn bridge_of<'a>(bridges: &'a [Bridge], port: &str) -> Option<&'a Bridge> {
    bridges.iter().find(|bridge| bridge.name == port || bridge.interfaces.iter().any(|name| name == port))
}

/// Who may be called a station.
struct Stations<'a> {
    bridges: &'a [Bridge],
    containers: &'a [Shown],
    /// The bridge of the port that the frame comes in by: of several interfaces the one that is on it is meant.
    bridge: Option<&'a Bridge>,
}

impl Stations<'_> {
    fn find(&self, option: &str, wanted: &str) -> Result<MacAddr, Failure> {
        let by_name = || self.bridge_named(wanted).or_else(|| self.container(wanted));
        let found = match (wanted, wanted.parse::<MacAddr>(), wanted.parse::<Ipv4Addr>()) {
            ("broadcast", ..) => Some(MacAddr::BROADCAST),
            (_, Ok(mac), _) => Some(mac),
            (_, _, Ok(address)) => self.address(address),
            (_, Err(_), Err(_)) => by_name(),
        };
        found.ok_or_else(|| {
            Failure::new(format_args!("{option} {wanted}: no such station"))
                .with_hint("a MAC address is expected, or the name or the address of a container on this network, a bridge's name, or broadcast")
        })
    }

    /// The station that a port is made for.
    fn behind(&self, port: &str) -> Option<MacAddr> {
        self.bridge_named(port).or_else(|| {
            let mut interfaces = self.containers.iter().flat_map(|shown| shown.container.networks.values());
            interfaces.find(|own| own.port.as_deref() == Some(port)).map(|own| own.mac)
        })
    }

    fn container(&self, name: &str) -> Option<MacAddr> {
        let container = self.containers.iter().find(|shown| shown.container.name == name)?;
        let mut interfaces = container.container.networks.values();
        interfaces.find(|own| self.is_here(own.port.as_deref())).map(|own| own.mac)
    }

    fn address(&self, address: Ipv4Addr) -> Option<MacAddr> {
        let mut interfaces = self.containers.iter().flat_map(|shown| shown.container.networks.values());
        let gateway = interfaces.clone().find(|own| own.gateway == address && self.is_here(own.port.as_deref()));
        let own = interfaces.find(|own| own.ip.addr() == address && self.is_here(own.port.as_deref()));
        own.map(|own| own.mac).or_else(|| gateway.and_then(|_| self.bridge_named(&self.bridge?.name)))
    }

    fn is_here(&self, port: Option<&str>) -> bool {
        port.is_some_and(|port| self.bridge.is_some_and(|bridge| bridge.interfaces.iter().any(|name| name == port)))
    }

    /// The bridge's own address, which its id ends with.
    fn bridge_named(&self, name: &str) -> Option<MacAddr> {
        let bridge = self.bridges.iter().find(|bridge| bridge.name == name)?;
        let digits = bridge.id.split_once('.')?.1;
        let number = u64::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 12)?;
        let [_, _, mac @ ..] = number.to_be_bytes();
        Some(MacAddr(mac))
    }
}

/// The port that is called most like this, if any is called nearly so.
fn nearest<'a>(bridges: &'a [Bridge], wanted: &str) -> Option<&'a str> {
    let names = bridges.iter().flat_map(|bridge| bridge.interfaces.iter().chain([&bridge.name]));
    // A container's port is also meant by the container's name.
    let distance = |name: &str| {
        let container = container_of(name).unwrap_or(name);
        strsim::damerau_levenshtein(name, wanted).min(strsim::damerau_levenshtein(container, wanted))
    };
    let near = names.map(|name| (distance(name), name.as_str())).min()?;
    (near.0 <= 2.min(wanted.chars().count() / 2)).then_some(near.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bridges() -> Vec<Bridge> {
        let bridge = |name: &str, id: &str, interfaces: &[&str]| Bridge {
            name: name.to_owned(),
            id: id.to_owned(),
            stp_enabled: false,
            interfaces: interfaces.iter().map(ToString::to_string).collect(),
        };
        vec![
            bridge("pontoon0", "8000.0242f0000001", &["web.eth0", "db.eth0", "a.b.eth0"]),
            bridge("br-0123456789ab", "8000.0242f0000002", &["db.eth1"]),
        ]
    }

    #[test]
    fn a_port_is_named_by_itself_by_its_bridge_or_by_a_container_with_no_other() {
        let named = |wanted: &str| port(&bridges(), wanted).map_err(|failure| (failure.message, failure.hint));
        for (wanted, name) in
            [("web.eth0", "web.eth0"), ("web", "web.eth0"), ("a.b", "a.b.eth0"), ("pontoon0", "pontoon0")]
        {
            assert_eq!(named(wanted), Ok(name.to_owned()));
        }
        let refused = |message: &str, hint: &str| Err((message.to_owned(), Some(hint.to_owned())));
        assert_eq!(named("db"), refused("container db has 2 ports", "name one of them: db.eth0, db.eth1"));
        let like = "is it web.eth0? `pontoon show` lists bridges and ports";
        assert_eq!(named("wbe.eth0"), refused("no such port: wbe.eth0", like));
        assert_eq!(named("wed"), refused("no such port: wed", like));
        assert_eq!(named("mail"), refused("no such port: mail", "`pontoon show` lists bridges and ports"));
    }

    #[test]
    fn a_bridge_is_a_station_by_the_end_of_its_id() {
        let bridges = bridges();
        let stations = Stations { bridges: &bridges, containers: &[], bridge: None };
        let mac = |text: &str| text.parse::<MacAddr>().ok();
        assert_eq!(stations.find("--to", "pontoon0").ok(), mac("02:42:f0:00:00:01"));
        assert_eq!(stations.find("--to", "broadcast").ok(), Some(MacAddr::BROADCAST));
        assert_eq!(stations.find("--to", "02-00-00-00-00-09").ok(), mac("02:00:00:00:00:09"));
        let unknown = stations.find("--from", "web").map_err(|failure| failure.message);
        assert_eq!(unknown, Err("--from web: no such station".to_owned()));
    }
}
