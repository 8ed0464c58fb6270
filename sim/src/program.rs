//! [`Program`]: what the command of a simulated container does, as plain data.

use std::time::Duration;

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// Waits until a signal ends it.
    Sleep,
    /// Ends at once with this status.
    Exit(i32),
    /// Ends after a while with this status, unless a signal ends it before.
    SleepFor(Duration, i32),
    /// Prints a text and ends with this status.
    Print(String, i32),
    /// Waits, and ignores SIGTERM.
    IgnoreTerm,
    /// There is no such command.
    NotFound(String),
    /// It is there, but is no program.
    NotExecutable(String),
}

const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

impl Program {
    /// How long it runs and what its status will be, if it ends by itself.
    pub(crate) fn end(&self) -> Option<(Duration, i32)> {
        match self {
            Program::Exit(status) | Program::Print(_, status) => Some((Duration::ZERO, *status)),
            Program::SleepFor(time, status) => Some((*time, *status)),
            Program::Sleep | Program::IgnoreTerm | Program::NotFound(_) | Program::NotExecutable(_) => None,
        }
    }

    /// What it prints.
    pub(crate) fn output(&self) -> &str {
        match self {
            Program::Print(text, _) => text,
            Program::Sleep
            | Program::Exit(_)
            | Program::SleepFor(..)
            | Program::IgnoreTerm
            | Program::NotFound(_)
            | Program::NotExecutable(_) => "",
        }
    }

    /// Whether a signal ends it.
    pub(crate) fn dies_of(&self, signal: i32) -> bool {
        match signal {
            SIGKILL => true,
            SIGTERM => *self != Program::IgnoreTerm,
            // Those that do nothing or stop, unless a program says otherwise: CHLD, CONT, STOP, TSTP, TTIN, TTOU, URG, WINCH.
            17..=23 | 28 => false,
            _ => signal > 0,
        }
    }
}
