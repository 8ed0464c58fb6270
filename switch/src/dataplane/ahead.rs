//! Looking ahead: while one frame of a batch is decided about, what those behind it need of the FDB is on its way.
//!
//! A table of a million stations is larger than the processor's caches, and each decision would wait for memory twice: by itself the
//! processor looks no further ahead than a decision or two. Nothing is decided here, and nothing changes but the time that it takes.
//! With a table that the near caches hold, it would cost more than it saves.

use std::sync::Arc;

use super::Dataplane;
use crate::buffer::Buffer;
use crate::forward::Switch;
use crate::frame::Frame;
use crate::link::Link;
use crate::verdict::PortId;
use crate::vnet::VnetHeader;

impl<L: Link> Dataplane<L> {
    /// Asks for what the decisions about these frames will need, if that is worth while.
    #[inline]
    pub(super) fn look_ahead(&self, port: PortId, frames: &[Arc<Buffer>]) {
        let Some(bridge) = self.ports.get(port.0).and_then(|it| self.bridges.get(it.bridge.0)) else { return };
        if bridge.switch.fdb().is_large() {
            look_ahead(&bridge.switch, port, frames);
        }
    }
}

/// (Kept apart, so that the loop stays as it is where nobody looks ahead.)
#[inline(never)]
fn look_ahead(switch: &Switch, port: PortId, frames: &[Arc<Buffer>]) {
    for buffer in frames {
        if let Ok(frame) = Frame::parse(buffer.frame(), VnetHeader::default()) {
            switch.look_ahead(port, &frame);
        }
    }
}
