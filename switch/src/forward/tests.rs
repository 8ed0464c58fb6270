use super::*;
use crate::mac::MacAddr;
use crate::vlan::PortVlans;
use crate::vnet::{GSO_TCPV4, NEEDS_CSUM, VnetHeader};

const A: [u8; 6] = [2, 0, 0, 0, 0, 0xa];
const B: [u8; 6] = [2, 0, 0, 0, 0, 0xb];
const BRIDGE: [u8; 6] = [2, 0, 0, 0, 0, 0xf];
const ALL: [u8; 6] = [0xff; 6];
const GROUP: [u8; 6] = [1, 0, 0x5e, 0, 0, 0xfb];
const LLDP: [u8; 6] = [1, 0x80, 0xc2, 0, 0, 0xe];
const NOW: Instant = Instant::ZERO;

#[test]
fn floods_a_frame_to_a_station_that_it_does_not_know() {
    let mut switch = hub(3);
    assert_eq!(send(&mut switch, 1, &frame(B, A)), flood(0, &[0, 2], 1));
}

#[test]
fn floods_broadcast_and_multicast() {
    let mut switch = hub(3);
    assert_eq!(send(&mut switch, 0, &frame(ALL, A)), flood(0, &[1, 2], 0));
    assert_eq!(send(&mut switch, 0, &frame(GROUP, A)), flood(0, &[1, 2], 0));
}

#[test]
fn sends_a_frame_to_the_port_where_its_station_was_heard() {
    let mut switch = hub(3);
    send(&mut switch, 0, &frame(ALL, A));
    assert_eq!(send(&mut switch, 2, &frame(A, B)), unicast(0, 0));
    assert_eq!(send(&mut switch, 0, &frame(B, A)), unicast(0, 2));
}

#[test]
fn floods_again_when_a_station_was_silent_for_too_long() {
    let mut switch = hub(2);
    send(&mut switch, 0, &frame(ALL, A));
    let bytes = frame(A, B);
    let later = switch.ingress(PortId(1), &parse(&bytes), Instant::from_secs(300));
    assert_eq!(later, flood(0, &[0], 1));
}

#[test]
fn never_sends_a_frame_back_where_it_came_from() {
    let mut switch = hub(3);
    send(&mut switch, 0, &frame(ALL, A));
    assert_eq!(send(&mut switch, 0, &frame(A, B)), Verdict::Drop(DropReason::Hairpin));
    assert_eq!(send(&mut switch, 1, &frame(A, A)), Verdict::Drop(DropReason::Hairpin), "it has moved by then");
}

#[test]
fn drops_a_group_as_source_and_does_not_learn_it() {
    let mut switch = hub(2);
    assert_eq!(send(&mut switch, 0, &frame(B, GROUP)), Verdict::Drop(DropReason::MulticastSource));
    assert_eq!(send(&mut switch, 0, &frame(B, ALL)), Verdict::Drop(DropReason::MulticastSource));
    assert!(switch.fdb().is_empty());
}

#[test]
fn drops_a_source_of_zeros_and_does_not_learn_it() {
    let mut switch = hub(2);
    assert_eq!(send(&mut switch, 0, &frame(B, [0; 6])), Verdict::Drop(DropReason::ZeroSource));
    assert!(switch.fdb().is_empty());
}

#[test]
fn does_not_forward_what_bridges_say_to_each_other_but_learns_from_it() {
    let mut switch = hub(2);
    for last in 0..=0x0f {
        let verdict = send(&mut switch, 0, &frame([1, 0x80, 0xc2, 0, 0, last], A));
        assert_eq!(verdict, Verdict::Drop(DropReason::ReservedDestination));
    }
    assert_eq!(switch.fdb().lookup(VlanId::NONE, MacAddr(A), NOW), Some(PortId(0)));
    assert_eq!(send(&mut switch, 0, &frame([1, 0x80, 0xc2, 0, 0, 0x10], A)), flood(0, &[1], 0));
}

#[test]
fn drops_a_flood_that_would_reach_nobody() {
    let mut switch = hub(1);
    assert_eq!(send(&mut switch, 0, &frame(ALL, A)), Verdict::Drop(DropReason::NoEgress));
    assert_eq!(switch.fdb().len(), 1, "it learns all the same");
}

#[test]
fn delivers_frames_for_the_bridge_to_its_own_port() {
    let mut switch = hub(2);
    plug(&mut switch, 9, PortConfig { local: Some(MacAddr(BRIDGE)), ..PortConfig::default() });
    assert_eq!(send(&mut switch, 0, &frame(BRIDGE, A)), Verdict::Local { vlan: VlanId::NONE, egress: PortId(9) });
    assert_eq!(send(&mut switch, 0, &frame(ALL, A)), flood(0, &[1, 9], 0));
    assert_eq!(send(&mut switch, 9, &frame(A, BRIDGE)), unicast(0, 0));
    // A station that takes the bridge's address for its own gets nothing by it.
    send(&mut switch, 1, &frame(ALL, BRIDGE));
    assert_eq!(send(&mut switch, 0, &frame(BRIDGE, A)), Verdict::Local { vlan: VlanId::NONE, egress: PortId(9) });
}

#[test]
fn a_port_that_goes_takes_its_stations_and_its_place_in_floods() {
    let mut switch = hub(3);
    send(&mut switch, 2, &frame(ALL, B));
    assert!(switch.unplug(PortId(2)));
    assert!(!switch.unplug(PortId(2)));
    assert_eq!(send(&mut switch, 0, &frame(B, A)), flood(0, &[1], 0));
}

#[test]
fn a_vlan_without_members_is_forgotten() {
    let mut switch = vlan_switch();
    assert_eq!(switch.floods.iter().map(|(vlan, _)| vlan.get()).collect::<Vec<_>>(), [1, 10, 20]);
    (0..4).for_each(|port| assert!(switch.unplug(PortId(port))));
    assert_eq!(switch.floods.iter().map(|(vlan, _)| vlan.get()).collect::<Vec<_>>(), [10]);
}

#[test]
fn a_port_is_plugged_in_once_and_not_without_room_for_its_address() {
    let mut switch = hub(1);
    let twice = switch.plug(PortId(0), PortConfig::default(), NOW);
    assert_eq!(twice, Err(PlugError::Taken(PortId(0))));
    let mut tiny = Switch::new(Config { max_stations: 0, ..Config::default() });
    let local = PortConfig { local: Some(MacAddr(BRIDGE)), ..PortConfig::default() };
    assert_eq!(tiny.plug(PortId(0), local, NOW), Err(PlugError::TableFull(PortId(0))));
    assert_eq!((tiny.ports().count(), tiny.fdb().len()), (0, 0));
}

#[test]
fn tags_cross_untouched_where_they_are_not_looked_at() {
    let mut switch = hub(2);
    for tag in [[0x81, 0, 0x0f, 0xff], [0x88, 0xa8, 0, 5]] {
        let bytes = tagged(ALL, A, tag);
        assert_eq!(send(&mut switch, 0, &bytes), flood(0, &[1], 0));
        assert_eq!(switch.egress(PortId(1), &parse(&bytes), VlanId::NONE), Ok(Retag::Keep));
    }
}

#[test]
fn keeps_vlans_apart() {
    let mut switch = vlan_switch();
    // Ports 0, 1: access 10. Port 2: access 20. Port 3: trunk, native 1, tagged 10 and 20. Port 4: trunk, tagged 10.
    assert_eq!(send(&mut switch, 0, &frame(ALL, A)), flood(10, &[1, 3, 4], 0));
    assert_eq!(send(&mut switch, 2, &frame(ALL, B)), flood(20, &[3], 2));
    assert_eq!(send(&mut switch, 3, &frame(ALL, B)), Verdict::Drop(DropReason::NoEgress), "alone in VLAN 1");
    assert_eq!(send(&mut switch, 2, &frame(A, B)), flood(20, &[3], 2), "a station of VLAN 10 is unknown in 20");
    assert_eq!(send(&mut switch, 3, &tagged(A, B, [0x81, 0, 0, 10])), unicast(10, 0));
}

#[test]
fn drops_a_frame_of_a_vlan_that_its_port_does_not_carry() {
    let mut switch = vlan_switch();
    for (port, vid) in [(0, 20), (3, 30), (4, 20)] {
        let verdict = send(&mut switch, port, &tagged(ALL, A, [0x81, 0, 0, vid]));
        assert_eq!(verdict, Verdict::Drop(DropReason::IngressVlan));
    }
    let reserved = send(&mut switch, 3, &tagged(ALL, A, [0x81, 0, 0x0f, 0xff]));
    assert_eq!(reserved, Verdict::Drop(DropReason::IngressVlan));
    assert!(switch.fdb().is_empty());
    assert_eq!(send(&mut switch, 0, &tagged(ALL, A, [0x81, 0, 0, 10])), flood(10, &[1, 3, 4], 0));
}

#[test]
fn drops_an_untagged_frame_on_a_trunk_without_a_native_vlan() {
    let mut switch = vlan_switch();
    assert_eq!(send(&mut switch, 4, &frame(ALL, A)), Verdict::Drop(DropReason::Untagged));
    assert_eq!(send(&mut switch, 4, &tagged(ALL, A, [0x81, 0, 0xe0, 0])), Verdict::Drop(DropReason::Untagged));
    assert_eq!(send(&mut switch, 4, &frame(LLDP, A)), Verdict::Drop(DropReason::Untagged));
    assert!(switch.fdb().is_empty());
}

#[test]
fn a_tag_without_a_vlan_counts_as_none() {
    let mut switch = vlan_switch();
    assert_eq!(send(&mut switch, 0, &tagged(ALL, A, [0x81, 0, 0xe0, 0])), flood(10, &[1, 3, 4], 0));
}

#[test]
fn a_providers_tag_is_payload() {
    let mut switch = vlan_switch();
    let bytes = tagged(ALL, A, [0x88, 0xa8, 0, 20]);
    assert_eq!(send(&mut switch, 0, &bytes), flood(10, &[1, 3, 4], 0));
    assert_eq!(switch.egress(PortId(3), &parse(&bytes), vlan(10)), Ok(Retag::Push(10)));
    assert_eq!(switch.egress(PortId(1), &parse(&bytes), vlan(10)), Ok(Retag::Keep));
}

#[test]
fn drops_a_frame_for_a_station_that_is_said_to_be_outside_its_vlan() {
    let mut switch = vlan_switch();
    switch.fdb_mut().set(vlan(10), MacAddr(B), PortId(2), EntryKind::Static, NOW).unwrap();
    assert_eq!(send(&mut switch, 0, &frame(B, A)), Verdict::Drop(DropReason::EgressVlan));
    let bytes = frame(B, A);
    assert_eq!(switch.egress(PortId(2), &parse(&bytes), vlan(10)), Err(DropReason::EgressVlan));
    assert_eq!(switch.egress(PortId(77), &parse(&bytes), vlan(10)), Err(DropReason::LinkDown));
}

#[test]
fn the_bridge_is_a_station_of_each_vlan_of_its_port() {
    let mut switch = vlan_switch();
    let vlans = PortVlans::Trunk { native: Some(vlan(10)), tagged: vec![vlan(20), vlan(10), vlan(20)] };
    plug(&mut switch, 9, PortConfig { local: Some(MacAddr(BRIDGE)), vlans, ..PortConfig::default() });
    assert_eq!(send(&mut switch, 0, &frame(BRIDGE, A)), Verdict::Local { vlan: vlan(10), egress: PortId(9) });
    assert_eq!(send(&mut switch, 2, &frame(BRIDGE, A)), Verdict::Local { vlan: vlan(20), egress: PortId(9) });
}

#[test]
fn a_copy_gets_the_tag_that_its_port_has_for_the_vlan() {
    let switch = vlan_switch();
    let (plain, priority) = (frame(ALL, A), tagged(ALL, A, [0x81, 0, 0xe0, 0]));
    let of_vlan = tagged(ALL, A, [0x81, 0, 0x60, 10]);
    let egress = |port, bytes: &[u8]| switch.egress(PortId(port), &parse(bytes), vlan(10));
    assert_eq!(egress(1, &plain), Ok(Retag::Keep));
    assert_eq!(egress(1, &priority), Ok(Retag::Pop));
    assert_eq!(egress(1, &of_vlan), Ok(Retag::Pop));
    assert_eq!(egress(3, &plain), Ok(Retag::Push(10)));
    assert_eq!(egress(3, &priority), Ok(Retag::Replace(0xe00a)));
    assert_eq!(egress(3, &of_vlan), Ok(Retag::Keep));
}

#[test]
fn a_copy_must_fit_the_mtu_of_its_port() {
    let switch = hub(2);
    let egress = |bytes: &[u8]| switch.egress(PortId(1), &parse(bytes), VlanId::NONE);
    assert_eq!(egress(&long(frame(B, A), 1514)), Ok(Retag::Keep));
    assert_eq!(egress(&long(frame(B, A), 1515)), Err(DropReason::ExceedsMtu));
    assert_eq!(egress(&long(tagged(B, A, [0x81, 0, 0, 1]), 1518)), Ok(Retag::Keep));
    assert_eq!(egress(&long(tagged(B, A, [0x81, 0, 0, 1]), 1519)), Err(DropReason::ExceedsMtu));
}

#[test]
fn a_tag_that_is_put_on_does_not_make_a_frame_too_long() {
    let switch = vlan_switch();
    let egress = |port, bytes: &[u8]| switch.egress(PortId(port), &parse(bytes), vlan(10));
    assert_eq!(egress(3, &long(frame(B, A), 1514)), Ok(Retag::Push(10)));
    assert_eq!(egress(3, &long(frame(B, A), 1515)), Err(DropReason::ExceedsMtu));
    assert_eq!(egress(1, &long(tagged(B, A, [0x81, 0, 0, 10]), 1518)), Ok(Retag::Pop));
    assert_eq!(egress(1, &long(tagged(B, A, [0x81, 0, 0, 10]), 1519)), Err(DropReason::ExceedsMtu));
}

#[test]
fn a_super_frame_must_fit_segment_by_segment() {
    let switch = hub(2);
    let mut bytes = long(frame(B, A), 60_000);
    bytes[12..15].copy_from_slice(&[0x08, 0x00, 0x45]);
    bytes[14 + 9] = 6;
    bytes[34 + 12] = 8 << 4;
    let gso = |gso_size| VnetHeader {
        flags: NEEDS_CSUM,
        gso_type: GSO_TCPV4,
        gso_size,
        csum_start: 34,
        csum_offset: 16,
        ..VnetHeader::default()
    };
    let egress = |vnet| switch.egress(PortId(1), &Frame::parse(&bytes, vnet).unwrap(), VlanId::NONE);
    assert_eq!(egress(gso(1448)), Ok(Retag::Keep));
    assert_eq!(egress(gso(1449)), Err(DropReason::ExceedsMtu));
}

#[test]
fn tells_when_it_wants_to_forget_and_forgets() {
    let mut switch = hub(2);
    assert_eq!(switch.poll_timeout(), None);
    send(&mut switch, 0, &frame(ALL, A));
    assert_eq!(switch.poll_timeout(), Some(Instant::from_secs(300)));
    switch.handle_timeout(Instant::from_secs(300));
    assert_eq!((switch.fdb().len(), switch.poll_timeout()), (0, None));
}

#[test]
fn says_what_it_was_told() {
    let switch = vlan_switch();
    assert_eq!(switch.config(), &Config { vlan_filtering: true, ..Config::default() });
    assert_eq!(switch.ports().collect::<Vec<_>>(), [0, 1, 2, 3, 4].map(PortId));
    assert_eq!(switch.port(PortId(2)).map(|port| &port.vlans), Some(&PortVlans::Access(vlan(20))));
    assert_eq!(switch.port(PortId(5)), None);
}

#[test]
fn a_switch_that_was_restored_has_no_news() {
    let mut switch = hub(1);
    plug(&mut switch, 9, PortConfig { local: Some(MacAddr(BRIDGE)), ..PortConfig::default() });
    let mut snapshot = switch.snapshot(NOW);
    assert_eq!(Switch::restore(snapshot.clone(), NOW).unwrap().fdb_mut().poll_event(), None);
    snapshot.ports.push((PortId(9), PortConfig::default()));
    assert_eq!(Switch::restore(snapshot, NOW).unwrap_err(), PlugError::Taken(PortId(9)));
}

#[test]
fn a_snapshot_makes_the_same_switch() {
    let mut switch = vlan_switch();
    send(&mut switch, 0, &frame(ALL, A));
    send(&mut switch, 2, &frame(ALL, B));
    let snapshot = switch.snapshot(Instant::from_secs(5));
    let json = serde_json::to_string(&snapshot).unwrap();
    let mut restored = Switch::restore(serde_json::from_str(&json).unwrap(), NOW).unwrap();
    assert_eq!(restored.snapshot(NOW), snapshot);
    assert_eq!(send(&mut restored, 1, &frame(A, B)), unicast(10, 0));
}

#[test]
#[should_panic(expected = "port 7, which is not plugged in")]
fn a_frame_from_nowhere_is_our_own_bug() {
    send(&mut hub(1), 7, &frame(ALL, A));
}

fn hub(ports: u16) -> Switch {
    let mut switch = Switch::new(Config::default());
    (0..ports).for_each(|port| plug(&mut switch, port, PortConfig::default()));
    switch
}

fn vlan_switch() -> Switch {
    let mut switch = Switch::new(Config { vlan_filtering: true, ..Config::default() });
    let trunk =
        |native, tagged: &[u16]| PortVlans::Trunk { native, tagged: tagged.iter().map(|id| vlan(*id)).collect() };
    let ports = [
        PortVlans::Access(vlan(10)),
        PortVlans::Access(vlan(10)),
        PortVlans::Access(vlan(20)),
        trunk(Some(vlan(1)), &[20, 10]),
        trunk(None, &[10]),
    ];
    for (port, vlans) in (0..).zip(ports) {
        plug(&mut switch, port, PortConfig { vlans, ..PortConfig::default() });
    }
    switch
}

fn plug(switch: &mut Switch, port: u16, config: PortConfig) {
    switch.plug(PortId(port), config, NOW).unwrap();
}

fn send(switch: &mut Switch, port: u16, bytes: &[u8]) -> Verdict {
    switch.ingress(PortId(port), &parse(bytes), NOW)
}

fn parse(bytes: &[u8]) -> Frame<'_> {
    Frame::parse(bytes, VnetHeader::default()).unwrap()
}

fn frame(destination: [u8; 6], source: [u8; 6]) -> Vec<u8> {
    [&destination[..], &source, &[0x08, 0x00, 0x45]].concat()
}

fn tagged(destination: [u8; 6], source: [u8; 6], tag: [u8; 4]) -> Vec<u8> {
    [&destination[..], &source, &tag, &[0x08, 0x00, 0x45]].concat()
}

fn long(mut bytes: Vec<u8>, length: usize) -> Vec<u8> {
    bytes.resize(length, 0);
    bytes
}

fn vlan(id: u16) -> VlanId {
    VlanId::new(id).unwrap_or(VlanId::NONE)
}

fn unicast(id: u16, egress: u16) -> Verdict {
    Verdict::Unicast { vlan: vlan(id), egress: PortId(egress) }
}

fn flood(id: u16, to: &[u16], ingress: u16) -> Verdict {
    let members: Vec<PortId> = to.iter().map(|port| PortId(*port)).collect();
    Verdict::Flood { vlan: vlan(id), to: PortSet::new(members.into(), PortId(ingress)) }
}
