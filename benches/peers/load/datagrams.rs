//! Datagrams of 64 bytes at a given rate, counted at both ends.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};

use super::Pair;
use crate::search::Trial;
use crate::systems::enter;

/// How long one trial sends.
const LENGTH: Duration = Duration::from_millis(200);
/// How long the receiver waits for stragglers.
const STRAGGLERS: Duration = Duration::from_millis(30);
/// The sender sleeps so long between two bursts: it leaves the cores to the others, and the burst is small.
const PAUSE: Duration = Duration::from_micros(50);
/// A sender that is late makes up for no more than this at once.
const BURST: u64 = 256;
const SIZE: usize = 64;
/// The receiver's buffer, in bytes as the kernel counts them: it is the switch that is to lose, if anybody.
const BUFFER: usize = 8 << 20;

/// Sends for a moment from the first end to the second, at so many thousands a second.
pub fn trial((from, to): Pair, kpps: f64) -> Result<Trial, String> {
    let is_over = Arc::new(AtomicBool::new(false));
    let (ready, bound) = std::sync::mpsc::channel();
    let sending_is_over = Arc::clone(&is_over);
    let receiver = enter(to.pid, move || {
        let socket = listen().map_err(|why| format!("listen for datagrams: {why}"))?;
        let address = socket.local_addr().map_err(|why| format!("listen for datagrams: {why}"))?;
        let _ = ready.send(address.port());
        receive(&socket, &sending_is_over)
    });
    // Without a port the receiver has failed, and says so below.
    let sent = bound.recv().map_err(|_| "the receiver ends early".to_owned()).and_then(|port| {
        let address = SocketAddr::from((to.address, port));
        let sender = enter(from.pid, move || send(address, kpps));
        sender.join().map_err(|_| "the sender panicked".to_owned())?
    });
    is_over.store(true, Ordering::Relaxed);
    let received = receiver.join().map_err(|_| "the receiver panicked")??;
    let (sent, length) = sent?;
    let per_ms = |count: u64| count as f64 / length.as_secs_f64() / 1e3;
    Ok(Trial { sent: per_ms(sent), received: per_ms(received) })
}

fn listen() -> std::io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    setsockopt(&socket, sockopt::RcvBufForce, &BUFFER)?;
    socket.set_read_timeout(Some(STRAGGLERS))?;
    Ok(socket)
}

/// Counts until the sender is done and nothing has come for a moment.
fn receive(socket: &UdpSocket, is_over: &AtomicBool) -> Result<u64, String> {
    let mut count = 0;
    let mut datagram = [0; 2 * SIZE];
    loop {
        match socket.recv(&mut datagram) {
            Ok(_) => count += 1,
            Err(why) if matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                if is_over.load(Ordering::Relaxed) {
                    return Ok(count);
                }
            }
            Err(why) => return Err(format!("receive datagrams: {why}")),
        }
    }
}

/// How many it sent, and how long that took.
fn send(address: SocketAddr, kpps: f64) -> Result<(u64, Duration), String> {
    let failed = |why: std::io::Error| format!("send datagrams to {address}: {why}");
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).map_err(failed)?;
    socket.connect(address).map_err(failed)?;
    let started = Instant::now();
    let mut sent = 0;
    loop {
        let elapsed = started.elapsed();
        if elapsed >= LENGTH {
            return Ok((sent, elapsed));
        }
        let due = (elapsed.as_secs_f64() * kpps * 1e3) as u64;
        for _ in 0..due.saturating_sub(sent).min(BURST) {
            match socket.send(&[0; SIZE]) {
                Ok(_) => {}
                // The device's queue is full: lost, and the sender has been told.
                Err(why) if why.raw_os_error() == Some(nix::libc::ENOBUFS) => {}
                Err(why) => return Err(failed(why)),
            }
            sent += 1;
        }
        if due <= sent {
            std::thread::sleep(PAUSE);
        }
    }
}
