//! The device that smoltcp sends to and receives from: two queues of packets, in memory of their own.

use std::collections::VecDeque;

use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};

use crate::wire::Packet;

/// What smoltcp takes for its device.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) incoming: VecDeque<Packet>,
    pub(super) outgoing: VecDeque<Packet>,
    pub(super) mtu: usize,
}

pub(super) struct Incoming(Packet);
pub(super) struct Outgoing<'a>(&'a mut VecDeque<Packet>);

impl Device for Wire {
    type RxToken<'a> = Incoming;
    type TxToken<'a> = Outgoing<'a>;

    fn receive(&mut self, _now: smoltcp::time::Instant) -> Option<(Incoming, Outgoing<'_>)> {
        self.incoming.pop_front().map(|packet| (Incoming(packet), Outgoing(&mut self.outgoing)))
    }

    fn transmit(&mut self, _now: smoltcp::time::Instant) -> Option<Outgoing<'_>> {
        Some(Outgoing(&mut self.outgoing))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.mtu;
        capabilities
    }
}

impl RxToken for Incoming {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, work: F) -> R {
        work(self.0.ip())
    }
}

impl TxToken for Outgoing<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, work: F) -> R {
        let mut packet = Packet::zeroed(len);
        let result = work(packet.ip_mut());
        self.0.push_back(packet);
        result
    }
}
