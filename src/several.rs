//! What is asked for several containers or networks at once. A failure does not keep the others from their turn; all are told.

use control::Request;
use serde_json::Value;

use crate::client::Client;
use crate::commands::print_json;
use crate::failure::{Failure, io};
use crate::output::{print_line, say};
use crate::paths::Dirs;

/// How many containers are asked to end at the same time.
const AT_ONCE: usize = 50;

/// Asks for each container or network in turn, and prints the names of those for which it was done.
///
/// # Errors
/// The last failure; the others are told.
pub fn for_each(mut client: Client, names: Vec<String>, request: impl Fn(String) -> Request) -> Result<(), Failure> {
    let mut failures = Failures::default();
    for name in names {
        if failures.note(client.ask::<Value>(&request(name.clone()))).is_some() {
            print_line(name)?;
        }
    }
    failures.tell()
}

/// Stops containers at the same time, so that those which take their time take it together. A connection carries out one request
/// after the other, so each has its own. What is said is in the order in which they were named.
///
/// # Errors
/// The last failure; the others are told.
pub fn stop(dirs: &Dirs, containers: &[String], grace: u64) -> Result<(), Failure> {
    // Whether there is a daemon at all is asked once.
    let first = Client::connect(dirs)?;
    let mut failures = Failures::default();
    for containers in containers.chunks(AT_ONCE) {
        let stop = |container: &String| {
            let container = container.clone();
            Client::connect(dirs)?.ask::<()>(&Request::Stop { container, grace })
        };
        let stopped: Vec<Result<(), Failure>> = std::thread::scope(|scope| {
            let threads: Vec<_> = containers
                .iter()
                .map(|container| std::thread::Builder::new().spawn_scoped(scope, move || stop(container)))
                .collect();
            let joined = threads.into_iter().map(|thread| match thread.map(std::thread::ScopedJoinHandle::join) {
                Ok(Ok(stopped)) => stopped,
                Ok(Err(_)) => Err(Failure::new("ask the daemon: its thread panicked")),
                Err(why) => Err(io("ask the daemon in a thread of its own")(why)),
            });
            joined.collect()
        });
        for (container, stopped) in containers.iter().zip(stopped) {
            if failures.note(stopped).is_some() {
                print_line(container)?;
            }
        }
    }
    drop(first);
    failures.tell()
}

/// Prints what is known of each, as a JSON array, an empty one if that is nothing of any.
///
/// # Errors
/// The last failure; the others are told.
pub fn inspect(mut client: Client, names: Vec<String>, request: impl Fn(String) -> Request) -> Result<(), Failure> {
    let mut failures = Failures::default();
    let views: Vec<Value> = names.into_iter().filter_map(|name| failures.note(client.ask(&request(name)))).collect();
    print_json(&views)?;
    failures.tell()
}

/// What could not be done while the rest was.
#[derive(Default)]
struct Failures(Vec<Failure>);

impl Failures {
    /// What was done, or `None`.
    fn note<T>(&mut self, outcome: Result<T, Failure>) -> Option<T> {
        outcome.map_err(|failure| self.0.push(failure)).ok()
    }

    /// Says all of them. The last is left to be said by whoever ends with its status.
    fn tell(mut self) -> Result<(), Failure> {
        let last = self.0.pop();
        self.0.iter().for_each(say);
        last.map_or(Ok(()), Err)
    }
}
