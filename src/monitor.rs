//! `bridge monitor`: what happens, a line each, as it happens.
//!
//! * It says on standard error when it listens: from then on nothing is missed, or that is told.
//! * A daemon that goes is waited for, until the next one listens. A reader that goes ends it, and nothing is said of that.

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use control::{Bridge, Request, Told};
use netns::event::Event;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::cli::MonitorArgs;
use crate::client::{Client, Listening};
use crate::failure::{Failure, cause_of};
use crate::output::{forgive, say};
use crate::paths::Dirs;
use crate::show;

/// How often a daemon that has gone is looked for.
const AGAIN: Duration = Duration::from_millis(200);

/// Prints what happens until nobody reads it any more.
///
/// # Errors
/// If no daemon listens, or it says no.
pub fn monitor(dirs: &Dirs, args: &MonitorArgs) -> Result<(), Failure> {
    let wanted = Wanted::parse(&args.words)?;
    let line = |told: &Told| match args.json.json {
        true => serde_json::to_string(told).map_err(|why| Failure::new(format_args!("write JSON: {why}"))),
        false => Ok(show::events::line(told, args.timestamp, wanted.kind.is_none())),
    };
    let mut client = Client::connect(dirs)?;
    let mut missing = Vec::new();
    if !wanted.is_anywhere() {
        let bridges: Vec<Bridge> = client.ask(&Request::Bridges)?;
        missing = wanted.missing(&bridges);
    }
    let mut listening = client.listen()?;
    loop {
        say("pontoon: listening");
        std::mem::take(&mut missing).into_iter().for_each(say);
        if let Heard::NoReader = hear(&mut listening, &wanted, line)? {
            return Ok(());
        }
        say("pontoon: the daemon has gone; waiting for the next");
        match wait_for_the_next(dirs)? {
            Some(next) => listening = next,
            None => return Ok(()),
        }
    }
}

/// Why there is nothing more to be heard.
enum Heard {
    NoDaemon,
    NoReader,
}

fn hear(
    listening: &mut Listening,
    wanted: &Wanted,
    line: impl Fn(&Told) -> Result<String, Failure>,
) -> Result<Heard, Failure> {
    let stdout = std::io::stdout();
    loop {
        if has_no_reader(Some(listening.as_fd()), None)? {
            return Ok(Heard::NoReader);
        }
        let Some(told) = listening.next()? else { return Ok(Heard::NoDaemon) };
        for told in told.iter().filter(|told| wanted.has(&told.event)) {
            let text = format!("{}\n", line(told)?);
            let mut stdout = stdout.lock();
            match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
                Ok(()) => {}
                Err(why) => {
                    let forgiven = forgive(Err(why)).map(|()| Heard::NoReader);
                    return forgiven.map_err(|why| Failure::new(format_args!("print: {}", cause_of(&why))));
                }
            }
        }
    }
}

/// The next daemon's news; `None` if meanwhile nobody reads them any more.
fn wait_for_the_next(dirs: &Dirs) -> Result<Option<Listening>, Failure> {
    loop {
        // One that is just ending says no, or nothing.
        if let Some(Ok(listening)) = Client::look(dirs)?.map(Client::listen) {
            return Ok(Some(listening));
        }
        if has_no_reader(None, Some(AGAIN))? {
            return Ok(None);
        }
    }
}

/// Waits for news, for a time, or until nobody reads our output any more; whether that is so.
fn has_no_reader(news: Option<BorrowedFd<'_>>, time: Option<Duration>) -> Result<bool, Failure> {
    let stdout = std::io::stdout();
    // Of a reader that goes the kernel tells unasked.
    let reader = PollFd::from_borrowed_fd(stdout.as_fd(), PollFlags::empty());
    let news = news.map(|news| PollFd::from_borrowed_fd(news, PollFlags::IN));
    let mut ready: Vec<PollFd<'_>> = std::iter::once(reader).chain(news).collect();
    let time = time.and_then(|time| Timespec::try_from(time).ok());
    match poll(&mut ready, time.as_ref()) {
        Ok(_) => Ok(ready[0].revents().intersects(PollFlags::ERR | PollFlags::HUP)),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(why) => Err(Failure::new(format_args!("wait for the daemon: {why}"))),
    }
}

/// What is to be told.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted {
    /// Everything, if there is none.
    kind: Option<Kind>,
    bridge: Option<String>,
    port: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Fdb,
    Link,
    Container,
    Network,
}

impl Wanted {
    /// `[all|fdb|link|container|network] [br BRIDGE] [dev PORT]`, in any order.
    fn parse(words: &[String]) -> Result<Self, Failure> {
        let wrong = |why: String| {
            let hint = "bridge monitor [all|fdb|link|container|network] [br BRIDGE] [dev PORT]";
            Failure::new(why).with_hint(hint).with_status(2)
        };
        let mut wanted = Wanted::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut name = || words.next().cloned().ok_or_else(|| wrong(format!("'{word}' needs a name behind it")));
            match word.as_str() {
                "all" => wanted.kind = None,
                "fdb" => wanted.kind = Some(Kind::Fdb),
                "link" => wanted.kind = Some(Kind::Link),
                "container" => wanted.kind = Some(Kind::Container),
                "network" => wanted.kind = Some(Kind::Network),
                "br" => wanted.bridge = Some(name()?),
                "dev" | "brport" => wanted.port = Some(name()?),
                other => return Err(wrong(format!("'{other}' is not understood"))),
            }
        }
        Ok(wanted)
    }

    fn has(&self, event: &Event) -> bool {
        let is_of = |kind| self.kind.is_none_or(|wanted| wanted == kind);
        let is_at = |bridge: &str, ports: &[&str]| {
            self.bridge.as_ref().is_none_or(|wanted| wanted == bridge)
                && self.port.as_ref().is_none_or(|wanted| ports.contains(&wanted.as_str()))
        };
        match event {
            Event::Learned(entry) | Event::Set(entry) | Event::Aged(entry) | Event::Evicted(entry) => {
                is_of(Kind::Fdb) && is_at(&entry.master, &[&entry.ifname])
            }
            Event::Moved { entry, from } => is_of(Kind::Fdb) && is_at(&entry.master, &[&entry.ifname, from]),
            Event::PortUp(port) | Event::PortDown(port) => is_of(Kind::Link) && is_at(&port.master, &[&port.ifname]),
            Event::PortRenamed { port, from } => is_of(Kind::Link) && is_at(&port.master, &[&port.ifname, from]),
            Event::ContainerCreated(_)
            | Event::ContainerStarted(_)
            | Event::ContainerExited { .. }
            | Event::ContainerRemoved(_) => is_of(Kind::Container) && self.is_anywhere(),
            Event::NetworkCreated(network) | Event::NetworkRemoved(network) => {
                is_of(Kind::Network) && is_at(&network.bridge, &[])
            }
            Event::Connected(_) | Event::Disconnected(_) => is_of(Kind::Network) && self.is_anywhere(),
            Event::Lost { .. } => true,
        }
    }

    /// What is wanted of a place that is not there, in words: it may come, or be a slip of the pen.
    fn missing(&self, bridges: &[Bridge]) -> Vec<String> {
        let bridge = self.bridge.iter().filter(|wanted| bridges.iter().all(|known| known.name != **wanted));
        let has_port = |wanted: &String| {
            bridges.iter().any(|known| known.name == *wanted || known.interfaces.iter().any(|port| port == wanted))
        };
        let port = self.port.iter().filter(|wanted| !has_port(wanted));
        let bridge = bridge.map(|name| format!("pontoon: there is no bridge {name} yet: `pontoon show` lists them"));
        bridge
            .chain(port.map(|name| format!("pontoon: there is no port {name} yet: `pontoon show` lists them")))
            .collect()
    }

    fn is_anywhere(&self) -> bool {
        self.bridge.is_none() && self.port.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Wanted, Failure> {
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        Wanted::parse(&words)
    }

    #[test]
    fn words_are_those_of_iproute2() {
        assert_eq!(parse(""), Ok(Wanted::default()));
        assert_eq!(parse("all"), Ok(Wanted::default()));
        let fdb = Wanted { kind: Some(Kind::Fdb), bridge: Some("pontoon0".into()), port: Some("web.eth0".into()) };
        assert_eq!(parse("fdb dev web.eth0 br pontoon0"), Ok(fdb));
        for wrong in ["br", "fdb dev", "vlan", "fdb show"] {
            assert_eq!(parse(wrong).map_err(|failure| failure.status), Err(2), "{wrong}");
        }
    }

    #[test]
    fn a_place_that_is_not_there_is_told() {
        let interfaces = vec!["web.eth0".to_owned()];
        let bridge = Bridge { name: "pontoon0".into(), id: String::new(), stp_enabled: false, interfaces };
        let missing = |text: &str| parse(text).map(|wanted| wanted.missing(std::slice::from_ref(&bridge)));
        for there in ["", "br pontoon0", "dev web.eth0", "dev pontoon0 br pontoon0"] {
            assert_eq!(missing(there), Ok(Vec::new()), "{there}");
        }
        let told = ["bridge back", "port db.eth0"]
            .map(|what| format!("pontoon: there is no {what} yet: `pontoon show` lists them"));
        assert_eq!(missing("br back dev db.eth0"), Ok(told.to_vec()));
    }
}
