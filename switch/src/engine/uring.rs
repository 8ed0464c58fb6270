//! [`Uring`]: has the kernel read and write in the background (io_uring(7)).
//!
//! * Each link that lends its [`Queue`](crate::link::queue::Queue) has a read in the kernel that goes on by itself, into buffers
//!   that all ports share. They are few, so one round takes a bounded number of frames; a port whose read has ended for want of
//!   one is armed again, and those that got nothing come before those that did. That is what keeps a flood from starving others.
//! * A port whose turn was not long enough for what had come, since its frames become many copies, is not read from until nothing of
//!   that is left. So what waits of it is what came in a round or two; what waits in all, with what the kernel may read into, is at
//!   most half of the memory.
//! * What is to be written is gathered, and goes to the kernel in one call together with the next wait.
//! * While somebody watches links write by themselves, so that what became of each copy is told together with its frame.
//! * Other links are asked when they are ready, as with epoll.
//! * A port that is forgotten has nothing left in the kernel afterwards: a read that still waits would keep its device alive.
//!   Should the kernel take too long over that, what it tells of it later is nobody's, whoever has the port's number then.

mod ring;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::eventfd::EventFd;

use self::ring::{Done, Ring};
use super::manners::Manners;
use super::reactor::Reactor;
use crate::buffer::Buffer;
use crate::dataplane::{Dataplane, Decided, Outcome, Serviced, Watch};
use crate::link::queue::Queue;
use crate::link::{Link, Transmit, tun};
use crate::slots::Slots;
use crate::time::Instant;
use crate::verdict::PortId;

/// Stands for the command channel among the keys. The port number in it, the last, is no port's.
const WAKE: u64 = u16::MAX as u64;
/// How many frames are being written at most before the kernel is asked what became of them.
const WRITING: usize = 1024;
/// How often the kernel is given another tenth of a second to end what is asked of a port that goes.
const FAREWELLS: usize = 20;

/// An io_uring, and what it is used for.
pub(super) struct Uring {
    ring: Ring,
    wake: Arc<EventFd>,
    ports: Slots<Port>,
    /// Ports to be armed: those that got nothing for want of buffers, and the others; each in the order of their turns.
    starved: VecDeque<PortId>,
    others: VecDeque<PortId>,
    /// Ports that something has come for and that have not been told of.
    ready: Vec<PortId>,
    /// Ports that were given frames to send since their queues were looked at.
    touched: Vec<PortId>,
    /// Ports to be asked for results.
    answered: Vec<PortId>,
    /// Buffers whose frames have become part of another.
    emptied: Vec<Arc<Buffer>>,
    manners: Manners,
    /// How many frames wait for their ports' turns.
    waiting: usize,
    /// There is, or was, a link that lends its queue.
    has_queues: bool,
    /// How many ports it was given to wait for.
    given: u64,
    /// How many times it has waited.
    round: u64,
    is_woken: bool,
    is_watched: bool,
}

/// A port that is waited for.
struct Port {
    /// What the kernel knows it by: its number, and above that which one it is of all that ever had one.
    key: u64,
    /// An fd of our own: the link's may be closed before the kernel has ended what it does with it.
    fd: OwnedFd,
    /// Its frames go by the link's queue.
    is_queued: bool,
    /// The kernel reads for it, or waits.
    is_armed: bool,
    is_to_be_armed: bool,
    /// It is among those to be asked for results.
    is_answered: bool,
    /// Its turn was not long enough for what had come: it is not read from until it is.
    is_held_back: bool,
    /// How many frames are being written.
    writing: usize,
    /// How many frames have come, and were not decided about when it had its last turn, or came since.
    waiting: usize,
    /// The round in which frames came last.
    received_in: u64,
}

impl Uring {
    /// Waits for `wake` and nothing else.
    ///
    /// # Errors
    /// If this kernel has no io_uring that will do, or does not let us.
    pub(super) fn new(wake: &Arc<EventFd>) -> io::Result<Uring> {
        Ok(Uring {
            ring: Ring::new()?,
            wake: Arc::clone(wake),
            ports: Slots::new(),
            starved: VecDeque::new(),
            others: VecDeque::new(),
            ready: Vec::new(),
            touched: Vec::new(),
            answered: Vec::new(),
            emptied: Vec::new(),
            manners: Manners::default(),
            waiting: 0,
            has_queues: false,
            given: 0,
            round: 0,
            is_woken: false,
            is_watched: false,
        })
    }

    fn is_to_be_armed(&mut self, port: PortId) {
        let may_be = |it: &&mut Port| !it.is_to_be_armed && !it.is_armed && !it.is_held_back;
        let Some(it) = self.ports.get_mut(port.0).filter(may_be) else { return };
        it.is_to_be_armed = true;
        let line = if it.is_queued && it.received_in < self.round { &mut self.starved } else { &mut self.others };
        line.push_back(port);
    }

    fn arm(&mut self) {
        while let Some(port) = self.starved.pop_front().or_else(|| self.others.pop_front()) {
            let Some(it) = self.ports.get_mut(port.0) else { continue };
            it.is_to_be_armed = false;
            if it.is_held_back {
                continue;
            }
            it.is_armed = true;
            if it.is_queued {
                self.ring.read(it.key, it.fd.as_fd());
            } else {
                self.ring.wait_for(it.key, it.fd.as_fd());
            }
        }
    }

    /// Takes what is to leave from the queues of links that were given frames.
    fn collect<L: Link>(&mut self, dataplane: &mut Dataplane<L>) {
        while let Some(port) = self.touched.pop() {
            self.write(port, dataplane);
            if self.ring.writing() >= WRITING {
                self.ring.enter(Some(Duration::ZERO));
                self.take_done(dataplane);
            }
        }
    }

    fn write<L: Link>(&mut self, port: PortId, dataplane: &mut Dataplane<L>) {
        let Some(it) = self.ports.get_mut(port.0) else { return };
        let mut refused = None;
        let Some(queue) = dataplane.link_mut(port).and_then(Link::queue) else { return };
        let mut emptied = std::mem::take(&mut self.emptied);
        while let Some(out) = queue.next_outgoing(&mut |buffer| emptied.push(buffer)) {
            let (number, frames) = (out.number, out.frames);
            match self.ring.write(it.key, it.fd.as_fd(), out) {
                Ok(()) => it.writing += 1,
                Err(frame) => {
                    queue.answer(number, frames, Transmit::Refused);
                    refused = Some(frame);
                }
            }
        }
        emptied.drain(..).for_each(|buffer| dataplane.recycle(buffer));
        self.emptied = emptied;
        if let Some(frame) = refused {
            dataplane.recycle(frame);
            self.is_answered(port);
        }
    }

    /// Puts what the kernel has done where it belongs.
    fn take_done<L: Link>(&mut self, dataplane: &mut Dataplane<L>) {
        while let Some(done) = self.ring.next_done() {
            match done {
                Done::Read { key, frame, is_last } => {
                    let Some(port) = self.port_of(key) else {
                        dataplane.give_buffer(frame);
                        continue;
                    };
                    self.manners.frame(frame.frame().len());
                    self.arrived(port, frame, dataplane);
                    if is_last {
                        self.disarmed(port);
                    }
                }
                Done::ReadEnded { key, errno } => {
                    if let Some(port) = self.port_of(key) {
                        self.read_ended(port, errno, dataplane);
                    }
                }
                Done::Written { key, number, frames, frame, result } => {
                    dataplane.recycle(frame);
                    let Some(port) = self.port_of(key) else { continue };
                    if let Some(it) = self.ports.get_mut(port.0) {
                        it.writing -= 1;
                    }
                    if let Some(queue) = queue(dataplane, port) {
                        queue.answer(number, frames, tun::outcome(result));
                        self.is_answered(port);
                    }
                }
                Done::Ready { key: WAKE } => {
                    self.is_woken = true;
                    self.ring.wait_for(WAKE, self.wake.as_fd());
                }
                Done::Ready { key } => {
                    // (Armed again when it has nothing left.)
                    let Some(port) = self.port_of(key) else { continue };
                    if let Some(it) = self.ports.get_mut(port.0) {
                        it.is_armed = false;
                        self.ready.push(port);
                    }
                }
            }
        }
    }

    /// The port that the kernel knows by this key, unless it has gone.
    #[inline]
    fn port_of(&self, key: u64) -> Option<PortId> {
        let port = PortId(key as u16);
        self.ports.get(port.0).filter(|it| it.key == key).map(|_| port)
    }

    fn arrived<L: Link>(&mut self, port: PortId, frame: Arc<Buffer>, dataplane: &mut Dataplane<L>) {
        let (Some(it), Some(queue)) = (self.ports.get_mut(port.0), queue(dataplane, port)) else {
            return dataplane.give_buffer(frame);
        };
        it.received_in = self.round;
        it.waiting += 1;
        self.waiting += 1;
        queue.arrived(frame);
        if self.ready.last() != Some(&port) {
            self.ready.push(port);
        }
    }

    fn read_ended<L: Link>(&mut self, port: PortId, errno: Errno, dataplane: &mut Dataplane<L>) {
        match errno {
            // (ECANCELED: it was held back, or it goes. A device that is out of memory says the same as we, who are out of buffers.)
            Errno::ENOBUFS | Errno::EAGAIN | Errno::EINTR | Errno::ECANCELED => self.disarmed(port),
            errno => {
                if let Some(it) = self.ports.get_mut(port.0) {
                    it.is_armed = false;
                }
                if queue(dataplane, port).is_some_and(|queue| queue.read_failed(errno)) {
                    self.is_to_be_armed(port);
                } else {
                    self.ready.push(port);
                }
            }
        }
    }

    /// The kernel does not read for a port any more, and should.
    fn disarmed(&mut self, port: PortId) {
        if let Some(it) = self.ports.get_mut(port.0) {
            it.is_armed = false;
            self.is_to_be_armed(port);
        }
    }

    /// Reads go on by themselves, so a port that has something left after its turn would be given more and more. Others need that memory.
    fn had_turn<L: Link>(&mut self, port: PortId, serviced: Serviced, dataplane: &mut Dataplane<L>) {
        let Some(it) = self.ports.get_mut(port.0) else { return };
        let left = if it.is_queued { dataplane.waiting(port) } else { 0 };
        self.waiting = self.waiting + left - it.waiting;
        it.waiting = left;
        match serviced {
            Serviced::More if it.is_queued && !it.is_held_back => {
                it.is_held_back = true;
                if it.is_armed {
                    self.ring.cancel(it.key);
                }
            }
            Serviced::Idle => {
                it.is_held_back = false;
                self.is_to_be_armed(port);
            }
            Serviced::More | Serviced::Gone => {}
        }
    }

    fn is_answered(&mut self, port: PortId) {
        if let Some(it) = self.ports.get_mut(port.0).filter(|it| !it.is_answered) {
            it.is_answered = true;
            self.answered.push(port);
        }
    }

    /// Tells the data plane of results that have become known.
    fn settle<L: Link>(&mut self, dataplane: &mut Dataplane<L>, watch: &mut impl Watch) {
        let mut answered = std::mem::take(&mut self.answered);
        for port in answered.drain(..) {
            if let Some(it) = self.ports.get_mut(port.0) {
                it.is_answered = false;
            }
            dataplane.settle_watched(port, watch);
        }
        self.answered = answered;
    }
}

impl<L: Link + AsFd> Reactor<L> for Uring {
    fn begin(&mut self) {
        self.ring.enable();
        self.ring.wait_for(WAKE, self.wake.as_fd());
    }

    fn watch(&mut self, port: PortId, link: &mut L) -> nix::Result<()> {
        if u64::from(port.0) == WAKE {
            return Err(Errno::ERANGE);
        }
        let fd = link.as_fd().try_clone_to_owned();
        let fd = fd.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or_default()))?;
        // The kernel takes a file that can not be waited for as one that is always ready. epoll does not.
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&fd, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
        epoll.delete(&fd)?;
        let queue = link.queue();
        let is_queued = queue.is_some();
        if let Some(queue) = queue {
            queue.set_for_reading_only(self.is_watched);
        }
        self.given += 1;
        let it = Port {
            key: self.given << u16::BITS | u64::from(port.0),
            fd,
            is_queued,
            is_armed: false,
            is_to_be_armed: false,
            is_answered: false,
            is_held_back: false,
            writing: 0,
            waiting: 0,
            received_in: 0,
        };
        self.has_queues |= it.is_queued;
        self.ports.insert(port.0, it);
        self.is_to_be_armed(port);
        Ok(())
    }

    fn forget(&mut self, port: PortId, dataplane: &mut Dataplane<L>) {
        let is_busy = |it: &Uring| it.ports.get(port.0).is_some_and(|it| it.is_armed || it.writing > 0);
        if let Some(it) = self.ports.get(port.0).filter(|it| it.is_armed || it.writing > 0) {
            self.ring.cancel(it.key);
        }
        for _ in 0..FAREWELLS {
            if !is_busy(self) {
                break;
            }
            self.ring.enter(Some(Duration::from_millis(100)));
            self.take_done(dataplane);
        }
        self.waiting -= self.ports.remove(port.0).map_or(0, |it| it.waiting);
        for line in [&mut self.starved, &mut self.others] {
            line.retain(|other| *other != port);
        }
        self.ready.retain(|other| *other != port);
    }

    fn watched(&self) -> impl Iterator<Item = PortId> + '_ {
        self.ports.iter().map(|(port, _)| PortId(port))
    }

    fn set_watched(&mut self, is_watched: bool, dataplane: &mut Dataplane<L>) {
        self.is_watched = is_watched;
        // (Between two batches nothing waits to be written.)
        for (port, _) in self.ports.iter().filter(|(_, it)| it.is_queued) {
            if let Some(queue) = queue(dataplane, PortId(port)) {
                queue.set_for_reading_only(is_watched);
            }
        }
    }

    fn wait(
        &mut self,
        patience: Option<Duration>,
        ready: &mut Vec<PortId>,
        dataplane: &mut Dataplane<L>,
        watch: &mut impl Watch,
    ) -> bool {
        self.round += 1;
        let ring = &mut self.ring;
        self.manners.round(|| ring.submit());
        if self.has_queues {
            // (Half of the memory is left to links that read by themselves.)
            let limit = (dataplane.buffers() / 2).saturating_sub(self.waiting);
            self.ring.lend(limit, || dataplane.take_buffer());
        }
        self.arm();
        let has_news = !self.ready.is_empty() || self.is_woken;
        self.ring.enter(if has_news { Some(Duration::ZERO) } else { patience });
        self.take_done(dataplane);
        self.settle(dataplane, watch);
        ready.append(&mut self.ready);
        std::mem::take(&mut self.is_woken)
    }

    fn service(
        &mut self,
        port: PortId,
        now: Instant,
        dataplane: &mut Dataplane<L>,
        watch: &mut impl Watch,
    ) -> Serviced {
        let mut noting = Noting { watch, touched: &mut self.touched };
        // (What the kernel reads was counted when it came.)
        let serviced = if self.ports.get(port.0).is_some_and(|it| it.is_queued) {
            dataplane.service_watched(port, now, &mut noting)
        } else {
            dataplane.service_watched(port, now, &mut (&mut self.manners, &mut noting))
        };
        self.collect(dataplane);
        self.had_turn(port, serviced, dataplane);
        serviced
    }
}

fn queue<L: Link>(dataplane: &mut Dataplane<L>, port: PortId) -> Option<&mut Queue> {
    dataplane.link_mut(port)?.queue()
}

/// Notes which links have queued something, for whoever watches and for nobody.
struct Noting<'a, W> {
    watch: &'a mut W,
    touched: &'a mut Vec<PortId>,
}

impl<W: Watch> Watch for Noting<'_, W> {
    #[inline]
    fn is_there(&self) -> bool {
        self.watch.is_there()
    }

    fn control(&mut self, control: &crate::dataplane::Control<()>, now: Instant, made: bool) {
        self.watch.control(control, now, made);
    }

    #[inline]
    fn frame(&mut self, decided: Decided<'_>) {
        self.watch.frame(decided);
    }

    #[inline]
    fn copy(&mut self, egress: PortId, outcome: Outcome) {
        let is_queued = matches!(outcome, Outcome::Offered { answer: Transmit::Queued, .. });
        if is_queued && self.touched.last() != Some(&egress) {
            self.touched.push(egress);
        }
        self.watch.copy(egress, outcome);
    }

    fn result(&mut self, port: PortId, answer: Transmit) {
        self.watch.result(port, answer);
    }

    fn port_down(&mut self, port: PortId) {
        self.watch.port_down(port);
    }

    fn timeout(&mut self, now: Instant) {
        self.watch.timeout(now);
    }
}
