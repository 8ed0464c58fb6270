//! What the switch says that it would do with a frame is what it then does.

use switch::explain::{Decision, Egress, Explanation, Fate, Found, FoundBy, Header, Lesson, Out, Step};
use switch::fdb::EntryKind;
use switch::forward::Fit;
use switch::mac::MacAddr;
use switch::verdict::DropReason;
use switch::vlan::{Retag, VlanId};

use super::scenarios;
use crate::frames::{EXPERIMENTAL, ethernet, pattern, tagged};
use crate::lab::{Lab, Order, Place, Refusal, counters, mac_of, ports, run, run_all, station};

scenarios![
    an_explanation_is_what_then_happens,
    an_explanation_tells_each_step,
    an_explanation_changes_nothing,
    a_frame_into_a_port_that_is_not_there_is_refused,
];

fn an_explanation_is_what_then_happens(lab: &mut dyn Lab) {
    lab.up();
    run(lab, Order::new("web").mtu(9000));
    run(lab, Order::new("db"));
    run(lab, Order::new("jumbo").mtu(9000));
    let (web, db, jumbo) = (mac_of(lab, "web"), mac_of(lab, "db"), mac_of(lab, "jumbo"));
    let unheard = station("02:00:00:00:0b:ad");
    let frame = |to, payload| ethernet(to, web, EXPERIMENTAL, &pattern(payload));
    let frames = [
        frame(MacAddr::BROADCAST, 60),
        frame(db, 60),
        frame(unheard, 60),
        frame(unheard, 1501),
        frame(db, 1501),
        frame(jumbo, 9000),
        tagged(db, web, 7, &pattern(100)),
        frame(web, 60),
        frame(station("01:80:c2:00:00:0e"), 60),
        frame(station("01:00:5e:00:00:fb"), 60),
        ethernet(db, station("01:00:5e:00:00:fb"), EXPERIMENTAL, b"from a group"),
        ethernet(db, MacAddr::ZERO, EXPERIMENTAL, b"from nobody"),
        ethernet(db, jumbo, EXPERIMENTAL, b"from elsewhere"),
        frame(jumbo, 60),
    ];
    // Each says something that all have heard, behind which nothing of its own is on its way.
    let ear = lab.sniff(Place::Host, "pontoon0");
    for (name, mac) in [("web", web), ("db", db), ("jumbo", jumbo)] {
        let hello = ethernet(MacAddr::BROADCAST, mac, EXPERIMENTAL, b"here I am");
        lab.inject(Place::In(name), "eth0", &hello);
        lab.heard_until(ear, &hello);
    }
    for frame in frames {
        let explained = lab.explain("web.eth0", &frame).expect("there is such a port");
        let before = books(lab);
        lab.inject(Place::In("web"), "eth0", &frame);
        let received = before["web.eth0"].received + 1;
        lab.eventually("it comes in", &mut |lab| counters(lab, "web.eth0").rx.packets == received);
        assert_eq!(books(lab), balanced(before, &explained), "{explained:?}");
    }
}

fn an_explanation_tells_each_step(lab: &mut dyn Lab) {
    let frame = two_that_have_talked(lab);
    let mut explained = lab.explain("web.eth0", &frame).expect("there is such a port");
    let (web, db) = (mac_of(lab, "web"), mac_of(lab, "db"));
    for step in &mut explained.steps {
        // (Time passes.)
        if let Step::Lookup { found: Found::Known { age, .. }, .. } = step {
            *age = 0;
        }
    }
    let header = Header {
        destination: db,
        source: web,
        tags: Vec::new(),
        ethertype: EXPERIMENTAL,
        length: frame.len(),
        wire_frames: 1,
        longest_segment: frame.len(),
    };
    let known = Found::Known { behind: "db.eth0".to_owned(), kind: EntryKind::Dynamic, age: 0 };
    let fit = Fit { tag: Retag::Keep, length: frame.len(), limit: 1514, mtu: 1500 };
    let other = Fate::Out { because: Out::OtherPort };
    let egress = |port: &str, fate| Egress { port: port.to_owned(), is_local: port == "pontoon0", fate };
    let expected = Explanation {
        bridge: "pontoon0".to_owned(),
        port: "web.eth0".to_owned(),
        steps: vec![
            Step::Parsed(header),
            Step::Source { station: web, reason: None },
            Step::Vlan { vlan: Some(VlanId::NONE), by: FoundBy::NotFiltering, reason: None },
            Step::Learning { station: web, learned: Lesson::Refreshed, stations: 1, quota: 1024 },
            Step::Lookup { station: db, found: known },
        ],
        egress: vec![
            egress("pontoon0", other),
            egress("web.eth0", Fate::Out { because: Out::Ingress }),
            egress("db.eth0", Fate::Leaves { fit, frames: 1 }),
        ],
        decision: Decision::Unicast { to: "db.eth0".to_owned() },
    };
    assert_eq!(explained, expected);
}

fn an_explanation_changes_nothing(lab: &mut dyn Lab) {
    let _ = two_that_have_talked(lab);
    let before = (lab.statistics(), lab.fdb());
    let (unheard, db) = (station("02:00:00:00:0b:ad"), mac_of(lab, "db"));
    for frame in [
        ethernet(MacAddr::BROADCAST, unheard, EXPERIMENTAL, b"who has not been heard"),
        ethernet(MacAddr::BROADCAST, db, EXPERIMENTAL, b"who would have moved"),
        vec![1, 2, 3],
    ] {
        lab.explain("web.eth0", &frame).expect("there is such a port");
    }
    assert_eq!((lab.statistics(), lab.fdb()), before);
}

fn a_frame_into_a_port_that_is_not_there_is_refused(lab: &mut dyn Lab) {
    lab.up();
    run_all(lab, &["web"]);
    let refused = |port: &str| Err(Refusal { status: 1, message: format!("no such port: {port}") });
    for port in ["nobody.eth0", "eth0"] {
        assert_eq!(lab.explain(port, &[0; 60]), refused(port));
    }
    let own = lab.explain("pontoon0", &[0; 60]).expect("the host has one, too");
    assert_eq!(own.decision, Decision::Drop { reason: DropReason::ZeroSource });
}

/// A frame from web to db, who both have been heard.
fn two_that_have_talked(lab: &mut dyn Lab) -> Vec<u8> {
    lab.up();
    run_all(lab, &["web", "db"]);
    let (web, db) = (mac_of(lab, "web"), mac_of(lab, "db"));
    let ear = lab.sniff(Place::Host, "pontoon0");
    for (name, mac) in [("web", web), ("db", db)] {
        let hello = ethernet(MacAddr::BROADCAST, mac, EXPERIMENTAL, b"here I am");
        lab.inject(Place::In(name), "eth0", &hello);
        lab.heard_until(ear, &hello);
    }
    ethernet(db, web, EXPERIMENTAL, b"how do you do")
}

/// What has been counted for one port.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Book {
    received: u64,
    forwarded: u64,
    flooded: u64,
    local: u64,
    sent: u64,
    drops: Vec<(DropReason, u64)>,
}

type Books = std::collections::BTreeMap<String, Book>;

fn books(lab: &mut dyn Lab) -> Books {
    let names = ports(lab).into_iter().chain(["pontoon0".to_owned()]);
    let book = |name: String, lab: &mut dyn Lab| {
        let counted = counters(lab, &name);
        let (rx, tx) = (counted.rx, counted.tx);
        let mut drops: Vec<(DropReason, u64)> = rx.drops.iter().chain(tx.drops.iter()).collect();
        drops.sort_unstable();
        let book = Book {
            received: rx.packets,
            forwarded: rx.forwarded,
            flooded: rx.flooded,
            local: rx.local,
            sent: tx.packets,
            drops,
        };
        (name, book)
    };
    names.map(|name| book(name, lab)).collect()
}

/// What is counted after the frame, if it was explained rightly.
fn balanced(mut books: Books, explained: &Explanation<String>) -> Books {
    let own = books.get_mut(&explained.port).expect("it is there");
    own.received += 1;
    match &explained.decision {
        Decision::Unicast { .. } => own.forwarded += 1,
        Decision::Flood { .. } => own.flooded += 1,
        Decision::Local { .. } => own.local += 1,
        Decision::Drop { reason } => own.dropped(*reason),
    }
    for egress in &explained.egress {
        let book = books.get_mut(&egress.port).expect("it is there");
        match egress.fate {
            Fate::Leaves { .. } => book.sent += 1,
            Fate::Dropped { reason, .. } => book.dropped(reason),
            Fate::Out { .. } => {}
        }
    }
    books
}

impl Book {
    fn dropped(&mut self, reason: DropReason) {
        match self.drops.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += 1,
            None => self.drops.push((reason, 1)),
        }
        self.drops.sort_unstable();
    }
}
