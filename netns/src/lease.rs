//! [`Lease`]: the address, MAC, gateway and MTU of one interface, for as long as the container it serves.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use switch::mac::MacAddr;

/// The smallest MTU of an interface: what IPv4 asks of every link (RFC 791).
pub const MIN_MTU: u32 = 68;
/// The largest MTU that a TAP takes.
pub const MAX_MTU: u32 = 65_521;
/// The MTU of Ethernet, where nothing else was asked for.
pub const DEFAULT_MTU: u32 = 1500;

/// What an interface is configured with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Its address, with the length of the subnet's prefix.
    pub ip: Ipv4Net,
    /// Its MAC.
    pub mac: MacAddr,
    /// Where the default route goes.
    pub gateway: Ipv4Addr,
    /// The longest IP packet, in bytes.
    pub mtu: u32,
}

/// Docker's old rule: 02:42 and the four bytes of the address, so that equal addresses mean equal stations.
#[must_use]
pub fn mac_of(address: Ipv4Addr) -> MacAddr {
    let [a, b, c, d] = address.octets();
    MacAddr([0x02, 0x42, a, b, c, d])
}
