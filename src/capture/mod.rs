//! `capture`, the caller's side: it opens the file, and says when to end. The daemon writes.
//!
//! Without a file the daemon writes to a pipe, and what comes out of it is told in [`lines`].

mod lines;

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::thread::JoinHandle;

use capture::filter::{Filter, is_word};
use control::{Bridge, CaptureOrder, Captured, Capturing, Request};
use netns::record::container_of;
use nix::libc::{SIGHUP, SIGINT, SIGTERM};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::cli::CaptureArgs;
use crate::client::Client;
use crate::failure::{Failure, io as io_failure};
use crate::output::say;
use crate::paths::Dirs;
use crate::signals::Signals;

/// How many bytes of a frame are kept if nothing but lines is made of it.
const FOR_LINES: u32 = 256;

/// `capture`
///
/// # Errors
/// If nothing can be captured, or what was can not be written.
pub fn capture(dirs: &Dirs, args: &CaptureArgs) -> Result<(), Failure> {
    let is_stdout = args.write.as_deref() == Some(Path::new("-"));
    if is_stdout && io::stdout().is_terminal() {
        return Err(Failure::new("a capture is nothing for a terminal")
            .with_hint("`pontoon capture … -w - | tshark -r -`, or no -w at all")
            .with_status(2));
    }
    if args.words.is_empty() && !args.all && !args.last {
        return Err(Failure::new("which ports?").with_hint("name some, or say --all").with_status(2));
    }
    if args.all {
        understand(&args.words)?;
    }
    let mut client = Client::connect(dirs)?;
    let (ports, filter) = if args.all { (Vec::new(), understand(&args.words)?) } else { sort(&mut client, args)? };
    let snaplen = args.snaplen.unwrap_or(if args.write.is_some() { 0 } else { FOR_LINES });
    let order = CaptureOrder { ports, filter, drops: args.drops, snaplen, count: args.count, last: args.last };
    let mut signals = Signals::register(&[SIGINT, SIGTERM, SIGHUP])?;
    let (file, lines) = match &args.write {
        Some(_) if is_stdout => {
            (io::stdout().as_fd().try_clone_to_owned().map_err(io_failure("duplicate standard output"))?, None)
        }
        Some(path) => {
            let file = File::create(path).map_err(io_failure(format_args!("open {}", path.display())))?;
            (file.into(), None)
        }
        None => {
            let (lines, pipe) = lines::tell(args.json.json)?;
            (pipe, Some(lines))
        }
    };
    let told = attend(client, &order, file, &mut signals);
    let printed = lines.map_or(Ok(()), join);
    let captured = told?;
    say(summary(&captured));
    printed?;
    match &captured.error {
        None => Ok(()),
        Some(why) => {
            let to = args.write.as_ref().filter(|_| !is_stdout);
            let to = to.map_or("standard output".to_owned(), |path| path.display().to_string());
            Err(Failure::new(format_args!("write to {to}: {why}")))
        }
    }
}

/// Asks for it, says when it begins, ends it when a signal comes, and waits for its end.
fn attend(mut client: Client, order: &CaptureOrder, file: OwnedFd, signals: &mut Signals) -> Result<Captured, Failure> {
    let request = Request::Capture(Box::new(order.clone()));
    if order.last {
        return client.ask_with(&request, &[file.as_fd()]);
    }
    let capturing: Capturing = client.ask_with(&request, &[file.as_fd()])?;
    // The daemon's is the only one: when it is closed, who reads from a pipe knows that this was all.
    drop(file);
    say(listening(order, &capturing));
    let stdout = io::stdout();
    loop {
        let [answer, signal] = [client.as_fd(), signals.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        // (Asked for nothing, it tells when its reader has gone, though nothing is to be written.)
        let mut ready = [answer, signal, PollFd::new(stdout.as_fd(), PollFlags::empty())];
        match poll(&mut ready, PollTimeout::NONE) {
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(why) => return Err(Failure::new(format_args!("wait for the capture: {why}"))),
        }
        if ready[0].any() == Some(true) {
            break;
        }
        let has_reader = ready[2].any() != Some(true);
        if signals.pending().next().is_some() || !has_reader {
            client.say_no_more();
            break;
        }
    }
    client
        .hear()
        .map_err(|_| Failure::new("the daemon has gone; what it had captured is in the file, which ends where it did"))
}

fn listening(order: &CaptureOrder, capturing: &Capturing) -> String {
    let what = if order.ports.is_empty() { "all ports".to_owned() } else { capturing.ports.join(", ") };
    let drops = if order.drops { ", drops only" } else { "" };
    let filter = order.filter.as_ref().map(|filter| format!(", {filter}")).unwrap_or_default();
    format!("pontoon: capturing on {what}{drops}{filter}")
}

fn summary(captured: &Captured) -> String {
    let Captured { frames, lost, reaches_back, error: _ } = captured;
    let frame = if *frames == 1 { "frame" } else { "frames" };
    match reaches_back {
        None => format!("pontoon: {frames} {frame} captured, {lost} lost by the capture"),
        Some(millis) => {
            let (seconds, tenths) = (millis / 1000, millis % 1000 / 100);
            format!("pontoon: {frames} {frame} of the last {seconds}.{tenths} s")
        }
    }
}

fn join(lines: JoinHandle<Result<(), Failure>>) -> Result<(), Failure> {
    lines.join().unwrap_or_else(|_| Err(Failure::new("the thread that prints has panicked: this is a bug in pontoon")))
}

/// The ports that the first words name, and the filter that the others are.
fn sort(client: &mut Client, args: &CaptureArgs) -> Result<(Vec<String>, Option<String>), Failure> {
    let bridges: Vec<Bridge> = client.ask(&Request::Bridges)?;
    let named: Vec<Vec<String>> =
        args.words.iter().map(|word| ports_of(&bridges, word)).take_while(|ports| !ports.is_empty()).collect();
    if let Some(first) = args.words.first().filter(|_| named.is_empty() && !args.last) {
        let failure = Failure::new(format_args!("no such port: {first}"));
        return Err(failure.with_hint("`pontoon show` lists bridges and ports; --all is all of them"));
    }
    let filter = understand(&args.words[named.len()..])?;
    Ok((named.concat(), filter))
}

/// A port, a bridge's own, or all of a container's. (A container that is called like a word of a filter is not meant.)
fn ports_of(bridges: &[Bridge], word: &str) -> Vec<String> {
    if bridges.iter().any(|known| known.name == word || known.interfaces.iter().any(|port| port == word)) {
        return vec![word.to_owned()];
    }
    let ports = bridges.iter().flat_map(|bridge| &bridge.interfaces);
    let is_of = |port: &&String| container_of(port) == Some(word);
    if is_word(word) { Vec::new() } else { ports.filter(is_of).cloned().collect() }
}

/// The text of a filter that can be understood.
fn understand(words: &[String]) -> Result<Option<String>, Failure> {
    let text = words.join(" ");
    if text.trim().is_empty() {
        return Ok(None);
    }
    match Filter::parse(&text) {
        Ok(_) => Ok(Some(text)),
        Err(why) => Err(Failure::new(format_args!("the filter: {why}\n{}", why.render(&text)))
            .with_hint("`pontoon capture --help` has the language; ports come before the filter")
            .with_status(2)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_a_port_a_bridge_or_all_ports_of_a_container_but_none_if_it_is_a_filters() {
        let interfaces = ["web.eth0", "web.eth1", "a.b.eth0", "tcp.eth0"].map(str::to_owned).to_vec();
        let bridge = Bridge { name: "pontoon0".into(), id: String::new(), stp_enabled: false, interfaces };
        let ports = |word: &str| ports_of(std::slice::from_ref(&bridge), word);
        assert_eq!(ports("web"), ["web.eth0", "web.eth1"]);
        assert_eq!(ports("a.b"), ["a.b.eth0"]);
        for port in ["pontoon0", "web.eth1", "tcp.eth0"] {
            assert_eq!(ports(port), [port]);
        }
        for none in ["tcp", "not", "host", "eth0", "10.0.0.1", "mail", ""] {
            assert!(ports(none).is_empty(), "{none}");
        }
    }
}
