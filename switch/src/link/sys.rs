//! The ioctls of tun devices and the calls of packet sockets that no safe crate has, the one fd that a crate gives away
//! raw, how the calling thread is scheduled, the memory that counters share with a file, in [`memory`] the hints for memory that
//! is large, and, in [`ring`], that which a packet
//! socket shares with the kernel.
//!
//! The only module of the crate with unsafe code, with those below it and io_uring's memory (`engine::uring::ring`). Each function here is safe for any fd: on one of another kind the kernel
//! answers ENOTTY, EBADFD, ENOTSOCK or ENOPROTOOPT.
#![allow(unsafe_code)]

pub(crate) mod memory;
pub(super) mod ring;

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;

nix::ioctl_write_ptr_bad!(tun_set_iff, libc::TUNSETIFF, IfReq);
nix::ioctl_read_bad!(tun_get_iff, libc::TUNGETIFF, IfReq);
nix::ioctl_read_bad!(tun_get_features, libc::TUNGETFEATURES, libc::c_uint);
nix::ioctl_write_ptr_bad!(tun_set_vnet_hdr_sz, libc::TUNSETVNETHDRSZ, libc::c_int);
nix::ioctl_write_int_bad!(tun_set_offload, libc::TUNSETOFFLOAD);
// From linux/if_tun.h; libc does not have it.
nix::ioctl_none_bad!(tun_get_namespace, nix::request_code_none!(b'T', 227));

/// The kernel's `struct ifreq` with the flags of its union. An own one, since libc's has a union that is unsafe to read.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub(super) struct IfReq {
    pub(super) name: [u8; libc::IFNAMSIZ],
    pub(super) flags: u16,
    rest: [u16; 11],
}

const _: () = assert!(size_of::<IfReq>() == size_of::<libc::ifreq>());

impl IfReq {
    /// A request for the device `name`, which must be shorter than IFNAMSIZ.
    pub(super) fn new(name: &str, flags: libc::c_int) -> IfReq {
        let mut request = IfReq { flags: flags as u16, ..IfReq::default() };
        request.name[..name.len()].copy_from_slice(name.as_bytes());
        request
    }
}

/// TUNSETIFF: makes a device, or attaches to one.
pub(super) fn set_iff(fd: BorrowedFd<'_>, request: &IfReq) -> nix::Result<()> {
    // SAFETY: the kernel reads one `struct ifreq` from the pointer; `IfReq` has its size and layout and is all initialised.
    unsafe { tun_set_iff(fd.as_raw_fd(), request) }.map(drop)
}

/// TUNGETIFF: name and flags of the device behind an fd.
pub(super) fn iff(fd: BorrowedFd<'_>) -> nix::Result<IfReq> {
    let mut request = IfReq::default();
    // SAFETY: the kernel writes one `struct ifreq` to the pointer; `IfReq` has its size, and any bytes are valid in it.
    unsafe { tun_get_iff(fd.as_raw_fd(), &mut request) }?;
    Ok(request)
}

/// TUNGETDEVNETNS: the network namespace that the device behind an fd is in, close-on-exec.
pub(super) fn namespace(fd: BorrowedFd<'_>) -> nix::Result<OwnedFd> {
    // SAFETY: the request has no argument.
    let namespace = unsafe { tun_get_namespace(fd.as_raw_fd()) }?;
    // SAFETY: the kernel has just opened it for us, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(namespace) })
}

/// TUNGETFEATURES: the flags that this kernel's tun knows.
pub(super) fn features(fd: BorrowedFd<'_>) -> nix::Result<libc::c_int> {
    let mut features = 0;
    // SAFETY: the kernel writes one unsigned int to the pointer.
    unsafe { tun_get_features(fd.as_raw_fd(), &mut features) }?;
    Ok(features as libc::c_int)
}

/// TUNSETVNETHDRSZ: the length of the offload header before each frame.
pub(super) fn set_vnet_header_len(fd: BorrowedFd<'_>, len: usize) -> nix::Result<()> {
    let len = len as libc::c_int;
    // SAFETY: the kernel reads one int from the pointer.
    unsafe { tun_set_vnet_hdr_sz(fd.as_raw_fd(), &len) }.map(drop)
}

/// TUNSETOFFLOAD: what the kernel may leave undone in the frames that are read, a mask of `TUN_F_`. It belongs to the
/// device, not to the fd.
pub(super) fn set_offload(fd: BorrowedFd<'_>, mask: libc::c_uint) -> nix::Result<()> {
    // SAFETY: the argument is a number, no pointer.
    unsafe { tun_set_offload(fd.as_raw_fd(), mask as libc::c_int) }.map(drop)
}

/// Takes the fd out of tun-tap's interface, which is no `Into<OwnedFd>`.
pub(super) fn own(interface: tun_tap::Iface) -> OwnedFd {
    let fd = interface.into_raw_fd();
    // SAFETY: `into_raw_fd` has just given up the ownership of an open fd, and nobody else has it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// sched_setscheduler(2): has this thread take a core from nobody when it wakes (`SCHED_BATCH`), or be scheduled in the ordinary way
/// again. Says whether that was changed: a thread that is scheduled in a third way stays so.
pub(crate) fn stand_back(stands_back: bool) -> nix::Result<bool> {
    let (from, to) = (libc::SCHED_OTHER, libc::SCHED_BATCH);
    let (from, to) = if stands_back { (from, to) } else { (to, from) };
    // SAFETY: the arguments are numbers; 0 is the calling thread.
    if Errno::result(unsafe { libc::sched_getscheduler(0) })? != from {
        return Ok(false);
    }
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the kernel reads one `struct sched_param` from the pointer.
    Errno::result(unsafe { libc::sched_setscheduler(0, to, &raw const parameters) }).map(|_| true)
}

/// mmap(2): the first `length` bytes of a file, shared with whoever maps it after us.
pub(crate) fn map(file: &std::fs::File, length: usize) -> std::io::Result<memmap2::MmapMut> {
    // SAFETY: nobody else writes the file while it is mapped: only who holds the lock of the directory that it is in opens it,
    // and once (`account`). Whoever reads or copies it meanwhile takes nothing from us; any bytes are valid numbers. To cut it
    // takes the same user's intent, who could kill us as well.
    unsafe { memmap2::MmapOptions::new().len(length).map_mut(file) }
}

/// The options of packet sockets, by the kernel's numbers, which libc does not have.
pub(super) mod packet {
    use linux_raw_sys::if_packet;
    use nix::{getsockopt_impl, libc, setsockopt_impl, sockopt_impl};

    const VNET_HDR: libc::c_int = if_packet::PACKET_VNET_HDR as libc::c_int;
    const AUXDATA: libc::c_int = if_packet::PACKET_AUXDATA as libc::c_int;
    const QDISC_BYPASS: libc::c_int = if_packet::PACKET_QDISC_BYPASS as libc::c_int;
    const IGNORE_OUTGOING: libc::c_int = if_packet::PACKET_IGNORE_OUTGOING as libc::c_int;
    const ADD_MEMBERSHIP: libc::c_int = if_packet::PACKET_ADD_MEMBERSHIP as libc::c_int;
    const STATISTICS: libc::c_int = if_packet::PACKET_STATISTICS as libc::c_int;
    const VERSION: libc::c_int = if_packet::PACKET_VERSION as libc::c_int;
    const RX_RING: libc::c_int = if_packet::PACKET_RX_RING as libc::c_int;
    const COPY_THRESH: libc::c_int = if_packet::PACKET_COPY_THRESH as libc::c_int;

    // SAFETY (of all of them): the macros hand the kernel a pointer to a value of the type named here, and its size. That is
    // the type which packet(7) and the kernel's headers have for the option, and any bytes are a valid `tpacket_stats`.
    sockopt_impl!(VnetHdr, SetOnly, libc::SOL_PACKET, VNET_HDR, bool);
    sockopt_impl!(Auxdata, SetOnly, libc::SOL_PACKET, AUXDATA, bool);
    sockopt_impl!(QdiscBypass, SetOnly, libc::SOL_PACKET, QDISC_BYPASS, bool);
    sockopt_impl!(IgnoreOutgoing, SetOnly, libc::SOL_PACKET, IGNORE_OUTGOING, bool);
    sockopt_impl!(AddMembership, SetOnly, libc::SOL_PACKET, ADD_MEMBERSHIP, if_packet::packet_mreq);
    sockopt_impl!(Statistics, GetOnly, libc::SOL_PACKET, STATISTICS, if_packet::tpacket_stats);
    sockopt_impl!(Version, SetOnly, libc::SOL_PACKET, VERSION, libc::c_int);
    sockopt_impl!(RxRing, SetOnly, libc::SOL_PACKET, RX_RING, if_packet::tpacket_req);
    sockopt_impl!(CopyThreshold, SetOnly, libc::SOL_PACKET, COPY_THRESH, libc::c_int);
}

/// bind(2) of a packet socket to the interface with this index, for frames of every EtherType. (nix has no way to make the
/// address.)
pub(super) fn bind_packet(fd: BorrowedFd<'_>, index: libc::c_int) -> nix::Result<()> {
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: (libc::ETH_P_ALL as u16).to_be(),
        sll_ifindex: index,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    // SAFETY: the kernel reads as many bytes from the pointer as it is told, which are those of the address.
    let bound = unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), socklen::<libc::sockaddr_ll>()) };
    Errno::result(bound).map(drop)
}

/// getsockname(2) of a packet socket: what it is bound to. (nix takes the kernel's shorter answer for a mistake.)
pub(super) fn packet_name(fd: BorrowedFd<'_>) -> nix::Result<libc::sockaddr_ll> {
    let mut address = libc::sockaddr_ll {
        sll_family: 0,
        sll_protocol: 0,
        sll_ifindex: 0,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let mut len = socklen::<libc::sockaddr_ll>();
    // SAFETY: the kernel writes at most `len` bytes to the first pointer, which are those of the address, and one number to
    // the second; any bytes are a valid address.
    let named = unsafe { libc::getsockname(fd.as_raw_fd(), (&raw mut address).cast(), &raw mut len) };
    Errno::result(named).map(|_| address)
}

const fn socklen<T>() -> libc::socklen_t {
    size_of::<T>() as libc::socklen_t
}
