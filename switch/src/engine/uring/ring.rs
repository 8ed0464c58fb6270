//! [`Ring`]: an io_uring whose memory is looked after. One of the few places of the crate with unsafe code.
//!
//! Rules that make it sound, whatever its callers do:
//!
//! * What the kernel reads or writes belongs to the ring until the kernel has said that it is done: a buffer that is lent for
//!   reading is nobody else's, one that is being written is shared and so never changed.
//! * A ring that ends takes back all that it has asked for, and waits for that. Should the kernel not answer, the memory is
//!   given up, never reused.
//! * An fd is a number to the kernel: a wrong one is an error for that request, and concerns no memory.
#![allow(unsafe_code)]

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use io_uring::{IoUring, Probe, cqueue, opcode, squeue, types};
use memmap2::MmapMut;
use nix::errno::Errno;
use nix::libc;
use zerocopy::IntoBytes as _;

use crate::buffer::Buffer;
use crate::link::queue::Outgoing;
use crate::link::retag::Retagged;
use crate::vlan::Retag;
use crate::vnet::VnetHeader;

/// How many requests go to the kernel in one call at most.
const REQUESTS: u32 = 256;
/// How many answers may wait to be looked at. Should there be more, the kernel keeps them and says so.
const ANSWERS: u32 = 2048;
/// How many frames are read at most before some buffers are returned: as many as make one round. Few, so that they stay in the
/// cache; a read that finds none ends, and costs one request to begin again.
pub(super) const LENT: u16 = 64;
/// The number under which the kernel knows the buffers.
const GROUP: u16 = 0;
/// How long a ring that ends waits for the kernel in all, in steps of a hundredth.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How many bits a key may have.
const KEY_BITS: u32 = 56;

/// What the kernel has done.
#[derive(Debug)]
pub(super) enum Done {
    /// A frame has come. Unless it is the last the read goes on.
    Read { key: u64, frame: Arc<Buffer>, is_last: bool },
    /// A read has ended, and why: ENOBUFS, no buffer was left.
    ReadEnded { key: u64, errno: Errno },
    /// A frame was written, or not. The buffer is given back.
    Written { key: u64, number: u64, frames: usize, frame: Arc<Buffer>, result: nix::Result<usize> },
    /// An fd that was waited for is ready, or can not be waited for any more: whoever looks finds out.
    Ready { key: u64 },
}

/// An io_uring with the memory that the kernel uses meanwhile.
pub(super) struct Ring {
    ring: IoUring,
    /// The list of lent buffers, shared with the kernel; a page of its own.
    shelf: MmapMut,
    /// How many were ever put on the shelf, as the kernel counts it.
    shelved: u16,
    /// The lent buffers, by number; `None` for one that has come back.
    lent: Vec<Option<Arc<Buffer>>>,
    /// The numbers of those.
    returned: Vec<u16>,
    /// What is being written, by slot.
    writes: Vec<Option<Box<Write>>>,
    /// Slots that are free, with the memory of the last write.
    spare: Vec<(u32, Box<Write>)>,
    answers: VecDeque<cqueue::Entry>,
    /// Requests that were made and whose last answer has not come.
    outstanding: usize,
    is_enabled: bool,
}

/// A frame that is being written. Boxed, so that it stays where the kernel was told it is.
struct Write {
    key: u64,
    number: u64,
    frames: usize,
    frame: Option<Arc<Buffer>>,
    /// A frame whose tag changes is written in pieces: those of it that are in no buffer, and where all of them are.
    vnet: VnetHeader,
    tag: [u8; 4],
    pieces: [libc::iovec; 4],
}

// SAFETY: the pointers in `pieces` are only looked at by the kernel, and lead to memory that the same value owns or shares
// (`Ring` keeps it until the kernel is done). All other parts may go to another thread by themselves.
unsafe impl Send for Ring {}

/// What kind a request is of stands in the upper byte of its user data; its key, or slot, in the others.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
enum Kind {
    Read = 1,
    Write,
    Wait,
    Cancel,
}

impl Kind {
    const fn data(self, number: u64) -> u64 {
        (self as u64) << KEY_BITS | number
    }
}

impl Ring {
    /// A ring that does nothing until it is [enabled](Ring::enable).
    ///
    /// # Errors
    /// If the kernel is too old (before 6.7), has no io_uring, or does not let us make a ring, or use one: EPERM, as in many a
    /// sandbox.
    pub(super) fn new() -> io::Result<Ring> {
        let ring = IoUring::builder()
            .setup_r_disabled()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_submit_all()
            .setup_cqsize(ANSWERS)
            .build(REQUESTS)?;
        let mut probe = Probe::new();
        ring.submitter().register_probe(&mut probe)?;
        if !probe.is_supported(opcode::ReadMulti::CODE) {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "the kernel has no reads that go on by themselves"));
        }
        // A ring that is not enabled yet has nothing to give to the kernel, which says so. Where somebody else answers before the
        // kernel does, a filter that lets rings be made but not used, it would be too late to find that out once frames come.
        match ring.submit() {
            Err(error) if error.raw_os_error() == Some(libc::EBADFD) => {}
            Err(error) => return Err(error),
            Ok(_) => {}
        }
        let shelf = MmapMut::map_anon(usize::from(LENT) * size_of::<types::BufRingEntry>())?;
        // SAFETY: the shelf is as long as `LENT` entries and begins at a page. It is unmapped after the ring is closed and has
        // no requests left (`Drop`).
        unsafe { ring.submitter().register_buf_ring_with_flags(shelf.as_ptr() as u64, LENT, GROUP, 0)? };
        Ok(Ring {
            ring,
            shelf,
            shelved: 0,
            lent: vec![None; usize::from(LENT)],
            returned: (0..LENT).rev().collect(),
            writes: Vec::new(),
            spare: Vec::new(),
            answers: VecDeque::new(),
            outstanding: 0,
            is_enabled: false,
        })
    }

    /// Makes the calling thread the one that uses the ring.
    pub(super) fn enable(&mut self) {
        self.ring.submitter().register_enable_rings().expect("a new ring that was not used yet");
        self.is_enabled = true;
    }

    /// How many frames are being written.
    pub(super) fn writing(&self) -> usize {
        self.writes.len() - self.spare.len()
    }

    /// Lends the kernel as many buffers as it may have, `limit` at most, each from `take`, which gives one that nobody else has.
    pub(super) fn lend(&mut self, limit: usize, mut take: impl FnMut() -> Option<Arc<Buffer>>) {
        if self.returned.is_empty() {
            return;
        }
        let shelf = self.shelf.as_mut_ptr().cast::<types::BufRingEntry>();
        while self.lent.len() - self.returned.len() < limit {
            let Some(number) = self.returned.pop() else { break };
            let Some(mut shared) = take() else {
                self.returned.push(number);
                break;
            };
            let buffer = Arc::get_mut(&mut shared).expect("a buffer from the pool is nobody else's");
            let room = buffer.room_with_header();
            // SAFETY: within the shelf, which has `LENT` entries.
            let entry = unsafe { shelf.add(usize::from(self.shelved % LENT)) };
            // SAFETY: the kernel does not look at this entry until the count below says that it is there, and no longer than until
            // its buffer has come back, so it is ours alone; zeros, or what was written before, are a valid one.
            let entry = unsafe { &mut *entry };
            entry.set_addr(room.as_mut_ptr() as u64);
            entry.set_len(room.len() as u32);
            entry.set_bid(number);
            self.lent[usize::from(number)] = Some(shared);
            self.shelved = self.shelved.wrapping_add(1);
        }
        // SAFETY: the shelf begins with an entry, which may be read.
        let count = unsafe { types::BufRingEntry::tail(shelf) }.cast_mut();
        // SAFETY: the count lies in the first entry, aligned, in a field that entries do not use, and is only read by the kernel.
        let count = unsafe { AtomicU16::from_ptr(count) };
        // Released after the entries are written.
        count.store(self.shelved, Ordering::Release);
    }

    /// Reads frames from `fd`, with the offload header before each, for as long as there are buffers.
    pub(super) fn read(&mut self, key: u64, fd: BorrowedFd<'_>) {
        let read = opcode::ReadMulti::new(types::Fd(fd.as_raw_fd()), 0, GROUP).build();
        self.request(read, Kind::Read.data(key));
    }

    /// Waits until `fd` is ready for reading, once.
    pub(super) fn wait_for(&mut self, key: u64, fd: BorrowedFd<'_>) {
        let wait = opcode::PollAdd::new(types::Fd(fd.as_raw_fd()), libc::POLLIN as u32).build();
        self.request(wait, Kind::Wait.data(key));
    }

    /// Calls off the read, or the waiting, for `key`. That it has ended is told as for any other reason.
    pub(super) fn cancel(&mut self, key: u64) {
        for kind in [Kind::Read, Kind::Wait] {
            let cancel = opcode::AsyncCancel::new(kind.data(key)).build();
            self.request(cancel, Kind::Cancel.data(0));
        }
    }

    /// Writes a frame to `fd`, with the offload header before it. Gives it back if it is too short for the tag that is to change.
    pub(super) fn write(
        &mut self,
        key: u64,
        fd: BorrowedFd<'_>,
        Outgoing { number, frames, buffer: frame, retag }: Outgoing,
    ) -> Result<(), Arc<Buffer>> {
        let retagged = match retag {
            Retag::Keep => None,
            _ => match Retagged::new(frame.frame(), retag) {
                Some(retagged) => Some(retagged),
                None => return Err(frame),
            },
        };
        let (slot, mut write) = self.spare.pop().unwrap_or_else(|| {
            self.writes.push(None);
            (self.writes.len() as u32 - 1, Box::new(Write::new()))
        });
        (write.key, write.number, write.frames) = (key, number, frames);
        let fd = types::Fd(fd.as_raw_fd());
        let request = match retagged {
            None => {
                let bytes = frame.with_header();
                opcode::Write::new(fd, bytes.as_ptr(), bytes.len() as u32).build()
            }
            Some(retagged) => {
                write.vnet = frame.vnet().shifted(retagged.shift());
                let [before, tag, after] = retagged.pieces();
                write.tag[..tag.len()].copy_from_slice(tag);
                write.pieces = [write.vnet.as_bytes(), before, &write.tag[..tag.len()], after].map(iovec);
                opcode::Writev::new(fd, write.pieces.as_ptr(), write.pieces.len() as u32).build()
            }
        };
        write.frame = Some(frame);
        self.writes[slot as usize] = Some(write);
        self.request(request, Kind::Write.data(u64::from(slot)));
        Ok(())
    }

    /// Gives the kernel what was requested, and no time for anything else.
    pub(super) fn submit(&mut self) {
        // What is refused now is told by the next `enter`.
        let _ = self.ring.submit();
    }

    /// Gives the kernel what was requested, and lets it go on with its work: until there is an answer, or for `patience`
    /// (`None`: for ever).
    pub(super) fn enter(&mut self, patience: Option<Duration>) {
        // What came while requests were made, since there was no room for them, is an answer as well.
        let patience = if self.answers.is_empty() { patience } else { Some(Duration::ZERO) };
        let is_idle = {
            let requests = self.ring.submission();
            requests.is_empty() && !requests.taskrun() && !requests.cq_overflow()
        };
        // (What has come meanwhile without the kernel's help is in the list already.)
        if !(patience == Some(Duration::ZERO) && is_idle) {
            match self.try_enter(patience) {
                // EBUSY: first take the answers that there are.
                Ok(()) | Err(Errno::ETIME | Errno::EINTR | Errno::EBUSY | Errno::EAGAIN) => {}
                Err(errno) => panic!("wait for frames: {errno}"),
            }
            return;
        }
        self.answers.extend(self.ring.completion());
    }

    fn try_enter(&mut self, patience: Option<Duration>) -> nix::Result<()> {
        let entered = match patience {
            None => self.ring.submit_and_wait(1),
            Some(patience) => {
                let time = types::Timespec::from(patience);
                let arguments = types::SubmitArgs::new().timespec(&time);
                self.ring.submitter().submit_with_args(usize::from(!patience.is_zero()), &arguments)
            }
        };
        self.answers.extend(self.ring.completion());
        entered.map(drop).map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or_default()))
    }

    /// The next thing that was done, in the order in which the kernel told it.
    pub(super) fn next_done(&mut self) -> Option<Done> {
        loop {
            let answer = self.answers.pop_front()?;
            let (kind, number) = (answer.user_data() >> KEY_BITS, answer.user_data() & ((1 << KEY_BITS) - 1));
            let result =
                if answer.result() < 0 { Err(Errno::from_raw(-answer.result())) } else { Ok(answer.result() as usize) };
            let is_last = !cqueue::more(answer.flags());
            self.outstanding -= usize::from(is_last);
            if kind == Kind::Read as u64 {
                let key = number;
                let buffer = cqueue::buffer_select(answer.flags()).and_then(|number| {
                    self.returned.push(number);
                    self.lent[usize::from(number)].take()
                });
                if let (Some(mut frame), Ok(len)) = (buffer, result) {
                    let buffer = Arc::get_mut(&mut frame).expect("what is lent is nobody else's");
                    buffer.set_len(len.saturating_sub(VnetHeader::LEN));
                    return Some(Done::Read { key, frame, is_last });
                }
                if is_last {
                    // (An end of file: nothing will ever come again.)
                    return Some(Done::ReadEnded { key, errno: result.err().unwrap_or(Errno::ENODEV) });
                }
            } else if kind == Kind::Write as u64 {
                let mut write = self.writes[number as usize].take().expect("it is being written");
                let frame = write.frame.take().expect("it is being written");
                let (key, sequence, frames) = (write.key, write.number, write.frames);
                self.spare.push((number as u32, write));
                return Some(Done::Written { key, number: sequence, frames, frame, result });
            } else if kind == Kind::Wait as u64 {
                return Some(Done::Ready { key: number });
            }
        }
    }

    fn request(&mut self, request: squeue::Entry, data: u64) {
        let request = request.user_data(data);
        self.outstanding += 1;
        // SAFETY: what the request points to stays where it is, and as it is, until its answer: see the rules above.
        while unsafe { self.ring.submission().push(&request) }.is_err() {
            // It is full: the kernel takes what there is.
            self.enter(Some(Duration::ZERO));
        }
    }
}

impl Write {
    fn new() -> Write {
        let nothing = iovec(&[]);
        Write {
            key: 0,
            number: 0,
            frames: 0,
            frame: None,
            vnet: VnetHeader::default(),
            tag: [0; 4],
            pieces: [nothing; 4],
        }
    }
}

fn iovec(bytes: &[u8]) -> libc::iovec {
    libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() }
}

impl Drop for Ring {
    fn drop(&mut self) {
        if !self.is_enabled {
            // The kernel has not been given anything yet.
            return;
        }
        let cancel = opcode::AsyncCancel2::new(types::CancelBuilder::any()).build();
        self.request(cancel, Kind::Cancel.data(0));
        for _ in 0..100 {
            if self.outstanding == 0 {
                return;
            }
            let entered = self.try_enter(Some(LAST_WORDS / 100));
            while self.next_done().is_some() {}
            if entered.is_err_and(|errno| !matches!(errno, Errno::ETIME | Errno::EINTR | Errno::EBUSY | Errno::EAGAIN))
            {
                break;
            }
        }
        if self.outstanding > 0 {
            // The kernel may yet use it.
            std::mem::forget(std::mem::take(&mut self.lent));
            std::mem::forget(std::mem::take(&mut self.writes));
        }
    }
}
