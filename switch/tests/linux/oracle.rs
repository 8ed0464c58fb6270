//! The Linux bridge as oracle: random plans happen to a bridge of the kernel and to our switch, and after every step the same
//! frames have come out of the same ports, and both FDBs know the same stations.
//!
//! Where the two are meant to differ is data: [`differences::ALL`]. A frame that meets one is left out of a plan, and each of
//! them is shown to exist.
//!
//! Every run prints its seed; `PROPTEST_RNG_SEED` repeats it, `PROPTEST_CASES` makes it longer or shorter.

mod ageing;
mod by_vlan;
mod differences;
mod kernel;
mod neighbours;
mod ours;
mod plan;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::thread;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};
use switch::mac::MacAddr;
use switch::vlan::VlanId;

use self::by_vlan::ByVlan;
use self::kernel::Kernel;
use self::ours::Ours;
use self::plan::{BRIDGE, Body, HOST, Plan, Scene, Sent, Step};

crate::trials![
    decides_as_the_linux_bridge_does,
    decides_as_the_linux_bridge_does_with_vlans,
    forgets_as_the_linux_bridge_does,
    differs_from_the_linux_bridge_where_it_is_said_to,
    a_forged_address_of_the_bridge_fools_neither,
];

/// How many plans there are of each kind, if `PROPTEST_CASES` says nothing else.
const PLANS: u32 = 6_000;

/// What comes out, by port.
type Copies = Vec<(u16, Vec<u8>)>;
type Stations = BTreeMap<(VlanId, MacAddr), Behind>;

/// The port that a station is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behind {
    Heard(u16),
    /// By hand, or because it is the bridge itself.
    Fixed(u16),
}

/// What the kernel's bridge and ours have in common.
trait Bridge {
    /// A frame goes into a port. All that comes out, in the order of the ports.
    fn send(&mut self, port: u16, frame: &[u8]) -> Copies;
    fn flush_port(&mut self, port: u16);
    fn flush(&mut self);
    /// An ageing time of zero, and back to the usual one.
    fn age_at_once(&mut self);
    fn age_slowly(&mut self);
    /// A static entry that stays where it is, whatever is heard.
    fn fix(&mut self, vlan: VlanId, station: MacAddr, port: u16);
    fn stations(&mut self) -> Stations;
}

fn decides_as_the_linux_bridge_does() {
    in_scenes(&[Scene::PLAIN]);
}

fn decides_as_the_linux_bridge_does_with_vlans() {
    in_scenes(&Scene::VLANS);
}

fn forgets_as_the_linux_bridge_does() {
    in_namespace(ageing::forgets);
}

fn differs_from_the_linux_bridge_where_it_is_said_to() {
    in_namespace(|| {
        let mut kernel = Kernel::whole(0);
        for difference in differences::ALL {
            println!("{}: {}", difference.name, difference.why);
            kernel.reset();
            (difference.example)(&mut kernel);
        }
    });
}

/// (No step of a plan, since the kernel writes a warning to its log for each such frame.)
fn a_forged_address_of_the_bridge_fools_neither() {
    in_namespace(|| {
        let mut kernel = Kernel::whole(0);
        let mut ours = Ours::new(Scene::PLAIN);
        for (port, from, to) in [(1, BRIDGE, MacAddr::BROADCAST), (1, BRIDGE, BRIDGE), (2, MacAddr([2; 6]), BRIDGE)] {
            let sent = Sent { port, to, from, tags: Vec::new(), body: Body::Bytes(7) };
            agrees(&Step::Send(sent), Scene::PLAIN, &mut ours, &mut kernel).unwrap();
        }
    });
}

fn in_scenes(scenes: &'static [Scene]) {
    in_namespace(|| {
        let mut number = 0;
        let kernels: Vec<_> = scenes.iter().map(|scene| RefCell::new(ByVlan::new(&mut number, *scene))).collect();
        holds(PLANS, &Plan::any(scenes.len()), |plan| {
            let (scene, mut kernel) = (scenes[plan.scene], kernels[plan.scene].borrow_mut());
            let mut ours = Ours::new(scene);
            kernel.reset();
            plan.steps.iter().try_for_each(|step| agrees(step, scene, &mut ours, &mut *kernel))
        });
    });
}

/// Whether a step does the same to both.
fn agrees(step: &Step, scene: Scene, ours: &mut Ours, kernel: &mut impl Bridge) -> Result<(), TestCaseError> {
    match step {
        Step::Send(sent) if differences::ALL.iter().any(|difference| (difference.meets)(sent)) => return Ok(()),
        Step::Send(sent) => {
            let mut expected = ours.send(sent.port, &sent.bytes());
            let lacks = |copy: &_| differences::ALL.iter().any(|difference| (difference.lacks)(copy));
            expected.retain(|copy| !lacks(copy));
            prop_assert_eq!(
                kernel.send(sent.port, &sent.bytes()),
                expected,
                "the kernel's and our copies of {:?}",
                sent
            );
        }
        Step::FlushPort(port) => {
            ours.flush_port(*port);
            kernel.flush_port(*port);
        }
        Step::Flush => {
            ours.flush();
            kernel.flush();
        }
        Step::AgeAtOnce => {
            ours.age_at_once();
            kernel.age_at_once();
        }
        Step::AgeSlowly => {
            ours.age_slowly();
            kernel.age_slowly();
        }
        Step::Fix { station, port, turn } => {
            let vlans = scene.vlans_of(*port);
            // (A port without a VLAN has no station.)
            if let Some(vlan) = vlans.get(turn % vlans.len().max(1)) {
                ours.fix(*vlan, *station, *port);
                kernel.fix(*vlan, *station, *port);
            }
        }
    }
    prop_assert_eq!(kernel.stations(), ours.stations(), "what the kernel and we know after {:?}", step);
    Ok(())
}

/// Whether something holds for so many plans, or as many as `PROPTEST_CASES` says.
pub(super) fn holds<S: Strategy>(plans: u32, strategy: &S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let Config { cases, rng_seed, .. } = Config::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { cases } else { plans };
    let seed = match rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random => u64::from_ne_bytes(*b"oracle!!") ^ u64::from(std::process::id()),
    };
    println!("{cases} plans; the seed is PROPTEST_RNG_SEED={seed}");
    let config = Config { cases, rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..Config::default() };
    if let Err(why) = TestRunner::new(config).run(strategy, test) {
        panic!("with PROPTEST_RNG_SEED={seed}: {why}");
    }
}

/// Runs a test in network and mount namespaces of its own, on one CPU.
fn in_namespace(test: impl FnOnce() + Send + 'static) {
    let ran = thread::spawn(|| {
        kernel::enter();
        test();
    });
    if let Err(panic) = ran.join() {
        std::panic::resume_unwind(panic);
    }
}

/// The host, and the ports that stations are behind.
fn all_ports() -> impl Iterator<Item = u16> {
    std::iter::once(HOST).chain(plan::PORTS)
}
