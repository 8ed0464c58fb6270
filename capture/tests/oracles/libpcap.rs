//! Filters against libpcap: `tcpdump -r FILE FILTER` over frames of all kinds.

use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;

use capture::filter::Filter;
use capture::pcap;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::dice::{Dice, Frames, entropy};

/// How many frames each filter sees.
const FRAMES: usize = 60;

pub(crate) fn a_filter_means_what_it_means_to_libpcap() {
    let frames = prop::collection::vec(entropy(24), FRAMES);
    run(&(entropy(48), frames), |(filter, frames)| {
        let text = Dice::new(&filter).filter();
        let filter = parse(&text);
        let frames: Vec<_> = frames.iter().map(|bytes| Dice::new(bytes).frame(Frames::Cut)).collect();
        let whole: Vec<_> = frames.iter().map(|(frame, _)| frame.clone()).collect();
        let theirs = tcpdump(&text, &whole);
        for (at, (frame, is_cut)) in frames.iter().enumerate() {
            // Of a network libpcap looks at no more of an address than it must: for one without bits, one that is cut off will do.
            if *is_cut && text.contains("/0") {
                continue;
            }
            let (mine, theirs) = (filter.matches(frame, frame.len()), theirs.contains(&at));
            // (A frame that ends before what a test looks at matches nothing at all to libpcap.)
            prop_assert!(
                mine == theirs || *is_cut && mine,
                "{text}: we say {mine}, libpcap says {theirs} of {frame:02x?}"
            );
        }
        Ok(())
    });
}

/// libpcap has to be told of each tag, and then looks behind it.
pub(crate) fn a_filter_means_behind_tags_what_it_means_before() {
    let frames = prop::collection::vec(entropy(24), FRAMES);
    run(&(entropy(48), entropy(8), frames), |(filter, tags, frames)| {
        let text = Dice::new(&filter).filter();
        let filter = parse(&text);
        let tags = Dice::new(&tags).tags(2);
        let tagged = format!("{}({text})", "vlan and ".repeat(tags.len() / 4));
        let insert = |bytes: &Vec<u8>| {
            let mut frame = Dice::new(bytes).frame(Frames::Plain).0;
            frame.splice(12..12, tags.iter().copied());
            frame
        };
        let frames: Vec<_> = frames.iter().map(insert).collect();
        let theirs = tcpdump(&tagged, &frames);
        for (at, frame) in frames.iter().enumerate() {
            let mine = filter.matches(frame, frame.len());
            prop_assert_eq!(mine, theirs.contains(&at), "{} of {:02x?}", &tagged, frame);
            prop_assert_eq!(parse(&tagged).matches(frame, frame.len()), mine);
        }
        Ok(())
    });
}

fn run<S: Strategy>(strategy: &S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    // (A case is a process: some milliseconds.)
    let cases = Config::default().cases * 2;
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    if let Err(error) = runner.run(strategy, test) {
        panic!("{error}");
    }
}

pub(crate) fn parse(text: &str) -> Filter {
    Filter::parse(text).unwrap_or_else(|error| panic!("{error}\n{}", error.render(text)))
}

/// Which frames `tcpdump` finds, by their numbers.
pub(crate) fn tcpdump(filter: &str, frames: &[Vec<u8>]) -> Vec<usize> {
    let mut file = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0];
    for (number, frame) in frames.iter().enumerate() {
        let len = (frame.len() as u32).to_le_bytes();
        file.extend((number as u32).to_le_bytes());
        file.extend([[0; 4], len, len].concat());
        file.extend(frame);
    }
    // As it is written, not as libpcap's optimiser has it (-O): that one takes `src net fd00::/127 and src net fd00::/127` for
    // something that no packet is.
    let mut child = Command::new("tcpdump")
        .args(["-O", "-n", "-r", "-", "-w", "-", "--", filter])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("tcpdump runs");
    let mut stdin = child.stdin.take().expect("it is piped");
    let writer = thread::spawn(move || drop(stdin.write_all(&file)));
    let output = child.wait_with_output().expect("tcpdump ends");
    writer.join().expect("the file is written");
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("expression rejects all packets") {
        return Vec::new();
    }
    assert!(output.status.success(), "tcpdump '{filter}': {said}");
    let found = pcap::Frames::new(&output.stdout[..]).expect("tcpdump writes a capture");
    found.map(|frame| (frame.expect("a whole capture").nanos / 1_000_000_000) as usize).collect()
}
