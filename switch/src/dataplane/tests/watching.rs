//! What a watcher is told, and that it is all that another data plane needs.

use super::*;

/// Writes down what it is told, as one would say it.
#[derive(Default)]
struct Log(Vec<String>);

impl Watch for Log {
    fn control(&mut self, control: &Control<()>, now: Instant, made: bool) {
        let what = match control {
            Control::Plug { port, .. } => format!("plug {}", port.0),
            Control::Unplug { port } => format!("unplug {}", port.0),
            other => format!("{other:?}"),
        };
        let refused = if made { "" } else { " is refused" };
        self.0.push(format!("{what}{refused} at {}", now.as_nanos()));
    }

    fn frame(&mut self, decided: Decided<'_>) {
        let Decided { now, ingress, switch, buffer, verdict } = decided;
        let (ports, len) = (switch.ports().count(), buffer.frame().len());
        self.0.push(format!("{len} bytes by {} at {}, {ports} ports: {verdict:?}", ingress.0, now.as_nanos()));
    }

    fn copy(&mut self, egress: PortId, outcome: Outcome) {
        self.0.push(format!("to {}: {outcome:?}", egress.0));
    }

    fn result(&mut self, port: PortId, answer: Transmit) {
        self.0.push(format!("{} answers {answer:?}", port.0));
    }

    fn port_down(&mut self, port: PortId) {
        self.0.push(format!("{} is down", port.0));
    }

    fn timeout(&mut self, now: Instant) {
        self.0.push(format!("timeout at {}", now.as_nanos()));
    }
}

#[test]
fn a_watcher_is_told_of_each_frame_and_each_copy_in_its_turn() {
    let mut plane = plane(2);
    plug(&mut plane, 2, PortConfig { mtu: 100, ..PortConfig::default() });
    answer(&mut plane, 1, &[Transmit::Queued, Transmit::Full]);
    let long = [frame(ALL, A), vec![0; 60]].concat();
    arrive(&mut plane, 0, &[frame(ALL, A), long, frame(A, A), vec![1; 5]]);
    link(&mut plane, 1).results = vec![Transmit::Refused];
    let mut log = Log::default();
    assert_eq!(plane.service_watched(PortId(0), Instant::from_nanos(7), &mut log), Serviced::Idle);
    let given = |answer| format!("{:?}", Outcome::Offered { retag: Retag::Keep, answer });
    assert_eq!(
        log.0,
        [
            "60 bytes by 0 at 7, 3 ports: Flood { vlan: VlanId(0), to: {1, 2} }".to_owned(),
            format!("to 1: {}", given(Transmit::Queued)),
            format!("to 2: {}", given(Transmit::Sent)),
            "120 bytes by 0 at 7, 3 ports: Flood { vlan: VlanId(0), to: {1, 2} }".to_owned(),
            format!("to 1: {}", given(Transmit::Full)),
            "to 2: Dropped(ExceedsMtu)".to_owned(),
            "60 bytes by 0 at 7, 3 ports: Drop(Hairpin)".to_owned(),
            "5 bytes by 0 at 7, 3 ports: Drop(Runt)".to_owned(),
            "1 answers Refused".to_owned(),
        ]
    );
}

#[test]
fn a_watcher_is_told_of_changes_timeouts_and_links_that_end() {
    let mut plane = plane(2);
    let mut log = Log::default();
    let unplug = || Control::Unplug { port: PortId(1) };
    assert_eq!(plane.control_watched(unplug(), Instant::from_nanos(1), &mut log), Ok(()));
    assert!(
        plane.control_watched(unplug(), Instant::from_nanos(2), &mut log).is_err(),
        "it is told before it is tried"
    );
    plane.handle_timeout_watched(Instant::from_nanos(3), &mut log);
    link(&mut plane, 0).is_down = true;
    plane.service_watched(PortId(0), Instant::from_nanos(4), &mut log);
    assert_eq!(log.0, ["unplug 1 at 1", "unplug 1 is refused at 2", "timeout at 3", "0 is down"]);
}

#[test]
fn of_two_watchers_each_is_told_of_everything() {
    let mut plane = plane(3);
    let (mut one, mut other) = (Log::default(), Log::default());
    let mut both = (&mut one, &mut other);
    plane.control_watched(Control::FlushPort { port: PortId(2) }, Instant::from_nanos(1), &mut both).unwrap();
    plane.handle_timeout_watched(Instant::from_nanos(2), &mut both);
    answer(&mut plane, 1, &[Transmit::Queued]);
    arrive(&mut plane, 0, &[frame(ALL, A)]);
    link(&mut plane, 1).results = vec![Transmit::Down];
    plane.service_watched(PortId(0), Instant::from_nanos(3), &mut both);
    let kinds: Vec<&str> = one.0.iter().map(|line| &line[..9]).collect();
    assert_eq!(
        kinds,
        ["FlushPort", "timeout a", "60 bytes ", "to 1: Off", "to 2: Off", "1 answers", "1 is down"],
        "{:?}",
        one.0
    );
    assert_eq!(other.0, one.0);
    assert!((Log::default(), ()).is_there() && ((), &mut Log::default()).is_there());
    assert!(!((), &mut ()).is_there(), "nobody and nobody are nobody");
}

#[test]
fn results_that_are_asked_for_are_told() {
    let mut plane = plane(2);
    answer(&mut plane, 1, &[Transmit::Queued; 2]);
    arrive(&mut plane, 0, &vec![frame(ALL, A); 2]);
    plane.service(PortId(0), NOW);
    link(&mut plane, 1).results = vec![Transmit::Sent, Transmit::Down];
    let mut log = Log::default();
    plane.settle_watched(PortId(1), &mut log);
    assert_eq!(log.0, ["1 answers Sent", "1 answers Down", "1 is down"]);
}

#[test]
fn a_data_plane_that_is_restored_goes_on_as_the_other_would_have() {
    let second = Instant::from_secs(1);
    let config = Config { ageing: Duration::from_secs(10), ..Config::default() };
    let mut plane: Dataplane<Fake> = Dataplane::new(Settings::default());
    plane.control(Control::AddBridge { bridge: BRIDGE, name: "net".to_owned(), config }, NOW).unwrap();
    (0..3).for_each(|port| plug(&mut plane, port, PortConfig { quota: 1, ..PortConfig::default() }));
    arrive(&mut plane, 0, &[frame(ALL, A)]);
    plane.service(PortId(0), NOW);
    answer(&mut plane, 1, &[Transmit::Queued]);
    arrive(&mut plane, 0, &[frame(ALL, A)]);
    plane.service(PortId(0), second);

    let state = plane.start_state(Instant::from_secs(2));
    let mut other: Dataplane<Fake> = Dataplane::new(Settings::default());
    other.restore(&state[0], Instant::from_secs(2), |_| Fake::default()).unwrap();
    assert_eq!(other.start_state(Instant::from_secs(2)), state);
    assert_eq!(state[0].queued, [(PortId(1), 1)]);
    assert_eq!(other.restore(&state[0], NOW, |_| Fake::default()), Err(ControlError::BridgeTaken(BRIDGE)));

    let mut logs = [(); 2].map(|()| Log::default());
    for (plane, log) in [&mut plane, &mut other].into_iter().zip(&mut logs) {
        link(plane, 1).results = vec![Transmit::Sent];
        plane.settle_watched(PortId(1), log);
        // Of two stations the port may have one; when that has been silent for too long, the other.
        for at in [Instant::from_secs(3), Instant::from_secs(11)] {
            plane.handle_timeout_watched(at, log);
            arrive(plane, 0, &[frame(ALL, B)]);
            plane.service_watched(PortId(0), at, log);
            arrive(plane, 2, &[frame(B, A), frame(A, B)]);
            plane.service_watched(PortId(2), at, log);
        }
    }
    assert_eq!(logs[0].0, logs[1].0);
    let at = Instant::from_secs(12);
    assert_eq!(plane.start_state(at), other.start_state(at));
}

#[test]
fn a_start_state_has_no_station_that_was_silent_for_too_long() {
    let mut plane = plane(1);
    plug(&mut plane, 1, PortConfig { quota: 1, ..PortConfig::default() });
    arrive(&mut plane, 1, &[frame(ALL, A)]);
    plane.service(PortId(1), NOW);
    let later = Instant::from_secs(300);
    let state = plane.start_state(later);
    assert_eq!(state[0].switch.fdb.entries, []);
    // Nor does it count towards a quota any more.
    let fdb = plane.switch(BRIDGE).unwrap().fdb();
    assert_eq!((fdb.len(), fdb.stations(PortId(1)), fdb.counters().expired), (0, 0, 1));
}
