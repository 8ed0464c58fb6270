//! The caller's side of a command in a container: what is passed in, what comes back.
//!
//! With a terminal, the container gets one of its own ([`crate::terminal`]); otherwise the caller's standard streams
//! themselves go in, so that pipes and files behave as they do without us. Signals that reach us are sent on. The exit
//! status comes from the container's shim, not from the daemon: a daemon that is killed meanwhile changes nothing.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use control::{Request, RunOrder, Running};
use netns::linux::session::{Outcome, Session};
use netns::linux::wire::MAX_MESSAGE;
use netns::linux::{HOSTNAME, NotStarted, Process};
use netns::name::Id;
use nix::libc::{SIGPWR, SIGSTKFLT};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use signal_hook::consts::signal::{
    SIGABRT, SIGALRM, SIGCONT, SIGHUP, SIGINT, SIGIO, SIGPROF, SIGQUIT, SIGSYS, SIGTERM, SIGTRAP, SIGTSTP, SIGTTIN,
    SIGTTOU, SIGUSR1, SIGUSR2, SIGVTALRM, SIGWINCH, SIGXCPU, SIGXFSZ,
};

use crate::cli::{ExecArgs, REAL_TIME, RunArgs};
use crate::client::Client;
use crate::failure::{Failure, OURS, io as io_failure};
use crate::output::{print_line, say};
use crate::paths::Dirs;
use crate::signals::Signals;
use crate::terminal::Terminal;

/// The signals that are sent on to the command, beside the real-time ones. As in Docker these are all that can be caught, those
/// of a shell's job control among them; but for what concerns only ourselves (CHLD, PIPE, URG) and faults of our own (ILL, BUS, FPE,
/// SEGV).
const PASSED_ON: [i32; 22] = [
    SIGHUP, SIGINT, SIGQUIT, SIGTRAP, SIGABRT, SIGUSR1, SIGUSR2, SIGALRM, SIGTERM, SIGSTKFLT, SIGCONT, SIGTSTP,
    SIGTTIN, SIGTTOU, SIGXCPU, SIGXFSZ, SIGVTALRM, SIGPROF, SIGWINCH, SIGIO, SIGPWR, SIGSYS,
];
/// The exit status when the container was ended without one of its own, as if by `kill -9`.
const LOST: u8 = 137;
/// The exit status when there is no such command, and when it can not be executed.
const NOT_FOUND: i32 = 127;
const NOT_EXECUTABLE: i32 = 126;
/// What else is said of a command than what it is, in bytes.
const BESIDE: usize = 64 * 1024;

/// `run`: returns the exit status.
///
/// # Errors
/// If there is no container.
pub fn run(dirs: &Dirs, args: RunArgs) -> Result<u8, Failure> {
    let client = Client::connect_or_start(dirs)?;
    let mut order = RunOrder {
        name: args.name,
        network: args.network,
        ip: args.ip,
        mac: args.mac_address,
        mtu: args.mtu,
        aliases: args.network_alias,
        publish: args.publish.into_iter().flatten().collect(),
        dns: args.dns,
        offload: !args.no_offload,
        detach: args.detach,
        auto_remove: args.rm,
        process: process(args.command, args.env)?,
        hostname: args.hostname,
    };
    if args.detach {
        let (_, running): (_, Running) = client.ask_to_make(dirs, &Request::Run(Box::new(order)), &[])?;
        warn(&running);
        // As in Docker it runs on, but here whoever asked for it is told.
        return print_line(&running.id).map(|()| 0).map_err(|failure| {
            let Running { id, name, .. } = &running;
            Failure::new(failure.message.replacen("print", "print the container's id", 1))
                .with_hint(format!("container {name} runs; its id is {id}"))
        });
    }
    let mut signals = passed_on()?;
    let (session, inner) = Session::pair().map_err(io_failure("make a socket pair"))?;
    let (terminal, streams) = lend_streams()?;
    order.process.tty = terminal.is_some();
    let [stdin, stdout, stderr] = &streams;
    let fds = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd(), inner.as_fd()];
    let (mut client, running): (_, Running) = client.ask_to_make(dirs, &Request::Run(Box::new(order)), &fds)?;
    warn(&running);
    // Our copies of the container's ends are closed: what is written to their other ends ends with the container.
    drop((streams, inner));
    let status = attend(session, terminal, &mut signals)?;
    // Its name, address and port are free when we return.
    client.wait_for_end();
    Ok(status)
}

/// Says what the user is to know of a container that runs.
fn warn(running: &Running) {
    for warning in &running.warnings {
        say(format_args!("pontoon: warning: {warning}"));
    }
}

/// `exec`: returns the exit status.
///
/// # Errors
/// If the command can not be started.
pub fn exec(dirs: &Dirs, args: ExecArgs) -> Result<u8, Failure> {
    let id: Id = Client::connect(dirs)?.ask(&Request::Locate(args.container))?;
    let mut process = process(args.command, args.env)?;
    let mut signals = passed_on()?;
    let (terminal, streams) = lend_streams()?;
    process.tty = terminal.is_some();
    let session = netns::linux::exec(&dirs.paths(), &id, process, streams);
    let session = session.map_err(|why| Failure::from(netns::error::Error::from(why)))?;
    attend(session, terminal, &mut signals)
}

/// Waits for the command's end; meanwhile signals go in, and the terminal's bytes both ways. Returns its exit status.
fn attend(mut session: Session, mut terminal: Option<Terminal>, signals: &mut Signals) -> Result<u8, Failure> {
    loop {
        while let Some(outcome) = session.try_wait() {
            if let Some(status) = settled(outcome)? {
                if let Some(lent) = &mut terminal {
                    lent.last_words(signals);
                }
                return Ok(status);
            }
        }
        wait(&session, signals, terminal.as_ref())?;
        for signal in signals.pending() {
            pass_on(&mut session, terminal.as_ref(), signal);
        }
        if terminal.as_mut().is_some_and(|lent| !lent.carry()) {
            // No process has the terminal open any more; only the status is to come.
            terminal = None;
        }
    }
}

/// Waits until there may be something to do.
fn wait(session: &Session, signals: &Signals, terminal: Option<&Terminal>) -> Result<(), Failure> {
    let stdin = io::stdin();
    let mut fds = [session.as_fd(), signals.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN)).to_vec();
    fds.extend(terminal.map(|terminal| terminal.interest(&stdin)).into_iter().flatten());
    let patience = terminal.map_or(PollTimeout::NONE, Terminal::patience);
    match poll(&mut fds, patience) {
        Ok(_) | Err(nix::Error::EINTR) => Ok(()),
        Err(why) => Err(Failure::new(format_args!("wait for the container: {why}"))),
    }
}

/// The exit status, once it is known.
fn settled(outcome: Outcome) -> Result<Option<u8>, Failure> {
    match outcome {
        Outcome::Started => Ok(None),
        Outcome::Exited(status) => Ok(Some(u8::try_from(status & 0xff).unwrap_or(u8::MAX))),
        Outcome::Lost => Ok(Some(LOST)),
        Outcome::Failed(why) => {
            let status = match why {
                NotStarted::NotFound { .. } => NOT_FOUND,
                NotStarted::NotExecutable { .. } => NOT_EXECUTABLE,
                NotStarted::Other { .. } => OURS,
            };
            let hint = why.hint().map(str::to_owned);
            Err(Failure { hint, ..Failure::new(why).with_status(status) })
        }
    }
}

/// From now on these signals are for the command.
fn passed_on() -> Result<Signals, Failure> {
    let signals: Vec<i32> = PASSED_ON.into_iter().chain(REAL_TIME).collect();
    Signals::register(&signals)
}

fn pass_on(session: &mut Session, terminal: Option<&Terminal>, signal: i32) {
    if let Some(terminal) = terminal {
        match signal {
            // The kernel tells the command by the terminal's new size.
            SIGWINCH => return terminal.follow_size(),
            // We were stopped, and the shell had the terminal meanwhile.
            SIGCONT => terminal.resume(),
            _ => {}
        }
    }
    let _ = session.signal(signal);
}

/// What is to be executed: in the caller's working directory, with the caller's environment but for what `-e` says of it.
/// HOSTNAME is the container's, unless `-e` speaks of it.
fn process(command: Vec<OsString>, asked: Vec<(OsString, Option<OsString>)>) -> Result<Process, Failure> {
    let mut environment: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
    if !asked.iter().any(|(name, _)| name == HOSTNAME) {
        environment.remove(OsStr::new(HOSTNAME));
    }
    environment.extend(asked.into_iter().filter_map(|(name, value)| Some((name, value?))));
    let cwd = std::env::current_dir().map_err(io_failure("find the working directory"))?;
    let process = Process {
        argv: command.into_iter().map(Into::into).collect(),
        env: environment.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
        cwd: cwd.into_os_string().into(),
        tty: false,
    };
    let length = serde_json::to_vec(&process).map_err(|why| Failure::new(format_args!("write JSON: {why}")))?.len();
    if length > MAX_MESSAGE - BESIDE {
        let too_long = Failure::new("the command's arguments and environment are too long");
        return Err(too_long.with_status(NOT_EXECUTABLE));
    }
    Ok(process)
}

/// Standard input, output and error for a command: the caller's own, or the far end of a terminal that is lent to it.
fn lend_streams() -> Result<(Option<Terminal>, [OwnedFd; 3]), Failure> {
    let own = |fd: BorrowedFd<'_>| fd.try_clone_to_owned().map_err(io_failure("duplicate a standard stream"));
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    if !Terminal::is_there() {
        return Ok((None, [own(stdin.as_fd())?, own(stdout.as_fd())?, own(stderr.as_fd())?]));
    }
    let (terminal, inside) = Terminal::lend().map_err(io_failure("open a terminal for the container"))?;
    let errors = if stderr.is_terminal() { own(inside.as_fd())? } else { own(stderr.as_fd())? };
    let streams = [own(inside.as_fd())?, own(inside.as_fd())?, errors];
    Ok((Some(terminal), streams))
}
