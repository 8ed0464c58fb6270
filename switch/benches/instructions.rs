//! Instructions per frame, counted by valgrind's callgrind: a figure that neither the clock nor other work on the machine moves, so CI
//! can hold it. `cargo bench -p pontoon-switch --bench instructions` counts and compares with `instructions.txt`, and fails if
//! one is off by more than 5 %, either way: what was gained is kept by `-- --update`, which writes the file anew.
//!
//! The counts depend on the compiler, whose version stands in the file, and a little on the C library (memcpy).

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;

use pontoon_switch::buffer::{Buffer, Pool};
use pontoon_switch::dataplane::{BridgeId, Control, Dataplane, Settings};
use pontoon_switch::forward::{Config, Switch};
use pontoon_switch::frame::Frame;
use pontoon_switch::link::{Link, Received, Transmit};
use pontoon_switch::port::PortConfig;
use pontoon_switch::time::Instant;
use pontoon_switch::verdict::{PortId, Verdict};
use pontoon_switch::vlan::{PortVlans, Retag, VlanId};
use pontoon_switch::vnet::VnetHeader;

const PORTS: u16 = 16;
/// Frames that are counted, after as many that are not.
const FRAMES: u64 = 1024;
/// How much a count may differ, in per cent.
const TOLERANCE: u64 = 5;
const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.txt");
const BROADCAST: [u8; 6] = [0xff; 6];
const RESERVED: [u8; 6] = [0x01, 0x80, 0xc2, 0, 0, 0];

/// What is counted: its name, and what happens to [`FRAMES`] frames.
const CASES: [(&str, fn()); 5] = [
    ("decision_unicast", decision),
    ("dataplane_unicast", || dataplane(Config::default(), &untagged(mac(1)), 1)),
    ("dataplane_flood_to_15", || dataplane(Config::default(), &untagged(BROADCAST), 15)),
    ("dataplane_drop", || dataplane(Config::default(), &untagged(RESERVED), 0)),
    ("dataplane_vlan_tagged", || dataplane(Config { vlan_filtering: true, ..Config::default() }, &tagged(mac(1)), 1)),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let said: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match said.as_slice() {
        ["case", name] => {
            let (_, case) = CASES.iter().find(|(known, _)| known == name).expect("a case");
            case();
            ExitCode::SUCCESS
        }
        _ if said.contains(&"--test") => {
            println!("instructions are counted by `cargo bench`, not tested");
            ExitCode::SUCCESS
        }
        _ => match count_all() {
            Ok(counts) if said.contains(&"--update") => keep(&counts),
            Ok(counts) => compare(&counts),
            Err(why) => {
                eprintln!("error: count instructions: {why}");
                ExitCode::FAILURE
            }
        },
    }
}

/// Instructions per frame, rounded, by case.
type Counts = Vec<(String, u64)>;

fn count_all() -> Result<Counts, String> {
    CASES.iter().map(|(name, _)| Ok(((*name).to_owned(), count(name)?))).collect()
}

/// Runs one case under callgrind, which counts inside of [`counted`] only.
fn count(name: &str) -> Result<u64, String> {
    let program = std::env::current_exe().map_err(|why| why.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*instructions*counted*"])
        .arg(program)
        .args(["case", name])
        .output()
        .map_err(|why| format!("run valgrind: {why}\nhint: install it (Debian: apt-get install valgrind)"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{name} under valgrind: {}\n{said}", output.status));
    }
    let collected = said.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse::<u64>().ok());
    match collected {
        Some(all) if all >= FRAMES => Ok((all + FRAMES / 2) / FRAMES),
        _ => Err(format!("{name}: valgrind has counted nothing\n{said}")),
    }
}

fn compare(counts: &Counts) -> ExitCode {
    let (compiler, kept) = match kept() {
        Ok(kept) => kept,
        Err(why) => {
            eprintln!("error: {why}");
            return ExitCode::FAILURE;
        }
    };
    let mut off = Vec::new();
    println!("{:<24} {:>8} {:>8}", "instructions per frame", "now", "kept");
    for (name, now) in counts {
        let before = kept.iter().find(|(known, _)| known == name).map(|(_, count)| *count);
        println!("{name:<24} {now:>8} {:>8}", before.map_or_else(|| "-".to_owned(), |count| count.to_string()));
        if before.is_none_or(|before| now.abs_diff(before) * 100 > before * TOLERANCE) {
            off.push(name.as_str());
        }
    }
    let ours = rustc();
    if ours != compiler {
        println!("note: the kept counts are those of {compiler}; this is {ours}");
    }
    if off.is_empty() {
        return ExitCode::SUCCESS;
    }
    eprintln!("error: off by more than {TOLERANCE} %: {}", off.join(", "));
    eprintln!(
        "hint: where that is meant, keep the new counts: cargo bench -p pontoon-switch --bench instructions -- --update"
    );
    ExitCode::FAILURE
}

fn keep(counts: &Counts) -> ExitCode {
    let mut text =
        format!("# Instructions per frame: see instructions.rs, which writes this file.\ncompiler {}\n", rustc());
    for (name, count) in counts {
        let _ = writeln!(text, "{name} {count}");
    }
    print!("{text}");
    match std::fs::write(KEPT, text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: write {KEPT}: {why}");
            ExitCode::FAILURE
        }
    }
}

/// The compiler of the kept counts, and they.
fn kept() -> Result<(String, Counts), String> {
    let text = std::fs::read_to_string(Path::new(KEPT)).map_err(|why| format!("read {KEPT}: {why}"))?;
    let pairs = text.lines().filter_map(|line| line.split_once(' ').filter(|(name, _)| *name != "#"));
    let (compiler, counts): (Vec<_>, Vec<_>) = pairs.partition(|(name, _)| *name == "compiler");
    let counts = counts.into_iter().map(|(name, count)| Ok((name.to_owned(), count.parse::<u64>()?)));
    let counts = counts.collect::<Result<_, std::num::ParseIntError>>().map_err(|why| format!("{KEPT}: {why}"))?;
    Ok((compiler.first().map_or_else(|| "no known compiler".to_owned(), |(_, version)| (*version).to_owned()), counts))
}

fn rustc() -> String {
    let said = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())).arg("--version").output();
    said.map_or_else(|_| "an unknown compiler".to_owned(), |it| String::from_utf8_lossy(&it.stdout).trim().to_owned())
}

/// Known to callgrind by its name.
#[inline(never)]
fn counted(work: &mut dyn FnMut()) {
    for _ in 0..FRAMES {
        work();
    }
}

/// Once to get warm, which is not counted, and once that is.
fn warm_and_counted(mut work: impl FnMut()) {
    (0..FRAMES).for_each(|_| work());
    counted(&mut work);
}

/// The switch alone: a known station, parsed, learned, looked up, checked for its egress.
fn decision() {
    let mut switch = Switch::new(Config::default());
    for port in 0..PORTS {
        switch.plug(PortId(port), PortConfig::default(), Instant::ZERO).expect("a new port");
    }
    let (back, bytes) = (untagged_from(mac(1), BROADCAST), untagged(mac(1)));
    let back = Frame::parse(&back, VnetHeader::default()).expect("a whole header");
    switch.ingress(PortId(1), &back, Instant::ZERO);
    let mut now = 0;
    warm_and_counted(|| {
        now += 1;
        let frame = Frame::parse(black_box(&bytes), VnetHeader::default()).expect("a whole header");
        match switch.ingress(PortId(0), &frame, Instant::from_nanos(now)) {
            Verdict::Unicast { vlan, egress } => {
                black_box(switch.egress(egress, &frame, vlan)).expect("it fits");
            }
            other => panic!("not known: {other:?}"),
        }
    });
}

/// Frames that come in by port 0, one a batch, through the whole data plane.
fn dataplane(config: Config, bytes: &[u8], copies: u64) {
    let bridge = BridgeId(0);
    let mut plane = Dataplane::new(Settings { batch: 1, ..Settings::default() });
    let vlan = VlanId::new(7).expect("a VLAN");
    let vlans = if config.vlan_filtering {
        PortVlans::Trunk { native: None, tagged: vec![vlan] }
    } else {
        PortVlans::default()
    };
    plane.control(Control::AddBridge { bridge, name: String::new(), config }, Instant::ZERO).expect("a new bridge");
    for port in 0..PORTS {
        let config = PortConfig { vlans: vlans.clone(), ..PortConfig::default() };
        let link = Talker(bytes.to_vec());
        plane.control(Control::Plug { bridge, port: PortId(port), config, link }, Instant::ZERO).expect("a new port");
    }
    let mut first = bytes.to_vec();
    first[..6].copy_from_slice(&BROADCAST);
    first[6..12].copy_from_slice(&mac(1));
    plane.forward(PortId(1), &Arc::new(Buffer::holding(&first, VnetHeader::default())), Instant::ZERO);
    let sent = |plane: &Dataplane<Talker>| -> u64 {
        (1..PORTS).map(|port| plane.counters(PortId(port)).expect("it is there").tx.packets).sum()
    };
    let before = sent(&plane);
    let mut now = 0;
    warm_and_counted(|| {
        now += 1;
        black_box(plane.service(PortId(0), Instant::from_nanos(now)));
    });
    assert_eq!(sent(&plane) - before, 2 * FRAMES * copies);
}

/// A link with a frame whenever it is asked, that takes everything.
struct Talker(Vec<u8>);

impl Link for Talker {
    fn receive(&mut self, pool: &mut Pool, into: &mut Vec<Arc<Buffer>>, limit: usize) -> Received {
        for _ in 0..limit {
            let mut buffer = pool.take().expect("no link keeps any");
            let it = Arc::get_mut(&mut buffer).expect("nobody else has it");
            it.room()[..self.0.len()].copy_from_slice(&self.0);
            it.set_len(self.0.len());
            into.push(buffer);
        }
        Received::More
    }

    fn transmit(&mut self, _: &Arc<Buffer>, _: Retag) -> Transmit {
        Transmit::Sent
    }

    fn flush(&mut self, _: &mut Vec<Transmit>) {}
}

fn untagged(destination: [u8; 6]) -> Vec<u8> {
    untagged_from(mac(0), destination)
}

fn untagged_from(source: [u8; 6], destination: [u8; 6]) -> Vec<u8> {
    [&destination[..], &source, &[0x08, 0x00], &[0; 46]].concat()
}

fn tagged(destination: [u8; 6]) -> Vec<u8> {
    [&destination[..], &mac(0), &[0x81, 0x00, 0x00, 0x07], &[0x08, 0x00], &[0; 46]].concat()
}

fn mac(station: u8) -> [u8; 6] {
    [2, 0, 0, 0, 0, station]
}
