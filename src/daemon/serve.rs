//! One client: its requests, carried out in order. A client that talks nonsense is told so and shown the door; the daemon
//! goes on.

use std::os::fd::OwnedFd;
use std::sync::MutexGuard;
use std::time::Duration;

use control::bounds::{COMMAND_IN_DETAIL, COMMAND_IN_LIST};
use control::{
    Answer, Bridge, Checked, CniOrder, NetworkShown, Request, RunOrder, Running, Shown, Station, Status, Traffic,
};
use netns::linux::wire::{Channel, WireError};
use netns::linux::{Command, Streams};
use netns::manager::{ConnectRequest, Now, RunRequest, Started};
use netns::name::Id;
use serde::Serialize;
use serde_json::Value;
use switch::engine::EngineError;
use switch::vnet::VnetHeader;

use super::clients::{Connected, PATIENCE};
use super::state::State;
use super::{Daemon, down, monitor, statistics};
use crate::failure::Failure;

/// Serves one client until it goes, or says something that is no request.
pub(super) fn serve(daemon: &Daemon, connected: &Connected, mut channel: Channel) {
    if channel.set_timeouts(Some(PATIENCE), Some(PATIENCE)).is_err() {
        return;
    }
    loop {
        let (Checked(request), fds) = match channel.recv() {
            Ok(received) => received,
            Err(WireError::Closed) => return,
            Err(why) => {
                tracing::debug!("a client: {why}");
                let failure = match why {
                    WireError::NotJson(why) => Failure::new(format_args!("the request can not be understood: {why}")),
                    other => Failure::new(format_args!("receive a request: {other}")),
                };
                let _ = channel.send(&Answer::Failed(failure), &[]);
                return;
            }
        };
        if deals_in_names(&request) {
            daemon.catch_up_with_names();
        }
        // A daemon that is ending says so and closes the door: the client tries again, and finds the next one.
        let Some((busy, state)) = daemon.begin(&request) else {
            let _ = channel.send(&Answer::Ended, &[]);
            return;
        };
        let answer = match request {
            Request::Capture(order) => {
                // It is none that an end has to wait for.
                drop(state);
                drop(busy);
                super::capture::capture(daemon, *order, fds, &mut channel).unwrap_or_else(Answer::Failed)
            }
            Request::Run(order) => match run(daemon, connected, state, *order, fds, &mut channel) {
                Ok(()) => continue,
                Err(failure) => Answer::Failed(failure),
            },
            Request::Monitor => match monitor::serve(connected, busy, state, &mut channel) {
                Ok(()) => return,
                Err(failure) => Answer::Failed(failure),
            },
            Request::Cni(order) => {
                let made = if let CniOrder::Add(add) = &order { Some(add.key()) } else { None };
                let mut state = state;
                let answer = super::cni::carry_out(daemon, &mut state, order);
                drop(state);
                let made = made.filter(|_| answer.is_ok());
                let answer = answer.unwrap_or_else(Answer::Failed);
                match (channel.send(&answer, &[]), made) {
                    (Ok(()), _) => continue,
                    (Err(_), Some(key)) => super::cni::take_back(daemon, &key),
                    (Err(_), None) => {}
                }
                return;
            }
            other => match carry_out(daemon, state, other) {
                Ok(answer) => answer,
                Err(failure) => Answer::Failed(failure),
            },
        };
        let sent = match channel.send(&answer, &[]) {
            // Nothing of it was sent.
            Err(why @ WireError::TooLong) => {
                let failure = Failure::new(format_args!("the answer can not be sent: {why}"));
                channel.send(&Answer::Failed(failure), &[])
            }
            sent => sent,
        };
        if sent.is_err() {
            return;
        }
    }
}

/// Whether containers or networks are looked up for a request by their names, or shown with them.
fn deals_in_names(request: &Request) -> bool {
    !matches!(
        request,
        Request::Hello
            | Request::Enter
            | Request::Stay
            | Request::Status
            | Request::Down
            | Request::Monitor
            | Request::PruneNetworks
    )
}

fn carry_out(daemon: &Daemon, mut state: MutexGuard<'_, State>, request: Request) -> Result<Answer, Failure> {
    let now = daemon.now();
    let mut warnings = Vec::new();
    let done = match request {
        Request::Hello | Request::Enter => value(()),
        Request::Status => value(status(daemon, &state)),
        Request::Stay => {
            state.stays = true;
            value(())
        }
        Request::Down => {
            warnings.extend(down::down(daemon, state)?);
            value(())
        }
        Request::Run(_) | Request::Monitor | Request::Capture(_) | Request::Cni(_) => {
            unreachable!("carried out by a function of its own, which has the channel")
        }
        Request::Locate(container) => {
            state.manager.reap(now);
            value(state.manager.locate(&container)?)
        }
        Request::Stop { container, grace } => {
            let stopped = state.manager.stop(&container, Duration::from_secs(grace), now);
            let _ = state.pump();
            let id = stopped?;
            drop(state);
            daemon.poke();
            await_end(daemon, &id);
            value(())
        }
        Request::Kill { container, signal } => {
            let killed = state.manager.kill(&container, signal, now);
            let _ = state.pump();
            daemon.poke();
            killed?;
            value(())
        }
        Request::Remove { container, force } => {
            let removed = state.manager.remove(&container, force, now);
            let _ = state.pump();
            daemon.poke();
            removed?;
            value(())
        }
        Request::Containers { all } => {
            state.manager.reap(now);
            let _ = state.pump();
            let containers = state.manager.containers(all).into_iter();
            let statistics = statistics::all(&state).unwrap_or_default();
            let traffic = Traffic::by_port(&statistics);
            value(containers.map(|container| Shown::new(container, COMMAND_IN_LIST, &traffic)).collect::<Vec<_>>())
        }
        Request::Inspect(container) => {
            state.manager.reap(now);
            state.note_lost_ports();
            let _ = state.pump();
            let container = state.manager.inspect(&container)?;
            let statistics = statistics::all(&state).unwrap_or_default();
            value(Shown::new(container, COMMAND_IN_DETAIL, &Traffic::by_port(&statistics)))
        }
        Request::Log(container) => {
            let record = state.manager.find(&container)?;
            if let Some(guest) = &record.guest {
                let (container, engine) = (record.name.to_string(), guest.engine);
                return Err(netns::error::Error::OfEngine { container, engine }.into());
            }
            if !record.detached {
                return Err(Failure::new(format_args!("container {} keeps no log", record.name))
                    .with_hint("only containers started with -d do: the others write to their caller's terminal"));
            }
            value(daemon.dirs.paths().log(&record.id))
        }
        Request::Networks => value(state.manager.networks()),
        Request::CreateNetwork(order) => {
            let created = state.manager.create_network((*order).into(), now);
            let plugged = state.pump();
            let id = created?;
            if let Err(why) = plugged {
                let _ = state.manager.remove_network(id.as_str(), now);
                let _ = state.pump();
                return Err(Failure::new(format_args!("put the network on the switch: {why}")));
            }
            // It may have something to try again.
            daemon.poke();
            warnings.extend(state.manager.unresolved(&id));
            value(id)
        }
        Request::RemoveNetwork { network, force } => {
            let manager = &mut state.manager;
            let removed = if force {
                manager.remove_forgotten_network(&network, now)
            } else {
                manager.remove_network(&network, now)
            };
            let _ = state.pump();
            removed?;
            value(())
        }
        Request::PruneNetworks => {
            let (gone, failures) = state.manager.prune_networks(now);
            let _ = state.pump();
            match failures.into_iter().next() {
                Some(failed) => Err(failed.into()),
                None => value(gone),
            }
        }
        Request::InspectNetwork(network) => {
            state.manager.reap(now);
            let _ = state.pump();
            value(NetworkShown::new(
                state.manager.inspect_network(&network)?,
                &statistics::all(&state).unwrap_or_default(),
            ))
        }
        Request::Connect { network, container, ip, mac, aliases } => {
            let aliases = aliases.into_iter().map(String::from).collect();
            let connected = state.manager.connect(&network, &container, ConnectRequest { ip, mac, aliases }, now);
            let plugged = state.pump();
            daemon.poke();
            connected?;
            if let Err(why) = plugged {
                let _ = state.manager.disconnect(&network, &container, now);
                let _ = state.pump();
                return Err(Failure::new(format_args!("plug container {container} into the switch: {why}")));
            }
            warnings.extend(state.manager.warnings_on(&network));
            value(())
        }
        Request::Disconnect { network, container } => {
            let disconnected = state.manager.disconnect(&network, &container, now);
            let _ = state.pump();
            daemon.poke();
            disconnected?;
            value(())
        }
        Request::AddPort { bridge, interface } => {
            let added = state.manager.add_port(&bridge, &interface, now);
            let plugged = state.pump();
            let about = added?;
            if let Err(why) = plugged {
                let _ = state.manager.remove_port(&bridge, interface.as_str(), now);
                let _ = state.pump();
                return Err(Failure::new(format_args!("plug interface {interface} into the switch: {why}")));
            }
            daemon.poke();
            warnings.extend(about);
            value(())
        }
        Request::RemovePort { bridge, port } => {
            let removed = state.manager.remove_port(&bridge, &port, now);
            let _ = state.pump();
            daemon.poke();
            removed?;
            value(())
        }
        Request::Statistics => value(statistics::by_network(&state)?),
        Request::Bridges => bridges(&state),
        Request::Stations => stations(&state),
        Request::Explain { port, frame } => explain(&state, &port, frame.0),
    }?;
    Ok(if warnings.is_empty() { Answer::Done(done) } else { Answer::Warned { done, warnings } })
}

/// Runs a container. In the foreground the channel is its line to the daemon until it has ended.
fn run(
    daemon: &Daemon,
    connected: &Connected,
    mut state: MutexGuard<'_, State>,
    order: RunOrder,
    fds: Vec<OwnedFd>,
    channel: &mut Channel,
) -> Result<(), Failure> {
    let in_foreground = !order.detach;
    let (request, command) = understand(order, fds)?;
    let started = start(&mut state, request, command, daemon.now());
    let _ = state.pump();
    drop(state);
    daemon.poke();
    let started = started.map_err(|error| {
        let status = error.run_status();
        Failure::from(error).with_status(status)
    })?;
    let running =
        Running { id: started.id.to_string(), name: started.name.to_string(), warnings: started.warnings.clone() };
    // A client that has gone does not end its container.
    let told = channel.send(&Answer::Done(value(running)?), &[]);
    if in_foreground && told.is_ok() {
        let _waits = connected.wait();
        await_end(daemon, &started.id);
        let _ = channel.send(&Answer::Ended, &[]);
    }
    Ok(())
}

/// The command starts when its port is on the switch, and not before: its first frame is not to be lost.
fn start(state: &mut State, request: RunRequest, command: Command, now: Now) -> Result<Started, netns::error::Error> {
    let started = state.manager.create(request, now)?;
    state.pump().map_err(|failed| state.manager.give_up(&started.id, failed.to_string(), now))?;
    state.manager.start(&started.id, command, now)?;
    Ok(started)
}

/// What the manager and the backend are asked, from what the client sent.
fn understand(order: RunOrder, fds: Vec<OwnedFd>) -> Result<(RunRequest, Command), Failure> {
    let streams = match (order.detach, <[OwnedFd; 4]>::try_from(fds)) {
        (true, _) => Streams::Log,
        (false, Ok([stdin, stdout, stderr, attach])) => Streams::Caller { stdin, stdout, stderr, attach },
        (false, Err(fds)) => {
            return Err(Failure::new(format_args!("a foreground container needs 4 descriptors, {} came", fds.len())));
        }
    };
    let (request, process) = order.into_parts();
    Ok((request, Command { process, streams }))
}

fn await_end(daemon: &Daemon, id: &Id) {
    drop(daemon.wait_until(|state| state.manager.has_ended(id)));
}

fn status(daemon: &Daemon, state: &State) -> Status {
    Status {
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        bridges: state.manager.bridge_networks().into_iter().map(|network| network.bridge.clone()).collect(),
        running: state.manager.containers(false).len(),
        containers: state.manager.containers(true).len(),
        ends_by_itself: !state.stays,
        runtime_dir: daemon.dirs.runtime.display().to_string(),
        state_dir: daemon.dirs.state.display().to_string(),
        docker: daemon.docker.as_ref().map(|socket| socket.display().to_string()),
        metrics: daemon.metrics.map(|address| format!("http://{address}/metrics")),
        io: state.engine.as_ref().map(|engine| engine.io().name().to_owned()).unwrap_or_default(),
        flight_recorder: state.flight_recorder.and_then(|recorder| recorder.status(state)),
    }
}

fn bridges(state: &State) -> Result<Value, Failure> {
    let statistics = ask_engine(state, |dataplane, _| dataplane.statistics())?;
    let bridges: Vec<Bridge> =
        state.manager.bridge_networks().into_iter().map(|network| Bridge::new(network, &statistics)).collect();
    value(bridges)
}

fn stations(state: &State) -> Result<Value, Failure> {
    let rows = ask_engine(state, |dataplane, now| dataplane.fdb(now))?;
    value(rows.into_iter().map(Station::new).collect::<Vec<_>>())
}

fn explain(state: &State, port: &str, frame: Vec<u8>) -> Result<Value, Failure> {
    let name = port.to_owned();
    let explanation =
        ask_engine(state, move |plane, now| plane.explain_named(&name, &frame, VnetHeader::default(), now))?;
    let gone =
        || Failure::new(format_args!("no such port: {port}")).with_hint("`pontoon show` lists bridges and ports");
    value(explanation.ok_or_else(gone)?)
}

pub(super) type Plane = switch::dataplane::Dataplane<switch::link::port::PortLink>;

pub(super) fn ask_engine<R: Send + 'static>(
    state: &State,
    question: impl FnOnce(&Plane, switch::time::Instant) -> R + Send + 'static,
) -> Result<R, Failure> {
    let asked = state.engine.as_ref().ok_or(EngineError::Stopped).and_then(|engine| engine.inspect(question));
    asked.map_err(|why| Failure::new(format_args!("ask the data plane: {why}")))
}

pub(super) fn value(of: impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(of).map_err(|why| Failure::new(format_args!("write the answer: {why}")))
}
