//! [`Files`]: what stands in a container's `/etc/resolv.conf`, `/etc/hosts` and `/etc/hostname`.
//!
//! The rules it keeps:
//!
//! * Pure: the host's text comes in, the container's goes out; both backends write the same.
//! * A container has no IPv6, so that no IPv6 address is in its files. A name server on the host's loopback is not one that
//!   a container could reach.
//! * Whatever the host's text is, the container's has Unix line ends, and a newline at its end.

use std::net::Ipv4Addr;

/// A container's own files. One that is `None` is the host's.
///
/// By network mode, as in Docker: `bridge` has all three of its own. `none` too, since it may be connected to a network later;
/// its `resolv.conf` is [`Resolution::Nowhere`]. `host` has none, but a `hostname` if it has a host name of its own. A
/// `container:` joiner has those of the container that it joins, which are the same files: it has no `Files`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// See [`resolv_conf`].
    pub resolv_conf: Option<String>,
    /// See [`hosts`].
    pub hosts: Option<String>,
    /// See [`hostname`].
    pub hostname: Option<String>,
}

impl Files {
    /// The names that the files have in `/etc`.
    pub const NAMES: [&'static str; 3] = ["resolv.conf", "hosts", "hostname"];

    /// Takes over what `other` has.
    pub fn update(&mut self, other: &Files) {
        let Files { resolv_conf, hosts, hostname } = other;
        let pairs = [(&mut self.resolv_conf, resolv_conf), (&mut self.hosts, hosts), (&mut self.hostname, hostname)];
        for (own, new) in pairs {
            if new.is_some() {
                own.clone_from(new);
            }
        }
    }

    /// Those of its own, by their names in `/etc`.
    pub fn own(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let texts = [&self.resolv_conf, &self.hosts, &self.hostname];
        Self::NAMES.into_iter().zip(texts).filter_map(|(name, text)| Some((name, text.as_deref()?)))
    }
}

/// Who resolves names for a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution<'a> {
    /// The default bridge network: the host's own name servers. If none of them can be reached from a container, our
    /// responder at the gateway, which asks them.
    Hosts {
        /// The host's address in the network.
        gateway: Ipv4Addr,
    },
    /// The default bridge network with `--dns`: these, in this order.
    Servers(&'a [Ipv4Addr]),
    /// A network of the user's: our responder at the gateway, which knows the containers by name. With `--dns` it asks those
    /// servers, and the file is the same.
    Responder {
        /// The host's address in the network.
        gateway: Ipv4Addr,
    },
    /// No network: the host's text as it stands, since nobody can be reached anyway.
    Nowhere,
}

/// What is to stand in `/etc/resolv.conf`, where the host's says `host_text`.
#[must_use]
pub fn resolv_conf(host_text: &str, resolution: Resolution<'_>) -> String {
    match resolution {
        Resolution::Hosts { gateway } => without_unreachable(host_text, gateway),
        Resolution::Servers(servers) => replaced(host_text, servers),
        Resolution::Responder { gateway } => {
            let mut text = replaced(host_text, &[gateway]);
            // A name without a dot is a container's, before it is completed from the search list.
            if !says_ndots(host_text) {
                text.push_str("options ndots:0\n");
            }
            text
        }
        Resolution::Nowhere => host_text.lines().flat_map(|line| [line, "\n"]).collect(),
    }
}

/// What is to stand in `/etc/hosts`: a line for each address, the host name in it. One with a domain is followed by its
/// first label, so that it is found by that as well. A container's name is not here: names are the responder's.
#[must_use]
pub fn hosts(host_name: &str, addresses: &[Ipv4Addr]) -> String {
    let mut text = "127.0.0.1\tlocalhost\n".to_owned();
    for address in addresses {
        text.push_str(&format!("{address}\t{host_name}"));
        if let Some((label, _)) = host_name.split_once('.').filter(|(label, _)| !label.is_empty()) {
            text.push_str(&format!(" {label}"));
        }
        text.push('\n');
    }
    text
}

/// What is to stand in `/etc/hostname`.
#[must_use]
pub fn hostname(host_name: &str) -> String {
    format!("{host_name}\n")
}

/// Whether the host's text names a server that a container can ask itself.
#[must_use]
pub fn names_reachable_server(host_text: &str) -> bool {
    host_text.lines().map(directive).any(|(word, address)| word == "nameserver" && is_reachable(address))
}

/// The host's text without the name servers that a container can not reach; the gateway, if there is no other.
fn without_unreachable(host_text: &str, gateway: Ipv4Addr) -> String {
    let mut text = String::new();
    let is_unreachable = |line: &&str| matches!(directive(line), ("nameserver", address) if !is_reachable(address));
    for line in host_text.lines().filter(|line| !is_unreachable(line)) {
        text.push_str(line);
        text.push('\n');
    }
    if !names_reachable_server(host_text) {
        text.push_str(&format!("nameserver {gateway}\n"));
    }
    text
}

/// These servers, and what the host says of completing names and of asking.
fn replaced(host_text: &str, servers: &[Ipv4Addr]) -> String {
    let mut text: String = servers.iter().map(|server| format!("nameserver {server}\n")).collect();
    for line in host_text.lines().filter(|line| matches!(directive(line).0, "search" | "domain" | "options")) {
        text.push_str(line);
        text.push('\n');
    }
    text
}

fn says_ndots(host_text: &str) -> bool {
    let mut options = host_text.lines().map(directive).filter(|(keyword, _)| *keyword == "options");
    options.any(|(_, values)| values.split_whitespace().any(|value| value.starts_with("ndots:")))
}

/// A line's keyword and what follows it. Resolvers differ in whether a line may begin with blanks: here it may.
fn directive(line: &str) -> (&str, &str) {
    let line = line.trim();
    line.split_once(|each: char| each.is_ascii_whitespace()).unwrap_or((line, ""))
}

/// Whether a name server's address leads anywhere from a container. What is no IPv4 address does not; 0.0.0.0 is loopback to
/// a resolver.
fn is_reachable(address: &str) -> bool {
    let address = address.split_whitespace().next().and_then(|word| word.parse::<Ipv4Addr>().ok());
    address.is_some_and(|address| !address.is_loopback() && !address.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GATEWAY: Ipv4Addr = Ipv4Addr::new(172, 17, 0, 1);
    const HOSTS: Resolution<'_> = Resolution::Hosts { gateway: GATEWAY };
    const RESPONDER: Resolution<'_> = Resolution::Responder { gateway: GATEWAY };

    #[test]
    fn on_the_default_network_the_hosts_text_stands_without_what_can_not_be_reached() {
        let host = "# made by hand\nnameserver 127.0.0.53\nnameserver 192.0.2.1 # ours\nnameserver ::1\n\
            nameserver 2001:db8::1\nnameserver fe80::1%eth0\nnameserver 198.51.100.7\nsearch a.example b.example\n\
            options edns0 trust-ad\nsortlist 192.0.2.0\n";
        let expected = "# made by hand\nnameserver 192.0.2.1 # ours\nnameserver 198.51.100.7\n\
            search a.example b.example\noptions edns0 trust-ad\nsortlist 192.0.2.0\n";
        assert_eq!(resolv_conf(host, HOSTS), expected);
    }

    #[test]
    fn on_the_default_network_the_gateway_serves_if_nobody_else_can_be_reached() {
        for (host, expected) in [
            ("", "nameserver 172.17.0.1\n"),
            ("nameserver 127.0.0.53\noptions edns0\nsearch .\n", "options edns0\nsearch .\nnameserver 172.17.0.1\n"),
            ("nameserver ::1\nnameserver 127.9.9.9\nnameserver 0.0.0.0\n", "nameserver 172.17.0.1\n"),
            ("nameserver\nnameserver dns.example\nnameserver 127.1\n", "nameserver 172.17.0.1\n"),
            ("#nameserver 192.0.2.1\n", "#nameserver 192.0.2.1\nnameserver 172.17.0.1\n"),
            ("nameservers 192.0.2.1\n", "nameservers 192.0.2.1\nnameserver 172.17.0.1\n"),
        ] {
            assert_eq!(resolv_conf(host, HOSTS), expected, "{host}");
        }
    }

    #[test]
    fn on_a_network_of_the_users_the_gateway_serves_alone() {
        let host = "; comment\nnameserver 192.0.2.1\nsearch a.example\nsortlist 192.0.2.0\noptions edns0 timeout:3\n";
        let expected = "nameserver 172.17.0.1\nsearch a.example\noptions edns0 timeout:3\noptions ndots:0\n";
        assert_eq!(resolv_conf(host, RESPONDER), expected);
        assert_eq!(resolv_conf("", RESPONDER), "nameserver 172.17.0.1\noptions ndots:0\n");
        let host = "domain a.example\noptions edns0\n\toptions rotate  ndots:5\n";
        let expected = "nameserver 172.17.0.1\ndomain a.example\noptions edns0\n\toptions rotate  ndots:5\n";
        assert_eq!(resolv_conf(host, RESPONDER), expected);
        let host = "search ndots:1\n#options ndots:2\n";
        assert_eq!(resolv_conf(host, RESPONDER), "nameserver 172.17.0.1\nsearch ndots:1\noptions ndots:0\n");
    }

    #[test]
    fn servers_of_the_users_choice_replace_the_hosts() {
        let servers = [Ipv4Addr::new(192, 0, 2, 53), Ipv4Addr::LOCALHOST];
        let host = "nameserver 198.51.100.7\noptions rotate\nsearch a.example\n";
        let expected = "nameserver 192.0.2.53\nnameserver 127.0.0.1\noptions rotate\nsearch a.example\n";
        assert_eq!(resolv_conf(host, Resolution::Servers(&servers)), expected);
    }

    #[test]
    fn without_a_network_the_hosts_text_stands() {
        let host = "nameserver 127.0.0.53\r\nnameserver ::1";
        assert_eq!(resolv_conf(host, Resolution::Nowhere), "nameserver 127.0.0.53\nnameserver ::1\n");
        assert_eq!(resolv_conf("", Resolution::Nowhere), "");
    }

    #[test]
    fn odd_text_is_survived() {
        let host = "nameserver 192.0.2.1\r\n\r\n  nameserver\t127.0.0.1\r\nsearch a.example";
        assert_eq!(resolv_conf(host, HOSTS), "nameserver 192.0.2.1\n\nsearch a.example\n");
        let not_utf8 = String::from_utf8_lossy(b"# caf\xe9\nnameserver\xa0192.0.2.1\nnameserver 192.0.2.2\n\0");
        let expected = "# caf\u{fffd}\nnameserver\u{fffd}192.0.2.1\nnameserver 192.0.2.2\n\0\n";
        assert_eq!(resolv_conf(&not_utf8, HOSTS), expected);
        let many = "nameserver 127.0.0.1\nnameserver 192.0.2.1\n".repeat(1000);
        assert_eq!(resolv_conf(&many, HOSTS), "nameserver 192.0.2.1\n".repeat(1000));
        assert_eq!(resolv_conf(&many, RESPONDER), "nameserver 172.17.0.1\noptions ndots:0\n");
    }

    #[test]
    fn the_host_name_is_found_at_each_address() {
        assert_eq!(hosts("web", &[]), "127.0.0.1\tlocalhost\n");
        let addresses = [Ipv4Addr::new(172, 17, 0, 2), Ipv4Addr::new(172, 18, 0, 9)];
        assert_eq!(hosts("web", &addresses), "127.0.0.1\tlocalhost\n172.17.0.2\tweb\n172.18.0.9\tweb\n");
        assert_eq!(
            hosts("web.example.org", &addresses[..1]),
            "127.0.0.1\tlocalhost\n172.17.0.2\tweb.example.org web\n"
        );
        assert_eq!(hostname("web"), "web\n");
    }

    #[test]
    fn what_is_new_takes_the_place_of_what_was_and_the_rest_stays() {
        let files = |text: &str| Some(text.to_owned());
        let mut own = Files { resolv_conf: files("a"), hosts: files("b"), hostname: None };
        own.update(&Files { resolv_conf: None, hosts: files("c"), hostname: files("d") });
        assert_eq!(own, Files { resolv_conf: files("a"), hosts: files("c"), hostname: files("d") });
    }

    #[test]
    fn the_hosts_files_are_not_named_among_ones_own() {
        let files = Files { hostname: Some(hostname("web")), ..Files::default() };
        assert_eq!(files.own().collect::<Vec<_>>(), [("hostname", "web\n")]);
        assert_eq!(Files::default().own().count(), 0);
    }
}
