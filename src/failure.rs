//! [`Failure`], and how an I/O error becomes one.

use std::fmt;

pub use control::{Failure, OURS};

/// Names the operation and the object of an I/O error.
pub fn io(operation: impl fmt::Display) -> impl FnOnce(std::io::Error) -> Failure {
    move |why| Failure::new(format_args!("{operation}: {}", cause_of(&why)))
}

/// An operating system's error without Rust's ` (os error N)`.
pub fn cause_of(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split_once(" (os error ").map_or(text.as_str(), |(cause, _)| cause).to_owned()
}
