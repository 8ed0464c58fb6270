//! How containers come, are called, and go.

use super::scenarios;
use crate::lab::{Lab, Order, Place, Program, Refusal, address, inspect, ip_of, names, run, run_all};

scenarios![
    an_id_has_64_digits_and_its_beginning_will_do,
    a_beginning_that_several_ids_have_is_ambiguous,
    a_container_without_a_name_gets_one,
    a_foreground_container_is_gone_when_it_ends,
    a_detached_container_stays_listed_until_it_is_removed,
    what_a_detached_container_writes_is_kept_until_it_is_removed,
    a_detached_container_with_rm_goes_when_it_ends,
    the_exit_status_is_the_commands_own,
    the_exit_status_tells_the_signal,
    a_command_that_does_not_run_leaves_nothing,
    stop_asks_a_container_to_end,
    stop_ends_a_container_that_does_not,
    a_signal_reaches_the_command,
    a_name_is_free_when_its_container_has_ended,
    down_ends_every_container,
];

fn an_id_has_64_digits_and_its_beginning_will_do(lab: &mut dyn Lab) {
    lab.up();
    let id = run(lab, Order::new("web"));
    assert_eq!(id.len(), 64);
    assert!(id.chars().all(|digit| matches!(digit, '0'..='9' | 'a'..='f')), "{id}");
    for beginning in [&id[..1], &id[..12], &id[..]] {
        assert_eq!(inspect(lab, beginning).name, "web");
    }
    lab.stop(&id[..12], 10).expect("stop by the short id");
    lab.rm(&id[..12], false).expect("rm by the short id");
    let gone = lab.inspect(&id[..12]).map(drop);
    assert_eq!(gone, Err(Refusal { status: 1, message: format!("no such container: {}", &id[..12]) }));
}

fn a_beginning_that_several_ids_have_is_ambiguous(lab: &mut dyn Lab) {
    lab.up();
    // 17 ids have 16 first digits to share.
    let ids: Vec<String> = (0..17)
        .map(|number| run(lab, Order::new(&format!("c{number}")).network("none").program(Program::Exit(0))))
        .collect();
    let (digit, count) = (b'0'..=b'f')
        .map(|digit| (char::from(digit), ids.iter().filter(|id| id.starts_with(char::from(digit))).count()))
        .max_by_key(|(_, count)| *count)
        .expect("there are digits");
    let refused = lab.inspect(&digit.to_string()).map(drop);
    let message = format!("'{digit}' is ambiguous: it is the beginning of {count} containers' ids");
    assert_eq!(refused, Err(Refusal { status: 1, message: message.clone() }));
    let joined = lab.run(Order::new("joiner").network(&format!("container:{digit}")));
    let message = format!("--network container:{digit}: {message}");
    assert_eq!(joined, Err(Refusal { status: 125, message }));
}

fn a_container_without_a_name_gets_one(lab: &mut dyn Lab) {
    lab.up();
    let ids = [run(lab, Order::nameless()), run(lab, Order::nameless())];
    let named: Vec<String> = ids.iter().map(|id| inspect(lab, id).name).collect();
    assert_ne!(named[0], named[1]);
    for name in &named {
        let (manner, water) = name.split_once('_').expect("two words");
        assert!(!manner.is_empty() && !water.is_empty(), "{name}");
        assert!(ids.contains(&inspect(lab, name).id), "the name will do, too");
    }
}

fn a_foreground_container_is_gone_when_it_ends(lab: &mut dyn Lab) {
    lab.up();
    assert_eq!(lab.run_to_end(Order::new("once").foreground().program(Program::Exit(0))), Ok(0));
    assert_eq!(names(lab, true), Vec::<String>::new());
    run(lab, Order::new("web").foreground());
    assert_eq!(names(lab, false), ["web"]);
    lab.stop("web", 10).expect("stop web");
    assert_eq!(names(lab, true), Vec::<String>::new());
}

fn a_detached_container_stays_listed_until_it_is_removed(lab: &mut dyn Lab) {
    lab.up();
    run(lab, Order::new("job").program(Program::Exit(3)));
    lab.wait_ended("job");
    assert_eq!(names(lab, false), Vec::<String>::new());
    assert_eq!(names(lab, true), ["job"]);
    let job = inspect(lab, "job");
    assert_eq!((job.state.as_str(), job.exit_status, job.pid), ("exited", Some(3), 0));
    assert!(job.networks.is_empty(), "its address is free: {job:?}");
    run(lab, Order::new("next"));
    assert_eq!(ip_of(lab, "next"), address("172.17.0.2"));
    lab.rm("job", false).expect("rm job");
    assert_eq!(names(lab, true), ["next"]);
}

fn what_a_detached_container_writes_is_kept_until_it_is_removed(lab: &mut dyn Lab) {
    lab.up();
    run(lab, Order::new("job").program(Program::Print("all is well")));
    lab.wait_ended("job");
    assert_eq!(lab.logs("job").as_deref(), Ok("all is well\n"));
    lab.kill_daemon();
    lab.up();
    assert_eq!(lab.logs("job").as_deref(), Ok("all is well\n"), "the next daemon has it as well");
    lab.rm("job", false).expect("rm job");
    assert_eq!(lab.logs("job"), Err(Refusal { status: 1, message: "no such container: job".to_owned() }));
}

fn a_detached_container_with_rm_goes_when_it_ends(lab: &mut dyn Lab) {
    lab.up();
    run(lab, Order::new("job").rm().program(Program::Exit(3)));
    lab.wait_ended("job");
    assert_eq!(names(lab, true), Vec::<String>::new());
}

fn the_exit_status_is_the_commands_own(lab: &mut dyn Lab) {
    lab.up();
    for status in [0, 1, 7, 125, 255] {
        let order = Order::nameless().foreground().program(Program::Exit(status));
        assert_eq!(lab.run_to_end(order), Ok(i32::from(status)));
    }
    for mode in ["host", "none"] {
        let order = Order::nameless().network(mode).foreground().program(Program::Exit(7));
        assert_eq!(lab.run_to_end(order), Ok(7), "{mode}");
    }
    run_all(lab, &["web"]);
    let joiner = Order::nameless().network("container:web").foreground().program(Program::Exit(7));
    assert_eq!(lab.run_to_end(joiner), Ok(7));
}

fn the_exit_status_tells_the_signal(lab: &mut dyn Lab) {
    lab.up();
    for signal in [9, 15, 6] {
        let order = Order::nameless().foreground().program(Program::KillSelf(signal));
        assert_eq!(lab.run_to_end(order), Ok(128 + signal));
    }
    run(lab, Order::new("job").program(Program::KillSelf(9)));
    lab.wait_ended("job");
    assert_eq!(inspect(lab, "job").exit_status, Some(137));
}

fn a_command_that_does_not_run_leaves_nothing(lab: &mut dyn Lab) {
    lab.up();
    run_all(lab, &["web"]);
    let before = lab.census();
    for detach in [true, false] {
        for (program, status) in [(Program::NotFound, 127), (Program::NotExecutable, 126)] {
            let mut order = Order::new("job").program(program);
            order.detach = detach;
            let refused = if detach { lab.run(order).map(drop) } else { lab.run_to_end(order).map(drop) };
            assert_eq!(refused.map_err(|refusal| refusal.status), Err(status));
            assert_eq!(lab.census(), before);
            assert_eq!(names(lab, true), ["web"]);
        }
    }
}

fn stop_asks_a_container_to_end(lab: &mut dyn Lab) {
    lab.up();
    run_all(lab, &["web"]);
    lab.stop("web", 600).expect("stop web");
    assert_eq!(inspect(lab, "web").exit_status, Some(143));
    lab.stop("web", 600).expect("one that does not run is left alone");
}

fn stop_ends_a_container_that_does_not(lab: &mut dyn Lab) {
    lab.up();
    run(lab, Order::new("stubborn").program(Program::IgnoreTerm));
    lab.stop("stubborn", 1).expect("stop");
    assert_eq!(inspect(lab, "stubborn").exit_status, Some(137));
    run(lab, Order::new("again").program(Program::IgnoreTerm));
    lab.stop("again", 0).expect("stop at once");
    assert_eq!(inspect(lab, "again").exit_status, Some(137));
}

fn a_signal_reaches_the_command(lab: &mut dyn Lab) {
    lab.up();
    run_all(lab, &["one", "two"]);
    lab.kill("one", 12).expect("kill -s USR2");
    lab.wait_ended("one");
    assert_eq!(inspect(lab, "one").exit_status, Some(140));
    lab.kill("two", 9).expect("kill");
    assert_eq!(inspect(lab, "two").exit_status, Some(137), "gone when kill returns");
    let again = lab.kill("two", 9);
    assert_eq!(again, Err(Refusal { status: 1, message: "container two is not running".into() }));
}

fn a_name_is_free_when_its_container_has_ended(lab: &mut dyn Lab) {
    lab.up();
    let id = run(lab, Order::new("web"));
    let taken = Err(Refusal { status: 125, message: format!("the name 'web' is in use by container {}", &id[..12]) });
    assert_eq!(lab.run(Order::new("web")), taken);
    lab.stop("web", 10).expect("stop web");
    let second = run(lab, Order::new("web"));
    assert_eq!(names(lab, true), ["web", "web"], "the first stays listed");
    assert_eq!(inspect(lab, "web").id, second, "the name means the one that runs");
    assert_eq!(inspect(lab, &id).state, "exited");
    run(lab, Order::new("sidecar").network("container:web"));
    lab.rm("web", true).expect("rm -f web");
    assert_eq!(inspect(lab, "web").id, id, "and then the one that is left");
    lab.rm("web", false).expect("rm web");
    assert_eq!(names(lab, true), ["sidecar"]);
    run(lab, Order::new("web"));
}

fn down_ends_every_container(lab: &mut dyn Lab) {
    lab.up();
    let before = lab.census();
    run_all(lab, &["web"]);
    run(lab, Order::new("stubborn").network("none").foreground());
    run(lab, Order::new("monitor").network("host"));
    run(lab, Order::new("sidecar").network("container:web"));
    lab.down();
    lab.up();
    assert_eq!(lab.census(), before);
    assert_eq!(names(lab, false), Vec::<String>::new());
    assert_eq!(names(lab, true), ["monitor", "sidecar", "web"], "records of detached ones stay");
    assert_eq!(inspect(lab, "web").exit_status, Some(143));
    assert!(lab.ping(Place::Host, address("172.17.0.1"), 56));
}
