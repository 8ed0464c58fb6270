//! Interfaces that go to another network namespace, or are in one: they are spoken of without entering it.
//!
//! The kernel knows another namespace by a number of ours, which it gives it when an interface goes there at the latest, and
//! which ends with the namespace.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use netlink_packet_core::NLM_F_ACK;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use netlink_packet_route::nsid::{NsidAttribute, NsidMessage};
use switch::link::tap::Whereabouts;
use switch::mac::MacAddr;

use super::Netlink;

/// A network namespace, as this conversation calls it: by number, or the one that it is about.
type Number = Option<i32>;

impl Netlink {
    /// Sets MAC and MTU of an interface that is switched off, and the text by which people see whose it is.
    pub(in crate::linux) fn prepare(&mut self, index: u32, mac: MacAddr, mtu: u32, alias: &str) -> io::Result<()> {
        let attributes = vec![
            LinkAttribute::Address(mac.0.to_vec()),
            LinkAttribute::Mtu(mtu),
            LinkAttribute::IfAlias(alias.to_owned()),
        ];
        self.change_link(index, LinkFlags::empty(), attributes)
    }

    /// Moves an interface to another namespace, where it is called `name`. It is off then, and without addresses.
    ///
    /// EEXIST: that name is taken there; the interface is there all the same.
    pub(in crate::linux) fn move_link(&mut self, index: u32, to: BorrowedFd<'_>, name: &str) -> io::Result<()> {
        let attributes = vec![LinkAttribute::NetNsFd(to.as_raw_fd()), LinkAttribute::IfName(name.to_owned())];
        self.change_link(index, LinkFlags::empty(), attributes)
    }

    /// Deletes an interface, wherever it is. ENODEV: it is not there any more.
    pub(in crate::linux) fn delete_link_at(&mut self, place: &Whereabouts) -> io::Result<()> {
        let message = message(self.number_of(place)?, &place.name);
        self.order(RouteNetlinkMessage::DelLink(message), 0)
    }

    /// An interface, wherever it is. ENODEV: it is not there any more.
    pub(in crate::linux) fn link_at(&mut self, place: &Whereabouts) -> io::Result<Option<LinkMessage>> {
        let question = message(self.number_of(place)?, &place.name);
        let answers = self.ask(RouteNetlinkMessage::GetLink(question), NLM_F_ACK)?;
        Ok(answers.into_iter().find_map(|answer| match answer {
            RouteNetlinkMessage::NewLink(link) => Some(link),
            _ => None,
        }))
    }

    fn number_of(&mut self, place: &Whereabouts) -> io::Result<Number> {
        if is_own(place.namespace.as_fd())? {
            return Ok(None);
        }
        if let Some(number) = self.known_number_of(place.namespace.as_fd())? {
            return Ok(Some(number));
        }
        // It went on from where it was moved to: the kernel had no reason yet to number that namespace for us.
        let mut message = of(place.namespace.as_fd());
        message.attributes.push(NsidAttribute::Id(UNKNOWN));
        match self.order(RouteNetlinkMessage::NewNsId(message), 0) {
            Err(why) if why.kind() != io::ErrorKind::AlreadyExists => return Err(why),
            _ => {}
        }
        let number = self.known_number_of(place.namespace.as_fd())?;
        number.map(Some).ok_or_else(|| io::Error::other("the kernel does not number its network namespace"))
    }

    fn known_number_of(&mut self, namespace: BorrowedFd<'_>) -> io::Result<Number> {
        let answers = self.ask(RouteNetlinkMessage::GetNsId(of(namespace)), NLM_F_ACK)?;
        let numbers = answers.iter().flat_map(|answer| match answer {
            RouteNetlinkMessage::NewNsId(message) => message.attributes.as_slice(),
            _ => &[],
        });
        Ok(numbers.into_iter().find_map(|attribute| match attribute {
            NsidAttribute::Id(number) if *number != UNKNOWN => Some(*number),
            _ => None,
        }))
    }
}

/// The number of a namespace that has none.
const UNKNOWN: i32 = -1;

fn of(namespace: BorrowedFd<'_>) -> NsidMessage {
    let mut message = NsidMessage::default();
    message.attributes.push(NsidAttribute::Fd(namespace.as_raw_fd().unsigned_abs()));
    message
}

fn message(number: Number, name: &str) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::IfName(name.to_owned()));
    message.attributes.extend(number.map(LinkAttribute::IfNetnsId));
    message
}

/// Whether this is the network namespace of the calling thread.
pub(in crate::linux) fn is_own(namespace: BorrowedFd<'_>) -> io::Result<bool> {
    let (one, other) = (rustix::fs::fstat(namespace)?, rustix::fs::stat("/proc/thread-self/ns/net")?);
    Ok((one.st_dev, one.st_ino) == (other.st_dev, other.st_ino))
}
