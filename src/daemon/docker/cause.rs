//! [`Cause`]: why a call was not carried out. Its operation and its object are said before: a cause does not say them again.

use netns::backend::BackendError;
use netns::error::Error;

/// Why a call was not carried out.
#[derive(Debug)]
pub(super) struct Cause {
    pub(super) text: String,
    pub(super) hint: Option<String>,
}

impl From<Error> for Cause {
    fn from(error: Error) -> Self {
        Cause { text: without_object(&error), hint: error.hint() }
    }
}

impl From<String> for Cause {
    fn from(text: String) -> Self {
        Cause { text, hint: None }
    }
}

/// An error of the manager's without the network or the endpoint that the call is about. What names another object than that is said
/// as it is.
fn without_object(error: &Error) -> String {
    match error {
        Error::Subnet { source, .. } => source.to_string(),
        // It is called by its id until its name is known.
        Error::NetworkExists(_) => "a network is called so already".to_owned(),
        Error::NetworkInUse { containers, .. } => format!("it is in use by {containers}"),
        Error::NetworkHasPorts { ports, .. } => {
            format!("it is in use: interfaces of the host are ports of its bridge: {ports}")
        }
        Error::GuestExists { .. } => "it is there already, with other properties".to_owned(),
        Error::NoSuchGuest { .. } => "there is no such endpoint".to_owned(),
        Error::Silent(_) => "it does not answer: it is not known what it has".to_owned(),
        Error::Backend(BackendError::Failed { operation: "publish", object, cause, .. }) => {
            format!("{object}: {cause}")
        }
        Error::Undo { first, also } => format!("{}; besides: {}", without_object(first), also.join("; ")),
        other => other.to_string(),
    }
}
