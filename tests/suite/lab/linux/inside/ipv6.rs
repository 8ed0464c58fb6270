//! IPv6 in the namespace that the thread is in.

use std::collections::BTreeMap;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU16, Ordering};

use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn6, recvfrom, sendto, setsockopt, socket,
};
use nix::sys::time::{TimeVal, TimeValLike};
use sim::AddressState;

use super::ECHO_PATIENCE;

/// The flags of an address that is not to be used (linux/if_addr.h).
const IFA_F_DADFAILED: u32 = 0x08;
const IFA_F_TENTATIVE: u32 = 0x40;

pub fn enable(interface: &str) {
    let switch = format!("/proc/sys/net/ipv6/conf/{interface}/disable_ipv6");
    std::fs::write(&switch, "0").unwrap_or_else(|why| panic!("{switch}: {why}"));
}

/// From /proc/net/if_inet6: address, index, prefix, scope, flags, name; numbers are hexadecimal.
pub fn addresses(interface: &str) -> BTreeMap<Ipv6Addr, AddressState> {
    let table = std::fs::read_to_string("/proc/thread-self/net/if_inet6").expect("read the addresses");
    let address = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [ip, _, _, _, flags, name] = fields.as_slice() else { panic!("{line}") };
        let ip = u128::from_str_radix(ip, 16).expect("a number");
        let flags = u32::from_str_radix(flags, 16).expect("a number");
        let state = match (flags & IFA_F_DADFAILED != 0, flags & IFA_F_TENTATIVE != 0) {
            (true, _) => AddressState::Duplicate,
            (false, true) => AddressState::Tentative,
            (false, false) => AddressState::Preferred,
        };
        (*name == interface).then_some((ip.into(), state))
    };
    table.lines().filter_map(address).collect()
}

/// One echo request, and whether its answer came back whole. The kernel makes the checksums.
pub fn exchange_echo(to: Ipv6Addr, payload: &[u8]) -> bool {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    const REQUEST: u8 = 128;
    const REPLY: u8 = 129;
    let socket = socket(AddressFamily::Inet6, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::IcmpV6)
        .expect("make a raw socket");
    setsockopt(&socket, ReceiveTimeout, &TimeVal::seconds(ECHO_PATIENCE.as_secs().cast_signed()))
        .expect("set a deadline");
    let [id, sequence] = [std::process::id() as u16, NEXT.fetch_add(1, Ordering::Relaxed)].map(u16::to_be_bytes);
    let message = |kind: u8| [&[kind, 0, 0, 0], &id[..], &sequence, payload].concat();
    let to = SockaddrIn6::from(SocketAddrV6::new(to, 0, 0, 0));
    if sendto(socket.as_raw_fd(), &message(REQUEST), &to, MsgFlags::empty()).is_err() {
        return false;
    }
    let expected = message(REPLY);
    let mut heard = vec![0; 1 << 16];
    loop {
        let Ok((length, _)) = recvfrom::<SockaddrIn6>(socket.as_raw_fd(), &mut heard) else { return false };
        // All but the checksum.
        if heard.get(..2) == expected.get(..2) && heard.get(4..length) == expected.get(4..) {
            return true;
        }
    }
}
