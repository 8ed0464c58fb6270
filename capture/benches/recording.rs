//! What watching costs a frame: one known unicast through the whole data plane, between links that do nothing, watched by
//! nobody, by a recorder whose chunks somebody empties, and by a flight recorder.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use pontoon_capture::filter::Filter;
use pontoon_capture::recorder::{Recorder, Ring, Selection, tube};
use switch::buffer::{Buffer, Pool};
use switch::dataplane::{BridgeId, Control, Dataplane, Settings, Watch};
use switch::engine::Watcher as _;
use switch::forward::Config;
use switch::link::{Link, Received, Transmit};
use switch::port::PortConfig;
use switch::time::Instant;
use switch::verdict::PortId;
use switch::vlan::Retag;
use switch::vnet::VnetHeader;

const A: [u8; 6] = [2, 0, 0, 0, 0, 0xa];
const B: [u8; 6] = [2, 0, 0, 0, 0, 0xb];

fn recording(criterion: &mut Criterion) {
    for length in [60, 1514, 65_000] {
        let mut group = criterion.benchmark_group(format!("{length} bytes"));
        let mut plane = plane();
        let frame = frame(length);
        group.bench_function("nobody", |bencher| bencher.iter(|| forward(&mut plane, &frame, 0, &mut ())));
        for (name, filter) in [("capture", None), ("capture of what a filter refuses", Some("tcp port 80"))] {
            let (tube, drain) = tube(4);
            let filter = filter.map(|text| Filter::parse(text).expect("a filter"));
            let selection = Selection { filter, ..Selection::default() };
            let mut recorder = Recorder::new(selection, tube, Vec::new(), Instant::ZERO);
            group.bench_function(name, |bencher| {
                bencher.iter(|| {
                    forward(&mut plane, &frame, 0, &mut recorder);
                    while let Ok(chunk) = drain.chunks().try_recv() {
                        drain.give_back(chunk);
                    }
                });
            });
            assert_eq!(recorder.tally().lost, 0);
        }
        let ring = Ring::new(Duration::from_secs(60), 64 << 20);
        let selection = Selection { snaplen: 256, ..Selection::default() };
        let mut recorder = Recorder::new(selection, ring, Vec::new(), Instant::ZERO);
        let mut now = 0;
        group.bench_function("flight recorder", |bencher| {
            bencher.iter(|| {
                now += 1000;
                forward(&mut plane, &frame, now, &mut recorder);
                // (The loop asks after each batch.)
                if now % 64_000 == 0 && recorder.round(Instant::from_nanos(now)) {
                    let state = plane.start_state(Instant::from_nanos(now));
                    recorder.start(state, Instant::from_nanos(now));
                }
            });
        });
        assert_eq!(recorder.tally().lost, 0);
        group.finish();
    }
}

fn forward(plane: &mut Dataplane<Nowhere>, frame: &Arc<Buffer>, now: u64, watch: &mut impl Watch) {
    drop(plane.forward_watched(PortId(0), black_box(frame), Instant::from_nanos(now), watch));
}

fn plane() -> Dataplane<Nowhere> {
    let mut plane = Dataplane::new(Settings::default());
    let (bridge, config) = (BridgeId(0), Config { ageing: Duration::from_secs(1_000_000), ..Config::default() });
    plane.control(Control::AddBridge { bridge, name: String::new(), config }, Instant::ZERO).expect("a new bridge");
    for port in 0..2 {
        let config = PortConfig { mtu: 65_521, ..PortConfig::default() };
        let plug = Control::Plug { bridge, port: PortId(port), config, link: Nowhere };
        plane.control(plug, Instant::ZERO).expect("a new port");
    }
    let answer = [&A[..], &B, &[0x08, 0x00]].concat();
    plane.forward(PortId(1), &Arc::new(Buffer::holding(&answer, VnetHeader::default())), Instant::ZERO);
    plane
}

fn frame(length: usize) -> Arc<Buffer> {
    let mut bytes = [&B[..], &A, &[0x08, 0x00, 0x45]].concat();
    bytes.resize(length, 0x55);
    Arc::new(Buffer::holding(&bytes, VnetHeader::default()))
}

/// A link that takes everything.
#[derive(Debug)]
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

criterion_group!(benches, recording);
criterion_main!(benches);
