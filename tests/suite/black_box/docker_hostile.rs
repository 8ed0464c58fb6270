//! An engine that is mistaken, or means harm: whatever it says, it is answered in the protocol's form, or shown the door; the daemon goes on.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};

use super::docker::dockerd::{Answer, NET, Plugin, Sandbox, about, endpoint_id, network, port, program, with};
use super::{prints, tests};
use crate::lab::linux::Linux;
use crate::lab::{Lab, Place, ip_of, run_all};

tests![
    what_is_unknown_is_refused_where_it_makes_and_done_where_it_undoes,
    calls_out_of_order_are_refused_and_leave_nothing,
    a_body_that_is_no_call_is_an_error_in_the_protocols_form,
    a_body_of_100_megabytes_is_not_read,
    half_a_call_holds_nobody_up_and_has_its_limit,
    whoever_has_been_silent_for_longest_makes_way_for_another,
    calls_at_once_are_each_answered,
];

const MAKING: [&str; 4] = ["CreateEndpoint", "Join", "ProgramExternalConnectivity", "AllocateNetwork"];
const UNDOING: [&str; 5] = ["Leave", "RevokeExternalConnectivity", "DeleteEndpoint", "DeleteNetwork", "FreeNetwork"];

/// A daemon that has containers of ours besides; what is asked of it later shows that it goes on.
fn up() -> (Linux, Plugin) {
    let mut lab = Linux::new();
    let plugin = Plugin::up(&lab);
    run_all(&mut lab, &["web", "db"]);
    (lab, plugin)
}

fn finish(mut lab: Linux, plugin: &Plugin) {
    plugin.is_alive();
    let db = ip_of(&mut lab, "db");
    assert!(lab.ping(Place::In("web"), db, 56));
    lab.finish();
}

fn what_is_unknown_is_refused_where_it_makes_and_done_where_it_undoes() {
    let (lab, plugin) = up();
    for method in MAKING {
        let why = plugin.refuses(method, &about(1));
        assert!(why.contains("1111") || why.contains("0101"), "{method}: {why}");
    }
    for method in UNDOING {
        for body in
            [about(1), json!({"NetworkID": "no", "EndpointID": "\u{0}"}), json!({"NetworkID": "", "EndpointID": ""})]
        {
            assert_eq!(plugin.call(method, &body), json!({}), "{method} {body}");
        }
    }
    assert_eq!(plugin.call("EndpointOperInfo", &about(1)), json!({"Value": {}}));
    for method in ["DiscoverNew", "DiscoverDelete"] {
        let data = json!({"DiscoveryType": 1, "DiscoveryData": {"Address": "192.0.2.1", "Self": true}});
        assert_eq!(plugin.call(method, &data), json!({}));
    }
    finish(lab, &plugin);
}

fn calls_out_of_order_are_refused_and_leave_nothing() {
    let (mut lab, plugin) = up();
    plugin.call("CreateNetwork", &network());
    let before = lab.census();
    assert!(plugin.refuses("Join", &about(1)).contains("no such endpoint"));
    assert!(plugin.refuses("ProgramExternalConnectivity", &program(1, &port(8080, 80))).contains("no such endpoint"));
    plugin.create_endpoint(1, "10.77.0.2/24");
    // The same id again, otherwise; an address that is another's, the gateway's, or elsewhere.
    let interface = |address: &str| json!({"Interface": {"Address": address, "MacAddress": ""}});
    let why = plugin.refuses("CreateEndpoint", &with(&about(1), &interface("10.77.0.3/24")));
    assert!(why.contains("is there already, with other properties"), "{why}");
    for (address, cause) in [("10.77.0.1/24", "is the gateway's"), ("10.78.0.2/24", "is not in the subnet")] {
        let why = plugin.refuses("CreateEndpoint", &with(&about(2), &interface(address)));
        assert!(
            why.starts_with(&format!("create endpoint {}: ", &endpoint_id(2)[..12])) && why.contains(cause),
            "{why}"
        );
    }
    let elsewhere = with(&about(1), &json!({"NetworkID": endpoint_id(9)}));
    assert!(plugin.refuses("Join", &elsewhere).contains("no such network"));
    // Published before there is an interface: had when there is one.
    plugin.program(1, &port(8080, 80));
    // A network goes with endpoints that its engine has forgotten.
    plugin.call("DeleteNetwork", &json!({"NetworkID": NET}));
    assert!(plugin.refuses("Join", &about(1)).contains("no such network"));
    plugin.call("CreateNetwork", &network());
    assert_eq!(lab.census(), before);
    plugin.call("DeleteNetwork", &json!({"NetworkID": NET}));
    finish(lab, &plugin);
}

fn a_body_that_is_no_call_is_an_error_in_the_protocols_form() {
    let (lab, plugin) = up();
    let garbage: Vec<u8> = (0..=255).cycle().take(10_000).collect();
    let deep = "[".repeat(100_000);
    let methods = MAKING.iter().chain(&UNDOING).chain(&["CreateNetwork", "EndpointOperInfo", "DiscoverNew"]);
    for method in methods {
        for body in
            [&b""[..], b"{", b"null", b"[]", b"7", b"\"x\"", b"{\"NetworkID\":7}", &garbage, deep.as_bytes(), b"{}{}"]
        {
            let answer = plugin.post(&format!("NetworkDriver.{method}"), body);
            let may_be_anything = *method == "DiscoverNew" && serde_json::from_slice::<Value>(body).is_ok();
            let has_error = answer.body.get("Err").is_some_and(Value::is_string);
            assert_eq!(
                (answer.status, has_error),
                (200, !may_be_anything),
                "{method} {:?}: {}",
                body.get(..20),
                answer.body
            );
        }
    }
    // Wrong types within, one at a time; what is not known is passed over.
    for (place, wrong) in [
        ("/IPv4Data", json!("10.77.0.0/24")),
        ("/IPv4Data/0/Pool", json!(10)),
        ("/Options", json!([])),
        ("/Options/com.docker.network.generic", json!("mtu=9000")),
        ("/Options/com.docker.network.enable_ipv6", json!("false")),
    ] {
        let mut body = network();
        *body.pointer_mut(place).expect("it is there") = wrong;
        let why = plugin.refuses("CreateNetwork", &body);
        assert!(why.starts_with("create network"), "{place}: {why}");
    }
    let newer = with(&network(), &json!({"Newer": {"than": ["we", 1, null]}}));
    plugin.call("CreateNetwork", &newer);
    plugin.call("DeleteNetwork", &newer);
    // No HTTP at all.
    for nonsense in [&b"hello\r\n\r\n"[..], &garbage, b"\0\0\0\0\r\n\r\n", b"POST\r\n\r\n"] {
        assert_eq!(plugin.say(nonsense).status, 400);
    }
    finish(lab, &plugin);
}

fn a_body_of_100_megabytes_is_not_read() {
    const LENGTH: usize = 100 << 20;
    let (lab, plugin) = up();
    // Announced.
    let mut stream = plugin.connect();
    let head = format!("POST /NetworkDriver.CreateNetwork HTTP/1.1\r\nHost: \r\nContent-Length: {LENGTH}\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("say it");
    let sent = send(&mut stream, LENGTH);
    assert!(sent < LENGTH, "all of it was read");
    let refused = plugin.say(head.as_bytes());
    assert_eq!(
        (refused.status, &refused.body["Err"]),
        (413, &json!("serve the network driver: At most 1048576 bytes may be said."))
    );
    // And in pieces of which nobody knows how many there will be.
    let mut stream = plugin.connect();
    stream
        .write_all(b"POST /NetworkDriver.Join HTTP/1.1\r\nHost: \r\nTransfer-Encoding: chunked\r\n\r\n")
        .expect("say it");
    stream.write_all(format!("{LENGTH:x}\r\n").as_bytes()).expect("say it");
    let sent = send(&mut stream, LENGTH);
    assert!(sent < LENGTH, "all of it was read");
    finish(lab, &plugin);
}

/// Sends so many bytes, or as many as are taken before the door is closed.
fn send(stream: &mut UnixStream, length: usize) -> usize {
    let piece = [b' '; 1 << 16];
    let mut sent = 0;
    while sent < length {
        match stream.write(&piece) {
            Ok(taken) => sent += taken,
            Err(why) if matches!(why.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => break,
            Err(why) => panic!("after {sent} bytes: {why}"),
        }
    }
    sent
}

fn half_a_call_holds_nobody_up_and_has_its_limit() {
    let (lab, plugin) = up();
    let whole = format!("POST /NetworkDriver.Leave HTTP/1.1\r\nHost: \r\nContent-Length: 200\r\n\r\n{}", about(1));
    let mut silent = plugin.connect();
    silent.write_all(whole.as_bytes()).expect("say it");
    let mut ended = plugin.connect();
    ended.write_all(whole.as_bytes()).expect("say it");
    ended.shutdown(Shutdown::Write).expect("that is all");
    let mut of_the_head = plugin.connect();
    of_the_head.write_all(b"POST /NetworkDriver.Le").expect("say it");
    plugin.is_alive();
    // One that has ended is not waited for. Of the others one is told when its time is over; both find the door closed.
    let mut heard = Vec::new();
    ended.read_to_end(&mut heard).expect("the door is closed");
    for mut slow in [silent, of_the_head] {
        slow.set_read_timeout(Some(std::time::Duration::from_secs(60))).expect("set a deadline");
        let mut heard = Vec::new();
        match slow.read_to_end(&mut heard) {
            Err(why) if why.kind() == ErrorKind::ConnectionReset => {}
            read => drop(read.expect("the door is closed")),
        }
    }
    finish(lab, &plugin);
}

fn whoever_has_been_silent_for_longest_makes_way_for_another() {
    let (lab, plugin) = up();
    let alive = b"POST /Plugin.Activate HTTP/1.1\r\nHost: \r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let mut idle: Vec<UnixStream> = (0..256).map(|_| plugin.connect()).collect();
    // Half a call is none.
    idle[1].write_all(&alive[..20]).expect("say half of it");
    // The control socket has its own places.
    prints(&lab, &["ps"]);
    plugin.is_alive();
    let mut heard = Vec::new();
    idle[0].read_to_end(&mut heard).expect("the door is closed");
    assert!(heard.is_empty());
    idle[2].write_all(alive).expect("ask");
    assert_eq!(Answer::hear(&idle[2]).status, 200);
    drop(idle);
    finish(lab, &plugin);
}

fn calls_at_once_are_each_answered() {
    let (mut lab, plugin) = up();
    plugin.call("CreateNetwork", &network());
    let plugin = &plugin;
    // Ten at once, each with the whole life of an endpoint.
    std::thread::scope(|scope| {
        for number in 10..20u8 {
            scope.spawn(move || {
                plugin.create_endpoint(number, &format!("10.77.0.{number}/24"));
                let joined = plugin.join(number);
                let source = joined["InterfaceName"]["SrcName"].as_str().expect("a name").to_owned();
                let sandbox = Sandbox::new();
                sandbox.take(&source, "eth0", &format!("10.77.0.{number}/24"), None);
                plugin.program(number, &port(8000 + u16::from(number), 80));
                assert!(sandbox.inside().ping("10.77.0.1".parse().expect("an address"), 56));
                plugin.take_down(number, sandbox, &source);
            });
        }
        for _ in 0..200 {
            scope.spawn(|| plugin.is_alive());
        }
    });
    assert_eq!(lab.ps(true).len(), 2);
    plugin.call("DeleteNetwork", &json!({"NetworkID": NET}));
    finish(lab, plugin);
}
