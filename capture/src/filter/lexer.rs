//! The words of a filter.

use std::ops::Range;

use super::FilterError;

/// A word or a sign, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind<'a>,
    pub(super) at: Range<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind<'a> {
    Word(&'a str),
    Open,
    Close,
    And,
    Or,
    Not,
    /// There is no more.
    End,
}

/// All of them, with an end behind the last.
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, FilterError> {
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace());
        let start = text.len() - rest.len();
        let Some(first) = rest.chars().next() else {
            tokens.push(Token { kind: Kind::End, at: start..start });
            return Ok(tokens);
        };
        let (kind, len) = match first {
            '(' => (Kind::Open, 1),
            ')' => (Kind::Close, 1),
            '!' => (Kind::Not, 1),
            '&' if rest.starts_with("&&") => (Kind::And, 2),
            '|' if rest.starts_with("||") => (Kind::Or, 2),
            c if is_of_word(c) => {
                let len = rest.find(|c| !is_of_word(c)).unwrap_or(rest.len());
                let kind = match &rest[..len] {
                    "and" => Kind::And,
                    "or" => Kind::Or,
                    "not" => Kind::Not,
                    word => Kind::Word(word),
                };
                (kind, len)
            }
            '[' | ']' | '=' | '<' | '>' | '&' | '|' | '+' | '*' | '^' | '%' => {
                let message = "arithmetic on bytes and lengths is not supported".to_owned();
                return Err(FilterError { at: start..start + 1, message });
            }
            other => {
                let message = format!("{other:?} has no place in a filter");
                return Err(FilterError { at: start..start + other.len_utf8(), message });
            }
        };
        tokens.push(Token { kind, at: start..start + len });
        rest = &rest[len..];
    }
}

/// Whether a character can be in a keyword, an address or a number. (A backslash keeps pcap-filter(7) from taking a name for a
/// keyword: `ip proto \tcp`.)
fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '/' | '-' | '_' | '\\')
}
