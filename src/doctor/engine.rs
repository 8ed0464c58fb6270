//! Docker beside us: what is served to it, and whether it finds it. Facts, how they are found, and what they mean.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::Finding;
use super::checks::{ok, warn};
use crate::client::Client;
use crate::paths::Dirs;

/// Where dockerd looks for a driver called `pontoon`, and finds ours, unless the daemon serves it elsewhere.
const SOCKET: &str = "/run/docker/plugins/pontoon.sock";
/// Where else it looks, in this order.
const ELSEWHERE: [&str; 5] = [
    "/run/docker/plugins/pontoon/pontoon.sock",
    "/etc/docker/plugins/pontoon.spec",
    "/etc/docker/plugins/pontoon.json",
    "/usr/lib/docker/plugins/pontoon.spec",
    "/usr/lib/docker/plugins/pontoon.json",
];
/// dockerd writes its number here.
const PID: &str = "/run/docker.pid";
/// How long a plugin may take to say what it is.
const PATIENCE: Duration = Duration::from_secs(2);

/// What was seen of Docker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engine {
    /// Where it is served, or would be.
    pub socket: String,
    /// The process of dockerd, if it runs.
    pub dockerd: Option<Process>,
    pub plugin: Plugin,
    /// Other places that have a driver of our name.
    pub others: Vec<String>,
}

/// A process and when it was started, in the kernel's ticks since the machine was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    pub pid: u32,
    pub started: u64,
}

/// What is at the place where dockerd looks for us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plugin {
    /// Nothing.
    Absent,
    /// A socket that may not be asked.
    Denied,
    /// A socket that nobody answers on; why.
    Silent(String),
    /// A network driver, by this process.
    Serves(Option<Process>),
    /// Something else; what it says.
    Other(String),
}

/// Looks.
pub fn look(dirs: &Dirs) -> Engine {
    let socket = served_at(dirs).unwrap_or_else(|| SOCKET.to_owned());
    let dockerd = fs::read_to_string(PID).ok().and_then(|text| text.trim().parse().ok()).and_then(process);
    let others = ELSEWHERE.iter().filter(|place| Path::new(place).exists()).map(ToString::to_string).collect();
    Engine { dockerd, plugin: plugin(&socket), others, socket }
}

/// The socket that the daemon says, if one runs and serves Docker.
fn served_at(dirs: &Dirs) -> Option<String> {
    let mut client = Client::look_within(dirs, PATIENCE).ok()??;
    client.ask::<control::Status>(&control::Request::Status).ok()?.docker
}

fn plugin(socket: &str) -> Plugin {
    let mut stream = match UnixStream::connect(socket) {
        Ok(stream) => stream,
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Plugin::Absent,
        Err(why) if why.kind() == std::io::ErrorKind::PermissionDenied => return Plugin::Denied,
        Err(why) => return Plugin::Silent(crate::failure::cause_of(&why)),
    };
    let server = rustix::net::sockopt::socket_peercred(&stream).ok();
    let server = server.and_then(|peer| process(peer.pid.as_raw_nonzero().get().cast_unsigned()));
    match ask(&mut stream) {
        Ok(answer) if answer.contains("\"NetworkDriver\"") => Plugin::Serves(server),
        Ok(answer) => Plugin::Other(answer.lines().next().unwrap_or_default().chars().take(80).collect()),
        Err(why) => Plugin::Silent(crate::failure::cause_of(&why)),
    }
}

fn ask(stream: &mut UnixStream) -> std::io::Result<String> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(b"POST /Plugin.Activate HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(4096).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// A process that is there: the 22nd field of its `stat` (proc(5)), the 20th behind its name.
fn process(pid: u32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let started = stat.rsplit_once(") ")?.1.split(' ').nth(19)?.parse().ok()?;
    Some(Process { pid, started })
}

/// A finding where there is anything of Docker's.
pub fn decide(engine: &Engine) -> Vec<Finding> {
    let check = "Docker";
    let Engine { socket, dockerd, plugin, others } = engine;
    let mut findings = match (plugin, dockerd) {
        (Plugin::Absent, None) => Vec::new(),
        (Plugin::Absent, Some(Process { pid, .. })) => {
            let finding = format!("dockerd runs (pid {pid}); `pontoon up --docker` would be a network driver for it");
            vec![ok(check, finding)]
        }
        (Plugin::Denied, _) => vec![warn(check, format!("{socket} may not be asked"), "ask again as root")],
        (Plugin::Silent(why), _) => {
            let hint = "dockerd waits 15 seconds for it at each call: `pontoon up --docker`, or delete the socket";
            vec![warn(check, format!("{socket} is there, and nobody answers: {why}"), hint)]
        }
        (Plugin::Other(said), _) => {
            let hint = "whoever serves it has our driver's name: --docker=PATH chooses another";
            vec![warn(check, format!("{socket} is no network driver: it says '{said}'"), hint)]
        }
        (Plugin::Serves(server), dockerd) => vec![served(server.as_ref(), dockerd.as_ref())],
    };
    findings.extend(others.iter().map(|place| {
        let hint = "dockerd takes the first that it finds, and the socket before them: delete it";
        warn(check, format!("{place} names a driver `pontoon` as well"), hint)
    }));
    findings
}

/// Whoever is not there yet when dockerd starts its containers keeps each of them waiting.
fn served(server: Option<&Process>, dockerd: Option<&Process>) -> Finding {
    let by = server.map(|server| format!(" (pid {})", server.pid)).unwrap_or_default();
    match (server, dockerd) {
        (Some(server), Some(dockerd)) if server.started > dockerd.started => ok(
            "Docker",
            format!(
                "the driver is served{by}, since a time when dockerd (pid {}) ran already: at boot it should come first, as \
                 contrib/pontoon-docker.conf has it",
                dockerd.pid
            ),
        ),
        (_, Some(dockerd)) => ok("Docker", format!("the driver is served{by}, and dockerd runs (pid {})", dockerd.pid)),
        (_, None) => ok("Docker", format!("the driver is served{by}; dockerd does not run")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    fn found(plugin: Plugin, dockerd: Option<u64>, others: &[&str]) -> Vec<(Status, String)> {
        let dockerd = dockerd.map(|started| Process { pid: 7, started });
        let others = others.iter().map(ToString::to_string).collect();
        let findings = decide(&Engine { socket: SOCKET.into(), dockerd, plugin, others });
        assert!(findings.iter().all(|each| each.hint.is_some() == (each.status != Status::Ok)), "{findings:?}");
        findings.into_iter().map(|each| (each.status, each.finding)).collect()
    }

    #[test]
    fn without_docker_there_is_nothing_to_say() {
        assert_eq!(found(Plugin::Absent, None, &[]), []);
        let could = "dockerd runs (pid 7); `pontoon up --docker` would be a network driver for it";
        assert_eq!(found(Plugin::Absent, Some(1), &[]), [(Status::Ok, could.to_owned())]);
    }

    #[test]
    fn a_driver_that_keeps_dockerd_waiting_is_told() {
        let silent = found(Plugin::Silent("Connection refused".into()), Some(1), &[]);
        let told = "/run/docker/plugins/pontoon.sock is there, and nobody answers: Connection refused";
        assert_eq!(silent, [(Status::Warn, told.to_owned())]);
        let other = found(Plugin::Other("HTTP/1.1 404 Not Found".into()), None, &["/etc/docker/plugins/pontoon.spec"]);
        assert_eq!(other.len(), 2);
        assert_eq!(other[1].1, "/etc/docker/plugins/pontoon.spec names a driver `pontoon` as well");
    }

    #[test]
    fn who_was_first_is_told() {
        let served = |ours| Plugin::Serves(Some(Process { pid: 5, started: ours }));
        let first = found(served(1), Some(2), &[]);
        assert_eq!(first, [(Status::Ok, "the driver is served (pid 5), and dockerd runs (pid 7)".to_owned())]);
        assert!(found(served(3), Some(2), &[])[0].1.contains("since a time when dockerd (pid 7) ran already"));
        let alone = "the driver is served (pid 5); dockerd does not run";
        assert_eq!(found(served(1), None, &[]), [(Status::Ok, alone.to_owned())]);
    }

    #[test]
    fn a_process_is_known_by_its_start() {
        assert!(process(std::process::id()).is_some_and(|own| own.started > 0));
        assert_eq!(process(u32::MAX), None);
    }
}
