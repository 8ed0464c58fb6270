//! [`Ring`]: the receive ring of a packet socket (`TPACKET_V2` of packet(7)): slots of one size, in memory that the kernel shares
//! with us. It fills one after the other, and we give them back in the same order.
//!
//! The first word of a slot says whose it is. The kernel writes it last of all, and so do we: acquire and release.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, Ordering};

use linux_raw_sys::if_packet::{TP_STATUS_KERNEL, TP_STATUS_USER, tpacket_req, tpacket_versions};
use memmap2::{MmapOptions, MmapRaw};
use nix::libc;
use nix::sys::socket::setsockopt;

use super::packet;

/// The kernel allots a ring in blocks of whole pages, whatever their size is.
const BLOCK: usize = 64 << 10;

/// The ring of one socket. The memory goes when this and the socket have gone.
#[derive(Debug)]
pub(in crate::link) struct Ring {
    map: MmapRaw,
    slot_len: usize,
    slots: usize,
    /// The slot that the kernel fills next, or has filled.
    next: usize,
}

impl Ring {
    /// Gives a socket a ring. It must not be bound yet; options that say what a slot holds must be set.
    ///
    /// `slot_len` is a power of two between 64 and 65,536, so that the slots stand close together; there are at least `slots`, as
    /// many as whole blocks hold.
    ///
    /// # Errors
    /// ENOMEM, EINVAL, or what else the kernel says where it has no rings.
    pub(in crate::link) fn new(socket: &OwnedFd, slot_len: usize, slots: usize) -> io::Result<Ring> {
        let blocks = (slots * slot_len).div_ceil(BLOCK);
        let slots = blocks * BLOCK / slot_len;
        let request = tpacket_req {
            tp_block_size: BLOCK as libc::c_uint,
            tp_block_nr: blocks as libc::c_uint,
            tp_frame_size: slot_len as libc::c_uint,
            tp_frame_nr: slots as libc::c_uint,
        };
        setsockopt(socket, packet::Version, &(tpacket_versions::TPACKET_V2 as libc::c_int))?;
        setsockopt(socket, packet::RxRing, &request)?;
        let map = MmapOptions::new().len(slots * slot_len).map_raw(socket)?;
        Ok(Ring { map, slot_len, slots, next: 0 })
    }

    /// The next slot, if the kernel has filled it: all its bytes, a `struct tpacket2_hdr` first.
    pub(in crate::link) fn filled(&self) -> Option<&[u8]> {
        if self.status().load(Ordering::Acquire) & TP_STATUS_USER == 0 {
            return None;
        }
        let at = self.map.as_ptr().wrapping_add(self.next * self.slot_len);
        // SAFETY: the slot is within the mapping, which lives as long as `self`; the kernel has zeroed it once, so all of it is
        // initialised. Its status says that it is ours: the kernel writes nothing there until it is given back, and that takes
        // `&mut self`, when nobody has the slice any more. (Another process that was given the socket could map it as well, and
        // would have to mean harm to us and to itself: it is ours by the same right.)
        Some(unsafe { std::slice::from_raw_parts(at, self.slot_len) })
    }

    /// Gives the slot that was `filled` back to the kernel.
    pub(in crate::link) fn give_back(&mut self) {
        self.status().store(TP_STATUS_KERNEL, Ordering::Release);
        self.next = if self.next + 1 == self.slots { 0 } else { self.next + 1 };
    }

    fn status(&self) -> &AtomicU32 {
        let at = self.map.as_mut_ptr().wrapping_add(self.next * self.slot_len);
        // SAFETY: the word is within the mapping, which lives as long as `self`, and aligned, since slots are to 16 bytes. The
        // kernel writes it as a whole; we do only by this atomic, and while no slice of the slot is borrowed (`filled`), or is
        // read as part of one.
        unsafe { AtomicU32::from_ptr(at.cast()) }
    }
}
