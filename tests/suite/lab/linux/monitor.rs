//! [`Monitor`]: `pontoon bridge monitor` at work.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStderr, ChildStdout, Command};

use netns::event::Event;

/// A process that tells of what happens, for as long as this lives.
pub struct Monitor {
    child: Child,
    lines: BufReader<ChildStdout>,
    says: BufReader<ChildStderr>,
}

impl Monitor {
    /// Starts it; when this returns it misses nothing.
    pub fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap_or_else(|why| panic!("run pontoon: {why}"));
        let lines = BufReader::new(child.stdout.take().expect("a pipe"));
        let says = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut it = Monitor { child, lines, says };
        assert_eq!(it.says(), "pontoon: listening");
        it
    }

    /// The next line that it prints; waits for it.
    pub fn line(&mut self) -> String {
        next_line(&mut self.lines)
    }

    /// The next line that it says on standard error; waits for it.
    pub fn says(&mut self) -> String {
        next_line(&mut self.says)
    }

    /// The next events, up to and with the first that `is_last`.
    pub fn until(&mut self, is_last: &dyn Fn(&Event) -> bool) -> Vec<Event> {
        let mut events = Vec::new();
        loop {
            let line = self.line();
            let event: Event = serde_json::from_str(&line).unwrap_or_else(|why| panic!("{why}: {line:?}"));
            let was_last = is_last(&event);
            events.push(event);
            if was_last {
                return events;
            }
        }
    }

    /// Reads no more of what it prints, and waits for its end: the exit status, and what else it says.
    pub fn goes(mut self) -> (Option<i32>, String) {
        self.lines = BufReader::new(std::process::ChildStdout::from(std::os::fd::OwnedFd::from(
            std::fs::File::open("/dev/null").expect("open /dev/null"),
        )));
        let status = self.child.wait().expect("wait for it");
        let mut said = String::new();
        std::io::Read::read_to_string(&mut self.says, &mut said).expect("read what it says");
        (status.code(), said)
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn next_line(from: &mut impl BufRead) -> String {
    let mut line = String::new();
    from.read_line(&mut line).expect("it says something");
    line.trim_end().to_owned()
}
