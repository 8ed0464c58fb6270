//! The ioctls of tun devices that no safe crate has, and the one fd that a crate gives away raw.
//!
//! The only module of the crate with unsafe code. Each function here is safe for any fd: on one that is no tun device the
//! kernel answers ENOTTY or EBADFD.
#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};

use nix::libc;

nix::ioctl_write_ptr_bad!(tun_set_iff, libc::TUNSETIFF, IfReq);
nix::ioctl_read_bad!(tun_get_iff, libc::TUNGETIFF, IfReq);
nix::ioctl_read_bad!(tun_get_features, libc::TUNGETFEATURES, libc::c_uint);
nix::ioctl_write_ptr_bad!(tun_set_vnet_hdr_sz, libc::TUNSETVNETHDRSZ, libc::c_int);
nix::ioctl_write_int_bad!(tun_set_offload, libc::TUNSETOFFLOAD);

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
