//! Published ports in ascending order, a run of them as one range, as `docker ps` shows them.

use std::fmt;
use std::net::Ipv4Addr;

/// All ports of a container in one line, those of each protocol and address together. What is not understood (a later daemon's) stands
/// behind them, as it is.
pub(super) fn ports(published: &[String]) -> String {
    let mut ports = Vec::new();
    let mut others = Vec::new();
    for mapping in published {
        match Range::read(mapping) {
            Some(port) => ports.push(port),
            None => others.push(mapping.clone()),
        }
    }
    ports.sort_unstable();
    let mut ranges: Vec<Range<'_>> = Vec::new();
    for port in ports {
        match ranges.last_mut() {
            Some(last) if last.goes_on_with(&port) => last.more += 1,
            _ => ranges.push(port),
        }
    }
    ranges.iter().map(Range::to_string).chain(others).collect::<Vec<_>>().join(", ")
}

/// Ports of the host, one after the other, and as many of the container.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Range<'a> {
    protocol: &'a str,
    ip: Ipv4Addr,
    host: u16,
    container: u16,
    /// How many there are after the first.
    more: u16,
}

impl<'a> Range<'a> {
    /// One port, as it is written: `0.0.0.0:8080->80/tcp`.
    fn read(mapping: &'a str) -> Option<Self> {
        let (host, rest) = mapping.split_once("->")?;
        let (ip, host) = host.rsplit_once(':')?;
        let (container, protocol) = rest.split_once('/')?;
        let (ip, host, container) = (ip.parse().ok()?, host.parse().ok()?, container.parse().ok()?);
        Some(Range { protocol, ip, host, container, more: 0 })
    }

    fn goes_on_with(&self, next: &Self) -> bool {
        let follows = |first: u16, next: u16| u32::from(first) + u32::from(self.more) + 1 == u32::from(next);
        (self.protocol, self.ip) == (next.protocol, next.ip)
            && follows(self.host, next.host)
            && follows(self.container, next.container)
    }
}

impl fmt::Display for Range<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Range { protocol, ip, host, container, more } = self;
        match more {
            0 => write!(f, "{ip}:{host}->{container}/{protocol}"),
            _ => write!(f, "{ip}:{host}-{}->{container}-{}/{protocol}", host + more, container + more),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(published: &[&str]) -> String {
        ports(&published.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn a_run_of_ports_is_one_range_in_whatever_order_they_came() {
        assert_eq!(shown(&[]), "");
        assert_eq!(shown(&["0.0.0.0:8080->80/tcp"]), "0.0.0.0:8080->80/tcp");
        // Docker asks for them from the last to the first.
        let twenty: Vec<String> =
            (0..20).rev().map(|port| format!("0.0.0.0:{}->{}/tcp", 9000 + port, 80 + port)).collect();
        assert_eq!(ports(&twenty), "0.0.0.0:9000-9019->80-99/tcp");
        assert_eq!(
            shown(&["0.0.0.0:65535->65535/tcp", "0.0.0.0:65534->65534/tcp"]),
            "0.0.0.0:65534-65535->65534-65535/tcp"
        );
    }

    #[test]
    fn a_gap_on_either_side_ends_a_range() {
        let gaps = ["0.0.0.0:80->80/tcp", "0.0.0.0:81->81/tcp", "0.0.0.0:83->83/tcp", "0.0.0.0:84->85/tcp"];
        assert_eq!(shown(&gaps), "0.0.0.0:80-81->80-81/tcp, 0.0.0.0:83->83/tcp, 0.0.0.0:84->85/tcp");
        assert_eq!(shown(&["0.0.0.0:81->80/tcp", "0.0.0.0:80->80/tcp"]), "0.0.0.0:80->80/tcp, 0.0.0.0:81->80/tcp");
    }

    #[test]
    fn addresses_and_protocols_have_ranges_of_their_own() {
        let mixed = [
            "0.0.0.0:54->54/udp",
            "127.0.0.10:53->53/tcp",
            "0.0.0.0:53->53/udp",
            "127.0.0.2:54->54/tcp",
            "0.0.0.0:53->53/tcp",
            "127.0.0.2:53->53/tcp",
        ];
        let expected =
            "0.0.0.0:53->53/tcp, 127.0.0.2:53-54->53-54/tcp, 127.0.0.10:53->53/tcp, 0.0.0.0:53-54->53-54/udp";
        assert_eq!(shown(&mixed), expected);
    }

    #[test]
    fn what_is_not_understood_is_shown_all_the_same() {
        assert_eq!(shown(&["[::]:80->80/tcp", "0.0.0.0:80->80/tcp"]), "0.0.0.0:80->80/tcp, [::]:80->80/tcp");
    }
}
