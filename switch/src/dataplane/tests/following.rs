//! What who follows a data plane is told.

use super::*;
use crate::fdb::FdbEvent;

const STATION: MacAddr = MacAddr(A);

fn up(port: u16) -> Change {
    Change::PortUp { bridge: BRIDGE, port: PortId(port), name: format!("port{port}"), is_local: false }
}

fn fdb(event: FdbEvent) -> Change {
    Change::Fdb { bridge: BRIDGE, event }
}

fn changes(plane: &mut Dataplane<Fake>) -> Vec<Change> {
    std::iter::from_fn(|| plane.poll_change()).collect()
}

#[test]
fn who_follows_is_told_what_is_there_and_then_of_each_change_once_and_in_order() {
    let mut plane = plane(2);
    arrive(&mut plane, 0, &[frame(ALL, A)]);
    plane.service(PortId(0), NOW);
    assert_eq!(changes(&mut plane), [], "while nobody follows nothing is kept");
    assert_eq!(plane.follow(), [Change::BridgeUp { bridge: BRIDGE, name: "net".to_owned() }, up(0), up(1)]);
    assert_eq!(changes(&mut plane), [], "what was learned before is no news");

    arrive(&mut plane, 1, &[frame(ALL, A)]);
    plane.service(PortId(1), NOW);
    plug(&mut plane, 2, PortConfig { name: "port2".to_owned(), ..PortConfig::default() });
    plane.control(Control::Unplug { port: PortId(1) }, NOW).unwrap();
    let (vlan, station) = (VlanId::NONE, STATION);
    assert_eq!(
        changes(&mut plane),
        [
            fdb(FdbEvent::Moved { vlan, station, from: PortId(0), to: PortId(1) }),
            up(2),
            fdb(FdbEvent::Evicted { vlan, station, port: PortId(1) }),
            Change::PortDown { bridge: BRIDGE, port: PortId(1) },
        ]
    );

    link(&mut plane, 0).is_down = true;
    plane.service(PortId(0), NOW);
    plane.control(Control::RemoveBridge { bridge: BRIDGE }, NOW).unwrap();
    let down = |port| Change::PortDown { bridge: BRIDGE, port: PortId(port) };
    assert_eq!(changes(&mut plane), [down(0), down(2), Change::BridgeDown { bridge: BRIDGE }]);
    plane.unfollow();
    plane.control(Control::AddBridge { bridge: BRIDGE, name: String::new(), config: Config::default() }, NOW).unwrap();
    assert_eq!(changes(&mut plane), []);
}

#[test]
fn a_port_that_is_renamed_keeps_its_stations_and_its_counters() {
    let mut plane = plane(2);
    plane.follow();
    arrive(&mut plane, 0, &[frame(ALL, A)]);
    plane.service(PortId(0), NOW);
    let before = plane.statistics();
    plane.control(Control::RenamePort { port: PortId(0), name: "web.eth0".to_owned() }, NOW).unwrap();
    let (vlan, station, port) = (VlanId::NONE, STATION, PortId(0));
    let (name, from) = ("web.eth0".to_owned(), "port0".to_owned());
    let learned = fdb(FdbEvent::Learned { vlan, station, port });
    assert_eq!(changes(&mut plane), [learned, Change::PortRenamed { bridge: BRIDGE, port, name, from }]);
    let after = plane.statistics();
    assert_eq!(after[0].ports[0].name, "web.eth0");
    assert_eq!(after[0].ports[0].counters, before[0].ports[0].counters);
    assert_eq!(plane.fdb(NOW)[0].name, "web.eth0");
}

#[test]
fn changes_that_an_fdb_could_not_keep_are_told_by_their_number() {
    let mut plane = plane_with(Settings { batch: 2000, buffers: 2000 }, 1);
    plug(&mut plane, 1, PortConfig { quota: 2000, ..PortConfig::default() });
    plane.follow();
    let station = |number: u16| [2, 0, 0, 1, (number >> 8) as u8, number as u8];
    // (Learned from, and not forwarded: all in one turn.)
    let reserved = [0x01, 0x80, 0xc2, 0, 0, 0];
    arrive(&mut plane, 1, &(0..1030).map(|number| frame(reserved, station(number))).collect::<Vec<_>>());
    plane.service(PortId(1), NOW);
    let told = changes(&mut plane);
    assert_eq!(told[0], Change::Lost { count: 6 });
    assert_eq!(told.len(), 1 + 1024);
    assert_eq!(changes(&mut plane), []);
}
