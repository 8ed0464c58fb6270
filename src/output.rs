//! What the command prints and says: the one place from which anything goes to standard output or standard error.
//!
//! * A reader that has gone (`| head`) is no failure: it has what it wanted. Any other error is one.
//! * Nothing here panics, as `println!` does. What can not be said on standard error can be said nowhere.

use std::fmt;
use std::io::{self, ErrorKind, Write};

use crate::failure::{Failure, cause_of};

/// Prints on standard output.
///
/// # Errors
/// If it takes nothing, though someone is there to read it: a full disk.
pub fn print(text: impl fmt::Display) -> Result<(), Failure> {
    forgive(write(io::stdout().lock(), text)).map_err(|why| Failure::new(format_args!("print: {}", cause_of(&why))))
}

/// The same with a newline behind it.
///
/// # Errors
/// As of [`print()`].
pub fn print_line(text: impl fmt::Display) -> Result<(), Failure> {
    print(format_args!("{text}\n"))
}

/// Says a line on standard error.
pub fn say(text: impl fmt::Display) {
    let _ = write(io::stderr().lock(), format_args!("{text}\n"));
}

/// Takes the error of a reader that has gone for what it is.
///
/// # Errors
/// Any other.
pub fn forgive(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(why) if why.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// In one piece, so that what others write to the same place does not come between.
fn write(mut to: impl Write, text: impl fmt::Display) -> io::Result<()> {
    to.write_all(text.to_string().as_bytes())?;
    to.flush()
}
