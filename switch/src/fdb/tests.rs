use super::*;

const MINUTES_5: Duration = Duration::from_secs(300);
const ONE: PortId = PortId(1);
const TWO: PortId = PortId(2);
const VLAN: VlanId = VlanId::NONE;

#[test]
fn finds_a_station_where_it_was_heard() {
    let mut fdb = fdb();
    assert!(fdb.is_empty());
    assert_eq!(fdb.lookup(VLAN, mac(1), at(0)), None);
    assert_eq!(fdb.learn(VLAN, mac(1), ONE, at(0)), Learned::New);
    assert!(!fdb.is_empty());
    assert_eq!(fdb.lookup(VLAN, mac(1), at(0)), Some(ONE));
    assert_eq!(fdb.lookup(VLAN, mac(2), at(0)), None);
    assert_eq!(events(&mut fdb), [FdbEvent::Learned { vlan: VLAN, station: mac(1), port: ONE }]);
}

#[test]
fn keeps_the_stations_of_two_vlans_apart() {
    let mut fdb = fdb();
    fdb.learn(vlan(1), mac(1), ONE, at(0));
    assert_eq!(fdb.learn(vlan(2), mac(1), TWO, at(0)), Learned::New);
    assert_eq!(fdb.lookup(vlan(1), mac(1), at(0)), Some(ONE));
    assert_eq!(fdb.lookup(vlan(2), mac(1), at(0)), Some(TWO));
    assert_eq!(fdb.lookup(vlan(3), mac(1), at(0)), None);
}

#[test]
fn follows_a_station_that_moves() {
    let mut fdb = fdb();
    fdb.learn(VLAN, mac(1), ONE, at(0));
    assert_eq!(fdb.learn(VLAN, mac(1), TWO, at(1)), Learned::Moved { from: ONE });
    assert_eq!(fdb.lookup(VLAN, mac(1), at(1)), Some(TWO));
    assert_eq!((fdb.stations(ONE), fdb.stations(TWO)), (0, 1));
    assert_eq!(fdb.counters(), FdbCounters { learned: 1, moved: 1, ..FdbCounters::default() });
    let moved = FdbEvent::Moved { vlan: VLAN, station: mac(1), from: ONE, to: TWO };
    assert_eq!(events(&mut fdb).last(), Some(&moved));
}

#[test]
fn forgets_a_silent_station() {
    let mut fdb = fdb();
    fdb.learn(VLAN, mac(1), ONE, at(0));
    assert_eq!(fdb.poll_timeout(), Some(at(300)));
    assert_eq!(fdb.lookup(VLAN, mac(1), at(299)), Some(ONE));
    assert_eq!(fdb.lookup(VLAN, mac(1), at(300)), None);
    assert_eq!(fdb.entries(at(300)), []);
    fdb.handle_timeout(at(300));
    assert_eq!((fdb.len(), fdb.stations(ONE), fdb.poll_timeout()), (0, 0, None));
    assert_eq!(fdb.counters(), FdbCounters { learned: 1, expired: 1, ..FdbCounters::default() });
    assert_eq!(events(&mut fdb).last(), Some(&FdbEvent::Expired { vlan: VLAN, station: mac(1), port: ONE }));
}

#[test]
fn remembers_a_station_that_goes_on_speaking() {
    let mut fdb = fdb();
    fdb.learn(VLAN, mac(1), ONE, at(0));
    for minute in 1..60 {
        assert_eq!(fdb.learn(VLAN, mac(1), ONE, at(minute * 60)), Learned::Refreshed);
        fdb.handle_timeout(at(minute * 60));
        assert_eq!(fdb.checks.len(), 1, "a refresh costs no check");
    }
    assert_eq!(fdb.lookup(VLAN, mac(1), at(59 * 60 + 299)), Some(ONE));
    assert_eq!(fdb.lookup(VLAN, mac(1), at(59 * 60 + 300)), None);
    assert_eq!(fdb.counters(), FdbCounters { learned: 1, ..FdbCounters::default() });
}

#[test]
fn learns_a_station_anew_that_returns_before_the_sweep() {
    for port in [ONE, TWO] {
        let mut fdb = fdb();
        fdb.learn(VLAN, mac(1), ONE, at(0));
        assert_eq!(fdb.learn(VLAN, mac(1), port, at(300)), Learned::New);
        assert_eq!(fdb.counters(), FdbCounters { learned: 2, expired: 1, ..FdbCounters::default() });
        fdb.handle_timeout(at(300));
        assert_eq!(fdb.lookup(VLAN, mac(1), at(599)), Some(port));
        fdb.handle_timeout(at(600));
        assert_eq!(fdb.counters(), FdbCounters { learned: 2, expired: 2, ..FdbCounters::default() });
    }
}

#[test]
fn a_clock_that_steps_back_ages_nobody() {
    let mut fdb = fdb();
    fdb.learn(VLAN, mac(1), ONE, at(100));
    fdb.learn(VLAN, mac(1), ONE, at(50));
    assert_eq!(fdb.lookup(VLAN, mac(1), at(399)), Some(ONE));
}

#[test]
fn a_touch_keeps_a_station_but_wakes_no_dead_one() {
    let mut fdb = fdb();
    fdb.learn(VLAN, mac(1), ONE, at(0));
    assert!(fdb.touch(VLAN, mac(1), at(200)));
    assert_eq!(fdb.lookup(VLAN, mac(1), at(499)), Some(ONE));
    assert!(!fdb.touch(VLAN, mac(1), at(500)));
    assert!(!fdb.touch(VLAN, mac(2), at(0)));
}

#[test]
fn a_static_station_neither_moves_nor_expires() {
    let mut fdb = fdb();
    assert_eq!(fdb.set(VLAN, mac(1), ONE, EntryKind::Static, at(0)), Ok(()));
    assert_eq!(fdb.learn(VLAN, mac(1), TWO, at(1)), Learned::Refused(Refusal::Static));
    assert_eq!(fdb.learn(VLAN, mac(1), ONE, at(1)), Learned::Refreshed);
    fdb.handle_timeout(at(1_000_000));
    assert_eq!(fdb.lookup(VLAN, mac(1), at(1_000_000)), Some(ONE));
    assert_eq!(fdb.learn(VLAN, mac(1), TWO, at(1_000_000)), Learned::Refused(Refusal::Static));
    assert_eq!((fdb.poll_timeout(), fdb.stations(ONE)), (None, 0));
    assert_eq!(fdb.counters(), FdbCounters { set: 1, refused: 2, refused_static: 2, ..FdbCounters::default() });
}

#[test]
fn a_sticky_station_does_not_move_but_expires() {
    let mut fdb = fdb();
    fdb.set(VLAN, mac(1), ONE, EntryKind::Sticky, at(0)).unwrap();
    assert_eq!(fdb.learn(VLAN, mac(1), TWO, at(299)), Learned::Refused(Refusal::Sticky));
    assert_eq!(fdb.lookup(VLAN, mac(1), at(299)), Some(ONE));
    assert_eq!(fdb.learn(VLAN, mac(1), TWO, at(300)), Learned::New);
    assert_eq!(fdb.entries(at(300))[0].kind, EntryKind::Dynamic);
}

#[test]
fn a_flood_of_addresses_fills_the_quota_of_its_port_only() {
    let mut fdb = fdb();
    fdb.set_quota(ONE, 3);
    fdb.learn(VLAN, mac(9), TWO, at(0));
    for station in 10..13 {
        assert_eq!(fdb.learn(VLAN, mac(station), ONE, at(0)), Learned::New);
    }
    assert_eq!(fdb.learn(VLAN, mac(13), ONE, at(0)), Learned::Refused(Refusal::Quota));
    assert_eq!(fdb.learn(VLAN, mac(9), ONE, at(0)), Learned::Refused(Refusal::Quota), "it steals no station either");
    assert_eq!(fdb.lookup(VLAN, mac(9), at(0)), Some(TWO));
    assert_eq!(fdb.learn(VLAN, mac(10), ONE, at(0)), Learned::Refreshed);
    assert_eq!(fdb.learn(VLAN, mac(20), TWO, at(0)), Learned::New);
    fdb.handle_timeout(at(300));
    assert_eq!(fdb.learn(VLAN, mac(13), ONE, at(300)), Learned::New);
}

#[test]
fn a_full_table_refuses_the_new_and_keeps_the_known() {
    let mut fdb = Fdb::new(MINUTES_5, 2, 1);
    fdb.learn(VLAN, mac(1), ONE, at(0));
    fdb.learn(VLAN, mac(2), TWO, at(0));
    assert_eq!(fdb.learn(VLAN, mac(3), ONE, at(0)), Learned::Refused(Refusal::TableFull));
    assert_eq!(fdb.learn(VLAN, mac(1), TWO, at(0)), Learned::Moved { from: ONE });
    assert_eq!(fdb.set(VLAN, mac(3), ONE, EntryKind::Sticky, at(0)), Err(Refusal::TableFull));
    assert_eq!(fdb.set(VLAN, mac(2), ONE, EntryKind::Sticky, at(0)), Ok(()), "in the place of what is there");
    for station in [4, 5] {
        assert_eq!(fdb.set(VLAN, mac(station), ONE, EntryKind::Static, at(0)), Ok(()), "a flood keeps nobody out");
    }
    assert_eq!(fdb.set(VLAN, mac(6), ONE, EntryKind::Static, at(0)), Err(Refusal::TableFull));
    assert_eq!(fdb.len(), 4);
}

#[test]
fn keeps_nobody_with_an_ageing_time_of_zero() {
    let mut fdb = Fdb::new(Duration::ZERO, 10, 1);
    assert_eq!(fdb.learn(VLAN, mac(1), ONE, at(0)), Learned::Refused(Refusal::NotKept));
    assert_eq!(fdb.set(VLAN, mac(1), ONE, EntryKind::Sticky, at(0)), Err(Refusal::NotKept));
    assert_eq!(fdb.set(VLAN, mac(1), ONE, EntryKind::Static, at(0)), Ok(()));
    assert_eq!(fdb.lookup(VLAN, mac(1), at(9)), Some(ONE));
    assert_eq!(fdb.counters(), FdbCounters { set: 1, ..FdbCounters::default() });
}

#[test]
fn a_flush_leaves_static_stations_and_other_ports() {
    let mut fdb = fdb();
    fdb.set(VLAN, mac(1), ONE, EntryKind::Static, at(0)).unwrap();
    for station in [5, 3, 4] {
        fdb.learn(VLAN, mac(station), ONE, at(0));
    }
    fdb.learn(VLAN, mac(9), TWO, at(0));
    events(&mut fdb);
    fdb.flush_port(ONE);
    let evicted = [3, 4, 5].map(|station| FdbEvent::Evicted { vlan: VLAN, station: mac(station), port: ONE });
    assert_eq!(events(&mut fdb), evicted, "in the order of the addresses");
    assert_eq!((fdb.len(), fdb.stations(ONE), fdb.counters().evicted), (2, 0, 3));
}

#[test]
fn a_port_that_goes_takes_its_stations_along() {
    let mut fdb = fdb();
    fdb.set(VLAN, mac(1), ONE, EntryKind::Static, at(0)).unwrap();
    fdb.learn(VLAN, mac(2), ONE, at(0));
    fdb.learn(VLAN, mac(3), TWO, at(0));
    fdb.remove_port(ONE);
    assert_eq!(fdb.entries(at(0)).iter().map(|entry| entry.station).collect::<Vec<_>>(), [mac(3)]);
}

#[test]
fn an_entry_set_or_removed_by_hand_replaces_what_was_learned() {
    let mut fdb = fdb();
    fdb.learn(VLAN, mac(1), ONE, at(0));
    fdb.set(VLAN, mac(1), TWO, EntryKind::Static, at(0)).unwrap();
    assert_eq!((fdb.lookup(VLAN, mac(1), at(0)), fdb.stations(ONE)), (Some(TWO), 0));
    fdb.handle_timeout(at(300));
    assert!(fdb.remove(VLAN, mac(1)));
    assert!(!fdb.remove(VLAN, mac(1)));
    assert_eq!(fdb.counters(), FdbCounters { learned: 1, set: 1, evicted: 2, ..FdbCounters::default() });
}

#[test]
fn a_new_ageing_time_holds_for_the_known_as_well() {
    let mut fdb = fdb();
    fdb.learn(VLAN, mac(1), ONE, at(0));
    fdb.learn(VLAN, mac(2), ONE, at(90));
    fdb.set_ageing(Duration::from_secs(60), at(100));
    assert_eq!(fdb.ageing(), Duration::from_secs(60));
    assert_eq!((fdb.lookup(VLAN, mac(1), at(100)), fdb.lookup(VLAN, mac(2), at(100))), (None, Some(ONE)));
    assert_eq!(fdb.entries(at(100))[0].age, Duration::from_secs(10));
    fdb.handle_timeout(at(100));
    assert_eq!(fdb.poll_timeout(), Some(at(150)));
    fdb.set_ageing(MINUTES_5, at(100));
    assert_eq!(fdb.poll_timeout(), Some(at(390)));
}

#[test]
fn a_longer_ageing_time_brings_nobody_back() {
    for short in [Duration::ZERO, Duration::from_secs(60)] {
        let mut fdb = fdb();
        fdb.learn(VLAN, mac(2), TWO, at(0));
        fdb.learn(VLAN, mac(1), ONE, at(0));
        fdb.set(VLAN, mac(3), ONE, EntryKind::Static, at(0)).unwrap();
        events(&mut fdb);
        fdb.set_ageing(short, at(100));
        fdb.set_ageing(MINUTES_5, at(100));
        assert_eq!((fdb.lookup(VLAN, mac(1), at(100)), fdb.lookup(VLAN, mac(3), at(100))), (None, Some(ONE)));
        let expired = [(1, ONE), (2, TWO)].map(|(station, port)| (mac(station), port));
        let expired = expired.map(|(station, port)| FdbEvent::Expired { vlan: VLAN, station, port });
        assert_eq!(events(&mut fdb), expired, "in the order of the addresses");
        assert_eq!((fdb.len(), fdb.counters().expired, fdb.poll_timeout()), (1, 2, None));
    }
    let mut fdb = fdb();
    fdb.learn(VLAN, mac(1), ONE, at(0));
    fdb.set_ageing(2 * MINUTES_5, at(300));
    assert_eq!(fdb.lookup(VLAN, mac(1), at(300)), None, "it was silent for too long already");
}

#[test]
fn the_queue_of_checks_stays_in_bounds_when_stations_come_and_go() {
    let mut fdb = fdb();
    for round in 0..10_000 {
        fdb.learn(VLAN, mac(round % 7), ONE, Instant::from_nanos(round));
        fdb.flush_port(ONE);
    }
    assert!(fdb.checks.len() <= 66, "{} checks for no station", fdb.checks.len());
}

#[test]
fn the_queue_of_checks_shrinks_when_many_stations_have_gone_for_good() {
    let mut fdb = fdb();
    for station in 0..1000 {
        fdb.learn(VLAN, mac(station), ONE, at(0));
    }
    fdb.flush_port(ONE);
    assert_eq!(fdb.checks.len(), 1000);
    for round in 0..10 {
        for station in 0..7 {
            fdb.learn(VLAN, mac(station), ONE, Instant::from_nanos(round));
        }
        fdb.flush_port(ONE);
    }
    assert!(fdb.checks.len() <= 80, "{} checks for no station", fdb.checks.len());
}

#[test]
fn void_checks_are_left_alone_until_they_outnumber_the_valid() {
    let mut fdb = fdb();
    for station in 0..500 {
        fdb.learn(VLAN, mac(station), ONE, at(0));
        fdb.learn(VLAN, mac(1000 + station), TWO, at(0));
    }
    fdb.flush_port(ONE);
    fdb.learn(VLAN, mac(2000), TWO, at(0));
    assert_eq!(fdb.checks.len(), 1001, "to sweep them out now would be a cost for nothing");
}

#[test]
fn a_sweep_is_bounded_and_tells_that_there_is_more() {
    let mut fdb = fdb();
    fdb.set_quota(ONE, 10_000);
    for station in 0..5000 {
        fdb.learn(VLAN, mac(station), ONE, at(0));
    }
    fdb.handle_timeout(at(400));
    assert_eq!((fdb.len(), fdb.poll_timeout()), (5000 - 4096, Some(at(300))));
    fdb.handle_timeout(at(400));
    assert_eq!((fdb.len(), fdb.poll_timeout()), (0, None));
}

#[test]
fn loses_the_oldest_events_and_counts_them() {
    let mut fdb = fdb();
    fdb.set_quota(ONE, 10_000);
    for station in 0..1030 {
        fdb.learn(VLAN, mac(station), ONE, at(0));
    }
    assert_eq!(fdb.events_lost(), 6);
    assert_eq!(events(&mut fdb)[0], FdbEvent::Learned { vlan: VLAN, station: mac(6), port: ONE });
}

#[test]
fn a_snapshot_is_restored_under_another_clock() {
    let mut fdb = fdb();
    fdb.learn(vlan(7), mac(2), TWO, at(1000));
    fdb.learn(VLAN, mac(1), ONE, at(1100));
    fdb.set(VLAN, mac(3), ONE, EntryKind::Static, at(0)).unwrap();
    let snapshot = fdb.snapshot(at(1200));
    let json = serde_json::to_string(&snapshot).unwrap();

    let mut restored = Fdb::new(MINUTES_5, 100, 2);
    restored.learn(VLAN, mac(9), ONE, at(0));
    restored.restore(&serde_json::from_str(&json).unwrap(), at(1));
    assert_eq!(restored.lookup(VLAN, mac(9), at(1)), None);
    assert_eq!(restored.lookup(vlan(7), mac(2), at(100)), Some(TWO));
    assert_eq!(restored.lookup(vlan(7), mac(2), at(101)), None);
    assert_eq!(restored.lookup(VLAN, mac(1), at(200)), Some(ONE));
    assert_eq!((restored.stations(ONE), restored.stations(TWO)), (1, 1));
    assert_eq!(restored.counters(), fdb.counters());
    assert_eq!(restored.entries(at(1))[0], snapshot.entries[0]);
}

#[test]
fn what_a_restored_table_has_no_room_for_counts_as_evicted() {
    let row = |station, kind, age| FdbEntry {
        vlan: VLAN,
        station: mac(station),
        port: ONE,
        kind,
        age: Duration::from_secs(age),
    };
    let snapshot = FdbSnapshot {
        entries: vec![
            row(1, EntryKind::Dynamic, 0),
            row(1, EntryKind::Dynamic, 0),
            row(2, EntryKind::Static, 999),
            row(3, EntryKind::Static, 0),
            row(4, EntryKind::Dynamic, 0),
        ],
        counters: FdbCounters {
            learned: 5,
            set: 4,
            expired: 1,
            evicted: 3,
            moved: 7,
            refused: 8,
            ..FdbCounters::default()
        },
    };
    let mut fdb = Fdb::new(MINUTES_5, 1, 1);
    fdb.restore(&snapshot, at(0));
    assert_eq!(fdb.entries(at(0)), [row(1, EntryKind::Dynamic, 0), row(2, EntryKind::Static, 300)]);
    assert_eq!(fdb.counters(), FdbCounters { evicted: 6, ..snapshot.counters });
    // What had expired by then, or does by a shorter ageing time, does not come back.
    let late =
        FdbSnapshot { entries: vec![row(5, EntryKind::Dynamic, 300), row(6, EntryKind::Sticky, 299)], ..snapshot };
    fdb.restore(&late, at(0));
    assert_eq!((fdb.lookup(VLAN, mac(5), at(0)), fdb.lookup(VLAN, mac(6), at(0))), (None, Some(ONE)));
    assert_eq!((fdb.len(), fdb.stations(ONE)), (1, 1));
}

#[test]
fn an_entry_knows_its_age_before_and_after_it_has_expired() {
    let mut fdb = fdb();
    fdb.learn(VLAN, mac(1), ONE, at(100));
    fdb.set(VLAN, mac(2), ONE, EntryKind::Static, at(100)).unwrap();
    let ages = |now| fdb.entries(at(now)).iter().map(|entry| entry.age.as_secs()).collect::<Vec<_>>();
    assert_eq!((ages(100), ages(250), ages(500)), (vec![0, 0], vec![150, 150], vec![400]));
}

#[test]
fn the_books_balance_and_the_seed_does_not_matter() {
    let run = |seed: u64| {
        let mut fdb = Fdb::new(MINUTES_5, 40, seed);
        fdb.set_quota(ONE, 15);
        let mut random = 1_u64;
        let mut draw = |below: u64| {
            // (xorshift: no distribution to be proud of, but the same each time.)
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % below
        };
        let mut log = Vec::new();
        let mut now = at(0);
        for _ in 0..20_000 {
            now = now + Duration::from_secs(draw(20));
            let (station, port) = (mac(draw(64)), PortId(draw(4) as u16));
            match draw(40) {
                0 => drop(fdb.set(VLAN, station, port, EntryKind::Static, now)),
                1 => drop(fdb.set(VLAN, station, port, EntryKind::Sticky, now)),
                2 | 3 => drop(fdb.remove(VLAN, station)),
                4 => fdb.flush_port(port),
                5..15 => fdb.handle_timeout(now),
                _ => drop(fdb.learn(VLAN, station, port, now)),
            }
            log.extend(events(&mut fdb));
            let FdbCounters { learned, set, expired, evicted, .. } = fdb.counters();
            assert_eq!(learned + set, expired + evicted + fdb.len() as u64);
            let ages = |port| fdb.entries.iter().filter(|(_, it)| it.kind.ages() && it.port == port).count();
            assert!((0..4).map(PortId).all(|port| fdb.stations(port) == ages(port)));
            let checked = |key: u64, entry: &Entry| fdb.checks.iter().any(|it| it.0 == (entry.check, key));
            assert!(fdb.entries.iter().all(|(key, entry)| !entry.kind.ages() || checked(key, &entry)));
        }
        (log, fdb.counters(), fdb.entries(now))
    };
    assert_eq!(run(1), run(2));
}

fn fdb() -> Fdb {
    Fdb::new(MINUTES_5, 10_000, 1)
}

fn mac(number: u64) -> MacAddr {
    let [.., c, d, e, f] = number.to_be_bytes();
    MacAddr([2, 0, c, d, e, f])
}

fn vlan(id: u16) -> VlanId {
    VlanId::new(id).unwrap()
}

fn at(secs: u64) -> Instant {
    Instant::from_secs(secs)
}

fn events(fdb: &mut Fdb) -> Vec<FdbEvent> {
    std::iter::from_fn(|| fdb.poll_event()).collect()
}
