//! The control protocol of Pontoon's daemon: what a client and the daemon say to each other over the control socket.
//!
//! A client sends a [`Request`], the daemon sends an [`Answer`]; for a foreground `run` a second one tells of its end. Each is
//! one line of JSON, `{"fds":N,"body":…}`, and the file descriptors that it speaks of go with its first byte
//! ([`netns::linux::wire`] does that).
//!
//! Reading is apart from I/O: [`decode`] makes a request of a line, or says why it is none. What it gives has been checked: sizes and
//! counts are bounded, and every field is something that it can be ([`bounds`]).
//!
//! ```
//! use pontoon_control::{Request, decode, encode};
//!
//! let line = encode(&Request::Inspect("web".into()), 0)?;
//! assert_eq!(line, b"{\"fds\":0,\"body\":{\"inspect\":\"web\"}}\n");
//! assert_eq!(decode(&line)?.body, Request::Inspect("web".into()));
//! assert!(decode(b"{\"fds\":0,\"body\":{\"kill\":{\"container\":\"web\",\"signal\":99}}}\n").is_err());
//! # Ok::<(), serde_json::Error>(())
//! ```
//!
//! The map: `request`, `answer`, `failure` are the messages, `cni` and `frame_bytes` are parts of them, `statistics` what is told of traffic;
//! [`bounds`] is what they may say.

mod answer;
pub mod bounds;
mod cni;
mod failure;
mod frame_bytes;
mod request;
mod statistics;

use netns::linux::wire::framing::{self, Envelope};
use serde::de::Error;
use serde::{Deserialize, Deserializer};

pub use self::answer::{Answer, Bridge, Captured, Capturing, FlightRecorder, Running, Shown, Station, Status, Told};
pub use self::bounds::Refused;
pub use self::cni::{CniAdd, CniAttached, CniNetwork, CniOrder, CniRoute};
pub use self::failure::{Failure, OURS};
pub use self::frame_bytes::{FrameBytes, NotHexadecimal};
pub use self::request::{CaptureOrder, NetworkOrder, Request, RunOrder};
pub use self::statistics::{NetworkShown, NetworkStatistics, Traffic};

/// A request that has come from a peer, and has been checked as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked(pub Request);

impl<'de> Deserialize<'de> for Checked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let request = Request::deserialize(deserializer)?;
        bounds::check(&request).map_err(D::Error::custom)?;
        Ok(Checked(request))
    }
}

/// The line of a request that `fds` descriptors go with.
///
/// # Errors
/// Never for what was decoded; for a time or a text that JSON can not say, of which there is none today.
pub fn encode(request: &Request, fds: usize) -> serde_json::Result<Vec<u8>> {
    framing::seal(fds, request)
}

/// The request of a line, and how many descriptors it says that go with it.
///
/// # Errors
/// If it is no request, or not one that may be made.
pub fn decode(line: &[u8]) -> serde_json::Result<Envelope<Request>> {
    let Envelope { fds, body: Checked(body) } = framing::open(line)?;
    Ok(Envelope { fds, body })
}
