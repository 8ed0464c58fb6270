//! `pontoon doctor`: what this machine has of all that containers take, and what to do about the rest.
//!
//! * [`facts`] says what is looked at; [`probe`] looks, as whoever asks and without changing anything: what must be tried is
//!   tried in a scratch namespace of a thread or a child of its own, and nobody is waited for without a limit;
//! * [`checks`] decides, from facts alone; [`engine`] does both for what there is of Docker, [`passage`] for its
//!   rules, and [`cni`] for what there is of CNI.

mod checks;
mod cni;
mod engine;
mod facts;
mod passage;
mod probe;

use serde::Serialize;

pub use self::probe::dispatch;
use crate::paths::Dirs;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Ok,
    /// Containers run, but something that Pontoon offers does not work, or has not been tried.
    Warn,
    /// Containers do not run as they should.
    Fail,
}

/// One check: what was looked at and what was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub check: String,
    /// How it came out.
    pub status: Status,
    /// What was found, in words.
    pub finding: String,
    /// What to do, if there is something.
    pub hint: Option<String>,
}

/// Looks at this machine.
#[must_use]
pub fn examine(dirs: &Dirs) -> Vec<Finding> {
    checks::decide(&probe::look(dirs))
}

/// One line each, and one more where there is something to do.
#[must_use]
pub fn text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { check, status, finding, hint } in findings {
        let status = match status {
            Status::Ok => "ok  ",
            Status::Warn => "warn",
            Status::Fail => "fail",
        };
        text.push_str(&format!("{status}  {check}: {finding}\n"));
        text.extend(hint.iter().map(|hint| format!("      hint: {hint}\n")));
    }
    text
}

/// The exit status: 1 if something fails.
#[must_use]
pub fn exit_status(findings: &[Finding]) -> u8 {
    findings.iter().any(|finding| finding.status == Status::Fail).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(status: Status, hint: Option<&str>) -> Finding {
        Finding { check: "nft".into(), status, finding: "it is there".into(), hint: hint.map(str::to_owned) }
    }

    #[test]
    fn a_finding_is_a_line_and_a_hint_another() {
        let findings = [finding(Status::Ok, None), finding(Status::Warn, Some("do it"))];
        assert_eq!(text(&findings), "ok    nft: it is there\nwarn  nft: it is there\n      hint: do it\n");
        let json = serde_json::to_value(&findings[1]).expect("JSON");
        let expected = serde_json::json!({"check": "nft", "status": "warn", "finding": "it is there", "hint": "do it"});
        assert_eq!(json, expected);
    }

    #[test]
    fn only_a_failure_fails() {
        assert_eq!(exit_status(&[finding(Status::Ok, None), finding(Status::Warn, None)]), 0);
        assert_eq!(exit_status(&[finding(Status::Fail, None), finding(Status::Ok, None)]), 1);
    }
}
