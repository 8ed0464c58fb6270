//! [`Docker`]: Debian's dockerd, and its client.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::host::{DIR, IMAGE, waited_for};
use crate::said::Said;

/// By their paths: machines have other programs of these names.
pub const DOCKERD: &str = "/usr/sbin/dockerd";
pub const DOCKER: &str = "/usr/bin/docker";
pub const COMPOSE: &str = "/usr/bin/docker-compose";
/// Where a client looks by itself.
const SOCKET: &str = "/run/docker.sock";
const LOG: &str = "/run/engines/dockerd.log";
/// What the engine says when all is well.
const NOISE: [&str; 7] = [
    "level=info",
    "cleaning up",
    "cleanup warnings",
    "cgroup blkio",
    "devmapper",
    "config version `1` has been deprecated",
    "Reconnecting",
];
/// The driver under test.
pub const DRIVER: &str = "pontoon";
/// How long a client's command may take, in seconds.
const LIMIT: &str = "120";

/// A Docker engine with data of its own.
pub struct Docker {
    daemon: Option<Child>,
    cgroup: String,
}

impl Docker {
    /// Starts an engine, whose containers' control groups are below this one.
    ///
    /// # Errors
    /// If it does not answer in time: what it said.
    pub fn start(cgroup: &str) -> Result<Docker, String> {
        let mut docker = Docker { daemon: None, cgroup: cgroup.to_owned() };
        docker.up(&[])?;
        Ok(docker)
    }

    fn up(&mut self, options: &[&str]) -> Result<(), String> {
        let log = File::options().create(true).append(true).open(LOG).map_err(|why| format!("open {LOG}: {why}"))?;
        let errors = log.try_clone().map_err(|why| format!("open {LOG}: {why}"))?;
        let mut dockerd = Command::new(DOCKERD);
        dockerd.args([
            "--data-root",
            &format!("{DIR}/docker"),
            "--exec-root",
            "/run/docker",
            "--pidfile",
            "/run/docker.pid",
        ]);
        dockerd.args(["-H", &format!("unix://{SOCKET}"), "--storage-driver", "vfs"]);
        dockerd.args(["--cgroup-parent", &format!("/{}", self.cgroup)]);
        // Without CAP_SYS_RESOURCE nobody's limits can be raised, nor may the kernel be told to spare anybody.
        dockerd.args(["--default-ulimit", "nofile=1024:1024", "--default-ulimit", "nproc=1000:1000"]);
        dockerd.args(["--oom-score-adjust", "0", "--log-level", "warn"]).args(options);
        dockerd.stdin(Stdio::null()).stdout(log).stderr(errors);
        let mut daemon = dockerd.spawn().map_err(|why| format!("run {DOCKERD}: {why}"))?;
        let mut ended = None;
        let answers = waited_for(|| {
            ended = daemon.try_wait().ok().flatten();
            (ended.is_some() || is_answering()).then_some(())
        });
        self.daemon = Some(daemon);
        match (answers, ended) {
            (Some(()), None) => Ok(()),
            (_, Some(status)) => Err(format!("dockerd ended with {status}:\n{}", self.log())),
            (None, None) => Err(format!("dockerd does not answer in time:\n{}", self.log())),
        }
    }

    /// The last that the engine said.
    pub fn log(&self) -> String {
        let said = std::fs::read_to_string(LOG).unwrap_or_default();
        let is_noise = |line: &&str| NOISE.iter().any(|noise| line.contains(noise));
        let lines: Vec<&str> = said.lines().filter(|line| !is_noise(line)).collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// Ends the engine as a service manager does, and waits until it has ended.
    pub fn stop(&mut self) {
        self.end(Signal::SIGTERM);
    }

    /// Ends the engine as a crash does.
    pub fn kill(&mut self) {
        self.end(Signal::SIGKILL);
        // containerd is a child of dockerd, and ends with it where a service manager looks after both.
        let _ = std::fs::remove_file("/run/docker.pid");
    }

    fn end(&mut self, signal: Signal) {
        let mut daemon = self.daemon.take().expect("it has been started");
        kill(Pid::from_raw(daemon.id().cast_signed()), signal).expect("send a signal to dockerd");
        daemon.wait().expect("wait for dockerd");
    }

    /// Starts it again.
    pub fn start_again(&mut self) {
        self.start_again_with(&[]);
    }

    /// Starts it again with further options.
    pub fn start_again_with(&mut self, options: &[&str]) {
        assert!(self.daemon.is_none());
        self.up(options).unwrap_or_else(|why| panic!("start dockerd again: {why}"));
    }

    /// A client that is not waited for.
    pub fn begins(arguments: &[&str]) -> Child {
        let mut command = Docker::command(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("run docker")
    }

    /// The client with these arguments.
    pub fn command(arguments: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        command.args([LIMIT, DOCKER]).args(arguments);
        command
    }

    /// Runs the client.
    pub fn try_to(&self, arguments: &[&str]) -> Said {
        Said::by(&mut Docker::command(arguments))
    }

    /// Runs the client, which succeeds; what it prints.
    pub fn does(&self, arguments: &[&str]) -> String {
        self.try_to(arguments).printed(&format!("docker {}", arguments.join(" ")))
    }

    /// Runs the client, which fails; what it says.
    pub fn refuses(&self, arguments: &[&str]) -> String {
        let said = self.try_to(arguments);
        assert!(!said.is_well(), "docker {}: {}", arguments.join(" "), said.stdout);
        said.stderr.trim_end().to_owned()
    }

    /// Makes a network of ours.
    pub fn create(&self, options: &[&str], name: &str) -> String {
        self.does(&[&["network", "create", "--driver", DRIVER], options, &[name]].concat())
    }

    /// Starts a container that waits until it is removed.
    pub fn starts(&self, name: &str, options: &[&str]) {
        self.runs(name, options, "exec sleep 1000000");
    }

    /// Starts a container that tells its name to whoever asks on port 80, by HTTP.
    pub fn serves(&self, name: &str, options: &[&str]) {
        self.runs(name, options, &format!("echo {name} >/www/index.html; exec httpd -f -p 80 -h /www"));
        let is_there = || self.try_to(&["exec", name, "wget", "-qO-", "http://127.0.0.1/"]).is_well().then_some(());
        assert!(waited_for(is_there).is_some(), "the server in {name} starts");
    }

    fn runs(&self, name: &str, options: &[&str], script: &str) {
        // As process 1 it hears no other signal.
        let run = ["run", "--detach", "--stop-signal=KILL", "--name", name];
        self.does(&[&run[..], options, &[IMAGE, "sh", "-c", script]].concat());
    }

    /// Runs a script in a container, which succeeds; what it prints.
    pub fn inside(&self, name: &str, script: &str) -> String {
        self.does(&["exec", name, "sh", "-c", script])
    }

    /// The same, if there is one. (busybox's `wget -T` crashes where it is linked as Debian does it.)
    pub fn try_asking(&self, name: &str, whom: &str) -> Said {
        self.try_to(&["exec", name, "timeout", "5", "wget", "-qO-", &format!("http://{whom}/")])
    }

    /// The answer of the server on port 80 of an address or a name, asked in a container.
    pub fn asks(&self, name: &str, whom: &str) -> String {
        self.try_asking(name, whom).printed(&format!("{name} asks {whom}"))
    }

    /// Whether an echo request is answered.
    pub fn reaches(&self, name: &str, whom: &str) -> bool {
        self.try_to(&["exec", name, "ping", "-c", "1", "-W", "2", whom]).is_well()
    }

    /// What `docker inspect` says in this format.
    pub fn inspects(&self, name: &str, format: &str) -> String {
        self.does(&["inspect", "--format", format, name])
    }

    /// A container's only address.
    pub fn address(&self, name: &str) -> String {
        self.inspects(name, "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")
    }

    /// Feeds the client.
    pub fn import(&self, archive: &std::path::Path, name: &str) {
        let archive = File::open(archive).expect("open the image");
        let output = Docker::command(&["import", "-", name]).stdin(archive).output().expect("run docker");
        Said::from(output).printed("docker import");
    }
}

fn is_answering() -> bool {
    let ping = || {
        let mut stream = UnixStream::connect(SOCKET)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"GET /_ping HTTP/1.0\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        std::io::Result::Ok(answer.ends_with(b"OK"))
    };
    ping().unwrap_or(false)
}
