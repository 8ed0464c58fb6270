//! A bridge's FDB by netlink, as `bridge fdb` sees it: one socket, one question at a time.

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::neighbour::{NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use switch::mac::MacAddr;
use switch::vlan::VlanId;

pub(super) struct Neighbours {
    socket: Socket,
}

/// An entry of a bridge's FDB.
pub(super) struct Entry {
    pub(super) vlan: VlanId,
    pub(super) station: MacAddr,
    /// The port's interface, or the bridge's own.
    pub(super) interface: u32,
    pub(super) state: NeighbourState,
}

impl Neighbours {
    /// Of the network namespace that this thread is in.
    pub(super) fn open() -> Self {
        let mut socket = Socket::new(NETLINK_ROUTE).unwrap();
        socket.bind_auto().unwrap();
        socket.connect(&SocketAddr::new(0, 0)).unwrap();
        // Without it the kernel takes no filter.
        socket.set_netlink_get_strict_chk(true).unwrap();
        Neighbours { socket }
    }

    /// All entries of a bridge, by the index of its interface.
    pub(super) fn of_bridge(&mut self, bridge: u32) -> Vec<Entry> {
        let mut question = NeighbourMessage::default();
        question.header.family = AddressFamily::Bridge;
        question.attributes.push(NeighbourAttribute::Controller(bridge));
        let entries = self.ask(RouteNetlinkMessage::GetNeighbour(question), NLM_F_DUMP);
        entries.iter().filter_map(|entry| entry_of(entry, bridge)).collect()
    }

    /// Makes an entry that does not age. One that is not sticky moves with its station all the same.
    pub(super) fn fix(&mut self, vlan: VlanId, station: MacAddr, interface: u32, sticky: bool) {
        let mut entry = named(vlan, station, interface);
        entry.header.state = NeighbourState::Noarp;
        entry.header.flags.set(NeighbourFlags::Sticky, sticky);
        self.ask(RouteNetlinkMessage::NewNeighbour(entry), NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE);
    }

    pub(super) fn clear(&mut self, entry: &Entry) {
        let entry = named(entry.vlan, entry.station, entry.interface);
        self.ask(RouteNetlinkMessage::DelNeighbour(entry), NLM_F_ACK);
    }

    fn ask(&mut self, message: RouteNetlinkMessage, flags: u16) -> Vec<NeighbourMessage> {
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        let mut packet = NetlinkMessage::new(header, NetlinkPayload::from(message));
        packet.finalize();
        let mut bytes = vec![0; packet.buffer_len()];
        packet.serialize(&mut bytes);
        self.socket.send(&bytes, 0).unwrap();
        let mut answers = Vec::new();
        loop {
            let (datagram, _) = self.socket.recv_from_full().unwrap();
            let mut rest = &datagram[..];
            while !rest.is_empty() {
                let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest).unwrap();
                let length = (message.header.length as usize).next_multiple_of(4).max(4);
                rest = rest.get(length..).unwrap_or_default();
                match message.payload {
                    NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewNeighbour(entry)) => answers.push(entry),
                    NetlinkPayload::Error(error) if error.code.is_some() => panic!("{packet:?}: {}", error.to_io()),
                    NetlinkPayload::Error(_) | NetlinkPayload::Done(_) => return answers,
                    _ => {}
                }
            }
        }
    }
}

fn named(vlan: VlanId, station: MacAddr, interface: u32) -> NeighbourMessage {
    let mut entry = NeighbourMessage::default();
    entry.header.family = AddressFamily::Bridge;
    entry.header.ifindex = interface;
    entry.header.flags = NeighbourFlags::Controller;
    entry.attributes.push(NeighbourAttribute::LinkLayerAddress(station.0.to_vec()));
    if vlan != VlanId::NONE {
        entry.attributes.push(NeighbourAttribute::Vlan(vlan.get()));
    }
    entry
}

/// Not an address list of an interface, which the kernel tells as well.
fn entry_of(message: &NeighbourMessage, bridge: u32) -> Option<Entry> {
    let mut entry = Entry {
        vlan: VlanId::NONE,
        station: MacAddr::ZERO,
        interface: message.header.ifindex,
        state: message.header.state,
    };
    let mut is_of_bridge = false;
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::LinkLayerAddress(bytes) => entry.station = MacAddr(bytes.as_slice().try_into().ok()?),
            NeighbourAttribute::Vlan(id) => entry.vlan = VlanId::new(*id)?,
            NeighbourAttribute::Controller(index) => is_of_bridge = *index == bridge,
            _ => {}
        }
    }
    is_of_bridge.then_some(entry)
}
