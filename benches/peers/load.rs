//! What is measured, and the load that measures it: iperf3 for bulk and floods, plain sockets for round trips.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};

use super::systems::{CONTAINERS, End, System};

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
    /// Bulk TCP, one stream from a container through the host's masquerade to the outside.
    Outbound,
    /// The same, the other way: a download.
    Inbound,
    /// One byte there and one back, to the outside.
    OutboundPingPong,
}

impl Measure {
    /// Those that are taken; [`Measure::Efficiency`] comes with [`Measure::Tcp1`].
    pub const ALL: [Measure; 9] = [
        Measure::Tcp1,
        Measure::Tcp4,
        Measure::TcpPairs,
        Measure::UdpFlood,
        Measure::PingPong,
        Measure::PingPongPairs,
        Measure::Outbound,
        Measure::Inbound,
        Measure::OutboundPingPong,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Measure::Tcp1 => "TCP x1, Gbit/s",
            Measure::Tcp4 => "TCP x4, Gbit/s",
            Measure::TcpPairs => "TCP, 8 pairs, Gbit/s",
            Measure::UdpFlood => "UDP 64 B received, kpps",
            Measure::PingPong => "ping-pong, 1/s",
            Measure::PingPongPairs => "ping-pong, 8 pairs, 1/s",
            Measure::Efficiency => "TCP x1, Gbit/core-s",
            Measure::Outbound => "outbound TCP, Gbit/s",
            Measure::Inbound => "download TCP, Gbit/s",
            Measure::OutboundPingPong => "outbound ping-pong, 1/s",
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
            Measure::Efficiency | Measure::Outbound | Measure::Inbound | Measure::OutboundPingPong => None,
        }
    }

    /// Whether it takes an outside.
    pub fn is_outbound(self) -> bool {
        matches!(self, Measure::Outbound | Measure::Inbound | Measure::OutboundPingPong)
    }

    pub fn take(self, system: &dyn System, length: Duration) -> f64 {
        let pairs: Vec<Pair> =
            (0..CONTAINERS / 2).map(|pair| (system.container(2 * pair), system.container(2 * pair + 1))).collect();
        let out = || [(system.container(0), system.outside())];
        let busy = busy_seconds();
        let result = match self {
            Measure::Tcp1 => bulk(&pairs[..1], &["-P", "1"], length),
            Measure::Tcp4 => bulk(&pairs[..1], &["-P", "4"], length),
            Measure::TcpPairs => bulk(&pairs, &["-P", "1"], length),
            Measure::UdpFlood => flood(&pairs[..1], length),
            Measure::PingPong => ping_pong(&pairs[..1], length),
            Measure::PingPongPairs => ping_pong(&pairs, length),
            Measure::Efficiency => 0.0,
            Measure::Outbound => bulk(&out(), &[], length),
            Measure::Inbound => bulk(&out(), &["-R"], length),
            Measure::OutboundPingPong => ping_pong(&out(), length),
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
const PATIENCE: Duration = Duration::from_secs(10);

/// Who connects, and to whom.
pub type Pair = (End, End);

/// Sends as fast as TCP can over each pair; Gbit/s received in all.
pub fn bulk(pairs: &[Pair], options: &[&str], length: Duration) -> f64 {
    // A machine's default congestion control may pace; all systems are compared with the same.
    let results = iperf3(pairs, length, &[&["-C", "cubic"], options].concat());
    results.iter().map(|result| result["end"]["sum_received"]["bits_per_second"].as_f64().expect("a rate")).sum::<f64>()
        / 1e9
}

/// One sender of small datagrams; thousands received a second.
pub fn flood(pair: &[Pair], length: Duration) -> f64 {
    let results = iperf3(pair, length, &["-u", "-b", "0", "-l", "64"]);
    let sum = &results[0]["end"]["sum"];
    let number = |name: &str| sum[name].as_f64().expect("a number");
    (number("packets") - number("lost_packets")) / number("seconds") / 1e3
}

/// Runs iperf3 from the first to the second end of each pair, all at once; what the clients report.
fn iperf3(pairs: &[Pair], length: Duration, options: &[&str]) -> Vec<serde_json::Value> {
    let seconds = length.as_secs().max(1).to_string();
    let start = |(from, to): Pair| {
        let mut server = iperf3_at(to, &["-s", "-1"]);
        let mut line = String::new();
        let stdout = server.stdout.as_mut().expect("a pipe");
        // It says that it listens; until then nobody can connect.
        let mut said = BufReader::new(stdout);
        while !line.contains("listening") {
            line.clear();
            assert_ne!(said.read_line(&mut line).expect("iperf3 says something"), 0, "iperf3 -s ended");
        }
        (server, from, to)
    };
    let servers: Vec<_> = pairs.iter().copied().map(start).collect();
    let run = |(server, from, to): (Child, End, End)| {
        let address = to.address.to_string();
        let client = iperf3_at(from, &[&["-c", &address, "-t", &seconds, "-J"], options].concat());
        (client, server)
    };
    let running: Vec<(Child, Child)> = servers.into_iter().map(run).collect();
    let finish = |(client, mut server): (Child, Child)| {
        let output = client.wait_with_output().expect("iperf3");
        let _ = server.wait();
        serde_json::from_slice(&output.stdout).expect("iperf3 reports in JSON")
    };
    running.into_iter().map(finish).collect()
}

fn iperf3_at(end: End, arguments: &[&str]) -> Child {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/proc/{}/ns/net", end.pid)).args(["iperf3", "--forceflush"]);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("nsenter")
}

/// One byte to and fro over each pair; round trips a second in all.
fn ping_pong(pairs: &[Pair], length: Duration) -> f64 {
    let stop = Arc::new(AtomicBool::new(false));
    let trips = Arc::new(AtomicU64::new(0));
    let mut threads = Vec::new();
    for (from, to) in pairs {
        let (address, server) = serve(*to, |mut stream: TcpStream| {
            stream.set_nodelay(true).expect("nodelay");
            let mut byte = [0];
            while stream.read_exact(&mut byte).and_then(|()| stream.write_all(&byte)).is_ok() {}
        });
        let (stop, trips) = (Arc::clone(&stop), Arc::clone(&trips));
        let client = within(from.pid, move || {
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

/// Listens at an end and serves one connection.
fn serve(end: End, serve: impl FnOnce(TcpStream) + Send + 'static) -> (SocketAddr, JoinHandle<()>) {
    let (ready, bound) = std::sync::mpsc::channel();
    let server = within(end.pid, move || {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("bind");
        ready.send(listener.local_addr().expect("address").port()).expect("the client waits");
        let (stream, _) = listener.accept().expect("accept");
        stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
        serve(stream);
    });
    (SocketAddr::from((end.address, bound.recv().expect("a port"))), server)
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, PATIENCE).expect("connect");
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
