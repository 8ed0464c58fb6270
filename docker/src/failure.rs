//! [`Refused`]: why a call was not carried out, as dockerd tells it to its user.

use std::fmt;

use serde::Serialize;

/// Operation, object and cause, in one text: `create network 976baf4da021: …`. It is answered with status 200.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refused {
    #[serde(rename = "Err")]
    message: String,
}

impl Refused {
    /// What was to be done, to what, and why it was not.
    #[must_use]
    pub fn new(operation: &str, object: &str, cause: impl fmt::Display) -> Self {
        let blank = if object.is_empty() { "" } else { " " };
        Refused { message: format!("{operation}{blank}{object}: {cause}") }
    }

    /// The same with a word about what to do: there is but one line for both.
    #[must_use]
    pub fn with_hint(self, hint: Option<impl fmt::Display>) -> Self {
        match hint {
            Some(hint) => Refused { message: format!("{} ({hint})", self.message) },
            None => self,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.message)
    }
}
