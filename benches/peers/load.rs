//! What is measured, and the load that measures it: plain sockets of threads that entered the containers' namespaces.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{setsockopt, sockopt};

use super::systems::System;

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Measure {
    /// Bulk TCP, one stream.
    Tcp1,
    /// Bulk TCP, four streams between two containers.
    Tcp4,
    /// Bulk TCP, eight pairs.
    TcpPairs,
    /// Datagrams of 64 bytes as fast as one sender can; what arrives.
    UdpFlood,
    /// One byte there and one back, over TCP, one pair.
    PingPong,
    /// The same, eight pairs at once.
    PingPongPairs,
    /// Gbit of one stream per second of a busy core.
    Efficiency,
}

impl Measure {
    /// Those that are taken; [`Measure::Efficiency`] comes with [`Measure::Tcp1`].
    pub const ALL: [Measure; 6] =
        [Measure::Tcp1, Measure::Tcp4, Measure::TcpPairs, Measure::UdpFlood, Measure::PingPong, Measure::PingPongPairs];

    pub fn name(self) -> &'static str {
        match self {
            Measure::Tcp1 => "TCP x1, Gbit/s",
            Measure::Tcp4 => "TCP x4, Gbit/s",
            Measure::TcpPairs => "TCP, 8 pairs, Gbit/s",
            Measure::UdpFlood => "UDP 64 B received, kpps",
            Measure::PingPong => "ping-pong, 1/s",
            Measure::PingPongPairs => "ping-pong, 8 pairs, 1/s",
            Measure::Efficiency => "TCP x1, Gbit/core-s",
        }
    }

    /// The least ratio to the kernel bridge that we stand for.
    pub fn floor(self) -> Option<f64> {
        match self {
            Measure::Tcp1 => Some(0.65),
            Measure::Tcp4 => Some(0.45),
            Measure::TcpPairs => Some(0.33),
            Measure::UdpFlood | Measure::PingPong => Some(1.0),
            Measure::PingPongPairs => Some(0.40),
            Measure::Efficiency => None,
        }
    }

    pub fn take(self, system: &dyn System, length: Duration) -> f64 {
        let busy = busy_seconds();
        let result = match self {
            Measure::Tcp1 => bulk(system, &[(0, 1)], length),
            Measure::Tcp4 => bulk(system, &[(0, 1); 4], length),
            Measure::TcpPairs => bulk(system, &PAIRS, length),
            Measure::UdpFlood => flood(system, length),
            Measure::PingPong => ping_pong(system, &PAIRS[..1], length),
            Measure::PingPongPairs => ping_pong(system, &PAIRS, length),
            Measure::Efficiency => 0.0,
        };
        if self == Measure::Tcp1 {
            let used = (busy_seconds() - busy).max(0.01);
            LAST_EFFICIENCY.store((result * length.as_secs_f64() / used).to_bits(), Ordering::Relaxed);
        }
        result
    }

    /// What else was measured along with the last result of this.
    pub fn efficiency(self, _result: f64) -> Option<(Measure, f64)> {
        let last = f64::from_bits(LAST_EFFICIENCY.load(Ordering::Relaxed));
        (self == Measure::Tcp1).then_some((Measure::Efficiency, last))
    }
}

static LAST_EFFICIENCY: AtomicU64 = AtomicU64::new(0);
const PAIRS: [(usize, usize); 8] = [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9), (10, 11), (12, 13), (14, 15)];
const CHUNK: usize = 128 * 1024;
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends as fast as TCP can over each pair; Gbit/s received in all.
fn bulk(system: &dyn System, pairs: &[(usize, usize)], length: Duration) -> f64 {
    let stop = Arc::new(AtomicBool::new(false));
    let received = Arc::new(AtomicU64::new(0));
    let mut threads = Vec::new();
    for (from, to) in pairs {
        let (address, receiver) = serve(system, *to, {
            let received = Arc::clone(&received);
            move |mut stream: TcpStream| {
                let mut chunk = vec![0; 2 * CHUNK];
                while let Ok(count @ 1..) = stream.read(&mut chunk) {
                    received.fetch_add(count as u64, Ordering::Relaxed);
                }
            }
        });
        let stop = Arc::clone(&stop);
        let sender = within(system.pid(*from), move || {
            let mut stream = connect(address);
            let chunk = vec![0x5a; CHUNK];
            while !stop.load(Ordering::Relaxed) && stream.write_all(&chunk).is_ok() {}
        });
        threads.extend([receiver, sender]);
    }
    let bytes = per_second(&received, length);
    stop.store(true, Ordering::Relaxed);
    join(threads);
    bytes * 8.0 / 1e9
}

/// One sender of small datagrams; thousands received a second.
fn flood(system: &dyn System, length: Duration) -> f64 {
    let stop = Arc::new(AtomicBool::new(false));
    let received = Arc::new(AtomicU64::new(0));
    let (ready, bound) = std::sync::mpsc::channel();
    let receiver = within(system.pid(1), {
        let (stop, received) = (Arc::clone(&stop), Arc::clone(&received));
        move || {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("bind");
            socket.set_read_timeout(Some(Duration::from_millis(100))).expect("timeout");
            ready.send(socket.local_addr().expect("address").port()).expect("the sender waits");
            let mut datagram = [0; 128];
            while !stop.load(Ordering::Relaxed) {
                if socket.recv(&mut datagram).is_ok() {
                    received.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    });
    let target = SocketAddr::from((system.address(1), bound.recv().expect("a port")));
    let sender = within(system.pid(0), {
        let stop = Arc::clone(&stop);
        move || {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("bind");
            socket.connect(target).expect("connect");
            while !stop.load(Ordering::Relaxed) {
                let _ = socket.send(&[0x5a; 64]);
            }
        }
    });
    let datagrams = per_second(&received, length);
    stop.store(true, Ordering::Relaxed);
    join(vec![sender, receiver]);
    datagrams / 1e3
}

/// One byte to and fro over each pair; round trips a second in all.
fn ping_pong(system: &dyn System, pairs: &[(usize, usize)], length: Duration) -> f64 {
    let stop = Arc::new(AtomicBool::new(false));
    let trips = Arc::new(AtomicU64::new(0));
    let mut threads = Vec::new();
    for (from, to) in pairs {
        let (address, server) = serve(system, *to, |mut stream: TcpStream| {
            stream.set_nodelay(true).expect("nodelay");
            let mut byte = [0];
            while stream.read_exact(&mut byte).and_then(|()| stream.write_all(&byte)).is_ok() {}
        });
        let (stop, trips) = (Arc::clone(&stop), Arc::clone(&trips));
        let client = within(system.pid(*from), move || {
            let mut stream = connect(address);
            let mut byte = [7];
            while !stop.load(Ordering::Relaxed)
                && stream.write_all(&byte).and_then(|()| stream.read_exact(&mut byte)).is_ok()
            {
                trips.fetch_add(1, Ordering::Relaxed);
            }
        });
        threads.extend([server, client]);
    }
    let rate = per_second(&trips, length);
    stop.store(true, Ordering::Relaxed);
    join(threads);
    rate
}

/// How fast `counter` grows, after a moment of warming up.
fn per_second(counter: &AtomicU64, length: Duration) -> f64 {
    std::thread::sleep(Duration::from_millis(300));
    let (before, started) = (counter.load(Ordering::Relaxed), Instant::now());
    std::thread::sleep(length);
    let counted = counter.load(Ordering::Relaxed) - before;
    counted as f64 / started.elapsed().as_secs_f64()
}

/// Listens in a container and serves one connection.
fn serve(
    system: &dyn System,
    container: usize,
    serve: impl FnOnce(TcpStream) + Send + 'static,
) -> (SocketAddr, JoinHandle<()>) {
    let (ready, bound) = std::sync::mpsc::channel();
    let server = within(system.pid(container), move || {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("bind");
        ready.send(listener.local_addr().expect("address").port()).expect("the client waits");
        let (stream, _) = listener.accept().expect("accept");
        stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
        serve(stream);
    });
    (SocketAddr::from((system.address(container), bound.recv().expect("a port"))), server)
}

/// A machine's default congestion control may pace; all systems are compared with the same.
fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, PATIENCE).expect("connect");
    setsockopt(&stream, sockopt::TcpCongestion, &"cubic".into()).expect("cubic");
    stream.set_nodelay(true).expect("nodelay");
    stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("timeout");
    stream
}

/// Runs `work` on a thread in the network namespace of a process.
fn within(pid: u32, work: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let namespace = File::open(format!("/proc/{pid}/ns/net")).expect("a namespace");
        setns(namespace, CloneFlags::CLONE_NEWNET).expect("enter the namespace");
        work();
    })
}

fn join(threads: Vec<JoinHandle<()>>) {
    for thread in threads {
        thread.join().expect("the load");
    }
}

/// Seconds that all cores together were busy since the machine started.
fn busy_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/stat").expect("/proc/stat");
    let fields: Vec<f64> = stat
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .filter_map(|field| field.parse().ok())
        .collect();
    // All but idle and waiting for I/O; guest time is counted in user time already. A tick is 10 ms.
    let ticks: f64 = fields.iter().take(8).sum::<f64>() - fields[3] - fields[4];
    ticks / 100.0
}
