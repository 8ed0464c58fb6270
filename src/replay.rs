//! `sim replay`: a recording, given to the switch of this program.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use capture::describe::describe;
use capture::pcapng::ReadError;
use capture::recording::{CopyOut, Entry, FrameIn, Outcome, Reader, RecordingError, in_words};
use capture::replay::{CannotReplay, Difference, Now, Replay, Step};
use switch::verdict::{PortId, Verdict};

use crate::failure::{Failure, io};
use crate::output::{print_line, say};

/// Replays a file; returns the exit status: 1 if there is a difference.
///
/// # Errors
/// If it can not be replayed from its beginning to its end; what was before is told.
pub fn replay(file: &Path) -> Result<u8, Failure> {
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
    loop {
        let entry = match reader.next() {
            None => {
                print_line(format_args!("{}: no difference", so_far(&replay)))?;
                return Ok(0);
            }
            Some(Err(RecordingError::Read(ReadError::Cut { at }))) => {
                say(format_args!("pontoon: {name} is cut short at byte {at}; this is of what comes before"));
                print_line(format_args!("{}: no difference", so_far(&replay)))?;
                return Ok(0);
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
                print_line(told(&difference, &names, origin))?;
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

/// A difference, for people.
fn told(difference: &Difference, names: &Names, origin: u64) -> String {
    let Difference { entry, recorded, now } = difference;
    let nanos = origin.wrapping_add(recorded.at().as_nanos());
    let head = format!("entry {entry}, at {}.{:09} (seconds since 1970)", nanos / 1_000_000_000, nanos % 1_000_000_000);
    match (recorded, now) {
        (
            Entry::Frame(FrameIn { port, bytes, len, verdict, copies, .. }),
            Now::Frame { verdict: today, copies: made },
        ) => {
            format!(
                "{head}, by {}: {}\nrecorded: {}\nnow:      {}",
                names.of(*port),
                describe(bytes, *len),
                decision(Some(verdict), copies, names),
                decision(today.as_ref(), made, names),
            )
        }
        (Entry::Control { control, made, .. }, Now::Control(done)) => {
            let was = if *made { "made" } else { "refused" };
            let is = done.as_ref().map_or_else(|why| format!("refused: {why}"), |()| "made".to_owned());
            format!("{head}: the change {control:?}\nrecorded: {was}\nnow:      {is}")
        }
        (Entry::Results { port, results, .. }, _) => {
            format!(
                "{head}: {} answers {results:?}\nrecorded: for copies that it had queued\nnow:      it has none",
                names.of(*port)
            )
        }
        (other, now) => format!("{head}: {other:?}\nnow:      {now:?}"),
    }
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
