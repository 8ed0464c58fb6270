//! Datagrams that a switch joins for a TAP, and what comes of them there: what was sent.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt::RcvBufForce};
use switch::buffer::Buffer;
use switch::dataplane::{BridgeId, Control, Dataplane, Settings};
use switch::engine::{Engine, Io};
use switch::forward::Config;
use switch::link::port::PortLink;
use switch::link::retag::Retagged;
use switch::link::{Link as _, Transmit};
use switch::port::PortConfig;
use switch::verdict::{DropReason, PortId};
use switch::vlan::Retag;

use super::scene::{Kind, Namespaced, in_namespace, ip, namespaced, receive, up, waited_for};

crate::trials![
    datagrams_arrive_as_they_were_sent_though_they_came_joined,
    each_frame_of_a_train_that_can_not_be_written_is_counted_as_dropped,
    the_kernel_forwards_what_was_joined_as_if_it_had_not_been,
];

/// Lengths of what is sent: many alike, some that end a train or begin one, and some that can be part of none.
fn lengths() -> Vec<usize> {
    let odd = [1_400, 1_400, 9, 0, 0, 64, 1, 1, 1, 1_452, 1_452, 1_452, 3];
    [vec![64; 200], odd.to_vec(), vec![1_452; 60]].concat()
}

fn datagram(number: usize, len: usize) -> Vec<u8> {
    (0..len).map(|at| (number * 31 + at) as u8).collect()
}

fn datagrams_arrive_as_they_were_sent_though_they_came_joined() {
    for io in [Io::Epoll, Io::Uring] {
        for address in ["10.77.0.2", "fd77::2"] {
            in_namespace(move || {
                let lengths = lengths();
                let it = Crossing::new(address, &lengths);
                let engine = it.plug(io);
                let (packets, received) = it.receive(lengths.len());
                assert!(received == (0..).zip(&lengths).map(|(at, len)| datagram(at, *len)).collect::<Vec<_>>());
                assert!(packets * 5 < lengths.len(), "{io:?}, {address}: {packets} packets");
                have_left(&engine, lengths.len());
                let snmp = it.to.run(|| std::fs::read_to_string("/proc/thread-self/net/snmp").unwrap());
                let udp = snmp.lines().rfind(|line| line.starts_with("Udp:")).unwrap();
                assert_eq!(udp.split(' ').nth(7), Some("0"), "InCsumErrors: {udp}");
            });
        }
    }
}

fn each_frame_of_a_train_that_can_not_be_written_is_counted_as_dropped() {
    for io in [Io::Epoll, Io::Uring] {
        in_namespace(move || {
            let it = Crossing::new("10.77.0.2", &[64; 150]);
            it.to.run(|| ip("link set t0 down"));
            let engine = it.plug(io);
            waited_for(|| {
                let look = |plane: &Dataplane<PortLink>, _| {
                    (plane.check(), [SENDER, RECEIVER].map(|port| plane.counters(port).unwrap().clone()))
                };
                let (check, [sender, receiver]) = engine.inspect(look).unwrap();
                assert_eq!((check, receiver.tx.packets), (Ok(()), 0));
                // (There is no third port, and the sender's kernel has a word of its own to say.)
                let dropped = receiver.tx.drops.of(DropReason::LinkFull);
                (sender.rx.unicast == 150 && sender.rx.packets == dropped).then_some(())
            });
        });
    }
}

/// What is behind a host that forwards, on a link that takes only single frames with finished checksums: the same, byte by byte.
fn the_kernel_forwards_what_was_joined_as_if_it_had_not_been() {
    for address in ["10.78.0.9", "fd78::9"] {
        in_namespace(move || {
            let lengths = lengths();
            let mut from = sender(address, &lengths);
            let mut frames = Vec::new();
            waited_for(|| {
                let new = receive(&mut from.link).0.into_iter();
                frames.extend(new.filter(|frame| frame.frame().starts_with(&RECEIVERS_STATION)));
                (frames.len() >= lengths.len()).then_some(())
            });
            let mut to = up(PortLink::create("t0", true).unwrap());
            let mut behind = up(PortLink::create("t1", false).unwrap());
            for line in [
                "link set t0 address 02:00:00:00:00:02",
                "address add 10.77.0.2/24 dev t0",
                "address add fd77::2/64 dev t0 nodad",
                "link set t1 address 02:00:00:00:00:03",
                "address add 10.78.0.1/24 dev t1",
                "address add fd78::1/64 dev t1 nodad",
                "neighbour add 10.78.0.9 lladdr 02:00:00:00:00:09 dev t1",
                "neighbour add fd78::9 lladdr 02:00:00:00:00:09 dev t1",
            ] {
                ip(line);
            }
            std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
            std::fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1").unwrap();
            let tagged: Vec<Arc<Buffer>> = frames.iter().map(with_tag).collect();
            let mut forwarded = |frames: &[Arc<Buffer>], joined: bool, retag: Retag| {
                let (before, mut seen, mut results) = (received_by("t0"), Vec::new(), Vec::new());
                for frame in frames {
                    let answer = if joined { to.transmit_in_batch(frame, retag) } else { to.transmit(frame, retag) };
                    assert!(matches!(answer, Transmit::Sent | Transmit::Queued));
                }
                to.flush(&mut results);
                assert!(results.iter().all(|result| *result == Transmit::Sent));
                waited_for(|| {
                    let new = receive(&mut behind).0.into_iter().map(|frame| frame.frame().to_vec());
                    seen.extend(new.filter(|frame| frame.starts_with(&[2, 0, 0, 0, 0, 9])));
                    (seen.len() >= frames.len()).then_some(())
                });
                (received_by("t0") - before, seen)
            };
            let (single, expected) = forwarded(&frames, false, Retag::Keep);
            assert_eq!(single, frames.len());
            for (frames, retag) in [(&frames, Retag::Keep), (&tagged, Retag::Pop)] {
                let (joined, seen) = forwarded(frames, true, retag);
                assert!(joined * 5 < frames.len(), "{joined} packets");
                assert!(seen == expected, "{address}, {retag:?}");
            }
        });
    }
}

/// The same frame, tagged for VLAN 5.
fn with_tag(frame: &Arc<Buffer>) -> Arc<Buffer> {
    let tagged = Retagged::new(frame.frame(), Retag::Push(5)).unwrap();
    Arc::new(Buffer::holding(&tagged.pieces().concat(), frame.vnet().shifted(tagged.shift())))
}

const SENDER: PortId = PortId(1);
const RECEIVER: PortId = PortId(2);

const RECEIVERS_STATION: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// A sender whose datagrams wait in its TAP, and a receiver whose socket is open, before there is a switch: so it finds them
/// together.
struct Crossing {
    from: Namespaced,
    to: Namespaced,
    receiver: UdpSocket,
}

impl Crossing {
    /// To be sent to `address`, which is the receiver's.
    fn new(address: &'static str, lengths: &[usize]) -> Crossing {
        let to = namespaced("10.77.0.2", Kind::Tap);
        let receiver = to.run(move || {
            ip("link set t0 address 02:00:00:00:00:02");
            ip("address add fd77::2/64 dev t0 nodad");
            UdpSocket::bind(SocketAddr::new(address.parse().unwrap(), 7)).unwrap()
        });
        setsockopt(&receiver, RcvBufForce, &(4 << 20)).unwrap();
        receiver.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        Crossing { from: sender(address, lengths), to, receiver }
    }

    /// The switch, which has both ports from its first batch on.
    fn plug(&self, io: Io) -> Engine<PortLink> {
        const BRIDGE: BridgeId = BridgeId(1);
        let engine = Engine::spawn(Dataplane::new(Settings::default()), io).unwrap();
        let bridge = Control::AddBridge { bridge: BRIDGE, name: "test".to_owned(), config: Config::default() };
        let plugs = [(SENDER, &self.from), (RECEIVER, &self.to)].map(|(port, end)| {
            let link = PortLink::from_fd(end.link.try_clone_fd().unwrap(), true).unwrap();
            Control::Plug { bridge: BRIDGE, port, config: PortConfig::default(), link }
        });
        let made = engine.control_all(std::iter::once(bridge).chain(plugs)).unwrap();
        assert_eq!(made, [Ok(()); 3]);
        engine
    }

    /// So many datagrams, and as how many packets they came to the receiver's interface.
    fn receive(&self, count: usize) -> (usize, Vec<Vec<u8>>) {
        let mut datagram = [0; 2_000];
        let received = (0..count).map(|_| {
            let len = self.receiver.recv(&mut datagram).unwrap();
            datagram[..len].to_vec()
        });
        let received = received.collect();
        (self.to.run(|| received_by("t0")), received)
    }
}

/// A namespace that has sent datagrams of such lengths to a port of `address`, all of them by one socket.
fn sender(address: &'static str, lengths: &[usize]) -> Namespaced {
    let it = namespaced("10.77.0.1", Kind::Tap);
    let lengths = lengths.to_vec();
    it.run(move || {
        for line in [
            "address add fd77::1/64 dev t0 nodad",
            "neighbour add 10.77.0.2 lladdr 02:00:00:00:00:02 dev t0",
            "neighbour add fd77::2 lladdr 02:00:00:00:00:02 dev t0",
            "route add 10.78.0.0/24 via 10.77.0.2",
            "-6 route add fd78::/64 via fd77::2",
        ] {
            ip(line);
        }
        let address: IpAddr = address.parse().unwrap();
        let own = if address.is_ipv4() { "10.77.0.1:0" } else { "[fd77::1]:0" };
        let socket = UdpSocket::bind(own).unwrap();
        socket.connect((address, 7)).unwrap();
        for (number, len) in lengths.into_iter().enumerate() {
            assert_eq!(socket.send(&datagram(number, len)).unwrap(), len);
        }
    });
    it
}

/// How many packets an interface of this thread's namespace has received.
fn received_by(name: &str) -> usize {
    let table = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    let of_it = |line: &str| line.trim_start().strip_prefix(name)?.strip_prefix(':').map(str::to_owned);
    let counts = table.lines().find_map(of_it).expect("there is such an interface");
    counts.split_whitespace().nth(1).and_then(|packets| packets.parse().ok()).expect("as Linux has it")
}

/// Each datagram is a frame to the switch, whatever it left in.
fn have_left(engine: &Engine<PortLink>, count: usize) {
    waited_for(|| {
        let look = |plane: &Dataplane<PortLink>, _| (plane.check(), plane.counters(RECEIVER).map(|it| it.tx.clone()));
        let (check, tx) = engine.inspect(look).unwrap();
        assert_eq!(check, Ok(()));
        let tx = tx.unwrap();
        assert_eq!((tx.dropped, tx.super_frames), (0, 0));
        (tx.unicast == count as u64).then_some(())
    });
}
