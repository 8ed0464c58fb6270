//! The daemon is killed at each step that `run`, `stop` and `rm` take; the next one finishes or undoes what was left half done.
//!
//! Steps are counted from the daemon's start, so the first ones are those of taking over.

use super::scenarios;
use crate::lab::{Census, Lab, Order, Program, address, assert_all_reach_each_other, inspect, names, run, run_all};

scenarios![
    a_daemon_killed_at_any_step_of_run_leaves_all_or_nothing,
    a_daemon_killed_at_any_step_of_a_run_that_fails_leaves_nothing,
    a_daemon_killed_at_any_step_of_stop_leaves_a_container_that_ends,
    a_daemon_killed_at_any_step_of_rm_leaves_all_or_nothing,
    a_daemon_killed_at_any_step_of_a_containers_end_settles_it_later,
];

/// More steps than any operation takes.
const MANY: u32 = 80;

fn a_daemon_killed_at_any_step_of_run_leaves_all_or_nothing(lab: &mut dyn Lab) {
    let quiet = with_two_neighbours(lab);
    at_each_step(lab, &mut |lab| lab.run(Order::new("web").ip("172.17.9.9")).is_ok(), &mut |lab| {
        match names(lab, true).as_slice() {
            [a, b, web] if a == "a" && b == "b" && web == "web" => {
                assert_eq!(inspect(lab, "web").state, "running");
                assert_all_reach_each_other(lab, &["a", "b", "web"]);
                lab.rm("web", true).expect("rm -f web");
            }
            others => assert_eq!(others, ["a", "b"]),
        }
        assert_eq!(lab.census(), quiet);
        run(lab, Order::new("web").ip("172.17.9.9"));
        assert_all_reach_each_other(lab, &["a", "b", "web"]);
        lab.rm("web", true).expect("rm -f web");
        assert_eq!(lab.census(), quiet);
    });
}

fn a_daemon_killed_at_any_step_of_a_run_that_fails_leaves_nothing(lab: &mut dyn Lab) {
    let quiet = with_two_neighbours(lab);
    let fails = Order::new("web").program(Program::NotFound);
    let mut is_answered = |lab: &mut dyn Lab| lab.run(fails.clone()).is_err_and(|refusal| refusal.status == 127);
    at_each_step(lab, &mut is_answered, &mut |lab| {
        assert_eq!(names(lab, true), ["a", "b"]);
        assert_eq!(lab.census(), quiet);
        assert_all_reach_each_other(lab, &["a", "b"]);
    });
}

fn a_daemon_killed_at_any_step_of_stop_leaves_a_container_that_ends(lab: &mut dyn Lab) {
    let quiet = with_two_neighbours(lab);
    run(lab, Order::new("web"));
    let is_asked_to_end = std::cell::Cell::new(false);
    let mut stop = |lab: &mut dyn Lab| {
        let is_done = lab.stop("web", 10).is_ok();
        let state = lab.saved_state("web").expect("it has a record");
        is_asked_to_end.set(state != "running");
        is_done
    };
    at_each_step(lab, &mut stop, &mut |lab| {
        // What was on record is finished by the next daemon: nobody has to ask again.
        if !is_asked_to_end.get() {
            assert_eq!(inspect(lab, "web").state, "running");
            assert_all_reach_each_other(lab, &["a", "b", "web"]);
            lab.stop("web", 10).expect("stop web");
        }
        is_asked_to_end.set(false);
        assert_eq!(inspect(lab, "web").state, "exited");
        assert_eq!(lab.census(), quiet);
        assert_all_reach_each_other(lab, &["a", "b"]);
        lab.rm("web", false).expect("rm web");
        run(lab, Order::new("web"));
    });
}

fn a_daemon_killed_at_any_step_of_rm_leaves_all_or_nothing(lab: &mut dyn Lab) {
    let quiet = with_two_neighbours(lab);
    let make = |lab: &mut dyn Lab| {
        run(lab, Order::new("web").program(Program::Exit(7)));
        lab.wait_ended("web");
    };
    make(lab);
    at_each_step(lab, &mut |lab| lab.rm("web", false).is_ok(), &mut |lab| {
        if names(lab, true).contains(&"web".to_owned()) {
            assert_eq!(inspect(lab, "web").exit_status, Some(7));
            lab.rm("web", false).expect("rm web");
        }
        assert_eq!(names(lab, true), ["a", "b"]);
        assert_eq!(lab.census(), quiet);
        assert_all_reach_each_other(lab, &["a", "b"]);
        make(lab);
    });
}

fn a_daemon_killed_at_any_step_of_a_containers_end_settles_it_later(lab: &mut dyn Lab) {
    let quiet = with_two_neighbours(lab);
    run(lab, Order::new("web"));
    let mut is_settled = |lab: &mut dyn Lab| {
        lab.kill_command("web");
        lab.eventually("it is settled, or the daemon is gone", &mut |lab| {
            !lab.daemon_runs() || lab.inspect("web").is_ok_and(|web| web.state == "exited")
        });
        lab.daemon_runs()
    };
    at_each_step(lab, &mut is_settled, &mut |lab| {
        if inspect(lab, "web").state == "running" {
            // The daemon did not live long enough for the command to be found and killed.
            lab.kill("web", 9).expect("kill web");
        }
        assert_eq!(inspect(lab, "web").exit_status, Some(137));
        assert_eq!(lab.census(), quiet);
        assert_all_reach_each_other(lab, &["a", "b"]);
        lab.rm("web", false).expect("rm web");
        run(lab, Order::new("web"));
    });
}

/// Two containers that are to notice nothing; what there is then.
fn with_two_neighbours(lab: &mut dyn Lab) -> Census {
    lab.up();
    run_all(lab, &["a", "b"]);
    assert_eq!(crate::lab::ip_of(lab, "a"), address("172.17.0.2"));
    lab.census()
}

/// For n = 1, 2, …: an operation with a daemon that is killed in its n-th step, then `afterwards` with the next daemon; until a daemon lives to see the operation succeed.
pub(super) fn at_each_step(
    lab: &mut dyn Lab,
    operation: &mut dyn FnMut(&mut dyn Lab) -> bool,
    afterwards: &mut dyn FnMut(&mut dyn Lab),
) {
    for steps in 1..MANY {
        lab.kill_daemon();
        lab.up_killed_after(steps);
        let is_done = lab.daemon_runs() && operation(lab) && lab.daemon_runs();
        if lab.daemon_runs() {
            lab.kill_daemon();
        }
        lab.up();
        afterwards(lab);
        if is_done {
            assert!(steps > 2, "the operation takes steps, so the first daemons must have been killed in it");
            return;
        }
    }
    panic!("the operation does not succeed in {MANY} steps");
}
