//! What a command is started with: arguments and variables of any bytes and as many as the kernel takes, and HOSTNAME.

use super::tests;
use crate::lab::linux::{Linux, status_of, text};
use crate::lab::{Lab, run_all};

tests![hostname_in_the_environment_is_the_containers,];

fn hostname_in_the_environment_is_the_containers() {
    let mut lab = Linux::new();
    lab.up();
    run_all(&mut lab, &["web"]);
    let script = "cat /proc/sys/kernel/hostname; echo \"$HOSTNAME\"";
    let say = |arguments: &[&str]| -> Vec<String> {
        let output = lab.command(arguments).env("HOSTNAME", "callers").output().expect("run pontoon");
        assert_eq!(status_of(&output), 0, "{}", text(&output.stderr));
        text(&output.stdout).lines().map(ToString::to_string).collect()
    };
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("read the host's name").trim().to_owned();
    let cases: [&[&str]; 6] = [
        &["run", "--", "sh", "-c", script],
        &["run", "-h", "box", "--", "sh", "-c", script],
        &["run", "--network", "none", "--", "sh", "-c", script],
        &["run", "--network", "host", "--", "sh", "-c", script],
        &["run", "--network", "container:web", "--", "sh", "-c", script],
        &["exec", "web", "--", "sh", "-c", script],
    ];
    for arguments in cases {
        let said = say(arguments);
        assert_eq!(said[0], said[1], "{arguments:?}");
        assert_ne!(said[1], "callers", "{arguments:?}");
        if arguments.contains(&"host") {
            assert_eq!(said[1], host);
        }
    }
    assert_eq!(say(&["run", "-e", "HOSTNAME=x", "--", "sh", "-c", script])[1], "x");
    assert_eq!(say(&["run", "-e", "HOSTNAME", "--", "sh", "-c", script])[1], "callers");
    assert_eq!(say(&["run", "-h", "box", "-e", "HOSTNAME=x", "--", "sh", "-c", script]), ["box", "x"]);
    assert_eq!(say(&["exec", "-e", "HOSTNAME=x", "web", "--", "sh", "-c", script])[1], "x");
    lab.finish();
}
