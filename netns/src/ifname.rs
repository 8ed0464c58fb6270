//! [`IfName`]: what the kernel lets an interface be called.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest name of an interface, in bytes: the kernel's `IFNAMSIZ` without its NUL.
pub const MAX_IFNAME: usize = 15;

/// The name of an interface: as the kernel checks it (`dev_valid_name` in net/core/dev.c).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IfName(String);

/// Why a text is not the name of an interface.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{}' is not the name of an interface: 1 to {MAX_IFNAME} bytes, no blank, '/' or ':', and neither '.' nor '..'",
    .0.escape_debug()
)]
pub struct ParseIfNameError(String);

impl IfName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether the kernel takes a text for the name of an interface.
pub(crate) fn is_ifname(text: &str) -> bool {
    let is_blank = |byte: u8| byte.is_ascii_whitespace() || byte == b'\x0b' || byte == 0xa0;
    let is_illegal = |byte: u8| matches!(byte, 0 | b'/' | b':') || is_blank(byte);
    (1..=MAX_IFNAME).contains(&text.len()) && !matches!(text, "." | "..") && !text.bytes().any(is_illegal)
}

impl FromStr for IfName {
    type Err = ParseIfNameError;

    fn from_str(text: &str) -> Result<Self, ParseIfNameError> {
        if is_ifname(text) { Ok(IfName(text.to_owned())) } else { Err(ParseIfNameError(text.to_owned())) }
    }
}

impl TryFrom<String> for IfName {
    type Error = ParseIfNameError;

    fn try_from(text: String) -> Result<Self, ParseIfNameError> {
        if is_ifname(&text) { Ok(IfName(text)) } else { Err(ParseIfNameError(text)) }
    }
}

impl From<IfName> for String {
    fn from(name: IfName) -> String {
        name.0
    }
}

impl fmt::Display for IfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_the_kernel_takes_for_one() {
        for good in ["eth0", "veth0.100", "a", "wg-home", "x".repeat(15).as_str(), "ä", "\"*", "-x"] {
            assert!(good.parse::<IfName>().is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a b", "a/b", "a:b", "a\tb", "a\u{b}", "à", "a\0", "x".repeat(16).as_str()] {
            assert_eq!(bad.parse::<IfName>(), Err(ParseIfNameError(bad.to_owned())), "{bad}");
        }
        let said = "a\n".parse::<IfName>().expect_err("none").to_string();
        assert!(said.starts_with("'a\\n' is not the name of an interface: 1 to 15 bytes"), "{said}");
    }
}
