//! A simulated world for Pontoon: the same switch, data plane and manager as on Linux, without root, kernel or clock.
//!
//! ```
//! # use {std::{io, time::Duration}, tokio::io::{AsyncReadExt, AsyncWriteExt, copy}, netns::manager::RunRequest};
//! # use {pontoon_sim as sim, pontoon_sim::{Scope, World}};
//! use sim::net::{TcpListener, TcpStream};
//!
//! async fn server() -> io::Result<()> {
//!     let listener = TcpListener::bind("0.0.0.0:7").await?;
//!     loop {
//!         let (mut stream, _) = listener.accept().await?;
//!         let (mut reader, mut writer) = stream.split();
//!         copy(&mut reader, &mut writer).await?;
//!         writer.shutdown().await?;
//!     }
//! }
//!
//! async fn client(server: &'static str) -> io::Result<()> {
//!     let mut stream = TcpStream::connect(server).await?;
//!     stream.write_all(&[42; 10_000]).await?;
//!     stream.shutdown().await?;
//!     let mut heard = Vec::new();
//!     stream.read_to_end(&mut heard).await?;
//!     assert_eq!(heard, [42; 10_000]);
//!     Ok(())
//! }
//!
//! let mut world = World::builder().seed(7).up()?;
//! let run = |name: &str| RunRequest::new(vec![name.to_owned()]);
//! world.spawn(run("server"), server)?;
//! world.spawn(run("server"), server)?;
//! let client = world.spawn(run("client"), async || {
//!     client("172.17.0.2:7").await?;
//!     client("172.17.0.3:7").await
//! })?;
//! let lossy = world.add_rule(Scope::place(&client.place()), sim::fault::Loss::new(0.3)).expect("it is there");
//! world.advance(Duration::from_secs(5));
//! drop(lossy);
//! assert_eq!(world.wait(&client, Duration::from_secs(60)), Ok(0));
//!
//! // The client has ended, and its station is forgotten: the host's own and those of the servers are left.
//! assert_eq!(world.fdb().len(), 3);
//! let ports = &world.statistics()[0].ports;
//! assert!(ports.iter().all(|port| port.counters.check().is_ok()), "every frame is accounted for");
//! assert!(ports[1].counters.rx.bytes > 10_000 && ports[2].counters.rx.bytes > 10_000);
//! # Ok::<(), netns::error::Error>(())
//! ```
//!
//! The map, from the bottom:
//!
//! * `clock`: virtual time, and the events to come; `trace`: what happened, as a hash, in words ([`World::trace`]) and for
//!   Wireshark ([`Capture`]); `recording`: all that comes to the switch, as a host's `pontoon capture` has it, to be given to
//!   a switch again ([`Recording`]);
//! * `cable`: what joins an interface to a port of the switch ([`CableEnd`], a [`switch::link::Link`]); it has a latency, a
//!   rate and a queue in each direction ([`Cable`]), which can be changed at any time ([`CableHandle`]); `plant`: what
//!   all cables of a world share; `hops`: how a loop of switches is found;
//! * [`rule`]: what is to become of frames on a cable ([`Rule`], [`Fate`]), and [`fault`]: rules ready made, from loss to
//!   partition; `chance`: where they take it from;
//! * `wire`, `icmp`, `neighbour`, `interface`, `namespace`: IPv4 on Ethernet, as Linux does it; `inet6`: IPv6, which is on no
//!   interface of a container until it is switched on ([`World::set_ipv6`]); `forward`, `router`, `path`: what a host passes on,
//!   through which rules and under whose address; `stack`: TCP and UDP, by smoltcp, which
//!   nothing else knows; `offload`: super-frames; `socket` and `calls`: ports and the calls of programs;
//! * `program`: what the command of a container does, as plain data or as code; `machine`: all that outlives a daemon;
//!   `publisher`: who
//!   has published ports; `backend`: what the manager asks of it ([`SimBackend`], a [`netns::backend::Backend`]);
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
//! What it does not do: fragments, extension headers of IPv6, routers that announce themselves and hosts that ask for them,
//! reports of who is in which group (MLD), forwarding of IPv6. A cable has no rate unless it is given one: then TCP
//! runs as fast as its windows allow. TCP is smoltcp's in how it repeats what was lost: after a second at the earliest, where Linux
//! waits 0.2 s, and twice as long each time until something new is answered. Streams over cables that lose a fifth of all
//! frames for long all but stand still.

mod backend;
mod cable;
mod calls;
mod chance;
mod clock;
mod context;
mod executor;
mod exit;
pub mod fault;
mod forward;
mod hops;
mod icmp;
mod inet6;
mod interface;
mod machine;
mod namespace;
mod neighbour;
pub mod net;
mod offload;
mod path;
mod plant;
mod process;
mod processes;
mod program;
mod publisher;
mod recording;
mod router;
pub mod rule;
mod socket;
mod stack;
pub mod task;
pub mod time;
mod trace;
mod wire;
mod world;

pub use crate::backend::SimBackend;
pub use crate::cable::{Cable, CableDrop, CableEnd, CableHandle, CableStatistics, Direction, QUEUE};
pub use crate::chance::Chance;
pub use crate::exit::Exit;
pub use crate::inet6::AddressState;
pub use crate::process::{Calls, Next, Process};
pub use crate::program::{Command, Program, print};
pub use crate::recording::Recording;
pub use crate::router::{ForwardDrop, ForwardStatistics};
pub use crate::rule::{Fate, LineId, Passage, Rule, RuleGuard, Scope};
pub use crate::socket::{SocketError, SocketId};
pub use crate::trace::Capture;
pub use crate::world::{Place, ProgramHandle, Runaway, Stream, Stuck, World, WorldBuilder};
