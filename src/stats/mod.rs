//! `stats`: asks the daemon, once or again and again, and shows what it says.

mod screen;
mod watch;

use control::Request;
use serde::Serialize;

use self::screen::Screen;
use self::watch::Pause;
use crate::cli::stats::StatsArgs;
use crate::client::Client;
use crate::commands::print_json;
use crate::failure::Failure;
use crate::output::{print, print_line, say};
use crate::paths::Dirs;
use crate::show::stats::{self, Bridge, Look, Units};

/// Carries `stats` out.
///
/// # Errors
/// If the daemon can not be asked, a name is that of nothing, or the law is broken.
pub fn stats(dirs: &Dirs, args: &StatsArgs) -> Result<(), Failure> {
    let mut view = View { args, names: args.names(), screen: Screen::new(), last: None };
    let mut client = Client::connect(dirs)?;
    let interval = args.interval();
    // A rate takes two readings.
    let mut readings = if interval.is_some() { usize::MAX } else { 1 + usize::from(args.rate) };
    let mut pause = Pause::new(interval.unwrap_or(watch::SECOND), interval.is_some())?;
    loop {
        match client.ask::<Vec<Bridge>>(&Request::Statistics) {
            Ok(bridges) => view.take(bridges, pause.now())?,
            Err(gone) if interval.is_some() => {
                say(format_args!("pontoon: {}; waiting for a daemon that listens", gone.message));
                match pause.for_daemon(dirs)? {
                    Some(next) => client = next,
                    None => return Ok(()),
                }
                say("pontoon: a daemon listens again");
                continue;
            }
            Err(failed) => return Err(failed),
        }
        readings -= 1;
        if readings == 0 || !pause.wait()? {
            return Ok(());
        }
    }
}

/// What is shown, and what was read before.
struct View<'a> {
    args: &'a StatsArgs,
    names: Vec<String>,
    screen: Screen,
    last: Option<(Vec<Bridge>, f64)>,
}

impl View<'_> {
    /// Shows a reading, made at `now`, in seconds since whenever.
    fn take(&mut self, mut bridges: Vec<Bridge>, now: f64) -> Result<(), Failure> {
        // Under --watch, what is named may come and go.
        match stats::keep_only(&mut bridges, &self.names) {
            Ok(()) => {}
            Err(_) if self.args.watch.is_some() && self.last.is_some() => keep_known(&mut bridges, &self.names),
            Err((name, nearest)) => return Err(no_such(&name, nearest)),
        }
        if self.args.check {
            self.last = Some((Vec::new(), now));
            return stats::check(&bridges).map_err(Failure::new);
        }
        let last = self.last.replace((bridges.clone(), now));
        if !self.args.rate {
            return self.show(&bridges, None);
        }
        let Some((before, then)) = last else { return Ok(()) };
        self.show(&stats::grown_since(&bridges, &before), Some((now - then).max(0.001)))
    }

    fn show(&mut self, bridges: &[Bridge], seconds: Option<f64>) -> Result<(), Failure> {
        let mut bridges = bridges.to_vec();
        if let Some(key) = self.args.sort {
            stats::sort(&mut bridges, key, self.args.reverse);
        } else if self.args.reverse {
            bridges.iter_mut().for_each(|bridge| bridge.bridge.ports.reverse());
            bridges.reverse();
        }
        if self.args.json.json {
            return if self.args.drops {
                self.json(&stats::drops(&bridges), seconds)
            } else {
                self.json(&bridges, seconds)
            };
        }
        let Screen { width, colour, .. } = self.screen;
        let look = Look { units: Units { exact: self.args.exact, seconds }, width, colour };
        let text = if self.args.networks {
            stats::networks_table(&bridges, &look)
        } else if self.args.drops {
            stats::drops_table(&stats::drops(&bridges), &look)
        } else {
            let mut ports: Vec<_> = bridges.iter().flat_map(|bridge| &bridge.bridge.ports).collect();
            if let Some(key) = self.args.sort {
                stats::sort_ports(&mut ports, key, self.args.reverse);
            }
            stats::ports_table(ports, &look)
        };
        if self.args.watch.is_some() { self.screen.redraw(&text) } else { print(text) }
    }

    /// For a program: under --watch a line a time.
    fn json<T: Serialize + ?Sized>(&self, value: &T, seconds: Option<f64>) -> Result<(), Failure> {
        match seconds {
            None => self.write(value),
            Some(seconds) => self.write(&stats::rates(value, seconds).map_err(not_written)?),
        }
    }

    fn write<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), Failure> {
        if self.args.watch.is_none() {
            return print_json(value);
        }
        print_line(serde_json::to_string(value).map_err(not_written)?)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err gives")]
fn not_written(why: serde_json::Error) -> Failure {
    Failure::new(format_args!("write JSON: {why}"))
}

/// Those of the names that there are.
fn keep_known(bridges: &mut Vec<Bridge>, names: &[String]) {
    let is_known = |name: &&String| stats::keep_only(&mut bridges.clone(), std::slice::from_ref(*name)).is_ok();
    let known: Vec<String> = names.iter().filter(is_known).cloned().collect();
    if known.is_empty() || stats::keep_only(bridges, &known).is_err() {
        bridges.clear();
    }
}

fn no_such(name: &str, nearest: Option<String>) -> Failure {
    let failure = Failure::new(format_args!("no such network, container or port: {name}"));
    failure.with_hint(match nearest {
        Some(nearest) => format!("did you mean {nearest}? `pontoon stats` shows all"),
        None => "`pontoon stats` shows all ports, `pontoon network ls` all networks".to_owned(),
    })
}
