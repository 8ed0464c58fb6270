//! [`NameTable`]: what the names of a network's containers mean, and the answers to DNS questions about them. No I/O, no
//! clock, no chance of its own: the same bytes in, the same bytes out, on Linux and in the simulator.
//!
//! The rules are those of Docker's embedded server:
//!
//! * A name is known as `NAME` and as `NAME.NETWORK`, in any mix of cases, and is answered in the one it was asked in.
//!   Answers live for [`TTL`] seconds. A name that several containers share has all their addresses, whose order changes
//!   from turn to turn.
//! * What is known is never asked elsewhere: another type than A gets an answer without records, so that no query for an
//!   AAAA leaks. So is an address of the subnet: `ADDRESS.in-addr.arpa` is `NAME.NETWORK`, or does not exist.
//! * `localhost` and what ends in `.localhost` is the asker's own 127.0.0.1, and is never asked elsewhere (RFC 6761, 6.3).
//! * Anything else is somebody else's to answer ([`Response::Forward`]), single labels too. From an internal network there
//!   is no way out: SERVFAIL, as Docker has it, which a client takes for "ask the next server", not for "no such name".
//! * Classes other than IN are refused: what is asked in CH is about this very server, and another one would answer for
//!   itself. So are zone transfers, whose answer is more than one message.
//!
//! It has no authority for anything and gives no SOA, so that nobody keeps in mind that a name did not exist.
//!
//! * `message`: reading a query, building an answer; the wire format itself is the crate `domain`'s.

mod message;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use domain::base::iana::{Rcode, Rtype};
use domain::base::name::Name;
use domain::rdata::{A, Ptr};
use ipnet::Ipv4Net;

pub use self::message::{MAX_QUERY, PAYLOAD, Transport, cut, is_answer_to, is_refusal, unavailable};
use self::message::{Query, Unreadable};

/// How long an answer may be kept, in seconds.
pub const TTL: u32 = 600;

/// What everybody calls himself by (RFC 6761, 6.3).
const LOCALHOST: &str = "localhost";

/// The names of one network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameTable {
    /// What the network is called.
    pub network: String,
    /// Whose addresses its containers have.
    pub subnet: Ipv4Net,
    /// Whether nothing may be asked outside.
    pub internal: bool,
    /// The addresses of each name: of containers, aliases, short ids and host names. Names are in lower case, without a dot
    /// at the end: [`NameTable::add`] sees to that.
    pub names: BTreeMap<String, Vec<Ipv4Addr>>,
    /// The name of each address, for the way back.
    pub hosts: BTreeMap<Ipv4Addr, String>,
    /// The name servers of each container that has some of its own (`--dns`); the others have the host's.
    pub upstreams: BTreeMap<Ipv4Addr, Vec<Ipv4Addr>>,
    /// Under which keys the tables of the other networks are served that a container is connected to, in its order. Their
    /// names are its names too.
    pub beside: BTreeMap<Ipv4Addr, Vec<String>>,
}

/// What is to become of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// This is the answer.
    Answer(Vec<u8>),
    /// Another name server has to be asked, with the same bytes.
    Forward,
    /// It is no query: there is nobody to answer.
    Ignore,
}

impl NameTable {
    /// A network without a name in it.
    #[must_use]
    pub fn new(network: impl Into<String>, subnet: Ipv4Net, internal: bool) -> Self {
        NameTable {
            network: network.into(),
            subnet,
            internal,
            names: BTreeMap::new(),
            hosts: BTreeMap::new(),
            upstreams: BTreeMap::new(),
            beside: BTreeMap::new(),
        }
    }

    /// Lets `name` mean `address` too, besides what it means already.
    pub fn add(&mut self, name: &str, address: Ipv4Addr) {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let addresses = self.names.entry(name).or_default();
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }

    /// Whether a question of `client` is answered at all. Somebody outside the network may have a route to its gateway,
    /// and neither its names nor the host's name servers are his.
    #[must_use]
    pub fn serves(&self, client: Ipv4Addr) -> bool {
        self.subnet.contains(&client)
    }

    /// What is to become of `query`. `turn` is a number that differs from query to query: which address is named first
    /// depends on it.
    #[must_use]
    pub fn respond(&self, query: &[u8], transport: Transport, turn: u64) -> Response {
        self.respond_beside(&[], query, transport, turn)
    }

    /// As [`NameTable::respond`], for a client that is in other networks too: their names come after ours, and they may
    /// have the way out that we have not.
    #[must_use]
    pub fn respond_beside(&self, others: &[&NameTable], query: &[u8], transport: Transport, turn: u64) -> Response {
        let query = match Query::read(query, transport) {
            Ok(query) => query,
            Err(Unreadable::Refused(answer)) => return Response::Answer(answer),
            Err(Unreadable::NoQuery) => return Response::Ignore,
        };
        if !query.is_internet() || query.is_transfer() {
            return Response::Answer(query.empty(Rcode::REFUSED));
        }
        let mut tables = std::iter::once(self).chain(others.iter().copied());
        let meaning = query.name().and_then(|name| tables.clone().find_map(|table| table.look_up(&name)));
        Response::Answer(match (meaning, query.kind()) {
            (Some(Meaning::Addresses(addresses)), Rtype::A) => query.answer(rotated(addresses, turn).map(A::new)),
            (Some(Meaning::Host(host)), Rtype::PTR) => query.answer(std::iter::once(Ptr::new(host))),
            (Some(Meaning::Addresses(_) | Meaning::Host(_)), _) => query.empty(Rcode::NOERROR),
            (Some(Meaning::Nobody), _) => query.empty(Rcode::NXDOMAIN),
            (None, _) if tables.all(|table| table.internal) => query.empty(Rcode::SERVFAIL),
            (None, _) => return Response::Forward,
        })
    }

    /// What a name, in lower case, means here.
    fn look_up(&self, name: &str) -> Option<Meaning<'_>> {
        if name == LOCALHOST || name.strip_suffix(LOCALHOST).is_some_and(|rest| rest.ends_with('.')) {
            return Some(Meaning::Addresses(&[Ipv4Addr::LOCALHOST]));
        }
        if let Some(address) = reverse_of(name) {
            return match self.hosts.get(&address) {
                Some(host) => Some(self.full_name(host).map_or(Meaning::Nobody, Meaning::Host)),
                None => self.subnet.contains(&address).then_some(Meaning::Nobody),
            };
        }
        let short = || {
            let (rest, network) = name.split_at_checked(name.len().checked_sub(self.network.len())?)?;
            rest.strip_suffix('.').filter(|_| network.eq_ignore_ascii_case(&self.network))
        };
        let addresses = self.names.get(name).or_else(|| self.names.get(short()?))?;
        Some(Meaning::Addresses(addresses))
    }

    /// `None` for a host that the DNS can not name: a container may well be called `a..b`.
    fn full_name(&self, host: &str) -> Option<Name<Vec<u8>>> {
        Name::vec_from_str(&format!("{host}.{}.", self.network)).ok()
    }
}

/// What a name is known to mean.
enum Meaning<'a> {
    /// It has these addresses.
    Addresses(&'a [Ipv4Addr]),
    /// It is the address of a host of this name.
    Host(Name<Vec<u8>>),
    /// It is an address of ours that nobody has.
    Nobody,
}

/// All addresses, beginning with one that depends on the turn.
fn rotated(addresses: &[Ipv4Addr], turn: u64) -> impl Iterator<Item = Ipv4Addr> {
    let count = addresses.len().max(1) as u64;
    // Less than the count, and hence a usize.
    let first = (turn % count) as usize;
    addresses[first..].iter().chain(&addresses[..first]).copied()
}

/// The address that a name in `in-addr.arpa` stands for (RFC 1035, 3.5).
fn reverse_of(name: &str) -> Option<Ipv4Addr> {
    let backwards: Ipv4Addr = name.strip_suffix(".in-addr.arpa")?.parse().ok()?;
    let [d, c, b, a] = backwards.octets();
    Some(Ipv4Addr::new(a, b, c, d))
}

#[cfg(test)]
mod tests;
