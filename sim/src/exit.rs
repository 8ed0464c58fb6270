//! [`Exit`]: what the end of a program says.

use std::convert::Infallible;
use std::fmt::Debug;

/// What a program may return, as [`std::process::Termination`] says it of `main`.
pub trait Exit {
    /// The exit status, and what is printed: nothing, or why it failed.
    fn exit(self) -> (i32, String);
}

impl Exit for () {
    fn exit(self) -> (i32, String) {
        (0, String::new())
    }
}

/// The status itself.
impl Exit for i32 {
    fn exit(self) -> (i32, String) {
        (self, String::new())
    }
}

/// What a program that never returns is said to return. The type has no name yet that a stable compiler takes, but a
/// function that returns it has.
type Never = <fn() -> ! as Returns>::Value;

/// (Public, since it is part of a public item's signature; but nobody can name it.)
#[doc(hidden)]
pub trait Returns {
    type Value;
}

impl<T> Returns for fn() -> T {
    type Value = T;
}

impl Exit for Never {
    fn exit(self) -> (i32, String) {
        self
    }
}

impl Exit for Infallible {
    fn exit(self) -> (i32, String) {
        match self {}
    }
}

/// Of an error, 1.
impl<T: Exit, E: Debug> Exit for Result<T, E> {
    fn exit(self) -> (i32, String) {
        match self {
            Ok(value) => value.exit(),
            Err(error) => (1, format!("Error: {error:?}\n")),
        }
    }
}
