//! [`World`]: a scratch host with a manager on it, and what a user would do to it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{PipeReader, Read, pipe};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use netns::backend::Backend;
use netns::error::Error;
use netns::interface::InterfaceInfo;
use netns::linux::{self, Command, Linux, Outcome, Paths, Process, Session, Streams};
use netns::manager::{Ended, Manager, Now, RunRequest, Settings, Started};
use netns::name::Id;
use rustix::event::{PollFd, PollFlags, Timespec};
use switch::dataplane::{Control, ControlError, Dataplane, Event};
use switch::engine::{Engine, EngineError, Io};
use switch::link::port::PortLink;

/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
pub(crate) const NOW: Now = Now { instant: switch::time::Instant::ZERO, unix: 1_700_000_000 };

/// The roles of this program besides tests and shims: a daemon that runs a container and crashes on the way.
const CRASHING_DAEMON: &str = "crashing-daemon";
/// A daemon that has a guest and crashes on the way.
const CRASHING_HOST: &str = "crashing-host";
/// Prints the interfaces it sees, as JSON: a command for containers.
const SHOW_INTERFACES: &str = "show-interfaces";
/// Prints what a server of TCP says: another.
const LISTEN_TO: &str = "listen-to";

pub(crate) struct World {
    directory: PathBuf,
    manager: Option<Manager<Linux>>,
    /// What the data plane would hold.
    controls: Vec<Control<PortLink>>,
    /// The data plane, once a test wants frames to go anywhere.
    engine: Option<Engine<PortLink>>,
}

/// A container in the foreground.
pub(crate) struct Running {
    pub(crate) id: Id,
    pub(crate) session: Session,
    pub(crate) output: PipeReader,
}

impl World {
    pub(crate) fn new() -> Self {
        linux::scratch::enter().expect("a scratch namespace");
        World::beside()
    }

    /// Another instance on the host that this thread is in.
    pub(crate) fn beside() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("pontoon-{}-{number}", std::process::id()));
        let mut world = World { directory, manager: None, controls: Vec::new(), engine: None };
        world.start_daemon();
        world
    }

    pub(crate) fn paths(&self) -> Paths {
        Paths { runtime: self.directory.join("run"), state: self.directory.join("state") }
    }

    pub(crate) fn start_daemon(&mut self) {
        self.start_daemon_with(7);
    }

    /// Starts a daemon whose chance comes from this seed.
    pub(crate) fn start_daemon_with(&mut self, seed: u64) {
        let backend = Linux::new(self.paths(), exe()).expect("a backend");
        let (manager, warnings) =
            Manager::open(backend, &Settings { seed, bip: None, defers_forwarding: false }, NOW).expect("a manager");
        assert_eq!(warnings, [""; 0]);
        self.manager = Some(manager);
        self.drive();
    }

    /// As `kill -9` does: every descriptor is closed, nothing is said to anyone.
    pub(crate) fn kill_daemon(&mut self) {
        self.manager = None;
        self.controls.clear();
        self.engine = None;
    }

    /// From now on, until the daemon is killed, frames are switched.
    pub(crate) fn switch_frames(&mut self) {
        let engine = Engine::spawn(Dataplane::new(switch::dataplane::Settings::default()), Io::Auto);
        self.engine = Some(engine.expect("a data plane"));
        let so_far = std::mem::take(&mut self.controls);
        so_far.into_iter().for_each(|control| self.hand_on(control));
    }

    pub(crate) fn manager(&mut self) -> &mut Manager<Linux> {
        self.manager.as_mut().expect("a daemon")
    }

    /// Does what the data plane would.
    pub(crate) fn drive(&mut self) {
        while let Some(control) = self.manager.as_mut().and_then(Manager::poll_control) {
            self.hand_on(control);
        }
    }

    /// What the switch says, and the manager makes of it.
    fn note_lost_ports(&mut self) {
        let Some(engine) = &self.engine else { return };
        for Event::PortDown { port } in engine.events().try_iter() {
            self.manager.as_mut().expect("a daemon").port_down(port).expect("noted");
        }
        assert_eq!(self.manager().handle_timeout(NOW).len(), 0);
    }

    fn hand_on(&mut self, control: Control<PortLink>) {
        match (&self.engine, control) {
            (Some(engine), control) => match engine.control(control) {
                // Its interface was no more, so it has let go of the port by itself.
                Ok(()) | Err(EngineError::Control(ControlError::NoPort(_))) => {}
                Err(why) => panic!("the data plane does not take it: {why}"),
            },
            (None, Control::Unplug { port }) => {
                self.controls.retain(|held| !matches!(held, Control::Plug { port: own, .. } | Control::CountPort { port: own, .. } if *own == port));
            }
            (None, control) => self.controls.push(control),
        }
    }

    /// What the hashes of the switches' tables start from.
    pub(crate) fn hash_seeds(&self) -> Vec<u64> {
        let of = |control: &Control<PortLink>| match control {
            Control::AddBridge { config, .. } => Some(config.hash_seed),
            Control::RemoveBridge { .. }
            | Control::Plug { .. }
            | Control::CountBridge { .. }
            | Control::CountPort { .. }
            | Control::CountDeparted { .. }
            | Control::Unplug { .. }
            | Control::RenamePort { .. }
            | Control::SetStation { .. }
            | Control::ClearStation { .. }
            | Control::FlushPort { .. } => None,
        };
        self.controls.iter().filter_map(of).collect()
    }

    pub(crate) fn plugged(&self) -> usize {
        self.controls.iter().filter(|control| matches!(control, Control::Plug { .. })).count()
    }

    pub(crate) fn try_run(&mut self, request: RunRequest, process: Process) -> Result<Running, Error> {
        let (output, writer) = pipe().expect("a pipe");
        let (session, attach) = Session::pair().expect("a pair");
        let (stdout, stderr) = (writer.try_clone().expect("a dup").into(), writer.into());
        let streams = Streams::Caller { stdin: null(), stdout, stderr, attach };
        let started = start(self.manager(), request, Command { process, streams });
        self.drive();
        Ok(Running { id: started?.id, session, output })
    }

    pub(crate) fn run(&mut self, network: &str, argv: &[&str]) -> Running {
        let mut running = self.try_run(request(network), process(argv)).expect("it runs");
        assert_eq!(running.session.wait(), Outcome::Started);
        running
    }

    /// Runs a command that ends by itself; its status and output.
    pub(crate) fn run_to_end(&mut self, network: &str, argv: &[&str]) -> (i32, String) {
        let running = self.run(network, argv);
        self.finish(running)
    }

    pub(crate) fn finish(&mut self, mut running: Running) -> (i32, String) {
        let output = running.output();
        let ended = self.wait_for_end();
        assert_eq!(ended.id, running.id);
        assert_eq!(running.session.wait(), Outcome::Exited(ended.status));
        (ended.status, output)
    }

    pub(crate) fn run_detached(&mut self, network: &str, argv: &[&str]) -> Id {
        let request = RunRequest { detached: true, ..request(network) };
        let command = Command { process: process(argv), streams: Streams::Log };
        let id = start(self.manager(), request, command).expect("it runs").id;
        self.drive();
        id
    }

    pub(crate) fn exec(&mut self, id: &Id, process: Process) -> Running {
        let (output, writer) = pipe().expect("a pipe");
        let (stdout, stderr) = (writer.try_clone().expect("a dup").into(), writer.into());
        let session =
            linux::exec(&self.paths(), id, process, [null(), stdout, stderr]).expect("the container is there");
        Running { id: id.clone(), session, output }
    }

    /// Waits for the next container that ends.
    pub(crate) fn wait_for_end(&mut self) -> Ended {
        let ended = self.wait_for(|_, ended| ended.into_iter().next());
        self.manager().backend().wait_until_clean();
        ended
    }

    /// Waits for what the manager makes of what it hears, beginning with which containers have ended.
    #[expect(clippy::disallowed_methods, reason = "a deadline bounds how long a failure hangs")]
    pub(crate) fn wait_for<T>(&mut self, found: impl Fn(&mut Manager<Linux>, Vec<Ended>) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ended = self.manager().reap(NOW);
            self.note_lost_ports();
            self.drive();
            if let Some(found) = found(self.manager(), ended) {
                return found;
            }
            assert!(Instant::now() < deadline, "it does not come");
            let second = Timespec { tv_sec: 1, tv_nsec: 0 };
            let watch = self.manager().backend().ended_fd().try_clone_to_owned().expect("a dup");
            let news = self.engine.as_ref().map(Engine::news);
            let mut polled = vec![PollFd::new(&watch, PollFlags::IN)];
            polled.extend(news.as_ref().map(|news| PollFd::new(news, PollFlags::IN)));
            rustix::event::poll(&mut polled, Some(&second)).expect("polled");
        }
    }

    pub(crate) fn create_network(&mut self, name: &str) {
        let request = netns::manager::NetworkRequest::new(name.parse().expect("a name"));
        self.manager().create_network(request, NOW).expect("made");
        self.drive();
    }

    pub(crate) fn remove(&mut self, id: &Id) {
        self.manager().remove(id.as_str(), true, NOW).expect("removed");
        self.drive();
    }

    pub(crate) fn stop(&mut self, id: &Id, grace: Duration) {
        self.manager().stop(id.as_str(), grace, NOW).expect("asked to stop");
        self.drive();
    }

    pub(crate) fn kill(&mut self, id: &Id, signal: i32) {
        self.manager().kill(id.as_str(), signal, NOW).expect("signalled");
        self.drive();
    }

    pub(crate) fn shim(&mut self, id: &Id) -> u32 {
        let written_down = fs::read_to_string(self.paths().container(id).join("shim")).expect("it is written down");
        written_down.split(' ').next().and_then(|pid| pid.parse().ok()).expect("a pid")
    }

    /// Lets another process be the daemon, which crashes when it has saved so often. Whether it did.
    pub(crate) fn crash_daemon_after(&mut self, saves: u32) -> bool {
        self.crash(CRASHING_DAEMON, saves)
    }

    /// The same, with a guest.
    pub(crate) fn crash_host_after(&mut self, saves: u32) -> bool {
        self.crash(CRASHING_HOST, saves)
    }

    fn crash(&mut self, role: &str, saves: u32) -> bool {
        self.kill_daemon();
        let mut daemon = std::process::Command::new(exe());
        daemon.arg(role).arg(&self.directory).arg(saves.to_string()).stdin(std::process::Stdio::null());
        let status = daemon.status().expect("it starts");
        !status.success()
    }
}

impl Running {
    /// Everything that it writes, until nobody can write any more.
    pub(crate) fn output(&mut self) -> String {
        let mut text = String::new();
        self.output.read_to_string(&mut text).expect("UTF-8");
        text
    }

    /// The first line that it writes.
    pub(crate) fn line(&mut self) -> String {
        let mut line = Vec::new();
        let mut byte = [0];
        while self.output.read(&mut byte).expect("read") == 1 && byte[0] != b'\n' {
            line.push(byte[0]);
        }
        String::from_utf8(line).expect("UTF-8")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.kill_daemon();
        // Whatever the test has come to, no container stays.
        if let Ok(mut backend) = Linux::new(self.paths(), exe()) {
            for (key, _) in backend.load().unwrap_or_default() {
                let id = key.strip_prefix("container-").and_then(|id| Id::try_from(id.to_owned()).ok());
                let _ = id.map(|id| backend.destroy(&id));
            }
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// What this program is when a test or a container says so.
pub(crate) fn play_role() -> Option<ExitCode> {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1)?.as_str() {
        SHOW_INTERFACES => {
            let interfaces = linux::interfaces().expect("the kernel answers");
            println!("{}", serde_json::to_string(&interfaces).expect("JSON"));
            Some(ExitCode::SUCCESS)
        }
        LISTEN_TO => {
            let mut said = String::new();
            let mut server = std::net::TcpStream::connect(&arguments[2]).expect("it listens");
            server.read_to_string(&mut said).expect("it says something");
            println!("{said}");
            Some(ExitCode::SUCCESS)
        }
        CRASHING_DAEMON => {
            let mut manager = crashing_manager(&arguments);
            let command = Command { process: process(&["sleep", "1000"]), streams: Streams::Log };
            let request = RunRequest { detached: true, ..request("bridge") };
            let id = start(&mut manager, request, command).expect("it runs").id;
            manager.remove(id.as_str(), true, NOW).expect("removed");
            Some(ExitCode::SUCCESS)
        }
        CRASHING_HOST => {
            crate::guests::be_crashing_host(&mut crashing_manager(&arguments));
            Some(ExitCode::SUCCESS)
        }
        _ => None,
    }
}

/// The manager of a daemon that crashes, as its arguments say.
fn crashing_manager(arguments: &[String]) -> Manager<Linux> {
    let directory = PathBuf::from(&arguments[2]);
    let paths = Paths { runtime: directory.join("run"), state: directory.join("state") };
    let mut backend = Linux::new(paths, exe()).expect("a backend");
    backend.crash_after_steps(arguments[3].parse().expect("a number"));
    Manager::open(backend, &Settings { seed: 7, bip: None, defers_forwarding: false }, NOW).expect("a manager").0
}

pub(crate) fn request(network: &str) -> RunRequest {
    RunRequest { mode: network.parse().expect("a mode"), ..RunRequest::new(vec!["shown".to_owned()]) }
}

pub(crate) fn process(argv: &[&str]) -> Process {
    Process {
        argv: argv.iter().map(Into::into).collect(),
        env: vec![("PATH".into(), "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin".into())],
        cwd: "/".into(),
        tty: false,
    }
}

pub(crate) fn null() -> OwnedFd {
    File::options().read(true).write(true).open("/dev/null").expect("/dev/null").into()
}

fn exe() -> PathBuf {
    "/proc/self/exe".into()
}

/// The command that prints what a server of TCP says.
pub(crate) fn listen_to(server: std::net::SocketAddr) -> [String; 3] {
    let exe = std::env::current_exe().expect("this program");
    [exe.display().to_string(), LISTEN_TO.to_owned(), server.to_string()]
}

/// The command that prints the interfaces it sees.
pub(crate) fn show_interfaces() -> [String; 2] {
    let exe = std::env::current_exe().expect("this program");
    [exe.display().to_string(), SHOW_INTERFACES.to_owned()]
}

pub(crate) fn interfaces_in(output: &str) -> Vec<InterfaceInfo> {
    serde_json::from_str(output).expect("interfaces")
}

pub(crate) fn names(interfaces: &[InterfaceInfo]) -> Vec<&str> {
    interfaces.iter().map(|interface| interface.name.as_str()).collect()
}

/// A process and all that descend from it.
pub(crate) fn family(pid: u32) -> BTreeSet<u32> {
    let mut family = BTreeSet::from([pid]);
    loop {
        let children: BTreeSet<u32> =
            processes().filter(|(_, parent)| family.contains(parent)).map(|(child, _)| child).collect();
        if children.is_subset(&family) {
            return family;
        }
        family.extend(children);
    }
}

/// Those of them that live. A zombie does not.
pub(crate) fn living(pids: &BTreeSet<u32>) -> Vec<u32> {
    processes().map(|(pid, _)| pid).filter(|pid| pids.contains(pid)).collect()
}

/// All processes that are no zombies, with their parents.
fn processes() -> impl Iterator<Item = (u32, u32)> {
    fs::read_dir("/proc").expect("/proc").filter_map(|entry| {
        let pid = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let mut words = stat.rsplit_once(") ")?.1.split(' ');
        let state = words.next()?;
        (state != "Z" && state != "X").then_some((pid, words.next()?.parse().ok()?))
    })
}

pub(crate) fn kill_nine(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("killed");
}

/// What a test must leave as it found it: mounts of the host, and its interfaces.
pub(crate) fn traces() -> (String, BTreeSet<String>) {
    let mounts = fs::read_to_string("/proc/thread-self/mountinfo").expect("mounts");
    let interfaces = fs::read_dir("/sys/class/net").expect("a sysfs");
    (mounts, interfaces.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect())
}

pub(crate) fn borrowed(fd: &impl AsFd) -> OwnedFd {
    fd.as_fd().try_clone_to_owned().expect("a dup")
}

/// Makes a container and starts its command. There is no switch here that would have to have its port before.
pub(crate) fn start(manager: &mut Manager<Linux>, request: RunRequest, command: Command) -> Result<Started, Error> {
    let started = manager.create(request, NOW)?;
    manager.start(&started.id, command, NOW)?;
    Ok(started)
}
