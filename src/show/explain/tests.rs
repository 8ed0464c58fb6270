use switch::explain::TagInfo;
use switch::mac::MacAddr;

use super::*;

fn station(last: u8) -> MacAddr {
    MacAddr([2, 0x42, 0xac, 0x11, 0, last])
}

fn header(length: usize) -> Step<String> {
    Step::Parsed(Header {
        destination: station(3),
        source: station(2),
        tags: Vec::new(),
        ethertype: 0x0800,
        length,
        wire_frames: 1,
        longest_segment: length,
    })
}

fn told(length: usize, found: Found<String>, fates: [Fate; 3], decision: Decision<String>) -> Told {
    let port = |(name, fate): (&str, Fate)| Egress { port: name.to_owned(), is_local: name == "pontoon0", fate };
    Explanation {
        bridge: "pontoon0".to_owned(),
        port: "web.eth0".to_owned(),
        steps: vec![
            header(length),
            Step::Source { station: station(2), reason: None },
            Step::Vlan { vlan: Some(VlanId::NONE), by: FoundBy::NotFiltering, reason: None },
            Step::Learning { station: station(2), learned: Lesson::Refreshed, stations: 1, quota: 1024 },
            Step::Lookup { station: station(3), found },
        ],
        egress: ["pontoon0", "web.eth0", "db.eth0"].into_iter().zip(fates).map(port).collect(),
        decision,
    }
}

const OTHER: Fate = Fate::Out { because: Out::OtherPort };
const INGRESS: Fate = Fate::Out { because: Out::Ingress };

fn fit(length: usize) -> Fit {
    Fit { tag: Retag::Keep, length, limit: 1514, mtu: 1500 }
}

fn known() -> Found<String> {
    Found::Known { behind: "db.eth0".to_owned(), kind: EntryKind::Dynamic, age: 3 }
}

#[test]
fn a_frame_that_arrives_is_told_step_by_step() {
    let leaves = Fate::Leaves { fit: fit(60), frames: 1 };
    let told = told(60, known(), [OTHER, INGRESS, leaves], Decision::Unicast { to: "db.eth0".to_owned() });
    let expected = "\
60 bytes into web.eth0 of bridge pontoon0
1.   header     02:42:ac:11:00:02 to 02:42:ac:11:00:03, IPv4 (0x0800), no tag (IEEE 802.3, 3.1.1)
2.   source     02:42:ac:11:00:02 is an address that a station can have
3.   vlan       bridge pontoon0 does not look at tags: all its frames are of one VLAN
4.   learning   02:42:ac:11:00:02 is behind web.eth0, as known; its age starts anew (8.7)
5.   lookup     02:42:ac:11:00:03 is behind db.eth0: last heard 3 s ago (8.8)
6.   egress     which ports get a copy (8.6.4)
   pontoon0 (the host)   out   the destination is behind another port (8.6.3)
   web.eth0              out   the frame came in by it (8.6.1)
   db.eth0               in    as it came, 60 bytes of at most 1514
verdict: unicast to db.eth0
";
    snapbox::assert_data_eq!(text(&told, false), expected.to_owned());
}

#[test]
fn a_frame_that_is_too_long_is_told_with_what_helps() {
    let dropped = Fate::Dropped { reason: DropReason::ExceedsMtu, fit: Some(fit(3014)) };
    let told = told(3014, known(), [OTHER, INGRESS, dropped], Decision::Unicast { to: "db.eth0".to_owned() });
    let text = super::text(&told, false);
    assert!(
        super::text(&told, true)
            .contains("; TCP's longer ones in a capture are super-frames, which cross in segments\n")
    );
    let end: Vec<&str> = text.lines().rev().take(3).collect();
    assert_eq!(
        end,
        [
            "verdict: unicast to db.eth0, where it is dropped: exceeds_mtu",
            "hint: both ends of a network need the same MTU, here 1500: `pontoon run --mtu`, `network create --mtu`",
            "   db.eth0               out   dropped: 3014 bytes are more than the 1514 that its MTU of 1500 allows (6.5.8)",
        ]
    );
}

#[test]
fn a_drop_has_a_hint_that_names_the_port() {
    let found = Found::Known { behind: "web.eth0".to_owned(), kind: EntryKind::Dynamic, age: 0 };
    let told = told(60, found, [OTHER, INGRESS, OTHER], Decision::Drop { reason: DropReason::Hairpin });
    let text = super::text(&told, false);
    let end: Vec<&str> = text.lines().rev().take(2).collect();
    let hint = "hint: source and destination are behind the same port, web.eth0: they talk without the switch";
    assert_eq!(end, ["verdict: dropped: hairpin", hint]);
}

#[test]
fn a_flood_counts_ports_when_they_are_many_and_copies_that_are_dropped() {
    let names = |count: usize| (0..count).map(|number| format!("c{number}.eth0")).collect::<Vec<_>>();
    let leaves = Fate::Leaves { fit: fit(60), frames: 1 };
    let said = |count, fates| verdict(&told(60, Found::Group, fates, Decision::Flood { to: names(count) }));
    assert_eq!(said(2, [leaves, INGRESS, leaves]), "flooded to c0.eth0, c1.eth0");
    assert_eq!(said(9, [leaves, INGRESS, leaves]), "flooded to 9 ports");
    let down = Fate::Dropped { reason: DropReason::LinkDown, fit: None };
    assert_eq!(said(2, [down, INGRESS, leaves]), "flooded to c0.eth0, c1.eth0, of which 1 drop their copy");
    assert_eq!(said(2, [down, INGRESS, down]), "flooded to c0.eth0, c1.eth0, where every copy is dropped");
}

#[test]
fn vlans_quotas_and_tags_are_told_by_their_numbers() {
    let mut told = told(64, Found::Unknown, [OTHER, INGRESS, OTHER], Decision::Drop { reason: DropReason::NoEgress });
    let seven = VlanId::new(7);
    let refused = Lesson::Refused { refusal: Refusal::Quota, behind: None };
    let steps = [
        (
            Step::Vlan { vlan: seven, by: FoundBy::Tag, reason: None },
            "the tag says 7, which web.eth0 carries (6.9.1, 8.6.2)",
        ),
        (
            Step::Vlan { vlan: seven, by: FoundBy::Tag, reason: Some(DropReason::IngressVlan) },
            "the tag says 7, which web.eth0 does not carry (8.6.2)",
        ),
        (
            Step::Vlan { vlan: None, by: FoundBy::Tag, reason: Some(DropReason::IngressVlan) },
            "the tag says 4095, which is no VLAN (table 9-2)",
        ),
        (
            Step::Learning { station: station(2), learned: refused, stations: 2, quota: 2 },
            "02:42:ac:11:00:02 is not learned: web.eth0 has 2 stations, and may have 2 (8.7)",
        ),
    ];
    for (step, expected) in steps {
        assert_eq!(in_words(&told, &step).1, expected);
        told.steps[3] = step;
    }
    assert_eq!(
        hints::of(&told, false),
        [
            "beyond 2 stations behind one port new ones are not learned, and what is for 02:42:ac:11:00:02 is flooded",
            "web.eth0 is alone on its network: `pontoon show pontoon0` lists the ports",
        ]
    );
    let tags = vec![
        TagInfo { tpid: 0x88a8, vlan: 5, priority: 3, drop_eligible: true },
        TagInfo { tpid: 0x8100, vlan: 7, priority: 0, drop_eligible: false },
    ];
    let Step::Parsed(plain) = header(64) else { panic!("it is a header") };
    let tagged = Header { tags, ethertype: 38, ..plain };
    assert_eq!(
        header_in_words(&tagged),
        "02:42:ac:11:00:02 to 02:42:ac:11:00:03, IEEE 802.3 with length 38, \
         S-tag of VLAN 5 with priority 3, drop eligible and C-tag of VLAN 7 with priority 0 (IEEE 802.3, 3.1.1)"
    );
    let push = Fit { tag: Retag::Push(0x2007), ..fit(64) };
    assert_eq!(tag(&push), "with a tag of VLAN 7 put in (6.9.2)");
}
