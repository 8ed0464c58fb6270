//! The sockets of published ports, bound, and the ways in which that fails.

use std::io;
use std::net::SocketAddrV4;
use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt::Ipv4PacketInfo};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use crate::linux::failure::{Failure, Step};
use crate::publish::{PortMapping, Protocol};

/// How many connections may wait to be accepted; the kernel has a bound of its own (`net.core.somaxconn`).
const BACKLOG: i32 = 4096;
/// A client that is silent for so long is asked whether it is there, so often and so many times, before it is given up:
/// each takes one of a bounded number of places.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
const KEEPALIVE_COUNT: u32 = 4;

/// Flags of every socket here.
pub(super) const FLAGS: SocketFlags = SocketFlags::CLOEXEC.union(SocketFlags::NONBLOCK);

/// Binds the host's side of a mapping, in the network namespace of this thread.
pub(super) fn listen(mapping: &PortMapping) -> Result<OwnedFd, Failure> {
    let bound = match mapping.protocol {
        Protocol::Tcp => listen_tcp(mapping),
        Protocol::Udp => bind_udp(mapping),
    };
    bound.map_err(|why| step(why).on::<io::Error>(mapping.host_side())(why.into()))
}

fn listen_tcp(mapping: &PortMapping) -> Result<OwnedFd, Errno> {
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, FLAGS, None)?;
    // Connections of an earlier container that linger in TIME-WAIT are no hindrance.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    // Accepted connections have all the following from their listener.
    abort_unless_finished(&socket)?;
    pass_at_once(&socket)?;
    sockopt::set_socket_keepalive(&socket, true)?;
    sockopt::set_tcp_keepidle(&socket, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(&socket, KEEPALIVE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(&socket, KEEPALIVE_COUNT)?;
    rustix::net::bind(&socket, &SocketAddrV4::new(mapping.ip, mapping.host))?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket)
}

fn bind_udp(mapping: &PortMapping) -> Result<OwnedFd, Errno> {
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, FLAGS, None)?;
    // With each datagram comes the address that it was sent to, from which the answer is to come.
    setsockopt(&socket, Ipv4PacketInfo, &true).map_err(|why| Errno::from_raw_os_error(why as i32))?;
    rustix::net::bind(&socket, &SocketAddrV4::new(mapping.ip, mapping.host))?;
    Ok(socket)
}

/// A connection that goes without having been passed on to its end is reset: nobody is to take half a transfer for a whole,
/// not even when this process is killed. [`finished`] takes it back.
pub(super) fn abort_unless_finished(socket: &OwnedFd) -> Result<(), Errno> {
    sockopt::set_socket_linger(socket, Some(Duration::ZERO))
}

/// All was sent, the end as well: what the kernel still has of it is to arrive whatever becomes of us.
pub(super) fn finished(socket: &OwnedFd) -> Result<(), Errno> {
    sockopt::set_socket_linger(socket, None)
}

/// Small pieces are not to be collected a second time: the sender's kernel has had its chance.
pub(super) fn pass_at_once(socket: &OwnedFd) -> Result<(), Errno> {
    sockopt::set_tcp_nodelay(socket, true)
}

fn step(why: Errno) -> Step {
    match why {
        Errno::ADDRINUSE => Step::PublishTaken,
        Errno::ACCESS => Step::PublishDenied,
        Errno::ADDRNOTAVAIL => Step::PublishNowhere,
        _ => Step::Publish,
    }
}
