//! [`Host`]: the name servers of the host, as `/etc/resolv.conf` has them at the moment.
//!
//! * The file is looked at for each query that is passed on, and read again if it is another, or was written. While it is
//!   not there, the last ones are in force.
//! * As in the C library: the first three, and the host itself if there is none. A server on the loopback interface is as
//!   good as any, since it is asked from the host.

use std::fs::Metadata;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::unix::fs::MetadataExt;

use super::PORT;
use super::plan::SERVERS;
use crate::linux::etc::{RESOLV_CONF, open_host_resolv_conf, read_host_text};

/// The host's name servers, and which version of the file they are from.
#[derive(Debug)]
pub(super) struct Host {
    seen: Option<Version>,
    servers: Vec<SocketAddr>,
}

/// What is another when the file is: device, inode, time of its last change, length.
type Version = (u64, u64, i64, i64, u64);

impl Host {
    pub(super) fn new() -> Host {
        Host { seen: None, servers: servers_in("") }
    }

    /// The servers to ask now.
    pub(super) fn servers(&mut self) -> &[SocketAddr] {
        let found = std::fs::metadata(RESOLV_CONF).ok().filter(Metadata::is_file).map(|found| version_of(&found));
        if found.is_some()
            && found != self.seen
            && let Some((version, text)) = read()
        {
            self.seen = Some(version);
            self.servers = servers_in(&text);
            tracing::debug!(servers = ?self.servers, "read {RESOLV_CONF}");
        }
        &self.servers
    }
}

fn read() -> Option<(Version, String)> {
    let file = open_host_resolv_conf().ok()?;
    let version = version_of(&file.metadata().ok().filter(Metadata::is_file)?);
    Some((version, read_host_text(&file).ok()?))
}

fn version_of(file: &Metadata) -> Version {
    (file.dev(), file.ino(), file.mtime(), file.mtime_nsec(), file.size())
}

fn servers_in(text: &str) -> Vec<SocketAddr> {
    let named = text.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        (words.next()? == "nameserver").then(|| words.next()).flatten().and_then(server)
    });
    let mut servers: Vec<SocketAddr> = named.take(SERVERS).collect();
    if servers.is_empty() {
        servers.push((Ipv4Addr::LOCALHOST, PORT).into());
    }
    servers
}

/// An address, which may say on which interface it is meant: `fe80::1%eth0`.
fn server(text: &str) -> Option<SocketAddr> {
    match text.split_once('%') {
        None => Some((text.parse::<IpAddr>().ok()?, PORT).into()),
        Some((address, interface)) => {
            let address: Ipv6Addr = address.parse().ok()?;
            let index = nix::net::if_::if_nametoindex(interface).ok().or_else(|| interface.parse().ok())?;
            Some(SocketAddrV6::new(address, PORT, 0, index).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_three_servers_of_the_file_are_asked() {
        let text = "# nameserver 192.0.2.9\n; nameserver 192.0.2.9\nsearch example.org\n\
                    nameserver 127.0.0.53\n nameserver\t192.0.2.1 \nnameserver\nnameserver here\nnameservers 192.0.2.9\n\
                    nameserver fe80::1%7\nnameserver 192.0.2.4\noptions edns0";
        let servers: Vec<String> = servers_in(text).iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["127.0.0.53:53", "192.0.2.1:53", "[fe80::1%7]:53"]);
    }

    #[test]
    fn without_a_server_it_is_the_host_itself() {
        for text in ["", "options edns0\n", "nameserver nobody\n"] {
            assert_eq!(servers_in(text), ["127.0.0.1:53".parse().expect("an address")]);
        }
    }
}
