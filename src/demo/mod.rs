//! `pontoon demo`: the four network modes side by side, told to somebody who has never seen the project.
//!
//! The tale is told once ([`tell`]); it is played on one of two stages: real namespaces and processes ([`host`], which
//! [`cage`] keeps together), or the simulator ([`simulated`]).

mod cage;
mod host;
mod probe;
mod simulated;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use control::{Bridge, Station};
use netns::interface::InterfaceInfo;

use crate::cli::{SimDemoArgs, World};
use crate::failure::{Failure, cause_of};
use crate::output::{print, print_line};
use crate::show;

/// How much is sent in the TCP transfer, in bytes.
const TRANSFER: usize = 4 << 20;

/// Where the tale is played.
trait Stage {
    /// What stands for the host here, in one sentence.
    fn scenery(&self) -> String;
    /// Starts a container that does nothing, in this network mode.
    fn run(&mut self, name: &str, mode: &str) -> Result<(), Failure>;
    /// What is seen from inside a container.
    fn interfaces(&mut self, container: &str) -> Result<Vec<InterfaceInfo>, Failure>;
    /// Sends one echo request from a container; how long the answer took.
    fn ping(&mut self, from: &str, to: Ipv4Addr) -> Result<Duration, Failure>;
    /// Sends [`TRANSFER`] bytes by TCP from one container to another's address, checked at the end; how long it took.
    fn transfer(&mut self, from: &str, to: &str, address: Ipv4Addr) -> Result<Duration, Failure>;
    /// The bridges.
    fn bridges(&mut self) -> Result<Vec<Bridge>, Failure>;
    /// The FDB.
    fn stations(&mut self) -> Result<Vec<Station>, Failure>;
    /// The statistics.
    fn statistics(&mut self) -> Result<Vec<show::stats::Bridge>, Failure>;
}

/// Plays the tale in `world`, or wherever this machine allows. Returns the exit status.
///
/// # Errors
/// If it can not be played, or does not go as it should.
pub fn demo(world: Option<World>) -> Result<u8, Failure> {
    let status = match world {
        Some(World::Sim) => simulate_plainly()?,
        Some(World::Host) => cage::run()?,
        None => match netns::linux::scratch::can_run() {
            Ok(()) => cage::run()?,
            Err(why) => {
                print_line(format_args!(
                    "This machine allows no real namespaces here ({why}), so the demo runs in the simulator.\n"
                ))?;
                simulate_plainly()?
            }
        },
    };
    if status == 0 {
        print_line("\nThat is all. Everything that was made here is gone again, and this machine is as it was.")?;
    }
    Ok(status)
}

/// Is a process of the demo, if the arguments ask for one.
#[must_use]
pub fn dispatch(arguments: &[OsString]) -> Option<ExitCode> {
    let play = |dir: &Path| {
        let mut host = host::Host::new(dir)?;
        tell(&mut host)?;
        host.end()
    };
    cage::dispatch(arguments, play).or_else(|| probe::dispatch(arguments))
}

fn simulate_plainly() -> Result<u8, Failure> {
    tell(&mut simulated::Simulated::new(simulated::SEED, false)?).map(|()| 0)
}

/// Plays the tale in the simulator, and shows what is behind it: `pontoon sim demo`.
///
/// # Errors
/// If it does not go as it should, or the capture can not be written.
pub fn simulate(args: &SimDemoArgs) -> Result<(), Failure> {
    let mut stage = simulated::Simulated::new(args.seed, args.trace)?;
    let capture = stage.capture()?;
    let failed = |path: &Path, why: &io::Error| {
        Failure::new(format_args!("write the capture to {}: {}", path.display(), cause_of(why)))
    };
    // That it can not be had is found before the tale, not after it.
    let open = |path: &Path| File::create(path).map_err(|why| failed(path, &why)).map(|file| (path.to_owned(), file));
    let file = args.pcap.as_deref().map(open).transpose()?;
    tell(&mut stage)?;
    if let Some((path, mut file)) = file {
        file.write_all(&capture.bytes()).map_err(|why| failed(&path, &why))?;
    }
    if args.trace {
        chapter("The trace")?;
        for line in stage.trace() {
            print_line(line)?;
        }
    }
    Ok(())
}

fn tell(stage: &mut impl Stage) -> Result<(), Failure> {
    chapter("Pontoon: four ways for a container to see the network")?;
    print_line(format_args!("{}", stage.scenery()))?;
    print_line(
        "\nA container here is a process with a network of its own; it has the host's files. Before there is any,",
    )?;
    print_line("the host has one bridge, and nothing is plugged into it:\n")?;
    command("pontoon show")?;
    indent(&show::bridges::brctl(&stage.bridges()?))?;

    chapter("bridge: an interface and an address of its own, behind a switch")?;
    command("pontoon run -d --name web -- sleep 300")?;
    stage.run("web", "bridge")?;
    print_line("\nWhat web sees is its loopback and eth0, whose other end is a port of our switch:\n")?;
    indent(&seen(&stage.interfaces("web")?))?;

    chapter("host: no separation at all")?;
    command("pontoon run -d --name monitor --network host -- sleep 300")?;
    stage.run("monitor", "host")?;
    print_line("\nmonitor sees what the host sees; pontoon0 is the host's own interface on the bridge:\n")?;
    indent(&seen(&stage.interfaces("monitor")?))?;

    chapter("container:web: two containers in one network")?;
    command("pontoon run -d --name sidecar --network container:web -- sleep 300")?;
    stage.run("sidecar", "container:web")?;
    print_line("\nsidecar sees web's interfaces, the very same ones:\n")?;
    indent(&seen(&stage.interfaces("sidecar")?))?;

    chapter("none: nothing in, nothing out")?;
    command("pontoon run -d --name vault --network none -- sleep 300")?;
    stage.run("vault", "none")?;
    print_line("\nvault has its loopback and no more:\n")?;
    indent(&seen(&stage.interfaces("vault")?))?;

    across_the_bridge(stage)?;
    afterwards(stage)
}

fn across_the_bridge(stage: &mut impl Stage) -> Result<(), Failure> {
    chapter("Across the bridge")?;
    let web = address_of(&stage.interfaces("web")?, "eth0")?;
    let host = address_of(&stage.interfaces("monitor")?, "pontoon0")?;
    print_line("web asks the host whether it is there. Neither has heard of the other; the switch learns both.\n")?;
    let took = stage.ping("web", host)?;
    print_line(format_args!("  web -> {host}: an echo came back after {took:.0?}\n"))?;
    print_line("monitor, on the host, sends to web's address. sidecar answers there: it shares web's network.\n")?;
    let took = stage.transfer("monitor", "sidecar", web)?;
    print_line(format_args!(
        "  monitor -> {web}: {} MiB by TCP in {took:.0?}, every byte as it was sent\n",
        TRANSFER >> 20
    ))?;
    print_line("vault can reach nobody, and web has counted what it sent and received:\n")?;
    indent(&seen(&stage.interfaces("web")?))?;
    Ok(())
}

fn afterwards(stage: &mut impl Stage) -> Result<(), Failure> {
    chapter("What the switch knows now")?;
    command("pontoon show")?;
    indent(&show::bridges::brctl(&stage.bridges()?))?;
    print_line("\nThe FDB: behind which port each station is.\n")?;
    command("pontoon bridge fdb show")?;
    indent(&show::stations::fdb(&stage.stations()?))?;
    print_line(
        "\nThe statistics. What came in by a port was forwarded to another, flooded to all, for the host itself, or",
    )?;
    print_line("dropped for a reason:\n")?;
    command("pontoon stats")?;
    let statistics = stage.statistics()?;
    let ports = statistics.iter().flat_map(|bridge| &bridge.bridge.ports);
    indent(&show::stats::ports_table(ports, &show::stats::Look::PLAIN))?;
    show::stats::check(&statistics).map_err(Failure::new)?;
    print_line("\n  rx = forwarded + flooded + local + dropped: it adds up for every port.")?;
    Ok(())
}

fn address_of(interfaces: &[InterfaceInfo], name: &str) -> Result<Ipv4Addr, Failure> {
    let address = interfaces.iter().find(|own| own.name == name).and_then(|own| own.ipv4.first());
    address.map(ipnet::Ipv4Net::addr).ok_or_else(|| Failure::new(format_args!("there is no address on {name}")))
}

fn seen(interfaces: &[InterfaceInfo]) -> String {
    interfaces.iter().map(|own| format!("{own}\n")).collect()
}

fn chapter(title: &str) -> Result<(), Failure> {
    print(format_args!("\n== {title} ==\n\n"))
}

fn command(line: &str) -> Result<(), Failure> {
    print_line(format_args!("  $ {line}"))
}

fn indent(text: &str) -> Result<(), Failure> {
    text.lines().try_for_each(|line| print_line(format_args!("    {line}")))
}
