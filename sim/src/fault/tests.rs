//! What faults do to many frames, with a fixed seed: exactly this.

use std::time::Duration;

use super::*;
use crate::cable::{CableId, Direction};
use crate::chance::Chance;
use crate::rule::{Fate, LineId, Passage, Rule};

const LINE: LineId = LineId { cable: CableId(1), direction: Direction::ToSwitch };
const MANY: u32 = 10_000;

/// What a rule says of so many frames of 60 bytes, a microsecond apart.
fn ask(rule: &mut impl Rule, count: u32) -> Vec<Fate> {
    ask_about(rule, count, &[0; 60])
}

fn ask_about(rule: &mut impl Rule, count: u32, frame: &[u8]) -> Vec<Fate> {
    let mut chance = Chance::new(1);
    let mut at = |number: u32| {
        let now = Duration::from_micros(1) * number;
        rule.decide(&mut Passage { now, line: LINE, port: "web.eth0", frame, chance: &mut chance })
    };
    (0..count).map(&mut at).collect()
}

fn dropped(fates: &[Fate]) -> usize {
    fates.iter().filter(|fate| **fate == Fate::Drop).count()
}

fn delays(fates: &[Fate]) -> Vec<u128> {
    let delay = |fate: &Fate| match fate {
        Fate::DeliverAfter(delay) => delay.as_micros(),
        Fate::Pass | Fate::Duplicate(_) | Fate::Corrupt(_) | Fate::Drop => 0,
    };
    fates.iter().map(delay).collect()
}

fn share_below(delays: &[u128], bound: u128) -> f64 {
    delays.iter().filter(|delay| **delay < bound).count() as f64 / delays.len() as f64
}

#[test]
fn loss_takes_its_share() {
    assert_eq!(dropped(&ask(&mut Loss::new(0.1), MANY)), 963);
    assert_eq!(dropped(&ask(&mut Loss::new(0.0), MANY)), 0);
    assert_eq!(dropped(&ask(&mut Loss::new(1.0), MANY)), MANY as usize);
}

#[test]
fn bursts_are_as_long_and_as_frequent_as_they_are_to_be() {
    let fates = ask(&mut GilbertElliott::new(0.01, 0.25), MANY);
    let bursts = fates.chunk_by(|one, other| one == other).filter(|run| run[0] == Fate::Drop).count();
    // 0.01 / 0.26 of the frames, in bursts of four.
    assert_eq!((dropped(&fates), bursts), (434, 105));
    // Half of the bad ones, and one of a hundred of the good.
    let mild = ask(&mut GilbertElliott::new(0.01, 0.25).loss(0.01, 0.5), MANY);
    assert_eq!(dropped(&mild), 320);
}

#[test]
fn each_line_is_bad_for_itself() {
    let (mut rule, mut chance) = (GilbertElliott::new(0.1, 0.0), Chance::new(1));
    let mut passed = [0, 0];
    for _ in 0..100 {
        for (cable, passed) in (1..).zip(&mut passed) {
            let line = LineId { cable: CableId(cable), ..LINE };
            let fate =
                rule.decide(&mut Passage { now: Duration::ZERO, line, port: "", frame: &[0; 60], chance: &mut chance });
            *passed += u32::from(fate == Fate::Pass);
        }
    }
    assert_eq!(passed, [3, 31], "once bad, for ever bad");
}

#[test]
fn jitter_is_distributed_as_it_is_to_be() {
    let uniform = delays(&ask(&mut Jitter::uniform(Duration::from_millis(8)), MANY));
    assert!(uniform.iter().all(|delay| *delay <= 8000));
    assert_eq!(share_below(&uniform, 2000), 0.2463);
    let normal = Jitter::normal(Duration::from_millis(20), Duration::from_millis(5));
    let normal = delays(&ask(&mut normal.clone(), MANY));
    assert_eq!(share_below(&normal, 20_000), 0.5034);
    // One deviation below the mean: 0.1587 of all.
    assert_eq!(share_below(&normal, 15_000), 0.1515);
    let none = Jitter::normal(Duration::ZERO, Duration::from_millis(5));
    assert_eq!(share_below(&delays(&ask(&mut none.clone(), MANY)), 1), 0.5035);
}

#[test]
fn jitter_keeps_order_if_it_is_told_to() {
    let arrivals = |mut rule: Jitter| -> Vec<u128> {
        delays(&ask(&mut rule, 1000)).iter().zip(0..).map(|(delay, sent)| delay + sent).collect()
    };
    let rule = Jitter::uniform(Duration::from_micros(100));
    assert!(!arrivals(rule.clone()).is_sorted());
    assert!(arrivals(rule.in_order()).is_sorted());
}

#[test]
fn some_frames_are_held_back() {
    let by = Duration::from_millis(3);
    let fates = ask(&mut Reorder::new(0.25, by), MANY);
    let held = fates.iter().filter(|fate| **fate == Fate::DeliverAfter(by)).count();
    assert_eq!((held, fates.iter().filter(|fate| **fate == Fate::Pass).count()), (2463, 7537));
}

#[test]
fn some_frames_come_twice() {
    let fates = ask(&mut Duplicate::new(0.02), MANY);
    assert_eq!(fates.iter().filter(|fate| **fate == Fate::Duplicate(Duration::ZERO)).count(), 182);
}

#[test]
fn one_bit_of_some_frames_is_flipped_anywhere() {
    let fates = ask(&mut Corrupt::bit(0.5), MANY);
    let mut hits = [0_u32; 60];
    for fate in &fates {
        let Fate::Corrupt(frame) = fate else { continue };
        let flipped: u32 = frame.iter().map(|byte| byte.count_ones()).sum();
        assert_eq!((frame.len(), flipped), (60, 1));
        frame.iter().zip(&mut hits).for_each(|(byte, hits)| *hits += byte.count_ones());
    }
    assert_eq!((hits.iter().sum::<u32>(), *hits.iter().min().unwrap(), *hits.iter().max().unwrap()), (5005, 62, 104));
    assert_eq!(ask_about(&mut Corrupt::bit(1.0), 1, &[]), [Fate::Pass], "there is nothing to spoil");
}

#[test]
fn a_few_bytes_in_a_row_change_and_each_of_them_does() {
    for fate in ask(&mut Corrupt::bytes(1.0, 3), 1000) {
        let Fate::Corrupt(frame) = fate else { panic!("{fate:?}") };
        let changed: Vec<usize> = (0..60).filter(|at| frame[*at] != 0).collect();
        assert_eq!((changed.len(), changed[2] - changed[0]), (3, 2));
    }
    let all = ask_about(&mut Corrupt::bytes(1.0, 99), 1, &[0; 4]);
    assert!(matches!(&all[0], Fate::Corrupt(frame) if frame.iter().all(|byte| *byte != 0) && frame.len() == 4));
}

#[test]
fn a_cut_passes_nothing_and_a_flapping_cable_half_of_the_time() {
    assert_eq!(dropped(&ask(&mut Cut, 10)), 10);
    let fates = ask(&mut Flap::new(Duration::from_micros(3), Duration::from_micros(2)), 10);
    let passes: Vec<bool> = fates.iter().map(|fate| *fate == Fate::Pass).collect();
    assert_eq!(passes, [true, true, true, false, false, true, true, true, false, false]);
    assert_eq!(dropped(&ask(&mut Flap::new(Duration::ZERO, Duration::ZERO), 10)), 0);
}

#[test]
fn only_long_frames_vanish_in_a_hole() {
    let mut hole = MtuHole::new(1414);
    assert_eq!(ask_about(&mut hole, 1, &[0; 1414]), [Fate::Pass]);
    assert_eq!(ask_about(&mut hole, 1, &[0; 1415]), [Fate::Drop]);
}

#[test]
#[should_panic(expected = "1.5 is no probability")]
fn what_is_no_probability_is_said_to_be_none() {
    let _ = Loss::new(1.5);
}
