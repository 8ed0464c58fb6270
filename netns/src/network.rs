//! [`Network`]: a bridge network, which is one switch, one subnet and the host's gateway interface in it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use switch::mac::MacAddr;

use crate::lease::{DEFAULT_MTU, Lease, mac_of};
use crate::name::{Id, Name};
use crate::strangers::Strangers;

/// One bridge network. Saved, so that its id and its subnet outlive the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Its name: `bridge` for the default one.
    pub name: Name,
    /// Its id.
    pub id: Id,
    /// The name of its bridge, which is also the name of the host's interface in it.
    pub bridge: String,
    /// Its subnet.
    pub subnet: Ipv4Net,
    /// The host's address in it.
    pub gateway: Ipv4Addr,
    /// The MAC of the bridge.
    pub mac: MacAddr,
    /// The MTU of its interfaces, where a container asks for no other.
    pub mtu: u32,
    /// Where addresses that nobody asked for are taken from; the whole subnet without it.
    pub ip_range: Option<Ipv4Net>,
    /// Whether no way leads out of it: no default route, nothing is forwarded.
    pub internal: bool,
    /// What the user has written on it.
    pub labels: BTreeMap<String, String>,
    /// What its containers' interfaces are.
    pub endpoint: EndpointKind,
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// Whether it is about to be removed. Found later: finish.
    pub is_leaving: bool,
    /// Of the default network: whether containers on it may have been told to ask the gateway for names, which answers for
    /// as long as they live, whatever the host's own name servers are by then.
    #[serde(default)]
    pub asks_gateway: bool,
    /// Whose it is: who may remove it.
    #[serde(default)]
    pub owner: Owner,
    /// Where a new holder of an address has to announce itself: everywhere, if an earlier daemon has not said.
    #[serde(default = "Strangers::anywhere")]
    pub strangers: Strangers,
}

/// Whose a network is. One that another engine has made through its plugin goes when that engine says so, and not before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// The user's, made by the command.
    #[default]
    User,
    /// Docker's.
    Docker,
    /// That of a CNI runtime.
    Cni,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Owner::User => "user",
            Owner::Docker => "docker",
            Owner::Cni => "cni",
        })
    }
}

/// What joins a container's interface to the switch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndpointKind {
    /// The interface is a TAP, and its file the switch's.
    #[default]
    Tap,
    /// The interface is one end of a veth pair; the switch has a packet socket on the other, on the host.
    Veth,
}

impl EndpointKind {
    /// As in `-o endpoint=…`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            EndpointKind::Tap => "tap",
            EndpointKind::Veth => "veth",
        }
    }
}

impl fmt::Display for EndpointKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for EndpointKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "tap" => Ok(EndpointKind::Tap),
            "veth" => Ok(EndpointKind::Veth),
            _ => Err(format!("'{text}' is no kind of endpoint: tap or veth")),
        }
    }
}

/// Why an address or a MAC can not be leased.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// It lies elsewhere.
    #[error("address {address} is not in the subnet {subnet}")]
    OutsideSubnet {
        /// What was asked for.
        address: Ipv4Addr,
        /// The network's subnet.
        subnet: Ipv4Net,
    },
    /// The first address of the subnet names the subnet itself.
    #[error("address {0} is the network address of the subnet")]
    NetworkAddress(Ipv4Addr),
    /// The last address of the subnet names all of its stations.
    #[error("address {0} is the broadcast address of the subnet")]
    BroadcastAddress(Ipv4Addr),
    /// The host has it.
    #[error("address {0} is the gateway's")]
    GatewayAddress(Ipv4Addr),
    /// A container has it.
    #[error("address {0} is in use by another container")]
    AddressInUse(Ipv4Addr),
    /// A group address can not be a station's.
    #[error("MAC address {0} is a multicast address, which no interface can have")]
    MulticastMac(MacAddr),
    /// All zeros can not be a station's.
    #[error("MAC address {0} is no station's")]
    ZeroMac(MacAddr),
    /// A container or the bridge has it.
    #[error("MAC address {0} is in use by another station")]
    MacInUse(MacAddr),
    /// Nothing is free.
    #[error("no free address is left in the subnet {0}")]
    PoolExhausted(Ipv4Net),
    /// Nothing is free where addresses that nobody asked for are taken from.
    #[error("no free address is left in the range {0}")]
    RangeExhausted(Ipv4Net),
}

impl Network {
    /// A network of this name with all else as it is where nobody asks for anything; without a bridge and a subnet yet.
    #[must_use]
    pub fn new(id: Id, name: Name) -> Self {
        Network {
            name,
            mac: bridge_mac(&id),
            id,
            bridge: String::new(),
            subnet: Ipv4Net::default(),
            gateway: Ipv4Addr::UNSPECIFIED,
            mtu: DEFAULT_MTU,
            ip_range: None,
            internal: false,
            labels: BTreeMap::new(),
            endpoint: EndpointKind::default(),
            created: 0,
            is_leaving: false,
            asks_gateway: false,
            owner: Owner::User,
            strangers: Strangers::default(),
        }
    }

    /// Chooses address and MAC for a new interface: those asked for, or the first free address and the MAC made of it.
    /// `leases` are the ones in force.
    ///
    /// # Errors
    /// If what was asked for can not be had, or nothing is left.
    pub fn lease<'a>(
        &self,
        ip: Option<Ipv4Addr>,
        mac: Option<MacAddr>,
        mtu: u32,
        leases: impl Iterator<Item = &'a Lease>,
    ) -> Result<Lease, LeaseError> {
        let (mut addresses, mut macs): (Vec<_>, Vec<_>) = leases.map(|lease| (lease.ip.addr(), lease.mac)).unzip();
        macs.push(self.mac);
        addresses.sort_unstable();
        macs.sort_unstable();
        if let Some(mac) = mac {
            self.check_mac(mac, &macs)?;
        }
        let free = |address: &Ipv4Addr| {
            *address != self.gateway
                && addresses.binary_search(address).is_err()
                && (mac.is_some() || macs.binary_search(&mac_of(*address)).is_err())
        };
        let address = match ip {
            Some(ip) => self.check_address(ip, &addresses)?,
            None => self.free_addresses().find(free).ok_or_else(|| self.exhausted())?,
        };
        let mac = match mac {
            Some(mac) => mac,
            None => self.check_mac(mac_of(address), &macs)?,
        };
        let ip = Ipv4Net::new(address, self.subnet.prefix_len()).map_err(|_| LeaseError::PoolExhausted(self.subnet))?;
        Ok(Lease { ip, mac, gateway: self.gateway, mtu })
    }

    fn exhausted(&self) -> LeaseError {
        self.ip_range.map_or(LeaseError::PoolExhausted(self.subnet), LeaseError::RangeExhausted)
    }

    /// What addresses that nobody asked for are taken from.
    fn range(&self) -> Ipv4Net {
        self.ip_range.unwrap_or(self.subnet)
    }

    /// Its addresses, but for the two of the subnet that are no host's.
    fn free_addresses(&self) -> impl Iterator<Item = Ipv4Addr> {
        let (first, last) = (self.subnet.network(), self.subnet.broadcast());
        let range = u32::from(self.range().network())..=u32::from(self.range().broadcast());
        range.map(Ipv4Addr::from).filter(move |address| *address != first && *address != last)
    }

    /// Whether it is the network called `bridge`, on which nobody is found by name.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.name.as_str() == "bridge"
    }

    /// The gateway's own lease.
    #[must_use]
    pub fn gateway_lease(&self) -> Lease {
        let ip = Ipv4Net::new_assert(self.gateway, self.subnet.prefix_len());
        Lease { ip, mac: self.mac, gateway: self.gateway, mtu: self.mtu }
    }

    /// `in_use` are in order.
    fn check_address(&self, address: Ipv4Addr, in_use: &[Ipv4Addr]) -> Result<Ipv4Addr, LeaseError> {
        if !self.subnet.contains(&address) {
            Err(LeaseError::OutsideSubnet { address, subnet: self.subnet })
        } else if address == self.gateway {
            Err(LeaseError::GatewayAddress(address))
        } else if address == self.subnet.network() {
            Err(LeaseError::NetworkAddress(address))
        } else if address == self.subnet.broadcast() {
            Err(LeaseError::BroadcastAddress(address))
        } else if in_use.binary_search(&address).is_ok() {
            Err(LeaseError::AddressInUse(address))
        } else {
            Ok(address)
        }
    }

    /// `in_use` are in order.
    fn check_mac(&self, mac: MacAddr, in_use: &[MacAddr]) -> Result<MacAddr, LeaseError> {
        if mac.is_multicast() {
            Err(LeaseError::MulticastMac(mac))
        } else if mac == MacAddr::ZERO {
            Err(LeaseError::ZeroMac(mac))
        } else if in_use.binary_search(&mac).is_ok() {
            Err(LeaseError::MacInUse(mac))
        } else {
            Ok(mac)
        }
    }
}

/// The MAC of a bridge: 02:42 and four bytes of the network's id. The first of them is 0xE0 or more, where no station's
/// address begins, so that it is never the MAC made of a container's address.
#[must_use]
pub fn bridge_mac(id: &Id) -> MacAddr {
    let digits = u32::from_str_radix(&id.as_str()[..8], 16).unwrap_or_default();
    let [a, b, c, d] = digits.to_be_bytes();
    MacAddr([0x02, 0x42, a | 0xe0, b, c, d])
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn the_first_container_gets_the_first_free_address_and_its_mac() {
        let network = network("172.18.0.0/16");
        let lease = network.lease(None, None, 1500, [].iter()).expect("a lease");
        assert_eq!(lease.ip.to_string(), "172.18.0.2/16");
        assert_eq!(lease.mac.to_string(), "02:42:ac:12:00:02");
        assert_eq!(lease.gateway.to_string(), "172.18.0.1");
    }

    #[test]
    fn no_address_and_no_mac_is_leased_twice() {
        let network = network("172.18.0.0/29");
        let mut leases: Vec<Lease> = Vec::new();
        // Somebody asked for the MAC that would go with 172.18.0.3: that address is passed over.
        leases.push(
            network.lease(None, Some(mac_of(Ipv4Addr::new(172, 18, 0, 3))), 1500, leases.iter()).expect("a lease"),
        );
        for expected in ["172.18.0.4", "172.18.0.5", "172.18.0.6"] {
            let lease = network.lease(None, None, 1500, leases.iter()).expect("a lease");
            assert_eq!(lease.ip.addr().to_string(), expected);
            leases.push(lease);
        }
        let full = network.lease(None, None, 1500, leases.iter());
        assert_eq!(full, Err(LeaseError::PoolExhausted(network.subnet)));
        let by_hand = network.lease(Some(Ipv4Addr::new(172, 18, 0, 3)), None, 1500, leases.iter());
        assert_eq!(by_hand, Err(LeaseError::MacInUse(mac_of(Ipv4Addr::new(172, 18, 0, 3)))));
    }

    #[test]
    fn what_can_not_be_leased_is_refused_by_name() {
        let network = network("172.18.0.0/16");
        let held = network.lease(None, None, 1500, [].iter()).expect("a lease");
        let ask = |ip: [u8; 4]| network.lease(Some(ip.into()), None, 1500, std::iter::once(&held)).map(drop);
        let address = Ipv4Addr::from;
        assert_eq!(
            ask([10, 0, 0, 1]),
            Err(LeaseError::OutsideSubnet { address: address([10, 0, 0, 1]), subnet: network.subnet })
        );
        assert_eq!(ask([172, 18, 0, 0]), Err(LeaseError::NetworkAddress(address([172, 18, 0, 0]))));
        assert_eq!(ask([172, 18, 255, 255]), Err(LeaseError::BroadcastAddress(address([172, 18, 255, 255]))));
        assert_eq!(ask([172, 18, 0, 1]), Err(LeaseError::GatewayAddress(address([172, 18, 0, 1]))));
        assert_eq!(ask([172, 18, 0, 2]), Err(LeaseError::AddressInUse(address([172, 18, 0, 2]))));
        assert_eq!(ask([172, 18, 0, 3]), Ok(()));

        let ask = |mac: MacAddr| network.lease(None, Some(mac), 1500, std::iter::once(&held)).map(drop);
        let multicast = MacAddr([1, 0, 0x5e, 0, 0, 1]);
        assert_eq!(ask(multicast), Err(LeaseError::MulticastMac(multicast)));
        assert_eq!(ask(MacAddr::ZERO), Err(LeaseError::ZeroMac(MacAddr::ZERO)));
        assert_eq!(ask(held.mac), Err(LeaseError::MacInUse(held.mac)));
        assert_eq!(ask(network.mac), Err(LeaseError::MacInUse(network.mac)));
    }

    #[test]
    fn a_range_bounds_what_is_given_but_not_what_is_asked_for() {
        let range = Some("172.18.0.254/31".parse().expect("a range"));
        let network = Network { ip_range: range, ..network("172.18.0.0/24") };
        let lease = network.lease(None, None, 1500, [].iter()).expect("a lease");
        assert_eq!(lease.ip.addr().to_string(), "172.18.0.254");
        let full = network.lease(None, None, 1500, std::iter::once(&lease));
        assert_eq!(full, Err(LeaseError::RangeExhausted("172.18.0.254/31".parse().expect("a range"))));
        let asked = network.lease(Some(Ipv4Addr::new(172, 18, 0, 9)), None, 1500, std::iter::once(&lease));
        assert_eq!(asked.map(|lease| lease.ip.addr().to_string()), Ok("172.18.0.9".into()));
    }

    #[test]
    fn a_kind_of_endpoint_is_called_as_it_is_asked_for() {
        for (text, kind) in [("tap", EndpointKind::Tap), ("veth", EndpointKind::Veth)] {
            assert_eq!((text.parse(), kind.to_string().as_str()), (Ok(kind), text));
        }
        let refused = "TAP".parse::<EndpointKind>().expect_err("none");
        assert_eq!(refused, "'TAP' is no kind of endpoint: tap or veth");
    }

    #[test]
    fn a_bridges_mac_is_never_that_of_a_containers_address() {
        for seed in 0..100 {
            let MacAddr([_, _, first, ..]) = bridge_mac(&Id::random(&mut ChaCha8Rng::seed_from_u64(seed)));
            assert!(first >= 224, "no unicast address begins with {first}");
        }
    }

    fn network(subnet: &str) -> Network {
        let subnet: Ipv4Net = subnet.parse().expect("a subnet");
        let id = Id::random(&mut ChaCha8Rng::seed_from_u64(1));
        let gateway = subnet.hosts().next().expect("a host");
        Network { bridge: "pontoon0".into(), subnet, gateway, ..Network::new(id, Name::from_static("bridge")) }
    }
}
