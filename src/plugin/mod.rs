//! `pontoon-cni`: this program as a plugin of the Container Network Interface, when it is executed under that name.
//!
//! A runtime executes it with a command in the environment and a configuration on standard input. [`cni`] understands that; here is
//! what is done about it: the daemon is asked for an interface ([`daemon`]), another plugin for an address where the configuration
//! says so ([`delegate`]), and the sandbox is looked into ([`sandbox`]). What goes to standard output is a result, or an error in the
//! specification's form; the exit status is the error's code.
//!
//! * Whoever fails in the midst of an ADD leaves no address behind: the daemon undoes what it can not tell anybody, a delegate's
//!   ADD is followed by its DEL.
//! * DEL takes the interface first and gives the address back after that: it is never another's while it can be heard.

mod add;
mod check;
mod daemon;
mod delegate;
mod sandbox;
mod status;
mod undo;

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::Path;
use std::process::ExitCode;

use cni::configuration::MAX_INPUT;
use cni::version::{Version, answer};
use cni::{Call, Code, Failure, Refused};
use serde_json::Value;

pub(crate) use self::add::network_of;
use crate::failure::cause_of;
use crate::log;

/// What this program is called as a plugin.
pub(crate) const NAME: &str = "pontoon-cni";

/// Serves as a plugin, if the program was executed as one.
#[must_use]
pub fn dispatch(arguments: &[OsString]) -> Option<ExitCode> {
    let name = Path::new(arguments.first()?).file_name()?;
    (name == NAME).then(main)
}

fn main() -> ExitCode {
    log::to(std::io::stderr, "warn", log::Format::from_variable());
    let variable = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    let (printed, status) = match serve(variable) {
        Ok(result) => (result, 0),
        Err(refused) => (Some(refused.to_json()), u8::try_from(refused.failure.code as u32).unwrap_or(1)),
    };
    let mut out = std::io::stdout().lock();
    let written = printed.map(|value| writeln!(out, "{value:#}").and_then(|()| out.flush()));
    // Who does not hear the result is not served.
    match written.transpose() {
        Err(_) if status == 0 => ExitCode::from(Code::Io as u8),
        _ => ExitCode::from(status),
    }
}

/// What is to be said.
fn serve(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Value>, Refused> {
    let is_called = variable("CNI_COMMAND").is_some_and(|command| !command.is_empty());
    // A person who tries it is not kept waiting for an input that he does not know of.
    let stdin = if is_called { read_stdin()? } else { Vec::new() };
    let call = cni::read(variable, &stdin)?;
    let version = version_of(&call);
    carry_out(call).map_err(|failure| Refused { version, failure })
}

fn read_stdin() -> Result<Vec<u8>, Refused> {
    let mut stdin = Vec::new();
    let most = u64::try_from(MAX_INPUT).unwrap_or(u64::MAX).saturating_add(1);
    match std::io::stdin().lock().take(most).read_to_end(&mut stdin) {
        Ok(_) => Ok(stdin),
        Err(why) => {
            let message = format_args!("read the configuration: {}", cause_of(&why));
            Err(Refused { version: Version::NEWEST, failure: Failure::new(Code::Io, message) })
        }
    }
}

fn version_of(call: &Call) -> Version {
    match call {
        Call::Version(_) => Version::NEWEST,
        Call::Add(subject, _) | Call::Check(subject, _) | Call::Del(subject, _) => subject.configuration.version,
        Call::Gc(configuration, ..) | Call::Status(configuration, _) => configuration.version,
    }
}

fn carry_out(call: Call) -> Result<Option<Value>, Failure> {
    match call {
        Call::Version(asked) => Ok(Some(answer(&asked))),
        Call::Add(subject, netns) => {
            let outcome = add::add(&subject, &netns)?;
            Ok(Some(outcome.to_json(subject.configuration.version)))
        }
        Call::Check(subject, netns) => check::check(&subject, &netns).map(|()| None),
        Call::Del(subject, _) => undo::del(&subject).map(|()| None),
        Call::Gc(configuration, spared, path) => undo::gc(&configuration, &spared, &path).map(|()| None),
        Call::Status(configuration, path) => status::status(&configuration, &path).map(|()| None),
    }
}
