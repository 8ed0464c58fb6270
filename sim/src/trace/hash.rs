//! [`Hash`]: a running hash: not against malice, only to tell two runs apart, and fast enough to be always on.

use crate::clock::mix;

/// The hash of all that was added so far, in its order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hash(u64);

const MULTIPLIER: u64 = 0xff51_afd7_ed55_8ccd;

impl Default for Hash {
    fn default() -> Self {
        Hash(0x9e37_79b9_7f4a_7c15)
    }
}

impl Hash {
    pub(super) const fn get(self) -> u64 {
        self.0
    }

    pub(super) fn add(&mut self, word: u64) {
        self.0 = mix(self.0 ^ word);
    }

    /// Adds bytes and how many there are. Four lanes, since each step of one has to wait for the step before it.
    pub(super) fn add_bytes(&mut self, bytes: &[u8]) {
        self.add(bytes.len() as u64);
        let mut lanes = [0, 1, 2, 3].map(|lane: u64| self.0 ^ lane);
        let (blocks, rest) = bytes.as_chunks::<32>();
        for block in blocks {
            for (lane, word) in lanes.iter_mut().zip(block.as_chunks::<8>().0) {
                *lane = (*lane ^ u64::from_le_bytes(*word)).wrapping_mul(MULTIPLIER).rotate_left(29);
            }
        }
        let mut last = [0; 32];
        last[..rest.len()].copy_from_slice(rest);
        for (lane, word) in lanes.into_iter().zip(last.as_chunks::<8>().0) {
            self.0 = mix(self.0 ^ lane).wrapping_add(mix(u64::from_le_bytes(*word)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: &[u8]) -> u64 {
        let mut hash = Hash::default();
        hash.add_bytes(bytes);
        hash.get()
    }

    #[test]
    fn every_bit_counts_and_so_does_the_length() {
        for len in [1, 31, 32, 33, 63, 64, 100] {
            let bytes = vec![0; len];
            for bit in 0..len * 8 {
                let mut other = bytes.clone();
                other[bit / 8] ^= 1 << (bit % 8);
                assert_ne!(of(&bytes), of(&other), "bit {bit} of {len} bytes");
            }
            assert_ne!(of(&bytes), of(&vec![0; len + 1]));
        }
    }

    #[test]
    fn blocks_that_change_places_change_the_hash() {
        let (one, two) = ([1; 32], [2; 32]);
        assert_ne!(of(&[one, two].concat()), of(&[two, one].concat()));
        let (one, two) = ([1; 8], [2; 8]);
        assert_ne!(of(&[one, two].concat()), of(&[two, one].concat()));
    }
}
