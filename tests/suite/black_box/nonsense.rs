//! The control socket hears what is no request. The daemon goes on.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use super::{fails, tests};
use crate::lab::linux::{Linux, PATIENCE};
use crate::lab::{Lab, Place, run_all};

tests![
    the_daemon_survives_nonsense,
    the_daemon_survives_half_a_message,
    the_daemon_survives_a_message_without_an_end,
    the_daemon_refuses_what_no_request_may_say,
];

fn the_daemon_survives_nonsense() {
    survives(&[
        b"hello, are you there?\n",
        b"\n\n\n\n",
        b"{\"run\": 7}\n",
        b"GET / HTTP/1.1\r\n\r\n",
        &[0; 4096],
        &[0xff; 4096],
        b"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\n",
    ]);
}

fn the_daemon_survives_half_a_message() {
    survives(&[b"{\"locate", b"\"sta", b"\x00\x00\x00", b"\xff\xff\xff\x7f\"status\"", b""]);
}

fn the_daemon_survives_a_message_without_an_end() {
    let endless = vec![b'"'; 10 << 20];
    let endless_object: Vec<u8> = b"{\"a\":".iter().copied().cycle().take(10 << 20).collect();
    survives(&[&endless, &endless_object]);
}

fn the_daemon_refuses_what_no_request_may_say() {
    let mut lab = Linux::new();
    lab.up();
    run_all(&mut lab, &["web"]);
    let long = "x".repeat(256);
    for (request, why) in [
        (r#"{"kill":{"container":"web","signal":99}}"#, "there is no signal 99: a signal is a number from 1 to 64"),
        (&format!(r#"{{"inspect":"{long}"}}"#), "a name or an id: 256 bytes are too many, at most 255 may be"),
        (&format!(r#"{{"inspect":{}}}"#, "[".repeat(200)), "invalid type: sequence, expected a string"),
    ] {
        let mut stream = UnixStream::connect(lab.runtime_dir().join("pontoon.sock")).expect("connect");
        stream.set_read_timeout(Some(PATIENCE)).expect("set a deadline");
        stream.write_all(format!("{{\"fds\":0,\"body\":{request}}}\n").as_bytes()).expect("say it");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer, and then the door is closed");
        let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
        let message = answer["body"]["failed"]["message"].as_str().expect("a message");
        assert!(message.starts_with(&format!("the request can not be understood: {why}")), "{message}");
    }
    assert_eq!(crate::lab::names(&mut lab, false), ["web"]);
    // The command knows as much, and asks for nothing of the kind.
    fails(&lab, &["stop", &long], 1, "pontoon: a name or an id: 256 bytes are too many, at most 255 may be\n");
    lab.finish();
}

/// A daemon hears each of these, shows whoever says so the door, and serves others meanwhile.
fn survives(messages: &[&[u8]]) {
    let mut lab = Linux::new();
    lab.up();
    run_all(&mut lab, &["web", "db"]);
    let pid = lab.daemon_pid();
    for message in messages {
        let mut stream = UnixStream::connect(lab.runtime_dir().join("pontoon.sock")).expect("connect");
        stream.set_write_timeout(Some(PATIENCE)).expect("set a deadline");
        stream.set_read_timeout(Some(PATIENCE)).expect("set a deadline");
        match stream.write_all(message) {
            // It did not hear the whole of it.
            Err(why) if matches!(why.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {}
            written => written.expect("say it"),
        }
        assert_eq!(lab.daemon_pid(), pid, "others are served meanwhile");
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer) {
            Err(why) if why.kind() == ErrorKind::ConnectionReset => {}
            read => drop(read.expect("the door is closed")),
        }
    }
    assert_eq!(lab.daemon_pid(), pid);
    assert_eq!(crate::lab::names(&mut lab, false), ["db", "web"]);
    let db = crate::lab::ip_of(&mut lab, "db");
    assert!(lab.ping(Place::In("web"), db, 56));
    lab.finish();
}
