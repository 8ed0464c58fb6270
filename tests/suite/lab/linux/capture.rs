//! [`Capture`]: `pontoon capture` at work.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, Command, Output};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A capture that is under way.
pub struct Capture {
    child: Child,
    errors: BufReader<ChildStderr>,
}

impl Capture {
    /// Begins one; when this returns, whatever comes is in it.
    pub fn start(mut command: Command) -> Self {
        let mut child = command.spawn().expect("run pontoon");
        let mut errors = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut line = String::new();
        errors.read_line(&mut line).expect("read");
        assert!(line.starts_with("pontoon: capturing on "), "{line}");
        Capture { child, errors }
    }

    /// Ends it, as Ctrl-C does; what it has said since it began.
    pub fn interrupt(self) -> Output {
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGINT).expect("send SIGINT");
        self.end()
    }

    /// Waits for its end; what it has said since it began.
    pub fn end(mut self) -> Output {
        let mut stderr = Vec::new();
        let output = self.child.wait_with_output().expect("wait");
        self.errors.read_to_end(&mut stderr).expect("read");
        Output { stderr, ..output }
    }
}
