//! The Container Network Interface, versions 0.3.0 to 1.1.0, as a plugin sees it: without I/O, and without Linux.
//!
//! A runtime executes a plugin with a command in the environment and a configuration on standard input, and reads a result or
//! an error from its standard output. [`read`] makes a checked [`Call`] of the former or says what is wrong in the
//! specification's form ([`Refused`]); an [`Outcome`] is the result of an ADD and has the form that each version wants.
//!
//! The map: [`version`], [`call`], [`arguments`] (`CNI_ARGS`), [`configuration`], [`ipam`] and [`capabilities`]
//! (`runtimeConfig`) are what comes in; [`outcome`] and [`failure`] are what goes out.

pub mod arguments;
pub mod call;
pub mod capabilities;
pub mod configuration;
pub mod failure;
pub mod ipam;
pub mod outcome;
pub mod version;

#[cfg(test)]
mod tests;

pub use self::call::{Call, read};
pub use self::failure::{Code, Failure, Refused};
pub use self::outcome::Outcome;
pub use self::version::Version;
