//! Names and ids: what a user may call a container or a network, and what they are called when the user does not say.

use std::fmt;
use std::str::FromStr;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use serde::{Deserialize, Serialize};

/// The longest name, so that a port's name (`NAME.eth0`) fits on a line and the name itself into a host name.
pub const MAX_NAME: usize = 63;

/// The name of a container or a network: a letter or digit, then letters, digits, `_`, `.`, `-`, as in Docker.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a name: a letter or digit, then at most 62 letters, digits, '_', '.' or '-'")]
pub struct ParseNameError(String);

impl Name {
    /// A name that the program itself gives.
    pub(crate) fn from_static(name: &'static str) -> Self {
        debug_assert!(is_name(name), "'{name}' is no name");
        Name(name.to_owned())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_name(text: &str) -> bool {
    text.len() <= MAX_NAME
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.chars().all(|each| each.is_ascii_alphanumeric() || matches!(each, '_' | '.' | '-'))
}

impl FromStr for Name {
    type Err = ParseNameError;

    fn from_str(text: &str) -> Result<Self, ParseNameError> {
        if is_name(text) { Ok(Name(text.to_owned())) } else { Err(ParseNameError(text.to_owned())) }
    }
}

impl TryFrom<String> for Name {
    type Error = ParseNameError;

    fn try_from(text: String) -> Result<Self, ParseNameError> {
        if is_name(&text) { Ok(Name(text)) } else { Err(ParseNameError(text)) }
    }
}

impl From<Name> for String {
    fn from(name: Name) -> String {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The id of a container (64 hexadecimal digits) or, cut short, of a network (12).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Id(String);

/// Why a text is not an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not an id: 64 hexadecimal digits are expected")]
pub struct ParseIdError(String);

impl Id {
    /// How many digits are shown to people.
    pub const SHORT: usize = 12;

    /// A new id, from the given source of chance.
    #[must_use]
    pub fn random(chance: &mut ChaCha8Rng) -> Self {
        let mut bytes = [0; 32];
        chance.fill_bytes(&mut bytes);
        Id(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// All digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first twelve digits, as tables show them.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..Id::SHORT]
    }
}

impl TryFrom<String> for Id {
    type Error = ParseIdError;

    fn try_from(text: String) -> Result<Self, ParseIdError> {
        let is_id = text.len() == 64 && text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        if is_id { Ok(Id(text)) } else { Err(ParseIdError(text)) }
    }
}

impl From<Id> for String {
    fn from(id: Id) -> String {
        id.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

const MANNERS: [&str; 24] = [
    "amber", "brisk", "calm", "clear", "deep", "early", "fair", "gentle", "high", "idle", "keen", "lively", "mild",
    "noble", "open", "placid", "quiet", "rapid", "steady", "still", "tidal", "upper", "vast", "wide",
];
const WATERS: [&str; 24] = [
    "anchor", "bay", "brook", "canal", "cove", "creek", "delta", "ferry", "fjord", "gulf", "harbour", "island",
    "jetty", "lagoon", "lake", "lock", "marina", "pier", "quay", "reef", "river", "shoal", "strait", "wharf",
];

/// A readable name, such as `calm_ferry`, that `taken` does not know.
pub fn make_up(chance: &mut ChaCha8Rng, taken: impl Fn(&str) -> bool) -> Name {
    let pick = |chance: &mut ChaCha8Rng, words: &[&'static str]| words[chance.next_u32() as usize % words.len()];
    let base = format!("{}_{}", pick(chance, &MANNERS), pick(chance, &WATERS));
    if !taken(&base) {
        return Name(base);
    }
    let mut number = 2_u64;
    loop {
        let name = format!("{base}{number}");
        if !taken(&name) {
            return Name(name);
        }
        number += 1;
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn a_name_is_what_docker_takes_for_one() {
        for good in ["web", "a", "0", "web-1.x_y", &"x".repeat(63)] {
            assert!(good.parse::<Name>().is_ok(), "{good}");
        }
        for bad in ["", "-a", ".a", "_a", "a b", "a/b", "ä", &"x".repeat(64)] {
            assert_eq!(bad.parse::<Name>(), Err(ParseNameError(bad.to_owned())), "{bad}");
        }
    }

    #[test]
    fn an_id_has_64_digits_and_shows_12() {
        let id = Id::random(&mut ChaCha8Rng::seed_from_u64(7));
        assert_eq!(id.as_str().len(), 64);
        assert_eq!(id.short().len(), 12);
        assert_eq!(Id::try_from(id.as_str().to_owned()), Ok(id.clone()));
        assert!(Id::try_from(id.short().to_owned()).is_err());
    }

    #[test]
    fn a_made_up_name_is_free() {
        let mut chance = ChaCha8Rng::seed_from_u64(1);
        let first = make_up(&mut ChaCha8Rng::seed_from_u64(1), |_| false);
        let second = make_up(&mut chance, |name| name == first.as_str());
        assert_eq!(second.as_str(), format!("{first}2"));
        let fourth = |taken: &str| taken == first.as_str() || taken.ends_with('2') || taken.ends_with('3');
        assert_eq!(make_up(&mut ChaCha8Rng::seed_from_u64(1), fourth).as_str(), format!("{first}4"));
    }
}
