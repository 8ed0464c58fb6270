//! What one decision costs: a frame is parsed, its source learned, its destination looked up, and each copy checked
//! against the port that it leaves by. No memory is touched but the header and the FDB.
//!
//! `dataplane` is one frame through the whole data plane, counters included, between links that do nothing.
//!
//! Pairs of stations are drawn anew for each frame, so with a million stations each lookup is a cache miss or two; two
//! neighbours talking are the case of ten.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use pontoon_switch::account::Account;
use pontoon_switch::buffer::{Buffer, Pool};
use pontoon_switch::counters::{PortCounters, Traffic};
use pontoon_switch::dataplane::{BridgeId, Control, Dataplane, Settings};
use pontoon_switch::forward::{Config, Switch};
use pontoon_switch::frame::Frame;
use pontoon_switch::link::{Link, Received, Transmit};
use pontoon_switch::port::PortConfig;
use pontoon_switch::time::Instant;
use pontoon_switch::verdict::{PortId, Verdict};
use pontoon_switch::vlan::{Retag, VlanId};
use pontoon_switch::vnet::VnetHeader;

const PORTS: u32 = 16;
const BROADCAST: [u8; 6] = [0xff; 6];

fn known_unicast(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("unicast");
    group.throughput(Throughput::Elements(1));
    for stations in [10, 1_000, 1_000_000] {
        let mut switch = switch_with(stations);
        let mut draw = 1_u32;
        let mut now = 0;
        group.bench_function(BenchmarkId::from_parameter(stations), |bencher| {
            bencher.iter(|| {
                draw = draw.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let source = scale(draw, stations);
                // The next station is behind the next port.
                let frame = frame(mac((source + 1) % stations), mac(source));
                now += 1;
                decide(&mut switch, source % PORTS, &frame, now)
            });
        });
        assert_eq!(switch.fdb().counters().moved, 0, "every station stays behind its port");
    }
    group.finish();
}

fn flood(criterion: &mut Criterion) {
    let mut switch = switch_with(10);
    let frame = frame(BROADCAST, mac(0));
    let mut now = 0;
    criterion.bench_function("flood/16 ports", |bencher| {
        bencher.iter(|| {
            now += 1;
            decide(&mut switch, 0, &frame, now)
        });
    });
}

fn dataplane(criterion: &mut Criterion) {
    let mut plane = Dataplane::new(Settings::default());
    let bridge = BridgeId(0);
    let add = Control::AddBridge { bridge, name: String::new(), config: Config::default() };
    plane.control(add, Instant::ZERO).expect("a new bridge");
    for port in 0..PORTS {
        let (port, config, link) = (PortId(port as u16), PortConfig::default(), Nowhere);
        plane.control(Control::Plug { bridge, port, config, link }, Instant::ZERO).expect("a new port");
    }
    let buffer = |destination, source| Arc::new(Buffer::holding(&frame(destination, source), VnetHeader::default()));
    plane.forward(PortId(1), &buffer(BROADCAST, mac(1)), Instant::ZERO);
    for (name, frame) in [("dataplane/unicast", buffer(mac(1), mac(0))), ("dataplane/flood", buffer(BROADCAST, mac(0)))]
    {
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| drop(plane.forward(PortId(0), black_box(&frame), Instant::ZERO)));
        });
    }
}

/// What it costs to count one frame that comes in and leaves: in memory on the stack, in an account of one's own, and in one
/// that is shared with a file.
fn counting(criterion: &mut Criterion) {
    let bytes = frame(mac(1), mac(0));
    let parsed = Frame::parse(&bytes, VnetHeader::default()).expect("a whole header");
    let verdict = Verdict::Unicast { vlan: VlanId::NONE, egress: PortId(1) };
    let count = |counters: &mut PortCounters| {
        let traffic = Traffic::of(black_box(&parsed));
        counters.rx.count(traffic, black_box(&verdict));
        counters.tx.count(traffic);
    };
    let mut plain = PortCounters::default();
    criterion.bench_function("counting/plain", |bencher| bencher.iter(|| count(black_box(&mut plain))));
    let mut own = Account::<PortCounters>::default();
    criterion.bench_function("counting/account", |bencher| bencher.iter(|| count(black_box(&mut own))));
    let path = std::env::temp_dir().join(format!("pontoon-counting-{}", std::process::id()));
    let (mut shared, _) = Account::<PortCounters>::open(&path, 0).expect("a file");
    criterion.bench_function("counting/shared", |bencher| bencher.iter(|| count(black_box(&mut shared))));
    std::fs::remove_file(path).expect("it is there");
}

/// A link that takes everything.
struct Nowhere;

impl Link for Nowhere {
    fn receive(&mut self, _: &mut Pool, _: &mut Vec<Arc<Buffer>>, _: usize) -> Received {
        Received::WouldBlock
    }

    fn transmit(&mut self, _: &Arc<Buffer>, _: Retag) -> Transmit {
        Transmit::Sent
    }

    fn flush(&mut self, _: &mut Vec<Transmit>) {}
}

/// One decision, and how many copies leave.
fn decide(switch: &mut Switch, ingress: u32, bytes: &[u8], now: u64) -> usize {
    let frame = Frame::parse(black_box(bytes), VnetHeader::default()).expect("a whole header");
    match switch.ingress(PortId(ingress as u16), &frame, Instant::from_nanos(now)) {
        Verdict::Unicast { vlan, egress } | Verdict::Local { vlan, egress } => {
            usize::from(switch.egress(egress, &frame, vlan).is_ok())
        }
        Verdict::Flood { vlan, to } => to.iter().filter(|egress| switch.egress(*egress, &frame, vlan).is_ok()).count(),
        Verdict::Drop(reason) => panic!("dropped: {reason}"),
    }
}

fn switch_with(stations: u32) -> Switch {
    let mut switch = Switch::new(Config { max_stations: 2_000_000, ..Config::default() });
    for port in 0..PORTS {
        let config = PortConfig { quota: 1_000_000, ..PortConfig::default() };
        switch.plug(PortId(port as u16), config, Instant::ZERO).expect("a new port");
    }
    for station in 0..stations {
        decide(&mut switch, station % PORTS, &frame(BROADCAST, mac(station)), 0);
    }
    switch
}

fn frame(destination: [u8; 6], source: [u8; 6]) -> [u8; 60] {
    let mut frame = [0; 60];
    frame[..6].copy_from_slice(&destination);
    frame[6..12].copy_from_slice(&source);
    frame[12..14].copy_from_slice(&[0x08, 0x00]);
    frame
}

fn mac(station: u32) -> [u8; 6] {
    let [a, b, c, d] = station.to_be_bytes();
    [2, 0, a, b, c, d]
}

/// A number below `below`, from one below 2³²: the high bits, which are the random ones of such a generator.
fn scale(draw: u32, below: u32) -> u32 {
    ((u64::from(draw) * u64::from(below)) >> 32) as u32
}

criterion_group!(benches, known_unicast, flood, dataplane, counting);
criterion_main!(benches);
