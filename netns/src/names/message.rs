//! [`Query`]: a question that can be answered, and the answers to it. The one place that knows the wire format's library.

use domain::base::header::Header;
use domain::base::iana::{Class, Opcode, OptRcode, Rcode, Rtype};
use domain::base::message_builder::{MessageBuilder, StaticCompressor};
use domain::base::name::{ParsedName, ToLabelIter};
use domain::base::opt::{Opt, OptRecord};
use domain::base::rdata::ComposeRecordData;
use domain::base::wire::ParseError;
use domain::base::{Message, Question};

use super::TTL;

/// How long a UDP answer may be where the query does not say (RFC 1035, 4.2.1).
const PLAIN: usize = 512;
/// The longest UDP answer of ours, and what we say that we take: what crosses nearly any path in one piece. A longer one is
/// cut, and asked for again by TCP.
pub const PAYLOAD: u16 = 1232;
/// The longest query that is answered or forwarded. A question is at most 271 bytes; the rest is for EDNS options.
pub const MAX_QUERY: usize = 4096;
/// How long an OPT record without options is.
const OPT: usize = 11;
const HEADER: usize = 12;
const TYPE_AND_CLASS: usize = 4;

/// How a query came, and so how its answer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// In a datagram. The answer must fit one.
    Udp,
    /// In a stream, where a message can be as long as its length of 16 bits says.
    Tcp,
}

/// Why there is nothing to be looked up.
pub(super) enum Unreadable {
    /// It is too short or a response: whoever sent it does not wait for an answer.
    NoQuery,
    /// This is what it deserves.
    Refused(Vec<u8>),
}

/// A query with one question.
pub(super) struct Query<'a> {
    message: &'a Message<[u8]>,
    question: Question<ParsedName<&'a [u8]>>,
    edns: Option<Edns>,
    transport: Transport,
}

/// What a client says about itself (RFC 6891).
#[derive(Clone, Copy)]
struct Edns {
    version: u8,
    payload: u16,
    dnssec_ok: bool,
}

impl<'a> Query<'a> {
    pub(super) fn read(bytes: &'a [u8], transport: Transport) -> Result<Self, Unreadable> {
        let message = Message::from_slice(bytes).map_err(|_| Unreadable::NoQuery)?;
        if message.header().qr() {
            return Err(Unreadable::NoQuery);
        }
        if message.header().opcode() != Opcode::QUERY {
            return Err(Unreadable::Refused(header_only(message, Rcode::NOTIMP)));
        }
        let query = Query::parse(message, transport).filter(|_| bytes.len() <= MAX_QUERY);
        let query = query.ok_or_else(|| Unreadable::Refused(header_only(message, Rcode::FORMERR)))?;
        match query.edns {
            Some(Edns { version: 1.., .. }) => Err(Unreadable::Refused(query.empty_with(OptRcode::BADVERS))),
            Some(_) | None => Ok(query),
        }
    }

    fn parse(message: &'a Message<[u8]>, transport: Transport) -> Option<Self> {
        let question = message.sole_question().ok()?;
        // A pointer in the first name could only point into the header, or to the name itself.
        let plain = question_bytes(message)?.len() == usize::from(question.qname().compose_len()) + TYPE_AND_CLASS;
        let edns = edns_of(message).ok()?;
        plain.then_some(Query { message, question, edns, transport })
    }

    pub(super) fn is_internet(&self) -> bool {
        self.question.qclass() == Class::IN
    }

    pub(super) fn is_transfer(&self) -> bool {
        matches!(self.kind(), Rtype::AXFR | Rtype::IXFR)
    }

    pub(super) fn kind(&self) -> Rtype {
        self.question.qtype()
    }

    /// The name in lower case, without the dot at its end; `None` if a label has a dot inside, or anything else that no
    /// host name has.
    pub(super) fn name(&self) -> Option<String> {
        let mut name = String::new();
        for label in self.question.qname().iter().filter(|label| !label.is_root()) {
            if !name.is_empty() {
                name.push('.');
            }
            let text = str::from_utf8(label.as_slice()).ok()?;
            let good = text.chars().all(|each| each.is_ascii_graphic() && each != '.');
            name.push_str(good.then_some(text)?);
        }
        name.make_ascii_lowercase();
        Some(name)
    }

    /// An answer with no records.
    pub(super) fn empty(&self, rcode: Rcode) -> Vec<u8> {
        self.empty_with(rcode.into())
    }

    fn empty_with(&self, rcode: OptRcode) -> Vec<u8> {
        self.build::<domain::rdata::A>(rcode, std::iter::empty())
    }

    /// An answer with this data, each in a record of the name that was asked for: as many of them as it can hold.
    pub(super) fn answer<D: ComposeRecordData>(&self, data: impl Iterator<Item = D>) -> Vec<u8> {
        self.build(OptRcode::NOERROR, data)
    }

    /// How long an answer may be.
    fn room(&self) -> usize {
        match self.transport {
            Transport::Tcp => u16::MAX.into(),
            Transport::Udp => self.edns.map_or(PLAIN, |edns| usize::from(edns.payload.min(PAYLOAD)).max(PLAIN)),
        }
    }

    fn build<D: ComposeRecordData>(&self, rcode: OptRcode, data: impl Iterator<Item = D>) -> Vec<u8> {
        let mut answer = new_message().start_error(self.message, rcode.rcode());
        answer.header_mut().set_ra(true);
        answer.header_mut().set_cd(self.message.header().cd());
        let kept_free = if self.edns.is_some() { OPT } else { 0 };
        // (The builder's limit is the length that is too long already.)
        answer.set_push_limit(self.room() - kept_free + 1);
        for data in data {
            if answer.push((self.question.qname(), TTL, data)).is_err() {
                answer.header_mut().set_tc(true);
                break;
            }
        }
        answer.clear_push_limit();
        let mut additional = answer.additional();
        if let Some(edns) = self.edns {
            let pushed = additional.opt(|opt| {
                opt.set_udp_payload_size(PAYLOAD);
                opt.set_dnssec_ok(edns.dnssec_ok);
                opt.set_rcode(rcode);
                Ok(())
            });
            debug_assert!(pushed.is_ok(), "there is always room for it");
        }
        additional.finish().into_target()
    }
}

/// The answer to a query whose servers can not be asked or do not answer: SERVFAIL. `None` if it is no query.
#[must_use]
pub fn unavailable(query: &[u8]) -> Option<Vec<u8>> {
    match Query::read(query, Transport::Udp) {
        Ok(query) => Some(query.empty(Rcode::SERVFAIL)),
        Err(Unreadable::Refused(answer)) => Some(answer),
        Err(Unreadable::NoQuery) => None,
    }
}

/// Another server's `answer` as the client of this `query` may have it: with the id that it asked under, and without any
/// record if it would be too long for it. The client is told so, and asks again by TCP.
#[must_use]
pub fn cut(answer: Vec<u8>, query: &[u8], transport: Transport) -> Option<Vec<u8>> {
    let Ok(query) = Query::read(query, transport) else { return None };
    // The other server knows what the client takes: so it is not held to what we like.
    let payload = usize::from(query.edns.map_or(0, |edns| edns.payload)).max(PLAIN);
    let fits = transport == Transport::Tcp || answer.len() <= payload;
    let mut answer = if fits { answer } else { query.cut_short(Message::from_slice(&answer).ok()?) };
    answer.get_mut(..2)?.copy_from_slice(&query.message.header().id().to_be_bytes());
    Some(answer)
}

impl Query<'_> {
    fn cut_short(&self, answer: &Message<[u8]>) -> Vec<u8> {
        let mut short = self.empty(answer.header().rcode());
        Header::for_message_slice_mut(&mut short).set_tc(true);
        short
    }
}

/// Whether `answer` is one to `query`: a response under its id to its very question, in the same mix of cases (which is then
/// a few more bits that a forger has to guess).
#[must_use]
pub fn is_answer_to(query: &[u8], answer: &[u8]) -> bool {
    let (Ok(query), Ok(answer)) = (Message::from_slice(query), Message::from_slice(answer)) else { return false };
    let (asked, answered) = (query.header(), answer.header());
    let question = question_bytes(query);
    answered.qr()
        && answered.id() == asked.id()
        && answered.opcode() == asked.opcode()
        && question.is_some()
        && question == question_bytes(answer)
}

/// Whether `answer` says that this server can not or will not answer, so that another one may.
#[must_use]
pub fn is_refusal(answer: &[u8]) -> bool {
    Message::from_slice(answer).is_ok_and(|answer| matches!(answer.header().rcode(), Rcode::SERVFAIL | Rcode::REFUSED))
}

/// The one question of a message, as it is on the wire.
fn question_bytes(message: &Message<[u8]>) -> Option<&[u8]> {
    message.sole_question().ok()?;
    let end = message.answer().ok()?.pos();
    message.as_slice().get(HEADER..end)
}

/// What the OPT record says, if there is one. Every record is looked at, and a malformed one is an error.
fn edns_of(message: &Message<[u8]>) -> Result<Option<Edns>, ParseError> {
    let mut found = None;
    for record in message.additional()? {
        let record = record?;
        let Some(record) = record.into_record::<Opt<_>>()? else { continue };
        let opt = OptRecord::from(record);
        let edns = Edns { version: opt.version(), payload: opt.udp_payload_size(), dnssec_ok: opt.dnssec_ok() };
        if found.replace(edns).is_some() {
            return Err(ParseError::form_error("more than one OPT record"));
        }
    }
    Ok(found)
}

/// An answer to a query whose question is not understood.
fn header_only(query: &Message<[u8]>, rcode: Rcode) -> Vec<u8> {
    let mut answer = new_message();
    let header = answer.header_mut();
    header.set_id(query.header().id());
    header.set_qr(true);
    header.set_opcode(query.header().opcode());
    header.set_rd(query.header().rd());
    header.set_ra(true);
    header.set_rcode(rcode);
    answer.finish().into_target()
}

fn new_message() -> MessageBuilder<StaticCompressor<Vec<u8>>> {
    match MessageBuilder::from_target(StaticCompressor::new(Vec::new())) {
        Ok(builder) => builder,
        Err(never) => match never {},
    }
}
