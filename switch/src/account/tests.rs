use std::path::PathBuf;

use super::*;
use crate::counters::PortCounters;
use crate::verdict::DropReason;

#[test]
fn counters_in_a_file_go_on_where_a_killed_daemon_left_them() {
    let scratch = Scratch::new("goes-on");
    let (mut account, found) = open(&scratch.file());
    assert_eq!((found, account.since()), (Found::Nothing, 100));
    account.rx.count_unreadable(3, DropReason::Runt);
    let counted = (*account).clone();
    // (A killed daemon drops nothing.)
    std::mem::forget(account);
    let (account, found) = Account::<PortCounters>::open(&scratch.file(), 200).unwrap();
    assert_eq!((found, account.since(), &*account), (Found::Continued, 100, &counted));
}

#[test]
fn what_is_no_account_is_put_aside_and_counting_begins_anew() {
    let mut of_others = vec![0; LENGTH];
    of_others[..8].copy_from_slice(&MAGIC);
    let foreign: [(&[u8], &str); 5] = [
        (b"", "it has another length"),
        (&[0; 100], "it has another length"),
        (&[0; LENGTH + 1], "it has another length"),
        (&[0x5a; LENGTH], "it holds no counters"),
        (&of_others, "another version has counted in it"),
    ];
    let scratch = Scratch::new("aside");
    for (content, expected) in foreign {
        std::fs::write(scratch.file(), content).unwrap();
        let (account, found) = open(&scratch.file());
        let aside = scratch.file().with_extension("unusable");
        assert_eq!(found, Found::Unusable { why: expected, aside: aside.clone() });
        assert_eq!((&*account, account.since()), (&PortCounters::default(), 100));
        assert_eq!(std::fs::read(aside).unwrap(), content);
        assert_eq!(open(&scratch.file()).1, Found::Continued);
    }
}

#[test]
fn a_file_that_can_not_be_made_is_an_error_that_names_it() {
    let nowhere = Scratch::new("nowhere").0.join("no/such/directory");
    let failed = Account::<PortCounters>::open(&nowhere, 1).unwrap_err().to_string();
    assert!(failed.starts_with("make the counters /") && failed.contains("no/such/directory"), "{failed}");
}

#[test]
fn half_a_frame_that_a_killed_daemon_counted_does_not_break_the_law() {
    let home = Home::default();
    let mut account = Account::<PortCounters>::lend(&home, 1);
    account.rx.count_unreadable(3, DropReason::Runt);
    account.rx.packets += 1;
    account.tx.drops.add(DropReason::LinkFull);
    assert!(account.check().is_err());
    drop(account);
    let mended = Account::<PortCounters>::lend(&home, 2);
    assert_eq!((mended.check(), mended.rx.packets, mended.tx.dropped), (Ok(()), 1, 1));
}

#[test]
fn a_port_that_goes_joins_the_departed_and_one_that_comes_back_leaves_them() {
    let (mut departed, mut port) = (Account::<Departed>::default(), Account::<PortCounters>::default());
    departed.admit(&mut port);
    port.rx.count_unreadable(3, DropReason::Runt);
    for _ in 0..3 {
        departed.join(&mut port);
        assert_eq!(departed.sum(), &*port);
        departed.join(&mut port);
        assert_eq!(departed.sum(), &*port, "it has joined already");
        departed.admit(&mut port);
        assert_eq!(departed.sum(), &PortCounters::default());
    }
}

#[test]
fn a_step_that_a_killed_daemon_had_not_noted_in_the_account_is_not_taken_twice() {
    let mut departed = Account::<Departed>::default();
    let mut ports = [Account::<PortCounters>::default(), Account::default()];
    for port in &mut ports {
        departed.admit(port);
        port.rx.count_unreadable(3, DropReason::Runt);
    }
    let before = ports[1].clone();
    ports.iter_mut().for_each(|port| departed.join(port));
    // As it was before the step: the daemon was killed just after it.
    ports[1] = before;
    ports.iter_mut().for_each(|port| departed.join(port));
    assert_eq!(departed.sum().rx.packets, 2);
    let unnoted = ports[1].clone();
    departed.admit(&mut ports[1]);
    ports[1] = unnoted;
    departed.admit(&mut ports[1]);
    assert_eq!(departed.sum().rx.packets, 1);
}

#[test]
fn a_copy_counts_for_itself_and_is_read_again_as_it_was_written() {
    let mut account = Account::<PortCounters>::new(7);
    account.rx.count_unreadable(3, DropReason::Runt);
    let mut copy = account.clone();
    copy.rx.count_unreadable(3, DropReason::Runt);
    assert_eq!((account.rx.packets, copy.rx.packets, copy.since()), (1, 2, 7));
    let read: Account<PortCounters> = serde_json::from_str(&serde_json::to_string(&copy).unwrap()).unwrap();
    assert_eq!((&*read, read.since()), (&*copy, 7));
}

fn open(path: &std::path::Path) -> (Account<PortCounters>, Found) {
    Account::open(path, 100).unwrap()
}

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("pontoon-account-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        Scratch(directory)
    }

    fn file(&self) -> PathBuf {
        self.0.join("port")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
