//! What the tests of both kinds of TAP have in common. What TAPs do on a real kernel is tested in `tests/linux`.

use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::Arc;

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair};

use super::port::PortLink;
use super::tap::TapError;
use crate::buffer::Buffer;
use crate::offload::train::tests::Flow;
use crate::vnet::{GSO_TCPV4, NEEDS_CSUM, VnetHeader};

/// A frame, and the same with a tag for VLAN 5.
pub(super) const UNTAGGED: &[u8] = &[1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 0x08, 0x00, 9, 8, 7, 6];
pub(super) const TAGGED: &[u8] = &[1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 0x81, 0x00, 0, 5, 0x08, 0x00, 9, 8, 7, 6];
/// The offload header of an untagged super-frame.
pub(super) const SUPER_FRAME: VnetHeader = VnetHeader {
    flags: NEEDS_CSUM,
    gso_type: GSO_TCPV4,
    hdr_len: 54,
    gso_size: 1_000,
    csum_start: 34,
    csum_offset: 16,
};

/// A pair of sockets that keep the bounds of frames, non-blocking: the first stands for the file of a TAP, the second for
/// its device.
pub(super) fn pair() -> (OwnedFd, OwnedFd) {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags).unwrap()
}

/// Datagrams of one flow, of a byte each, in the order of their numbers; in buffers of a pool's kind.
pub(super) fn datagram(number: u8) -> Arc<Buffer> {
    let (frame, vnet) = Flow::v4().datagram(usize::from(number), &[number]);
    let mut buffer = Buffer::new();
    buffer.append(&frame);
    buffer.set_vnet(vnet);
    Arc::new(buffer)
}

/// What was written to the TAP next.
pub(super) fn read(device: &OwnedFd) -> Vec<u8> {
    let mut bytes = vec![0; 100_000];
    let len = recv(device.as_raw_fd(), &mut bytes, MsgFlags::empty()).unwrap();
    bytes.truncate(len);
    bytes
}

/// Lets the TAP have something to be read.
pub(super) fn write(device: &OwnedFd, bytes: &[u8]) {
    assert_eq!(send(device.as_raw_fd(), bytes, MsgFlags::empty()), Ok(bytes.len()));
}

#[test]
fn a_name_that_the_kernel_would_change_is_refused() {
    for name in ["", ".", "a/b", "tap%d", "sixteen-bytes-xx", "a b"] {
        for offload in [true, false] {
            let bad = TapError::BadName { name: name.to_owned() };
            assert_eq!(PortLink::create(name, offload).unwrap_err(), bad);
        }
    }
}
