//! `sim replay`: a recording, given to the switch of this program.

use std::fmt;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use capture::describe::describe;
use capture::pcapng::ReadError;
use capture::recording::{CopyOut, Entry, FrameIn, Outcome, Reader, RecordingError, in_words};
use capture::replay::{CannotReplay, Difference, Now, Replay, Step};
use serde::Serialize;
use switch::verdict::{PortId, Verdict};

use crate::cli::Json;
use crate::commands::print_json;
use crate::failure::{Failure, io};
use crate::output::{print_line, say};

/// Replays a file; returns the exit status: 1 if there is a difference.
///
/// # Errors
/// If it can not be replayed from its beginning to its end; what was before is told.
pub fn replay(file: &Path, json: Json) -> Result<u8, Failure> {
    let name = file.display();
    let opened = File::open(file).map_err(io(format_args!("open {name}")))?;
    let cannot = |why: &dyn std::fmt::Display| Failure::new(format_args!("replay {name}: {why}"));
    let mut reader = Reader::new(BufReader::with_capacity(1 << 20, opened)).map_err(|why| cannot(&why))?;
    let start = reader.start();
    let (origin, mut names) = (start.origin, Names::default());
    for (port, config) in start.bridges.iter().flat_map(|bridge| &bridge.switch.ports) {
        names.know(*port, &config.name);
    }
    let mut replay = Replay::begin(start).map_err(|why| {
        let failure = cannot(&why);
        match why {
            CannotReplay::Part { .. } => failure.with_hint(
                "a recording that can be replayed is made by `pontoon capture --all -w FILE`, without a filter",
            ),
            _ => failure,
        }
    })?;
    let so_far = |replay: &Replay| {
        let tally = replay.tally();
        let counted = |count: u64, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
        format!("{}, {}", counted(tally.frames, "frame"), counted(tally.controls, "control"))
    };
    let same = |replay: &Replay, cut_at: Option<u64>| {
        if json.json {
            return print_json(&Report::of(replay, cut_at, None)).map(|()| 0);
        }
        print_line(format_args!("{}: no difference", so_far(replay))).map(|()| 0)
    };
    loop {
        let entry = match reader.next() {
            None => return same(&replay, None),
            Some(Err(RecordingError::Read(ReadError::Cut { at }))) => {
                say(format_args!("pontoon: {name} is cut short at byte {at}; this is of what comes before"));
                return same(&replay, Some(at));
            }
            Some(Err(why)) => {
                return Err(cannot(&why).with_hint(format!("no difference up to there: {}", so_far(&replay))));
            }
            Some(Ok(entry)) => entry,
        };
        if let Entry::Control { control: switch::dataplane::Control::Plug { port, config, .. }, .. } = &entry {
            names.know(*port, &config.name);
        }
        match replay.step(&entry) {
            Ok(Step::Same) => {}
            Ok(Step::Differs(difference)) => {
                let told = told(&difference, &names, origin);
                if json.json {
                    print_json(&Report::of(&replay, None, Some(told)))?;
                } else {
                    print_line(told)?;
                }
                return Ok(1);
            }
            Err(why) => {
                return Err(cannot(&why).with_hint(format!("no difference up to there: {}", so_far(&replay))));
            }
        }
    }
}

/// What ports are called.
#[derive(Debug, Default)]
struct Names(std::collections::BTreeMap<PortId, String>);

impl Names {
    fn know(&mut self, port: PortId, name: &str) {
        self.0.insert(port, name.to_owned());
    }

    fn of(&self, port: PortId) -> String {
        self.0.get(&port).cloned().unwrap_or_else(|| format!("port {}", port.0))
    }
}

/// What became of it, as JSON.
#[derive(Debug, Serialize)]
struct Report {
    frames: u64,
    controls: u64,
    /// The byte at which the file was cut short.
    cut_at: Option<u64>,
    difference: Option<Told>,
}

impl Report {
    fn of(replay: &Replay, cut_at: Option<u64>, difference: Option<Told>) -> Self {
        let tally = replay.tally();
        Self { frames: tally.frames, controls: tally.controls, cut_at, difference }
    }
}

/// A difference, in words.
#[derive(Debug, Serialize)]
struct Told {
    /// Which entry of the recording, from 1 on.
    entry: u64,
    /// Seconds since 1970, with nine decimals: more than a number has room for.
    time: String,
    what: String,
    recorded: String,
    now: String,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { entry, time, what, recorded, now } = self;
        writeln!(f, "entry {entry}, at {time} (seconds since 1970): {what}")?;
        write!(f, "recorded: {recorded}\nnow:      {now}")
    }
}

fn told(difference: &Difference, names: &Names, origin: u64) -> Told {
    let Difference { entry, recorded, now } = difference;
    let nanos = origin.wrapping_add(recorded.at().as_nanos());
    let (what, recorded, now) = match (recorded, now) {
        (
            Entry::Frame(FrameIn { port, bytes, len, verdict, copies, .. }),
            Now::Frame { verdict: today, copies: made },
        ) => (
            format!("by {}: {}", names.of(*port), describe(bytes, *len)),
            decision(Some(verdict), copies, names),
            decision(today.as_ref(), made, names),
        ),
        (Entry::Control { control, made, .. }, Now::Control(done)) => (
            format!("the change {control:?}"),
            if *made { "made" } else { "refused" }.to_owned(),
            done.as_ref().map_or_else(|why| format!("refused: {why}"), |()| "made".to_owned()),
        ),
        (Entry::Results { port, results, .. }, _) => (
            format!("{} answers {results:?}", names.of(*port)),
            "for copies that it had queued".to_owned(),
            "it has none".to_owned(),
        ),
        (other, now) => ("of another kind".to_owned(), format!("{other:?}"), format!("{now:?}")),
    };
    let time = format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
    Told { entry: *entry, time, what, recorded, now }
}

fn decision(verdict: Option<&Verdict>, copies: &[CopyOut], names: &Names) -> String {
    let Some(verdict) = verdict else { return "there is no such port".to_owned() };
    let mut words = String::new();
    in_words(&mut words, verdict, |into, port| into.push_str(&names.of(port)));
    for copy in copies {
        let egress = names.of(copy.egress);
        let outcome = match copy.outcome {
            Outcome::Dropped(reason) => format!("; {egress}: drop: {reason}"),
            Outcome::Offered { retag: switch::vlan::Retag::Keep, .. } => continue,
            Outcome::Offered { retag, .. } => format!("; {egress}: tag {retag:?}"),
        };
        words.push_str(&outcome);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_told_in_words_and_as_json() {
        let words = |words: &str| words.to_owned();
        let (what, time) = (words("by web.eth0: 13 bytes, no frame"), words("90061.000000005"));
        let told = Told { entry: 3, time, what, recorded: words("unicast to db.eth0"), now: words("drop: runt") };
        let text = "entry 3, at 90061.000000005 (seconds since 1970): by web.eth0: 13 bytes, no frame\n\
                    recorded: unicast to db.eth0\nnow:      drop: runt";
        assert_eq!(told.to_string(), text);
        let report = Report { frames: 2, controls: 1, cut_at: None, difference: Some(told) };
        let expected = serde_json::json!({
            "frames": 2, "controls": 1, "cut_at": null,
            "difference": {
                "entry": 3, "time": "90061.000000005", "what": "by web.eth0: 13 bytes, no frame",
                "recorded": "unicast to db.eth0", "now": "drop: runt",
            },
        });
        assert_eq!(serde_json::to_value(&report).ok(), Some(expected));
    }
}
