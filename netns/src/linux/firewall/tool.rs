//! Running an administrator's program: text in, text out, both bounded.

use std::env;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::process::{Command, Stdio};

/// Where such programs are; the `PATH` of someone who is not root may lack it.
const SBIN: &str = "/usr/local/sbin:/usr/sbin:/sbin";
/// How much is read of what a program prints, in bytes: a ruleset of some hundred thousand rules.
const MAX_OUTPUT: u64 = 256 << 20;
/// How much is read of its complaints, in bytes.
const MAX_COMPLAINT: u64 = 4 << 10;

/// Runs a program to its end with `input` as its standard input. What it printed, or, if it did not succeed, what it
/// complained of.
///
/// # Errors
/// `NotFound` if there is no such program; or it could not be run, or printed too much.
pub(super) fn run(program: &str, arguments: &[&str], input: &str) -> io::Result<Result<String, String>> {
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("PATH", path()).env("LC_ALL", "C.UTF-8");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child =
        command.spawn().map_err(|why| if is_nowhere(program) { io::ErrorKind::NotFound.into() } else { why })?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that ends before it has read all says why.
        let _ = stdin.write_all(input.as_bytes());
    }
    let printed = child.stdout.take().map(|stdout| bounded(stdout, MAX_OUTPUT)).transpose();
    // If it printed too much, the pipe that it prints to is closed by now, so it ends.
    let complaint = child.stderr.take().map(|stderr| bounded(stderr, MAX_COMPLAINT)).transpose();
    let status = child.wait()?;
    let (printed, complaint) = (printed?.unwrap_or_default(), complaint?.unwrap_or_default());
    if printed.len() as u64 > MAX_OUTPUT {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it printed more than {MAX_OUTPUT} bytes")));
    }
    if status.success() {
        return Ok(Ok(String::from_utf8_lossy(&printed).into_owned()));
    }
    let said = errors_in(&String::from_utf8_lossy(&complaint));
    Ok(Err(if said.is_empty() { format!("{program} ended with {status}") } else { said }))
}

/// Whether no directory has the program. Of one that may not be looked into, the kernel says that it is denied.
fn is_nowhere(program: &str) -> bool {
    env::split_paths(&path()).all(|directory| !directory.join(program).exists())
}

fn path() -> OsString {
    let mut path = env::var_os("PATH").unwrap_or_default();
    if !path.is_empty() {
        path.push(":");
    }
    path.push(SBIN);
    path
}

/// What can be read; of more than `limit`, one byte too much.
fn bounded(source: impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(limit + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The lines with an error in them, without the place in a text that nobody has seen; all lines if there is none.
fn errors_in(complaint: &str) -> String {
    let errors: Vec<&str> =
        complaint.lines().filter_map(|line| line.split_once("Error: ")).map(|(_, error)| error.trim()).collect();
    if errors.is_empty() {
        return complaint.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
    }
    errors.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_errors_of_a_complaint_are_told() {
        let complaint =
            "/dev/stdin:3:4-9: Error: Could not process rule: No such file or directory\nadd x\n    ^^^^^^\n";
        assert_eq!(errors_in(complaint), "Could not process rule: No such file or directory");
        assert_eq!(errors_in("a: b\n\n  c\n"), "a: b; c");
    }

    #[test]
    fn what_a_program_prints_is_told_from_what_it_complains_of() {
        assert_eq!(run("cat", &[], "text\n").expect("it runs"), Ok("text\n".to_owned()));
        let failed = run("sh", &["-c", "echo no; echo why >&2; exit 3"], "").expect("it runs");
        assert_eq!(failed, Err("why".to_owned()));
        assert_eq!(run("false", &[], "").expect("it runs"), Err("false ended with exit status: 1".to_owned()));
    }

    #[test]
    fn a_program_that_reads_nothing_is_no_error() {
        assert_eq!(run("true", &[], &"x".repeat(1 << 20)).expect("it runs"), Ok(String::new()));
    }

    #[test]
    fn a_program_that_is_not_there_is_told_apart() {
        let why = run("pontoon-has-no-such-program", &[], "").expect_err("it is not there");
        assert_eq!(why.kind(), io::ErrorKind::NotFound);
    }
}
