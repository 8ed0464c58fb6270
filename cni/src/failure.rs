//! [`Failure`]: an error in the specification's form.

use std::fmt;

use serde_json::{Value, json};

use crate::version::Version;

/// The specification's numbers of what went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    /// The version is not spoken here, or the command is not in it.
    IncompatibleVersion = 1,
    /// The configuration has a key that is not known.
    UnsupportedField = 2,
    /// The container is not known.
    UnknownContainer = 3,
    /// A variable of the environment is missing or wrong.
    InvalidEnvironment = 4,
    /// Reading or writing failed.
    Io = 5,
    /// What came is not JSON of the right shape.
    Decode = 6,
    /// The configuration can not be meant.
    InvalidConfiguration = 7,
    /// The network namespace can not be used.
    InvalidNetns = 8,
    /// It is worth a second try, later.
    TryAgain = 11,
    /// The plugin can serve no ADD.
    NotAvailable = 50,
    /// The same, and containers that run may have lost connectivity.
    NotAvailableLimited = 51,
    /// Ours: the daemon refused.
    Daemon = 100,
    /// Ours: what CHECK looked for is not as it was left.
    CheckFailed = 101,
    /// Ours: the plugin that gives addresses failed, with a code that is nobody's but its own.
    Delegate = 102,
}

impl Code {
    const ALL: [Code; 14] = [
        Code::IncompatibleVersion,
        Code::UnsupportedField,
        Code::UnknownContainer,
        Code::InvalidEnvironment,
        Code::Io,
        Code::Decode,
        Code::InvalidConfiguration,
        Code::InvalidNetns,
        Code::TryAgain,
        Code::NotAvailable,
        Code::NotAvailableLimited,
        Code::Daemon,
        Code::CheckFailed,
        Code::Delegate,
    ];

    /// The code of a number, if it is one of these.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|code| *code as u32 == number)
    }
}

/// What went wrong, for the runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its number.
    pub code: Code,
    /// Operation, object, cause.
    pub message: String,
    /// More of it, such as a hint; may be empty.
    pub details: String,
}

/// A failure, and the version that it is told in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The configuration's, where it could be read.
    pub version: Version,
    /// What went wrong.
    pub failure: Failure,
}

impl Failure {
    /// A failure without details.
    #[must_use]
    pub fn new(code: Code, message: impl fmt::Display) -> Self {
        Failure { code, message: message.to_string(), details: String::new() }
    }

    /// The same with details.
    #[must_use]
    pub fn with_details(self, details: impl fmt::Display) -> Self {
        Failure { details: details.to_string(), ..self }
    }

    /// What goes to standard output.
    #[must_use]
    pub fn to_json(&self, version: Version) -> Value {
        let mut error = json!({ "cniVersion": version.as_str(), "code": self.code as u32, "msg": self.message });
        if !self.details.is_empty() {
            error["details"] = json!(self.details);
        }
        error
    }
}

impl Refused {
    /// What goes to standard output.
    #[must_use]
    pub fn to_json(&self) -> Value {
        self.failure.to_json(self.version)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}
