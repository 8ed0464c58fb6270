//! Frame memory: buffers that are taken from a bounded pool, shared by reference count, and given back.
//!
//! A buffer holds one frame, up to a 64 KiB super-frame, and the offload header that came with it. Nothing is allocated
//! once the pool is warm: `take` pops the buffer that was given back last, whose cache lines are the warmest.

use std::sync::Arc;

use zerocopy::{FromBytes, IntoBytes};

use crate::vnet::VnetHeader;

/// The longest frame: an Ethernet header, two tags, and the longest IP packet.
pub const MAX_FRAME: usize = 14 + 8 + 65_535;

const HEADER: usize = VnetHeader::LEN;

/// One frame and what the kernel said of it.
///
/// The offload header stands right before the frame, as in the file of a TAP: so one plain `read` or `write` moves both.
/// Behind the room for the longest frame is one byte more: a frame that fills it too did not fit, and
/// [`Frame::parse`](crate::frame::Frame::parse) refuses it.
#[derive(Debug)]
pub struct Buffer {
    bytes: Box<[u8]>,
    len: usize,
}

impl Buffer {
    /// An empty buffer of full size.
    #[must_use]
    pub fn new() -> Self {
        Buffer { bytes: vec![0; HEADER + MAX_FRAME + 1].into_boxed_slice(), len: 0 }
    }

    /// A buffer just large enough for `frame`, with a copy of it.
    #[must_use]
    pub fn holding(frame: &[u8], vnet: VnetHeader) -> Self {
        Buffer { bytes: [vnet.as_bytes(), frame, &[0]].concat().into_boxed_slice(), len: frame.len() }
    }

    /// Whether the longest frame fits.
    #[must_use]
    pub fn is_full_size(&self) -> bool {
        self.bytes.len() > HEADER + MAX_FRAME
    }

    /// The frame.
    #[inline]
    #[must_use]
    pub fn frame(&self) -> &[u8] {
        &self.bytes[HEADER..HEADER + self.len]
    }

    /// The frame, to be changed.
    pub fn frame_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[HEADER..HEADER + self.len]
    }

    /// The offload header of the frame; all zeros for a plain one.
    #[inline]
    #[must_use]
    pub fn vnet(&self) -> VnetHeader {
        VnetHeader::read_from_prefix(&self.bytes).map_or(VnetHeader::default(), |(vnet, _)| vnet)
    }

    /// The offload header and the frame.
    #[inline]
    #[must_use]
    pub fn with_header(&self) -> &[u8] {
        &self.bytes[..HEADER + self.len]
    }

    /// Sets the offload header.
    pub fn set_vnet(&mut self, vnet: VnetHeader) {
        self.bytes[..HEADER].copy_from_slice(vnet.as_bytes());
    }

    /// Adds to the end of the frame.
    ///
    /// # Panics
    /// If there is no room for it.
    pub fn append(&mut self, bytes: &[u8]) {
        let end = HEADER + self.len;
        self.bytes[end..end + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    /// All the room there is, to be written by a link; `set_len` says how much of it was.
    pub fn room(&mut self) -> &mut [u8] {
        &mut self.bytes[HEADER..]
    }

    /// The same, with the room for the offload header before it.
    pub fn room_with_header(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Says that the first `len` bytes of the room are the frame.
    ///
    /// # Panics
    /// If `len` is more than the room.
    pub fn set_len(&mut self, len: usize) {
        let room = self.bytes.len() - HEADER;
        assert!(len <= room, "a frame of {len} bytes in a buffer of {room}");
        self.len = len;
    }
}

impl Default for Buffer {
    fn default() -> Self {
        Buffer::new()
    }
}

/// A bounded stock of buffers.
#[derive(Debug)]
pub struct Pool {
    free: Vec<Arc<Buffer>>,
    made: usize,
    limit: usize,
}

impl Pool {
    /// A pool that makes at most `limit` buffers, each when it is first needed.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Pool { free: Vec::with_capacity(limit), made: 0, limit }
    }

    /// How many buffers it makes at most.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// A buffer that nobody else holds, or `None` when all are out.
    pub fn take(&mut self) -> Option<Arc<Buffer>> {
        if let Some(buffer) = self.free.pop() {
            return Some(buffer);
        }
        if self.made == self.limit {
            return None;
        }
        self.made += 1;
        Some(Arc::new(Buffer::new()))
    }

    /// Takes a buffer that was given back while somebody still held it, now that perhaps nobody does.
    pub fn recycle(&mut self, mut buffer: Arc<Buffer>) {
        if self.made < self.limit && Arc::get_mut(&mut buffer).is_some() && buffer.is_full_size() {
            self.made += 1;
            self.free.push(buffer);
        }
    }

    /// Gives a buffer back. One that a link still holds (a write under way) is replaced by a new one when it is needed.
    pub fn give(&mut self, mut buffer: Arc<Buffer>) {
        if Arc::get_mut(&mut buffer).is_some() {
            self.free.push(buffer);
        } else {
            self.made -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_that_was_given_back_is_taken_again() {
        let mut pool = Pool::new(2);
        let mut buffer = pool.take().unwrap();
        Arc::get_mut(&mut buffer).unwrap().room()[0] = 7;
        pool.give(buffer);
        let again = pool.take().unwrap();
        assert_eq!(again.bytes[HEADER], 7, "no new one, which would be all zeros");
    }

    #[test]
    fn a_buffer_that_somebody_held_comes_back_when_nobody_does() {
        let mut pool = Pool::new(1);
        let mut buffer = pool.take().unwrap();
        Arc::get_mut(&mut buffer).unwrap().room()[0] = 7;
        let held = Arc::clone(&buffer);
        pool.give(buffer);
        let other = Arc::clone(&held);
        pool.recycle(other);
        pool.recycle(held);
        assert_eq!(pool.take().unwrap().bytes[HEADER], 7);
        assert!(pool.take().is_none(), "no more than the limit");
        pool.recycle(Arc::new(Buffer::holding(&[0; 60], VnetHeader::default())));
        assert!(pool.take().is_none(), "one that is too small is of no use");
    }

    #[test]
    fn a_buffer_that_somebody_still_holds_is_not_taken_again() {
        let mut pool = Pool::new(1);
        let held = pool.take().unwrap();
        assert!(pool.take().is_none(), "one at a time");
        pool.give(Arc::clone(&held));
        let other = pool.take().expect("its place is free");
        assert!(!Arc::ptr_eq(&held, &other));
        pool.give(other);
    }
}
