//! The command line, as clap reads it. Nothing is decided here.

mod capture;
mod explain;
mod monitor;
mod port;
pub mod stats;
mod up;

use std::ffi::{OsStr, OsString};
use std::net::Ipv4Addr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{OsStringValueParser, Resettable, TypedValueParser};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use ipnet::Ipv4Net;
use netns::mode::NetworkMode;
use netns::name::Name;
use netns::network::EndpointKind;
use netns::publish::PortMapping;
use switch::mac::MacAddr;

pub use self::capture::CaptureArgs;
pub use self::explain::ExplainArgs;
pub use self::monitor::MonitorArgs;
pub use self::port::{PortAddArgs, PortCommand, PortDelArgs};
pub use self::up::UpArgs;
use crate::log;

/// What stands behind the options of a command's own in its help.
const GLOBAL: &str = "Options of every command";

/// A floating bridge: Docker's four network modes on a learning switch in user space.
#[derive(Debug, Parser)]
#[command(name = "pontoon", version, propagate_version = false)]
pub struct Cli {
    /// Where the daemon's socket and the running containers' files are
    #[arg(long, global = true, help_heading = GLOBAL, env = "PONTOON_RUNTIME_DIR", value_name = "DIR")]
    pub runtime_dir: Option<PathBuf>,
    /// Where what must survive a restart is kept: networks, leases, logs
    #[arg(long, global = true, help_heading = GLOBAL, env = "PONTOON_STATE_DIR", value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Say on stderr what is being done; twice: in detail
    #[arg(short, long, global = true, help_heading = GLOBAL, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// How to log; a daemon that is started logs in the same way
    #[arg(long, global = true, help_heading = GLOBAL, env = log::VARIABLE, value_name = "FORMAT", default_value = "text")]
    pub log_format: log::Format,
    // Commands that show something have this as their own, and tell of it in their help; here it may also stand before their
    // words, as iproute2 has it (`bridge -j fdb show`). Clap hands it on by its name.
    #[arg(short = 'j', long, global = true, hide = true)]
    json: bool,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Reads the arguments, and the variables that stand for some of them: an empty one is as none.
    ///
    /// # Errors
    /// If they are not understood, or if help was asked for.
    pub fn read() -> Result<Self, clap::Error> {
        let mut command = Self::command();
        for argument in ["runtime_dir", "state_dir", "log_format"] {
            command = command.mut_arg(argument, |argument| match argument.get_env().map(std::env::var_os) {
                Some(Some(value)) if value.is_empty() => argument.env(Resettable::Reset),
                _ => argument,
            });
        }
        let matches = command.try_get_matches_from_mut(std::env::args_os())?;
        Self::from_arg_matches(&matches).map_err(|why| why.format(&mut command))
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a command in a new container
    Run(RunArgs),
    /// Run a command in a running container
    Exec(ExecArgs),
    /// List containers
    Ps(PsArgs),
    /// Ask containers to end (SIGTERM), and end them if they do not
    Stop(StopArgs),
    /// End containers at once, or send them another signal
    Kill(KillArgs),
    /// Show all that is known of containers, as JSON
    Inspect(InspectArgs),
    /// Show what a container started with -d has written
    Logs(LogsArgs),
    /// Forget containers that have ended
    Rm(RmArgs),
    /// Networks
    #[command(subcommand)]
    Network(NetworkCommand),
    /// Show bridges and their ports, as `brctl show` does
    Show(ShowArgs),
    /// Look into the switch
    #[command(subcommand)]
    Bridge(BridgeCommand),
    /// Interfaces of the host as ports of a bridge
    #[command(subcommand)]
    Port(PortCommand),
    /// What the switch has counted, by port
    Stats(stats::StatsArgs),
    /// Frames as they come, with what the switch decides: in words, or as pcapng for Wireshark
    Capture(CaptureArgs),
    /// What would become of a frame, step by step, and why; nothing is sent or changed
    Explain(ExplainArgs),
    /// The four network modes side by side, in a scratch namespace of its own
    Demo(DemoArgs),
    /// The simulator: the same switch and manager in virtual time
    #[command(subcommand)]
    Sim(SimCommand),
    /// Start the daemon
    Up(UpArgs),
    /// Stop all containers, give interfaces of the host back, and stop the daemon
    ///
    /// Containers of Docker's and of other runtimes go on, but lose their network: it says which.
    Down,
    /// Show the daemon
    Status(Json),
    /// Check whether this machine has what containers take
    Doctor(Json),
    /// Print a script that completes this command's arguments
    Completions {
        /// For this shell
        shell: Shell,
    },
    /// Write a man page for each command
    Man {
        /// Into this directory
        directory: PathBuf,
    },
    /// Show the version
    Version(Json),
}

/// For a program instead of for a person.
#[derive(Clone, Copy, Debug, Args)]
pub struct Json {
    /// Print JSON
    #[arg(short = 'j', long)]
    pub json: bool,
}

/// `run`
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub struct RunArgs {
    // Docker's -h is the host name here.
    /// Print help
    #[arg(long, action = clap::ArgAction::HelpLong)]
    help: Option<bool>,
    /// The container's name
    #[arg(long, value_name = "NAME")]
    pub name: Option<Name>,
    /// bridge, host, none, container:NAME, or a network's name
    #[arg(long, visible_alias = "net", value_name = "MODE", default_value = "bridge")]
    pub network: NetworkMode,
    /// The container's address on its network
    #[arg(long, value_name = "ADDRESS")]
    pub ip: Option<Ipv4Addr>,
    /// The MAC address of the container's interface
    #[arg(long, value_name = "MAC")]
    pub mac_address: Option<MacAddr>,
    /// The longest IP packet of the container's interface, in bytes (68 to 65521)
    #[arg(long, value_name = "BYTES")]
    pub mtu: Option<u32>,
    /// Pass a port of the host on to one of the container's; ranges as 8000-8005:80-85
    #[arg(short, long, value_name = "[IP:]HOST:PORT[/PROTOCOL]", value_parser = parse_publish)]
    pub publish: Vec<Vec<PortMapping>>,
    /// A further name of the container on its network
    #[arg(long, value_name = "NAME")]
    pub network_alias: Vec<Name>,
    /// A name server, instead of the host's
    #[arg(long, value_name = "ADDRESS")]
    pub dns: Vec<Ipv4Addr>,
    /// Give the interface no segmentation and checksum offload
    #[arg(long)]
    pub no_offload: bool,
    /// Run in the background and print the container's id
    #[arg(short, long)]
    pub detach: bool,
    /// Forget the container when it ends
    #[arg(long)]
    pub rm: bool,
    /// Set a variable in the command's environment; without a value, pass the caller's
    #[arg(short, long, value_name = "NAME[=VALUE]", value_parser = OsStringValueParser::new().try_map(parse_variable))]
    pub env: Vec<(OsString, Option<OsString>)>,
    /// The container's host name
    #[arg(short = 'h', long, value_name = "NAME")]
    pub hostname: Option<String>,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// `exec`
#[derive(Debug, Args)]
pub struct ExecArgs {
    /// The container, by name or by the beginning of its id
    pub container: String,
    /// Set a variable in the command's environment; without a value, pass the caller's
    #[arg(short, long, value_name = "NAME[=VALUE]", value_parser = OsStringValueParser::new().try_map(parse_variable))]
    pub env: Vec<(OsString, Option<OsString>)>,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// `ps`
#[derive(Debug, Args)]
pub struct PsArgs {
    /// Those that have ended, too
    #[arg(short, long)]
    pub all: bool,
    /// With what each has received and sent on its networks, in bytes
    #[arg(short, long)]
    pub stats: bool,
    /// For a program
    #[command(flatten)]
    pub json: Json,
}

/// `stop`
#[derive(Debug, Args)]
pub struct StopArgs {
    /// How many seconds a container has to end by itself
    #[arg(short, long, value_name = "SECONDS", default_value_t = netns::manager::STOP_GRACE.as_secs())]
    pub time: u64,
    /// The containers
    #[arg(required = true, value_name = "CONTAINER")]
    pub containers: Vec<String>,
}

/// `kill`
#[derive(Debug, Args)]
pub struct KillArgs {
    /// The signal, by name or number: KILL, SIGKILL, 9, RTMIN+1
    #[arg(short, long, default_value = "KILL", value_parser = parse_signal)]
    pub signal: i32,
    /// The containers
    #[arg(required = true, value_name = "CONTAINER")]
    pub containers: Vec<String>,
}

/// `inspect`
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// The containers
    #[arg(required = true, value_name = "CONTAINER")]
    pub containers: Vec<String>,
    /// For a program; `inspect` always is
    #[command(flatten)]
    pub json: Json,
}

/// `logs`
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// The container
    pub container: String,
}

/// `rm`
#[derive(Debug, Args)]
pub struct RmArgs {
    /// End them first, if they run
    #[arg(short, long)]
    pub force: bool,
    /// The containers
    #[arg(required = true, value_name = "CONTAINER")]
    pub containers: Vec<String>,
}

/// `network …`
#[derive(Debug, Subcommand)]
pub enum NetworkCommand {
    /// List networks
    #[command(visible_alias = "list")]
    Ls(Json),
    /// Make a bridge network
    Create(NetworkCreateArgs),
    /// Show all that is known of networks, as JSON
    Inspect(NetworkInspectArgs),
    /// Remove networks that no container is on
    #[command(visible_alias = "remove")]
    Rm(NetworkRmArgs),
    /// Remove all networks that no container is on
    Prune(NetworkPruneArgs),
    /// Give a running container an interface on a further network
    Connect(NetworkConnectArgs),
    /// Take a running container off a network
    Disconnect(NetworkDisconnectArgs),
}

/// `network create`
#[derive(Debug, Args)]
pub struct NetworkCreateArgs {
    /// What kind of network; bridge is the only one that can be made
    #[arg(short, long, default_value = "bridge", value_parser = ["bridge"])]
    pub driver: String,
    /// Its subnet, such as 10.9.0.0/24; by default the first of Docker's pools that the host does not use
    #[arg(long, value_name = "ADDRESS/LENGTH", value_parser = parse_prefix)]
    pub subnet: Option<Ipv4Net>,
    /// The host's address in it; by default the first
    #[arg(long, value_name = "ADDRESS")]
    pub gateway: Option<Ipv4Addr>,
    /// The part of the subnet from which containers get addresses that they do not ask for
    #[arg(long, value_name = "ADDRESS/LENGTH", value_parser = parse_prefix)]
    pub ip_range: Option<Ipv4Net>,
    /// No way out: no default route, and nothing is forwarded
    #[arg(long)]
    pub internal: bool,
    /// The longest IP packet of its interfaces, in bytes (68 to 65521)
    #[arg(long, value_name = "BYTES")]
    pub mtu: Option<u32>,
    /// Write something on it
    #[arg(long, value_name = "KEY[=VALUE]", value_parser = parse_label)]
    pub label: Vec<(String, String)>,
    /// endpoint=tap (the default) or endpoint=veth: what its containers' interfaces are
    #[arg(short = 'o', long = "opt", value_name = "KEY=VALUE", value_parser = parse_option)]
    pub options: Vec<NetworkOption>,
    /// The network's name
    pub name: Name,
}

/// `network inspect`
#[derive(Debug, Args)]
pub struct NetworkInspectArgs {
    /// The networks
    #[arg(required = true, value_name = "NETWORK")]
    pub networks: Vec<String>,
    /// For a program; `inspect` always is
    #[command(flatten)]
    pub json: Json,
}

/// `network rm`
#[derive(Debug, Args)]
pub struct NetworkRmArgs {
    /// Also one that Docker has made and has forgotten since; never one that something is on
    #[arg(short, long)]
    pub force: bool,
    /// The networks
    #[arg(required = true, value_name = "NETWORK")]
    pub networks: Vec<String>,
}

/// `network prune`
#[derive(Debug, Args)]
pub struct NetworkPruneArgs {
    /// Do not ask; nothing is asked anyway
    #[arg(short, long)]
    pub force: bool,
}

/// `network connect`
#[derive(Debug, Args)]
pub struct NetworkConnectArgs {
    /// The container's address on the network
    #[arg(long, value_name = "ADDRESS")]
    pub ip: Option<Ipv4Addr>,
    /// The MAC address of the new interface
    #[arg(long, value_name = "MAC")]
    pub mac_address: Option<MacAddr>,
    /// A further name of the container on the network
    #[arg(long = "alias", visible_alias = "network-alias", value_name = "NAME")]
    pub aliases: Vec<Name>,
    /// The network
    pub network: String,
    /// The container
    pub container: String,
}

/// `network disconnect`
#[derive(Debug, Args)]
pub struct NetworkDisconnectArgs {
    /// Even if it runs; it does
    #[arg(short, long)]
    pub force: bool,
    /// The network
    pub network: String,
    /// The container
    pub container: String,
}

/// What `-o` may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkOption {
    /// `endpoint=…`
    Endpoint(EndpointKind),
    /// Docker's word for `--mtu`.
    Mtu(u32),
}

fn parse_publish(text: &str) -> Result<Vec<PortMapping>, String> {
    PortMapping::parse(text).map_err(|why| why.reason.to_string())
}

fn parse_label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    if key.is_empty() { Err("a label has a name".into()) } else { Ok((key.to_owned(), value.to_owned())) }
}

fn parse_option(text: &str) -> Result<NetworkOption, String> {
    match text.split_once('=') {
        Some(("endpoint", kind)) => kind.parse().map(NetworkOption::Endpoint),
        Some(("com.docker.network.driver.mtu", mtu)) => {
            mtu.parse().map(NetworkOption::Mtu).map_err(|_| format!("'{mtu}' is no number of bytes"))
        }
        _ => Err("endpoint=tap and endpoint=veth are understood".into()),
    }
}

/// `show`
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Only this bridge
    pub bridge: Option<String>,
    /// For a program
    #[command(flatten)]
    pub json: Json,
}

/// `bridge …`
#[derive(Debug, Subcommand)]
pub enum BridgeCommand {
    /// The forwarding database: which station is behind which port
    Fdb(FdbArgs),
    /// What happens, as it happens: stations, ports, containers, networks
    Monitor(MonitorArgs),
}

/// `bridge fdb …`
#[derive(Debug, Args)]
pub struct FdbArgs {
    /// `show`, and words as of bridge(8): `br BRIDGE`, `dev PORT`
    #[arg(value_name = "show [br BRIDGE] [dev PORT]", num_args = 0..)]
    pub words: Vec<String>,
    /// For a program
    #[command(flatten)]
    pub json: Json,
}

/// `demo`
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Real namespaces, or the simulator; by default whichever this machine allows
    #[arg(long)]
    pub world: Option<World>,
}

/// `sim`
#[derive(Debug, Subcommand)]
pub enum SimCommand {
    /// The demo in the simulator, with a trace of it or a capture if wanted
    Demo(SimDemoArgs),
    /// Give what was recorded to the switch of this program, and say whether it decides as the other one did
    Replay {
        /// What `capture --all -w FILE` or `capture --last -w FILE` has written
        file: PathBuf,
        /// Print JSON
        #[command(flatten)]
        json: Json,
    },
}

/// `sim demo`
#[derive(Debug, Args)]
pub struct SimDemoArgs {
    /// Where chance begins; equal seeds give equal worlds
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Print every frame, decision and event behind the tale
    #[arg(long)]
    pub trace: bool,
    /// Write all frames to this file, as pcapng
    #[arg(long, value_name = "FILE")]
    pub pcap: Option<PathBuf>,
}

/// Where the demo runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum World {
    /// Real namespaces and processes
    Host,
    /// The simulator
    Sim,
}

/// A variable may have any bytes.
fn parse_variable(text: OsString) -> Result<(OsString, Option<OsString>), String> {
    let bytes = text.as_bytes();
    let (name, value) = match bytes.iter().position(|byte| *byte == b'=') {
        Some(at) => (&bytes[..at], Some(OsStr::from_bytes(&bytes[at + 1..]).to_owned())),
        None => (bytes, None),
    };
    if name.is_empty() { Err("a variable has a name".into()) } else { Ok((OsStr::from_bytes(name).to_owned(), value)) }
}

/// What a prefix is, in words: the library's own are of syntax only.
fn parse_prefix(text: &str) -> Result<Ipv4Net, &'static str> {
    text.parse().map_err(|_| "an address and a prefix length of at most 32 are expected, as 10.9.0.0/24")
}

/// The first and the last signal that programs may use as they like, as the C library counts them.
pub const REAL_TIME: std::ops::RangeInclusive<i32> = 34..=64;

fn parse_signal(text: &str) -> Result<i32, String> {
    use nix::sys::signal::Signal;
    if let Ok(number) = text.parse::<i32>() {
        return match number {
            32 | 33 => Err("the C library keeps this signal to itself".into()),
            1..=64 => Ok(number),
            _ => Err("a signal is a number from 1 to 64".into()),
        };
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let real_time = parse_real_time(name).filter(|number| REAL_TIME.contains(number));
    let named = || format!("SIG{name}").parse::<Signal>().ok().map(|signal| signal as i32);
    real_time.or_else(named).ok_or_else(|| "no signal is called so".into())
}

/// `RTMIN`, `RTMIN+N`, `RTMAX-N`, `RTMAX`.
fn parse_real_time(name: &str) -> Option<i32> {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u8>().ok()).flatten();
    match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        (Some(""), _) => Some(*REAL_TIME.start()),
        (_, Some("")) => Some(*REAL_TIME.end()),
        (Some(rest), _) => Some(REAL_TIME.start() + i32::from(digits(rest.strip_prefix('+')?)?)),
        (_, Some(rest)) => Some(REAL_TIME.end() - i32::from(digits(rest.strip_prefix('-')?)?)),
        (None, None) => None,
    }
}

impl StopArgs {
    /// How long a container has to end by itself.
    #[must_use]
    pub fn grace(&self) -> Duration {
        Duration::from_secs(self.time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn json_may_be_asked_for_before_the_words_of_a_command() {
        for words in ["-j bridge fdb show", "bridge -j fdb show", "bridge fdb -j show", "bridge fdb show -j"] {
            let cli = Cli::try_parse_from(["pontoon"].into_iter().chain(words.split(' '))).expect("it is understood");
            assert!(matches!(cli.command, Command::Bridge(BridgeCommand::Fdb(fdb)) if fdb.json.json), "{words}");
        }
        let cli = Cli::try_parse_from(["pontoon", "--json", "ps"]).expect("it is understood");
        assert!(matches!(cli.command, Command::Ps(ps) if ps.json.json));
        let cli = Cli::try_parse_from(["pontoon", "ps"]).expect("it is understood");
        assert!(matches!(cli.command, Command::Ps(ps) if !ps.json.json));
    }

    #[test]
    fn a_prefix_is_an_address_and_a_length() {
        assert_eq!(parse_prefix("10.9.0.0/24").map(|prefix| prefix.to_string()), Ok("10.9.0.0/24".into()));
        for wrong in ["10.1.0.0/33", "10.1.0.1", "x", "10.1.0.0/", "fd00::/64"] {
            for option in ["--subnet", "--ip-range"] {
                let refused = Cli::try_parse_from(["pontoon", "network", "create", option, wrong, "net"]);
                let refused = refused.expect_err("it is none").to_string();
                assert!(refused.contains("an address and a prefix length of at most 32 are expected"), "{refused}");
            }
        }
    }

    #[test]
    fn a_signal_has_a_name_or_a_number() {
        assert_eq!(["KILL", "SIGKILL", "kill", "9"].map(parse_signal), [const { Ok(9) }; 4]);
        assert_eq!(["RTMIN", "SIGRTMIN+1", "rtmax-1", "RTMAX", "50"].map(parse_signal), [34, 35, 63, 64, 50].map(Ok));
        let wrong =
            ["0", "65", "NOPE", "", "32", "RTMIN+31", "RTMAX-31", "RTMIN-1", "RTMAX+1", "RTMIN+", "RTMIN++1", "-9"];
        for wrong in wrong {
            assert!(parse_signal(wrong).is_err(), "{wrong}");
        }
    }
}
