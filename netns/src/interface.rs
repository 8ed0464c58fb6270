//! What is seen of a network interface from inside its namespace, in either world.

use std::fmt;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use switch::mac::MacAddr;

/// One interface, as `ip -s address` or `ifconfig` would show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceInfo {
    /// Its name.
    pub name: String,
    /// Its MAC; all zeros for `lo`.
    pub mac: MacAddr,
    /// The longest IP packet, in bytes.
    pub mtu: u32,
    /// Whether it is switched on.
    pub up: bool,
    /// Its IPv4 addresses, with prefix lengths.
    pub ipv4: Vec<Ipv4Net>,
    /// How many IPv6 addresses it has.
    pub ipv6_count: usize,
    /// Frames received.
    pub rx_packets: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Frames that were lost before the interface could take them.
    pub rx_dropped: u64,
    /// Frames sent.
    pub tx_packets: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Frames that were lost because the switch was slower than the sender.
    pub tx_dropped: u64,
}

impl fmt::Display for InterfaceInfo {
    /// As a person would read `ifconfig`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.up { "UP" } else { "DOWN" };
        writeln!(f, "{}: {state}  mtu {}", self.name, self.mtu)?;
        for ip in &self.ipv4 {
            write!(f, "        inet {}  netmask {}", ip.addr(), ip.netmask())?;
            if self.mac != MacAddr::ZERO {
                write!(f, "  broadcast {}", ip.broadcast())?;
            }
            writeln!(f)?;
        }
        if self.mac != MacAddr::ZERO {
            writeln!(f, "        ether {}", self.mac)?;
        }
        writeln!(f, "        RX packets {}  bytes {}  dropped {}", self.rx_packets, self.rx_bytes, self.rx_dropped)?;
        write!(f, "        TX packets {}  bytes {}  dropped {}", self.tx_packets, self.tx_bytes, self.tx_dropped)
    }
}
