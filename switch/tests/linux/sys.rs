//! What these tests need of the kernel and no safe crate has: what a careless owner of a TAP may do to it, and an option of
//! packet sockets.
#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use linux_raw_sys::if_packet::{PACKET_DROP_MEMBERSHIP, PACKET_MR_PROMISC, packet_mreq};
use nix::sys::socket::setsockopt;
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
