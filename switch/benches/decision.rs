//! What one decision costs: a frame is parsed, its source learned, its destination looked up, and each copy checked
//! against the port that it leaves by. No memory is touched but the header and the FDB.
//!
//! `dataplane` is one frame through the whole data plane, counters included, between links that do nothing. `batches` are frames by the
//! batch, as a link has them when there is much to do.
//!
//! Pairs of stations are drawn anew for each frame, so with a million stations nothing that a lookup touches is in the caches that are
//! near; two neighbours talking are the case of ten. `lookup` is the FDB alone, one by one, `lookups` by the batch. Frames are made a few at a time beforehand, as they come
//! from a link: to write a few bytes and to read them at once in another width holds a processor up for longer than a decision takes.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use pontoon_switch::account::Account;
use pontoon_switch::buffer::{Buffer, Pool};
use pontoon_switch::counters::{PortCounters, Traffic};
use pontoon_switch::dataplane::{BridgeId, Control, Dataplane, Settings};
use pontoon_switch::forward::{Config, Switch};
use pontoon_switch::frame::Frame;
use pontoon_switch::link::{Link, Received, Transmit};
use pontoon_switch::mac::MacAddr;
use pontoon_switch::port::PortConfig;
use pontoon_switch::time::Instant;
use pontoon_switch::verdict::{PortId, Verdict};
use pontoon_switch::vlan::{Retag, VlanId};
use pontoon_switch::vnet::VnetHeader;

const PORTS: u32 = 16;
const STATIONS: [u32; 3] = [10, 1_000, 1_000_000];
const BATCH: u32 = 64;
const BRIDGE: BridgeId = BridgeId(0);
const BROADCAST: [u8; 6] = [0xff; 6];

fn known_unicast(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("unicast");
    group.throughput(Throughput::Elements(1));
    for stations in STATIONS {
        let mut switch = switch_with(stations);
        let mut pairs = Pairs { stations, first: 0, step: 1, draw: 1 };
        let mut now = 0;
        group.bench_function(BenchmarkId::from_parameter(stations), |bencher| {
            bencher.iter_custom(|times| {
                timed(times, &mut pairs, |frames| {
                    for frame in frames {
                        now += 1;
                        black_box(decide(&mut switch, u32::from(frame[11]) % PORTS, frame, now));
                    }
                })
            });
        });
        assert_eq!(switch.fdb().counters().moved, 0, "every station stays behind its port");
    }
    group.finish();
}

fn lookup(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("lookup");
    group.throughput(Throughput::Elements(1));
    for stations in STATIONS {
        let switch = switch_with(stations);
        let mut pairs = Pairs { stations, first: 0, step: 1, draw: 1 };
        group.bench_function(BenchmarkId::from_parameter(stations), |bencher| {
            let station = |frame: &Header| MacAddr(frame[..6].try_into().expect("six"));
            let find = |frame: &Header| switch.fdb().lookup(VlanId::NONE, station(frame), Instant::ZERO);
            bencher.iter_custom(|times| {
                timed(times, &mut pairs, |frames| {
                    for frame in frames {
                        black_box(find(frame));
                    }
                })
            });
        });
    }
    group.finish();
}

/// As the data plane looks stations up, where a link has a batch: ahead, where the table is large.
fn lookups(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("lookups");
    group.throughput(Throughput::Elements(1));
    for stations in STATIONS {
        let switch = switch_with(stations);
        let fdb = switch.fdb();
        let mut pairs = Pairs { stations, first: 0, step: 1, draw: 1 };
        group.bench_function(BenchmarkId::from_parameter(stations), |bencher| {
            let station = |frame: &Header| MacAddr(frame[..6].try_into().expect("six"));
            bencher.iter_custom(|times| {
                timed(times, &mut pairs, |frames| {
                    for batch in frames.chunks(BATCH as usize) {
                        if fdb.is_large() {
                            batch.iter().for_each(|frame| fdb.look_ahead(VlanId::NONE, station(frame)));
                        }
                        for frame in batch {
                            black_box(fdb.lookup(VlanId::NONE, station(frame), Instant::ZERO));
                        }
                    }
                })
            });
        });
    }
    group.finish();
}

/// Frames by the batch, from ports in turn, each to a station drawn anew.
fn batches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("batches");
    group.throughput(Throughput::Elements(u64::from(BATCH)));
    for stations in STATIONS {
        let mut plane = Dataplane::new(Settings::default());
        let config = Config { max_stations: 2_000_000, ..Config::default() };
        plane.control(Control::AddBridge { bridge: BRIDGE, name: String::new(), config }, Instant::ZERO).expect("new");
        for port in 0..PORTS {
            let link = Talkers(Pairs { stations, first: port, step: PORTS, draw: 1 + port });
            let config = PortConfig { quota: 1_000_000, ..PortConfig::default() };
            let plug = Control::Plug { bridge: BRIDGE, port: PortId(port as u16), config, link };
            plane.control(plug, Instant::ZERO).expect("a new port");
        }
        for station in 0..stations {
            let all = Buffer::holding(&frame(BROADCAST, mac(station)), VnetHeader::default());
            plane.forward(PortId((station % PORTS) as u16), &Arc::new(all), Instant::ZERO);
        }
        let mut turn = 0;
        group.bench_function(BenchmarkId::from_parameter(stations), |bencher| {
            bencher.iter(|| {
                turn = (turn + 1) % PORTS.min(stations) as u16;
                plane.service(PortId(turn), Instant::ZERO)
            });
        });
        let fdb = plane.switch(BRIDGE).expect("it is there").fdb().counters();
        assert_eq!((fdb.learned, fdb.moved), (u64::from(stations), 0), "every station stays behind its port");
    }
    group.finish();
}

/// A link with a full batch whenever it is asked, of frames from stations behind its port.
struct Talkers(Pairs);

impl Link for Talkers {
    fn receive(&mut self, pool: &mut Pool, into: &mut Vec<Arc<Buffer>>, limit: usize) -> Received {
        for _ in 0..limit {
            let mut buffer = pool.take().expect("no link keeps any");
            let it = Arc::get_mut(&mut buffer).expect("nobody else has it");
            it.room()[..size_of::<Header>()].copy_from_slice(&self.0.draw());
            it.set_len(60);
            into.push(buffer);
        }
        Received::More
    }

    fn transmit(&mut self, _: &Arc<Buffer>, _: Retag) -> Transmit {
        Transmit::Sent
    }

    fn flush(&mut self, _: &mut Vec<Transmit>) {}
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
    let bridge = BRIDGE;
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

/// The beginning of a frame, as long as a register.
type Header = [u8; 16];

/// Frames of stations `first`, `first + step` and so on, drawn by chance, each to the station after.
struct Pairs {
    stations: u32,
    first: u32,
    step: u32,
    draw: u32,
}

impl Pairs {
    fn draw(&mut self) -> Header {
        self.draw = self.draw.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let behind = (self.stations - self.first).div_ceil(self.step);
        let source = scale(self.draw, behind) * self.step + self.first;
        // The next station is behind the next port.
        let frame = frame(mac((source + 1) % self.stations), mac(source));
        frame[..size_of::<Header>()].try_into().expect("it is longer")
    }
}

/// How long `times` frames take, without the making of them.
#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn timed(times: u64, pairs: &mut Pairs, mut work: impl FnMut(&[Header])) -> Duration {
    const AT_ONCE: u64 = 1024;
    let mut took = Duration::ZERO;
    let mut frames = Vec::with_capacity(AT_ONCE as usize);
    for done in (0..times).step_by(AT_ONCE as usize) {
        frames.clear();
        frames.extend((0..AT_ONCE.min(times - done)).map(|_| pairs.draw()));
        let began = std::time::Instant::now();
        work(&frames);
        took += began.elapsed();
    }
    took
}

/// A number below `below`, from one below 2³²: the high bits, which are the random ones of such a generator.
fn scale(draw: u32, below: u32) -> u32 {
    ((u64::from(draw) * u64::from(below)) >> 32) as u32
}

criterion_group!(benches, lookup, lookups, known_unicast, batches, flood, dataplane, counting);
criterion_main!(benches);
