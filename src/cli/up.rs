//! The arguments of `up`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use ipnet::Ipv4Net;
use switch::engine::Io;

/// `up`
#[derive(Debug, Args)]
pub struct UpArgs {
    /// Return as soon as the daemon listens
    #[arg(short, long)]
    pub detach: bool,
    /// The host's address on the default network, with the length of its prefix
    #[arg(long, value_name = "ADDRESS/LENGTH", value_parser = parse_bip)]
    pub bip: Option<Ipv4Net>,
    /// Serve metrics for Prometheus over TCP, too: at this address of the loopback interface; port 0 is any that is free
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = parse_metrics)]
    pub metrics: Option<SocketAddr>,
    /// How frames are read and written: by io_uring, by epoll, or by the first of them that this machine allows (auto)
    #[arg(long, value_name = "auto|epoll|uring", value_parser = parse_io)]
    pub io: Option<Io>,
    /// Keep what happened in the last so many seconds (1 to 3600) in memory, for `pontoon capture --last`; at most 64 MiB
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub flight_recorder: Option<u64>,
    /// Be Docker's network driver `pontoon`: serve the engine at this socket, which it looks for in /run/docker/plugins
    #[arg(long, value_name = "PATH", num_args = 0..=1, require_equals = true, default_missing_value = PLUGIN)]
    pub docker: Option<PathBuf>,
    /// The engine's own socket, which is asked what containers and networks are called
    #[arg(long, value_name = "PATH", requires = "docker", default_value = ENGINE)]
    pub docker_api: PathBuf,
}

/// Where dockerd finds a driver called `pontoon`.
const PLUGIN: &str = "/run/docker/plugins/pontoon.sock";
/// Where dockerd listens, if nobody has told it otherwise.
const ENGINE: &str = "/var/run/docker.sock";

fn parse_io(text: &str) -> Result<Io, String> {
    text.parse().map_err(|unknown: switch::engine::UnknownIo| unknown.to_string())
}

/// A gateway's address leaves room for at least one container beside it.
fn parse_bip(text: &str) -> Result<Ipv4Net, String> {
    let bip: Ipv4Net = text.parse().map_err(|_| "an address and a prefix length are expected, as 172.30.0.1/16")?;
    if bip.prefix_len() == 0 || bip.prefix_len() > 30 {
        return Err("a prefix length of 1 to 30 is expected".into());
    }
    if bip.addr() == bip.network() || bip.addr() == bip.broadcast() {
        return Err("this is no host's address in its subnet".into());
    }
    Ok(bip)
}

/// Whoever asks for metrics is not asked who he is, so only this machine may.
fn parse_metrics(text: &str) -> Result<SocketAddr, &'static str> {
    let address: SocketAddr =
        text.parse().map_err(|_| "an address and a port are expected, as 127.0.0.1:9123 or [::1]:9123")?;
    if address.ip().to_canonical().is_loopback() {
        Ok(address)
    } else {
        Err("metrics are for anybody who asks, so they are served on a loopback address only: 127.0.0.1 or [::1]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_is_a_hosts_address_in_its_subnet() {
        assert!(parse_bip("172.30.0.1/30").is_ok());
        for wrong in ["172.30.0.0/30", "172.30.0.3/30", "172.30.0.1/31", "172.30.0.1", "x", "172.30.0.1/0"] {
            assert!(parse_bip(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn metrics_are_served_on_loopback_only() {
        for right in ["127.0.0.1:9123", "127.1.2.3:0", "[::1]:9123", "[::ffff:127.0.0.1]:9123"] {
            assert!(parse_metrics(right).is_ok(), "{right}");
        }
        for elsewhere in ["0.0.0.0:9123", "[::]:9123", "10.0.0.1:9123", "[fe80::1]:9123"] {
            assert!(parse_metrics(elsewhere).is_err_and(|why| why.contains("loopback")), "{elsewhere}");
        }
        for wrong in ["127.0.0.1", "9123", "localhost:9123", "127.0.0.1:99999", "::1:9123", ""] {
            assert!(parse_metrics(wrong).is_err_and(|why| why.contains("are expected")), "{wrong}");
        }
    }
}
