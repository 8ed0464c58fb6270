//! A veth pair as an endpoint: what there is to do on the host's side for a container that wants one instead of a TAP.
//!
//! * The container's end is made in its namespace under its final name; the shim configures it like any other interface.
//! * The host's end is the switch's alone. The host itself is to hear and say nothing there: it gets no address, IPv6 is off,
//!   and ARP too, or the host would answer for its gateway address twice. What else a container can send there (a broadcast,
//!   a packet to the host end's own MAC) the host's stack still takes, unless a rule of the firewall drops it at the
//!   interface's ingress; the switch sees each frame before that.
//! * Its name follows from the container's id, so that a later daemon finds it. It vanishes with the container's end.
//! * The container's end is told by its shim to leave nothing unfinished that an offload header can not say: see
//!   [`super::ethtool`].

#[cfg(test)]
mod tests;

use super::failure::{Failure, Step};
use super::netlink::{Netlink, VethPair};
use super::setup::disable_ipv6;
use super::survey::index_of;
use crate::name::Id;

/// The name of the host's end for the container's interface of this number: `veth` and seven hexadecimal digits, those which
/// the container's id begins with for `eth0`, and one more for each interface after it.
pub(super) fn host_end(id: &Id, number: u32) -> String {
    let first = id.as_str().bytes().take(7).filter_map(|digit| char::from(digit).to_digit(16));
    let first = first.fold(0_u32, |sum, digit| sum << 4 | digit);
    format!("veth{:07x}", first.wrapping_add(number) & 0x0fff_ffff)
}

/// Makes a veth pair: `host_end` in the network namespace of this thread, up; `inside` in that of the process `shim_pid`,
/// down and not configured but for its MTU. Whatever fails, nothing stays.
///
/// The caller makes sure that the pid is still the shim's.
pub(super) fn make_veth(host_end: &str, inside: &str, shim_pid: u32, mtu: u32) -> Result<(), Failure> {
    let pair = VethPair { name: host_end, peer_name: inside, peer_pid: shim_pid, mtu };
    let made = Netlink::open().and_then(|mut netlink| netlink.create_veth(&pair));
    made.map_err(Step::CreateVeth.on(format!("{host_end} to {inside}")))?;
    let quiet = disable_ipv6(host_end).and_then(|()| {
        let index = index_of(host_end).ok_or_else(|| Step::Configure.failed(host_end, "it is gone"))?;
        let up = Netlink::open().and_then(|mut netlink| netlink.set_up(index));
        up.map_err(Step::Configure.on(host_end))
    });
    if quiet.is_err() {
        // What went wrong first is what there is to tell; its undoing fails only where the pair is gone already.
        let _ = remove_veth(host_end);
    }
    quiet
}

/// Deletes a veth pair by its host's end; does nothing if it is not there.
pub(super) fn remove_veth(host_end: &str) -> Result<(), Failure> {
    let Some(index) = index_of(host_end) else { return Ok(()) };
    match Netlink::open().and_then(|mut netlink| netlink.delete_link(index)) {
        // It went with its other end meanwhile.
        Err(_) if index_of(host_end).is_none() => Ok(()),
        result => result.map_err(Step::Delete.on(host_end)),
    }
}
