//! A veth pair with a packet socket on either end, and frames for it.

use std::os::fd::AsFd;
use std::sync::Arc;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use switch::buffer::{Buffer, Pool};
use switch::link::packet::{PacketPort, Reading};
use switch::link::{Link, Transmit};
use switch::offload::checksum::Sum;
use switch::vlan::Retag;
use switch::vnet::{GSO_UDP_L4, NEEDS_CSUM, VnetHeader};

use super::scene::{in_namespace, ip};

pub(super) const BROADCAST: [u8; 6] = [0xff; 6];
pub(super) const NEAR: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub(super) const FAR: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// How long anything may take, in milliseconds.
pub(super) const PATIENCE: u16 = 10_000;

/// A veth pair, `v0` and `v1`, in this namespace, with a socket on either end.
pub(super) fn pair(reading: Reading) -> (PacketPort, PacketPort) {
    ip("link add v0 type veth peer name v1");
    for name in ["v0", "v1"] {
        ip(&format!("link set {name} addrgenmode none arp off up"));
    }
    ip("link set v0 arp on");
    (PacketPort::open_by("v0", reading).unwrap(), PacketPort::open_by("v1", reading).unwrap())
}

/// Runs a test in two fresh network namespaces, once for each way to receive.
pub(super) fn each_way(test: fn(Reading)) {
    for reading in [Reading::Ring, Reading::Calls] {
        in_namespace(move || test(reading));
    }
}

pub(super) fn set_mtu(mtu: &str) {
    for name in ["v0", "v1"] {
        ip(&format!("link set {name} mtu {mtu}"));
    }
}

/// A frame with what stands behind the addresses, and so many bytes of payload.
pub(super) fn frame(destination: [u8; 6], behind_addresses: &[u8], payload: usize) -> Vec<u8> {
    let payload: Vec<u8> = (0..payload).map(|n| (n % 251) as u8).collect();
    [&destination, &FAR, behind_addresses, &payload].concat()
}

pub(super) fn plain(frame: &[u8]) -> Arc<Buffer> {
    Arc::new(Buffer::holding(frame, VnetHeader::default()))
}

pub(super) fn send(port: &mut PacketPort, frame: &[u8]) {
    assert_eq!(port.transmit(&plain(frame), Retag::Keep), Transmit::Sent);
}

/// Waits for a frame, and takes one.
pub(super) fn next(port: &mut impl Port) -> Arc<Buffer> {
    let mut frames = Vec::new();
    assert!(is_ready(port, PATIENCE), "no frame came");
    port.receive(&mut Pool::new(1), &mut frames, 1);
    frames.pop().expect("a frame")
}

pub(super) trait Port: Link + AsFd {}
impl<T: Link + AsFd> Port for T {}

pub(super) fn is_ready(port: &impl AsFd, timeout: u16) -> bool {
    poll(&mut [PollFd::new(port.as_fd(), PollFlags::POLLIN)], PollTimeout::from(timeout)).unwrap() == 1
}

/// Ten datagrams of 1000 bytes as one super-frame, its checksum begun as the kernel begins it.
pub(super) fn udp_super_frame() -> (Vec<u8>, VnetHeader) {
    let mut frame = frame(NEAR, &[0x08, 0x00], 28 + 10_000);
    let ip_and_udp = [
        0x45, 0, 0x27, 0x2c, 0, 1, 0x40, 0, 64, 17, 0, 0, 10, 77, 0, 2, 10, 77, 0, 1, // IPv4, 10028 bytes
        0x10, 0, 0, 7, 0x27, 0x18, 0, 0, // UDP, 10008 bytes
    ];
    frame[14..42].copy_from_slice(&ip_and_udp);
    let header = Sum::default().bytes(&frame[14..34]).finish();
    frame[24..26].copy_from_slice(&header.to_be_bytes());
    let pseudo = Sum::default().bytes(&frame[26..34]).word(17).word(10_008);
    frame[40..42].copy_from_slice(&(!pseudo.finish()).to_be_bytes());
    let vnet = VnetHeader {
        flags: NEEDS_CSUM,
        gso_type: GSO_UDP_L4,
        hdr_len: 42,
        gso_size: 1_000,
        csum_start: 34,
        csum_offset: 6,
    };
    (frame, vnet)
}
