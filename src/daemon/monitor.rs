//! `bridge monitor`: what happens, told to whoever listens, as it happens.
//!
//! * Who listens has a mailbox of [`MAILBOX`] letters, and a thread of his own that sends them. One who does not keep up loses
//!   events, which are counted and told of; he holds up neither the data plane nor the daemon.
//! * While nobody listens nothing is kept.
//! * A port comes before its container's command starts. It goes when its link does, which may be before its container is seen to
//!   have ended, or after.
#![expect(
    clippy::disallowed_methods,
    reason = "part of the daemon, an outermost loop: events have the time at which they come"
)]

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use control::{Answer, Told};
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use netns::event::{Event, Narrator};
use netns::linux::wire::{Channel, WireError};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use switch::dataplane::Change;
use switch::engine::EngineError;

use super::clients::{Busy, Connected};
use super::state::State;
use crate::failure::{Failure, io};

/// How many letters wait for one who listens.
const MAILBOX: usize = 4096;
/// How many may listen at once.
const LISTENERS: usize = 32;

/// Those who listen.
#[derive(Default)]
pub(super) struct Listeners {
    all: Vec<Arc<Mailbox>>,
    /// How many events those have lost who ever listened.
    lost: Arc<AtomicU64>,
}

impl Listeners {
    /// Tells all of them.
    pub(super) fn tell(&self, event: &Event) {
        for mailbox in &self.all {
            mailbox.post(News::Event(event.clone()));
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.all.len()
    }

    /// How many events they have lost, and those before them.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

struct Letter {
    time: SystemTime,
    news: News,
}

enum News {
    /// From the switch, which knows numbers only.
    Change(Change),
    Event(Event),
}

/// Where letters wait for one who listens.
struct Mailbox {
    letters: Sender<Letter>,
    lost: AtomicU64,
    lost_by_all: Arc<AtomicU64>,
    bell: EventFd,
    is_rung: AtomicBool,
}

impl Mailbox {
    fn new(lost_by_all: &Arc<AtomicU64>) -> Result<(Arc<Self>, Receiver<Letter>), Failure> {
        let bell = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK);
        let bell = bell.map_err(std::io::Error::from).map_err(io("make a mailbox"))?;
        let (letters, received) = bounded(MAILBOX);
        let (lost, is_rung) = (AtomicU64::new(0), AtomicBool::new(false));
        let mailbox = Mailbox { letters, lost, lost_by_all: Arc::clone(lost_by_all), bell, is_rung };
        Ok((Arc::new(mailbox), received))
    }

    /// Never waits. Whether anybody still reads what is posted.
    fn post(&self, news: News) -> bool {
        match self.letters.try_send(Letter { time: SystemTime::now(), news }) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                self.lost.fetch_add(1, Ordering::Relaxed);
                self.lost_by_all.fetch_add(1, Ordering::Relaxed);
            }
            Err(TrySendError::Disconnected(_)) => return false,
        }
        // Once for however many letters come before they are fetched.
        if !self.is_rung.swap(true, Ordering::AcqRel) {
            let _ = self.bell.write(1);
        }
        true
    }
}

/// Tells a client of all that happens from now on, until it goes, or the daemon ends and it has heard the last of it.
pub(super) fn serve(
    connected: &Connected,
    busy: Busy<'_>,
    mut state: MutexGuard<'_, State>,
    channel: &mut Channel,
) -> Result<(), Failure> {
    if state.listeners.count() >= LISTENERS {
        return Err(Failure::new(format_args!("{LISTENERS} listen already")).with_hint("try again when some have gone"));
    }
    let (mailbox, letters) = Mailbox::new(&state.listeners.lost)?;
    let posts = Arc::clone(&mailbox);
    let follower = Box::new(move |change: &Change| posts.post(News::Change(change.clone())));
    let there = state.engine.as_ref().ok_or(EngineError::Stopped).and_then(|engine| engine.follow(follower));
    let there = there.map_err(|why| Failure::new(format_args!("listen to the data plane: {why}")))?;
    state.listeners.all.push(Arc::clone(&mailbox));
    drop(state);
    // Whoever only listens keeps no daemon from its end, and nobody out.
    drop(busy);
    let _listens = Listens { connected, mailbox: &mailbox };
    let _waits = connected.wait();
    let told = channel.send(&Answer::Done(serde_json::Value::Null), &[]);
    // It may take as long as it likes to read: who is stopped in a terminal goes on some time.
    if told.is_ok() && channel.set_timeouts(None, None).is_ok() {
        let _ = deliver(&mailbox, &letters, Narrator::new(there), channel);
    }
    Ok(())
}

/// Somebody listens for as long as this lives.
struct Listens<'a> {
    connected: &'a Connected,
    mailbox: &'a Arc<Mailbox>,
}

impl Drop for Listens<'_> {
    fn drop(&mut self) {
        self.connected.daemon.state().listeners.all.retain(|other| !Arc::ptr_eq(other, self.mailbox));
    }
}

fn deliver(
    mailbox: &Mailbox,
    letters: &Receiver<Letter>,
    mut narrator: Narrator,
    channel: &mut Channel,
) -> Result<(), WireError> {
    loop {
        let mut ready = [channel.as_fd(), mailbox.bell.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        match poll(&mut ready, PollTimeout::NONE) {
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(why) => return Err(WireError::Io(why.into())),
        }
        let has_gone = ready[0].any().unwrap_or(true);
        let _ = mailbox.bell.read();
        mailbox.is_rung.store(false, Ordering::Release);
        for Letter { time, news } in letters.try_iter() {
            let event = match news {
                News::Event(event) => Some(event),
                News::Change(change) => narrator.tell(change),
            };
            event.map_or(Ok(()), |event| send(channel, time, event))?;
        }
        match mailbox.lost.swap(0, Ordering::Relaxed) {
            0 => {}
            count => send(channel, SystemTime::now(), Event::Lost { count })?,
        }
        // It has closed its end, or the daemon has: what came before that was told.
        if has_gone {
            return Ok(());
        }
    }
}

fn send(channel: &mut Channel, time: SystemTime, event: Event) -> Result<(), WireError> {
    let micros = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
    let told = Told { time: micros as f64 / 1e6, event };
    channel.send(&Answer::Done(serde_json::to_value(told)?), &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_not_keep_up_is_told_how_much_he_has_missed() {
        let lost = Arc::new(AtomicU64::new(0));
        let (mailbox, letters) = Mailbox::new(&lost).expect("a mailbox");
        for count in 1..=MAILBOX as u64 + 3 {
            assert!(mailbox.post(News::Event(Event::Lost { count })));
        }
        let (mut ours, theirs) = Channel::pair().expect("a pair");
        // He has gone, and is told all the same what came before.
        let hear = std::thread::spawn(move || {
            let mut theirs = theirs;
            let mut heard = Vec::new();
            while let Ok((Answer::Done(told), _)) = theirs.recv::<Answer>() {
                heard.push(serde_json::from_value::<Told>(told).expect("an event").event);
                if heard.len() == MAILBOX + 1 {
                    break;
                }
            }
            heard
        });
        let _ = deliver(&mailbox, &letters, Narrator::default(), &mut ours);
        let heard = hear.join().expect("heard");
        assert_eq!(heard[0], Event::Lost { count: 1 });
        assert_eq!(heard[MAILBOX - 1], Event::Lost { count: MAILBOX as u64 });
        assert_eq!(heard[MAILBOX], Event::Lost { count: 3 }, "what was not kept");
        assert_eq!(lost.load(Ordering::Relaxed), 3);
        drop(letters);
        assert!(!mailbox.post(News::Event(Event::Lost { count: 1 })), "nobody reads it any more");
    }
}
