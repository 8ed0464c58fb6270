//! [`OsText`]: text as the kernel knows it, any bytes but NUL, on its way through JSON.
//!
//! Nearly all of it is UTF-8 and travels as a string. The rest travels as `{"latin1":…}`, a string whose characters are its bytes
//! (ISO 8859-1), and arrives unchanged: at twice its length at most, control characters aside.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An argument, a variable, a path.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OsText(pub OsString);

impl OsText {
    /// As a path.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        Path::new(&self.0)
    }
}

impl<T: Into<OsString>> From<T> for OsText {
    fn from(text: T) -> Self {
        OsText(text.into())
    }
}

impl AsRef<OsStr> for OsText {
    fn as_ref(&self) -> &OsStr {
        &self.0
    }
}

impl fmt::Display for OsText {
    /// For people: what is not UTF-8 is replaced.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.display(), f)
    }
}

/// How it travels.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Travelling<'a> {
    Text(Cow<'a, str>),
    Bytes { latin1: String },
}

impl Serialize for OsText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let travelling = match self.0.to_str() {
            Some(text) => Travelling::Text(text.into()),
            None => Travelling::Bytes { latin1: self.0.as_bytes().iter().copied().map(char::from).collect() },
        };
        travelling.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for OsText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Travelling::deserialize(deserializer)? {
            Travelling::Text(text) => Ok(OsText(text.into_owned().into())),
            Travelling::Bytes { latin1 } => {
                let bytes: Result<Vec<u8>, _> = latin1.chars().map(u8::try_from).collect();
                Ok(OsText(OsString::from_vec(bytes.map_err(D::Error::custom)?)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_survives_whatever_its_bytes() {
        for (bytes, json) in
            [(&b"plain"[..], "\"plain\""), (b"a\xff", r#"{"latin1":"aÿ"}"#), ("ä\n".as_bytes(), "\"ä\\n\"")]
        {
            let text = OsText(OsStr::from_bytes(bytes).to_owned());
            assert_eq!(serde_json::to_string(&text).expect("JSON"), json);
            assert_eq!(serde_json::from_str::<OsText>(json).expect("text"), text);
        }
        let all = OsText(OsString::from_vec((1..=255).collect()));
        let json = serde_json::to_string(&all).expect("JSON");
        assert_eq!(serde_json::from_str::<OsText>(&json).expect("text"), all);
        for wrong in [r#"{"latin1":"Ā"}"#, "[97]", "7", "{}"] {
            assert!(serde_json::from_str::<OsText>(wrong).is_err(), "{wrong}");
        }
    }
}
