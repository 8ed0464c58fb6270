//! Numbers as people read them.

/// How numbers are written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Units {
    /// In full, not as `1.2M`.
    pub exact: bool,
    /// Of numbers that grew in so many seconds, how much that is a second.
    pub seconds: Option<f64>,
}

impl Units {
    /// Numbers in full, as they are.
    pub const EXACT: Units = Units { exact: true, seconds: None };

    /// A number of frames, or of anything else that is counted one by one.
    #[must_use]
    pub fn count(&self, number: u64) -> String {
        self.write(number, 1000.0, &["", "k", "M", "G", "T", "P", "E"])
    }

    /// A number of bytes.
    #[must_use]
    pub fn bytes(&self, number: u64) -> String {
        self.write(number, 1024.0, &["", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"])
    }

    fn write(&self, number: u64, step: f64, units: &[&str]) -> String {
        let value = self.seconds.map_or(number as f64, |seconds| number as f64 / seconds);
        match self.seconds {
            None if self.exact || value < LARGE => return number.to_string(),
            // Less than one a second is more than none.
            Some(_) if value > 0.0 && value < 9.95 => return format!("{value:.1}"),
            Some(_) if self.exact || value < LARGE => return format!("{value:.0}"),
            None | Some(_) => {}
        }
        let (mut value, mut unit) = (value, 0);
        // (What would be rounded up to 1000 is one of the next unit.)
        while value >= 999.5 && unit + 1 < units.len() {
            value /= step;
            unit += 1;
        }
        let digits = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
        format!("{value:.digits$}{}", units[unit])
    }
}

/// Below this a number is written in full.
const LARGE: f64 = 10_000.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_have_three_digits_and_a_unit() {
        let units = Units { exact: false, seconds: None };
        let counts =
            [0, 9_999, 10_000, 123_456, 999_499, 999_500, 1_000_000, u64::MAX].map(|number| units.count(number));
        assert_eq!(counts, ["0", "9999", "10.0k", "123k", "999k", "1.00M", "1.00M", "18.4E"]);
        let bytes = [9_999, 10_240, 1 << 20, 3 << 30].map(|number| units.bytes(number));
        assert_eq!(bytes, ["9999", "10.0KiB", "1.00MiB", "3.00GiB"]);
        assert_eq!(Units::EXACT.bytes(u64::MAX), u64::MAX.to_string());
    }

    #[test]
    fn a_rate_is_a_second_and_little_is_not_nothing() {
        let units = Units { exact: false, seconds: Some(2.0) };
        assert_eq!([0, 1, 30, 100_000].map(|number| units.count(number)), ["0", "0.5", "15", "50.0k"]);
        let exact = Units { exact: true, seconds: Some(0.5) };
        assert_eq!(exact.count(100_000), "200000");
    }
}
