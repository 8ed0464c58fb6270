//! [`Namer`]: a thread that asks the engine what its networks and containers are called, which the protocol does not say.
//!
//! Never within a call: dockerd holds locks then that its answer would have to wait for. So it is asked a moment later, and again as long
//! as something has no name yet, ever more seldom; an engine that does not answer leaves us with the beginnings of ids. It tells by itself
//! when a container is called something else.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
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
/// How long after its end an engine is asked to tell of new names again.
const LISTEN_AGAIN: Duration = Duration::from_secs(5);

/// Ends by itself when this is dropped.
#[derive(Debug)]
pub(super) struct Namer {
    news: Sender<()>,
    doubts: Sender<()>,
}

impl Namer {
    /// Starts the thread; what an earlier daemon left without a name is asked for at once.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub(super) fn start(daemon: &Arc<Daemon>, api: PathBuf) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let (news, heard) = channel(1);
        let (doubts, doubted) = channel(1);
        // It must not keep the daemon: nobody waits for an answer of the engine's then.
        let daemon = Arc::downgrade(daemon);
        let listens = listen(api.clone(), news.downgrade());
        let watches = forgotten::watch(daemon.clone(), api.clone(), doubted);
        let work = move || {
            runtime.block_on(async {
                let others = [tokio::spawn(listens), tokio::spawn(watches)];
                run(&daemon, heard, &api).await;
                others.iter().for_each(JoinHandle::abort);
            });
        };
        std::thread::Builder::new().name("pontoon-names".to_owned()).spawn(work)?;
        let namer = Namer { news, doubts };
        namer.nudge();
        Ok(namer)
    }

    /// There may be something new to be named.
    pub(super) fn nudge(&self) {
        // One that waits to be heard says as much as two.
        let _ = self.news.try_send(());
    }

    /// Docker may have removed something that was not heard.
    pub(super) fn doubt(&self) {
        let _ = self.doubts.try_send(());
    }
}

async fn run(daemon: &Weak<Daemon>, mut heard: Receiver<()>, api: &Path) {
    while heard.recv().await.is_some() {
        let mut waits = AFTER.iter();
        while let Some(wait) = waits.next() {
            match timeout(*wait, heard.recv()).await {
                // Something came since: what it is called may not be known for a moment.
                Ok(Some(())) => waits = AFTER.iter(),
                Ok(None) => return,
                Err(_) => {}
            }
            let Some(unnamed) = daemon.upgrade().map(|daemon| unnamed_networks(&daemon)) else { return };
            let names = ask(&unnamed, api).await;
            let Some(daemon) = daemon.upgrade() else { return };
            match names {
                Ok(names) => {
                    if names.give(&daemon) {
                        break;
                    }
                }
                Err(why) => tracing::debug!("ask Docker for names: {why}"),
            }
        }
    }
}

/// Hears of containers that are called something else from now on, whichever engine it is that listens there.
async fn listen(api: PathBuf, news: WeakSender<()>) {
    loop {
        if let Ok((mut told, conversation)) = asked(&api, RENAMES).await {
            // What it says is not looked at: that it says something is enough.
            while let Some(Ok(_)) = told.frame().await {
                let Some(news) = news.upgrade() else { return };
                let _ = news.try_send(());
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
        guests.iter().all(|guest| guest.named.is_some()) && unnamed_networks(daemon).is_empty()
    }
}
