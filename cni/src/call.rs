//! [`Call`]: what a runtime wants of a plugin, by the environment and standard input.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use netns::ifname::IfName;
use serde::Deserialize;
use serde_json::Value;
use switch::mac::MacAddr;

use crate::arguments::Arguments;
use crate::configuration::{Care, Configuration, MAX_INPUT};
use crate::failure::{Code, Failure, Refused};
use crate::version::Version;

/// The longest id of a container, in bytes.
pub const MAX_CONTAINER: usize = 255;

/// What is wanted.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    /// Which versions do you speak? With the `cniVersion` of who asks.
    Version(String),
    /// Make an interface, in the network namespace at this path.
    Add(Box<Subject>, String),
    /// Is it as it was left?
    Check(Box<Subject>, String),
    /// Take it away. The network namespace may have gone.
    Del(Box<Subject>, Option<String>),
    /// Take away all of the network's that is not of these.
    Gc(Box<Configuration>, Vec<Attachment>, Vec<PathBuf>),
    /// Could you serve an ADD?
    Status(Box<Configuration>, Vec<PathBuf>),
}

/// An interface of a container.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attachment {
    /// The container's id, as the runtime has it.
    pub container: String,
    /// The interface in it.
    pub ifname: IfName,
}

/// Which interface a command is about, and all that is said of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Subject {
    /// Which.
    pub attachment: Attachment,
    /// `CNI_ARGS`.
    pub arguments: Arguments,
    /// `CNI_PATH`: where delegates are looked for, in this order.
    pub path: Vec<PathBuf>,
    /// Its network.
    pub configuration: Configuration,
}

impl Subject {
    /// The address that the container asks for: as a capability, by the conventions, or in `CNI_ARGS`, whichever there is first.
    #[must_use]
    pub fn ip(&self) -> Option<Ipv4Addr> {
        self.configuration.capabilities.ip.or(self.configuration.asked_ip).or(self.arguments.ip)
    }

    /// The same of its MAC.
    #[must_use]
    pub fn mac(&self) -> Option<MacAddr> {
        self.configuration.capabilities.mac.or(self.configuration.asked_mac).or(self.arguments.mac)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Command {
    Add,
    Check,
    Del,
    Gc,
    Status,
    Version,
}

/// Reads a call: `variable` is a look into the environment, `stdin` all that there is on standard input.
///
/// # Errors
/// In the specification's form, in the version that was asked in where that could be read.
pub fn read(variable: impl Fn(&str) -> Option<String>, stdin: &[u8]) -> Result<Call, Refused> {
    let mut version = Version::NEWEST;
    read_in(&mut version, variable, stdin).map_err(|failure| Refused { version, failure })
}

fn read_in(version: &mut Version, variable: impl Fn(&str) -> Option<String>, stdin: &[u8]) -> Result<Call, Failure> {
    let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
    let command = command(variable("CNI_COMMAND"))?;
    let whole = decode(command, stdin)?;
    let asked = whole.get("cniVersion").and_then(Value::as_str).unwrap_or_default();
    let spoken = Version::parse(asked);
    *version = spoken.unwrap_or(Version::NEWEST);
    if command == Command::Version {
        return Ok(Call::Version(if asked.is_empty() { Version::NEWEST.as_str() } else { asked }.to_owned()));
    }
    if spoken.is_none() {
        let known = Version::ALL.map(Version::as_str).join(", ");
        let message = format_args!("read the configuration: cniVersion '{}' is not spoken", asked.escape_debug());
        return Err(Failure::new(Code::IncompatibleVersion, message).with_details(format_args!("spoken: {known}")));
    }
    required(command, &variable)?;
    since(command, *version)?;
    let care = if matches!(command, Command::Del | Command::Gc) { Care::Undoing } else { Care::Strict };
    let configuration = Configuration::check(whole, *version, care)?;
    let path = variable("CNI_PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default();
    match command {
        Command::Gc => {
            let valid = valid_attachments(&configuration.whole)?;
            return Ok(Call::Gc(Box::new(configuration), valid, path));
        }
        Command::Status | Command::Version => return Ok(Call::Status(Box::new(configuration), path)),
        Command::Add | Command::Check | Command::Del => {}
    }
    let attachment = Attachment::check(
        &variable("CNI_CONTAINERID").unwrap_or_default(),
        &variable("CNI_IFNAME").unwrap_or_default(),
    );
    let attachment = attachment.map_err(|why| Failure::new(Code::InvalidEnvironment, why))?;
    let arguments = match Arguments::parse(&variable("CNI_ARGS").unwrap_or_default()) {
        Err(_) if command == Command::Del => Arguments::default(),
        arguments => arguments?,
    };
    let subject = Box::new(Subject { attachment, arguments, path, configuration });
    let netns = variable("CNI_NETNS");
    Ok(match command {
        Command::Add => Call::Add(subject, netns.unwrap_or_default()),
        Command::Check => Call::Check(subject, netns.unwrap_or_default()),
        _ => Call::Del(subject, netns),
    })
}

fn command(text: Option<String>) -> Result<Command, Failure> {
    let wrong = |why: String| Failure::new(Code::InvalidEnvironment, why);
    let text = text.ok_or_else(|| wrong("CNI_COMMAND is missing: this is a plugin, for a container runtime".into()))?;
    Ok(match text.as_str() {
        "ADD" => Command::Add,
        "CHECK" => Command::Check,
        "DEL" => Command::Del,
        "GC" => Command::Gc,
        "STATUS" => Command::Status,
        "VERSION" => Command::Version,
        _ => return Err(wrong(format!("CNI_COMMAND: '{}' is no command", text.escape_debug()))),
    })
}

/// The object on standard input; who asks for the versions need not send one.
fn decode(command: Command, stdin: &[u8]) -> Result<Value, Failure> {
    let wrong = |why: String| Failure::new(Code::Decode, format_args!("read the configuration: {why}"));
    if stdin.len() > MAX_INPUT {
        return Err(wrong(format!("it has more than {MAX_INPUT} bytes")));
    }
    if command == Command::Version && stdin.trim_ascii().is_empty() {
        return Ok(Value::Null);
    }
    let whole: Value = serde_json::from_slice(stdin).map_err(|why| wrong(why.to_string()))?;
    if whole.is_object() { Ok(whole) } else { Err(wrong("it is no object".into())) }
}

/// What the specification requires of the environment.
fn required(command: Command, variable: &impl Fn(&str) -> Option<String>) -> Result<(), Failure> {
    let names: &[&str] = match command {
        Command::Add | Command::Check => &["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"],
        Command::Del => &["CNI_CONTAINERID", "CNI_IFNAME"],
        Command::Gc => &["CNI_PATH"],
        Command::Status | Command::Version => &[],
    };
    let missing: Vec<&str> = names.iter().copied().filter(|name| variable(name).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Failure::new(Code::InvalidEnvironment, format_args!("missing in the environment: {}", missing.join(", "))))
}

fn since(command: Command, version: Version) -> Result<(), Failure> {
    let (name, first) = match command {
        Command::Check => ("CHECK", Version::V0_4_0),
        Command::Gc => ("GC", Version::V1_1_0),
        Command::Status => ("STATUS", Version::V1_1_0),
        Command::Add | Command::Del | Command::Version => return Ok(()),
    };
    if version >= first {
        return Ok(());
    }
    let message =
        format_args!("{name} came with version {}: the configuration's is {}", first.as_str(), version.as_str());
    Err(Failure::new(Code::IncompatibleVersion, message))
}

#[derive(Deserialize)]
struct RawAttachment {
    #[serde(rename = "containerID")]
    container: String,
    ifname: String,
}

/// What GC has to spare. Without the list it would spare nothing, which nobody can have meant.
fn valid_attachments(whole: &Value) -> Result<Vec<Attachment>, Failure> {
    let key = "cni.dev/valid-attachments";
    let wrong = |why: String| Failure::new(Code::InvalidConfiguration, format_args!("read {key}: {why}"));
    let list = whole.get(key).ok_or_else(|| wrong("it is missing".into()))?;
    let list = Vec::<RawAttachment>::deserialize(list).map_err(|why| wrong(why.to_string()))?;
    list.iter().map(|raw| Attachment::check(&raw.container, &raw.ifname).map_err(wrong)).collect()
}

impl Attachment {
    pub(crate) fn check(container: &str, ifname: &str) -> Result<Self, String> {
        let is_inner = |each: char| each.is_ascii_alphanumeric() || matches!(each, '_' | '.' | '-');
        let begins = container.starts_with(|first: char| first.is_ascii_alphanumeric());
        if !begins || container.len() > MAX_CONTAINER || !container.chars().all(is_inner) {
            return Err(format!("'{}' is no container's id", container.escape_debug()));
        }
        let ifname = ifname.parse().map_err(|why| format!("{why}"))?;
        Ok(Attachment { container: container.to_owned(), ifname })
    }

    /// The attachment of a key, as [`Attachment::key`] makes it.
    #[must_use]
    pub fn of_key(key: &str) -> Option<Self> {
        let (container, ifname) = key.split_once('/')?;
        Attachment::check(container, ifname).ok()
    }

    /// What the manager knows it by.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}/{}", self.container, self.ifname.as_str())
    }
}
