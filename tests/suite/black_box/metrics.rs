//! `GET /metrics`: what Prometheus gets, and what becomes of who asks for something else.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::Stdio;

use serde_json::Value;

use super::{fails, prints, tests};
use crate::lab::linux::{Linux, PATIENCE, text};
use crate::lab::{Lab, Place, ip_of, run_all};

tests![
    metrics_are_had_from_the_control_socket,
    metrics_are_accepted_by_promtool,
    metrics_only_ever_count_up,
    metrics_are_had_over_tcp_if_asked_for,
    metrics_over_tcp_are_for_this_machine_only,
    metrics_go_with_the_daemon_and_its_port_is_free_at_once,
    who_asks_for_something_else_is_told_what_there_is,
    who_speaks_no_http_over_tcp_is_told_so,
    a_head_without_an_end_is_refused_at_the_bound,
    half_a_request_holds_nobody_up,
    who_never_reads_holds_nobody_up,
    more_clients_than_are_served_wait_their_turn,
];

const GET: &str = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// An answer over HTTP.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

fn metrics_are_had_from_the_control_socket() {
    let lab = two_containers();
    let answer = ask(socket(&lab), GET);
    assert_eq!((answer.status, &*answer.headers["content-type"]), (200, "text/plain; version=0.0.4; charset=utf-8"));
    let values = samples(&answer.body);
    let received = "pontoon_port_receive_packets_total{bridge=\"pontoon0\",network=\"bridge\",port=\"web.eth0\",container=\"web\"}";
    assert!(values[received] > 0, "{values:?}");
    assert_eq!(values["pontoon_containers{state=\"running\"}"], 2);
    assert_eq!(values[&*format!("pontoon_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"))], 1);
    assert_eq!((values["pontoon_monitors"], values["pontoon_monitor_events_lost_total"]), (0, 0));
    let newer =
        ask(socket(&lab), &GET.replace("Host:", "Accept: application/openmetrics-text; version=1.0.0\r\nHost:"));
    assert_eq!(newer.headers["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(newer.body.ends_with("# EOF\n"));
    // Two requests, one behind the other.
    let mut both = socket(&lab);
    both.write_all(GET.replace("Connection: close\r\n", "").as_bytes()).expect("ask");
    let answers = say(both, GET);
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 2, "{answers}");
    let head = ask(socket(&lab), &GET.replace("GET", "HEAD"));
    assert_eq!((head.status, &*head.body), (200, ""));
    assert!(head.headers["content-length"].parse::<usize>().is_ok_and(|length| length > 1000), "{head:?}");
    finish(lab);
}

fn metrics_are_accepted_by_promtool() {
    let lab = two_containers();
    let body = ask(socket(&lab), GET).body;
    let mut promtool = std::process::Command::new("promtool");
    let promtool =
        promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = promtool.spawn().unwrap_or_else(|why| panic!("promtool, of Debian's package prometheus: {why}"));
    promtool.stdin.take().expect("a pipe").write_all(body.as_bytes()).expect("promtool reads");
    let said = promtool.wait_with_output().expect("promtool ends");
    assert_eq!((said.status.code(), &*text(&said.stdout), &*text(&said.stderr)), (Some(0), "", ""), "{body}");
    finish(lab);
}

fn metrics_only_ever_count_up() {
    let mut lab = two_containers();
    let db = ip_of(&mut lab, "db");
    let mut before = samples(&ask(socket(&lab), GET).body);
    for _ in 0..3 {
        assert!(lab.ping(Place::In("web"), db, 56));
        let after = samples(&ask(socket(&lab), GET).body);
        for (name, count) in before.iter().filter(|(name, _)| name.contains("_total")) {
            assert!(after[name] >= *count, "{name}: {count}, then {}", after[name]);
        }
        before = after;
    }
    // Nor does the next daemon begin anew.
    lab.kill_daemon();
    lab.up();
    let after = samples(&ask(socket(&lab), GET).body);
    let of_ports = |name: &str| name.starts_with("pontoon_port_") || name.starts_with("pontoon_bridge_");
    for (name, count) in before.iter().filter(|(name, _)| name.contains("_total") && of_ports(name)) {
        assert!(after[name] >= *count, "{name}: {count}, then {}", after[name]);
    }
    finish(lab);
}

fn metrics_are_had_over_tcp_if_asked_for() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let lab = up_with_metrics(address);
        let answer = ask(tcp(&lab), GET);
        assert_eq!(answer.status, 200);
        assert_eq!(samples(&answer.body)["pontoon_bridge_ports{bridge=\"pontoon0\",network=\"bridge\"}"], 1);
        let status = prints(&lab, &["status"]);
        assert!(status.ends_with(&format!("metrics:      {}\n", url(&lab))), "{status}");
        prints(&lab, &["down"]);
        std::fs::remove_dir_all(lab.dir()).expect("room for the next");
    }
}

fn metrics_over_tcp_are_for_this_machine_only() {
    let lab = Linux::new();
    for elsewhere in ["0.0.0.0:9123", "[::]:9123", "192.0.2.1:9123"] {
        let why = "error: invalid value '[ADDRESS]' for '--metrics <ADDRESS:PORT>': metrics are for anybody who asks, so \
                   they are served on a loopback address only: 127.0.0.1 or [::1]\n\nFor more information, try '--help'.\n";
        fails(&lab, &["up", "--metrics", elsewhere], 2, &why.replace("[ADDRESS]", elsewhere));
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its number");
    let holder = std::net::TcpListener::bind(taken).expect("the port again");
    let why = format!(
        "pontoon: listen at {taken} for metrics: Address already in use\n\
         hint: choose another port, or port 0 for any that is free\n"
    );
    fails(&lab, &["up", "--detach", "--metrics", &taken.to_string()], 1, &why);
    drop(holder);
    prints(&lab, &["up", "--detach", "--metrics", &taken.to_string()]);
    let pid = lab.daemon_pid().expect("a daemon runs");
    let why = format!(
        "pontoon: a daemon runs already (pid {pid}); --metrics 127.0.0.1:1 has no effect on it\n\
         hint: end it first (SIGTERM): its containers go on, and the next daemon takes them over\n"
    );
    fails(&lab, &["up", "--detach", "--metrics", "127.0.0.1:1"], 1, &why);
    finish(lab);
}

fn metrics_go_with_the_daemon_and_its_port_is_free_at_once() {
    let mut lab = up_with_metrics("127.0.0.1:0");
    let address = url(&lab).strip_prefix("http://").and_then(|url| url.strip_suffix("/metrics")).map(str::to_owned);
    let address = address.expect("an address");
    // Somebody is connected, and says nothing.
    let idle = TcpStream::connect(&address).expect("connect");
    lab.down();
    assert_eq!(TcpStream::connect(&address).map(drop).map_err(|why| why.kind()), Err(ErrorKind::ConnectionRefused));
    prints(&lab, &["up", "--detach", "--metrics", &address]);
    assert_eq!(ask(tcp(&lab), GET).status, 200);
    drop(idle);
    finish(lab);
}

fn who_asks_for_something_else_is_told_what_there_is() {
    let lab = up_with_metrics("127.0.0.1:0");
    let missing = ask(socket(&lab), &GET.replace("/metrics", "/"));
    assert_eq!((missing.status, &*missing.body), (404, "There is no / here. There is:\nGET /metrics\n"));
    assert_eq!(missing.headers["content-type"], "text/plain; charset=utf-8");
    let posted =
        ask(tcp(&lab), "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi");
    assert_eq!((posted.status, &*posted.body), (405, "/metrics takes GET, HEAD.\n"));
    assert_eq!(posted.headers["allow"], "GET, HEAD");
    let long = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\nConnection: close\r\n\r\n";
    assert_eq!(ask(tcp(&lab), long).status, 413);
    finish(lab);
}

fn who_speaks_no_http_over_tcp_is_told_so() {
    let lab = up_with_metrics("127.0.0.1:0");
    for nonsense in
        ["hello, are you there?\r\n\r\n", "{\"fds\":0,\"body\":\"status\"}\n\r\n", "GET\r\n\r\n", "\0\0\0\r\n\r\n"]
    {
        assert_eq!(ask(tcp(&lab), nonsense).status, 400, "{nonsense:?}");
    }
    assert_eq!(ask(socket(&lab), "GET me out of here\r\n\r\n").status, 400);
    assert_eq!(ask(tcp(&lab), GET).status, 200);
    finish(lab);
}

fn a_head_without_an_end_is_refused_at_the_bound() {
    let lab = up_with_metrics("127.0.0.1:0");
    let endless = format!("GET /metrics HTTP/1.1\r\nX: {}", "x".repeat(1 << 20));
    let refused = |answer: String| answer.is_empty() || answer.starts_with("HTTP/1.1 431 ");
    assert!(refused(say(tcp(&lab), &endless)));
    assert!(refused(say(socket(&lab), &endless)));
    let many = format!("GET /metrics HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(1000));
    assert!(refused(say(tcp(&lab), &many)));
    assert_eq!(ask(tcp(&lab), GET).status, 200);
    finish(lab);
}

fn half_a_request_holds_nobody_up() {
    let lab = up_with_metrics("127.0.0.1:0");
    let (mut one, mut other) = (tcp(&lab), socket(&lab));
    one.write_all(b"GET /met").expect("begin");
    other.write_all(b"GET /met").expect("begin");
    assert_eq!(ask(tcp(&lab), GET).status, 200);
    assert_eq!(ask(socket(&lab), GET).status, 200);
    for mut half in [Box::new(one) as Box<dyn Stream>, Box::new(other)] {
        half.ends();
        let mut answer = String::new();
        half.read_to_string(&mut answer).expect("the door is closed");
        assert_eq!(answer, "");
    }
    finish(lab);
}

fn who_never_reads_holds_nobody_up() {
    let lab = up_with_metrics("127.0.0.1:0");
    let request = GET.replace("Connection: close\r\n", "");
    let (mut one, mut other) = (tcp(&lab), socket(&lab));
    one.set_write_timeout(Some(std::time::Duration::from_millis(200))).expect("set a deadline");
    other.set_write_timeout(Some(std::time::Duration::from_millis(200))).expect("set a deadline");
    let mut stuck = 0;
    for deaf in [&mut one as &mut dyn Write, &mut other] {
        // Until nothing is taken any more; far more than any buffer holds.
        for _ in 0..1_000_000 {
            if deaf.write_all(request.as_bytes()).is_err() {
                stuck += 1;
                break;
            }
        }
    }
    assert_eq!(stuck, 2, "what is asked is bounded by what is answered");
    assert_eq!(ask(tcp(&lab), GET).status, 200);
    assert_eq!(ask(socket(&lab), GET).status, 200);
    finish(lab);
}

fn more_clients_than_are_served_wait_their_turn() {
    let lab = up_with_metrics("127.0.0.1:0");
    let idle: Vec<TcpStream> = (0..64).map(|_| tcp(&lab)).collect();
    let mut next = tcp(&lab);
    next.write_all(GET.as_bytes()).expect("ask");
    // The control socket has its own places.
    assert_eq!(ask(socket(&lab), GET).status, 200);
    drop(idle);
    assert_eq!(answer_of(&hear(next)).status, 200);
    finish(lab);
}

fn two_containers() -> Linux {
    let mut lab = Linux::new();
    lab.up();
    run_all(&mut lab, &["web", "db"]);
    let db = ip_of(&mut lab, "db");
    assert!(lab.ping(Place::In("web"), db, 56));
    lab
}

fn up_with_metrics(address: &str) -> Linux {
    let lab = Linux::new();
    prints(&lab, &["up", "--detach", "--metrics", address]);
    lab
}

fn finish(mut lab: Linux) {
    lab.finish();
}

/// A connection that can be read, written, and ended.
trait Stream: Read + Write {
    /// Says nothing more.
    fn ends(&self);
}

impl Stream for TcpStream {
    fn ends(&self) {
        self.shutdown(Shutdown::Write).expect("end it");
    }
}

impl Stream for UnixStream {
    fn ends(&self) {
        self.shutdown(Shutdown::Write).expect("end it");
    }
}

fn socket(lab: &Linux) -> UnixStream {
    let stream = UnixStream::connect(lab.runtime_dir().join("pontoon.sock")).expect("connect");
    stream.set_read_timeout(Some(PATIENCE)).expect("set a deadline");
    stream
}

fn tcp(lab: &Linux) -> TcpStream {
    let url = url(lab);
    let address = url.strip_prefix("http://").and_then(|url| url.strip_suffix("/metrics")).expect("an address");
    let stream = TcpStream::connect(address).unwrap_or_else(|why| panic!("connect to {address}: {why}"));
    stream.set_read_timeout(Some(PATIENCE)).expect("set a deadline");
    stream
}

fn url(lab: &Linux) -> String {
    let status: Value = serde_json::from_str(&prints(lab, &["status", "-j"])).expect("JSON");
    status["metrics"].as_str().expect("there are metrics").to_owned()
}

fn ask(stream: impl Stream, request: &str) -> Answer {
    answer_of(&say(stream, request))
}

/// Says something, and hears what there is to be heard until the door is closed.
fn say(mut stream: impl Stream, request: &str) -> String {
    match stream.write_all(request.as_bytes()) {
        // It did not hear the whole of it.
        Err(why) if matches!(why.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {}
        said => said.expect("say it"),
    }
    hear(stream)
}

fn hear(mut stream: impl Stream) -> String {
    let mut heard = Vec::new();
    match stream.read_to_end(&mut heard) {
        Err(why) if why.kind() == ErrorKind::ConnectionReset => {}
        read => drop(read.expect("the door is closed")),
    }
    text(&heard)
}

fn answer_of(said: &str) -> Answer {
    let (head, body) = said.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {said:?}"));
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).expect("a status");
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    Answer { status, headers, body: body.to_owned() }
}

fn samples(body: &str) -> BTreeMap<String, u64> {
    let lines = body.lines().filter(|line| !line.starts_with('#'));
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ').expect("a name and a value");
        (name.to_owned(), value.parse().unwrap_or_else(|why| panic!("{line}: {why}")))
    };
    lines.map(sample).collect()
}
