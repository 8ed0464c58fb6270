//! [`Version`]: the versions of the specification that are spoken.

use serde_json::{Value, json};

/// A version of the specification, older ones first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// The first with a list of interfaces.
    V0_3_0,
    /// The same, in lists of plugins.
    V0_3_1,
    /// The first with CHECK.
    V0_4_0,
    /// An address tells no more of which family it is.
    V1_0_0,
    /// The first with GC and STATUS.
    V1_1_0,
}

impl Version {
    /// All of them, in ascending order.
    pub const ALL: [Version; 5] = [Self::V0_3_0, Self::V0_3_1, Self::V0_4_0, Self::V1_0_0, Self::V1_1_0];
    /// The one that is spoken to who has not said which.
    pub const NEWEST: Version = Self::V1_1_0;

    /// As `cniVersion` has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Version::V0_3_0 => "0.3.0",
            Version::V0_3_1 => "0.3.1",
            Version::V0_4_0 => "0.4.0",
            Version::V1_0_0 => "1.0.0",
            Version::V1_1_0 => "1.1.0",
        }
    }

    /// The version of a `cniVersion`, if it is spoken here.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.as_str() == text)
    }
}

/// The answer to VERSION; `asked` is the `cniVersion` of who asks.
#[must_use]
pub fn answer(asked: &str) -> Value {
    json!({ "cniVersion": asked, "supportedVersions": Version::ALL.map(Version::as_str) })
}
