//! What the daemon logs, and how.

use serde_json::Value;

use super::{Said, fails, tests};
use crate::lab::linux::Linux;
use crate::lab::{Lab, NetworkOrder, create, run_all};

tests![each_line_of_a_json_log_is_an_object, a_log_format_that_there_is_not_is_wrong_usage,];

fn each_line_of_a_json_log_is_an_object() {
    for (arguments, variable) in [(&["--log-format", "json", "up", "--detach"][..], ""), (&["up", "--detach"], "json")]
    {
        let mut lab = Linux::called(if variable.is_empty() { "by-option" } else { "by-variable" });
        let mut up = lab.command(arguments);
        let up: Said = up.env("PONTOON_LOG_FORMAT", variable).output().expect("run pontoon").into();
        assert_eq!((up.status, &*up.stderr), (0, ""));
        run_all(&mut lab, &["web"]);
        create(&mut lab, NetworkOrder::new("back"));
        let bridge = lab.inspect_network("back").expect("it is there").bridge.expect("a bridge");
        lab.remove_network("back").expect("it goes");
        lab.down();
        let log = std::fs::read_to_string(lab.runtime_dir().join("daemon.log")).expect("there is a log");
        let lines: Vec<Value> =
            log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}"))).collect();
        for line in &lines {
            for key in ["timestamp", "level", "message"] {
                assert!(line[key].is_string(), "{key}: {line}");
            }
        }
        assert!(lines.iter().any(|line| line["pid"].is_u64()), "{log}");
        let told = |message: &str, key: &str, value: &str| {
            lines.iter().any(|line| line["message"] == message && line[key] == value && line["level"] == "INFO")
        };
        assert!(told("container started", "container", "web"), "{log}");
        assert!(told("container ended", "container", "web"), "{log}");
        assert!(told("port up", "port", "web.eth0"), "{log}");
        assert!(told("port down", "port", "web.eth0"), "{log}");
        assert!(told("port down", "bridge", &bridge), "{log}");
        lab.finish();
    }
}

fn a_log_format_that_there_is_not_is_wrong_usage() {
    let mut lab = Linux::new();
    let why = "error: invalid value 'xml' for '--log-format <FORMAT>'\n  [possible values: text, json]\n\n\
               For more information, try '--help'.\n";
    fails(&lab, &["--log-format", "xml", "status"], 2, why);
    lab.finish();
}
