//! [`Script`]: a link that answers what it is told to.

use std::collections::VecDeque;
use std::sync::Arc;

use switch::buffer::{Buffer, Pool};
use switch::link::{Link, Received, Transmit};
use switch::vlan::Retag;

/// The link of a port in a replay.
#[derive(Debug, Default)]
pub struct Script {
    /// Answers to the next copies; `Sent` when there are none left.
    pub(super) answers: VecDeque<Transmit>,
    /// Results for the next flush.
    pub(super) results: Vec<Transmit>,
    /// How many copies wait for one.
    pub(super) queued: u64,
    pub(super) is_down: bool,
}

impl Link for Script {
    fn receive(&mut self, _: &mut Pool, _: &mut Vec<Arc<Buffer>>, _: usize) -> Received {
        if self.is_down { Received::Down } else { Received::WouldBlock }
    }

    fn transmit(&mut self, _: &Arc<Buffer>, _: Retag) -> Transmit {
        let answer = self.answers.pop_front().unwrap_or(Transmit::Sent);
        self.queued += u64::from(answer == Transmit::Queued);
        answer
    }

    fn flush(&mut self, results: &mut Vec<Transmit>) {
        let again = self.results.iter().filter(|result| **result == Transmit::Queued).count() as u64;
        self.queued = (self.queued + again).saturating_sub(self.results.len() as u64);
        results.append(&mut self.results);
    }
}
