//! [`Lingering`]: a TCP socket that nobody holds any more, until TCP is done with it.
//!
//! The rules it keeps, all of them Linux':
//!
//! * What it was given is still sent, and then that this was all.
//! * Data that comes for it is an error of the peer's, who is told so by a reset.
//! * A peer that never ends its own half is waited for no longer than [`FIN_TIMEOUT`], and one that does not answer at all no
//!   longer than [`ORPHAN`].

use std::time::Duration;

use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp;
use switch::time::Instant;

use super::stream::Silence;

/// Linux' `tcp_fin_timeout`.
const FIN_TIMEOUT: Duration = Duration::from_secs(60);
/// About what Linux' `tcp_orphan_retries` come to.
const ORPHAN: Duration = Duration::from_secs(102);

#[derive(Debug)]
pub(super) struct Lingering {
    pub(super) handle: SocketHandle,
    state: tcp::State,
    queued: usize,
    silence: Silence,
}

impl Lingering {
    pub(super) fn new(handle: SocketHandle) -> Self {
        Lingering { handle, state: tcp::State::Established, queued: 0, silence: Silence::default() }
    }

    /// Looks what became of it; whether it can be forgotten.
    pub(super) fn is_done(&mut self, socket: &mut tcp::Socket<'static>, now: Instant) -> bool {
        let (state, queued) = (socket.state(), socket.send_queue());
        if socket.can_recv() && state != tcp::State::Closed {
            // The reset goes out with the next output.
            socket.abort();
            return false;
        }
        if (state, queued) != (self.state, self.queued) {
            (self.state, self.queued, self.silence) = (state, queued, Silence::default());
        }
        self.silence.observe(state != tcp::State::TimeWait, now);
        // (smoltcp forgets a socket that waits for late packets by itself.)
        state == tcp::State::Closed || self.silence.lasts(self.limit(), now)
    }

    /// When [`Lingering::is_done`] has something to say, if nothing is heard.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.silence.ends(self.limit())
    }

    fn limit(&self) -> Duration {
        if self.state == tcp::State::FinWait2 { FIN_TIMEOUT } else { ORPHAN }
    }
}
