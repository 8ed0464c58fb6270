//! [`NetworkMode`]: the four ways in which a container sees the network, spelled as Docker spells them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::name::{Id, Name};

/// What `--network` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum NetworkMode {
    /// An interface on a bridge network, by the network's name; the default one is called `bridge`.
    Bridge(Name),
    /// The host's own namespace: nothing is separated.
    Host,
    /// The namespace of another, running container, by name or by a prefix of its id.
    Container(String),
    /// A namespace of its own with `lo` and nothing else.
    None,
}

/// Why a text is not a network mode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseModeError {
    /// `container:` and nothing behind it.
    #[error("'container:' names no container")]
    NoTarget,
    /// Neither a mode nor the name of a network.
    #[error("'{0}' is neither bridge, host, none, container:NAME nor a network's name")]
    Unknown(String),
}

impl NetworkMode {
    /// The default: the network called `bridge`.
    #[must_use]
    pub fn bridge() -> Self {
        NetworkMode::Bridge(Name::from_static("bridge"))
    }
}

impl FromStr for NetworkMode {
    type Err = ParseModeError;

    fn from_str(text: &str) -> Result<Self, ParseModeError> {
        match text {
            "host" => Ok(NetworkMode::Host),
            "none" => Ok(NetworkMode::None),
            "default" => Ok(NetworkMode::bridge()),
            "container" | "container:" => Err(ParseModeError::NoTarget),
            _ => match text.strip_prefix("container:") {
                // What `run -d` prints is an id in full, which is longer than a name may be.
                Some(target) if target.parse::<Name>().is_ok() || Id::try_from(target.to_owned()).is_ok() => {
                    Ok(NetworkMode::Container(target.to_owned()))
                }
                Some(_) => Err(ParseModeError::Unknown(text.to_owned())),
                None => text.parse().map(NetworkMode::Bridge).map_err(|_| ParseModeError::Unknown(text.to_owned())),
            },
        }
    }
}

impl fmt::Display for NetworkMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NetworkMode::Bridge(network) => network.fmt(f),
            NetworkMode::Host => f.write_str("host"),
            NetworkMode::Container(target) => write!(f, "container:{target}"),
            NetworkMode::None => f.write_str("none"),
        }
    }
}

impl TryFrom<String> for NetworkMode {
    type Error = ParseModeError;

    fn try_from(text: String) -> Result<Self, ParseModeError> {
        text.parse()
    }
}

impl From<NetworkMode> for String {
    fn from(mode: NetworkMode) -> String {
        mode.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_prints() {
        for text in ["bridge", "host", "none", "container:web", "container:4f1c", "my-net"] {
            assert_eq!(text.parse::<NetworkMode>().map(|mode| mode.to_string()), Ok(text.to_owned()));
            let json = format!("\"{text}\"");
            let mode: NetworkMode = serde_json::from_str(&json).expect("a mode");
            assert_eq!(serde_json::to_string(&mode).expect("JSON"), json);
        }
    }

    #[test]
    fn default_is_bridge_as_in_docker() {
        let id = "container:".to_owned() + &"4f".repeat(32);
        assert_eq!(id.parse::<NetworkMode>().map(|mode| mode.to_string()), Ok(id));
        assert_eq!("default".parse(), Ok(NetworkMode::bridge()));
    }

    #[test]
    fn refuses_what_names_nothing() {
        assert_eq!("container:".parse::<NetworkMode>(), Err(ParseModeError::NoTarget));
        for text in ["", "-x", "a b", "container:a/b", "a:b"] {
            assert_eq!(text.parse::<NetworkMode>(), Err(ParseModeError::Unknown(text.to_owned())));
        }
    }
}
