//! What the command of a simulated container does: [`Program`], plain data, or code.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::context;
use crate::executor::Work;
use crate::exit::Exit;
use crate::process::{self, Process};

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// Waits until a signal ends it.
    Sleep,
    /// Ends at once with this status.
    Exit(i32),
    /// Ends after a while with this status, unless a signal ends it before.
    SleepFor(Duration, i32),
    /// Prints a text and ends with this status.
    Print(String, i32),
    /// Waits, and ignores SIGTERM.
    IgnoreTerm,
    /// There is no such command.
    NotFound(String),
    /// It is there, but is no program.
    NotExecutable(String),
}

/// What the backend starts in a container.
pub struct Command(pub(crate) Kind);

#[derive(Debug)]
pub(crate) enum Kind {
    Data(Program),
    Code(Code),
}

/// A program that is code.
pub(crate) struct Code {
    /// What it is called where somebody is to be told of it.
    pub(crate) name: String,
    pub(crate) main: Main,
}

/// A main function, which ends with an exit status.
pub(crate) type Main = Pin<Box<dyn Future<Output = i32>>>;

/// What signals do to code: it has no handlers for them.
pub(crate) const WITHOUT_HANDLERS: Program = Program::Sleep;

/// The exit status of a Rust program that panicked.
const PANICKED: i32 = 101;

const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

impl Program {
    /// How long it runs and what its status will be, if it ends by itself.
    pub(crate) fn end(&self) -> Option<(Duration, i32)> {
        match self {
            Program::Exit(status) | Program::Print(_, status) => Some((Duration::ZERO, *status)),
            Program::SleepFor(time, status) => Some((*time, *status)),
            Program::Sleep | Program::IgnoreTerm | Program::NotFound(_) | Program::NotExecutable(_) => None,
        }
    }

    /// What it prints.
    pub(crate) fn output(&self) -> &str {
        match self {
            Program::Print(text, _) => text,
            Program::Sleep
            | Program::Exit(_)
            | Program::SleepFor(..)
            | Program::IgnoreTerm
            | Program::NotFound(_)
            | Program::NotExecutable(_) => "",
        }
    }

    /// Whether a signal ends it.
    pub(crate) fn dies_of(&self, signal: i32) -> bool {
        match signal {
            SIGKILL => true,
            SIGTERM => *self != Program::IgnoreTerm,
            // Those that do nothing or stop, unless a program says otherwise: CHLD, CONT, STOP, TSTP, TTIN, TTOU, URG, WINCH.
            17..=23 | 28 => false,
            _ => signal > 0,
        }
    }
}

impl Command {
    /// A program that is an async function.
    pub(crate) fn code<T: Exit>(program: impl AsyncFnOnce() -> T + 'static) -> Self {
        let main = Box::pin(async move {
            let (status, text) = program().await.exit();
            print(&text);
            status
        });
        Command(Kind::Code(Code { name: String::new(), main }))
    }

    /// The command of the container of this name.
    pub(crate) fn named(mut self, name: &str) -> Self {
        if let Kind::Code(code) = &mut self.0 {
            name.clone_into(&mut code.name);
        }
        self
    }
}

impl From<Program> for Command {
    fn from(program: Program) -> Self {
        Command(Kind::Data(program))
    }
}

impl<P: Process> From<P> for Command {
    fn from(process: P) -> Self {
        Command(Kind::Code(Code { name: String::new(), main: Box::pin(process::run(process)) }))
    }
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Command").field(&self.0).finish()
    }
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Code").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Prints to the log of the container whose command calls this. What others print is lost.
///
/// # Panics
/// If no program of a world calls it.
#[track_caller]
pub fn print(text: &str) {
    let context = context::current();
    context.machine.borrow_mut().print(context.pid, text);
}

/// The task of a main function: what it returns is the end of its process.
pub(crate) fn main(main: Main) -> Work {
    Box::pin(async move {
        let status = Caught(main).await.unwrap_or(PANICKED);
        let context = context::current();
        context.machine.borrow_mut().exit(context.pid, status);
    })
}

/// A future of a program, whose panics end at the program and are told to whoever watches.
pub(crate) struct Caught<F: ?Sized>(pub(crate) Pin<Box<F>>);

impl<F: Future + ?Sized> Future for Caught<F> {
    type Output = Result<F::Output, Box<dyn Any + Send>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // What a panic may leave half done is the program's own, and nobody sees it any more.
        match catch_unwind(AssertUnwindSafe(|| self.0.as_mut().poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
            Err(panic) => {
                tell(&*panic);
                Poll::Ready(Err(panic))
            }
        }
    }
}

/// Tells of a panic: in the log, and on standard error, where the place in the code stands already, who it was.
pub(crate) fn tell(panic: &(dyn Any + Send)) {
    let context = context::current();
    let mut machine = context.machine.borrow_mut();
    let said = said(panic);
    eprintln!("in the simulated world, {} panicked: {said}", machine.name_of(context.pid));
    machine.print(context.pid, &format!("panicked: {said}\n"));
}

/// What a panic says, if it is text.
pub(crate) fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no text")
}
