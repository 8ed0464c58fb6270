//! [`watch`]: what Docker has forgotten goes. dockerd that finds our daemon dying within a call asks the next one with an empty body,
//! and holds what it wanted removed for removed whatever it is answered: nobody would ever say so again.
//!
//! So the engine is asked what it has, behind dockerd's back as for names: at the daemon's start, after a call that could not be
//! read, and seldom. Nothing goes but what two of its answers are without, and what had been there for long before the first: an endpoint
//! is listed only a moment after it is made. An engine that does not answer, or not as Docker does, has said nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Weak;
use std::time::Duration;

use docker::engine::{is_no_network, network_endpoints, network_path};
use hyper::StatusCode;
use netns::name::Id;
use netns::network::Owner;
use switch::time::Instant;
use tokio::sync::mpsc::Receiver;
use tokio::time::{sleep, timeout};

use super::api::look;
use crate::daemon::Daemon;

/// How long something has been known, at the least, before it is missed: no start of a container takes as long.
const AGE: Duration = Duration::from_secs(30);
/// Another [`AGE`], in milliseconds: for the tests.
const OTHER_AGE: &str = "PONTOON_DOCKER_FORGETS_AFTER";

/// Asks until this is aborted, or nobody has doubts any more.
pub(super) async fn watch(daemon: Weak<Daemon>, api: PathBuf, mut doubts: Receiver<()>) {
    let age = std::env::var(OTHER_AGE).ok().and_then(|age| age.parse().ok()).map_or(AGE, Duration::from_millis);
    let mut tally = Tally::new(age);
    loop {
        let Some(known) = daemon.upgrade().map(|daemon| Known::of(&daemon)) else { return };
        tally.meet(&known.things, known.now);
        let mut has_answered = true;
        let mut forgotten = Vec::new();
        for network in &known.networks {
            let Some(listed) = ask(network, known.is_proven, &api).await else {
                has_answered = false;
                continue;
            };
            let of_it = known.things.iter().filter(|thing| thing.network() == network);
            forgotten.extend(of_it.filter(|thing| tally.hear(thing, listed.has(thing), known.now)).cloned());
        }
        let Some(daemon) = daemon.upgrade() else { return };
        for left in let_go(&daemon, &forgotten) {
            tally.again(&left, known.now);
        }
        drop(daemon);
        let wait = if has_answered { tally.wait(known.now) } else { tally.interval() };
        // However many doubts there are.
        sleep(tally.apart()).await;
        if let Ok(None) = timeout(wait, doubts.recv()).await {
            return;
        }
    }
}

/// What an engine has. Guests come before their networks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Thing {
    Guest { network: Id, key: String },
    Network(Id),
}

impl Thing {
    fn network(&self) -> &Id {
        match self {
            Thing::Guest { network, .. } | Thing::Network(network) => network,
        }
    }
}

/// What we have of Docker's.
struct Known {
    now: Instant,
    networks: Vec<Id>,
    things: Vec<Thing>,
    /// Whether the engine that is asked is the one whose networks they are: it has told a name of one.
    is_proven: bool,
}

impl Known {
    fn of(daemon: &Daemon) -> Self {
        let state = daemon.state();
        let networks: Vec<_> =
            state.manager.bridge_networks().into_iter().filter(|network| network.owner == Owner::Docker).collect();
        let guests = state.manager.guests(Owner::Docker).into_iter();
        let guests = guests.map(|guest| Thing::Guest { network: guest.network_id, key: guest.key });
        Known {
            now: daemon.now().instant,
            things: guests.chain(networks.iter().map(|network| Thing::Network(network.id.clone()))).collect(),
            is_proven: networks.iter().any(|network| network.name.as_str() != network.id.short()),
            networks: networks.iter().map(|network| network.id.clone()).collect(),
        }
    }
}

/// What the engine says of a network.
struct Listed {
    /// None if there is no such network.
    endpoints: Option<BTreeSet<String>>,
}

impl Listed {
    fn has(&self, thing: &Thing) -> bool {
        match thing {
            Thing::Network(_) => self.endpoints.is_some(),
            Thing::Guest { key, .. } => self.endpoints.as_ref().is_some_and(|endpoints| endpoints.contains(key)),
        }
    }
}

async fn ask(network: &Id, is_proven: bool, api: &Path) -> Option<Listed> {
    match look(api, &network_path(network)).await {
        Ok((StatusCode::OK, body)) => {
            network_endpoints(network, &body).map(|endpoints| Listed { endpoints: Some(endpoints) })
        }
        // Another engine does not know it, either.
        Ok((StatusCode::NOT_FOUND, body)) if is_proven && is_no_network(network, &body) => {
            Some(Listed { endpoints: None })
        }
        Ok((status, _)) => {
            tracing::debug!("ask Docker for network {}: {status}", network.short());
            None
        }
        Err(why) => {
            tracing::debug!("ask Docker for network {}: {why}", network.short());
            None
        }
    }
}

/// Networks stay as long as something is on them: these are to be looked at again.
fn let_go(daemon: &Daemon, forgotten: &[Thing]) -> Vec<Thing> {
    let mut left = Vec::new();
    if forgotten.is_empty() {
        return left;
    }
    let mut state = daemon.state();
    if state.ending {
        return left;
    }
    let now = daemon.now();
    for thing in forgotten {
        let (what, gone) = match thing {
            Thing::Guest { key, .. } => {
                let short: String = key.chars().take(Id::SHORT).collect();
                (format!("endpoint {short}"), state.manager.release(Owner::Docker, key, now))
            }
            Thing::Network(id) => {
                // With it would go what is on it.
                if state.manager.guests(Owner::Docker).iter().any(|guest| guest.network_id == *id) {
                    left.push(thing.clone());
                    continue;
                }
                let gone = state.manager.remove_network_of(Owner::Docker, id.as_str(), now);
                (format!("network {}", id.short()), gone.map(drop))
            }
        };
        match gone {
            Ok(()) => tracing::warn!("Docker has forgotten {what}: it has been removed"),
            Err(failed) => {
                tracing::warn!("remove {what}, which Docker has forgotten: {failed}");
                if matches!(thing, Thing::Network(_)) {
                    left.push(thing.clone());
                }
            }
        }
    }
    let _ = state.pump();
    drop(state);
    daemon.poke();
    left
}

/// Since when things are known, and missed.
struct Tally {
    age: Duration,
    standing: BTreeMap<Thing, Standing>,
}

#[derive(Clone, Copy)]
struct Standing {
    since: Instant,
    missed: Option<Instant>,
    /// It was to go: what stays of it is not tried again and again.
    is_over: bool,
}

impl Tally {
    fn new(age: Duration) -> Self {
        Tally { age, standing: BTreeMap::new() }
    }

    /// How far apart two answers are, at the least.
    fn apart(&self) -> Duration {
        self.age / 6
    }

    /// How long nothing is asked if there is no doubt.
    fn interval(&self) -> Duration {
        self.age * 10
    }

    /// These are there now, and no others.
    fn meet(&mut self, things: &[Thing], now: Instant) {
        let there: BTreeSet<&Thing> = things.iter().collect();
        self.standing.retain(|thing, _| there.contains(thing));
        for thing in things {
            let met = Standing { since: now, missed: None, is_over: false };
            self.standing.entry(thing.clone()).or_insert(met);
        }
    }

    /// What an answer says of a thing, which was asked for then. Whether it is forgotten.
    fn hear(&mut self, thing: &Thing, is_listed: bool, asked: Instant) -> bool {
        let (age, apart) = (self.age, self.apart());
        let Some(standing) = self.standing.get_mut(thing) else { return false };
        if is_listed {
            standing.missed = None;
            return false;
        }
        if standing.is_over || asked.since(standing.since) < age {
            return false;
        }
        let first = *standing.missed.get_or_insert(asked);
        standing.is_over = asked.since(first) >= apart && first != asked;
        standing.is_over
    }

    /// What was to go, and could not yet, is as young as it was when it was met.
    fn again(&mut self, thing: &Thing, now: Instant) {
        self.standing.insert(thing.clone(), Standing { since: now, missed: None, is_over: false });
    }

    /// When to ask again.
    fn wait(&self, now: Instant) -> Duration {
        let mut open = self.standing.values().filter(|standing| !standing.is_over);
        if open.clone().any(|standing| standing.missed.is_some()) {
            self.apart()
        } else if open.any(|standing| now.since(standing.since) < self.age) {
            self.age
        } else {
            self.interval()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_old_and_missed_twice_apart_is_forgotten_and_once() {
        let at = Instant::from_secs;
        let thing = Thing::Network(Id::try_from("1".repeat(64)).expect("an id"));
        let mut tally = Tally::new(AGE);
        tally.meet(std::slice::from_ref(&thing), at(0));
        assert_eq!(tally.wait(at(0)), AGE);
        let heard = [(0, false), (29, false), (30, false), (34, false), (35, true), (36, false), (90, false)];
        let mut fresh = Tally { age: AGE, standing: tally.standing.clone() };
        for (seconds, is_forgotten) in heard {
            assert_eq!(tally.hear(&thing, false, at(seconds)), is_forgotten, "{seconds}");
        }
        assert_eq!(tally.wait(at(90)), AGE * 10);
        // Listed in between: it begins anew.
        assert!(!fresh.hear(&thing, false, at(30)) && !fresh.hear(&thing, true, at(35)));
        assert!(!fresh.hear(&thing, false, at(40)) && fresh.hear(&thing, false, at(45)));
        // What could not go is missed once more, later.
        fresh.again(&thing, at(45));
        assert!(
            !fresh.hear(&thing, false, at(74))
                && !fresh.hear(&thing, false, at(75))
                && fresh.hear(&thing, false, at(80))
        );
        // Another of the same name is as young as it is.
        fresh.meet(&[], at(90));
        fresh.meet(std::slice::from_ref(&thing), at(100));
        assert!(!fresh.hear(&thing, false, at(120)) && !fresh.hear(&thing, false, at(126)));
    }
}
