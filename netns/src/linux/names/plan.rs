//! [`Plan`]: which name server is asked when, until one answers. Pure: `now` is an argument.
//!
//! * Four seconds in all, which is less than a client waits, and three tries, 1.5 seconds apart: each of three servers once, or
//!   one of them again if there are less. The earlier ones may still answer.
//! * A server that says no, or is not there, is asked no more; the next one has its turn at once.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use switch::time::Instant;

/// How many servers are known of a client or the host at most, as in the C library.
pub(super) const SERVERS: usize = 3;
const TRIES: u32 = 3;
const TRY: Duration = Duration::from_millis(1500);
const IN_ALL: Duration = Duration::from_secs(4);

/// The servers that one query is passed on to.
#[derive(Debug)]
pub(super) struct Plan {
    /// The next one to ask first.
    servers: VecDeque<SocketAddr>,
    began: Instant,
    last: Instant,
    tries: u32,
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Ask this server.
    Ask(SocketAddr),
    /// Wait for those that were asked.
    Wait,
    /// Nobody will answer any more.
    GiveUp,
}

impl Plan {
    /// The first [`SERVERS`] of them.
    pub(super) fn new(servers: impl Iterator<Item = SocketAddr>, now: Instant) -> Plan {
        Plan { servers: servers.take(SERVERS).collect(), began: now, last: now, tries: 0 }
    }

    /// To be asked at first, when it is [due](Plan::due), and whenever a server was struck.
    pub(super) fn next(&mut self, now: Instant) -> Next {
        if now >= self.began + IN_ALL {
            return Next::GiveUp;
        }
        match self.servers.pop_front() {
            None => Next::GiveUp,
            Some(server) if self.tries < TRIES => {
                self.servers.push_back(server);
                self.tries += 1;
                self.last = now;
                Next::Ask(server)
            }
            Some(server) => {
                self.servers.push_front(server);
                Next::Wait
            }
        }
    }

    /// This server said no, or is not there.
    pub(super) fn strike(&mut self, server: SocketAddr) {
        self.servers.retain(|other| *other != server);
    }

    /// When something is to be done, if nobody answers before.
    pub(super) fn due(&self) -> Instant {
        let end = self.began + IN_ALL;
        if self.tries < TRIES { end.min(self.last + TRY) } else { end }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silent_servers_have_a_try_each_and_four_seconds_in_all() {
        assert_eq!(asked(3, |_| false), [(0, 1), (1500, 2), (3000, 3), (4000, 0)]);
        assert_eq!(asked(2, |_| false), [(0, 1), (1500, 2), (3000, 1), (4000, 0)]);
        assert_eq!(asked(1, |_| false), [(0, 1), (1500, 1), (3000, 1), (4000, 0)]);
        assert_eq!(asked(5, |_| false), asked(3, |_| false));
    }

    #[test]
    fn a_server_that_says_no_costs_no_time() {
        assert_eq!(asked(0, |_| true), [(0, 0)]);
        assert_eq!(asked(1, |_| true), [(0, 1), (0, 0)]);
        assert_eq!(asked(3, |_| true), [(0, 1), (0, 2), (0, 3), (0, 0)]);
        assert_eq!(asked(3, |server| server == 1), [(0, 1), (0, 2), (1500, 3), (4000, 0)]);
        assert_eq!(asked(2, |server| server == 2), [(0, 1), (1500, 2), (1500, 1), (4000, 0)]);
    }

    /// At which milliseconds which of so many servers is asked, if those that say no do so at once and the others never
    /// answer; and 0 for the end.
    fn asked(servers: u8, says_no: impl Fn(u8) -> bool) -> Vec<(u64, u8)> {
        let address = |last| SocketAddr::from(([192, 0, 2, last], 53));
        let mut now = Instant::from_secs(100);
        let mut plan = Plan::new((1..=servers).map(address), now);
        let mut asked = Vec::new();
        loop {
            let moment = (now.as_nanos() - Instant::from_secs(100).as_nanos()) / 1_000_000;
            match plan.next(now) {
                Next::GiveUp => {
                    asked.push((moment, 0));
                    return asked;
                }
                Next::Wait => now = plan.due(),
                Next::Ask(server) => {
                    let number = (1..=servers).find(|last| address(*last) == server).expect("one of them");
                    asked.push((moment, number));
                    if says_no(number) {
                        plan.strike(server);
                    } else {
                        now = plan.due();
                    }
                }
            }
        }
    }
}
