//! What these tests need of the kernel and no safe crate has: what a careless owner of a TAP may do to it, an option of
//! packet sockets, and the switches of an interface's offload.
#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use linux_raw_sys::if_packet::{PACKET_DROP_MEMBERSHIP, PACKET_MR_PROMISC, packet_mreq};
use nix::sys::socket::setsockopt;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use nix::{libc, setsockopt_impl, sockopt_impl};

nix::ioctl_write_int_bad!(tun_set_offload, libc::TUNSETOFFLOAD);

/// Lets the kernel give unfinished checksums and UDP super-frames by this TAP.
pub(crate) fn switch_offload_on(tap: BorrowedFd<'_>) {
    let mask = libc::TUN_F_CSUM | libc::TUN_F_USO4 | libc::TUN_F_USO6;
    // SAFETY: the argument is a number, no pointer.
    unsafe { tun_set_offload(tap.as_raw_fd(), mask as libc::c_int) }.expect("this kernel has USO");
}

/// Ends what `PacketPort::open` begins: whoever has the socket is given only what is for the interface.
pub(crate) fn end_promiscuity(socket: &OwnedFd, index: u32) {
    let membership =
        packet_mreq { mr_ifindex: index as i32, mr_type: PACKET_MR_PROMISC as u16, mr_alen: 0, mr_address: [0; 8] };
    setsockopt(socket, DropMembership, &membership).unwrap();
}

const DROP_MEMBERSHIP: libc::c_int = PACKET_DROP_MEMBERSHIP as libc::c_int;

// SAFETY: the macro hands the kernel a pointer to a `packet_mreq` and its size, which is what packet(7) has for the option.
sockopt_impl!(DropMembership, SetOnly, libc::SOL_PACKET, DROP_MEMBERSHIP, packet_mreq);

/// The kernel's `struct ifreq` with a pointer in its union.
#[repr(C)]
struct IfReq {
    name: [u8; libc::IFNAMSIZ],
    value: *mut EthtoolValue,
    rest: [u64; 2],
}

const _: () = assert!(size_of::<IfReq>() == size_of::<libc::ifreq>());

/// The kernel's `struct ethtool_value`.
#[repr(C)]
struct EthtoolValue {
    command: u32,
    value: u32,
}

nix::ioctl_readwrite_bad!(ethtool, 0x8946, IfReq);

/// What `ethtool -K NAME tx off` does: the interface can finish no checksum, and so can cut no super-frame either.
pub(crate) fn switch_transmit_checksum_off(name: &str) {
    const ETHTOOL_STXCSUM: u32 = 0x17;
    let any = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).unwrap();
    let mut value = EthtoolValue { command: ETHTOOL_STXCSUM, value: 0 };
    let mut request = IfReq { name: [0; libc::IFNAMSIZ], value: &raw mut value, rest: [0; 2] };
    request.name[..name.len()].copy_from_slice(name.as_bytes());
    // SAFETY: the kernel reads one `struct ifreq` from the pointer, which `IfReq` has the size and layout of, and by the
    // pointer in that one `struct ethtool_value`, which is alive.
    unsafe { ethtool(any.as_raw_fd(), &raw mut request) }.expect("veth can be told so");
}
