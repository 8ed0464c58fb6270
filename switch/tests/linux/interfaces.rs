//! What becomes of a port when something happens to its interface: set down and up again, renamed, deleted, moved to another
//! network namespace, and all of that while traffic flows.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use switch::dataplane::{BridgeId, Control, Dataplane, Event, Settings};
use switch::engine::{Engine, Io};
use switch::forward::Config;
use switch::link::errors::ReadError;
use switch::link::packet::{PacketPort, Reading};
use switch::link::port::PortLink;
use switch::link::{Link as _, Received, Transmit};
use switch::port::PortConfig;
use switch::verdict::PortId;
use switch::vlan::Retag;

use super::scene::{Kind, in_namespace, ip, namespaced, receive, up};
use super::veth::{BROADCAST, FAR, NEAR, PATIENCE, each_way, frame, is_ready, next, pair, plain, send};

crate::trials![
    an_interface_that_is_set_down_drops_and_comes_back,
    an_interface_that_is_down_when_it_is_opened_is_used_once_it_is_up,
    a_deleted_interface_is_down_even_if_nothing_is_sent_to_it,
    an_interface_that_is_deleted_while_it_is_down_or_moved_away_is_down,
    the_engine_forgets_a_deleted_interface_and_waits_for_one_that_is_down,
    an_interface_that_is_deleted_under_traffic_takes_only_its_own_port_away,
    an_interface_that_is_moved_away_under_traffic_takes_only_its_own_port_away,
    an_interface_that_is_renamed_under_traffic_is_the_same_port,
    an_interface_that_is_set_down_and_up_under_traffic_goes_on,
    an_interface_whose_far_end_is_moved_away_and_back_goes_on,
];

fn an_interface_that_is_deleted_under_traffic_takes_only_its_own_port_away() {
    under_traffic(|mut it| {
        ip("link delete v0");
        it.has_lost_its_port();
    });
}

fn an_interface_that_is_moved_away_under_traffic_takes_only_its_own_port_away() {
    under_traffic(|mut it| {
        let elsewhere = namespaced("10.77.0.9", Kind::Tap);
        ip(&format!("link set v0 netns {}", elsewhere.path()));
        it.has_lost_its_port();
    });
}

fn an_interface_that_is_renamed_under_traffic_is_the_same_port() {
    under_traffic(|mut it| {
        // (Linux before 6.2 renames none that is up.)
        for line in ["link set v0 down", "link set v0 name other", "link set other up"] {
            ip(line);
        }
        it.goes_on();
        let name = it.engine.inspect(|dataplane, _| dataplane.link(PortId(1)).unwrap().name().to_owned()).unwrap();
        assert_eq!(name, "v0", "as it was opened");
    });
}

fn an_interface_that_is_set_down_and_up_under_traffic_goes_on() {
    under_traffic(|mut it| {
        for _ in 0..5 {
            ip("link set v0 down");
            ip("link set v0 up");
            it.goes_on();
        }
    });
}

fn an_interface_whose_far_end_is_moved_away_and_back_goes_on() {
    each_way(|reading| {
        let (mut near, far) = pair(reading);
        drop(far);
        let elsewhere = namespaced("10.77.0.9", Kind::Tap);
        let sent = frame(BROADCAST, &[0x88, 0xb5], 50);
        ip(&format!("link set v1 netns {}", elsewhere.path()));
        // The far end is down now, and there is no carrier.
        assert_eq!(near.transmit(&plain(&sent), Retag::Keep), Transmit::Full);
        assert_eq!(receive(&mut near).1, Received::WouldBlock);
        let mut far = elsewhere.run(move || {
            ip("link set v1 addrgenmode none up");
            PacketPort::open_by("v1", reading).unwrap()
        });
        send(&mut far, &sent);
        assert_eq!(next(&mut near).frame(), sent);
        send(&mut near, &sent);
        assert_eq!(next(&mut far).frame(), sent);
    });
}

/// Runs a test with each engine and each way to receive.
fn under_traffic(test: fn(UnderTraffic)) {
    for io in [Io::Epoll, Io::Uring] {
        for reading in [Reading::Ring, Reading::Calls] {
            in_namespace(move || test(UnderTraffic::new(io, reading)));
        }
    }
}

/// A bridge between `v0` and `w0`, and somebody behind `v0` who sends without a pause to whom is behind `w0`.
struct UnderTraffic {
    engine: Engine<PortLink>,
    receiver: PacketPort,
    sender: Option<thread::JoinHandle<()>>,
    ends: Arc<AtomicBool>,
}

impl UnderTraffic {
    fn new(io: Io, reading: Reading) -> Self {
        let engine = Engine::spawn(Dataplane::new(Settings::default()), io).unwrap();
        let bridge = BridgeId(1);
        engine.control(Control::AddBridge { bridge, name: "test".to_owned(), config: Config::default() }).unwrap();
        for (port, near, far) in [(PortId(1), "v0", "v1"), (PortId(2), "w0", "w1")] {
            ip(&format!("link add {near} type veth peer name {far}"));
            ip(&format!("link set {far} addrgenmode none arp off up"));
            let link = up(PortLink::Packet(PacketPort::open_by(near, reading).unwrap()));
            engine.control(Control::Plug { bridge, port, config: PortConfig::default(), link }).unwrap();
        }
        let mut receiver = PacketPort::open_by("w1", reading).unwrap();
        // From now on it is known where NEAR is.
        let mut hello = frame(FAR, &[0x88, 0xb5], 50);
        hello[6..12].copy_from_slice(&NEAR);
        send(&mut receiver, &hello);
        let mut far = PacketPort::open_by("v1", reading).unwrap();
        let ends = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&ends);
        let sender = thread::spawn(move || {
            let (short, long) = (plain(&frame(NEAR, &[0x88, 0xb5], 50)), plain(&frame(NEAR, &[0x88, 0xb5], 1_400)));
            while !told.load(Ordering::Relaxed) {
                // (Whether it gets anywhere is what is tested.)
                far.transmit(&short, Retag::Keep);
                far.transmit(&long, Retag::Keep);
            }
        });
        let mut it = UnderTraffic { engine, receiver, sender: Some(sender), ends };
        it.goes_on();
        it
    }

    /// Frames come, and nobody has heard of an end.
    fn goes_on(&mut self) {
        // What had come before is not what is waited for: at most a ring full, or a queue.
        let _ = (0..1_000).find(|_| receive(&mut self.receiver).1 != Received::More);
        let mut received = 0;
        while received < 1_000 {
            assert!(is_ready(&self.receiver, PATIENCE), "nothing comes any more, after {received}");
            received += receive(&mut self.receiver).0.len();
        }
        assert_eq!(self.engine.events().try_recv().ok(), None);
        assert_eq!(self.ports(), [PortId(1), PortId(2)]);
    }

    /// The end was told, and the other port is there and works.
    fn has_lost_its_port(&mut self) {
        let told = self.engine.events().recv_timeout(Duration::from_millis(PATIENCE.into()));
        assert_eq!(told, Ok(Event::PortDown { port: PortId(1) }));
        assert_eq!(self.ports(), [PortId(2)]);
        assert_eq!(self.engine.events().try_recv().ok(), None);
    }

    /// The ports that there are, and that the counters add up.
    fn ports(&self) -> Vec<PortId> {
        let look = |dataplane: &Dataplane<PortLink>, _| (dataplane.check(), dataplane.ports().collect());
        let (check, ports) = self.engine.inspect(look).unwrap();
        assert_eq!(check, Ok(()));
        ports
    }
}

impl Drop for UnderTraffic {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        let ended = self.sender.take().map(thread::JoinHandle::join);
        assert!(thread::panicking() || matches!(ended, Some(Ok(()))), "the sender");
    }
}

fn an_interface_that_is_set_down_drops_and_comes_back() {
    each_way(|reading| {
        let (mut near, mut far) = pair(reading);
        let sent = frame(BROADCAST, &[0x88, 0xb5], 50);
        for _ in 0..2 {
            ip("link set v0 down");
            assert_eq!(receive(&mut near).1, Received::WouldBlock);
            assert!(!is_ready(&near, 0), "the error was told once");
            assert_eq!(near.transmit(&plain(&sent), Retag::Keep), Transmit::Full);
            // The timer looks after it, and finds it there.
            assert!(is_ready(&near, PATIENCE));
            assert_eq!(receive(&mut near).1, Received::WouldBlock);
            ip("link set v0 up");
            send(&mut far, &sent);
            assert_eq!(next(&mut near).frame(), sent);
            send(&mut near, &sent);
            assert_eq!(next(&mut far).frame(), sent);
        }
        assert_eq!(near.read_errors().iter().collect::<Vec<_>>(), [(ReadError::InterfaceDown, 2)]);
        ip("link set v1 down");
        assert_eq!(near.transmit(&plain(&sent), Retag::Keep), Transmit::Full, "no carrier");
        ip("link set v1 up");
        assert_eq!(receive(&mut near).1, Received::WouldBlock);
    });
}

fn an_interface_that_is_down_when_it_is_opened_is_used_once_it_is_up() {
    each_way(|reading| {
        ip("link add v0 type veth peer name v1");
        let mut near = PacketPort::open_by("v0", reading).unwrap();
        assert_eq!(receive(&mut near).1, Received::WouldBlock);
        let mut far = up(PortLink::Packet(PacketPort::open_by("v1", reading).unwrap()));
        ip("link set v0 addrgenmode none up");
        let sent = frame(BROADCAST, &[0x88, 0xb5], 50);
        assert_eq!(far.transmit(&plain(&sent), Retag::Keep), Transmit::Sent);
        assert_eq!(next(&mut near).frame(), sent);
    });
}

fn a_deleted_interface_is_down_even_if_nothing_is_sent_to_it() {
    each_way(|reading| {
        let (mut near, mut far) = pair(reading);
        // At once, so that its end is told in two steps, of which the socket learns the first.
        let deletion = Command::new("ip").args(["link", "delete", "v0"]).spawn();
        let ended =
            |port: &mut PacketPort| (0..100).any(|_| is_ready(port, PATIENCE) && receive(port).1 == Received::Down);
        assert!(ended(&mut near));
        assert!(ended(&mut far));
        deletion.unwrap().wait().unwrap();
        assert_eq!(near.transmit(&plain(&frame(BROADCAST, &[0x88, 0xb5], 50)), Retag::Keep), Transmit::Down);
    });
}

fn an_interface_that_is_deleted_while_it_is_down_or_moved_away_is_down() {
    each_way(|reading| {
        for deed in ["link delete v0", "link set v0 netns "] {
            let (mut near, mut far) = pair(reading);
            let namespace = namespaced("10.77.0.9", Kind::Tap);
            let deed = if deed.ends_with(' ') { format!("{deed}{}", namespace.path()) } else { deed.to_owned() };
            send(&mut far, &frame(BROADCAST, &[0x88, 0xb5], 50));
            ip("link set v0 down");
            let (frames, received) = receive(&mut near);
            assert_eq!((frames.len(), received), (1, Received::WouldBlock), "what came before is there");
            ip(&deed);
            assert!(is_ready(&near, PATIENCE));
            assert_eq!(receive(&mut near).1, Received::Down);
            assert_eq!(near.transmit(&plain(&frame(BROADCAST, &[0x88, 0xb5], 50)), Retag::Keep), Transmit::Down);
        }
    });
}

fn the_engine_forgets_a_deleted_interface_and_waits_for_one_that_is_down() {
    for (io, reading) in [(Io::Epoll, Reading::Ring), (Io::Uring, Reading::Calls)] {
        in_namespace(move || forgets_and_waits(io, reading));
    }
}

fn forgets_and_waits(io: Io, reading: Reading) {
    let engine = Engine::spawn(Dataplane::new(Settings::default()), io).unwrap();
    let bridge = BridgeId(1);
    engine.control(Control::AddBridge { bridge, name: "test".to_owned(), config: Config::default() }).unwrap();
    ip("link add v0 type veth peer name v1");
    for (port, interface) in [(PortId(1), "v0"), (PortId(2), "v1")] {
        let link = up(PortLink::Packet(PacketPort::open_by(interface, reading).unwrap()));
        engine.control(Control::Plug { bridge, port, config: PortConfig::default(), link }).unwrap();
    }
    ip("link set v0 down");
    ip("link set v0 up");
    let ports = engine.inspect(|dataplane, _| dataplane.ports().count()).unwrap();
    assert_eq!(ports, 2);
    ip("link delete v0");
    let mut down: Vec<_> = (0..2).map(|_| engine.events().recv_timeout(Duration::from_secs(10)).unwrap()).collect();
    down.sort_by_key(|Event::PortDown { port }| *port);
    assert_eq!(down, [Event::PortDown { port: PortId(1) }, Event::PortDown { port: PortId(2) }]);
}
