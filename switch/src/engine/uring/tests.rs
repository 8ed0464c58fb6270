//! What becomes of ports that go, and of what they had; and of [many that flood](floods).

mod floods;

use std::os::fd::{AsRawFd as _, BorrowedFd};

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socket, socketpair};
use zerocopy::IntoBytes as _;

use super::*;
use crate::buffer::{Buffer, MAX_FRAME, Pool};
use crate::dataplane::{BridgeId, Control, Event, Settings};
use crate::engine::worker::wake_fd;
use crate::engine::{Engine, Io};
use crate::forward::Config;
use crate::link::Received;
use crate::link::errors::{IN_A_ROW, ReadError};
use crate::port::PortConfig;
use crate::verdict::DropReason;
use crate::vlan::Retag;
use crate::vnet::{GSO_TCPV4, NEEDS_CSUM, VnetHeader};

const BUFFERS: usize = 16;

/// An offload header, all zeros, and a frame from 02:00:00:00:00:01 to everybody.
const FRAME: [u8; VnetHeader::LEN + 60] = {
    let mut bytes = [0; VnetHeader::LEN + 60];
    let (_, frame) = bytes.split_at_mut(VnetHeader::LEN);
    let (addresses, _) = frame.split_at_mut(14);
    addresses.copy_from_slice(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x88, 0xb5]);
    bytes
};

/// What a round does before its port goes.
type Round = fn(&mut Uring, &mut Dataplane<Lent>);

#[test]
fn a_port_that_goes_takes_no_buffers_with_it() {
    let frames_wait_in_the_kernel: Round = |_, _| {};
    let frames_have_come: Round = |uring, dataplane| {
        let mut ready = Vec::new();
        uring.wait(Some(Duration::from_secs(5)), &mut ready, dataplane, &mut ());
        assert_eq!(ready, [PortId(1)], "there are buffers to read into");
    };
    for round in [frames_wait_in_the_kernel, frames_have_come] {
        let Some(mut uring) = uring() else { return };
        let mut dataplane = Dataplane::new(Settings { batch: 4, buffers: BUFFERS });
        let bridge = Control::AddBridge { bridge: BridgeId(1), name: "test".to_owned(), config: Config::default() };
        dataplane.control(bridge, Instant::ZERO).unwrap();
        let port = PortId(1);
        for _ in 0..2 * BUFFERS {
            let (link, far) = cable();
            let plug = Control::Plug { bridge: BridgeId(1), port, config: PortConfig::default(), link };
            dataplane.control(plug, Instant::ZERO).unwrap();
            uring.watch(port, dataplane.link_mut(port).unwrap()).unwrap();
            uring.wait(Some(Duration::ZERO), &mut Vec::new(), &mut dataplane, &mut ());
            (0..2).for_each(|_| assert_eq!(send(far.as_raw_fd(), &FRAME, MsgFlags::empty()), Ok(FRAME.len())));
            round(&mut uring, &mut dataplane);
            dataplane.control(Control::Unplug { port }, Instant::ZERO).unwrap();
            uring.forget(port, &mut dataplane);
        }
        uring.wait(Some(Duration::ZERO), &mut Vec::new(), &mut dataplane, &mut ());
        let left: Vec<_> = std::iter::from_fn(|| dataplane.take_buffer()).collect();
        assert_eq!(left.len(), BUFFERS / 2, "all but those that the kernel has");
    }
}

/// By them a flooded loop knows that it is.
#[test]
fn frames_are_counted_for_courtesy_once_whoever_reads_them() {
    for reads_itself in [false, true] {
        let Some(mut uring) = uring() else { return };
        let mut dataplane = Dataplane::new(Settings { batch: 4, buffers: BUFFERS });
        let bridge = Control::AddBridge { bridge: BridgeId(1), name: "test".to_owned(), config: Config::default() };
        dataplane.control(bridge, Instant::ZERO).unwrap();
        let (mut link, far) = cable();
        link.reads_itself = reads_itself;
        let (port, config) = (PortId(1), PortConfig::default());
        dataplane.control(Control::Plug { bridge: BridgeId(1), port, config, link }, Instant::ZERO).unwrap();
        uring.watch(port, dataplane.link_mut(port).unwrap()).unwrap();
        (0..3).for_each(|_| assert_eq!(send(far.as_raw_fd(), &FRAME, MsgFlags::empty()), Ok(FRAME.len())));
        let mut ready = Vec::new();
        uring.wait(Some(Duration::from_secs(5)), &mut ready, &mut dataplane, &mut ());
        assert_eq!(ready, [port]);
        uring.service(port, Instant::ZERO, &mut dataplane, &mut ());
        assert_eq!(uring.manners.frames(), 3, "reads itself: {reads_itself}");
    }
}

/// As when more is requested in a round than goes to the kernel in one call, and the first ports have frames already.
#[test]
fn what_came_while_requests_were_made_is_not_slept_over() {
    let Some(mut uring) = uring() else { return };
    let mut dataplane = Dataplane::new(Settings { batch: 4, buffers: BUFFERS });
    let bridge = Control::AddBridge { bridge: BridgeId(1), name: "test".to_owned(), config: Config::default() };
    dataplane.control(bridge, Instant::ZERO).unwrap();
    let [far, much_later] = [PortId(1), PortId(2)].map(|port| {
        let (link, far) = cable();
        let plug = Control::Plug { bridge: BridgeId(1), port, config: PortConfig::default(), link };
        dataplane.control(plug, Instant::ZERO).unwrap();
        uring.watch(port, dataplane.link_mut(port).unwrap()).unwrap();
        far
    });
    uring.wait(Some(Duration::ZERO), &mut Vec::new(), &mut dataplane, &mut ());
    assert_eq!(send(far.as_raw_fd(), &FRAME, MsgFlags::empty()), Ok(FRAME.len()));
    uring.ring.enter(Some(Duration::ZERO));
    // Somebody wakes up whoever sleeps all the same.
    let (done, is_done) = std::sync::mpsc::channel();
    let alarm = std::thread::spawn(move || {
        if is_done.recv_timeout(Duration::from_secs(10)).is_err() {
            assert_eq!(send(much_later.as_raw_fd(), &FRAME, MsgFlags::empty()), Ok(FRAME.len()));
        }
        much_later
    });
    let mut ready = Vec::new();
    uring.wait(None, &mut ready, &mut dataplane, &mut ());
    done.send(()).unwrap();
    drop(alarm.join());
    assert_eq!(ready, [PortId(1)]);
}

#[test]
fn what_the_kernel_still_reads_for_a_port_that_went_is_never_taken_for_that_of_a_later_port_with_its_number() {
    let Some(mut uring) = uring() else { return };
    let mut dataplane = Dataplane::new(Settings { batch: 4, buffers: BUFFERS });
    let bridge = Control::AddBridge { bridge: BridgeId(1), name: "test".to_owned(), config: Config::default() };
    dataplane.control(bridge, Instant::ZERO).unwrap();
    let port = PortId(1);
    let plug = |uring: &mut Uring, dataplane: &mut Dataplane<Lent>| {
        let (link, far) = cable();
        // (It stays open, so that something can be sent to it for as long as the test wants.)
        let near = link.fd.try_clone().unwrap();
        let plug = Control::Plug { bridge: BridgeId(1), port, config: PortConfig::default(), link };
        dataplane.control(plug, Instant::ZERO).unwrap();
        uring.watch(port, dataplane.link_mut(port).unwrap()).unwrap();
        uring.wait(Some(Duration::ZERO), &mut Vec::new(), dataplane, &mut ());
        (far, near)
    };
    let (far_of_the_first, _near_of_the_first) = plug(&mut uring, &mut dataplane);
    dataplane.control(Control::Unplug { port }, Instant::ZERO).unwrap();
    // As if the kernel had not ended the read, however long it was given.
    uring.ports.remove(port.0);
    let (far_of_the_second, _near_of_the_second) = plug(&mut uring, &mut dataplane);

    let mut arrived = |far: &OwnedFd, frames: usize| {
        (0..frames).for_each(|_| assert_eq!(send(far.as_raw_fd(), &FRAME, MsgFlags::empty()), Ok(FRAME.len())));
        let mut ready = Vec::new();
        // (A read that ended for want of buffers is begun again in the next round.)
        for _ in 0..3 {
            uring.wait(Some(Duration::from_millis(10)), &mut ready, &mut dataplane, &mut ());
            if !ready.is_empty() {
                break;
            }
        }
        let decided = |dataplane: &Dataplane<Lent>| dataplane.counters(port).unwrap().rx.packets;
        let before = decided(&dataplane);
        uring.service(port, Instant::ZERO, &mut dataplane, &mut ());
        (ready.len(), decided(&dataplane) - before)
    };
    assert_eq!(arrived(&far_of_the_first, 2), (0, 0), "they are nobody's");
    assert_eq!(arrived(&far_of_the_second, 1), (1, 1));
    // More frames than there are buffers: those of nobody's frames are used again.
    for _ in 0..BUFFERS {
        assert_eq!(arrived(&far_of_the_first, 2), (0, 0));
        assert_eq!(arrived(&far_of_the_second, 1), (1, 1));
    }
}

#[test]
fn a_port_that_ends_because_nothing_can_be_written_to_it_is_told_of_in_silence() {
    if uring().is_none() {
        return;
    }
    let engine = Engine::spawn(Dataplane::new(Settings { batch: 4, buffers: BUFFERS }), Io::Uring).unwrap();
    let bridge = Control::AddBridge { bridge: BridgeId(1), name: "test".to_owned(), config: Config::default() };
    let (link, far) = cable();
    // The end of a pipe that is for reading: a write to it fails with EBADF, while a read waits.
    let (reader, _writer) = std::io::pipe().unwrap();
    let one_way = Lent { fd: reader.into(), queue: Queue::default(), reads_itself: false };
    let plugs = [(PortId(1), link), (PortId(2), one_way)].map(|(port, link)| Control::Plug {
        bridge: BridgeId(1),
        port,
        config: PortConfig::default(),
        link,
    });
    let made = engine.control_all(std::iter::once(bridge).chain(plugs)).unwrap();
    assert_eq!(made, [Ok(()); 3]);
    assert_eq!(send(far.as_raw_fd(), &FRAME, MsgFlags::empty()), Ok(FRAME.len()));
    let event = engine.events().recv_timeout(Duration::from_secs(5));
    assert_eq!(event, Ok(Event::PortDown { port: PortId(2) }));
}

#[test]
fn what_is_no_frame_and_what_is_said_wrongly_of_one_is_counted_and_goes_nowhere() {
    if uring().is_none() {
        return;
    }
    let engine = Engine::spawn(Dataplane::new(Settings { batch: 4, buffers: BUFFERS }), Io::Uring).unwrap();
    let bridge = Control::AddBridge { bridge: BridgeId(1), name: "test".to_owned(), config: Config::default() };
    let ((first, here), (second, there)) = (cable(), cable());
    let plugs = [(PortId(1), first), (PortId(2), second)].map(|(port, link)| Control::Plug {
        bridge: BridgeId(1),
        port,
        config: PortConfig::default(),
        link,
    });
    assert_eq!(engine.control_all(std::iter::once(bridge).chain(plugs)).unwrap(), [Ok(()); 3]);
    let said = |vnet: VnetHeader| [vnet.as_bytes(), &FRAME[VnetHeader::LEN..]].concat();
    let super_frame = VnetHeader { flags: NEEDS_CSUM, gso_type: GSO_TCPV4, csum_start: 34, ..VnetHeader::default() };
    let odd = [
        vec![0; 5],
        FRAME[..VnetHeader::LEN + 13].to_vec(),
        vec![0; VnetHeader::LEN + MAX_FRAME + 1],
        vec![0; VnetHeader::LEN + MAX_FRAME + 1_000],
        said(VnetHeader { gso_size: 0, csum_offset: 16, ..super_frame }),
        said(VnetHeader { flags: NEEDS_CSUM, csum_start: 60_000, ..VnetHeader::default() }),
        said(VnetHeader { hdr_len: 9_000, gso_size: 1_000, csum_offset: 16, ..super_frame }),
    ];
    for bytes in odd.iter().map(Vec::as_slice).chain([&FRAME[..]]) {
        assert_eq!(send(here.as_raw_fd(), bytes, MsgFlags::empty()), Ok(bytes.len()));
    }
    let mut heard = [0; 2_000];
    assert_eq!(recv(there.as_raw_fd(), &mut heard, MsgFlags::empty()), Ok(FRAME.len()));
    assert_eq!(heard[..FRAME.len()], FRAME);
    let rx = engine.inspect(|dataplane, _| dataplane.counters(PortId(1)).unwrap().rx.clone()).unwrap();
    let drops = [(DropReason::Runt, 2), (DropReason::Oversized, 2), (DropReason::BadOffload, 3)];
    assert_eq!((rx.packets, rx.flooded, rx.drops.iter().collect::<Vec<_>>()), (8, 1, drops.to_vec()));
}

#[test]
fn a_port_that_can_not_be_read_is_down_after_a_few_times_which_are_counted() {
    let Some(mut uring) = uring() else { return };
    let mut dataplane = Dataplane::new(Settings { batch: 4, buffers: BUFFERS });
    let bridge = Control::AddBridge { bridge: BridgeId(1), name: "test".to_owned(), config: Config::default() };
    dataplane.control(bridge, Instant::ZERO).unwrap();
    // As long as it is connected to nothing it can not be read (ENOTCONN).
    let fd = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).unwrap();
    let (port, link) = (PortId(1), Lent { fd, queue: Queue::default(), reads_itself: false });
    let plug = Control::Plug { bridge: BridgeId(1), port, config: PortConfig::default(), link };
    dataplane.control(plug, Instant::ZERO).unwrap();
    uring.watch(port, dataplane.link_mut(port).unwrap()).unwrap();
    let mut ready = Vec::new();
    for failures in 1..=IN_A_ROW {
        assert_eq!(ready, [], "{failures}");
        uring.wait(Some(Duration::from_secs(5)), &mut ready, &mut dataplane, &mut ());
        assert_eq!(dataplane.link(port).unwrap().queue.read_errors().of(ReadError::ReadFailed), u64::from(failures));
    }
    assert_eq!(ready, [port]);
    assert_eq!(uring.service(port, Instant::ZERO, &mut dataplane, &mut ()), Serviced::Gone);
    assert_eq!(dataplane.poll_event(), Some(Event::PortDown { port }));
}

/// `None`, and a line, where io_uring may not be used, unless everything is required.
fn uring() -> Option<Uring> {
    let is_required = std::env::var("PONTOON_REQUIRE_LINUX").is_ok_and(|value| value == "1");
    match Uring::new(&Arc::new(wake_fd().unwrap())) {
        Err(why) if !is_required => {
            eprintln!("SKIPPED: io_uring: {why}");
            None
        }
        uring => {
            let mut uring = uring.unwrap();
            Reactor::<Lent>::begin(&mut uring);
            Some(uring)
        }
    }
}

/// One end of a pair of sockets that keep the bounds of frames, and lends its queue, or reads by itself.
struct Lent {
    fd: OwnedFd,
    queue: Queue,
    reads_itself: bool,
}

fn cable() -> (Lent, OwnedFd) {
    let (fd, far) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).unwrap();
    (Lent { fd, queue: Queue::default(), reads_itself: false }, far)
}

impl Link for Lent {
    fn receive(&mut self, pool: &mut Pool, into: &mut Vec<Arc<Buffer>>, limit: usize) -> Received {
        if !self.reads_itself {
            return self.queue.receive(pool, into, limit);
        }
        for _ in 0..limit {
            let Some(mut shared) = pool.take() else { return Received::More };
            let buffer = Arc::get_mut(&mut shared).unwrap();
            let Ok(len) = recv(self.fd.as_raw_fd(), buffer.room_with_header(), MsgFlags::MSG_DONTWAIT) else {
                pool.give(shared);
                return Received::WouldBlock;
            };
            buffer.set_len(len - VnetHeader::LEN);
            into.push(shared);
        }
        Received::More
    }

    fn transmit(&mut self, frame: &Arc<Buffer>, retag: Retag) -> Transmit {
        self.queue.transmit(frame, retag).unwrap_or(Transmit::Full)
    }

    fn flush(&mut self, results: &mut Vec<Transmit>) {
        self.queue.flush(results);
    }

    fn queue(&mut self) -> Option<&mut Queue> {
        (!self.reads_itself).then_some(&mut self.queue)
    }
}

impl AsFd for Lent {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
