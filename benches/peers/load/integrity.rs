//! Whether what arrives is what was sent: a hash over a large transfer each way at once, and the receivers' counters of wrong
//! checksums.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use sha2::{Digest, Sha256};

use super::connect;
use super::round_trips::serve;
use crate::report::Integrity;
use crate::systems::{CONTAINERS, End, System, enter};

/// What goes each way.
const BYTES: usize = 64 << 20;
const CHUNK: usize = 64 << 10;

/// Transfers between the first two containers, then reads the counters of all.
pub fn check(system: &dyn System) -> Result<Integrity, String> {
    let (from, to) = (system.container(0), system.container(1));
    let (address, server) = serve(to, |stream| exchange(stream, 1))?;
    let client = enter(from.pid, move || exchange(connect(address)?, 2));
    let here = client.join().map_err(|_| "a client panicked")??;
    let there = server.join().map_err(|_| "a server panicked")??;
    let mut wrong_checksums = 0;
    for end in (0..CONTAINERS).map(|number| system.container(number)).chain(system.outside()) {
        wrong_checksums += wrong(end)?;
    }
    let is_intact = here.sent == there.received && there.sent == here.received;
    Ok(Integrity { bytes: 2 * BYTES as u64, is_intact, wrong_checksums })
}

/// Two hashes.
struct Hashes {
    sent: [u8; 32],
    received: [u8; 32],
}

/// Sends and receives at once.
fn exchange(stream: TcpStream, seed: u64) -> Result<Hashes, String> {
    let failed = |why: std::io::Error| format!("a large transfer: {why}");
    let mut sending = stream.try_clone().map_err(failed)?;
    let sender = std::thread::spawn(move || -> std::io::Result<[u8; 32]> {
        let (mut hash, mut state, mut chunk) = (Sha256::new(), seed, vec![0; CHUNK]);
        for _ in 0..BYTES / CHUNK {
            for word in chunk.chunks_exact_mut(8) {
                word.copy_from_slice(&next(&mut state).to_le_bytes());
            }
            hash.update(&chunk);
            sending.write_all(&chunk)?;
        }
        sending.shutdown(Shutdown::Write)?;
        Ok(hash.finalize().into())
    });
    let (mut hash, mut chunk, mut receiving) = (Sha256::new(), vec![0; CHUNK], stream);
    loop {
        match receiving.read(&mut chunk).map_err(failed)? {
            0 => break,
            length => hash.update(&chunk[..length]),
        }
    }
    let sent = sender.join().map_err(|_| "a sender panicked")?.map_err(failed)?;
    Ok(Hashes { sent, received: hash.finalize().into() })
}

/// Marsaglia's xorshift: no byte of it is like the one before, and it costs nothing.
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// How many packets an end has refused for their checksums since it is there.
fn wrong(end: End) -> Result<u64, String> {
    let path = format!("/proc/{}/net/snmp", end.pid);
    let text = fs::read_to_string(&path).map_err(|why| format!("read {path}: {why}"))?;
    // Pairs of lines: names, then numbers.
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    let pairs = lines.chunks_exact(2).flat_map(|pair| pair[0].iter().zip(&pair[1]));
    let counters = pairs.filter(|(name, _)| **name == "InCsumErrors");
    Ok(counters.filter_map(|(_, number)| number.parse::<u64>().ok()).sum())
}
