//! [`Namer`]: a thread that asks the engine what its networks and containers are called, which the protocol does not say.
//!
//! Never within a call: dockerd holds locks then that its answer would have to wait for. So it is asked a moment later, and again as long
//! as something has no name yet, ever more seldom; an engine that does not answer leaves us with the beginnings of ids. It tells by itself
//! when a container is called something else.
//!
//! Whoever names something that may have just come by its name, a user's command, waits a moment until the engine has been asked.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use docker::engine::{CONTAINERS, RENAMES, container_names, network_name, network_path};
use http_body_util::BodyExt;
use netns::name::{Id, Name};
use netns::network::Owner;
use tokio::sync::mpsc::{Receiver, Sender, WeakSender, channel};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::api::{asked, get};
use super::forgotten;
use crate::daemon::Daemon;

/// When it is asked, after there is something new to be named.
const AFTER: [Duration; 8] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(16),
    Duration::from_secs(32),
];
/// How much of what the thread is told waits to be heard: more says no more.
const HEARD: usize = 8;
/// How long somebody waits for names.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long after its end an engine is asked to tell of new names again.
const LISTEN_AGAIN: Duration = Duration::from_secs(5);

/// Ends by itself when this is dropped.
#[derive(Debug)]
pub(in crate::daemon) struct Namer {
    news: Sender<News>,
    doubts: Sender<()>,
    round: Arc<Round>,
}

/// What the thread hears.
#[derive(Debug)]
enum News {
    /// There may be something to be named, in a moment.
    Made,
    /// Somebody waits.
    Wanted,
}

/// What the thread has to do.
#[derive(Debug, Default)]
struct Round {
    progress: Mutex<Progress>,
    has_asked: Condvar,
}

#[derive(Debug, Default)]
struct Progress {
    /// How often the engine was to be asked, and up to which of those it has been.
    wanted: u64,
    asked: u64,
    /// It did answer, and not for everybody.
    is_in_debt: bool,
}

impl Round {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_asked(&self, asked: u64, is_in_debt: bool) {
        let mut progress = self.progress();
        (progress.asked, progress.is_in_debt) = (asked, is_in_debt);
        drop(progress);
        self.has_asked.notify_all();
    }
}

impl Namer {
    /// Starts the thread; what an earlier daemon left without a name is asked for at once.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub(super) fn start(daemon: &Arc<Daemon>, api: PathBuf) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let (news, heard) = channel(HEARD);
        let round = Arc::new(Round::default());
        let (doubts, doubted) = channel(1);
        // It must not keep the daemon: nobody waits for an answer of the engine's then.
        let daemon = Arc::downgrade(daemon);
        let listens = listen(api.clone(), news.downgrade());
        let watches = forgotten::watch(daemon.clone(), api.clone(), doubted);
        let rounds = Arc::clone(&round);
        let work = move || {
            runtime.block_on(async {
                let others = [tokio::spawn(listens), tokio::spawn(watches)];
                run(&daemon, heard, &api, &rounds).await;
                // Nobody waits for what never comes.
                rounds.is_asked(u64::MAX, false);
                others.iter().for_each(JoinHandle::abort);
            });
        };
        std::thread::Builder::new().name("pontoon-names".to_owned()).spawn(work)?;
        let namer = Namer { news, doubts, round };
        namer.nudge();
        Ok(namer)
    }

    /// There may be something new to be named.
    pub(super) fn nudge(&self) {
        self.round.progress().wanted += 1;
        // Those that wait to be heard say as much.
        let _ = self.news.try_send(News::Made);
    }

    /// Waits until the engine has been asked for what has no name yet; for a second at the most, and not for one that does not answer.
    /// Nobody may wait who has the daemon's state: the names are written there.
    pub(in crate::daemon) fn catch_up(&self) {
        let mut progress = self.round.progress();
        if progress.asked >= progress.wanted && !progress.is_in_debt {
            return;
        }
        progress.wanted += 1;
        let own = progress.wanted;
        let _ = self.news.try_send(News::Wanted);
        let waited = self.round.has_asked.wait_timeout_while(progress, PATIENCE, |progress| progress.asked < own);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Docker may have removed something that was not heard.
    pub(super) fn doubt(&self) {
        let _ = self.doubts.try_send(());
    }
}

async fn run(daemon: &Weak<Daemon>, mut heard: Receiver<News>, api: &Path, round: &Round) {
    while let Some(news) = heard.recv().await {
        let mut waits = AFTER.iter();
        let mut is_urgent = matches!(news, News::Wanted);
        loop {
            if !std::mem::take(&mut is_urgent) {
                let Some(wait) = waits.next() else { break };
                match timeout(*wait, heard.recv()).await {
                    // Something came since: what it is called may not be known for a moment.
                    Ok(Some(_)) => waits = AFTER.iter(),
                    Ok(None) => return,
                    Err(_) => {}
                }
            }
            while heard.try_recv().is_ok() {}
            let wanted = round.progress().wanted;
            let Some(unnamed) = daemon.upgrade().map(|daemon| unnamed_networks(&daemon)) else { return };
            let names = ask(&unnamed, api).await;
            let Some(daemon) = daemon.upgrade() else { return };
            match names {
                Ok(names) => {
                    let is_done = names.give(&daemon);
                    round.is_asked(wanted, !is_done);
                    if is_done {
                        break;
                    }
                }
                Err(why) => {
                    tracing::debug!("ask Docker for names: {why}");
                    round.is_asked(wanted, false);
                }
            }
        }
    }
}

/// Hears of containers that are called something else from now on, whichever engine it is that listens there.
async fn listen(api: PathBuf, news: WeakSender<News>) {
    loop {
        if let Ok((mut told, conversation)) = asked(&api, RENAMES).await {
            // What it says is not looked at: that it says something is enough.
            while let Some(Ok(_)) = told.frame().await {
                let Some(news) = news.upgrade() else { return };
                let _ = news.try_send(News::Made);
            }
            conversation.abort();
        }
        sleep(LISTEN_AGAIN).await;
    }
}

/// What the engine says.
struct Names {
    networks: BTreeMap<Id, Name>,
    /// By the ids of their endpoints.
    containers: BTreeMap<String, Name>,
}

fn unnamed_networks(daemon: &Daemon) -> Vec<Id> {
    let state = daemon.state();
    let networks = state.manager.bridge_networks().into_iter().filter(|network| network.owner == Owner::Docker);
    networks.filter(|network| network.name.as_str() == network.id.short()).map(|network| network.id.clone()).collect()
}

async fn ask(networks: &[Id], api: &Path) -> io::Result<Names> {
    let containers = container_names(&get(api, CONTAINERS).await?);
    let mut named = BTreeMap::new();
    for id in networks {
        // One that it does not know, or not yet, has no name.
        match get(api, &network_path(id)).await {
            Ok(body) => named.extend(network_name(id, &body).map(|name| (id.clone(), name))),
            Err(why) => tracing::debug!("ask Docker for network {}: {why}", id.short()),
        }
    }
    Ok(Names { networks: named, containers })
}

impl Names {
    /// Gives the names to whom they belong. Whether everybody has one now.
    fn give(&self, daemon: &Daemon) -> bool {
        let mut state = daemon.state();
        if state.ending {
            return true;
        }
        let now = daemon.now();
        for (id, name) in &self.networks {
            if let Err(failed) = state.manager.name_network(id, name, now) {
                tracing::debug!("call network {} {name}: {failed}", id.short());
            }
        }
        for guest in state.manager.guests(Owner::Docker) {
            let Some(name) = self.containers.get(&guest.key) else { continue };
            if let Err(failed) = state.manager.name_guest(Owner::Docker, &guest.key, name.as_str(), now) {
                tracing::debug!("call container {} {name}: {failed}", guest.name);
            }
        }
        let _ = state.pump();
        let guests = state.manager.guests(Owner::Docker);
        drop(state);
        daemon.poke();
        guests.iter().all(|guest| guest.named.is_some() && guest.is_found()) && unnamed_networks(daemon).is_empty()
    }
}
