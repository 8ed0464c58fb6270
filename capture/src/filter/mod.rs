//! Filters: which frames a capture wants, said as tcpdump has it (pcap-filter(7)), and compiled once.
//!
//! [`Filter::parse`] takes a text and says where it does not understand it; [`Filter::matches`] judges a frame. The latter runs
//! where frames are forwarded: nothing is allocated, each test is done at most once, and headers are looked at no deeper than the
//! filter needs. It never panics, whatever the bytes are: what a frame does not have, because it is cut or malformed, does not
//! match.
//!
//! * `and` and `or` bind alike, from the left, and `not` binds closer: `a or b and c` is `(a or b) and c`.
//! * A value alone takes up the words before the last one: `tcp port 80 or 443`, `host 10.0.0.1 or 10.0.0.2`.
//!
//! Where it differs from tcpdump, on purpose:
//!
//! * **Tags are looked through.** `tcp port 80` finds a tagged frame as well (up to two tags, as the switch has it), in any place
//!   of the expression. `vlan` asks for a tag and moves nothing; `vlan 5` means any of the tags. So `vlan 5 and ip` means what it
//!   means to tcpdump, and `vlan 5 or ip` what it says. `ether proto` finds the type behind the tags, and that of a tag.
//! * **IPv6 extension headers are walked** (at most eight): `tcp`, `ip6 proto` and ports find what is behind them.
//! * **A frame that is cut does not have what is cut off**, and the rest of the expression goes on: `not port 80` finds it. To
//!   tcpdump such a frame matches nothing at all.
//! * Names of hosts, networks and services are not looked up, and arithmetic on bytes (`tcp[13] & 2 != 0`) is not there.
//!
//! Bounds: a text of 4,096 bytes, 256 tests, brackets and negations 64 deep.

mod expression;
mod headers;
mod lexer;
mod parser;
mod program;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Range;

pub use expression::{Direction, Expression, Family, Primitive, Protocol, Resolution, Transport};

use headers::Headers;
use program::Program;

/// How long a text may be, in bytes.
pub const MAX_LENGTH: usize = 4096;
/// How many tests an expression may have.
pub const MAX_TESTS: usize = 256;
/// How deep brackets and negations may be.
pub const MAX_DEPTH: usize = 64;

/// Whether a word means something in a filter, so that it can not be taken for a name.
#[must_use]
pub fn is_word(word: &str) -> bool {
    matches!(word, "and" | "or" | "not") || parser::is_value(word) || parser::is_keyword(word)
}

/// The language, for a command's help.
pub const SYNTAX: &str = "\
Filters are written as for tcpdump:
  host A            from or to address A, IPv4 or IPv6, also in ARP
  net A/L           from or to the network, such as 10.0.0.0/8 or fd00::/8
  port N            from or to port N, of TCP, UDP or SCTP
  portrange A-B     from or to one of these ports
  src …, dst …      only from, only to: src host A, dst port N, src and dst net A/L
  tcp port N        also udp, sctp: only of that; ip host A, ip6 net A/L, arp host A
  ip ip6 arp rarp tcp udp sctp icmp icmp6 igmp    what it is
  ip proto N        the protocol in the IP header; also ip6 proto N, proto N
  ether host M      from or to station M; ether src M, ether dst M
  ether proto T     the EtherType, such as 0x88cc
  broadcast, multicast      to all, to a group (of Ethernet); ip multicast, ip6 multicast
  vlan [N]          tagged, with VLAN N in one of the tags
  less N, greater N         at most, at least N bytes long
  and or not && || ! ( )    and and or bind alike, from the left
A value alone takes up the words before: port 80 or 443. Unlike tcpdump, tags are looked
through: tcp port 80 finds tagged frames as well. Names are not looked up.";

/// A filter, ready to judge frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    expression: Expression,
    program: Program,
}

/// Why a text is no filter, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FilterError {
    /// The place in the text, in bytes. Empty at the end of it.
    pub at: Range<usize>,
    /// What is wrong with it.
    pub message: String,
}

impl Filter {
    /// Reads a text.
    ///
    /// # Errors
    /// What is not understood, and where.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        parser::parse(text).map(Filter::new)
    }

    fn new(expression: Expression) -> Self {
        let program = Program::compile(&expression);
        Filter { expression, program }
    }

    /// What was understood.
    #[must_use]
    pub fn expression(&self) -> &Expression {
        &self.expression
    }

    /// Whether a frame is wanted. `len` is how long it is in truth, if `frame` is but its beginning.
    #[inline]
    #[must_use]
    pub fn matches(&self, frame: &[u8], len: usize) -> bool {
        self.program.run(&Headers::parse(frame, len, self.program.depth()))
    }
}

impl std::str::FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        Filter::parse(text)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.expression.fmt(f)
    }
}

impl FilterError {
    /// The text with the place marked below it, in two lines.
    #[must_use]
    pub fn render(&self, text: &str) -> String {
        // A control character would take the mark to another place.
        let shown: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let width = |range: Range<usize>| text.get(range).map_or(0, |part| part.chars().count());
        let marks = "^".repeat(width(self.at.clone()).max(1));
        format!("{shown}\n{}{marks}", " ".repeat(width(0..self.at.start)))
    }
}
