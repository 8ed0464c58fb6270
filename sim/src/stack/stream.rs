//! [`Stream`]: one end of a TCP connection as a program sees it: what it may do, and why it can do nothing any more.
//!
//! The rules it keeps, all of them Linux':
//!
//! * What has arrived can be read, whatever became of the connection afterwards. Then comes the error, once; after it, the end.
//! * Who is reset hears "connection reset"; who writes to a peer that has said its last word and is gone, "broken pipe".
//! * A connection from whose peer nothing is heard while it waits for something times out: a handshake after [`HANDSHAKE`],
//!   everything later after [`SILENCE`]. Nobody is told of that, since nobody hears.

use std::net::SocketAddr;
use std::time::Duration;

use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp;
use switch::time::Instant;

use super::StreamState;
use crate::socket::SocketError;

/// Linux' with its `tcp_syn_retries` of 6.
const HANDSHAKE: Duration = Duration::from_secs(131);
/// Linux' with its `tcp_retries2` of 15.
const SILENCE: Duration = Duration::from_millis(924_600);

/// What belongs to a smoltcp socket.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) handle: SocketHandle,
    pub(super) local: SocketAddr,
    pub(super) peer: SocketAddr,
    /// When it began.
    pub(super) since: Instant,
    /// As it was when it was last looked at.
    state: tcp::State,
    /// What the next call is to be told.
    error: Option<SocketError>,
    silence: Silence,
    /// Whether to close it is to reset it.
    pub(super) aborts: bool,
}

/// How long something has been waited for in vain.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Silence(Option<Instant>);

impl Stream {
    pub(super) fn new(handle: SocketHandle, local: SocketAddr, peer: SocketAddr, now: Instant) -> Self {
        let (state, silence) = (tcp::State::SynSent, Silence::default());
        Stream { handle, local, peer, since: now, state, error: None, silence, aborts: false }
    }

    /// Looks what became of it. To be called after each packet and each timer.
    pub(super) fn observe(&mut self, socket: &mut tcp::Socket<'static>, now: Instant) {
        let state = socket.state();
        if state == tcp::State::Closed && self.state != state {
            self.error = match self.state {
                tcp::State::SynSent | tcp::State::SynReceived | tcp::State::Listen => Some(SocketError::Refused),
                tcp::State::Established | tcp::State::FinWait1 | tcp::State::FinWait2 | tcp::State::Closing => {
                    Some(SocketError::Reset)
                }
                tcp::State::CloseWait => Some(SocketError::BrokenPipe),
                // Both have said their last word.
                tcp::State::LastAck | tcp::State::TimeWait | tcp::State::Closed => None,
            };
        }
        self.state = state;
        self.silence.observe(is_waiting(socket), now);
        if self.silence.lasts(self.limit(), now) {
            self.fail(socket, SocketError::TimedOut);
        }
    }

    /// Its peer was heard.
    pub(super) fn hear(&mut self) {
        self.silence = Silence::default();
    }

    /// When [`Stream::observe`] has something to say, if nothing is heard.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.silence.ends(self.limit())
    }

    /// It is over, and the peer is not told.
    pub(super) fn fail(&mut self, socket: &mut tcp::Socket<'static>, why: SocketError) {
        *socket = super::listener::new_tcp();
        self.state = tcp::State::Closed;
        self.error = Some(why);
        self.silence = Silence::default();
    }

    pub(super) fn state(&self, socket: &tcp::Socket<'static>) -> StreamState {
        match socket.state() {
            tcp::State::SynSent | tcp::State::SynReceived | tcp::State::Listen => StreamState::Connecting,
            tcp::State::Established
            | tcp::State::FinWait1
            | tcp::State::FinWait2
            | tcp::State::CloseWait
            | tcp::State::Closing
            | tcp::State::LastAck => StreamState::Open,
            tcp::State::TimeWait | tcp::State::Closed => StreamState::Closed,
        }
    }

    /// How the handshake ended, once it has.
    pub(super) fn connected(&mut self, socket: &tcp::Socket<'static>) -> Option<Result<(), SocketError>> {
        match self.state(socket) {
            StreamState::Connecting => None,
            StreamState::Open => Some(Ok(())),
            StreamState::Closed => Some(Err(self.error.take().unwrap_or(SocketError::NotConnected))),
        }
    }

    /// Takes what has arrived, as much as there is room for: 0 at the end, `None` if nothing has come yet.
    pub(super) fn read(
        &mut self,
        socket: &mut tcp::Socket<'static>,
        into: &mut [u8],
    ) -> Result<Option<usize>, SocketError> {
        if socket.can_recv() || into.is_empty() {
            return Ok(Some(socket.recv_slice(into).unwrap_or(0)));
        }
        match self.error {
            // A peer that has ended its stream in good order has ended it, and only who writes is told more.
            None | Some(SocketError::BrokenPipe) => {}
            Some(why) => {
                self.error = None;
                return Err(why);
            }
        }
        let goes_on = socket.may_recv() || self.state(socket) == StreamState::Connecting;
        Ok(if goes_on { None } else { Some(0) })
    }

    /// Looks at what has arrived without taking it, as [`Stream::read`] otherwise.
    pub(super) fn peek(
        &mut self,
        socket: &mut tcp::Socket<'static>,
        into: &mut [u8],
    ) -> Result<Option<usize>, SocketError> {
        if socket.can_recv() { Ok(socket.peek_slice(into).ok()) } else { self.read(socket, into) }
    }

    /// Takes as many of these bytes as there is room for; `None` if there is none.
    pub(super) fn write(
        &mut self,
        socket: &mut tcp::Socket<'static>,
        bytes: &[u8],
    ) -> Result<Option<usize>, SocketError> {
        if let Some(why) = self.error.take() {
            return Err(why);
        }
        if self.state(socket) == StreamState::Connecting {
            return Ok(None);
        }
        if !socket.may_send() {
            return Err(SocketError::BrokenPipe);
        }
        if !socket.can_send() && !bytes.is_empty() {
            return Ok(None);
        }
        socket.send_slice(bytes).map(Some).map_err(|_| SocketError::BrokenPipe)
    }

    /// Whether [`Stream::read`] has something to say.
    pub(super) fn can_read(&self, socket: &tcp::Socket<'static>) -> bool {
        let goes_on = socket.may_recv() || self.state(socket) == StreamState::Connecting;
        socket.can_recv() || self.error.is_some() || !goes_on
    }

    /// Whether [`Stream::write`] or [`Stream::connected`] has something to say.
    pub(super) fn can_write(&self, socket: &tcp::Socket<'static>) -> bool {
        let goes_on = socket.may_send() || self.state(socket) == StreamState::Connecting;
        socket.can_send() || self.error.is_some() || !goes_on
    }

    fn limit(&self) -> Duration {
        match self.state {
            tcp::State::SynSent => HANDSHAKE,
            _ => SILENCE,
        }
    }
}

impl Silence {
    pub(super) fn observe(&mut self, is_waiting: bool, now: Instant) {
        self.0 = if is_waiting { self.0.or(Some(now)) } else { None };
    }

    pub(super) fn lasts(self, limit: Duration, now: Instant) -> bool {
        self.ends(limit).is_some_and(|end| end <= now)
    }

    pub(super) fn ends(self, limit: Duration) -> Option<Instant> {
        self.0.map(|since| since + limit)
    }
}

/// Whether the peer owes an answer.
fn is_waiting(socket: &tcp::Socket<'static>) -> bool {
    match socket.state() {
        tcp::State::Established | tcp::State::CloseWait => socket.send_queue() > 0,
        tcp::State::SynSent
        | tcp::State::SynReceived
        | tcp::State::FinWait1
        | tcp::State::Closing
        | tcp::State::LastAck => true,
        tcp::State::FinWait2 | tcp::State::Listen | tcp::State::TimeWait | tcp::State::Closed => false,
    }
}
