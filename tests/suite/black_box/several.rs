//! Several containers in one command.

use super::{pontoon, prints, tests};
use crate::lab::linux::Linux;
use crate::lab::{Lab, run_all};

tests![several_containers_are_stopped_at_the_same_time, inspect_shows_what_is_there_and_tells_what_is_not];

fn several_containers_are_stopped_at_the_same_time() {
    let mut lab = Linux::new();
    lab.up();
    let asked = lab.dir().join("asked").display().to_string();
    // The first two end when the last has been asked to.
    let first =
        format!("trap 'until test -e {asked}; do sleep 0.01; done; exit 7' TERM; echo; while :; do sleep 0.01; done");
    let last = format!("trap ': >{asked}; exit 8' TERM; while :; do sleep 0.01; done");
    for (name, script) in [("a", &first), ("b", &first), ("c", &last)] {
        prints(&lab, &["run", "-d", "--name", name, "--", "sh", "-c", &format!("echo; {script}")]);
    }
    for name in ["a", "b", "c"] {
        let is_ready = crate::lab::linux::waited_for(|| (!prints(&lab, &["logs", name]).is_empty()).then_some(()));
        assert!(is_ready.is_some());
    }
    let said = pontoon(&lab, &["stop", "-t", "60", "a", "nobody", "b", "nothing", "c"]);
    assert_eq!((said.status, said.stdout.as_str()), (1, "a\nb\nc\n"));
    let hint = "hint: `pontoon ps -a` lists all containers\n";
    let told = format!("pontoon: no such container: nobody\n{hint}pontoon: no such container: nothing\n{hint}");
    assert_eq!(said.stderr, told);
    for (name, status) in [("a", 7), ("b", 7), ("c", 8)] {
        assert_eq!(crate::lab::inspect(&mut lab, name).exit_status, Some(status), "{name}");
    }
    lab.finish();
}

fn inspect_shows_what_is_there_and_tells_what_is_not() {
    let mut lab = Linux::new();
    lab.up();
    run_all(&mut lab, &["web", "db"]);
    let names = |said: &str| -> Vec<String> {
        let views: Vec<serde_json::Value> = serde_json::from_str(said).expect("JSON");
        views.iter().map(|view| view["name"].as_str().expect("a name").to_owned()).collect()
    };
    let said = pontoon(&lab, &["inspect", "web", "nope", "db", "nobody"]);
    let hint = "hint: `pontoon ps -a` lists all containers\n";
    let told = format!("pontoon: no such container: nope\n{hint}pontoon: no such container: nobody\n{hint}");
    assert_eq!((said.status, names(&said.stdout), said.stderr), (1, vec!["web".into(), "db".into()], told));
    let said = pontoon(&lab, &["network", "inspect", "bridge", "nope", "none"]);
    assert_eq!((said.status, names(&said.stdout)), (1, vec!["bridge".to_owned(), "none".to_owned()]));
    let said = pontoon(&lab, &["inspect", "nope"]);
    assert_eq!((said.status, said.stdout.as_str()), (1, "[]\n"));
    lab.finish();
}
