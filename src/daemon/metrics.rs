//! `GET /metrics`: what Prometheus is told, over the control socket and, if asked for, over TCP.
//!
//! It is read when somebody asks, between two batches of the data plane, and costs no frame anything. TCP is on loopback
//! only: nobody is asked who he is.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use hyper::header::ACCEPT;
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};

use super::Daemon;
use super::http::{self, Answer, Door, Served, Site};
use crate::failure::{Failure, cause_of, io};
use crate::metrics::{About, Format, render};

/// How many conversations there may be over TCP at once.
const TOGETHER: usize = 64;

/// Serves a client of the control socket that speaks HTTP.
pub(super) fn serve(daemon: &Arc<Daemon>, stream: UnixStream) {
    if let Err(why) = http::serve(stream, site(daemon)) {
        tracing::warn!("serve a client over HTTP: {why}");
    }
}

/// A TCP port that metrics are to be had at.
#[derive(Debug)]
pub(super) struct Listener {
    listener: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Takes the port. Who asks meanwhile waits until it is served.
    ///
    /// # Errors
    /// If it can not be had.
    pub(super) fn bind(address: SocketAddr) -> Result<Self, Failure> {
        let bound = TcpListener::bind(address).and_then(|listener| Ok((listener.local_addr()?, listener)));
        let (address, listener) = bound.map_err(|why| {
            let failure = Failure::new(format_args!("listen at {address} for metrics: {}", cause_of(&why)));
            match why.kind() {
                ErrorKind::AddrInUse => failure.with_hint("choose another port, or port 0 for any that is free"),
                ErrorKind::PermissionDenied => failure.with_hint("choose a port from 1024 on"),
                _ => failure,
            }
        })?;
        Ok(Listener { listener, address })
    }

    /// Where it is, with its port.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves it.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub(super) fn serve(self, daemon: &Arc<Daemon>) -> Result<Served, Failure> {
        Served::new(Door::Tcp(self.listener), site(daemon), TOGETHER).map_err(io("serve metrics"))
    }
}

fn site(daemon: &Arc<Daemon>) -> Site {
    let daemon = Arc::clone(daemon);
    Site::default().with(Method::GET, "/metrics", move |request, _| exposition(&daemon, request))
}

fn exposition(daemon: &Daemon, request: &Parts) -> Answer {
    let accept: Vec<&str> = request.headers.get_all(ACCEPT).iter().filter_map(|accept| accept.to_str().ok()).collect();
    let format = Format::accepted(&accept.join(","));
    match read(daemon, format) {
        Ok(text) => http::of_type(StatusCode::OK, format.content_type(), text),
        Err(failure) => http::text(StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", failure.message)),
    }
}

fn read(daemon: &Daemon, format: Format) -> Result<String, Failure> {
    let mut state = daemon.state();
    state.manager.reap(daemon.now());
    let _ = state.pump();
    let containers = state.manager.containers(true);
    let (monitors, events_lost) = (state.listeners.count() as u64, state.listeners.lost());
    let networks = state.manager.bridge_networks().into_iter();
    let networks = networks.map(|network| (network.bridge.clone(), network.name.to_string())).collect();
    let bridges = super::statistics::all(&state)?;
    drop(state);
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let about = About { version, started: daemon.started_at, networks, monitors, events_lost, ..About::default() };
    Ok(render(&bridges, &about.with_containers(&containers), format))
}
