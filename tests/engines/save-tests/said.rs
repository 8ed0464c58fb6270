//! [`Said`]: what a command said.

use std::process::{Command, Output, Stdio};

/// What one command said, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Said { status: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }
}

impl Said {
    /// Runs a command that nobody types to.
    pub fn by(command: &mut Command) -> Said {
        let output = command.stdin(Stdio::null()).output();
        output.unwrap_or_else(|why| panic!("run {command:?}: {why}")).into()
    }

    pub fn is_well(&self) -> bool {
        self.status == Some(0)
    }

    /// What was printed by a command that succeeded, without the end of the last line.
    pub fn printed(self, what: &str) -> String {
        assert!(self.is_well(), "{what}: {:?}\n{}{}", self.status, self.stdout, self.stderr);
        self.stdout.trim_end().to_owned()
    }
}

/// Runs a command that succeeds; what it printed.
pub fn run(words: &[&str]) -> String {
    Said::by(Command::new(words[0]).args(&words[1..])).printed(&words.join(" "))
}
