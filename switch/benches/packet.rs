//! What a frame costs that comes in by a packet socket, by the ring and by calls: `cargo bench -p pontoon-switch --bench packet`.
//!
//! A veth pair in a network namespace of its own. Frames are sent from one end, as many as wait in a ring at a time, and then
//! received at the other; each is timed alone, so nobody's sleep and no other core is in it. What the kernel does with a frame
//! when it arrives, it does for its sender: so both are told. Needs root and iproute2.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use pontoon_switch::buffer::{Buffer, Pool};
use pontoon_switch::link::packet::{PacketPort, Reading};
use pontoon_switch::link::{Link, Transmit};
use pontoon_switch::vlan::Retag;
use pontoon_switch::vnet::{GSO_TCPV4, NEEDS_CSUM, VnetHeader};

const ROUNDS: usize = 5;
/// Frames of each round, and how many of them wait at a time.
const FRAMES: usize = 64_000;
const AT_A_TIME: usize = 32;

fn main() {
    if std::env::args().any(|argument| argument == "--test") {
        println!("packet sockets are measured by `cargo bench --bench packet`, not tested");
        return;
    }
    if let Err(errno) = unshare(CloneFlags::CLONE_NEWNET) {
        eprintln!("packet sockets can not be measured here: no network namespace can be made: {}", errno.desc());
        std::process::exit(1);
    }
    println!("{:<34} {:>26} {:>26} {:>26}", "ns a frame, median (range)", "to send", "to receive", "both");
    for (what, frame) in
        [("60 bytes", plain(60)), ("1514 bytes", plain(1_514)), ("64 KiB, a super-frame", super_frame())]
    {
        let mut results = [Reading::Ring, Reading::Calls].map(|reading| (reading, Vec::new()));
        for _ in 0..ROUNDS {
            for (reading, results) in &mut results {
                results.push(round(*reading, &frame));
            }
        }
        for (reading, results) in results {
            let column = |of: fn(&(f64, f64)) -> f64| spread(results.iter().map(of).collect());
            println!(
                "{:<34} {:>26} {:>26} {:>26}",
                format!("{what}, {reading:?}"),
                column(|(sent, _)| *sent),
                column(|(_, received)| *received),
                column(|(sent, received)| sent + received),
            );
        }
    }
}

/// Sends and receives; the nanoseconds that each took, for a frame.
fn round(reading: Reading, frame: &Arc<Buffer>) -> (f64, f64) {
    ip("link add v0 type veth peer name v1");
    for name in ["v0", "v1"] {
        ip(&format!("link set {name} addrgenmode none arp off up"));
    }
    let mut near = PacketPort::open_by("v0", reading).expect("our end");
    // (What comes to the far end is left alone.)
    let mut far = PacketPort::open_by("v1", reading).expect("the far end");
    let mut pool = Pool::new(AT_A_TIME);
    let mut frames = Vec::with_capacity(AT_A_TIME);
    let (mut sending, mut receiving) = (Duration::ZERO, Duration::ZERO);
    let mut count = 0;
    let wanted = if frame.frame().len() > 10_000 { FRAMES / 16 } else { FRAMES };
    while count < wanted {
        let started = Instant::now();
        for _ in 0..AT_A_TIME {
            assert_eq!(far.transmit(frame, Retag::Keep), Transmit::Sent);
        }
        let sent = Instant::now();
        near.receive(&mut pool, &mut frames, AT_A_TIME);
        receiving += sent.elapsed();
        sending += sent - started;
        assert_eq!(frames.len(), AT_A_TIME, "all that was sent");
        assert_eq!(frames[0].frame().len(), frame.frame().len());
        count += frames.len();
        frames.drain(..).for_each(|frame| pool.give(frame));
    }
    drop((near, far));
    ip("link delete v0");
    (sending.as_nanos() as f64 / count as f64, receiving.as_nanos() as f64 / count as f64)
}

fn plain(len: usize) -> Arc<Buffer> {
    let mut frame = vec![0; len];
    frame[..14].copy_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5]);
    Arc::new(Buffer::holding(&frame, VnetHeader::default()))
}

/// TCP over IPv4, nearly as long as it gets.
fn super_frame() -> Arc<Buffer> {
    let mut frame = vec![0; 14 + 65_200];
    frame[..14].copy_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00]);
    frame[14..18].copy_from_slice(&[0x45, 0, 0xfe, 0xb0]);
    frame[22..24].copy_from_slice(&[64, 6]);
    frame[46] = 0x50;
    let vnet = VnetHeader {
        flags: NEEDS_CSUM,
        gso_type: GSO_TCPV4,
        hdr_len: 54,
        gso_size: 1_448,
        csum_start: 34,
        csum_offset: 16,
    };
    Arc::new(Buffer::holding(&frame, vnet))
}

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().expect("run ip");
    assert!(status.success(), "ip {arguments}: {status}");
}

fn spread(mut values: Vec<f64>) -> String {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values[0], values[values.len() - 1]);
    format!("{:.0} ({low:.0}–{high:.0})", values[values.len() / 2])
}
