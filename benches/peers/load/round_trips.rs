//! One byte there and one back, over TCP.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{PATIENCE, Pair, be_patient, connect};
use crate::statistics::percentile;
use crate::systems::{End, enter};

/// How long a pair talks before it counts.
const WARM_UP: Duration = Duration::from_millis(300);
/// As many round trips of one pair are kept for the percentiles; those that come later count for the rate alone.
const KEPT: usize = 1 << 20;

/// What came of it: round trips a second of all pairs together, and the percentiles of one, in microseconds.
pub struct Trips {
    pub per_second: f64,
    pub p50: f64,
    pub p99: f64,
}

/// Round trips over each pair, all at once.
pub fn ping_pong(pairs: &[Pair], length: Duration) -> Result<Trips, String> {
    let mut threads = Vec::new();
    for (from, to) in pairs {
        let (address, server) = serve(*to, echo)?;
        threads.push((enter(from.pid, move || talk(address, length)), server));
    }
    let (mut per_second, mut all) = (0.0, Vec::new());
    for (client, server) in threads {
        let (rate, trips) = client.join().map_err(|_| "a client panicked")??;
        server.join().map_err(|_| "a server panicked")??;
        per_second += rate;
        all.extend(trips);
    }
    all.sort_unstable();
    let microseconds = |percent: usize| percentile(&all, percent) as f64 / 1e3;
    Ok(Trips { per_second, p50: microseconds(50), p99: microseconds(99) })
}

/// Whether one end reaches the other: a single round trip, for which a switch that has just come up may take a few seconds.
pub fn reach(from: End, to: End) -> Result<(), String> {
    let (address, server) = serve(to, echo)?;
    let client = enter(from.pid, move || {
        let mut stream = connect(address)?;
        trip(&mut stream)
    });
    let reached = client.join().map_err(|_| "a client panicked")?;
    // Nobody has connected, so nobody may wait for the server, which gives up by itself.
    if reached.is_ok() { server.join().map_err(|_| "a server panicked")? } else { reached }
}

/// The rate, and how long each round trip took, in nanoseconds.
fn talk(address: SocketAddr, length: Duration) -> Result<(f64, Vec<u64>), String> {
    let mut stream = connect(address)?;
    let begin = Instant::now();
    while begin.elapsed() < WARM_UP {
        trip(&mut stream)?;
    }
    let mut trips = Vec::with_capacity(KEPT);
    let (mut count, started) = (0_u64, Instant::now());
    let mut last = started;
    while last - started < length {
        trip(&mut stream)?;
        let now = Instant::now();
        if trips.len() < KEPT {
            trips.push((now - last).as_nanos() as u64);
        }
        (count, last) = (count + 1, now);
    }
    Ok((count as f64 / (last - started).as_secs_f64(), trips))
}

fn trip(stream: &mut TcpStream) -> Result<(), String> {
    let mut byte = [7];
    stream.write_all(&byte).and_then(|()| stream.read_exact(&mut byte)).map_err(|why| format!("a round trip: {why}"))
}

/// Until the other end has had enough.
fn echo(mut stream: TcpStream) -> Result<(), String> {
    let mut byte = [0];
    while stream.read_exact(&mut byte).and_then(|()| stream.write_all(&byte)).is_ok() {}
    Ok(())
}

/// Listens at an end and serves one connection, if it comes soon.
pub fn serve<T: Send + 'static>(
    end: End,
    serve: impl FnOnce(TcpStream) -> Result<T, String> + Send + 'static,
) -> Result<(SocketAddr, JoinHandle<Result<T, String>>), String> {
    let (ready, bound) = std::sync::mpsc::channel();
    let failed = move |why: std::io::Error| format!("serve at {}: {why}", end.address);
    let server = enter(end.pid, move || {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let _ = ready.send(listener.local_addr().map_err(failed)?.port());
        let started = Instant::now();
        let stream = loop {
            match listener.accept() {
                Ok((stream, _)) => break stream,
                Err(why) if why.kind() == std::io::ErrorKind::WouldBlock && started.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(why) => return Err(failed(why)),
            }
        };
        stream.set_nonblocking(false).and_then(|()| be_patient(&stream)).map_err(failed)?;
        serve(stream)
    });
    match bound.recv() {
        Ok(port) => Ok((SocketAddr::from((end.address, port)), server)),
        Err(_) => Err(server.join().map_err(|_| "a server panicked")?.err().unwrap_or_default()),
    }
}
