//! Docker's network driver: the plugin's socket, and what dockerd is answered there.
//!
//! * A call is carried out by [`calls`], one step of the manager's at a time, as a client's request is; a slow one holds nobody up who
//!   does not need the manager.
//! * While the daemon ends no call is answered: dockerd sees the conversation end, and asks the next daemon again.
//! * Nothing of Docker's is kept here: endpoints are guests, in the manager's records. What the protocol does not say, the names, [`names`]
//!   asks for behind dockerd's back, as [`forgotten`] does for what it may have removed unheard.
//! * An error has status 200 and the protocol's form; what is no call of the protocol at all has a status of HTTP and the same form.

mod api;
mod calls;
mod cause;
mod forgotten;
mod names;
mod socket;

use std::os::unix::net::UnixListener;
use std::sync::Arc;

use docker::{Method as Called, Refused, call};
use hyper::{Method, StatusCode};
use serde::Serialize;

pub(super) use self::names::Namer;
use self::socket::Place;
use super::Daemon;
use super::http::{self, Answer, Door, Served, Site};
use super::options::Docker;
use crate::failure::{Failure, io};

/// How many conversations there may be at once: dockerd has one for each call that is under way.
const TOGETHER: usize = 256;
/// What Docker's plugins speak.
const CONTENT_TYPE: &str = "application/vnd.docker.plugins.v1.2+json";

/// The plugin's socket, which nobody serves yet: whoever connects waits.
#[derive(Debug)]
pub(super) struct Face {
    listener: UnixListener,
    place: Place,
    options: Docker,
}

/// The plugin, until this is dropped. The fields are in the order in which they go.
#[derive(Debug)]
pub(super) struct Plugin {
    _place: Place,
    _served: Served,
}

/// Whether Docker could be served so, as far as can be seen without making anything.
///
/// # Errors
/// Why it could not.
pub(super) fn check(options: &Docker) -> Result<(), Failure> {
    socket::check(&options.socket)
}

impl Face {
    /// Takes the socket.
    ///
    /// # Errors
    /// If it can not be had, or another process serves it.
    pub(super) fn bind(options: &Docker) -> Result<Self, Failure> {
        let (listener, place) = socket::bind(&options.socket)?;
        Ok(Face { listener, place, options: options.clone() })
    }

    /// Serves it.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub(super) fn serve(self, daemon: &Arc<Daemon>) -> Result<Plugin, Failure> {
        let namer = Namer::start(daemon, self.options.api).map_err(io("start to ask Docker for names"))?;
        tracing::info!("serving Docker at {}", self.options.socket.display());
        let namer = Arc::new(namer);
        // Ends with the plugin, whoever still asks.
        let _ = daemon.namer.set(Arc::downgrade(&namer));
        let site = site(daemon, &namer);
        let served = Served::new(Door::Unix(self.listener), site, TOGETHER).map_err(io("serve Docker"))?;
        Ok(Plugin { _place: self.place, _served: served })
    }
}

fn site(daemon: &Arc<Daemon>, namer: &Arc<Namer>) -> Site {
    Called::ALL.into_iter().fold(Site::default().refusing(refuse), |site, called| {
        let (daemon, namer) = (Arc::clone(daemon), Arc::clone(namer));
        site.with_slow(Method::POST, called.path(), move |_, body| answer(&daemon, &namer, called, &body))
    })
}

fn answer(daemon: &Daemon, namer: &Namer, called: Called, body: &[u8]) -> Option<Answer> {
    let carried_out = match call::read(called, body) {
        Ok(call) => calls::carry_out(daemon, namer, called, call)?,
        Err(refused) => {
            // dockerd does not say it again.
            namer.doubt();
            Err(refused)
        }
    };
    Some(match carried_out {
        Ok(done) => json(StatusCode::OK, &done),
        Err(refused) => {
            tracing::warn!("Docker: {refused}");
            json(StatusCode::OK, &refused)
        }
    })
}

fn refuse(status: StatusCode, words: String) -> Answer {
    json(status, &Refused::new("serve the network driver", "", words.trim_end()))
}

fn json(status: StatusCode, of: &impl Serialize) -> Answer {
    http::of_type(status, CONTENT_TYPE, serde_json::to_string(of).expect("it is plain data"))
}
