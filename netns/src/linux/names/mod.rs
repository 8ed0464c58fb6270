//! [`Resolver`]: answers DNS questions on the gateway addresses of networks, by UDP and TCP, and passes on what it does not
//! know.
//!
//! * One thread, which waits with epoll and never for anybody in particular. What is known is [`NameTable`]'s; here are
//!   sockets, other name servers and time.
//! * Sockets for clients are made by the thread that calls [`Resolver::serve`], in its network namespace; those to other
//!   name servers in the one in which [`Resolver::start`] was called.
//! * A query is passed on to the client's own servers (`--dns`) or to the host's, at most three, and never to an address
//!   that is served here. Each has its time (`plan`); a new port and a new random id go with each try, and only what comes
//!   from the server that was asked, with that id and to that very question, is an answer.
//! * Only a network's own addresses are served: see [`NameTable::serves`].
//! * Everything is bounded. At most 1,024 queries are passed on at once, 256 of one client: to a further one the answer is
//!   SERVFAIL. At most 64 clients are connected by TCP, 16 from one address, each with 8 queries under way; who says nothing
//!   for five seconds is let go. What is dropped is counted: [`Counters`].
//!
//! The map: `serve` is the loop, which waits with `watch`; `client` and `forward` are the two sides of it; `server`: one try;
//! `stream`: DNS over TCP; `plan`, `deadlines`: when what is due; `host`: the host's name servers.

mod client;
mod counters;
mod deadlines;
mod forward;
mod host;
mod plan;
mod serve;
mod server;
mod stream;
mod watch;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use nix::sys::eventfd::{EfdFlags, EventFd};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

pub use self::counters::Counters;
use self::counters::Tally;
use self::serve::Loop;
use super::failure::{Failure, Step};
use crate::backend::BackendError;
use crate::names::NameTable;

/// Where name servers listen.
const PORT: u16 = 53;

/// The thread that answers, and what it serves. It ends when this is dropped.
#[derive(Debug)]
pub struct Resolver {
    served: BTreeMap<String, Ipv4Addr>,
    /// `None` only while this is dropped.
    commands: Option<Sender<Command>>,
    wake: Arc<EventFd>,
    tally: Arc<Tally>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread is told. It answers when it is done.
enum Command {
    Serve { key: String, table: NameTable, sockets: Option<Sockets>, done: Sender<io::Result<()>> },
    Stop { key: String, done: Sender<io::Result<()>> },
}

/// What a network is served by.
struct Sockets {
    address: Ipv4Addr,
    datagrams: UdpSocket,
    door: TcpListener,
}

impl Resolver {
    /// Starts the thread, which serves nothing yet.
    ///
    /// # Errors
    /// If the process may have no more descriptors or threads, or there is no chance to be had from the kernel.
    pub fn start() -> io::Result<Resolver> {
        let (commands, orders) = channel();
        let wake = Arc::new(EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?);
        let tally = Arc::new(Tally::default());
        let work = Loop::new(orders, Arc::clone(&wake), Arc::clone(&tally), chance()?)?;
        let thread = std::thread::Builder::new().name("pontoon-names".into()).spawn(move || work.run())?;
        Ok(Resolver { served: BTreeMap::new(), commands: Some(commands), wake, tally, thread: Some(thread) })
    }

    /// Serves a network on `address`, by UDP and TCP port 53 in the network namespace of the calling thread. If `key` is
    /// served already, `table` takes the place of the old one; the sockets stay unless the address is another.
    ///
    /// # Errors
    /// If port 53 can not be had: the old table, if there is one, is still in force.
    pub fn serve(&mut self, key: &str, address: Ipv4Addr, table: NameTable) -> Result<(), BackendError> {
        let sockets = match self.served.get(key) {
            Some(served) if *served == address => None,
            Some(_) | None => Some(Sockets::bind(address)?),
        };
        let serve = |done| Command::Serve { key: key.to_owned(), table, sockets, done };
        self.command(serve).map_err(|why| failed(format!("{address}"), why))?;
        self.served.insert(key.to_owned(), address);
        Ok(())
    }

    /// Serves `key` no more: when it returns, the port is free. Does nothing for one that is not served.
    pub fn stop(&mut self, key: &str) {
        if self.served.remove(key).is_some() {
            // It fails only if the thread has ended, and then the port is free as well.
            let _ = self.command(|done| Command::Stop { key: key.to_owned(), done });
        }
    }

    /// What has been done so far, and what was dropped.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.tally.read()
    }

    fn command(&self, command: impl FnOnce(Sender<io::Result<()>>) -> Command) -> io::Result<()> {
        let ended = || io::Error::other("the thread that answers names has ended");
        let (done, answer) = channel();
        self.commands.as_ref().ok_or_else(ended)?.send(command(done)).map_err(|_| ended())?;
        self.wake.write(1)?;
        answer.recv().map_err(|_| ended())?
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.commands = None;
        let _ = self.wake.write(1);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Sockets {
    fn bind(address: Ipv4Addr) -> Result<Sockets, BackendError> {
        let datagrams = || UdpSocket::bind((address, PORT)).and_then(|it| it.set_nonblocking(true).map(|()| it));
        let door = || TcpListener::bind((address, PORT)).and_then(|it| it.set_nonblocking(true).map(|()| it));
        Ok(Sockets {
            address,
            datagrams: datagrams().map_err(|why| failed(format!("{address}, UDP port {PORT}"), why))?,
            door: door().map_err(|why| failed(format!("{address}, TCP port {PORT}"), why))?,
        })
    }
}

fn failed(object: String, why: io::Error) -> Failure {
    let step = match why.kind() {
        ErrorKind::AddrInUse => Step::AnswerNamesTaken,
        ErrorKind::PermissionDenied => Step::AnswerNamesDenied,
        _ => Step::AnswerNames,
    };
    step.on(object)(why)
}

/// The kernel's, since nobody is to guess an id.
fn chance() -> io::Result<ChaCha8Rng> {
    let mut seed = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut seed)?;
    Ok(ChaCha8Rng::from_seed(seed))
}
