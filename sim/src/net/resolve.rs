//! Names: looked up as a container's resolver does it (resolver(5)), in `/etc/hosts` and then by DNS (RFC 1035).
//!
//! The rules it keeps:
//!
//! * A name with fewer dots than `ndots` is completed from the search list first, any other afterwards.
//! * Each server is asked twice, in turn, and has five seconds. One that says that there is no such name is believed.
//! * Only A records, and only by UDP: an answer that was cut is taken as it is.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use netns::files::Files;

use super::UdpSocket;
use crate::context;
use crate::process::Calls;
use crate::time::timeout;

const PORT: u16 = 53;
const PATIENCE: Duration = Duration::from_secs(5);
const ATTEMPTS: usize = 2;
const HEADER: usize = 12;
const TYPE_A: [u8; 2] = [0, 1];
const CLASS_IN: [u8; 2] = [0, 1];
/// NXDOMAIN.
const NO_SUCH_NAME: u8 = 3;

/// The addresses of a host.
pub(super) async fn resolve(host: &str) -> io::Result<Vec<IpAddr>> {
    let context = context::current();
    let files = Calls::new(&context, std::task::Waker::noop()).files();
    let written = in_hosts(files.hosts.as_deref().unwrap_or_default(), host);
    if !written.is_empty() {
        return Ok(written);
    }
    let settings = Settings::of(&files);
    let mut silent = false;
    for name in settings.candidates(host) {
        match settings.ask(&name).await {
            Some(found) if found.is_empty() => {}
            Some(found) => return Ok(found.into_iter().map(IpAddr::from).collect()),
            None => silent = true,
        }
    }
    let why = if silent { "Temporary failure in name resolution" } else { "Name or service not known" };
    Err(io::Error::other(format!("failed to lookup address information: {why}")))
}

fn in_hosts(hosts: &str, host: &str) -> Vec<IpAddr> {
    let lines = hosts.lines().map(|line| line.split('#').next().unwrap_or_default());
    let entry = |line: &str| {
        let mut words = line.split_whitespace();
        let ip = words.next()?.parse().ok()?;
        words.any(|word| word.eq_ignore_ascii_case(host)).then_some(ip)
    };
    lines.filter_map(entry).collect()
}

/// What `/etc/resolv.conf` says.
#[derive(Debug, PartialEq, Eq)]
struct Settings {
    servers: Vec<Ipv4Addr>,
    search: Vec<String>,
    ndots: usize,
}

impl Settings {
    fn of(files: &Files) -> Self {
        let mut settings = Settings { servers: Vec::new(), search: Vec::new(), ndots: 1 };
        for line in files.resolv_conf.as_deref().unwrap_or_default().lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => {
                    settings.servers.extend(words.next().and_then(|word| word.parse::<Ipv4Addr>().ok()))
                }
                // The last such line counts.
                Some("search" | "domain") => settings.search = words.map(str::to_owned).collect(),
                Some("options") => {
                    let mut ndots = words.filter_map(|word| word.strip_prefix("ndots:")?.parse().ok());
                    settings.ndots = ndots.next_back().unwrap_or(settings.ndots);
                }
                _ => {}
            }
        }
        settings
    }

    /// What to ask for, in this order.
    fn candidates(&self, host: &str) -> Vec<String> {
        if let Some(whole) = host.strip_suffix('.') {
            return vec![whole.to_owned()];
        }
        let completed = self.search.iter().filter(|domain| *domain != ".").map(|domain| format!("{host}.{domain}"));
        let is_whole = host.matches('.').count() >= self.ndots;
        let (first, last) = if is_whole { (Some(host), None) } else { (None, Some(host)) };
        let names = first.into_iter().map(str::to_owned).chain(completed);
        names.chain(last.map(str::to_owned)).collect()
    }

    /// The addresses of a name, none if there is no such name; `None` if nobody says.
    async fn ask(&self, name: &str) -> Option<Vec<Ipv4Addr>> {
        let query = query(name)?;
        for server in self.servers.iter().cycle().take(self.servers.len() * ATTEMPTS) {
            let asked = timeout(PATIENCE, exchange(*server, &query)).await;
            // A server that refuses to say is no better than one that is not there.
            if let Some(found) = asked.ok().and_then(Result::ok).and_then(|answer| addresses(&query, &answer)) {
                return Some(found);
            }
        }
        None
    }
}

async fn exchange(server: Ipv4Addr, query: &[u8]) -> io::Result<Vec<u8>> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    socket.connect((server, PORT)).await?;
    socket.send(query).await?;
    let mut answer = vec![0; usize::from(u16::MAX)];
    let len = socket.recv(&mut answer).await?;
    answer.truncate(len);
    Ok(answer)
}

/// A question for the addresses of a name; `None` if it can not be one.
fn query(name: &str) -> Option<Vec<u8>> {
    // (Each question has a socket of its own, so that all may have the same id.)
    let mut query = vec![0x50, 0x6f, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        let len = u8::try_from(label.len()).ok().filter(|len| (1..64).contains(len))?;
        query.push(len);
        query.extend_from_slice(label.as_bytes());
    }
    query.push(0);
    query.extend(TYPE_A);
    query.extend(CLASS_IN);
    (query.len() <= HEADER + 255 + 4).then_some(query)
}

/// The addresses in an answer, none if there is no such name; `None` if that is no answer.
fn addresses(query: &[u8], answer: &[u8]) -> Option<Vec<Ipv4Addr>> {
    let header = answer.get(..HEADER)?;
    let is_answer =
        header[..2] == query[..2] && header[2] & 0x80 != 0 && answer.get(HEADER..query.len()) == query.get(HEADER..);
    if !is_answer {
        return None;
    }
    match header[3] & 0x0f {
        0 => {}
        NO_SUCH_NAME => return Some(Vec::new()),
        _ => return None,
    }
    let (mut at, mut found) = (query.len(), Vec::new());
    for _ in 0..u16::from_be_bytes([header[6], header[7]]) {
        at = skip_name(answer, at)?;
        let record = answer.get(at..at + 10)?;
        let len = usize::from(u16::from_be_bytes([record[8], record[9]]));
        let data = answer.get(at + 10..at + 10 + len)?;
        if let ([0, 1, 0, 1], [a, b, c, d]) = (&record[..4], data) {
            found.push(Ipv4Addr::new(*a, *b, *c, *d));
        }
        at += 10 + len;
    }
    Some(found)
}

/// Where a name ends that begins here.
fn skip_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            // A pointer to the rest (RFC 1035, 4.1.4).
            0xc0.. => return Some(at + 2),
            len => at += 1 + usize::from(len),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    fn settings(resolv_conf: &str) -> Settings {
        Settings::of(&Files { resolv_conf: Some(resolv_conf.to_owned()), ..Files::default() })
    }

    #[test]
    fn a_name_is_completed_first_if_it_has_too_few_dots() {
        let text = "nameserver 10.0.0.1\nnameserver ::1\nnameserver 10.0.0.2\nsearch a.example b.example\n";
        let one = settings(text);
        assert_eq!(one.servers, [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)]);
        assert_eq!(one.candidates("web"), ["web.a.example", "web.b.example", "web"]);
        assert_eq!(one.candidates("web.c"), ["web.c", "web.c.a.example", "web.c.b.example"]);
        assert_eq!(one.candidates("web."), ["web"]);
        let none = settings(&format!("{text}options ndots:0\n"));
        assert_eq!(none.candidates("web"), ["web", "web.a.example", "web.b.example"]);
    }

    #[test]
    fn hosts_are_found_by_any_of_their_names() {
        let hosts = "127.0.0.1\tlocalhost\n::1 localhost\n# 10.0.0.9 web\n10.0.0.2 Web.example web # ours\n";
        assert_eq!(in_hosts(hosts, "localhost"), [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()]);
        assert_eq!(in_hosts(hosts, "WEB"), [IpAddr::from([10, 0, 0, 2])]);
        assert_eq!(in_hosts(hosts, "ours"), [] as [IpAddr; 0]);
    }

    #[test]
    fn an_answer_that_ends_too_early_is_none() {
        let query = query("web").expect("a name");
        let mut answer = query.clone();
        answer[2] |= 0x80;
        answer[7] = 1;
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 10, 0, 0, 2]);
        assert_eq!(addresses(&query, &answer), Some(vec![Ipv4Addr::new(10, 0, 0, 2)]));
        for len in 0..answer.len() {
            assert_eq!(addresses(&query, &answer[..len]), None, "{len}");
        }
        assert_eq!(query.len(), 12 + 5 + 4);
    }

    #[test]
    fn what_is_no_name_is_not_asked_for() {
        assert_eq!(query(""), None);
        assert_eq!(query("a..b"), None);
        assert_eq!(query(&"a".repeat(64)), None);
        assert_eq!(query("abc.".repeat(64).trim_end_matches('.')), None);
        assert!(query(&"a".repeat(63)).is_some());
    }
}
