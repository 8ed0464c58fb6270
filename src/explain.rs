//! `explain`: what would become of a frame. The frame is made here, of whatever the user has; the daemon explains it.

mod capture;
mod hex;
mod place;

use std::io::Read;

use control::{Bridge, FrameBytes, Request, Shown};
use serde::Serialize;
use switch::buffer::MAX_FRAME;
use switch::explain::Explanation;

use self::capture::Capture;
use crate::cli::ExplainArgs;
use crate::client::Client;
use crate::commands::print_json;
use crate::failure::{Failure, io};
use crate::output;
use crate::paths::Dirs;
use crate::show::explain as show;

/// Explains one frame, or those of a file.
///
/// # Errors
/// If there is no such frame or port, or no daemon.
pub fn explain(dirs: &Dirs, args: &ExplainArgs) -> Result<(), Failure> {
    // What is wrong with the frame is told before anybody is asked.
    let given = match (&args.pcap, &args.to) {
        (None, None) => Some(in_hexadecimal(&args.hex)?),
        (Some(_), _) | (None, Some(_)) => None,
    };
    let capture = args.pcap.as_deref().map(Capture::open).transpose()?;
    let mut client = Client::connect(dirs)?;
    let bridges: Vec<Bridge> = client.ask(&Request::Bridges)?;
    let port = place::port(&bridges, &args.port)?;
    let mut ask = Asker { client, port };
    match (given, capture) {
        (Some(frame), _) => ask.one(&frame, args.json.json),
        (None, Some(capture)) => each(capture, &mut ask, args),
        (None, None) => {
            let containers: Vec<Shown> = ask.client.ask(&Request::Containers { all: false })?;
            let frame = place::frame(&bridges, &containers, &ask.port, args)?;
            ask.one(&frame, args.json.json)
        }
    }
}

/// Who asks about frames that come in by one port.
struct Asker {
    client: Client,
    port: String,
}

impl Asker {
    fn ask(&mut self, frame: &[u8]) -> Result<Explanation<String>, Failure> {
        // A link tells no more of one that is too long either.
        let frame = FrameBytes(frame[..frame.len().min(MAX_FRAME + 1)].to_vec());
        self.client.ask(&Request::Explain { port: self.port.clone(), frame })
    }

    fn one(&mut self, frame: &[u8], json: bool) -> Result<(), Failure> {
        let explanation = self.ask(frame)?;
        if json { print_json(&explanation) } else { output::print(show::text(&explanation, false)) }
    }
}

/// A frame of a file, explained.
#[derive(Serialize)]
struct Numbered {
    /// Its number in the file, from 1 on.
    frame: u64,
    #[serde(flatten)]
    explanation: Explanation<String>,
}

/// Explains the frames of a file one by one, so that neither the file nor its explanation need fit into memory. Those before the
/// place where the file is broken are explained.
fn each(mut capture: Capture, ask: &mut Asker, args: &ExplainArgs) -> Result<(), Failure> {
    let (json, mut explained) = (args.json.json, 0_u64);
    let ended = loop {
        let frame = match capture.next() {
            Ok(Some(frame)) => frame,
            Ok(None) => break Ok(()),
            Err(broken) => break Err(broken),
        };
        if args.frame.is_some_and(|only| only != frame.number) {
            continue;
        }
        let numbered = Numbered { frame: frame.number, explanation: ask.ask(&frame.bytes)? };
        if let (Some(_), true) = (args.frame, json) {
            return print_json(&numbered);
        }
        if json {
            let text = serde_json::to_string_pretty(&[&numbered])
                .map_err(|why| Failure::new(format_args!("write JSON: {why}")))?;
            // One array, of which each frame is a piece.
            let (begin, inner) = (if explained == 0 { "[\n" } else { ",\n" }, text.trim_matches(['[', ']', '\n']));
            output::print(format_args!("{begin}{inner}"))?;
        } else {
            let apart = if explained == 0 { "" } else { "\n" };
            let note = frame.note();
            output::print(format_args!(
                "{apart}frame {}{note}: {}",
                frame.number,
                show::text(&numbered.explanation, true)
            ))?;
        }
        explained += 1;
        if args.frame.is_some() {
            return Ok(());
        }
    };
    if json && args.frame.is_none() {
        output::print(if explained == 0 { "[]\n" } else { "\n]\n" })?;
    }
    ended?;
    match args.frame {
        Some(only) => Err(Failure::new(format_args!("no frame {only} in {}", capture.path().display()))
            .with_hint(format!("there are {}", capture.count()))),
        None => Ok(()),
    }
}

fn in_hexadecimal(words: &[String]) -> Result<Vec<u8>, Failure> {
    if words != ["-"] {
        return hex::parse(&words.join(" "));
    }
    // Much more than the longest frame in the widest notation.
    let (mut text, limit) = (Vec::new(), 1 << 20);
    let read = std::io::stdin().lock().take(limit).read_to_end(&mut text);
    read.map_err(io("read a frame from standard input"))?;
    hex::parse(&String::from_utf8_lossy(&text))
}
