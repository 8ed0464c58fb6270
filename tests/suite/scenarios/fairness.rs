//! What one container does costs no other: floods, forged stations, receivers that are switched off or stopped.

use std::collections::BTreeSet;

use switch::mac::MacAddr;
use switch::port::PortConfig;
use switch::verdict::DropReason;

use super::scenarios;
use crate::frames::{EXPERIMENTAL, ethernet, pattern};
use crate::lab::{Lab, Place, assert_all_reach_each_other, counters, ip_of, mac_of, run_all};

scenarios![
    a_hundred_thousand_forged_stations_push_nobody_elses_out,
    a_receiver_that_is_switched_off_loses_its_own_copies_and_nobody_elses,
    a_container_that_is_stopped_holds_nobody_up,
    the_shortest_frame_crosses_and_a_shorter_one_never_comes,
];

const SIGCONT: i32 = 18;
const SIGSTOP: i32 = 19;

fn a_hundred_thousand_forged_stations_push_nobody_elses_out(lab: &mut dyn Lab) {
    const FORGED: u32 = 100_000;
    const ROUNDS: u32 = 20;
    lab.up();
    run_all(lab, &["liar", "a", "b"]);
    assert_all_reach_each_other(lab, &["liar", "a", "b"]);
    let (a, b, liar) = (mac_of(lab, "a"), mac_of(lab, "b"), mac_of(lab, "liar"));
    let (at_a, at_b) = (ip_of(lab, "a"), ip_of(lab, "b"));
    for round in 0..ROUNDS {
        let forge = |number: u32| {
            let [_, high, middle, low] = number.to_be_bytes();
            ethernet(a, MacAddr([0x0a, 0xfa, 0x15, high, middle, low]), EXPERIMENTAL, b"I am new here")
        };
        let numbers = round * FORGED / ROUNDS..(round + 1) * FORGED / ROUNDS;
        lab.inject_all(Place::In("liar"), "eth0", &mut numbers.map(forge));
        assert!(lab.ping(Place::In("a"), at_b, 56), "a reaches b in round {round}");
        assert!(lab.ping(Place::In("liar"), at_a, 56), "nor does it harm itself, in round {round}");
    }
    let rows = lab.fdb();
    let behind = |port: &str| rows.iter().filter(|row| row.port == port).map(|row| row.mac).collect::<BTreeSet<_>>();
    assert_eq!((behind("a.eth0"), behind("b.eth0")), (BTreeSet::from([a]), BTreeSet::from([b])));
    let forged = behind("liar.eth0");
    assert_eq!(forged.len(), PortConfig::DEFAULT_QUOTA, "no more than its quota");
    assert!(forged.contains(&liar), "it was known before");
    let bridge = lab.statistics().swap_remove(0);
    assert!(bridge.fdb.refused_quota > 1_000, "{:?}", bridge.fdb);
    assert_eq!((bridge.fdb.refused_table_full, bridge.fdb.evicted), (0, 0));
}

fn a_receiver_that_is_switched_off_loses_its_own_copies_and_nobody_elses(lab: &mut dyn Lab) {
    const FRAMES: u32 = 200;
    lab.up();
    run_all(lab, &["a", "b", "dead"]);
    let (a, at_b, at_dead) = (mac_of(lab, "a"), ip_of(lab, "b"), ip_of(lab, "dead"));
    assert_all_reach_each_other(lab, &["a", "b", "dead"]);
    lab.set_link(Place::In("dead"), "eth0", false);
    let ear = lab.sniff(Place::In("b"), "eth0");
    let numbered = |number: u32| ethernet(MacAddr::BROADCAST, a, EXPERIMENTAL, &number.to_be_bytes());
    let sent: Vec<_> = (0..FRAMES).map(numbered).collect();
    lab.inject_all(Place::In("a"), "eth0", &mut sent.iter().cloned());
    let heard = lab.heard_until(ear, sent.last().expect("there are some"));
    let ours: Vec<_> = heard.into_iter().filter(|frame| frame[12..14] == EXPERIMENTAL.to_be_bytes()).collect();
    assert_eq!(ours, sent, "each, once, and in order");
    assert!(lab.ping(Place::In("a"), at_b, 56));
    assert!(!lab.ping(Place::In("a"), at_dead, 56));
    let tx = counters(lab, "dead.eth0").tx;
    assert!(tx.drops.of(DropReason::LinkFull) >= u64::from(FRAMES), "{tx:?}");
    assert_eq!(tx.drops.of(DropReason::LinkFull), tx.dropped, "for no other reason");
    for port in ["a.eth0", "b.eth0"] {
        assert_eq!(counters(lab, port).tx.dropped, 0, "{port} has lost nothing");
    }
    lab.set_link(Place::In("dead"), "eth0", true);
    lab.eventually("it is heard again", &mut |lab| lab.ping(Place::In("dead"), at_b, 56));
}

fn a_container_that_is_stopped_holds_nobody_up(lab: &mut dyn Lab) {
    lab.up();
    run_all(lab, &["a", "b", "stopped"]);
    let (a, at_b, at_stopped) = (mac_of(lab, "a"), ip_of(lab, "b"), ip_of(lab, "stopped"));
    lab.kill("stopped", SIGSTOP).expect("it can be stopped");
    let everyone = ethernet(MacAddr::BROADCAST, a, EXPERIMENTAL, &pattern(1_000));
    lab.inject_all(Place::In("a"), "eth0", &mut (0..500).map(|_| everyone.clone()));
    let length = lab.bulk() / 10;
    let transferred = lab.transfer(Place::In("a"), Place::In("b"), at_b, length);
    assert_eq!((transferred.length, &transferred.received), (length, &transferred.sent));
    lab.kill("stopped", SIGCONT).expect("it goes on");
    assert!(lab.ping(Place::In("b"), at_stopped, 56));
    for port in ["a.eth0", "b.eth0"] {
        assert_eq!(counters(lab, port).tx.dropped, 0, "{port} has lost nothing");
    }
}

/// A real wire pads frames to 60 bytes; a virtual one has them as short as their header. Less than that no interface lets out.
fn the_shortest_frame_crosses_and_a_shorter_one_never_comes(lab: &mut dyn Lab) {
    lab.up();
    run_all(lab, &["from", "to"]);
    let (from, to) = (mac_of(lab, "from"), mac_of(lab, "to"));
    let ear = lab.sniff(Place::In("to"), "eth0");
    let shortest = ethernet(to, from, EXPERIMENTAL, b"");
    assert_eq!(shortest.len(), 14);
    lab.inject(Place::In("from"), "eth0", &shortest);
    let last = ethernet(to, from, EXPERIMENTAL, &pattern(46));
    lab.inject(Place::In("from"), "eth0", &last);
    let heard = lab.heard_until(ear, &last);
    let ours: Vec<_> = heard.into_iter().filter(|frame| frame[12..14] == EXPERIMENTAL.to_be_bytes()).collect();
    assert_eq!(ours, [shortest, last]);
    let refused = lab.explain("from.eth0", &[0xff; 13]).expect("the port is there");
    assert_eq!(refused.decision, switch::explain::Decision::Drop { reason: DropReason::Runt });
    let rx = counters(lab, "from.eth0").rx;
    assert_eq!(rx.drops.total(), 0, "{rx:?}");
}
