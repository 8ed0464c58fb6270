//! TAPs at an engine, with each of the two ways in which it reads and writes.

use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::net::if_::if_nametoindex;
use nix::sys::uio::writev;
use switch::buffer::Buffer;
use switch::dataplane::{BridgeId, Control, Dataplane, Event, Settings};
use switch::engine::{Engine, Io};
use switch::forward::Config;
use switch::link::packet::PacketPort;
use switch::link::port::PortLink;
use switch::link::tap::Tap;
use switch::link::{Link as _, Received, Transmit};
use switch::port::PortConfig;
use switch::verdict::{DropReason, PortId};
use switch::vlan::{PortVlans, Retag, VlanId};
use zerocopy::IntoBytes as _;

use super::offload_headers::lies;
use super::scene::{Kind, in_namespace, ip, namespaced, receive, waited_for};
use super::veth::{BROADCAST, FAR, NEAR, PATIENCE, frame, plain, send};

crate::trials![
    frames_cross_with_their_tags_changed,
    a_tap_that_is_unplugged_goes,
    a_number_is_used_again_while_frames_come,
    the_taps_go_with_the_engine,
    a_deleted_tap_takes_only_its_own_port_away,
    a_tap_that_is_set_down_drops_and_comes_back,
    a_tap_that_is_renamed_is_the_same_port,
    a_tap_that_is_moved_to_another_namespace_goes_on_there_and_ends_with_it,
    a_lie_about_a_frame_is_counted_and_harms_no_neighbour,
    the_shortest_frame_crosses_and_one_over_the_mtu_is_a_counted_drop,
    a_flood_from_several_ports_does_not_keep_others_from_their_turn,
    a_flood_to_many_ports_reaches_them_all,
];

/// A bridge, and what the kernel has on the other side of each TAP: `t1` is that of port 1, and so on.
struct Scene {
    engine: Engine<PortLink>,
    far: Vec<PacketPort>,
}

impl Scene {
    fn new(io: Io, vlans: &[PortVlans]) -> Scene {
        let engine = Engine::spawn(Dataplane::new(Settings::default()), io).unwrap();
        assert_eq!(engine.io(), io);
        let config = Config { vlan_filtering: vlans.iter().any(|it| *it != PortVlans::default()), ..Config::default() };
        engine.control(Control::AddBridge { bridge: BRIDGE, name: "test".to_owned(), config }).unwrap();
        let mut it = Scene { engine, far: Vec::new() };
        for (number, vlans) in (1..).zip(vlans) {
            it.plug(number, vlans.clone());
            it.far.push(PacketPort::open(&name(number)).unwrap());
        }
        it
    }

    fn plug(&self, number: u16, vlans: PortVlans) {
        let name = name(number);
        let link = PortLink::Tap(Tap::create(&name).unwrap());
        ip(&format!("link set {name} addrgenmode none arp off up"));
        let config = PortConfig { vlans, ..PortConfig::default() };
        self.engine.control(Control::Plug { bridge: BRIDGE, port: PortId(number), config, link }).unwrap();
    }

    /// Takes a port away, and its device is gone.
    fn unplug(&self, number: u16) {
        self.engine.control(Control::Unplug { port: PortId(number) }).unwrap();
        // (A process that another test starts has its file for a moment.)
        waited_for(|| if_nametoindex(name(number).as_str()).is_err().then_some(()));
    }

    /// Sends by a port, from the kernel's side of it.
    fn send(&mut self, number: usize, frame: &[u8]) {
        send(&mut self.far[number - 1], frame);
    }

    /// The next frame that the kernel gets from a port.
    fn next(&mut self, number: usize) -> Vec<u8> {
        let far = &mut self.far[number - 1];
        let ours = |frame: &Arc<Buffer>| frame.frame().windows(2).skip(12).step_by(4).take(2).any(|it| it == ETHERTYPE);
        waited_for(|| receive(far).0.iter().find(|frame| ours(frame)).map(|frame| frame.frame().to_vec()))
    }

    fn first_and_second_hear_each_other(&mut self) {
        let sent = frame(BROADCAST, &ETHERTYPE, 50);
        for (from, to) in [(1, 2), (2, 1)] {
            self.send(from, &sent);
            assert_eq!(self.next(to), sent);
        }
    }

    /// Why copies that were to leave by a port were dropped, and how many, once there are as many; and that the counters add up.
    fn drops(&self, number: u16, reason: DropReason, count: u64) {
        waited_for(|| {
            let look = move |dataplane: &Dataplane<PortLink>, _| {
                (dataplane.check(), dataplane.counters(PortId(number)).map(|it| it.tx.drops.of(reason)))
            };
            let (check, dropped) = self.engine.inspect(look).unwrap();
            assert_eq!(check, Ok(()));
            (dropped == Some(count)).then_some(())
        });
    }
}

const BRIDGE: BridgeId = BridgeId(1);

/// Of our own frames: the kernel has some of its own to send.
const ETHERTYPE: [u8; 2] = [0x88, 0xb5];

fn name(number: u16) -> String {
    format!("t{number}")
}

fn each_way(test: fn(Io)) {
    for io in [Io::Epoll, Io::Uring] {
        in_namespace(move || test(io));
    }
}

fn anybody(count: usize) -> Vec<PortVlans> {
    vec![PortVlans::default(); count]
}

fn frames_cross_with_their_tags_changed() {
    each_way(|io| {
        let five = VlanId::new(5).unwrap();
        let mut it = Scene::new(io, &[PortVlans::Access(five), PortVlans::Trunk { native: None, tagged: vec![five] }]);
        let untagged = frame(BROADCAST, &ETHERTYPE, 50);
        let tagged = [&untagged[..12], &[0x81, 0x00, 0x00, 0x05], &untagged[12..]].concat();
        // Many at once, so that their memory is used again.
        for _ in 0..20 {
            for _ in 0..10 {
                it.send(1, &untagged);
                assert_eq!(it.next(2), tagged);
            }
        }
        for _ in 0..10 {
            it.send(2, &tagged);
            assert_eq!(it.next(1), untagged);
        }
    });
}

fn a_tap_that_is_unplugged_goes() {
    each_way(|io| {
        let mut it = Scene::new(io, &anybody(3));
        it.unplug(1);
        let sent = frame(BROADCAST, &ETHERTYPE, 50);
        it.send(2, &sent);
        assert_eq!(it.next(3), sent);
    });
}

fn a_number_is_used_again_while_frames_come() {
    each_way(|io| {
        let mut it = Scene::new(io, &anybody(2));
        let sent = frame(BROADCAST, &ETHERTYPE, 50);
        for _ in 0..20 {
            for _ in 0..10 {
                it.send(1, &sent);
            }
            it.unplug(1);
            it.plug(1, PortVlans::default());
            it.far[0] = PacketPort::open("t1").unwrap();
        }
        // (What came before its port went may have crossed.)
        let _ = (0..1_000).find(|_| receive(&mut it.far[1]).1 != Received::More);
        it.send(1, &sent);
        assert_eq!(it.next(2), sent);
    });
}

fn the_taps_go_with_the_engine() {
    each_way(|io| {
        let Scene { engine, far } = Scene::new(io, &anybody(2));
        drop(engine);
        drop(far);
        waited_for(|| ["t1", "t2"].iter().all(|name| if_nametoindex(*name).is_err()).then_some(()));
    });
}

fn a_deleted_tap_takes_only_its_own_port_away() {
    each_way(|io| {
        let mut it = Scene::new(io, &anybody(3));
        ip("link delete t1");
        let told = it.engine.events().recv_timeout(Duration::from_millis(PATIENCE.into()));
        assert_eq!(told, Ok(Event::PortDown { port: PortId(1) }));
        let sent = frame(BROADCAST, &ETHERTYPE, 50);
        it.send(2, &sent);
        assert_eq!(it.next(3), sent);
    });
}

fn a_tap_that_is_set_down_drops_and_comes_back() {
    each_way(|io| {
        let mut it = Scene::new(io, &anybody(3));
        let sent = frame(BROADCAST, &ETHERTYPE, 50);
        ip("link set t1 down");
        it.send(2, &sent);
        assert_eq!(it.next(3), sent);
        it.drops(1, DropReason::LinkFull, 1);
        ip("link set t1 up");
        it.far[0] = PacketPort::open("t1").unwrap();
        it.send(2, &sent);
        assert_eq!(it.next(1), sent);
        it.send(1, &sent);
        assert_eq!(it.next(2), sent);
    });
}

fn a_tap_that_is_renamed_is_the_same_port() {
    each_way(|io| {
        let mut it = Scene::new(io, &anybody(2));
        // (Linux before 6.2 renames none that is up.)
        for line in ["link set t1 down", "link set t1 name other", "link set other up"] {
            ip(line);
        }
        it.far[0] = PacketPort::open("other").unwrap();
        it.first_and_second_hear_each_other();
    });
}

/// Its file works from everywhere, and keeps no namespace alive but the one in which it was opened.
fn a_tap_that_is_moved_to_another_namespace_goes_on_there_and_ends_with_it() {
    each_way(|io| {
        let mut it = Scene::new(io, &anybody(3));
        let elsewhere = namespaced("10.77.0.9", Kind::Tap);
        ip(&format!("link set t1 netns {}", elsewhere.path()));
        it.far[0] = elsewhere.run(|| {
            ip("link set t1 addrgenmode none arp off up");
            PacketPort::open("t1").unwrap()
        });
        it.first_and_second_hear_each_other();
        assert_eq!(it.engine.events().try_recv().ok(), None);
        it.far.remove(0);
        drop(elsewhere);
        let told = it.engine.events().recv_timeout(Duration::from_millis(PATIENCE.into()));
        assert_eq!(told, Ok(Event::PortDown { port: PortId(1) }));
        assert_eq!(it.engine.inspect(|dataplane, _| dataplane.check()), Ok(Ok(())));
    });
}

/// Of what the liar's own kernel lets out; it refuses most lies, and mends some.
fn a_lie_about_a_frame_is_counted_and_harms_no_neighbour() {
    each_way(|io| {
        let mut it = Scene::new(io, &anybody(3));
        let socket = it.far[0].try_clone_fd().unwrap();
        let lies = lies();
        let written = lies
            .iter()
            .filter(|(vnet, frame)| writev(&socket, &[IoSlice::new(vnet.as_bytes()), IoSlice::new(frame)]).is_ok());
        let written = written.count();
        assert!(written < lies.len(), "its kernel refuses some");
        let truth = frame(BROADCAST, &ETHERTYPE, 50);
        it.send(1, &truth);
        for neighbour in [2, 3] {
            assert_eq!(it.next(neighbour), truth);
        }
        let look = |dataplane: &Dataplane<PortLink>, _| {
            let counters = [1, 2, 3].map(|port| dataplane.counters(PortId(port)).cloned().unwrap());
            (dataplane.check(), counters)
        };
        let (check, [liar, neighbours @ ..]) = it.engine.inspect(look).unwrap();
        assert_eq!(check, Ok(()));
        let rx = liar.rx;
        let believed_not = rx.drops.of(DropReason::BadOffload);
        assert!(believed_not > 0 && rx.flooded > 1, "{rx:?}");
        assert!(believed_not + rx.flooded > written as u64, "each was decided about: {rx:?}");
        // (The kernel has something to say for itself, before there is anybody else.)
        assert_eq!(rx.dropped, believed_not + rx.drops.of(DropReason::NoEgress), "{rx:?}");
        for it in neighbours {
            // (A super-frame may be cut into segments over the MTU.)
            assert_eq!(it.tx.dropped, it.tx.drops.of(DropReason::ExceedsMtu), "what was believed was taken");
        }
    });
}

fn the_shortest_frame_crosses_and_one_over_the_mtu_is_a_counted_drop() {
    each_way(|io| {
        let mut it = Scene::new(io, &anybody(3));
        ip("link set t1 mtu 9000");
        it.send(1, &frame(BROADCAST, &ETHERTYPE, 1_501));
        let [longest, shortest] = [1_500, 0].map(|payload| frame(BROADCAST, &ETHERTYPE, payload));
        for sent in [longest, shortest] {
            it.send(1, &sent);
            assert_eq!((it.next(2), it.next(3)), (sent.clone(), sent));
        }
        for port in [2, 3] {
            it.drops(port, DropReason::ExceedsMtu, 1);
        }
    });
}

/// Five ports send as fast as they can, to nobody in particular; two others have all that they say to each other heard.
fn a_flood_from_several_ports_does_not_keep_others_from_their_turn() {
    each_way(|io| {
        let mut it = Scene::new(io, &anybody(7));
        let mut hello = frame(BROADCAST, &ETHERTYPE, 50);
        hello[6..12].copy_from_slice(&NEAR);
        it.send(6, &hello);
        assert_eq!(it.next(7), hello);
        let ends = Arc::new(AtomicBool::new(false));
        let floods: Vec<_> = (1..=5)
            .map(|number| {
                let ends = Arc::clone(&ends);
                // To itself: it goes nowhere, and costs the switch its time all the same.
                let mut station = [2, 9, 9, 9, 9, 0];
                station[5] = number;
                let mut noise = frame(station, &ETHERTYPE, 50);
                noise[6..12].copy_from_slice(&station);
                let mut port = PacketPort::open(&name(u16::from(number))).unwrap();
                thread::spawn(move || {
                    while !ends.load(Ordering::Relaxed) {
                        port.transmit(&plain(&noise), Retag::Keep);
                    }
                })
            })
            .collect();
        let mut word = frame(NEAR, &ETHERTYPE, 50);
        word[6..12].copy_from_slice(&FAR);
        for number in 0..200 {
            word[20] = number;
            it.send(7, &word);
            let heard = waited_for(|| {
                receive(&mut it.far[5]).0.iter().map(|it| it.frame().to_vec()).find(|it| it[..6] == NEAR)
            });
            assert_eq!(heard, word);
        }
        ends.store(true, Ordering::Relaxed);
        floods.into_iter().for_each(|flood| flood.join().unwrap());
        assert_eq!(it.engine.inspect(|dataplane, _| dataplane.check()), Ok(Ok(())));
    });
}

/// More copies than the kernel takes in one call.
fn a_flood_to_many_ports_reaches_them_all() {
    each_way(|io| {
        const PORTS: usize = 40;
        let mut it = Scene::new(io, &anybody(PORTS));
        for number in 0..40 {
            let mut sent = frame(BROADCAST, &ETHERTYPE, 50);
            sent[20] = number;
            assert_eq!(it.far[0].transmit(&plain(&sent), Retag::Keep), Transmit::Sent);
        }
        for port in 2..=PORTS {
            let mut heard: Vec<u8> = Vec::new();
            let far = &mut it.far[port - 1];
            waited_for(|| {
                let frames = receive(far).0;
                heard.extend(frames.iter().filter(|it| it.frame()[12..14] == ETHERTYPE).map(|it| it.frame()[20]));
                (heard.len() >= 40).then_some(())
            });
            assert_eq!(heard, (0..40).collect::<Vec<u8>>(), "port {port}");
        }
    });
}
