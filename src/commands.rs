//! Each command: what is asked of the daemon, and how the answer is printed.

use std::collections::BTreeMap;

use control::{Bridge, NetworkOrder, Request, Shown, Station, Status};
use netns::manager::NetworkView;
use netns::network::EndpointKind;
use serde::Serialize;

use crate::cli::{
    BridgeCommand, Cli, Command, FdbArgs, Json, LogsArgs, NetworkCommand, NetworkConnectArgs, NetworkCreateArgs,
    NetworkOption, NetworkRmArgs, PortAddArgs, PortCommand, PortDelArgs, ShowArgs, SimCommand, UpArgs,
};
use crate::client::{Client, is_left_to_root};
use crate::daemon::{self, Docker, Options};
use crate::failure::{Failure, cause_of, io};
use switch::engine::Io;

use crate::output::{self, forgive, say};
use crate::paths::Dirs;
use crate::{capture, demo, doctor, explain, manual, monitor, replay, run, several, show, stats};

/// Carries out a command; returns the exit status.
///
/// # Errors
/// What could not be done.
pub fn carry_out(cli: Cli) -> Result<u8, Failure> {
    let dirs = Dirs::new(cli.runtime_dir, cli.state_dir)?;
    match cli.command {
        Command::Run(args) => return run::run(&dirs, args),
        Command::Exec(args) => return run::exec(&dirs, args),
        Command::Ps(args) => {
            let containers: Vec<Shown> = ask(&dirs, &Request::Containers { all: args.all })?;
            print(args.json, &containers, |containers| {
                show::containers::ps(containers, args.stats, daemon::unix_seconds())
            })?;
        }
        Command::Stop(args) => {
            let grace = args.grace().as_secs();
            several::stop(&dirs, &args.containers, grace)?;
        }
        Command::Kill(args) => {
            let signal = args.signal;
            several::for_each(Client::connect(&dirs)?, args.containers, |container| Request::Kill {
                container,
                signal,
            })?;
        }
        Command::Rm(args) => {
            let force = args.force;
            several::for_each(Client::connect(&dirs)?, args.containers, |container| Request::Remove {
                container,
                force,
            })?;
        }
        Command::Inspect(args) => {
            several::inspect(Client::connect(&dirs)?, args.containers, Request::Inspect)?;
        }
        Command::Logs(args) => logs(&dirs, &args)?,
        Command::Network(command) => network(&dirs, command)?,
        Command::Show(args) => show_bridges(&dirs, &args)?,
        Command::Bridge(BridgeCommand::Fdb(args)) => fdb(&dirs, args)?,
        Command::Bridge(BridgeCommand::Monitor(args)) => monitor::monitor(&dirs, &args)?,
        Command::Port(PortCommand::Add(PortAddArgs { bridge, interface })) => {
            insist::<()>(&dirs, &Request::AddPort { bridge, interface })?;
        }
        Command::Port(PortCommand::Del(PortDelArgs { bridge, port })) => {
            insist::<()>(&dirs, &Request::RemovePort { bridge, port })?;
        }
        Command::Stats(args) => stats::stats(&dirs, &args)?,
        Command::Explain(args) => explain::explain(&dirs, &args)?,
        Command::Capture(args) => capture::capture(&dirs, &args)?,
        Command::Demo(args) => return demo::demo(args.world),
        Command::Sim(SimCommand::Demo(args)) => demo::simulate(&args)?,
        Command::Sim(SimCommand::Replay { file, json }) => return replay::replay(&file, json),
        Command::Up(args) => up(&dirs, &args)?,
        Command::Down => down(&dirs)?,
        Command::Status(json) => {
            let status: Status = ask(&dirs, &Request::Status)?;
            print(json, &status, status_text)?;
        }
        Command::Doctor(json) => {
            let findings = doctor::examine(&dirs);
            print(json, &findings, |findings| doctor::text(findings))?;
            return Ok(doctor::exit_status(&findings));
        }
        Command::Completions { shell } => output::print(String::from_utf8_lossy(&manual::completions(shell)))?,
        Command::Man { directory } => manual::write_pages(&directory)?,
        Command::Version(json) => {
            let version = BTreeMap::from([("version", env!("CARGO_PKG_VERSION"))]);
            print(json, &version, |_| format!("pontoon {}\n", env!("CARGO_PKG_VERSION")))?;
        }
    }
    Ok(0)
}

/// Networks are there whether a daemon runs or not: where none does, one is started.
fn network(dirs: &Dirs, command: NetworkCommand) -> Result<(), Failure> {
    match command {
        NetworkCommand::Ls(json) => {
            let networks: Vec<NetworkView> = insist(dirs, &Request::Networks)?;
            print(json, &networks, |networks| show::containers::networks(networks))
        }
        NetworkCommand::Create(args) => {
            let request = Request::CreateNetwork(Box::new(network_order(args)));
            output::print_line(insist::<String>(dirs, &request)?)
        }
        NetworkCommand::Inspect(args) => {
            several::inspect(Client::connect_or_start(dirs)?, args.networks, Request::InspectNetwork)
        }
        NetworkCommand::Rm(args) => {
            let NetworkRmArgs { force, networks } = args;
            several::for_each(Client::connect_or_start(dirs)?, networks, |network| Request::RemoveNetwork {
                network,
                force,
            })
        }
        NetworkCommand::Prune(_) => {
            let gone: Vec<String> = insist(dirs, &Request::PruneNetworks)?;
            if gone.is_empty() { Ok(()) } else { output::print(format!("Deleted Networks:\n{}\n", gone.join("\n"))) }
        }
        NetworkCommand::Connect(NetworkConnectArgs { ip, mac_address: mac, aliases, network, container }) => {
            insist(dirs, &Request::Connect { network, container, ip, mac, aliases })
        }
        NetworkCommand::Disconnect(args) => {
            insist(dirs, &Request::Disconnect { network: args.network, container: args.container })
        }
    }
}

fn network_order(args: NetworkCreateArgs) -> NetworkOrder {
    let NetworkCreateArgs { driver: _, subnet, gateway, ip_range, internal, mtu, label, options, name } = args;
    let mut order = NetworkOrder {
        name,
        subnet,
        gateway,
        ip_range,
        internal,
        mtu,
        labels: label.into_iter().collect(),
        endpoint: EndpointKind::default(),
    };
    for option in options {
        match option {
            NetworkOption::Endpoint(kind) => order.endpoint = kind,
            NetworkOption::Mtu(mtu) => order.mtu = order.mtu.or(Some(mtu)),
        }
    }
    order
}

fn ask<T: serde::de::DeserializeOwned>(dirs: &Dirs, request: &Request) -> Result<T, Failure> {
    Client::connect(dirs)?.ask(request)
}

/// Asks the daemon, or one that is started for it.
fn insist<T: serde::de::DeserializeOwned>(dirs: &Dirs, request: &Request) -> Result<T, Failure> {
    let (_, answer) = Client::connect_or_start(dirs)?.ask_to_make(dirs, request, &[])?;
    Ok(answer)
}

fn logs(dirs: &Dirs, args: &LogsArgs) -> Result<(), Failure> {
    let path: std::path::PathBuf = ask(dirs, &Request::Log(args.container.clone()))?;
    let mut log = std::fs::File::open(&path).map_err(io(format_args!("open the log {}", path.display())))?;
    let copied = std::io::copy(&mut log, &mut std::io::stdout().lock()).map(drop);
    forgive(copied).map_err(|why| Failure::new(format_args!("print the log {}: {}", path.display(), cause_of(&why))))
}

fn show_bridges(dirs: &Dirs, args: &ShowArgs) -> Result<(), Failure> {
    let mut bridges: Vec<Bridge> = ask(dirs, &Request::Bridges)?;
    if let Some(only) = &args.bridge {
        bridges.retain(|bridge| bridge.name == *only);
        if bridges.is_empty() {
            return Err(no_such("bridge", only));
        }
    }
    print(args.json, &bridges, |bridges| show::bridges::brctl(bridges))
}

fn fdb(dirs: &Dirs, args: FdbArgs) -> Result<(), Failure> {
    let wanted = parse_fdb(&args.words)?;
    let mut client = Client::connect(dirs)?;
    let bridges: Vec<Bridge> = client.ask(&Request::Bridges)?;
    let known_port = |name: &String| bridges.iter().any(|known| known.name == *name || known.interfaces.contains(name));
    if let Some(bridge) = wanted.bridge.as_ref().filter(|name| !bridges.iter().any(|known| known.name == **name)) {
        return Err(no_such("bridge", bridge));
    }
    if let Some(port) = wanted.port.as_ref().filter(|name| !known_port(name)) {
        return Err(no_such("port", port));
    }
    let mut stations: Vec<Station> = client.ask(&Request::Stations)?;
    stations.retain(|station| wanted.bridge.as_ref().is_none_or(|bridge| station.master == *bridge));
    stations.retain(|station| wanted.port.as_ref().is_none_or(|port| station.ifname == *port));
    print(args.json, &stations, |stations| show::stations::fdb(stations))
}

#[derive(Debug, Default, PartialEq, Eq)]
struct FdbFilter {
    bridge: Option<String>,
    port: Option<String>,
}

/// The words of `bridge fdb show [br BRIDGE] [dev PORT]`, in either order, `brport` as well as `dev`.
fn parse_fdb(words: &[String]) -> Result<FdbFilter, Failure> {
    let wrong = |why: String| Failure::new(why).with_hint("bridge fdb [show] [br BRIDGE] [dev PORT]").with_status(2);
    let mut filter = FdbFilter::default();
    let mut words = words.iter();
    let mut next = words.next();
    if next.is_some_and(|first| first == "show" || first == "list" || first == "lst") {
        next = words.next();
    }
    while let Some(word) = next {
        let value = words.next().cloned().ok_or_else(|| wrong(format!("'{word}' needs a name behind it")));
        match word.as_str() {
            "br" => filter.bridge = Some(value?),
            "dev" | "brport" => filter.port = Some(value?),
            other => return Err(wrong(format!("'{other}' is not understood"))),
        }
        next = words.next();
    }
    Ok(filter)
}

fn up(dirs: &Dirs, args: &UpArgs) -> Result<(), Failure> {
    let UpArgs { detach: _, bip, metrics, io: engine, flight_recorder, docker, docker_api } = args;
    let docker = match docker {
        Some(socket) => {
            let api = std::path::absolute(docker_api).map_err(io(format_args!("find {}", docker_api.display())))?;
            let docker = Docker { socket: socket.clone(), api };
            docker.check()?;
            Some(docker)
        }
        None => None,
    };
    let options = Options {
        dirs: dirs.clone(),
        stays: true,
        bip: *bip,
        metrics: *metrics,
        io: engine.unwrap_or_default(),
        flight_recorder: *flight_recorder,
        docker,
    };
    let listens = |warnings: &[String]| {
        for warning in warnings {
            say(format_args!("pontoon: warning: {warning}"));
        }
        // For a service manager that waits for it; without one this does nothing.
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
        say(format_args!(
            "pontoon: listening at {}; Ctrl-C ends the daemon, `pontoon down` the containers too",
            dirs.socket().display()
        ));
    };
    let (client, started) = if args.detach {
        Client::stay(dirs, &options)?
    } else {
        match Client::run_or_have_stay(dirs, || daemon::run(&options, listens))? {
            Some(client) => (client, false),
            None => return Ok(()),
        }
    };
    if !started {
        let pid = client.process_id()?;
        // The address of a network that containers are on can not be another.
        if let Some(option) = args.bip.map(|bip| format!("--bip {bip}")) {
            return Err(Failure::new(format_args!("a daemon runs already (pid {pid}); {option} has no effect on it"))
                .with_hint("`pontoon down` first"));
        }
        let recorder = args.flight_recorder.map(|seconds| format!("--flight-recorder {seconds}"));
        let metrics = args.metrics.map(|metrics| format!("--metrics {metrics}"));
        let io = args.io.filter(|io| *io != Io::Auto).map(|io| format!("--io {}", io.name()));
        let docker = args.docker.as_ref().map(|_| "--docker".to_owned());
        if let Some(option) = recorder.or(metrics).or(io).or(docker) {
            return Err(Failure::new(format_args!("a daemon runs already (pid {pid}); {option} has no effect on it"))
                .with_hint("end it first (SIGTERM): its containers go on, and the next daemon takes them over"));
        }
        say(format_args!("pontoon: a daemon runs already (pid {pid}); it stays up"));
    }
    Ok(())
}

fn down(dirs: &Dirs) -> Result<(), Failure> {
    let mut client = match Client::look(dirs)? {
        Some(client) => client,
        // What a daemon that was killed has left is for the next to end, which knows how the host was before.
        None if dirs.paths().are_in_use() => Client::connect_or_start(dirs)?,
        None if is_left_to_root() => Client::connect(dirs)?,
        None => {
            let runtime = dirs.runtime.display();
            say(format_args!(
                "pontoon: there is nothing to end: no daemon listens in {runtime}, and none has left anything"
            ));
            return Ok(());
        }
    };
    let daemon = client.process()?;
    client.ask::<()>(&Request::Down)?;
    drop(client);
    daemon.wait()
}

fn status_text(status: &Status) -> String {
    let Status {
        pid,
        version,
        bridges,
        running,
        containers,
        ends_by_itself,
        runtime_dir,
        state_dir,
        metrics,
        docker,
        io,
        flight_recorder,
    } = status;
    let docker = docker.as_ref().map(|socket| format!("docker:       {socket}\n")).unwrap_or_default();
    let life = if *ends_by_itself { "ends by itself after its last container" } else { "stays until `pontoon down`" };
    let metrics = metrics.as_ref().map(|url| format!("metrics:      {url}\n")).unwrap_or_default();
    let recorder = flight_recorder.as_ref().map_or_else(String::new, |recorder| {
        let control::FlightRecorder { seconds, reaches_back, memory, memory_limit } = recorder;
        let [memory, limit] = [memory, memory_limit].map(|bytes| bytes >> 20);
        format!("recorder:     asked for {seconds} s, reaches back {reaches_back} s, has {memory} of {limit} MiB\n")
    });
    format!(
        "pid:          {pid}\nversion:      {version}\nbridges:      {}\ncontainers:   {running} running, {containers} in all\n\
         life:         {life}\nio:           {io}\nruntime dir:  {runtime_dir}\nstate dir:    {state_dir}\n{metrics}{docker}{recorder}",
        bridges.join(", ")
    )
}

fn no_such(what: &str, name: &str) -> Failure {
    Failure::new(format_args!("no such {what}: {name}")).with_hint("`pontoon show` lists bridges and ports")
}

fn print<T: Serialize + ?Sized>(json: Json, value: &T, text: impl FnOnce(&T) -> String) -> Result<(), Failure> {
    if json.json { print_json(value) } else { output::print(text(value)) }
}

/// Prints for a program.
///
/// # Errors
/// If it can not be printed.
pub fn print_json<T: Serialize + ?Sized>(value: &T) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|why| Failure::new(format_args!("write JSON: {why}")))?;
    output::print_line(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(ToString::to_string).collect()
    }

    #[test]
    fn fdb_words_are_those_of_iproute2() {
        let filter = |bridge: Option<&str>, port: Option<&str>| FdbFilter {
            bridge: bridge.map(ToString::to_string),
            port: port.map(ToString::to_string),
        };
        assert_eq!(parse_fdb(&words("")), Ok(filter(None, None)));
        assert_eq!(parse_fdb(&words("show")), Ok(filter(None, None)));
        assert_eq!(parse_fdb(&words("show br pontoon0")), Ok(filter(Some("pontoon0"), None)));
        assert_eq!(parse_fdb(&words("dev web.eth0 br pontoon0")), Ok(filter(Some("pontoon0"), Some("web.eth0"))));
        assert_eq!(parse_fdb(&words("show br")).map_err(|failure| failure.status), Err(2));
        assert_eq!(parse_fdb(&words("delete")).map_err(|failure| failure.status), Err(2));
    }
}
