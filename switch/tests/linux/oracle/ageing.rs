//! Ageing in real time: stations are heard in rounds, and between two rounds there is a pause of more than half the ageing
//! time. Whoever was heard in the last round is known, whoever was silent in two is not.
//!
//! Our switch is told by the number of the round what time it is. The kernel has a clock: a round that began too late for
//! what it is to show shows nothing, and all begins anew.

use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use switch::mac::MacAddr;

use super::kernel::Kernel;
use super::ours::Ours;
use super::plan::{Body, PORTS, Scene, Sent, Step};
use super::{Bridge as _, agrees};
use crate::scene::waited_for;

const AGEING: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(1_200);
const ROUNDS: usize = 6;
/// How often a plan may begin anew on a machine that is busy with other things.
const TRIES: usize = 20;

/// What is said in each round.
type Rounds = Vec<Vec<Sent>>;

pub(super) fn forgets() {
    let mut kernel = Kernel::whole(0);
    for seed in [1, 2] {
        let rounds = rounds(seed);
        let shown = (0..TRIES).any(|_| shows(&rounds, &mut kernel));
        assert!(shown, "this machine was too slow {TRIES} times");
    }
}

fn rounds(seed: u64) -> Rounds {
    let station = || (0..40_u8).prop_map(|last| MacAddr([2, 0, 0, 0, 0, last]));
    let sent = (PORTS, station(), station()).prop_map(|(port, from, to)| Sent {
        port,
        to,
        from,
        tags: Vec::new(),
        body: Body::Bytes(7),
    });
    let mut runner = TestRunner::new(Config { rng_seed: RngSeed::Fixed(seed), ..Config::default() });
    vec(vec(sent, 10..20), ROUNDS).new_tree(&mut runner).expect("nothing is rejected").current()
}

/// Whether time allowed to show that both bridges do the same.
#[expect(clippy::disallowed_methods, reason = "the kernel's time is real time")]
fn shows(rounds: &Rounds, kernel: &mut Kernel) -> bool {
    kernel.reset();
    kernel.set_ageing(AGEING);
    let mut ours = Ours::new(Scene::PLAIN);
    ours.set_ageing(AGEING);
    let mut last_began = Instant::now();
    for round in rounds {
        let began = Instant::now();
        // What has expired is gone from the kernel's table a moment later.
        waited_for(|| kernel.is_swept().then_some(()));
        let before = (kernel.stations(), ours.stations());
        let agreed: Result<(), _> =
            round.iter().try_for_each(|sent| agrees(&Step::Send(sent.clone()), Scene::PLAIN, &mut ours, kernel));
        if last_began.elapsed() >= AGEING {
            return false;
        }
        assert_eq!(before.0, before.1, "the kernel's stations and ours after a pause");
        agreed.unwrap();
        std::thread::sleep(PAUSE);
        last_began = began;
        ours.now = ours.now + PAUSE;
    }
    true
}
