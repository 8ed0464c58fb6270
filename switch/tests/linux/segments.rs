//! Software segmentation and checksums against the kernel's: the same super-frame is cut by our [`Segmenter`] and by a kernel
//! whose interface can not, and every byte is the same.
//!
//! The interface is one end of a veth pair that was told to finish no checksum (`ethtool -K v0 tx off`): so the kernel cuts and
//! finishes all that leaves by it.

mod super_frame;

use std::sync::Arc;

use proptest::test_runner::TestCaseError;
use proptest::{prop_assert, prop_assert_eq};
use switch::buffer::Buffer;
use switch::link::packet::{PacketPort, Reading};
use switch::link::{Link as _, Transmit};
use switch::offload::segment::Segmenter;
use switch::vlan::Retag;
use switch::vnet::{GSO_NONE, VnetHeader};

use self::super_frame::{KINDS, SuperFrame};
use super::oracle::holds;
use super::scene::{in_namespace, receive};
use super::sys::switch_transmit_checksum_off;
use super::veth::{FAR, NEAR, PATIENCE, is_ready, pair, set_mtu};

crate::trials![
    super_frames_are_cut_as_the_kernel_cuts_them,
    checksums_are_finished_as_the_kernel_finishes_them,
    a_checksum_of_zero_is_written_as_the_kernel_writes_it,
    a_super_frame_that_fits_one_segment_leaves_as_that,
];

/// How many super-frames, if `PROPTEST_CASES` says nothing else.
const PLANS: u32 = 1_000;

fn super_frames_are_cut_as_the_kernel_cuts_them() {
    with_both(|both| holds(PLANS, &SuperFrame::any(), |sent| both(&sent.frame(), sent.vnet())));
}

fn checksums_are_finished_as_the_kernel_finishes_them() {
    with_both(|both| {
        holds(PLANS, &SuperFrame::any(), |mut sent| {
            sent.payload.truncate(1_300);
            both(&sent.frame(), VnetHeader { gso_type: GSO_NONE, gso_size: 0, ..sent.vnet() })
        });
    });
}

/// One checksum in 65,536 is zero: too seldom to be left to chance.
fn a_checksum_of_zero_is_written_as_the_kernel_writes_it() {
    with_both(|both| {
        for kind in KINDS {
            let mut sent = SuperFrame::plain(kind, vec![7; 2_501]);
            sent.payload[998..1_000].fill(0);
            let mut segmenter = Segmenter::new();
            let (frame, vnet) = (sent.frame(), sent.vnet());
            let mut segments = segmenter.begin(&frame, &vnet).unwrap();
            let header = segments.next().unwrap().header;
            let field = usize::from(vnet.csum_start + vnet.csum_offset);
            // With the checksum itself among what it is made from, the sum is all ones and its complement zero.
            sent.payload[998..1_000].copy_from_slice(&header[field..field + 2]);
            let frame = sent.frame();
            let mut segments = segmenter.begin(&frame, &vnet).unwrap();
            let expected = if kind.is_tcp() { [0, 0] } else { [0xff, 0xff] };
            assert_eq!(segments.next().unwrap().header[field..field + 2], expected, "{kind:?}");
            both(&frame, vnet).unwrap();
            // Alone, and not one of several, each protocol's is written as UDP's has to be.
            sent.payload.truncate(1_000);
            let frame = sent.frame();
            both(&frame, VnetHeader { gso_type: GSO_NONE, gso_size: 0, ..sent.vnet() }).unwrap();
        }
    });
}

/// With options in its header, what a TCP super-frame has to say may fit one segment, although the kernel takes it for longer
/// when it is handed over, and then has nothing to cut. (Without options it sees that in time.)
fn a_super_frame_that_fits_one_segment_leaves_as_that() {
    with_both(|both| {
        for kind in KINDS {
            for (words, len) in [(0, 1_000), (1, 997), (1, 999), (1, 1_000), (10, 961), (10, 1_000), (10, 1_001)] {
                let mut sent = SuperFrame::plain(kind, vec![7; len]);
                sent.tcp_options = words;
                both(&sent.frame(), sent.vnet()).unwrap();
            }
        }
    });
}

/// Runs a test with a way to let the kernel and us finish the same frame: an error where the two disagree.
fn with_both(test: impl FnOnce(&dyn Fn(&[u8], VnetHeader) -> Result<(), TestCaseError>) + Send + 'static) {
    in_namespace(|| {
        let (near, far) = pair(Reading::Ring);
        set_mtu("9000");
        switch_transmit_checksum_off("v0");
        let ends = std::cell::RefCell::new((near, far));
        test(&|frame, vnet| {
            let (near, far) = &mut *ends.borrow_mut();
            let mut segmenter = Segmenter::new();
            let mut ours = Vec::new();
            match segmenter.begin(frame, &vnet) {
                Ok(mut segments) => {
                    while let Some(segment) = segments.next() {
                        ours.push([segment.header, segment.payload].concat());
                    }
                }
                Err(why) => return Err(TestCaseError::fail(format!("ours can not be cut: {why}"))),
            }
            let by_kernel = by_kernel(near, far, frame, vnet, ours.len());
            prop_assert_eq!(by_kernel.len(), ours.len());
            for (index, (by_kernel, ours)) in by_kernel.iter().zip(&ours).enumerate() {
                let differs = by_kernel.iter().zip(ours).position(|(a, b)| a != b);
                prop_assert_eq!(by_kernel.len(), ours.len(), "length of segment {}", index);
                prop_assert!(
                    differs.is_none(),
                    "segment {}, byte {:?}: {:02x?} by the kernel, {:02x?} by us",
                    index,
                    differs,
                    by_kernel,
                    ours
                );
            }
            Ok(())
        });
    });
}

/// What leaves the interface for a frame, so many frames, and that it is no more.
fn by_kernel(
    near: &mut PacketPort,
    far: &mut PacketPort,
    frame: &[u8],
    vnet: VnetHeader,
    count: usize,
) -> Vec<Vec<u8>> {
    assert_eq!(near.transmit(&Arc::new(Buffer::holding(frame, vnet)), Retag::Keep), Transmit::Sent);
    // Ends the frames of this turn.
    let end = [&NEAR[..], &FAR, &[0x88, 0xb5, 7]].concat();
    assert_eq!(near.transmit(&Arc::new(Buffer::holding(&end, VnetHeader::default())), Retag::Keep), Transmit::Sent);
    let mut frames = Vec::new();
    loop {
        assert!(is_ready(far, PATIENCE), "{} of {count} and the end came", frames.len());
        for received in receive(far).0 {
            if received.frame() == end {
                return frames;
            }
            assert_eq!((received.vnet().gso_type, received.vnet().needs_checksum()), (GSO_NONE, false), "finished");
            frames.push(received.frame().to_vec());
        }
    }
}
