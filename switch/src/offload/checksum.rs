//! The internet checksum (RFC 1071): the complement of a ones' complement sum of 16-bit words.

/// A sum under way. Pieces are added in the order of the packet; all but the last have an even length.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum(u64);

impl Sum {
    /// The sum with `bytes` added, padded with a zero byte where their number is odd.
    #[must_use]
    pub fn bytes(self, bytes: &[u8]) -> Sum {
        // The ones' complement sum is the same in either byte order and any word size (RFC 1071, 2 B and C). Words of
        // 32 bits in an accumulator of 64 need no carry within a frame, and the compiler makes vectors of them.
        let (words, rest) = bytes.as_chunks::<4>();
        let sum: u64 = words.iter().map(|word| u64::from(u32::from_ne_bytes(*word))).sum();
        let mut last = [0; 4];
        last[..rest.len()].copy_from_slice(rest);
        Sum(fold32(self.0) + sum + u64::from(u32::from_ne_bytes(last)))
    }

    /// The sum with a number added, as if it stood there in network order.
    #[must_use]
    pub fn word(self, number: u16) -> Sum {
        self.bytes(&number.to_be_bytes())
    }

    /// The checksum: what goes into the packet, high byte first.
    #[must_use]
    pub fn finish(self) -> u16 {
        let mut sum = fold32(self.0);
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        let folded = u16::try_from(sum).expect("a folded sum has 16 bits");
        u16::from_be_bytes((!folded).to_ne_bytes())
    }

    /// The checksum for a protocol that takes 0 for "there is none", as UDP does (RFC 768), or for whichever it is: 0 is written
    /// as 0xFFFF, the other zero of ones' complement.
    #[must_use]
    pub fn finish_transport(self) -> u16 {
        match self.finish() {
            0 => 0xffff,
            sum => sum,
        }
    }
}

/// Adds the upper half to the lower one, so that the next frame's worth of words can not overflow.
const fn fold32(sum: u64) -> u64 {
    (sum & 0xffff_ffff) + (sum >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_example_of_rfc_1071() {
        let sum = Sum::default().bytes(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
        assert_eq!(sum.finish(), !0xddf2);
    }

    #[test]
    fn pads_an_odd_byte_and_continues_after_an_even_piece() {
        let whole = Sum::default().bytes(&[1, 2, 3, 4, 5, 6, 7]);
        let pieces = Sum::default().bytes(&[1, 2]).bytes(&[3, 4, 5, 6]).bytes(&[7]);
        assert_eq!(whole.finish(), pieces.finish());
        assert_eq!(whole.finish(), !(0x0102 + 0x0304 + 0x0506 + 0x0700));
    }

    #[test]
    fn never_writes_the_zero_that_means_no_checksum() {
        let sum = Sum::default().bytes(&[0xff, 0xff]);
        assert_eq!((sum.finish(), sum.finish_transport()), (0, 0xffff));
    }

    #[test]
    fn holds_the_largest_frame_of_the_largest_words() {
        let frame = vec![0xff; crate::buffer::MAX_FRAME];
        assert_eq!(Sum::default().bytes(&frame).finish(), !0xff00);
    }
}
