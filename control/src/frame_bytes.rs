//! [`FrameBytes`]: a frame on its way through JSON, in hexadecimal.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

/// The bytes of a frame.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FrameBytes(pub Vec<u8>);

/// Why a text is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame is written in hexadecimal, two digits a byte")]
pub struct NotHexadecimal;

impl From<FrameBytes> for String {
    fn from(FrameBytes(bytes): FrameBytes) -> String {
        let mut text = String::with_capacity(2 * bytes.len());
        for byte in bytes {
            let _ = write!(text, "{byte:02x}");
        }
        text
    }
}

impl TryFrom<String> for FrameBytes {
    type Error = NotHexadecimal;

    fn try_from(text: String) -> Result<Self, NotHexadecimal> {
        let digit = |byte: u8| char::from(byte).to_digit(16).ok_or(NotHexadecimal);
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return Err(NotHexadecimal) };
        let bytes = pairs.iter().map(|[high, low]| Ok((digit(*high)? << 4 | digit(*low)?) as u8));
        bytes.collect::<Result<_, _>>().map(FrameBytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_read_back_as_it_was_written() {
        let frame = FrameBytes((0..=255).collect());
        let text = String::from(frame.clone());
        assert!(text.starts_with("000102") && text.ends_with("fdfeff"));
        assert_eq!(FrameBytes::try_from(text), Ok(frame));
        for wrong in ["0", "0g", "+1", "é"] {
            assert_eq!(FrameBytes::try_from(wrong.to_owned()), Err(NotHexadecimal), "{wrong}");
        }
    }
}
