//! [`End`]: an end of a load.

use std::net::Ipv4Addr;

/// Where a load begins or ends.
#[derive(Clone, Copy, Debug)]
pub struct End {
    /// A process in its namespace.
    pub pid: u32,
    pub address: Ipv4Addr,
}
