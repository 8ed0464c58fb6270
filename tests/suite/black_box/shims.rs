//! A container whose shim can not serve whoever comes.

use std::os::unix::net::UnixStream;

use super::{pontoon, tests};
use crate::lab::linux::{Linux, waited_for};
use crate::lab::{Lab, run_all};

tests![a_shim_that_is_busy_is_a_failure_of_ours];

fn a_shim_that_is_busy_is_a_failure_of_ours() {
    let mut lab = Linux::new();
    lab.up();
    run_all(&mut lab, &["web"]);
    let id = crate::lab::inspect(&mut lab, "web").id;
    let socket = lab.runtime_dir().join("containers").join(&id[..12]).join("shim.sock");
    let idle: Vec<UnixStream> = (0..70).map(|_| UnixStream::connect(&socket).expect("connect")).collect();
    for _ in 0..10 {
        let said = pontoon(&lab, &["exec", "web", "--", "true"]);
        assert_eq!((said.status, said.stdout.as_str()), (125, ""));
        assert!(said.stderr.starts_with("pontoon: "), "{:?}", said.stderr);
    }
    drop(idle);
    let well = || (pontoon(&lab, &["exec", "web", "--", "echo", "well"]).stdout == "well\n").then_some(());
    assert!(waited_for(well).is_some());
    lab.finish();
}
