//! The simulator is what it says: hosts talk as Linux hosts do, daemons die and come back, and equal seeds give equal runs.

use std::io;
use std::net::Ipv4Addr;

use netns::manager::{RunRequest, Started};
use netns::mode::NetworkMode;
use pontoon_sim::net::TcpListener;
use pontoon_sim::{Exit, Place, Program, ProgramHandle, World};
use tokio::io::AsyncWriteExt;

mod cables;
mod containers;
mod daemon;
mod events;
mod faults;
mod guests;
mod http;
mod inet6;
mod loops;
mod network;
mod programs;
mod publish;
mod recordings;
mod router;
mod scale;
mod sockets;
mod time;
mod traces;

const ANY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;
const LOCALHOST: Ipv4Addr = Ipv4Addr::LOCALHOST;
const GATEWAY: Ipv4Addr = Ipv4Addr::new(172, 17, 0, 1);
const FIRST: Ipv4Addr = Ipv4Addr::new(172, 17, 0, 2);
const SECOND: Ipv4Addr = Ipv4Addr::new(172, 17, 0, 3);

fn world() -> World {
    World::builder().seed(1).up().expect("a world")
}

/// A world with two containers, `web` and `db`, on the default network.
fn world_of_two() -> (World, Place, Place) {
    let mut world = world();
    let (web, db) = (start(&mut world, "web", "bridge"), start(&mut world, "db", "bridge"));
    (world, web, db)
}

/// Starts a container that stays.
fn start(world: &mut World, name: &str, mode: &str) -> Place {
    run(world, name, mode, Program::Sleep).expect("a container");
    Place::container(name)
}

fn run(world: &mut World, name: &str, mode: &str, program: Program) -> Result<Started, netns::error::Error> {
    world.run(request(name, mode), program)
}

fn request(name: &str, mode: &str) -> RunRequest {
    let mode: NetworkMode = mode.parse().expect("a mode");
    RunRequest {
        name: Some(name.parse().expect("a name")),
        mode,
        detached: true,
        ..RunRequest::new(vec!["sleep".to_owned()])
    }
}

/// A container that runs a program on a network.
fn spawn<T: Exit>(
    world: &mut World,
    name: &str,
    network: &str,
    program: impl AsyncFnOnce() -> T + 'static,
) -> ProgramHandle {
    world.spawn(request(name, network), program).expect("a container")
}

/// Reads a stream to its end, and says the same.
async fn echo_once(listener: &TcpListener) -> io::Result<()> {
    let (mut stream, _) = listener.accept().await?;
    let (mut reader, mut writer) = stream.split();
    tokio::io::copy(&mut reader, &mut writer).await?;
    writer.shutdown().await
}

/// Echoes for ever.
async fn echo() -> io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:7").await?;
    loop {
        echo_once(&listener).await?;
    }
}

fn some_bytes(length: usize) -> Vec<u8> {
    (0..length as u64).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}
