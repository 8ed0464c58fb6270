//! The client's side of the control socket: find the daemon, or start one, and ask it.
#![expect(clippy::disallowed_methods, reason = "the command is an outermost loop: it waits for a daemon that starts")]

use std::io::{BufRead, BufReader, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use control::{Answer, Request, Status, Told, bounds};
use netns::linux::privilege::{self, Feature};
use netns::linux::wire::{Channel, WireError};
use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, PidfdFlags};
use serde::de::DeserializeOwned;

use crate::daemon::{Options, Outcome};
use crate::failure::{Failure, cause_of, io};
use crate::log;
use crate::output::say;
use crate::paths::{Dirs, unusable};

/// How long a daemon has to start, or to give way to the next: `down` may wait for containers meanwhile.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How long to leave a daemon alone that is just ending or just starting.
const SOON: Duration = Duration::from_millis(5);
/// The same, if it takes longer.
const SELDOM: Duration = Duration::from_millis(100);

/// A connection to the daemon.
#[derive(Debug)]
pub struct Client {
    channel: Channel,
}

/// Why there is no daemon to be asked.
#[derive(Debug)]
pub enum Missed {
    /// It is there, and does not answer in time.
    Silent(Failure),
    /// It is not there, or not for this user.
    Failed(Failure),
}

impl From<Failure> for Missed {
    fn from(failure: Failure) -> Self {
        Missed::Failed(failure)
    }
}

impl From<Missed> for Failure {
    fn from(missed: Missed) -> Self {
        match missed {
            Missed::Silent(failure) | Missed::Failed(failure) => failure,
        }
    }
}

impl Client {
    /// Connects to the daemon.
    ///
    /// # Errors
    /// If none listens.
    pub fn connect(dirs: &Dirs) -> Result<Self, Failure> {
        Client::find(dirs, &Request::Hello, None)?.ok_or_else(|| {
            let failure = Failure::new(format_args!("no daemon listens in {}", dirs.runtime.display()));
            failure.with_hint(if is_left_to_root() {
                "to start one takes root: `sudo pontoon up`; without it there is `pontoon demo`"
            } else {
                "`pontoon up` starts one; `pontoon run` and `pontoon network` do so by themselves"
            })
        })
    }

    /// Connects to the daemon if one listens.
    ///
    /// # Errors
    /// If that can not be known.
    pub fn look(dirs: &Dirs) -> Result<Option<Self>, Failure> {
        Ok(Client::find(dirs, &Request::Hello, None)?)
    }

    /// Connects to the daemon if one listens. It may take so long over each answer.
    ///
    /// # Errors
    /// If that can not be known, or it does not answer.
    pub fn look_within(dirs: &Dirs, patience: Duration) -> Result<Option<Self>, Missed> {
        Client::find(dirs, &Request::Hello, Some(patience))
    }

    /// Connects to the daemon, or starts one that ends by itself after its last container, and says so.
    ///
    /// # Errors
    /// If it does not start, or this user can not start one.
    pub fn connect_or_start(dirs: &Dirs) -> Result<Self, Failure> {
        if is_left_to_root() {
            return Client::connect(dirs);
        }
        let (client, started) = Client::start(dirs, &Options::passing(dirs), None)?;
        if started {
            say("pontoon: started a daemon, which ends after its last container");
        }
        Ok(client)
    }

    /// Connects to the daemon, or starts one that ends by itself after its last container. It may take so long over each answer.
    ///
    /// # Errors
    /// If there is none, or it does not answer.
    pub fn reach(dirs: &Dirs, patience: Duration) -> Result<Self, Missed> {
        Ok(Client::start(dirs, &Options::passing(dirs), Some(patience))?.0)
    }

    /// Asks for something that is kept or made: if the daemon is just ending, the next one.
    ///
    /// # Errors
    /// If the daemon says no, or has gone.
    pub fn ask_to_make<T: DeserializeOwned>(
        self,
        dirs: &Dirs,
        request: &Request,
        fds: &[BorrowedFd<'_>],
    ) -> Result<(Self, T), Failure> {
        self.insist(dirs, &Options::passing(dirs), request, fds)
    }

    /// Asks the daemon to stay, or starts one that does. Tells whether it was started.
    ///
    /// # Errors
    /// If it does not start.
    pub fn stay(dirs: &Dirs, options: &Options) -> Result<(Self, bool), Failure> {
        let (client, started) = Client::start(dirs, options, None)?;
        let (client, ()) = client.insist(dirs, options, &Request::Stay, &[])?;
        Ok((client, started))
    }

    /// Has `run` be the daemon, in this process. One that was started by the way is asked to end, and `run` takes its containers over; one that is
    /// just ending is waited for. One that stays is to stay, and this is its client then.
    ///
    /// # Errors
    /// What `run` says, or that the other neither answers nor ends.
    pub fn run_or_have_stay(
        dirs: &Dirs,
        mut run: impl FnMut() -> Result<Outcome, Failure>,
    ) -> Result<Option<Self>, Failure> {
        let deadline = Instant::now() + START_LIMIT;
        let mut pause = SOON;
        while run()? == Outcome::AnotherIsThere {
            if let Some(mut client) = Client::find(dirs, &Request::Enter, None)? {
                match client.exchange(&Request::Status, &[]) {
                    Ok(Answer::Ended) | Err(WireError::Closed) => {}
                    Ok(answer) => match done::<Status>(answer)?.ends_by_itself {
                        true => client.end()?,
                        false => return Ok(Some(client)),
                    },
                    Err(why) => return Err(Failure::new(format_args!("ask the daemon: {why}"))),
                }
            }
            if Instant::now() > deadline {
                return Err(silent(dirs, "neither answers nor ends").into());
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(SELDOM);
        }
        Ok(None)
    }

    /// Asks the daemon to end as a service manager does: its containers go on.
    fn end(self) -> Result<(), Failure> {
        match rustix::process::kill_process(self.process_id()?, rustix::process::Signal::TERM) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(why) => Err(Failure::new(format_args!("end the daemon that was started by the way: {why}"))),
        }
    }

    /// Connects to the daemon, or starts one as `options` say. Tells whether it was started.
    ///
    /// # Errors
    /// If it does not start.
    fn start(dirs: &Dirs, options: &Options, patience: Option<Duration>) -> Result<(Self, bool), Missed> {
        let deadline = Instant::now() + START_LIMIT;
        let mut started = false;
        let mut pause = SOON;
        loop {
            if let Some(client) = Client::find(dirs, &Request::Enter, patience)? {
                return Ok((client, started));
            }
            if Instant::now() > deadline {
                return Err(silent(dirs, "neither answers nor ends"));
            }
            match spawn_daemon(options)? {
                Spawned::Listens(warnings) => {
                    warn(&warnings);
                    started = true;
                }
                Spawned::AnotherIsThere => {
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(SELDOM);
                }
            }
        }
    }

    /// Asks for something that a daemon which is ending does not do any more: then the next one is asked.
    ///
    /// # Errors
    /// As of `start`, and if the daemon says no.
    fn insist<T: DeserializeOwned>(
        mut self,
        dirs: &Dirs,
        options: &Options,
        request: &Request,
        fds: &[BorrowedFd<'_>],
    ) -> Result<(Self, T), Failure> {
        bounds::check(request)?;
        loop {
            let sent = self.channel.send(request, fds);
            let answer = match sent {
                Ok(()) => self.channel.recv::<Answer>().map(|(answer, _)| answer),
                // It takes no requests any more.
                Err(WireError::Closed) => Ok(Answer::Ended),
                Err(why) => Err(why),
            };
            match answer {
                Ok(Answer::Done(value)) => return Ok((self, understood(value)?)),
                Ok(Answer::Warned { done, warnings }) => {
                    warn(&warnings);
                    return Ok((self, understood(done)?));
                }
                Ok(Answer::Failed(failure)) => return Err(failure),
                Ok(Answer::Ended) => self = Client::start(dirs, options, None)?.0,
                Err(why) => return Err(Failure::new(format_args!("ask the daemon: {why}"))),
            }
        }
    }

    /// The daemon, if one listens and is not about to end.
    fn find(dirs: &Dirs, greeting: &Request, patience: Option<Duration>) -> Result<Option<Self>, Missed> {
        dirs.check()?;
        let socket = dirs.socket();
        let stream = match UnixStream::connect(&socket) {
            Ok(stream) => stream,
            Err(why) if matches!(why.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => return Ok(None),
            Err(why) => {
                let failure =
                    Failure::new(format_args!("connect to the daemon at {}: {}", socket.display(), cause_of(&why)));
                let denied = why.kind() == ErrorKind::PermissionDenied;
                let hint = "the daemon's user may, usually root: `sudo pontoon …`";
                return Err(if denied { failure.with_hint(hint) } else { failure }.into());
            }
        };
        let mut client = Client { channel: Channel::new(stream) };
        client.channel.set_timeouts(patience, patience).map_err(io("set how long the daemon is waited for"))?;
        match client.exchange(greeting, &[]) {
            Ok(Answer::Done(_) | Answer::Warned { .. }) => Ok(Some(client)),
            Ok(Answer::Failed(failure)) => Err(failure.into()),
            Err(WireError::TimedOut) => Err(silent(dirs, "does not answer")),
            // It closed the door: it is ending.
            Ok(Answer::Ended) | Err(_) => Ok(None),
        }
    }

    /// Asks for something, and waits for the answer.
    ///
    /// # Errors
    /// If the daemon says no, or has gone.
    pub fn ask<T: DeserializeOwned>(&mut self, request: &Request) -> Result<T, Failure> {
        self.ask_with(request, &[])
    }

    /// Asks for something, with file descriptors.
    ///
    /// # Errors
    /// If the daemon says no, or has gone.
    pub fn ask_with<T: DeserializeOwned>(&mut self, request: &Request, fds: &[BorrowedFd<'_>]) -> Result<T, Failure> {
        bounds::check(request)?;
        let answer = self.exchange(request, fds).map_err(|why| Failure::new(format_args!("ask the daemon: {why}")))?;
        done(answer)
    }

    /// Waits for a further answer to what was asked.
    ///
    /// # Errors
    /// If the daemon says no, or has gone.
    pub fn hear<T: DeserializeOwned>(&mut self) -> Result<T, Failure> {
        let answer = self.channel.recv::<Answer>().map(|(answer, _)| answer);
        done(answer.map_err(|why| Failure::new(format_args!("hear the daemon: {why}")))?)
    }

    /// Lets the daemon know that nothing more will be said.
    pub fn say_no_more(&self) {
        let _ = rustix::net::shutdown(&self.channel, rustix::net::Shutdown::Write);
    }

    /// The daemon's process, by its number.
    ///
    /// # Errors
    /// If the kernel does not tell.
    pub fn process_id(&self) -> Result<Pid, Failure> {
        let peer = rustix::net::sockopt::socket_peercred(&self.channel);
        peer.map(|peer| peer.pid).map_err(|why| Failure::new(format_args!("find the daemon's process: {why}")))
    }

    /// The daemon's process, to wait for its end: its interfaces go before it does.
    ///
    /// # Errors
    /// If it has gone.
    pub fn process(&self) -> Result<Process, Failure> {
        let pidfd = rustix::process::pidfd_open(self.process_id()?, PidfdFlags::empty());
        pidfd.map(Process).map_err(|why| Failure::new(format_args!("find the daemon's process: {why}")))
    }

    /// Waits until the daemon says that a foreground container's end is settled, or has itself gone.
    pub fn wait_for_end(&mut self) {
        let _ = self.channel.recv::<Answer>();
    }

    /// Asks to be told of what happens.
    ///
    /// # Errors
    /// If the daemon says no, or has gone.
    pub fn listen(mut self) -> Result<Listening, Failure> {
        self.ask::<()>(&Request::Monitor)?;
        Ok(Listening(self.channel))
    }

    /// Sends a request, and waits for the answer.
    ///
    /// # Errors
    /// If there is none.
    pub fn exchange(&mut self, request: &Request, fds: &[BorrowedFd<'_>]) -> Result<Answer, WireError> {
        match self.channel.send(request, fds) {
            // A daemon that has no room for a client says so without listening, and closes the door: it can still be read.
            Ok(()) | Err(WireError::Closed) => self.channel.recv::<Answer>().map(|(answer, _)| answer),
            Err(why) => Err(why),
        }
    }
}

/// A connection over which the daemon tells of what happens.
#[derive(Debug)]
pub struct Listening(Channel);

impl Listening {
    /// What has been told by now; `None` when the daemon has gone. Never waits.
    ///
    /// # Errors
    /// If it can not be understood.
    pub fn next(&mut self) -> Result<Option<Vec<Told>>, Failure> {
        let mut told = Vec::new();
        loop {
            match self.0.try_recv::<Answer>() {
                Ok(Some((Answer::Done(value), _))) => told.push(understood(value)?),
                Ok(Some((Answer::Failed(failure), _))) => return Err(failure),
                Ok(None) => return Ok(Some(told)),
                // What it said last is told before its end is.
                Ok(Some(_)) | Err(WireError::Closed) if !told.is_empty() => return Ok(Some(told)),
                Ok(Some(_)) | Err(WireError::Closed) => return Ok(None),
                Err(why) => return Err(Failure::new(format_args!("listen to the daemon: {why}"))),
            }
        }
    }
}

impl AsFd for Listening {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Whether a daemon is nothing that this user could start: he is not root, and has not what it takes of root's power. (Of root
/// without it the daemon itself says what is missing.)
pub fn is_left_to_root() -> bool {
    let mut essential = Feature::ALL.into_iter().filter(|feature| feature.is_essential());
    !rustix::process::geteuid().is_root() && essential.any(|feature| privilege::missing(feature).is_some())
}

/// A daemon's process.
#[derive(Debug)]
pub struct Process(OwnedFd);

impl Process {
    /// Waits until it has ended.
    ///
    /// # Errors
    /// If that can not be told.
    pub fn wait(&self) -> Result<(), Failure> {
        let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
        let ended = rustix::io::retry_on_intr(|| rustix::event::poll(&mut fds, None));
        ended.map(drop).map_err(|why| Failure::new(format_args!("wait for the daemon's end: {why}")))
    }
}

impl AsFd for Client {
    /// Readable when there is an answer.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}

fn done<T: DeserializeOwned>(answer: Answer) -> Result<T, Failure> {
    match answer {
        Answer::Done(value) => understood(value),
        Answer::Warned { done, warnings } => {
            warn(&warnings);
            understood(done)
        }
        Answer::Failed(failure) => Err(failure),
        Answer::Ended => Err(Failure::new("the daemon is ending")),
    }
}

fn silent(dirs: &Dirs, what: &str) -> Missed {
    let failure = Failure::new(format_args!("the daemon in {} {what}", dirs.runtime.display()));
    Missed::Silent(failure.with_hint(format!("its log is {}", dirs.daemon_log().display())))
}

fn warn(warnings: &[String]) {
    for warning in warnings {
        say(format_args!("pontoon: warning: {warning}"));
    }
}

fn understood<T: DeserializeOwned>(value: serde_json::Value) -> Result<T, Failure> {
    serde_json::from_value(value).map_err(|why| Failure::new(format_args!("the daemon's answer: {why}")))
}

enum Spawned {
    /// With warnings for people.
    Listens(Vec<String>),
    AnotherIsThere,
}

/// Starts a daemon in the background. It says on its standard output, a pipe to us, that it listens, or why not; it
/// inherits none of our streams.
fn spawn_daemon(options: &Options) -> Result<Spawned, Failure> {
    options.dirs.make()?;
    let log = std::fs::File::options().create(true).append(true).open(options.dirs.daemon_log());
    let log = log.map_err(unusable(format_args!("open the daemon's log {}", options.dirs.daemon_log().display())))?;
    let mut daemon = Command::new("/proc/self/exe")
        .args(options.to_arguments())
        .env(log::VARIABLE, log::Format::current().name())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .map_err(io("start the daemon"))?;
    let mut line = String::new();
    if let Some(stdout) = daemon.stdout.take() {
        BufReader::new(stdout).read_line(&mut line).map_err(io("read what the daemon says"))?;
    }
    match serde_json::from_str(&line) {
        Ok(Answer::Done(warnings)) => Ok(Spawned::Listens(serde_json::from_value(warnings).unwrap_or_default())),
        Ok(Answer::Warned { warnings, .. }) => Ok(Spawned::Listens(warnings)),
        Ok(Answer::Failed(failure)) => {
            let _ = daemon.wait();
            Err(failure)
        }
        Ok(Answer::Ended) => {
            let _ = daemon.wait();
            Ok(Spawned::AnotherIsThere)
        }
        Err(_) => {
            let ended = daemon.wait().map_err(io("wait for the daemon"))?;
            Err(Failure::new(format_args!("the daemon ended before it listened: {ended}"))
                .with_hint(format!("its log is {}", options.dirs.daemon_log().display())))
        }
    }
}
