//! A published port against a plain copy and against direct access, in one run:
//! `cargo bench --bench published [-- --rounds N --seconds S --connections C]`.
//!
//! Everything is in scratch namespaces: a host, a container behind it and a client outside, on veth pairs, so that what differs
//! is the way between host and container alone:
//!
//! * direct: the host forwards the client's packets to the container's own address;
//! * plain copy: a process on the host with two threads for each connection, which read and write;
//! * published: our publisher.
//!
//! Rounds are interleaved (A B C A B C …); what counts is the ratio of the medians. Needs root and iproute2.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use netns::linux::publish::Publisher;
use netns::linux::{dispatch, scratch};
use netns::publish::PortMapping;
use nix::sched::{CloneFlags, setns, unshare};
use rustix::process::{Pid, PidfdFlags};

const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
const CONTAINER: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 2);
const HOST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 9);
/// What the container serves: as many bytes as anyone takes, or takes; one byte for one byte; one byte and the end.
const SOURCE: u16 = 1001;
const SINK: u16 = 1002;
const ECHO: u16 = 1003;
const ONE: u16 = 1004;
/// Where the host publishes port N: at N + this.
const PUBLISHED: u16 = 7000;
const COPIED: u16 = 8000;

/// The role of the process that copies.
const COPY: &str = "copy";
/// What Go's `io.Copy` takes, as good as any.
const BUFFER: usize = 32 * 1024;
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Direct,
    Copied,
    Published,
}

impl Way {
    const ALL: [Way; 3] = [Way::Direct, Way::Copied, Way::Published];

    fn name(self) -> &'static str {
        match self {
            Way::Direct => "direct",
            Way::Copied => "plain copy",
            Way::Published => "published",
        }
    }

    fn to(self, port: u16) -> (Ipv4Addr, u16) {
        match self {
            Way::Direct => (CONTAINER, port),
            Way::Copied => (HOST, COPIED + port),
            Way::Published => (HOST, PUBLISHED + port),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Measure {
    Download,
    DownloadFour,
    Upload,
    PingPong,
    Connections,
    ConnectionsEight,
}

impl Measure {
    const ALL: [Measure; 6] = [
        Measure::Download,
        Measure::DownloadFour,
        Measure::Upload,
        Measure::PingPong,
        Measure::Connections,
        Measure::ConnectionsEight,
    ];

    fn name(self) -> &'static str {
        match self {
            Measure::Download => "from the container, Gbit/s",
            Measure::DownloadFour => "4 at once, Gbit/s",
            Measure::Upload => "to the container, Gbit/s",
            Measure::PingPong => "ping-pong, 1/s",
            Measure::Connections => "connections, 1/s",
            Measure::ConnectionsEight => "8 clients, connections, 1/s",
        }
    }

    fn take(self, way: Way, options: Options) -> f64 {
        let length = options.length;
        match self {
            Measure::Download => at_once(1, move || download(way.to(SOURCE), length)) * 8e-9,
            Measure::DownloadFour => at_once(4, move || download(way.to(SOURCE), length)) * 8e-9,
            Measure::Upload => at_once(1, move || upload(way.to(SINK), length)) * 8e-9,
            Measure::PingPong => at_once(1, move || ping_pong(way.to(ECHO), length)),
            Measure::Connections => at_once(1, move || connections(way.to(ONE), options.connections)),
            Measure::ConnectionsEight => at_once(8, move || connections(way.to(ONE), options.connections / 8)),
        }
    }
}

#[derive(Clone, Copy)]
struct Options {
    rounds: u64,
    length: Duration,
    connections: u64,
}

fn main() -> ExitCode {
    if let Some(code) = dispatch(std::env::args_os()) {
        return code;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == COPY) {
        return copy_for_ever();
    }
    if arguments.iter().any(|argument| argument == "--test") {
        println!("published ports are measured by `cargo bench --bench published`, not tested");
        return ExitCode::SUCCESS;
    }
    let number = |name: &str, otherwise: u64| {
        let at = arguments.iter().position(|argument| argument == name);
        at.and_then(|at| arguments.get(at + 1)?.parse().ok()).unwrap_or(otherwise)
    };
    let (rounds, connections) = (number("--rounds", 5), number("--connections", 2000));
    let options = Options { rounds, length: Duration::from_secs(number("--seconds", 2)), connections };
    if let Err(why) = scratch::can_run() {
        eprintln!("published ports can not be measured here: {why}");
        return ExitCode::FAILURE;
    }
    let bench = Bench::new();
    bench.measure(options);
    drop(bench);
    ExitCode::SUCCESS
}

/// A host, which this thread is on, with both proxies, and the two others.
struct Bench {
    directory: PathBuf,
    shim: Child,
    copier: Child,
    publisher: Option<Publisher>,
    outside: File,
}

impl Bench {
    fn new() -> Self {
        scratch::enter().expect("enter a scratch namespace");
        fs::write("/proc/sys/net/ipv4/ip_forward", "1").expect("the scratch namespace forwards");
        let (container, outside) = (namespace(), namespace());
        cable("c0", GATEWAY, &container, CONTAINER);
        cable("o0", HOST, &outside, OUTSIDE);
        for (port, serve) in [(SOURCE, source as fn(TcpStream)), (SINK, sink), (ECHO, echo), (ONE, one)] {
            let listener = run_in(&container, move || TcpListener::bind((CONTAINER, port)).expect("bound"));
            rustix::net::listen(&listener, 4096).expect("a long queue");
            serve_for_ever(listener, serve);
        }
        let directory = std::env::temp_dir().join(format!("pontoon-bench-published-{}", std::process::id()));
        fs::create_dir(&directory).expect("a directory");
        let mut shim = Command::new("sleep");
        let shim = shim.arg("100000").stdin(Stdio::null()).spawn().expect("it starts");
        let exe = PathBuf::from("/proc/self/exe");
        let mut copier = Command::new(&exe);
        let copier = copier.arg(COPY).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("it starts");
        let mut bench = Bench { directory, shim, copier, publisher: None, outside };
        let mut said = [0];
        bench.copier.stdout.as_mut().expect("a pipe").read_exact(&mut said).expect("it listens");
        let text = format!("{}-{}:{SOURCE}-{ONE}", PUBLISHED + SOURCE, PUBLISHED + ONE);
        let mappings = PortMapping::parse(&text).expect("mappings");
        let pid = Pid::from_child(&bench.shim);
        let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty()).expect("it lives");
        let log = File::create(bench.directory.join("log")).expect("a log");
        let publisher = Publisher::start(&bench.directory, &exe, &pidfd, CONTAINER, &mappings, &log);
        bench.publisher = Some(publisher.expect("it serves"));
        bench
    }

    fn measure(&self, options: Options) {
        let mut results: BTreeMap<(Measure, Way), Vec<f64>> = BTreeMap::new();
        let mut costs: BTreeMap<Way, Vec<f64>> = BTreeMap::new();
        for round in 1..=options.rounds {
            for measure in Measure::ALL {
                for way in Way::ALL {
                    let before = self.busy_seconds(way);
                    let result = run_in(&self.outside, move || measure.take(way, options));
                    let busy = self.busy_seconds(way) - before;
                    eprintln!(
                        "round {round}/{}  {:<28} {:<11} {result:.2}",
                        options.rounds,
                        measure.name(),
                        way.name()
                    );
                    results.entry((measure, way)).or_default().push(result);
                    if measure == Measure::Download {
                        let gbit = result * options.length.as_secs_f64();
                        costs.entry(way).or_default().push(busy / gbit);
                    }
                }
            }
        }
        print_table(&results, &costs);
    }

    /// What the process of a proxy has used so far.
    fn busy_seconds(&self, way: Way) -> f64 {
        let pid = match way {
            Way::Direct => return 0.0,
            Way::Copied => self.copier.id().to_string(),
            Way::Published => {
                let birth = fs::read_to_string(self.directory.join("publisher")).expect("it is written down");
                birth.split(' ').next().expect("a pid").to_owned()
            }
        };
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
        let ticks = stat.rsplit_once(") ").expect("fields").1.split(' ').skip(11).take(2);
        ticks.map(|ticks| ticks.parse::<f64>().expect("ticks")).sum::<f64>() / 100.0
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if let Some(publisher) = self.publisher.take() {
            let _ = publisher.end();
        }
        for child in [&mut self.shim, &mut self.copier] {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn print_table(results: &BTreeMap<(Measure, Way), Vec<f64>>, costs: &BTreeMap<Way, Vec<f64>>) {
    let [direct, copied, published] = Way::ALL.map(Way::name);
    println!("\n{:<28} {direct:>25} {copied:>25} {published:>25} {:>8} {:>8}", "", "/ copy", "/ direct");
    for measure in Measure::ALL {
        let [direct, copied, published] = Way::ALL.map(|way| &results[&(measure, way)][..]);
        println!(
            "{:<28} {:>25} {:>25} {:>25} {:>8.2} {:>8.2}",
            measure.name(),
            spread(direct),
            spread(copied),
            spread(published),
            median(published) / median(copied),
            median(published) / median(direct)
        );
    }
    let [_, copied, published] = Way::ALL.map(|way| &costs[&way][..]);
    println!(
        "{:<28} {:>25} {:>25} {:>25} {:>8.2}",
        "proxy's CPU seconds/Gbit",
        "",
        spread(copied),
        spread(published),
        median(published) / median(copied)
    );
}

/// A namespace, which lives as long as its file is open.
fn namespace() -> File {
    let made = thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).expect("a namespace");
        File::open("/proc/thread-self/ns/net").expect("a namespace")
    });
    made.join().expect("a namespace")
}

fn run_in<T: Send + 'static>(namespace: &File, work: impl FnOnce() -> T + Send + 'static) -> T {
    let namespace = namespace.try_clone().expect("a dup");
    let working = thread::spawn(move || {
        setns(namespace, CloneFlags::CLONE_NEWNET).expect("entered");
        work()
    });
    working.join().expect("it does not panic")
}

/// A veth pair between the host and a namespace, whose way to everywhere it is.
fn cable(name: &str, here: Ipv4Addr, namespace: &File, there: Ipv4Addr) {
    let keeper = run_in(namespace, || {
        let mut keeper = Command::new("sleep");
        keeper.arg("1000").stdin(Stdio::null()).spawn().expect("it starts")
    });
    ip(&format!("link add {name} type veth peer name eth0 netns {}", keeper.id()));
    end(keeper);
    ip(&format!("addr add {here}/24 dev {name}"));
    ip(&format!("link set {name} up"));
    run_in(namespace, move || {
        ip(&format!("addr add {there}/24 dev eth0"));
        ip("link set eth0 up");
        ip(&format!("route add default via {here}"));
    });
}

fn end(mut child: Child) {
    let _ = child.kill();
    let _ = child.wait();
}

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).stdin(Stdio::null()).status().expect("iproute2");
    assert!(status.success(), "ip {arguments}");
}

fn serve_for_ever(listener: TcpListener, serve: fn(TcpStream)) {
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            thread::spawn(move || serve(stream));
        }
    });
}

fn source(mut stream: TcpStream) {
    let bytes = vec![7; 1 << 18];
    while stream.write_all(&bytes).is_ok() {}
}

fn sink(mut stream: TcpStream) {
    let mut bytes = vec![0; 1 << 18];
    while stream.read(&mut bytes).is_ok_and(|count| count > 0) {}
}

fn echo(mut stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let mut byte = [0];
    while stream.read_exact(&mut byte).and_then(|()| stream.write_all(&byte)).is_ok() {}
}

fn one(mut stream: TcpStream) {
    let _ = stream.write_all(&[7]);
}

/// What so many clients at once come to, in all.
fn at_once(clients: usize, work: impl Fn() -> f64 + Send + Copy + 'static) -> f64 {
    let working: Vec<_> = (0..clients).map(|_| thread::spawn(work)).collect();
    working.into_iter().map(|working| working.join().expect("it does not panic")).sum()
}

fn connect(to: (Ipv4Addr, u16)) -> TcpStream {
    let stream = TcpStream::connect(to).expect("connected");
    stream.set_nodelay(true).expect("set");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    stream
}

/// Bytes received per second.
fn download(to: (Ipv4Addr, u16), length: Duration) -> f64 {
    let mut stream = connect(to);
    let mut bytes = vec![0; 1 << 18];
    let began = Instant::now();
    let mut count = 0;
    while began.elapsed() < length {
        count += stream.read(&mut bytes).expect("it goes on");
    }
    count as f64 / began.elapsed().as_secs_f64()
}

/// Bytes per second that were sent and taken.
fn upload(to: (Ipv4Addr, u16), length: Duration) -> f64 {
    let mut stream = connect(to);
    let bytes = vec![7; 1 << 18];
    let began = Instant::now();
    let mut count = 0;
    while began.elapsed() < length {
        stream.write_all(&bytes).expect("it is taken");
        count += bytes.len();
    }
    stream.shutdown(Shutdown::Write).expect("half closed");
    // The other side ends when it has taken everything.
    assert_eq!(stream.read(&mut [0]).expect("it ends"), 0);
    count as f64 / began.elapsed().as_secs_f64()
}

fn ping_pong(to: (Ipv4Addr, u16), length: Duration) -> f64 {
    let mut stream = connect(to);
    let mut byte = [7];
    let began = Instant::now();
    let mut count = 0_u32;
    while began.elapsed() < length {
        stream.write_all(&byte).and_then(|()| stream.read_exact(&mut byte)).expect("it answers");
        count += 1;
    }
    f64::from(count) / began.elapsed().as_secs_f64()
}

/// Connects, takes a byte and the end, and again.
fn connections(to: (Ipv4Addr, u16), times: u64) -> f64 {
    let began = Instant::now();
    for _ in 0..times {
        let mut heard = Vec::new();
        connect(to).read_to_end(&mut heard).expect("it ends");
        assert_eq!(heard, [7]);
    }
    times as f64 / began.elapsed().as_secs_f64()
}

/// The process that copies: for each connection one to the container, and a thread for each direction.
fn copy_for_ever() -> ExitCode {
    let listeners: Vec<TcpListener> =
        (SOURCE..=ONE).map(|port| TcpListener::bind((HOST, COPIED + port)).expect("bound")).collect();
    for (listener, port) in listeners.into_iter().zip(SOURCE..) {
        thread::spawn(move || {
            rustix::net::listen(&listener, 4096).expect("a long queue");
            while let Ok((client, _)) = listener.accept() {
                thread::spawn(move || copy_both_ways(&client, port));
            }
        });
    }
    let mut out = std::io::stdout();
    out.write_all(b"!").and_then(|()| out.flush()).expect("heard");
    loop {
        thread::park();
    }
}

fn copy_both_ways(client: &TcpStream, port: u16) {
    let Ok(container) = TcpStream::connect((CONTAINER, port)) else { return };
    let _ = client.set_nodelay(true).and_then(|()| container.set_nodelay(true));
    thread::scope(|scope| {
        scope.spawn(|| copy(client, &container));
        copy(&container, client);
    });
}

fn copy(mut from: &TcpStream, mut to: &TcpStream) {
    let mut bytes = vec![0; BUFFER];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        if to.write_all(&bytes[..count]).is_err() {
            let _ = from.shutdown(Shutdown::Read);
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// The median, and the range in brackets.
fn spread(values: &[f64]) -> String {
    let (low, high) =
        values.iter().fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(*value), high.max(*value)));
    let digits = if high < 100.0 { 2 } else { 0 };
    format!("{:.digits$} ({low:.digits$}–{high:.digits$})", median(values))
}
