//! A simulated world for Pontoon: the same switch, data plane and manager as on Linux, without root, kernel or clock.
//!
//! ```
//! use std::time::Duration;
//! use netns::manager::RunRequest;
//! # use pontoon_sim as sim;
//! use sim::net::{TcpListener, TcpStream};
//! use sim::{Place, World};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
//!
//! let mut world = World::builder().seed(7).up()?;
//! let server = world.spawn(RunRequest::new(vec!["echo".into()]), async || {
//!     let listener = TcpListener::bind("0.0.0.0:7").await?;
//!     loop {
//!         let (mut stream, _) = listener.accept().await?;
//!         sim::task::spawn(async move {
//!             let (mut reader, mut writer) = stream.split();
//!             copy(&mut reader, &mut writer).await?;
//!             writer.shutdown().await
//!         });
//!     }
//!     # #[expect(unreachable_code, reason = "it says what kind of error it is")]
//!     # std::io::Result::Ok(())
//! })?;
//! let address = world.inspect(server.name())?.networks["bridge"].ip.addr();
//! let client = async move || {
//!     let mut stream = TcpStream::connect((address, 7)).await?;
//!     stream.write_all(&[42; 100_000]).await?;
//!     stream.shutdown().await?;
//!     let mut heard = Vec::new();
//!     stream.read_to_end(&mut heard).await?;
//!     assert_eq!(heard, [42; 100_000]);
//!     std::io::Result::Ok(())
//! };
//! let first = world.spawn(RunRequest::new(vec!["first".into()]), client)?;
//! let second = world.spawn(RunRequest::new(vec!["second".into()]), client)?;
//! world.set_link(&server.place(), "eth0", false).expect("it is there");
//! world.advance(Duration::from_secs(2));
//! assert_eq!(first.status(), None);
//! world.set_link(&server.place(), "eth0", true).expect("it is there");
//! for client in [first, second] {
//!     assert_eq!(world.wait(&client, Duration::from_secs(60)).unwrap(), 0);
//! }
//! // The host and the server: the stations of those who have ended are forgotten.
//! assert_eq!(world.fdb().len(), 2);
//! let port = &world.statistics()[0].ports[1];
//! assert!(port.counters.check().is_ok() && port.counters.tx.bytes > 200_000);
//! assert!(port.counters.tx.drops.total() > 0, "while the link was down");
//! # Ok::<(), netns::error::Error>(())
//! ```
//!
//! The map, from the bottom:
//!
//! * `clock`: virtual time, the events to come, and the trace of those that were;
//! * `cable`: what joins an interface to a port of the switch ([`CableEnd`], a [`switch::link::Link`]);
//! * `wire`, `neighbour`, `interface`, `namespace`: IPv4 on Ethernet, as Linux does it; `stack`: TCP and UDP, by smoltcp, which
//!   nothing else knows; `socket` and `calls`: ports and the calls of programs;
//! * `program`: what the command of a container does, as plain data or as code; `machine`: all that outlives a daemon;
//!   `backend`: what the manager asks of it ([`SimBackend`], a [`netns::backend::Backend`]);
//! * `executor`, `context`, `processes`: who runs when, who calls, and what a process owns; `process`: programs as state
//!   machines ([`Process`]); [`net`], [`time`], [`task`]: what async programs are written with;
//! * `world`: [`World`], the loop around all of it and the verbs of scenarios.
//!
//! # Programs
//!
//! A program is an async function for [`World::spawn`], [`World::exec`] or [`World::block_on`], a [`Process`], or a [`Program`].
//! Async functions use [`net`], [`time`] and [`task`] where on Linux they would use tokio's modules of these names; the traits of
//! `tokio::io` and all of `tokio::sync` work as they are. `tokio::select!` draws lots unless it is told `biased;`, which makes
//! runs differ: tell it.
//!
//! What programs compute takes no time, and all of them share one thread. One that never awaits anything holds the world still.
//!
//! What it does not do: IPv6, fragments, forwarding between interfaces, congestion on a cable. A cable has a latency and a
//! queue, but no speed: TCP runs as fast as its windows allow.

mod backend;
mod cable;
mod calls;
mod clock;
mod context;
mod executor;
mod exit;
mod interface;
mod machine;
mod namespace;
mod neighbour;
pub mod net;
mod process;
mod processes;
mod program;
mod socket;
mod stack;
pub mod task;
pub mod time;
mod wire;
mod world;

pub use crate::backend::SimBackend;
pub use crate::cable::{CableEnd, QUEUE};
pub use crate::exit::Exit;
pub use crate::process::{Calls, Next, Process};
pub use crate::program::{Command, Program, print};
pub use crate::socket::{SocketError, SocketId};
pub use crate::world::{Place, ProgramHandle, Stream, Stuck, World, WorldBuilder};
