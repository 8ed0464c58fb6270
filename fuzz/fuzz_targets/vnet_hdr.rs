//! An offload header, true or not, and a frame, by way of a `Dataplane` from one link to two others: one that takes frames as
//! they are, and one that takes finished frames only. What does not pass is counted and goes nowhere; what passes crosses
//! with its tag changed and is still true, and can be cut into frames that are whole, within the MTU, and sum up.
//!
//! An input is ten bytes of offload header, a byte that says which ports there are, and a frame. Where the byte asks for it, the
//! frame is made to be of IP before, so that more inputs come far.

#![no_main]

use std::sync::Arc;

use etherparse::{LaxSlicedPacket, NetSlice, SlicedPacket, TransportSlice};
use libfuzzer_sys::fuzz_target;
use switch::buffer::{Buffer, MAX_FRAME, Pool};
use switch::dataplane::{BridgeId, Control, Dataplane, Settings};
use switch::forward::Config;
use switch::frame::Frame;
use switch::link::retag::Retagged;
use switch::link::{Link, Received, Transmit};
use switch::offload::checksum::Sum;
use switch::offload::claim::{MAX_UDP_SEGMENTS, MIN_SIZE};
use switch::offload::segment::{MAX_SEGMENTS, Segmenter};
use switch::port::PortConfig;
use switch::time::Instant;
use switch::verdict::{DropReason, PortId, Verdict};
use switch::vlan::{PortVlans, Retag, VlanId};
use switch::vnet::VnetHeader;
use zerocopy::FromBytes;

const MTU: u32 = 1_500;
const BRIDGE: BridgeId = BridgeId(0);
const SENDER: PortId = PortId(0);
const TAKES_ALL: PortId = PortId(1);
const TAKES_FINISHED: PortId = PortId(2);

fuzz_target!(|input: &[u8]| {
    let Ok((vnet, rest)) = VnetHeader::read_from_prefix(input) else { return };
    let Some((kind, bytes)) = rest.split_first() else { return };
    let bytes = prepared(*kind, bytes);
    let mut plane = plane(*kind);
    let verdict =
        plane.forward(SENDER, &Arc::new(Buffer::holding(&bytes, vnet)), Instant::ZERO).expect("it is plugged in");
    plane.flush();
    keeps_its_books(&plane, &verdict);
    let Ok(frame) = Frame::parse(&bytes, vnet) else {
        assert!([TAKES_ALL, TAKES_FINISHED].iter().all(|port| plane.link(*port).expect("it stays").taken.is_empty()));
        return;
    };
    is_bounded(&frame);
    for egress in [TAKES_ALL, TAKES_FINISHED] {
        for (bytes, vnet) in &plane.link(egress).expect("it stays").taken {
            let left = Frame::parse(bytes, *vnet).unwrap_or_else(|why| panic!("{why} after its tag was changed"));
            assert_eq!(left.vnet().is_gso(), frame.vnet().is_gso());
            assert_eq!(left.wire_frames(), frame.wire_frames());
        }
    }
    for segments in &plane.link(TAKES_FINISHED).expect("it stays").segments {
        segments_are_whole(&frame, segments);
    }
});

/// What a link was given, as it takes it.
#[derive(Default)]
struct Taker {
    finished_only: bool,
    segmenter: Segmenter,
    taken: Vec<(Vec<u8>, VnetHeader)>,
    segments: Vec<Vec<Vec<u8>>>,
}

impl Link for Taker {
    fn receive(&mut self, _: &mut Pool, _: &mut Vec<Arc<Buffer>>, _: usize) -> Received {
        Received::WouldBlock
    }

    fn transmit(&mut self, frame: &Arc<Buffer>, retag: Retag) -> Transmit {
        let Some(retagged) = Retagged::new(frame.frame(), retag) else { panic!("a tag that is not there is changed") };
        let (bytes, vnet) = (retagged.pieces().concat(), frame.vnet().shifted(retagged.shift()));
        if self.finished_only {
            let Ok(mut segments) = self.segmenter.begin(&bytes, &vnet) else { return Transmit::NotSegmentable };
            let mut cut = Vec::new();
            while let Some(segment) = segments.next() {
                cut.push([segment.header, segment.payload].concat());
            }
            self.segments.push(cut);
        }
        self.taken.push((bytes, vnet));
        Transmit::Sent
    }

    fn flush(&mut self, _: &mut Vec<Transmit>) {}
}

/// A bridge of three ports, which may look at tags.
fn plane(kind: u8) -> Dataplane<Taker> {
    let mut plane = Dataplane::new(Settings { batch: 1, buffers: 1 });
    let vlan_filtering = kind & 1 != 0;
    let config = Config { vlan_filtering, ..Config::default() };
    plane
        .control(Control::AddBridge { bridge: BRIDGE, name: "net".to_owned(), config }, Instant::ZERO)
        .expect("the first");
    let (native, tagged) = (VlanId::DEFAULT, vec![VlanId::DEFAULT]);
    let access = PortVlans::Access(native);
    let trunk = PortVlans::Trunk { native: None, tagged };
    let vlans = match kind >> 1 & 3 {
        0 => [access.clone(), access.clone(), access],
        1 => [access.clone(), trunk.clone(), trunk],
        2 => [trunk.clone(), access.clone(), access],
        _ => [trunk.clone(), trunk, access],
    };
    for (port, vlans) in [SENDER, TAKES_ALL, TAKES_FINISHED].into_iter().zip(vlans) {
        let config = PortConfig { mtu: MTU, vlans, ..PortConfig::default() };
        let link = Taker { finished_only: port == TAKES_FINISHED, ..Taker::default() };
        plane.control(Control::Plug { bridge: BRIDGE, port, config, link }, Instant::ZERO).expect("its number is free");
    }
    plane
}

/// The frame of an input: as it is, or with headers that make it one of TCP or UDP over IP from one station to all.
fn prepared(kind: u8, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    // (An input is short. What is said to be long is filled up.)
    if kind & 8 != 0 {
        bytes.resize(bytes.len() * 37 % (MAX_FRAME + 2), 0x5a);
    }
    if kind & 16 == 0 || bytes.len() < 100 {
        return bytes;
    }
    bytes[..12].copy_from_slice(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 2]);
    let mut at = 12;
    if kind & 2 != 0 && kind & 4 != 0 || kind & 6 == 4 {
        bytes[at..at + 4].copy_from_slice(&[0x81, 0, 0, 1]);
        at += 4;
    }
    let protocol = if kind & 32 != 0 { 17 } else { 6 };
    let start = if kind & 64 != 0 {
        bytes[at..at + 3].copy_from_slice(&[0x86, 0xdd, 0x60]);
        bytes[at + 2 + 6] = protocol;
        at + 2 + 40
    } else {
        bytes[at..at + 3].copy_from_slice(&[0x08, 0x00, 0x45]);
        bytes[at + 2 + 6..at + 2 + 8].copy_from_slice(&[0x40, 0]);
        bytes[at + 2 + 9] = protocol;
        at + 2 + 20
    };
    if protocol == 6 {
        bytes[start + 12] = bytes[start + 12].max(0x50);
    }
    bytes
}

/// The law, at each port; and a frame that is dropped has its reason.
fn keeps_its_books(plane: &Dataplane<Taker>, verdict: &Verdict) {
    let statistics = plane.statistics();
    let ports = &statistics[0].ports;
    assert!(ports.iter().all(|port| port.counters.check().is_ok()));
    let rx = &ports[0].counters.rx;
    assert_eq!((rx.packets, rx.forwarded, rx.local), (1, 0, 0));
    let reasons: Vec<(DropReason, u64)> = rx.drops.iter().collect();
    match verdict {
        Verdict::Drop(reason) => assert_eq!(reasons, [(*reason, 1)]),
        Verdict::Flood { to, .. } => {
            assert_eq!(rx.flooded, 1);
            for port in to.iter() {
                let tx = &ports[usize::from(port.0)].counters.tx;
                assert_eq!(tx.packets + tx.dropped, 1);
                assert_eq!(tx.packets as usize, plane.link(port).expect("it stays").taken.len());
            }
        }
        other => panic!("nobody has said where anybody is: {other:?}"),
    }
}

/// However small the segments, there is a bound to their number, and they are pieces of the frame.
fn is_bounded(frame: &Frame<'_>) {
    let (whole, count) = (frame.bytes().len(), frame.wire_frames() as usize);
    assert!(frame.longest_segment() <= whole);
    assert!(count <= (whole / usize::from(MIN_SIZE)).max(MAX_UDP_SEGMENTS), "{count} frames");
    assert!(frame.vnet().is_gso() || count == 1 && frame.longest_segment() == whole);
}

/// The segments are as many as foretold, within the MTU, their payloads are that of the frame, and etherparse finds no fault
/// in the sums of those that it can read.
fn segments_are_whole(frame: &Frame<'_>, segments: &[Vec<u8>]) {
    assert_eq!(segments.len() as u64, frame.wire_frames());
    assert!(segments.len() <= MAX_SEGMENTS);
    for segment in segments {
        let is_tagged = segment[12..14] == [0x81, 0] || segment[12..14] == [0x88, 0xa8];
        assert!(segment.len() <= 14 + MTU as usize + if is_tagged { 4 } else { 0 });
    }
    if !frame.vnet().is_gso() {
        return;
    }
    let mut payload = Vec::new();
    for segment in segments {
        let packet = LaxSlicedPacket::from_ethernet(segment).expect("it has an Ethernet header");
        if packet.vlan_ids().len() > 2 {
            return;
        }
        let Ok(packet) = SlicedPacket::from_ethernet(segment) else {
            panic!("a segment that is no packet: {segment:x?}")
        };
        let (net, transport) = (packet.net.expect("a segment is of IP"), packet.transport.expect("and of TCP or UDP"));
        match (&net, &transport) {
            (NetSlice::Ipv4(ip), TransportSlice::Tcp(tcp)) => {
                let sum = tcp.calc_checksum_ipv4(ip.header().source(), ip.header().destination());
                assert_eq!(sum.map(one_zero), Ok(one_zero(tcp.checksum())));
            }
            (NetSlice::Ipv6(ip), TransportSlice::Tcp(tcp)) => {
                let sum = tcp.calc_checksum_ipv6(ip.header().source(), ip.header().destination());
                assert_eq!(sum.map(one_zero), Ok(one_zero(tcp.checksum())));
            }
            (NetSlice::Ipv4(ip), TransportSlice::Udp(udp)) => {
                let sum = udp.to_header().calc_checksum_ipv4_raw(
                    ip.header().source(),
                    ip.header().destination(),
                    udp.payload(),
                );
                assert_eq!(sum, Ok(udp.checksum()));
            }
            (NetSlice::Ipv6(ip), TransportSlice::Udp(udp)) => {
                let sum = udp.to_header().calc_checksum_ipv6_raw(
                    ip.header().source(),
                    ip.header().destination(),
                    udp.payload(),
                );
                assert_eq!(sum, Ok(udp.checksum()));
            }
            other => panic!("a segment of {other:?}"),
        }
        if let NetSlice::Ipv4(ip) = &net {
            // (Over the bytes: etherparse's own forgets the reserved flag.)
            assert_eq!(Sum::default().bytes(ip.header().slice()).finish(), 0, "{:x?}", ip.header().slice());
        }
        match &transport {
            TransportSlice::Tcp(tcp) => payload.extend_from_slice(tcp.payload()),
            TransportSlice::Udp(udp) => payload.extend_from_slice(udp.payload()),
            _ => {}
        }
    }
    assert!(frame.bytes().ends_with(&payload));
    let size = usize::from(frame.vnet().gso_size);
    assert_eq!(payload.len().div_ceil(size).max(1), segments.len());
}

/// TCP has two ways to write a sum of zero.
const fn one_zero(sum: u16) -> u16 {
    if sum == 0 { 0xffff } else { sum }
}
