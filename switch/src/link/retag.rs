//! [`Retagged`]: a frame with its outer VLAN tag changed, in pieces, so that nothing is copied.

use crate::vlan::Retag;

const ADDRESSES: usize = 12;
const TAG: usize = 4;
const TPID_VLAN: [u8; 2] = [0x81, 0x00];

/// The pieces of a frame as it leaves a port.
#[derive(Clone, Copy, Debug)]
pub struct Retagged<'a> {
    before: &'a [u8],
    tag: [u8; TAG],
    tag_len: usize,
    after: &'a [u8],
    shift: i16,
}

impl<'a> Retagged<'a> {
    /// `frame`, or the first part of it that holds the Ethernet header, retagged. `None` if it is too short to have the
    /// tag that is to be changed.
    #[must_use]
    pub fn new(frame: &'a [u8], retag: Retag) -> Option<Self> {
        let none = [0; TAG];
        let (before, tag, tag_len, skipped) = match retag {
            Retag::Keep => (0, none, 0, 0),
            Retag::Push(control) => (ADDRESSES, tag(TPID_VLAN, control), TAG, 0),
            Retag::Pop => (ADDRESSES, none, 0, TAG),
            // The tag keeps its TPID: a service tag (802.1ad) stays one.
            Retag::Replace(control) => {
                let tpid = frame.get(ADDRESSES..ADDRESSES + 2)?;
                (ADDRESSES, tag([tpid[0], tpid[1]], control), TAG, TAG)
            }
        };
        let after = frame.get(before + skipped..)?;
        let shift = match retag {
            Retag::Push(_) => 4,
            Retag::Pop => -4,
            Retag::Keep | Retag::Replace(_) => 0,
        };
        Some(Retagged { before: &frame[..before], tag, tag_len, after, shift })
    }

    /// The pieces, in order; the first two may be empty.
    #[must_use]
    pub fn pieces(&self) -> [&[u8]; 3] {
        [self.before, &self.tag[..self.tag_len], self.after]
    }

    /// By how many bytes everything behind the tag moves: what the offsets of an offload header are shifted by.
    #[must_use]
    pub const fn shift(&self) -> i16 {
        self.shift
    }
}

const fn tag(tpid: [u8; 2], control: u16) -> [u8; TAG] {
    let control = control.to_be_bytes();
    [tpid[0], tpid[1], control[0], control[1]]
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNTAGGED: [u8; 18] = [1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 0x08, 0x00, 9, 9, 9, 9];
    const TAGGED: [u8; 18] = [1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 0x88, 0xa8, 0x20, 7, 0x08, 0x00];

    #[test]
    fn pushes_a_tag_behind_the_addresses() {
        let retagged = Retagged::new(&UNTAGGED, Retag::Push(0x6005)).unwrap();
        assert_eq!(retagged.pieces().concat()[10..], [2, 2, 0x81, 0x00, 0x60, 5, 0x08, 0x00, 9, 9, 9, 9]);
        assert_eq!(retagged.shift(), 4);
    }

    #[test]
    fn pops_the_outer_tag() {
        let retagged = Retagged::new(&TAGGED, Retag::Pop).unwrap();
        assert_eq!(retagged.pieces().concat()[10..], [2, 2, 0x08, 0x00]);
        assert_eq!(retagged.shift(), -4);
    }

    #[test]
    fn replaces_the_control_information_and_keeps_the_tpid() {
        let retagged = Retagged::new(&TAGGED, Retag::Replace(5)).unwrap();
        assert_eq!(retagged.pieces().concat()[10..], [2, 2, 0x88, 0xa8, 0, 5, 0x08, 0x00]);
        assert_eq!(retagged.shift(), 0);
    }

    #[test]
    fn refuses_a_frame_too_short_for_its_tag() {
        for retag in [Retag::Push(1), Retag::Pop, Retag::Replace(1)] {
            assert!(Retagged::new(&TAGGED[..11], retag).is_none(), "{retag:?}");
        }
        assert!(Retagged::new(&TAGGED[..15], Retag::Pop).is_none());
        assert_eq!(Retagged::new(&TAGGED[..3], Retag::Keep).unwrap().pieces().concat(), TAGGED[..3]);
    }
}
