//! What a request may say. Whoever can open the socket may ask for anything, and is not believed: what has come is checked
//! here, once, before anything is made of it. What depends on what there is (a name that is taken, an address outside of the subnet)
//! and what is right for Linux (an MTU, a host name) the manager says.

use netns::linux::Process;
use netns::name::Name;
use netns::publish::{PortMapping, PublishError};

use crate::cni::{CniAdd, CniOrder};
use crate::request::{CaptureOrder, NetworkOrder, Request, RunOrder};

/// The longest text that names a container or a network, in bytes. Names and ids are shorter; what is longer is none.
pub const MAX_TARGET: usize = 255;
/// The longest name of a port, in bytes: a container's, a dot, and an interface's.
pub const MAX_PORT_NAME: usize = MAX_TARGET + 1 + 15;
/// The longest frame that is explained, in bytes: one more than the longest that there is.
pub const MAX_FRAME: usize = switch::buffer::MAX_FRAME + 1;
/// The longest host name that is looked at, in bytes.
pub const MAX_HOSTNAME: usize = 255;
/// The most further names of a container on a network.
pub const MAX_ALIASES: usize = 256;
/// The most `--dns` of a container.
pub const MAX_DNS: usize = 64;
/// The most bytes that the labels of a network have together.
pub const MAX_LABELS: usize = 64 * 1024;
/// The most arguments and variables that a command has together. The kernel has room for 6 MiB of them at most, and each takes nine
/// bytes of it at least.
pub const MAX_WORDS: usize = (6 << 20) / 9;
/// The longest path of a directory, in bytes: the kernel's.
pub const MAX_PATH: usize = 4096;
/// The most ports that a capture may name.
pub const MAX_PORTS: usize = 4096;
/// The longest filter of a capture, in bytes.
pub const MAX_FILTER: usize = 64 * 1024;
/// The longest key of an interface in a container of another engine's: its id and the interface's name.
pub const MAX_KEY: usize = MAX_TARGET + 1 + 15;
/// How many of them can be spared at once.
pub const MAX_SPARED: usize = 16 * 1024;
/// The most routes that such a container gets.
pub const MAX_ROUTES: usize = 64;
/// The longest time that a container may be given to end, in seconds: 136 years.
pub const MAX_GRACE: u64 = u32::MAX as u64;
/// How many bytes of a container's command `ps` has room for, where thousands may be listed in one answer.
pub const COMMAND_IN_LIST: usize = 1024;
/// How many bytes of a container's command `inspect` has room for. JSON says a byte in up to six.
pub const COMMAND_IN_DETAIL: usize = 1 << 20;

/// Why a request is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is too much of something.
    #[error("{count} {what} are too many: at most {limit} may be")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many came.
        count: usize,
        /// How many may.
        limit: usize,
    },
    /// A text is too long.
    #[error("{what}: {length} bytes are too many, at most {limit} may be")]
    TooLong {
        /// Which.
        what: &'static str,
        /// How long it is, in bytes.
        length: usize,
        /// How long it may be.
        limit: usize,
    },
    /// Ports can not be published so.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// There is no port 0.
    #[error("{0}: there is no port 0")]
    NoSuchPort(PortMapping),
    /// There is no signal of this number.
    #[error("there is no signal {0}: a signal is a number from 1 to 64")]
    Signal(i32),
    /// A label without a name.
    #[error("a label has a name")]
    NamelessLabel,
    /// There is nothing to execute.
    #[error("there is no command")]
    NoCommand,
    /// The kernel's texts end at a NUL.
    #[error("{0} has a NUL byte in it, which the kernel takes for its end")]
    Nul(&'static str),
    /// A variable is `NAME=VALUE`.
    #[error("a variable has a name, with no '=' but at its beginning")]
    Variable,
    /// A directory that depends on where the asker is.
    #[error("the working directory is no absolute path")]
    Relative,
    /// A file that depends on where the asker is.
    #[error("the network namespace is no absolute path")]
    RelativeNetns,
}

/// Checks a request, whatever it is.
///
/// # Errors
/// What is wrong with it first.
pub fn check(request: &Request) -> Result<(), Refused> {
    match request {
        Request::Hello
        | Request::Enter
        | Request::Status
        | Request::Stay
        | Request::Down
        | Request::Containers { all: _ }
        | Request::Networks
        | Request::PruneNetworks
        | Request::Statistics
        | Request::Bridges
        | Request::Stations
        | Request::Monitor => Ok(()),
        Request::Run(order) => run(order),
        Request::Locate(container) | Request::Inspect(container) | Request::Log(container) => target(container),
        Request::Stop { container, grace } => {
            target(container)?;
            let length = usize::try_from(*grace).unwrap_or(usize::MAX);
            let too_long = Refused::TooMany { what: "seconds", count: length, limit: MAX_GRACE as usize };
            if *grace > MAX_GRACE { Err(too_long) } else { Ok(()) }
        }
        Request::Kill { container, signal } => {
            target(container)?;
            if (1..=64).contains(signal) { Ok(()) } else { Err(Refused::Signal(*signal)) }
        }
        Request::Remove { container, force: _ } => target(container),
        Request::CreateNetwork(order) => network(order),
        Request::RemoveNetwork { network, force: _ } | Request::InspectNetwork(network) => target(network),
        Request::Connect { network, container, ip: _, mac: _, aliases } => {
            target(network)?;
            target(container)?;
            few_aliases(aliases)
        }
        Request::AddPort { bridge, interface: _ } => target(bridge),
        Request::RemovePort { bridge, port } => {
            target(bridge)?;
            short("a port's name", port.len(), MAX_PORT_NAME)
        }
        Request::Capture(order) => capture(order),
        Request::Cni(order) => cni(order),
        Request::Disconnect { network, container } => target(network).and_then(|()| target(container)),
        Request::Explain { port, frame } => {
            short("a port's name", port.len(), MAX_PORT_NAME)?;
            short("the frame", frame.0.len(), MAX_FRAME)
        }
    }
}

fn run(order: &RunOrder) -> Result<(), Refused> {
    let RunOrder {
        name: _,
        network: _,
        ip: _,
        mac: _,
        mtu: _,
        hostname,
        aliases,
        publish,
        dns,
        offload: _,
        detach: _,
        auto_remove: _,
        process,
    } = order;
    few_aliases(aliases)?;
    few("DNS servers", dns.len(), MAX_DNS)?;
    short("the host name", hostname.as_deref().unwrap_or_default().len(), MAX_HOSTNAME)?;
    ports(publish)?;
    command(process)
}

fn capture(order: &CaptureOrder) -> Result<(), Refused> {
    let CaptureOrder { ports, filter, drops: _, snaplen: _, count: _, last: _ } = order;
    few("ports", ports.len(), MAX_PORTS)?;
    ports.iter().try_for_each(|port| target(port))?;
    short("the filter", filter.as_deref().unwrap_or_default().len(), MAX_FILTER)
}

fn network(order: &NetworkOrder) -> Result<(), Refused> {
    let NetworkOrder { name: _, subnet: _, gateway: _, ip_range: _, internal: _, mtu: _, labels, endpoint: _ } = order;
    if labels.contains_key("") {
        return Err(Refused::NamelessLabel);
    }
    short("all labels together", labels.iter().map(|(key, value)| key.len() + value.len()).sum(), MAX_LABELS)
}

fn cni(order: &CniOrder) -> Result<(), Refused> {
    match order {
        CniOrder::Add(add) => {
            let CniAdd {
                network: _,
                container,
                ifname: _,
                netns,
                name: _,
                ip: _,
                mac: _,
                pool: _,
                aliases,
                publish,
                routes,
            } = &**add;
            target(container)?;
            few_aliases(aliases)?;
            few("routes", routes.as_ref().map_or(0, Vec::len), MAX_ROUTES)?;
            short("the path of the network namespace", netns.as_os_str().len(), MAX_PATH)?;
            if !netns.is_absolute() {
                return Err(Refused::RelativeNetns);
            }
            ports(publish)
        }
        CniOrder::Check { network: _, key, publish } => {
            short("a guest's key", key.len(), MAX_KEY)?;
            ports(publish)
        }
        CniOrder::Del { key } => short("a guest's key", key.len(), MAX_KEY),
        CniOrder::Gc { network: _, spared } => {
            few("guests", spared.len(), MAX_SPARED)?;
            spared.iter().try_for_each(|key| short("a guest's key", key.len(), MAX_KEY))
        }
        CniOrder::Status(_) => Ok(()),
    }
}

fn ports(publish: &[PortMapping]) -> Result<(), Refused> {
    netns::publish::check(publish)?;
    match publish.iter().find(|mapping| mapping.host == 0 || mapping.container == 0) {
        Some(odd) => Err(Refused::NoSuchPort(*odd)),
        None => Ok(()),
    }
}

/// What the kernel can execute at all.
fn command(process: &Process) -> Result<(), Refused> {
    let Process { argv, env, cwd, tty: _ } = process;
    if argv.is_empty() {
        return Err(Refused::NoCommand);
    }
    few("arguments and variables", argv.len().saturating_add(env.len()), MAX_WORDS)?;
    short("the working directory", cwd.0.len(), MAX_PATH)?;
    if !cwd.as_path().is_absolute() {
        return Err(Refused::Relative);
    }
    let has_nul = |text: &std::ffi::OsStr| text.as_encoded_bytes().contains(&0);
    let no_name = |name: &std::ffi::OsStr| name.is_empty() || name.as_encoded_bytes()[1..].contains(&b'=');
    if argv.iter().any(|word| has_nul(word.as_ref())) {
        return Err(Refused::Nul("an argument"));
    }
    if env.iter().any(|(name, value)| has_nul(name.as_ref()) || has_nul(value.as_ref())) {
        return Err(Refused::Nul("a variable"));
    }
    if env.iter().any(|(name, _)| no_name(name.as_ref())) {
        return Err(Refused::Variable);
    }
    if has_nul(cwd.as_ref()) { Err(Refused::Nul("the working directory")) } else { Ok(()) }
}

fn target(text: &str) -> Result<(), Refused> {
    short("a name or an id", text.len(), MAX_TARGET)
}

fn few_aliases(aliases: &[Name]) -> Result<(), Refused> {
    few("aliases", aliases.len(), MAX_ALIASES)
}

fn few(what: &'static str, count: usize, limit: usize) -> Result<(), Refused> {
    if count > limit { Err(Refused::TooMany { what, count, limit }) } else { Ok(()) }
}

fn short(what: &'static str, length: usize, limit: usize) -> Result<(), Refused> {
    if length > limit { Err(Refused::TooLong { what, length, limit }) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
