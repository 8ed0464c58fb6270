//! [`Watch`]: what the loop waits for. Each socket has a number that is never given again, so that news of one that has just
//! been closed is news of nobody.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use switch::time::Instant;

/// How much news is taken at a time.
const EVENTS: usize = 64;

/// Where news comes from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    /// The owner has a command.
    Wake,
    /// Datagrams to this network.
    Datagrams(u64),
    /// Connections to this network.
    Door(u64),
    /// This client.
    Client(u64),
    /// A server that was asked for the sake of this query.
    Server(u64),
}

/// An epoll, and what its numbers mean.
#[derive(Debug)]
pub(super) struct Watch {
    epoll: Epoll,
    sources: BTreeMap<u64, Source>,
    next: u64,
}

/// One piece of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct News {
    pub(super) source: Source,
    pub(super) number: u64,
    /// The connection is broken, or over in both directions.
    pub(super) broken: bool,
}

impl Watch {
    pub(super) fn new() -> io::Result<Watch> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(Watch { epoll, sources: BTreeMap::new(), next: 0 })
    }

    /// A number for something.
    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(super) fn add(&mut self, fd: impl AsFd, source: Source, interest: EpollFlags) -> io::Result<u64> {
        let number = self.number();
        self.epoll.add(fd, EpollEvent::new(interest, number))?;
        self.sources.insert(number, source);
        Ok(number)
    }

    pub(super) fn change(&self, fd: impl AsFd, number: u64, interest: EpollFlags) -> io::Result<()> {
        Ok(self.epoll.modify(fd, &mut EpollEvent::new(interest, number))?)
    }

    /// To be called when the socket is closed.
    pub(super) fn forget(&mut self, number: u64) {
        self.sources.remove(&number);
    }

    /// What this number means now: nothing if it was forgotten since it was in the news.
    pub(super) fn is_watched(&self, number: u64) -> bool {
        self.sources.contains_key(&number)
    }

    /// Waits for news until this moment, or for ever.
    pub(super) fn wait(&self, until: Option<Instant>, now: Instant) -> io::Result<Vec<News>> {
        let timeout = until.map_or(EpollTimeout::NONE, |until| {
            // Rounded up, so as not to wake too early and spin for the rest.
            let millis = until.since(now).as_nanos().div_ceil(1_000_000);
            EpollTimeout::try_from(i32::try_from(millis).unwrap_or(i32::MAX)).unwrap_or(EpollTimeout::MAX)
        });
        let mut ready = [EpollEvent::empty(); EVENTS];
        let count = match self.epoll.wait(&mut ready, timeout) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(why) => return Err(why.into()),
        };
        let news = ready[..count].iter().filter_map(|event| {
            let source = *self.sources.get(&event.data())?;
            let broken = event.events().intersects(EpollFlags::EPOLLERR | EpollFlags::EPOLLHUP);
            Some(News { source, number: event.data(), broken })
        });
        Ok(news.collect())
    }
}
