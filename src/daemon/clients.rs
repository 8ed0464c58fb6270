//! Who is connected: counted, bounded, and told to go.

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use control::Answer;
use netns::linux::wire::Channel;

use super::{Daemon, http, metrics, serve};
use crate::failure::Failure;

/// How many clients may be connected at once; further ones are turned away.
pub(super) const CLIENTS: usize = 512;
/// How many more may wait for the end of a container in the foreground.
const WAITING: usize = 4096;
/// How long a client may take to say what it wants.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// Serves a client in the language that it speaks: ours, or HTTP.
pub(super) fn serve(connected: &Connected, stream: UnixStream) {
    if stream.set_read_timeout(Some(PATIENCE)).is_ok() && http::is_spoken_on(&stream) {
        metrics::serve(&connected.daemon, stream);
    } else {
        serve::serve(&connected.daemon, connected, Channel::new(stream));
    }
}

/// A client that is connected, counted for as long as this lives.
pub(super) struct Connected {
    pub(super) daemon: Arc<Daemon>,
    number: u64,
}

impl Connected {
    /// `None` if there are as many as there may be.
    pub(super) fn new(daemon: &Arc<Daemon>, stream: &UnixStream) -> Option<Self> {
        let mut state = daemon.state();
        if state.clients >= CLIENTS {
            return None;
        }
        state.clients += 1;
        state.had_client = true;
        state.next_connection += 1;
        let number = state.next_connection;
        state.connections.extend(stream.try_clone().ok().map(|stream| (number, stream)));
        drop(state);
        Some(Connected { daemon: Arc::clone(daemon), number })
    }

    /// While it waits for the end of a container it takes nobody's place. `None` if too many wait already.
    pub(super) fn wait(&self) -> Option<Waits<'_>> {
        let mut state = self.daemon.state();
        if state.waiting >= WAITING {
            return None;
        }
        state.clients -= 1;
        state.waiting += 1;
        Some(Waits(self))
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        let mut state = self.daemon.state();
        state.clients -= 1;
        state.connections.remove(&self.number);
        drop(state);
        self.daemon.changed.notify_all();
        self.daemon.poke();
    }
}

/// A client that waits for the end of a container.
pub(super) struct Waits<'a>(&'a Connected);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        let mut state = self.0.daemon.state();
        state.waiting -= 1;
        state.clients += 1;
    }
}

/// Tells a client that it can not be served now, if it listens.
pub(super) fn turn_away(stream: UnixStream) {
    let failure = Failure::new(format_args!("the daemon is busy: {CLIENTS} clients are connected"))
        .with_hint("try again when some have gone");
    let mut channel = Channel::new(stream);
    if channel.set_timeouts(None, Some(Duration::from_millis(100))).is_ok() {
        let _ = channel.send(&Answer::Failed(failure), &[]);
    }
}

/// A request that is being carried out.
pub(super) struct Busy<'a>(pub(super) &'a Daemon);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.state().busy -= 1;
        self.0.poke();
    }
}
