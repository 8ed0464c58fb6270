//! [`Subnet`]: which subnet a bridge network gets, its gateway in it, and the range that addresses are given from.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::pools::{default_pools, first_free, overlap};

/// What the user asks for, as far as he does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubnetRequest {
    /// `--subnet`.
    pub subnet: Option<Ipv4Net>,
    /// `--gateway`.
    pub gateway: Option<Ipv4Addr>,
    /// `--ip-range`.
    pub ip_range: Option<Ipv4Net>,
}

/// The addresses of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// All of them.
    pub subnet: Ipv4Net,
    /// The host's.
    pub gateway: Ipv4Addr,
    /// Those that are given to whoever asks for none.
    pub ip_range: Option<Ipv4Net>,
}

/// A prefix that is in use, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Which.
    pub prefix: Ipv4Net,
    /// Whose, in words.
    pub whose: String,
}

impl Taken {
    /// A prefix of the host's.
    #[must_use]
    pub fn by_host(prefix: Ipv4Net) -> Self {
        Taken { prefix, whose: "an address or a route of the host".into() }
    }

    /// A prefix of another network's.
    #[must_use]
    pub fn by_network(prefix: Ipv4Net, name: &str) -> Self {
        Taken { prefix, whose: format!("the subnet of network {name}") }
    }
}

/// Why a network can not have what it asks for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubnetError {
    /// All default subnets are in use.
    #[error("every default subnet overlaps an address or a route of the host, or another network")]
    NoneFree,
    /// It has host bits set.
    #[error("{asked} is no subnet: it should be {}", .asked.trunc())]
    HostBits {
        /// What was asked for.
        asked: Ipv4Net,
    },
    /// It has no room for a gateway and one container.
    #[error("the subnet {0} is too small: a prefix length of at most 30 is needed")]
    TooSmall(Ipv4Net),
    /// It is no subnet for hosts.
    #[error("{0} is no subnet for hosts: it is loopback, multicast or reserved")]
    NotForHosts(Ipv4Net),
    /// Somebody has it.
    #[error("the subnet {subnet} overlaps {other}, {whose}")]
    InUse {
        /// What was asked for.
        subnet: Ipv4Net,
        /// What it overlaps.
        other: Ipv4Net,
        /// Whose that is.
        whose: String,
    },
    /// The gateway lies elsewhere.
    #[error("the gateway {gateway} is not in the subnet {subnet}")]
    GatewayOutside {
        /// What was asked for.
        gateway: Ipv4Addr,
        /// The subnet.
        subnet: Ipv4Net,
    },
    /// The gateway is the subnet's first or last address.
    #[error("the gateway {gateway} is no host's address in the subnet {subnet}")]
    GatewayNoHost {
        /// What was asked for.
        gateway: Ipv4Addr,
        /// The subnet.
        subnet: Ipv4Net,
    },
    /// The range lies elsewhere.
    #[error("the range {range} is not in the subnet {subnet}")]
    RangeOutside {
        /// What was asked for.
        range: Ipv4Net,
        /// The subnet.
        subnet: Ipv4Net,
    },
    /// Nothing of the range can be given to a container.
    #[error("the range {range} has no address for a container: what it has is the gateway's, or no host's in {subnet}")]
    RangeWithoutHosts {
        /// What was asked for.
        range: Ipv4Net,
        /// The subnet.
        subnet: Ipv4Net,
    },
    /// The range or the gateway was asked for, and no subnet.
    #[error("{0} needs --subnet beside it")]
    NoSubnet(&'static str),
}

impl SubnetRequest {
    /// Chooses: what is asked for, if nobody has it; otherwise the first of the default pools that nobody has, and its first
    /// address for the gateway.
    ///
    /// # Errors
    /// Why what was asked for can not be had.
    pub fn choose(&self, taken: &[Taken]) -> Result<Subnet, SubnetError> {
        let subnet = match self.subnet {
            Some(asked) => check(asked, taken)?,
            None if self.gateway.is_some() => return Err(SubnetError::NoSubnet("--gateway")),
            None if self.ip_range.is_some() => return Err(SubnetError::NoSubnet("--ip-range")),
            None => {
                let prefixes: Vec<Ipv4Net> = taken.iter().map(|taken| taken.prefix).collect();
                first_free(default_pools(), &prefixes).ok_or(SubnetError::NoneFree)?
            }
        };
        let gateway = self.gateway.unwrap_or_else(|| first_host(subnet));
        if !subnet.contains(&gateway) {
            return Err(SubnetError::GatewayOutside { gateway, subnet });
        }
        if gateway == subnet.network() || gateway == subnet.broadcast() {
            return Err(SubnetError::GatewayNoHost { gateway, subnet });
        }
        match self.ip_range {
            Some(range) if range != range.trunc() => Err(SubnetError::HostBits { asked: range }),
            Some(range) if !subnet.contains(&range) => Err(SubnetError::RangeOutside { range, subnet }),
            Some(range) if !has_room(range, subnet, gateway) => Err(SubnetError::RangeWithoutHosts { range, subnet }),
            ip_range => Ok(Subnet { subnet, gateway, ip_range }),
        }
    }
}

fn check(asked: Ipv4Net, taken: &[Taken]) -> Result<Ipv4Net, SubnetError> {
    if asked != asked.trunc() {
        return Err(SubnetError::HostBits { asked });
    }
    if asked.prefix_len() > 30 {
        return Err(SubnetError::TooSmall(asked));
    }
    if !is_for_hosts(asked) {
        return Err(SubnetError::NotForHosts(asked));
    }
    match taken.iter().find(|other| overlap(asked, other.prefix)) {
        Some(Taken { prefix, whose }) => {
            Err(SubnetError::InUse { subnet: asked, other: *prefix, whose: whose.clone() })
        }
        None => Ok(asked),
    }
}

fn is_for_hosts(subnet: Ipv4Net) -> bool {
    const NOT: [Ipv4Net; 4] = [
        Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 8),
        Ipv4Net::new_assert(Ipv4Addr::LOCALHOST, 8),
        Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 4),
        Ipv4Net::new_assert(Ipv4Addr::new(240, 0, 0, 0), 4),
    ];
    !NOT.into_iter().any(|not| overlap(not, subnet))
}

/// Whether a range has an address that a container may have.
fn has_room(range: Ipv4Net, subnet: Ipv4Net, gateway: Ipv4Addr) -> bool {
    let not = [gateway, subnet.network(), subnet.broadcast()];
    let mut addresses = (u32::from(range.network())..=u32::from(range.broadcast())).map(Ipv4Addr::from);
    addresses.any(|address| !not.contains(&address))
}

/// The first address of a subnet that a host can have.
fn first_host(subnet: Ipv4Net) -> Ipv4Addr {
    subnet.hosts().next().unwrap_or_else(|| subnet.addr())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Ipv4Net {
        text.parse().expect("a prefix")
    }

    fn address(text: &str) -> Ipv4Addr {
        text.parse().expect("an address")
    }

    fn asks(subnet: &str) -> SubnetRequest {
        SubnetRequest { subnet: Some(net(subnet)), ..SubnetRequest::default() }
    }

    #[test]
    fn takes_the_first_pool_that_nobody_has() {
        let taken = [Taken::by_host(net("172.17.64.0/20")), Taken::by_network(net("172.18.0.0/16"), "web")];
        let chosen = SubnetRequest::default().choose(&taken);
        let subnet = Subnet { subnet: net("172.19.0.0/16"), gateway: address("172.19.0.1"), ip_range: None };
        assert_eq!(chosen, Ok(subnet));
        let all = [Taken::by_host(net("172.16.0.0/12")), Taken::by_host(net("192.168.0.0/16"))];
        assert_eq!(SubnetRequest::default().choose(&all), Err(SubnetError::NoneFree));
    }

    #[test]
    fn takes_what_is_asked_for() {
        let (gateway, ip_range) = (Some(address("10.9.0.254")), Some(net("10.9.0.128/25")));
        let chosen = SubnetRequest { gateway, ip_range, ..asks("10.9.0.0/24") }.choose(&[]);
        assert_eq!(chosen, Ok(Subnet { subnet: net("10.9.0.0/24"), gateway: address("10.9.0.254"), ip_range }));
    }

    #[test]
    fn refuses_by_name_what_can_not_be() {
        let taken = [Taken::by_network(net("10.9.1.0/24"), "web")];
        let choose = |request: SubnetRequest| request.choose(&taken).expect_err("refused");
        assert_eq!(choose(asks("10.9.0.1/16")), SubnetError::HostBits { asked: net("10.9.0.1/16") });
        assert_eq!(choose(asks("10.8.0.0/31")), SubnetError::TooSmall(net("10.8.0.0/31")));
        for odd in ["127.1.0.0/16", "224.0.0.0/24", "0.0.0.0/0", "240.0.0.0/8"] {
            assert_eq!(choose(asks(odd)), SubnetError::NotForHosts(net(odd)));
        }
        assert_eq!(
            choose(asks("10.9.0.0/16")).to_string(),
            "the subnet 10.9.0.0/16 overlaps 10.9.1.0/24, the subnet of network web"
        );
        let subnet = net("10.8.0.0/24");
        let with_gateway = |text: &str| SubnetRequest { gateway: Some(address(text)), ..asks("10.8.0.0/24") };
        let gateway = address("10.7.0.1");
        assert_eq!(choose(with_gateway("10.7.0.1")), SubnetError::GatewayOutside { gateway, subnet });
        let gateway = address("10.8.0.255");
        assert_eq!(choose(with_gateway("10.8.0.255")), SubnetError::GatewayNoHost { gateway, subnet });
        let range = net("10.8.1.0/25");
        let with_range = SubnetRequest { ip_range: Some(range), ..asks("10.8.0.0/24") };
        assert_eq!(choose(with_range), SubnetError::RangeOutside { range, subnet });
        for (range, has_room) in [
            ("10.8.0.0/32", false),
            ("10.8.0.1/32", false),
            ("10.8.0.0/31", false),
            ("10.8.0.255/32", false),
            ("10.8.0.254/31", true),
            ("10.8.0.0/30", true),
        ] {
            let range = net(range);
            let chosen = SubnetRequest { ip_range: Some(range), ..asks("10.8.0.0/24") }.choose(&[]);
            let refused = SubnetError::RangeWithoutHosts { range, subnet };
            assert_eq!(chosen.map(drop), if has_room { Ok(()) } else { Err(refused) });
        }
        let range = net("10.8.0.9/25");
        let with_host_bits = SubnetRequest { ip_range: Some(range), ..asks("10.8.0.0/24") };
        assert_eq!(choose(with_host_bits), SubnetError::HostBits { asked: range });
        let smallest = asks("10.8.0.0/30").choose(&taken).map(|chosen| chosen.gateway);
        assert_eq!(smallest, Ok(address("10.8.0.1")));
        let lonely = SubnetRequest { gateway: Some(gateway), ..SubnetRequest::default() };
        assert_eq!(choose(lonely), SubnetError::NoSubnet("--gateway"));
        let lonely = SubnetRequest { ip_range: Some(range), ..SubnetRequest::default() };
        assert_eq!(choose(lonely), SubnetError::NoSubnet("--ip-range"));
    }
}
