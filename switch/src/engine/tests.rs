use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_channel::TryRecvError;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, setsockopt, socketpair, sockopt};
use nix::sys::time::{TimeVal, TimeValLike as _};

use super::*;
use crate::buffer::{Buffer, MAX_FRAME, Pool};
use crate::dataplane::{BridgeId, Decided, Settings, Watch};
use crate::forward::Config;
use crate::link::{Received, Transmit};
use crate::port::PortConfig;
use crate::verdict::DropReason;
use crate::vlan::Retag;

#[test]
fn carries_a_frame_from_port_to_port_and_counts_it_before_an_inspection() {
    let (engine, [first, second]) = engine_with([PortId(1), PortId(2)]);
    first.send(&frame(9));
    assert_eq!(second.receive(), Some(frame(9)));
    let counted = engine.inspect(|dataplane, _| dataplane.counters(PortId(1)).map(|it| it.rx.packets)).unwrap();
    assert_eq!(counted, Some(1));
}

#[test]
fn a_watcher_is_told_of_all_from_its_start_state_to_its_end() {
    let (engine, [first, second]) = engine_with([PortId(1), PortId(2)]);
    let cross = || {
        first.send(&frame(9));
        assert_eq!(second.receive(), Some(frame(9)));
    };
    cross();
    let watcher = engine.watch(|state, _| Box::new(Counts { starts: vec![state], frames: 0 })).unwrap();
    cross();
    engine.control(Control::FlushPort { port: PortId(1) }).unwrap();
    cross();
    let seen = |it: &dyn Watcher| {
        let it = (it as &dyn std::any::Any).downcast_ref::<Counts>().expect("it was put there");
        let stations = |state: &Vec<BridgeStart>| state[0].switch.fdb.entries.len();
        (it.frames, it.starts.iter().map(stations).collect::<Vec<_>>())
    };
    // (It asks for another state after each change, and that is after the change.)
    assert_eq!(engine.visit(watcher, move |it, _| seen(it)).unwrap(), Some((2, vec![1, 0])));
    let ended = engine.unwatch(watcher).unwrap().expect("it was there");
    cross();
    assert_eq!(seen(&*ended).0, 2);
    assert_eq!(engine.visit(watcher, |_, _| ()).unwrap(), None);
    assert!(engine.unwatch(watcher).unwrap().is_none());
}

/// Counts frames, and asks for a state after each change.
struct Counts {
    starts: Vec<Vec<BridgeStart>>,
    frames: usize,
}

impl Watch for Counts {
    fn frame(&mut self, _: Decided<'_>) {
        self.frames += 1;
    }

    fn control(&mut self, _: &Control<()>, _: Instant, _: bool) {
        self.starts.push(Vec::new());
    }
}

impl Watcher for Counts {
    fn round(&mut self, _: Instant) -> bool {
        self.starts.pop_if(|last| last.is_empty()).is_some()
    }

    fn start(&mut self, state: Vec<BridgeStart>, _: Instant) {
        self.starts.push(state);
    }
}

#[test]
fn a_watcher_is_woken_in_its_time_though_nothing_happens() {
    let (engine, _ends) = engine_with([PortId(1), PortId(2)]);
    let (sent, woken) = bounded(1);
    engine.watch(|_, now| Box::new(Alarm(now + Duration::from_millis(5), Some(sent)))).unwrap();
    assert_eq!(woken.recv_timeout(Duration::from_secs(5)), Ok(()));
}

struct Alarm(Instant, Option<Sender<()>>);

impl Watch for Alarm {}

impl Watcher for Alarm {
    fn round(&mut self, now: Instant) -> bool {
        if now >= self.0
            && let Some(sender) = self.1.take()
        {
            let _ = sender.send(());
        }
        false
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.1.is_some().then_some(self.0)
    }
}

#[test]
fn tells_of_a_port_that_went_down_by_itself() {
    let (engine, [first, second]) = engine_with([PortId(1), PortId(2)]);
    drop(first);
    let event = engine.events().recv_timeout(Duration::from_secs(5));
    assert_eq!(event, Ok(Event::PortDown { port: PortId(1) }));
    let left: Vec<PortId> = engine.inspect(|dataplane, _| dataplane.ports().collect()).unwrap();
    assert_eq!(left, [PortId(2)]);
    drop(second);
}

#[test]
fn who_follows_hears_of_a_change_before_the_answer_to_who_made_it_until_it_wants_no_more() {
    let (engine, _ends) = engine_with([PortId(1), PortId(2)]);
    let (tell, told) = unbounded();
    let follower = move |change: &Change| {
        let is_last = matches!(change, Change::PortDown { port: PortId(2), .. });
        tell.send(change.clone()).is_ok() && !is_last
    };
    let there = engine.follow(Box::new(follower)).unwrap();
    assert_eq!(there.len(), 3, "a bridge and its ports: {there:?}");
    for port in [1, 2] {
        engine.control(Control::Unplug { port: PortId(port) }).unwrap();
        let down = Change::PortDown { bridge: BridgeId(1), port: PortId(port) };
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [down]);
    }
    let (link, _far) = cable();
    engine.control(plug(PortId(3), link)).unwrap();
    assert_eq!(told.try_recv(), Err(TryRecvError::Disconnected));
    assert_eq!(engine.follow(Box::new(|_| true)).unwrap().len(), 2, "who comes later is told what is there then");
}

#[test]
fn plugs_another_link_into_the_number_of_one_that_was_unplugged_while_its_file_stays_open() {
    let (engine, [first, second]) = engine_with([PortId(1), PortId(2)]);
    let (link, third) = cable();
    let still_open = link.fd.try_clone().unwrap();
    engine.control(Control::Unplug { port: PortId(1) }).unwrap();
    engine.control(plug(PortId(1), link)).unwrap();
    third.send(&frame(7));
    assert_eq!(second.receive(), Some(frame(7)));
    engine.control(Control::Unplug { port: PortId(1) }).unwrap();
    third.send(&frame(8));
    engine.inspect(|_, _| ()).unwrap();
    assert_eq!(Far(still_open).receive(), Some(frame(8)), "nobody else reads from it any more");
    drop(first);
}

#[test]
fn what_is_no_frame_is_counted_and_holds_nobody_up() {
    let (engine, [first, second]) = engine_with([PortId(1), PortId(2)]);
    for odd in [&[0xff; 13][..], &[0xff; MAX_FRAME + 1], &[0xff; MAX_FRAME + 1_000], &[0xff; 1]] {
        first.send(odd);
    }
    first.send(&frame(1));
    assert_eq!(second.receive(), Some(frame(1)));
    let rx = engine.inspect(|dataplane, _| dataplane.counters(PortId(1)).unwrap().rx.clone()).unwrap();
    let drops: Vec<_> = rx.drops.iter().collect();
    assert_eq!((rx.packets, drops), (5, vec![(DropReason::Runt, 2), (DropReason::Oversized, 2)]));
}

#[test]
fn gives_every_port_a_turn_while_another_one_never_falls_silent() {
    let (engine, [busy, quiet]) = engine_with([PortId(1), PortId(2)]);
    for _ in 0..100 {
        busy.send(&frame(1));
    }
    quiet.send(&frame(2));
    assert_eq!(busy.receive(), Some(frame(2)));
    drop(engine);
}

#[test]
fn a_link_that_always_has_more_is_asked_again_and_others_have_their_turn_within_two_rounds() {
    let (engine, [quiet, listener]) = engine_with([PortId(1), PortId(4)]);
    let (link, far) = cable();
    let heard_in_round = Arc::new(AtomicUsize::new(0));
    let greed =
        Greed { round: 0, neighbour: quiet.0.try_clone().unwrap(), heard_in_round: Arc::clone(&heard_in_round) };
    engine.control(plug(PortId(3), Wire { greed: Some(greed), ..link })).unwrap();
    // From now on it says that it has more, although its file has nothing more to be read.
    far.send(&frame(3));
    assert_eq!(listener.receive(), Some(frame(9)), "what the quiet one got in the midst of it");
    let waited = heard_in_round.load(Ordering::SeqCst) - Greed::NEIGHBOUR_GETS_A_FRAME;
    assert!(waited <= 2, "it waited for {waited} rounds");
}

#[test]
fn sleeps_while_there_is_nothing_to_do() {
    let (engine, [first, second]) = engine_with([PortId(1), PortId(2)]);
    assert_eq!(times_awake_in_silence(&engine), 1, "the end of the silence");
    first.send(&frame(1));
    assert_eq!(second.receive(), Some(frame(1)));
    assert_eq!(times_awake_in_silence(&engine), 1);
}

#[test]
fn is_not_kept_awake_by_the_file_of_a_port_that_has_gone() {
    let (engine, [_first, _second]) = engine_with([PortId(1), PortId(2)]);
    let (link, far) = cable();
    let still_open = link.fd.try_clone().unwrap();
    engine.control(plug(PortId(3), link)).unwrap();
    engine.control(Control::Unplug { port: PortId(3) }).unwrap();
    far.send(&frame(1));
    assert_eq!(times_awake_in_silence(&engine), 1);
    assert_eq!(Far(still_open).receive(), Some(frame(1)), "it was there to be read");
}

#[test]
fn forgets_silent_stations_by_itself() {
    let engine = spawn(Dataplane::new(Settings::default()));
    let config = Config { ageing: Duration::from_millis(20), ..Config::default() };
    engine.control(Control::AddBridge { bridge: BridgeId(1), name: "test".to_owned(), config }).unwrap();
    let (link, far) = cable();
    engine.control(plug(PortId(1), link)).unwrap();
    far.send(&frame(1));
    // (It is the passing of time that is tested: there is nothing else to wait for.)
    let expired = || {
        let _ = engine.events().recv_timeout(Duration::from_millis(20));
        engine.inspect(|dataplane, _| dataplane.statistics()[0].fdb.expired).unwrap()
    };
    assert!((0..500).any(|_| expired() == 1));
}

/// How often the loop wakes up between two questions, with a silence in between.
fn times_awake_in_silence(engine: &Engine<Wire>) -> u64 {
    let asked = || engine.inspect(|_, _| worker::ASKED.get()).unwrap();
    let before = asked();
    let nothing = engine.events().recv_timeout(Duration::from_millis(50));
    assert_eq!(nothing, Err(crossbeam_channel::RecvTimeoutError::Timeout));
    asked() - before
}

#[test]
fn answers_a_change_that_the_data_plane_refuses_with_its_error() {
    let (engine, _cables) = engine_with([PortId(1), PortId(2)]);
    let taken = engine.control(plug(PortId(1), cable().0));
    assert_eq!(taken, Err(EngineError::Control(ControlError::PortTaken(PortId(1)))));
    let nowhere = engine.control(Control::Unplug { port: PortId(9) });
    assert_eq!(nowhere, Err(EngineError::Control(ControlError::NoPort(PortId(9)))));
}

#[test]
fn a_link_that_can_not_be_waited_for_is_unplugged_again() {
    let (engine, _cables) = engine_with([PortId(1), PortId(2)]);
    let directory = Wire { fd: std::fs::File::open("/").map(OwnedFd::from).unwrap(), greed: None, fault: None };
    let refused = engine.control(plug(PortId(3), directory));
    assert_eq!(refused, Err(EngineError::Watch { port: PortId(3), errno: Errno::EPERM }));
    assert_eq!(engine.inspect(|dataplane, _| dataplane.ports().count()), Ok(2));
}

#[test]
fn drops_all_links_when_it_is_dropped() {
    let (engine, [first, _second]) = engine_with([PortId(1), PortId(2)]);
    drop(engine);
    assert_eq!(first.receive(), None, "the other end is closed");
}

#[test]
fn several_changes_are_made_together_in_order_and_a_refused_one_holds_up_no_other() {
    let engine = spawn(Dataplane::new(Settings { batch: 4, buffers: 16 }));
    let bridge = Control::AddBridge { bridge: BridgeId(1), name: "test".to_owned(), config: Config::default() };
    let ((one, first), (two, second), (three, _third)) = (cable(), cable(), cable());
    // It waits for the port, and is not to be lost because the other port comes after.
    first.send(&frame(9));
    let asked_in_between = std::iter::once_with(|| {
        assert_eq!(
            engine.inspect(|dataplane, _| dataplane.ports().count()),
            Ok(0),
            "nothing is made before all are here"
        );
        plug(PortId(1), three)
    });
    let unplug = Control::Unplug { port: PortId(9) };
    let changes = [bridge, plug(PortId(1), one)].into_iter().chain(asked_in_between);
    let made = engine.control_all(changes.chain([unplug, plug(PortId(2), two)])).unwrap();
    let refused = |why| Err(EngineError::Control(why));
    let [taken, missing] = [ControlError::PortTaken(PortId(1)), ControlError::NoPort(PortId(9))].map(refused);
    assert_eq!(made, [Ok(()), Ok(()), taken, missing, Ok(())]);
    assert_eq!(second.receive(), Some(frame(9)));
    assert_eq!(engine.control_all([]), Ok(Vec::new()));
}

#[test]
fn who_hears_of_its_end_finds_the_stream_of_events_ended() {
    let (engine, [first, _second]) = engine_with([PortId(1), PortId(2)]);
    let (link, _far) = cable();
    engine.control(plug(PortId(3), Wire { fault: Some(Fault), ..link })).unwrap();
    first.send(&frame(1));
    let news = engine.news();
    let mut ready = [PollFd::new(news.as_fd(), PollFlags::POLLIN)];
    assert_eq!(poll(&mut ready, PollTimeout::from(5_000_u16)), Ok(1));
    assert_eq!(engine.events().try_recv(), Err(TryRecvError::Disconnected));
    assert_eq!(engine.inspect(|_, _| ()), Err(EngineError::Stopped));
    assert_eq!(engine.control_all([]), Err(EngineError::Stopped));
}

/// Starts an engine of the kind that this copy of the module is for. Where io_uring may not be used it is tested with epoll, and
/// a line says so, unless everything is required.
fn spawn(dataplane: Dataplane<Wire>) -> Engine<Wire> {
    let io = if module_path!().ends_with("with_uring") { Io::Uring } else { Io::Epoll };
    let is_required = std::env::var("PONTOON_REQUIRE_LINUX").is_ok_and(|value| value == "1");
    match try_uring() {
        Err(why) if io == Io::Uring && !is_required => {
            eprintln!("SKIPPED io_uring: {why}; this test runs with epoll");
            Engine::spawn(dataplane, Io::Epoll).unwrap()
        }
        _ => Engine::spawn(dataplane, io).unwrap(),
    }
}

/// A bridge with two ports, and the far ends of their cables.
fn engine_with(ports: [PortId; 2]) -> (Engine<Wire>, [Far; 2]) {
    let engine = spawn(Dataplane::new(Settings { batch: 4, buffers: 16 }));
    let bridge = Control::AddBridge { bridge: BridgeId(1), name: "test".to_owned(), config: Config::default() };
    engine.control(bridge).unwrap();
    let ends = ports.map(|port| {
        let (link, far) = cable();
        engine.control(plug(port, link)).unwrap();
        far
    });
    (engine, ends)
}

fn plug(port: PortId, link: Wire) -> Control<Wire> {
    Control::Plug { bridge: BridgeId(1), port, config: PortConfig::default(), link }
}

fn frame(last_byte: u8) -> Vec<u8> {
    let mut frame = vec![0xff; 60];
    frame[6..14].copy_from_slice(&[2, 0, 0, 0, 0, last_byte, 0x88, 0xb5]);
    frame
}

/// A link that needs no privilege: one end of a pair of sockets that keep the bounds of frames.
struct Wire {
    fd: OwnedFd,
    greed: Option<Greed>,
    fault: Option<Fault>,
}

/// A bug of a link: it panics when it is to transmit, and takes its time to go.
struct Fault;

impl Drop for Fault {
    fn drop(&mut self) {
        let (_open, never) = bounded::<()>(0);
        let _ = never.recv_timeout(Duration::from_millis(50));
    }
}

/// What makes a link say that it has more, for very many rounds, without having any frame.
struct Greed {
    round: usize,
    /// The far end of another link, which gets a frame in one of the rounds.
    neighbour: OwnedFd,
    /// In which round that frame came to this link.
    heard_in_round: Arc<AtomicUsize>,
}

impl Greed {
    const NEIGHBOUR_GETS_A_FRAME: usize = 10;
    /// It comes to an end, so that a failure does not hang.
    const LAST: usize = 10_000;

    fn receive(&mut self) -> Received {
        self.round += 1;
        if self.round == Self::NEIGHBOUR_GETS_A_FRAME {
            send(self.neighbour.as_raw_fd(), &frame(9), MsgFlags::empty()).unwrap();
        }
        if self.round < Self::LAST { Received::More } else { Received::WouldBlock }
    }
}

/// The other end, used by the test.
struct Far(OwnedFd);

fn cable() -> (Wire, Far) {
    let flags = SockFlag::SOCK_CLOEXEC;
    let (near, far) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags).unwrap();
    // A test that waits in vain fails, and does not hang.
    setsockopt(&far, sockopt::ReceiveTimeout, &TimeVal::seconds(5)).unwrap();
    (Wire { fd: near, greed: None, fault: None }, Far(far))
}

impl Far {
    fn send(&self, frame: &[u8]) {
        assert_eq!(send(self.0.as_raw_fd(), frame, MsgFlags::empty()), Ok(frame.len()));
    }

    /// The next frame; `None` when the other end is closed.
    fn receive(&self) -> Option<Vec<u8>> {
        let mut frame = vec![0; 2_000];
        let len = recv(self.0.as_raw_fd(), &mut frame, MsgFlags::empty()).unwrap_or_default();
        frame.truncate(len);
        (len > 0).then_some(frame)
    }
}

impl Link for Wire {
    fn receive(&mut self, pool: &mut Pool, into: &mut Vec<Arc<Buffer>>, limit: usize) -> Received {
        if let Some(greed) = &mut self.greed {
            // Once it is read empty epoll does not tell of it any more.
            while recv(self.fd.as_raw_fd(), &mut [0; 100], MsgFlags::MSG_DONTWAIT).is_ok_and(|len| len > 0) {}
            return greed.receive();
        }
        for _ in 0..limit {
            let Some(mut buffer) = pool.take() else { return Received::More };
            let room = Arc::get_mut(&mut buffer).unwrap();
            match recv(self.fd.as_raw_fd(), room.room(), MsgFlags::MSG_DONTWAIT) {
                Ok(len @ 1..) => {
                    room.set_len(len);
                    into.push(buffer);
                    continue;
                }
                Err(Errno::EAGAIN) => {
                    pool.give(buffer);
                    return Received::WouldBlock;
                }
                Ok(0) | Err(_) => {
                    pool.give(buffer);
                    return Received::Down;
                }
            }
        }
        Received::More
    }

    fn transmit(&mut self, frame: &Arc<Buffer>, _retag: Retag) -> Transmit {
        assert!(self.fault.is_none(), "a bug that a test asks for");
        if let Some(greed) = &self.greed {
            greed.heard_in_round.store(greed.round, Ordering::SeqCst);
        }
        match send(self.fd.as_raw_fd(), frame.frame(), MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL) {
            Ok(_) => Transmit::Sent,
            Err(Errno::EAGAIN) => Transmit::Full,
            Err(_) => Transmit::Down,
        }
    }

    fn flush(&mut self, _results: &mut Vec<Transmit>) {}
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
