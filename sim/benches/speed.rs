//! How fast a world is, in real time: frames through a switch of 16 ports, cables included, and a thousand containers that
//! start and talk. Figures, no judgement: what is fast enough is for whoever reads them.
//!
//!     cargo bench -p pontoon-sim

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use netns::manager::RunRequest;
use pontoon_sim::{CableHandle, Direction, Place, Program, World};

/// The gateway's and those of the containers.
const PORTS: usize = 16;
const FRAMES: usize = 2_000_000;
/// As many as a data plane moves at a time.
const BURST: usize = 64;
const CONTAINERS: u32 = 1000;

fn main() {
    for len in [60, 1514] {
        frames(len);
    }
    containers();
}

/// Bursts from each container to the next one.
fn frames(len: usize) {
    let mut world = World::builder().seed(1).up().expect("a world");
    let places: Vec<Place> = (1..PORTS).map(|number| start(&mut world, number as u32)).collect();
    world.advance(Duration::from_secs(1));
    let cables: Vec<CableHandle> = places.iter().map(|place| world.cable(place, "eth0").expect("a cable")).collect();
    let stations: Vec<[u8; 6]> = places.iter().map(|place| world.interfaces(place).expect("seen")[1].mac.0).collect();
    let next = stations.iter().cycle().skip(1);
    let frames: Vec<Vec<u8>> = stations.iter().zip(next).map(|(from, to)| frame(to, from, len)).collect();
    let delivered = |cables: &[CableHandle]| -> u64 {
        cables.iter().map(|cable| cable.statistics(Direction::FromSwitch).delivered).sum()
    };

    let (before, events) = (delivered(&cables), world.events());
    let took = timed(|| {
        for _ in 0..FRAMES / BURST / cables.len() {
            for (cable, frame) in cables.iter().zip(&frames) {
                (0..BURST).for_each(|_| cable.inject(frame.clone()).expect("room"));
            }
            world.advance(Duration::from_micros(20));
        }
    });
    let crossed = delivered(&cables) - before;
    let rate = crossed as f64 / took.as_secs_f64();
    println!(
        "{PORTS} ports, {len} bytes: {:.2} million frames/s, {:.0} ns each ({crossed} frames, {} events)",
        rate / 1e6,
        1e9 / rate,
        world.events() - events,
    );
}

/// All start, and each pings the one after it.
fn containers() {
    let mut world = World::builder().seed(1).up().expect("a world");
    let mut places = Vec::new();
    let started = timed(|| places.extend((0..CONTAINERS).map(|number| start(&mut world, number))));
    let pinged = timed(|| {
        for (number, place) in (0..).zip(&places) {
            let neighbour = u32::from(Ipv4Addr::new(172, 17, 0, 2)) + (number + 1) % CONTAINERS;
            assert!(world.ping(place, Ipv4Addr::from(neighbour)), "{place:?}");
        }
    });
    println!(
        "{CONTAINERS} containers: {:.2} s to start, {:.2} s until each has pinged the next ({} events)",
        started.as_secs_f64(),
        pinged.as_secs_f64(),
        world.events(),
    );
}

fn start(world: &mut World, number: u32) -> Place {
    let name = format!("c{number}");
    let request = RunRequest { name: Some(name.parse().expect("a name")), ..RunRequest::new(vec!["sleep".into()]) };
    world.run(request, Program::Sleep).expect("a container");
    Place::container(name)
}

fn frame(to: &[u8; 6], from: &[u8; 6], len: usize) -> Vec<u8> {
    let mut frame = [&to[..], from, &[0x88, 0xb5]].concat();
    frame.resize(len, 0);
    frame
}

#[expect(clippy::disallowed_methods, reason = "this is about real time")]
fn timed(work: impl FnOnce()) -> Duration {
    let began = Instant::now();
    work();
    began.elapsed()
}
