//! From a text to an [`Expression`].

use std::ops::Range;

use super::expression::{Direction, Expression, Family, Primitive, Protocol};
use super::lexer::{Kind, Token, tokens};
use super::{FilterError, MAX_DEPTH, MAX_LENGTH, MAX_TESTS};

mod value;

use value::{Qualifiers, Subject, What};

pub(super) fn parse(text: &str) -> Result<Expression, FilterError> {
    if text.len() > MAX_LENGTH {
        let message = format!("a filter has at most {MAX_LENGTH} bytes");
        return Err(FilterError { at: text.floor_char_boundary(MAX_LENGTH)..text.len(), message });
    }
    let mut parser = Parser { tokens: tokens(text)?, at: 0, recent: None, depth: 0, tests: 0 };
    let expression = parser.expression(Content::Anything)?;
    let rest = parser.peek();
    match rest.kind {
        Kind::End => Ok(expression),
        Kind::Close => Err(error(&rest.at, "there is no bracket that this one closes")),
        Kind::Word(word) if !is_value(word) && !is_keyword(word) => Err(error(&rest.at, value::unknown(word))),
        _ => Err(error(&rest.at, "'and' or 'or' is missing before this")),
    }
}

struct Parser<'a> {
    /// The last one is the end, which is never passed.
    tokens: Vec<Token<'a>>,
    at: usize,
    /// What a value alone takes up.
    recent: Option<Qualifiers>,
    depth: usize,
    tests: usize,
}

/// What brackets may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Anything,
    /// Values for the words before the bracket: `port (80 or 443)`.
    Values,
}

impl<'a> Parser<'a> {
    fn expression(&mut self, content: Content) -> Result<Expression, FilterError> {
        let mut left = self.term(content)?;
        loop {
            let combine = match self.peek().kind {
                Kind::And => Expression::And,
                Kind::Or => Expression::Or,
                Kind::Word(_) | Kind::Open | Kind::Close | Kind::Not | Kind::End => return Ok(left),
            };
            self.at += 1;
            left = combine(Box::new(left), Box::new(self.term(content)?));
        }
    }

    fn term(&mut self, content: Content) -> Result<Expression, FilterError> {
        let token = self.peek();
        match token.kind {
            Kind::Not => {
                self.at += 1;
                let inner = self.deeper(&token.at, |parser| parser.term(content))?;
                Ok(Expression::Not(Box::new(inner)))
            }
            Kind::Open => self.brackets(content),
            Kind::Word(word) if is_value(word) => {
                let qualifiers = self.recent.clone().unwrap_or_default();
                self.value(&qualifiers)
            }
            Kind::Word(_) if content == Content::Values => {
                Err(error(&token.at, "a value for the words before the bracket is expected here"))
            }
            Kind::Word(word) => self.primitive(word, token.at),
            Kind::Close | Kind::And | Kind::Or | Kind::End => {
                Err(error(&token.at, "a test such as 'host 10.0.0.1' or 'tcp port 80' is missing here"))
            }
        }
    }

    fn brackets(&mut self, content: Content) -> Result<Expression, FilterError> {
        let open = self.next().at;
        let inner = self.deeper(&open, |parser| parser.expression(content))?;
        match self.peek().kind {
            Kind::Close => {
                self.at += 1;
                Ok(inner)
            }
            Kind::End => Err(error(&open, "this bracket is not closed")),
            Kind::Word(_) | Kind::Open | Kind::And | Kind::Or | Kind::Not => {
                Err(error(&self.peek().at, "'and' or 'or' is missing before this"))
            }
        }
    }

    fn primitive(&mut self, word: &str, at: Range<usize>) -> Result<Expression, FilterError> {
        match word {
            "broadcast" => self.alone(Primitive::Broadcast),
            "multicast" => self.alone(Primitive::Multicast),
            "less" | "greater" => {
                self.at += 1;
                let token = self.next();
                let len = value::number(&token, "a length in bytes", 0, u64::from(u32::MAX))? as u32;
                self.recent = None;
                self.is(if word == "less" { Primitive::Less(len) } else { Primitive::Greater(len) }, &at)
            }
            "vlan" => {
                self.at += 1;
                if self.is_value_next() {
                    return self.values(Qualifiers { what: Some(What::Vlan), at, ..Qualifiers::default() });
                }
                self.recent = None;
                self.is(Primitive::Vlan(None), &at)
            }
            "src" | "dst" | "host" | "net" | "port" | "portrange" | "proto" => {
                self.qualified(Qualifiers { at, ..Qualifiers::default() })
            }
            _ => match Subject::from_word(word) {
                Some(subject) => self.about(subject, word, at),
                None => Err(error(&at, value::unknown(word))),
            },
        }
    }

    /// What begins with a protocol, which may be all there is.
    fn about(&mut self, subject: Subject, word: &str, at: Range<usize>) -> Result<Expression, FilterError> {
        self.at += 1;
        let next = self.peek();
        let Kind::Word(following) = next.kind else { return self.alone_or(subject, &at) };
        match (following, subject) {
            ("broadcast", Subject::Ether) => self.alone(Primitive::Broadcast),
            ("multicast", Subject::Ether) => self.alone(Primitive::Multicast),
            ("multicast", Subject::Protocol(Protocol::Ip)) => self.alone(Primitive::GroupOfHosts(Family::Ip)),
            ("multicast", Subject::Protocol(Protocol::Ip6)) => self.alone(Primitive::GroupOfHosts(Family::Ip6)),
            ("broadcast" | "multicast", _) => Err(error(&next.at, format!("there is no '{word} {following}'"))),
            ("src" | "dst" | "host" | "net" | "port" | "portrange" | "proto", _) => {
                self.qualified(Qualifiers { subject: Some(subject), at, ..Qualifiers::default() })
            }
            (_, Subject::Ether) | (_, Subject::Protocol(_)) => self.alone_or(subject, &at),
        }
    }

    fn alone_or(&mut self, subject: Subject, at: &Range<usize>) -> Result<Expression, FilterError> {
        self.recent = None;
        match subject {
            Subject::Protocol(protocol) => self.is(Primitive::Protocol(protocol), at),
            Subject::Ether => {
                let message = "'host', 'src', 'dst', 'proto', 'broadcast' or 'multicast' is expected behind 'ether'";
                Err(error(&self.peek().at, message))
            }
        }
    }

    fn alone(&mut self, primitive: Primitive) -> Result<Expression, FilterError> {
        let at = self.next().at;
        self.recent = None;
        self.is(primitive, &at)
    }

    /// Direction, kind, and the values.
    fn qualified(&mut self, mut qualifiers: Qualifiers) -> Result<Expression, FilterError> {
        if let Kind::Word(word @ ("src" | "dst")) = self.peek().kind {
            self.at += 1;
            let (own, other) = match word {
                "src" => (Direction::Source, "dst"),
                _ => (Direction::Destination, "src"),
            };
            let both = match (self.peek().kind, self.peek_behind().kind) {
                (Kind::Or, Kind::Word(next)) if next == other => Some(Direction::Either),
                (Kind::And, Kind::Word(next)) if next == other => Some(Direction::Both),
                _ => None,
            };
            qualifiers.direction = both.unwrap_or(own);
            self.at += if both.is_some() { 2 } else { 0 };
        }
        let token = self.peek();
        qualifiers.what = match token.kind {
            Kind::Word("host") => Some(What::Host),
            Kind::Word("net") => Some(What::Net),
            Kind::Word("port") => Some(What::Port),
            Kind::Word("portrange") => Some(What::PortRange),
            Kind::Word("proto") => Some(What::Proto),
            _ => None,
        };
        if qualifiers.what.is_some() {
            self.at += 1;
        }
        qualifiers.at.end = self.tokens[self.at - 1].at.end;
        qualifiers.check()?;
        self.values(qualifiers)
    }

    /// One value, or some in brackets.
    fn values(&mut self, qualifiers: Qualifiers) -> Result<Expression, FilterError> {
        self.recent = Some(qualifiers.clone());
        match self.peek().kind {
            Kind::Open => self.brackets(Content::Values),
            _ => self.value(&qualifiers),
        }
    }

    fn value(&mut self, qualifiers: &Qualifiers) -> Result<Expression, FilterError> {
        let token = self.next();
        let is_mask = self.peek().kind == Kind::Word("mask") && qualifiers.what == Some(What::Net);
        let mask = is_mask.then(|| {
            self.at += 1;
            self.next()
        });
        let primitive = qualifiers.test(&token, mask.as_ref())?;
        self.recent = Some(qualifiers.clone());
        self.is(primitive, &token.at)
    }

    fn is(&mut self, primitive: Primitive, at: &Range<usize>) -> Result<Expression, FilterError> {
        self.tests += 1;
        if self.tests > MAX_TESTS {
            return Err(error(at, format!("a filter has at most {MAX_TESTS} tests")));
        }
        Ok(Expression::Is(primitive))
    }

    fn deeper<T>(
        &mut self,
        at: &Range<usize>,
        inner: impl FnOnce(&mut Self) -> Result<T, FilterError>,
    ) -> Result<T, FilterError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(error(at, format!("brackets and negations are at most {MAX_DEPTH} deep")));
        }
        let made = inner(self);
        self.depth -= 1;
        made
    }

    fn peek(&self) -> Token<'a> {
        self.tokens[self.at].clone()
    }

    fn peek_behind(&self) -> Token<'a> {
        self.tokens[(self.at + 1).min(self.tokens.len() - 1)].clone()
    }

    fn is_value_next(&self) -> bool {
        matches!(self.peek().kind, Kind::Word(word) if is_value(word)) || {
            let opens = self.peek().kind == Kind::Open;
            opens && matches!(self.peek_behind().kind, Kind::Word(word) if is_value(word))
        }
    }

    fn next(&mut self) -> Token<'a> {
        let token = self.peek();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        token
    }
}

/// Whether a word is an address or a number, or a name that is said to be no keyword.
pub(super) fn is_value(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit() || c == '\\') || word.contains(':')
}

/// Whether a test can begin with it.
pub(super) fn is_keyword(word: &str) -> bool {
    const OTHERS: [&str; 12] = [
        "broadcast",
        "multicast",
        "less",
        "greater",
        "vlan",
        "src",
        "dst",
        "host",
        "net",
        "port",
        "portrange",
        "proto",
    ];
    OTHERS.contains(&word) || Subject::from_word(word).is_some()
}

fn error(at: &Range<usize>, message: impl Into<String>) -> FilterError {
    FilterError { at: at.clone(), message: message.into() }
}
