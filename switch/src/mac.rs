//! [`MacAddr`]: an EUI-48, printed with colons.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The address of a station (IEEE 802-2014, 8.2).
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// All stations.
    pub const BROADCAST: MacAddr = MacAddr([0xff; 6]);
    /// No station: never a valid source.
    pub const ZERO: MacAddr = MacAddr([0; 6]);

    /// Whether it names a group of stations: the I/G bit, broadcast included.
    #[must_use]
    pub const fn is_multicast(self) -> bool {
        self.0[0] & 1 != 0
    }

    /// Whether it is the broadcast address.
    #[must_use]
    pub const fn is_broadcast(self) -> bool {
        matches!(self.0, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff])
    }

    /// Whether a bridge must not forward frames to it: 01:80:C2:00:00:00 to 0F (IEEE 802.1Q-2022, table 8-1).
    #[must_use]
    pub const fn is_reserved(self) -> bool {
        matches!(self.0, [0x01, 0x80, 0xc2, 0, 0, 0..=0x0f])
    }

    /// The address as a number of 48 bits, first byte highest.
    #[must_use]
    pub const fn to_u64(self) -> u64 {
        let [a, b, c, d, e, f] = self.0;
        u64::from_be_bytes([0, 0, a, b, c, d, e, f])
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is not a MAC address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a MAC address: six bytes in hexadecimal with colons are expected, such as 02:42:ac:12:00:02")]
pub struct ParseMacError(String);

impl FromStr for MacAddr {
    type Err = ParseMacError;

    /// Six bytes in hexadecimal, two digits each, with colons or dashes between them.
    fn from_str(text: &str) -> Result<Self, ParseMacError> {
        let wrong = || ParseMacError(text.to_owned());
        let separator = if text.contains('-') { '-' } else { ':' };
        let mut bytes = [0; 6];
        let mut parts = text.split(separator);
        for byte in &mut bytes {
            let part = parts.next().ok_or_else(wrong)?;
            let two_digits = part.len() == 2 && part.bytes().all(|digit| digit.is_ascii_hexdigit());
            if !two_digits {
                return Err(wrong());
            }
            *byte = u8::from_str_radix(part, 16).map_err(|_| wrong())?;
        }
        if parts.next().is_some() {
            return Err(wrong());
        }
        Ok(MacAddr(bytes))
    }
}

impl TryFrom<String> for MacAddr {
    type Error = ParseMacError;

    fn try_from(text: String) -> Result<Self, ParseMacError> {
        text.parse()
    }
}

impl From<MacAddr> for String {
    fn from(mac: MacAddr) -> String {
        mac.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_with_colons_or_dashes_and_printed_with_colons() {
        let mac = MacAddr([0x02, 0x42, 0xac, 0x12, 0x00, 0xfe]);
        assert_eq!("02:42:ac:12:00:fe".parse(), Ok(mac));
        assert_eq!("02-42-AC-12-00-FE".parse(), Ok(mac));
        assert_eq!((mac.to_string(), format!("{mac:?}")), ("02:42:ac:12:00:fe".into(), "02:42:ac:12:00:fe".into()));
        assert_eq!(serde_json::to_string(&mac).unwrap(), r#""02:42:ac:12:00:fe""#);
        assert_eq!(serde_json::from_str::<MacAddr>(r#""02:42:ac:12:00:fe""#).unwrap(), mac);
        assert_eq!(mac.to_u64(), 0x0242_ac12_00fe);
    }

    #[test]
    fn is_six_bytes_of_two_digits_each() {
        for wrong in [
            "",
            "02:42:ac:12:00",
            "02:42:ac:12:00:02:03",
            "02:42:ac:12:00:2",
            "02:42:ac:12:00:002",
            "02:42:ac:12:00:0g",
            "02:42:ac:12:00:+2",
            "02:42-ac:12:00:02",
            "0242ac120002",
        ] {
            assert_eq!(wrong.parse::<MacAddr>(), Err(ParseMacError(wrong.into())));
        }
    }

    #[test]
    fn a_group_has_the_lowest_bit_of_its_first_byte() {
        assert!(MacAddr([1, 0, 0x5e, 0, 0, 1]).is_multicast() && MacAddr::BROADCAST.is_multicast());
        assert!(!MacAddr([2, 1, 1, 1, 1, 1]).is_multicast() && !MacAddr::ZERO.is_multicast());
        assert!(MacAddr::BROADCAST.is_broadcast());
        assert!(!MacAddr([0xff, 0xff, 0xff, 0xff, 0xff, 0xfe]).is_broadcast());
    }

    #[test]
    fn sixteen_addresses_are_not_to_be_forwarded() {
        let is_reserved = |last| MacAddr([1, 0x80, 0xc2, 0, 0, last]).is_reserved();
        assert_eq!((0..=255).filter(|last| is_reserved(*last)).collect::<Vec<u8>>(), (0..16).collect::<Vec<u8>>());
        assert!(!MacAddr([1, 0x80, 0xc2, 0, 1, 0]).is_reserved());
    }
}
