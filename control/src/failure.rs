//! [`Failure`]: what went wrong, as it is told to a person and to the shell. It crosses the socket as it is.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A command that could not be carried out: `pontoon: MESSAGE`, a line `hint: …` where there is one, an exit status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What failed, and why.
    pub message: String,
    /// What the user may do about it.
    pub hint: Option<String>,
    /// The exit status: 1, or 125 to 127 for `run` and `exec`.
    pub status: i32,
}

/// The exit status of `run` and `exec` when Pontoon itself failed, as Docker's.
pub const OURS: i32 = 125;

impl Failure {
    /// A failure with exit status 1.
    pub fn new(message: impl fmt::Display) -> Self {
        Failure { message: message.to_string(), hint: None, status: 1 }
    }

    /// The same, with a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same, with another exit status.
    #[must_use]
    pub fn with_status(mut self, status: i32) -> Self {
        self.status = status;
        self
    }

    /// The same as a failure of `run` or `exec`.
    #[must_use]
    pub fn of_run(self) -> Self {
        if self.status == 1 { self.with_status(OURS) } else { self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pontoon: {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl From<netns::error::Error> for Failure {
    fn from(error: netns::error::Error) -> Self {
        Failure { message: error.to_string(), hint: error.hint(), status: 1 }
    }
}

impl From<crate::Refused> for Failure {
    fn from(refused: crate::Refused) -> Self {
        Failure::new(refused)
    }
}
