//! The verbs of programs that are code, and how their tasks are run.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::time::Duration;

use netns::error::Error;
use netns::manager::RunRequest;
use netns::name::{Id, Name};

use super::places::not_there;
use super::{Place, World};
use crate::context::{self, Context};
use crate::exit::Exit;
use crate::namespace::Namespace;
use crate::processes::Process;
use crate::program::{self, Command};
use crate::socket::Interest;
use crate::task::{self, JoinHandle};

/// How much virtual time [`World::block_on`] gives a program.
const PATIENCE: Duration = Duration::from_secs(60 * 60);

/// A container that runs an async function.
#[derive(Clone, Debug)]
pub struct ProgramHandle {
    id: Id,
    name: Name,
    warnings: Vec<String>,
    exit: Rc<Cell<Option<i32>>>,
}

impl ProgramHandle {
    /// The container's id.
    #[must_use]
    pub fn id(&self) -> &Id {
        &self.id
    }

    /// The container's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// What the user of `run` is told.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The container, as the place for further programs.
    #[must_use]
    pub fn place(&self) -> Place {
        Place::container(self.name.as_str())
    }

    /// The exit status, once it has ended: also when the container has been removed since.
    #[must_use]
    pub fn status(&self) -> Option<i32> {
        self.exit.get()
    }
}

/// Programs that have not ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stuck {
    /// Nothing is left to happen in this world, neither a frame on its way nor a timer: they would wait for ever.
    #[error("deadlock: nothing is left to happen, and these have not ended: {}", .0.join("; "))]
    Deadlock(
        /// Who, and what they wait for.
        Vec<String>,
    ),
    /// The time was over.
    #[error("these have not ended in {limit:?} of virtual time: {}", .programs.join("; "))]
    Limit {
        /// Who, and what they wait for.
        programs: Vec<String>,
        /// How long that was.
        limit: Duration,
    },
}

impl World {
    /// Runs a container whose command is an async function, written with [`sim::net`](crate::net), [`sim::time`](crate::time)
    /// and [`sim::task`](crate::task). What it returns is the container's exit status (see [`Exit`]); if it panics, that is
    /// 101, with the message in the container's log. The world goes on. It is detached, whatever the request says, so that its
    /// log is kept: nobody sits before it.
    ///
    /// A container ends with its command, and its interface with it: its peers hear that its sockets were closed, but what it
    /// had written and could not be sent yet is lost, as it is on Linux. A server does well to read to the end.
    ///
    /// # Errors
    /// Why there is no container.
    pub fn spawn<T: Exit>(
        &mut self,
        request: RunRequest,
        program: impl AsyncFnOnce() -> T + 'static,
    ) -> Result<ProgramHandle, Error> {
        let request = RunRequest { detached: true, ..request };
        let started = self.run(request, Command::code(program))?;
        let exit = self.machine().containers.get(&started.id).map(|container| Rc::clone(&container.exit));
        self.known.insert(started.name.to_string(), started.id.clone());
        let exit = exit.unwrap_or_default();
        Ok(ProgramHandle { id: started.id, name: started.name, warnings: started.warnings, exit })
    }

    /// Runs a program beside others: on the host, on one outside, or in a container, with which it ends. What it prints is lost. It is a
    /// process of its own: when its future is ready, its sockets are closed.
    ///
    /// # Errors
    /// If the place is not there.
    pub fn exec<T: 'static>(
        &mut self,
        place: &Place,
        program: impl Future<Output = T> + 'static,
    ) -> Result<JoinHandle<T>, Error> {
        let (namespace, _) = self.locate(place).ok_or_else(|| not_there(place))?;
        let (container, name) = match place {
            Place::Host => (None, "a program on the host".to_owned()),
            Place::Outside(name) => (None, format!("a program on {name}")),
            Place::Sandbox(name) => (None, format!("a program in the sandbox {name}")),
            Place::Container(name) => (self.known.get(name).cloned(), format!("a program in {name}")),
        };
        let mut machine = self.machine();
        let (work, handle) = task::job(machine.world, program);
        let process = Process { name, namespace, container, is_program: true };
        let main = |pid| -> crate::executor::Work {
            Box::pin(async move {
                work.await;
                context::current().machine.borrow_mut().exit(pid, 0);
            })
        };
        machine.begin(process, main);
        Ok(handle)
    }

    /// Runs a program in a place until it is done, and gives what it returns. Everything else goes on meanwhile.
    ///
    /// # Panics
    /// If the place is not there; if the program panics; if it waits for what can never happen, or for more than an hour of
    /// virtual time.
    #[track_caller]
    pub fn block_on<T: 'static>(&mut self, place: &Place, program: impl Future<Output = T> + 'static) -> T {
        let mut handle = match self.exec(place, program) {
            Ok(handle) => handle,
            Err(why) => panic!("{why}"),
        };
        let done = self.run_until(PATIENCE, |_| handle.is_finished());
        match handle.take_result() {
            Some(Ok(value)) => value,
            Some(Err(why)) if why.is_panic() => resume_unwind(why.into_panic()),
            Some(Err(why)) => panic!("the place of the program is gone: {why}"),
            None if !done => panic!("{}", self.stuck(PATIENCE)),
            None => unreachable!("a task that is finished has a result"),
        }
    }

    /// Lets time go by until a program has ended, but for no longer than `limit`. Returns its exit status.
    ///
    /// # Errors
    /// If it has not ended then, or never would.
    pub fn wait(&mut self, program: &ProgramHandle, limit: Duration) -> Result<i32, Stuck> {
        self.run_until(limit, |_| program.status().is_some());
        program.status().ok_or_else(|| self.stuck(limit))
    }

    /// Lets time go by until all programs that are code have ended, but for no longer than `limit`.
    ///
    /// # Errors
    /// If some have not ended then, or never would.
    pub fn run_until_done(&mut self, limit: Duration) -> Result<(), Stuck> {
        let done = self.run_until(limit, |world| world.machine().processes.values().all(|process| !process.is_program));
        if done { Ok(()) } else { Err(self.stuck(limit)) }
    }

    /// Gives every task that is ready its turn. Returns whether there was one.
    pub(super) fn run_tasks(&mut self) -> bool {
        let mut some = false;
        loop {
            self.bury();
            let Some(mut turn) = self.machine().executor.next_turn() else { return some };
            some = true;
            let context = self.context(turn.pid);
            context::enter(context, || {
                let mut cx = std::task::Context::from_waker(&turn.waker);
                let task = turn.task;
                if turn.work.as_mut().poll(&mut cx).is_pending() {
                    self.machine().executor.put_back(turn);
                } else {
                    self.machine().executor.finish(task);
                }
            });
        }
    }

    /// Drops what is left of tasks that have ended, whose destructors may ask for anything.
    pub(super) fn bury(&mut self) {
        loop {
            let dead = self.machine().executor.take_dead();
            if dead.is_empty() {
                return;
            }
            for (pid, work) in dead {
                context::enter(self.context(pid), || {
                    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(work))) {
                        program::tell(&*panic);
                    }
                });
            }
        }
    }

    /// Ends all programs, with the world.
    pub(super) fn end_programs(&mut self) {
        // A test that fails in the middle of something has other worries.
        let Ok(mut machine) = self.machine.try_borrow_mut() else { return };
        let pids: Vec<u32> = machine.processes.keys().copied().collect();
        pids.into_iter().for_each(|pid| machine.end_process(pid));
        drop(machine);
        self.bury();
    }

    fn context(&self, pid: u32) -> Context {
        Context { world: self.machine().world, machine: Rc::clone(&self.machine), clock: self.clock.clone(), pid }
    }

    /// Who has not ended, and why.
    fn stuck(&self, limit: Duration) -> Stuck {
        let machine = self.machine();
        let waits = |namespace: &Namespace, pid: u32| -> Vec<String> {
            let own = namespace
                .waiters
                .keys()
                .filter(|(socket, _)| namespace.owners.get(socket).is_some_and(|owner| owner.process == pid));
            own.map(|(socket, interest)| describe(namespace, *socket, *interest)).collect()
        };
        let describe = |(pid, process): (&u32, &Process)| {
            let waits = machine.namespaces.get(&process.namespace).map_or_else(Vec::new, |home| waits(home, *pid));
            let waits = if waits.is_empty() { "waits".to_owned() } else { waits.join(", ") };
            format!("{} ({waits})", process.name)
        };
        let who: BTreeMap<u32, String> = machine
            .processes
            .iter()
            .filter(|(_, process)| process.is_program)
            .map(|(pid, process)| (*pid, describe((pid, process))))
            .collect();
        let who = who.into_values().collect();
        if self.clock.next().is_none() { Stuck::Deadlock(who) } else { Stuck::Limit { programs: who, limit } }
    }
}

/// What a task waits for.
fn describe(namespace: &Namespace, socket: u64, interest: Interest) -> String {
    let stack = &namespace.stack;
    if stack.is_listener(socket) {
        return "accepts".to_owned();
    }
    match (stack.ends(socket), interest) {
        (Some((_, peer)), Interest::Read) => format!("reads from {peer}"),
        (Some((_, peer)), Interest::Write) => format!("writes to {peer}"),
        (None, Interest::Read | Interest::Write) => "waits for a datagram".to_owned(),
    }
}
