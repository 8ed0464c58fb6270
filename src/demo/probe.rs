//! Small clients and servers that run inside a container of the demo, so that it needs no tool of the machine: an echo
//! request, a TCP transfer that is checked, and a look at the interfaces. They print one line of JSON.
#![expect(clippy::disallowed_methods, reason = "a probe measures")]

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use etherparse::{IcmpEchoHeader, Icmpv4Header, Icmpv4Slice, Icmpv4Type};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, recv, sendto, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::output::{print_line, say};

/// The hidden first argument.
pub(super) const PROBE: &str = "__probe";
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs a probe, if the arguments ask for one.
#[must_use]
pub(super) fn dispatch(arguments: &[OsString]) -> Option<ExitCode> {
    let words: Vec<&str> = arguments.iter().skip(1).filter_map(|word| word.to_str()).collect();
    let outcome = match words.as_slice() {
        [PROBE, "interfaces"] => interfaces(),
        [PROBE, "ping", address] => with(address, |address| ping(address).map(|took| took.as_nanos().to_string())),
        [PROBE, "receive", port, length] => with2(port, length, receive),
        [PROBE, "send", address, port, length] => with(address, |address| {
            with2(port, length, |port, length| send(address, port, length).map(|took| took.as_nanos().to_string()))
        }),
        _ => return None,
    };
    Some(match outcome {
        Ok(line) => {
            if print_line(line).is_ok() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(why) => {
            say(why);
            ExitCode::FAILURE
        }
    })
}

fn with<T: std::str::FromStr>(word: &str, then: impl FnOnce(T) -> io::Result<String>) -> io::Result<String> {
    then(word.parse().map_err(|_| io::Error::other(format!("'{word}' is not understood")))?)
}

fn with2(port: &str, length: &str, then: impl FnOnce(u16, usize) -> io::Result<String>) -> io::Result<String> {
    with(port, |port| with(length, |length| then(port, length)))
}

fn interfaces() -> io::Result<String> {
    let interfaces = netns::linux::interfaces().map_err(io::Error::other)?;
    serde_json::to_string(&interfaces).map_err(io::Error::other)
}

/// One echo request (RFC 792) by a raw socket, which needs CAP_NET_RAW, and its answer.
fn ping(address: Ipv4Addr) -> io::Result<Duration> {
    let socket: OwnedFd = socket(AddressFamily::Inet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Icmp)?;
    setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::seconds(1))?;
    let echo = IcmpEchoHeader { id: std::process::id() as u16, seq: 1 };
    let payload = [0x2a; 56];
    let header = Icmpv4Header::with_checksum(Icmpv4Type::EchoRequest(echo), &payload);
    let request = [&header.to_bytes()[..], &payload].concat();
    let started = Instant::now();
    let [a, b, c, d] = address.octets();
    sendto(socket.as_raw_fd(), &request, &SockaddrIn::new(a, b, c, d, 0), MsgFlags::empty())?;
    while started.elapsed() < PATIENCE {
        let mut packet = [0; 2048];
        let length = recv(socket.as_raw_fd(), &mut packet, MsgFlags::empty())?;
        // A raw socket gives the IPv4 header as well, and every ICMP message that reaches this namespace.
        let header_length = usize::from(packet[0] & 0x0f) * 4;
        let message = packet.get(header_length..length).and_then(|bytes| Icmpv4Slice::from_slice(bytes).ok());
        if message.is_some_and(|message| message.icmp_type() == Icmpv4Type::EchoReply(echo)) {
            return Ok(started.elapsed());
        }
    }
    Err(io::Error::from(io::ErrorKind::TimedOut))
}

/// Waits for one connection, and checks that `length` bytes come over it as they were sent.
fn receive(port: u16, length: usize) -> io::Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?;
    let (mut stream, _) = listener.accept()?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut received = Vec::with_capacity(length);
    stream.read_to_end(&mut received)?;
    if received == pattern(length) {
        stream.write_all(b"ok")?;
        Ok(length.to_string())
    } else {
        Err(io::Error::other(format!("{} bytes came, not the {length} that were sent", received.len())))
    }
}

/// Sends `length` bytes, and waits until the other side has checked them. The listener may still be starting.
fn send(address: Ipv4Addr, port: u16, length: usize) -> io::Result<Duration> {
    let first = Instant::now();
    let mut stream = loop {
        match TcpStream::connect((address, port)) {
            Ok(stream) => break stream,
            Err(why) if why.kind() == io::ErrorKind::ConnectionRefused && first.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(why) => return Err(why),
        }
    };
    stream.set_read_timeout(Some(PATIENCE))?;
    let started = Instant::now();
    stream.write_all(&pattern(length))?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = [0; 2];
    stream.read_exact(&mut answer)?;
    Ok(started.elapsed())
}

/// Bytes that differ from their neighbours near and far, so that nothing lost, doubled or swapped goes unseen.
pub(super) fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index ^ (index >> 8) ^ (index >> 16)) as u8).collect()
}
