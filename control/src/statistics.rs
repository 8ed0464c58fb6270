//! [`NetworkStatistics`] and [`Traffic`]: what the switch has counted, by network, port and container.

use std::collections::BTreeMap;

use netns::manager::NetworkDetails;
use netns::network::Network;
use serde::{Deserialize, Serialize};
use switch::counters::PortCounters;
use switch::dataplane::BridgeStatistics;

/// What the switch has counted on one network, as the switch sees it: `rx` is what came in by a port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkStatistics {
    /// What people call the network.
    pub network: String,
    /// Its bridge, its ports and those that have gone.
    #[serde(flatten)]
    pub bridge: BridgeStatistics,
    /// The sum of all of them.
    pub total: PortCounters,
}

impl NetworkStatistics {
    /// Those of a bridge, which is that of one of these networks.
    #[must_use]
    pub fn new(bridge: BridgeStatistics, networks: &[&Network]) -> Self {
        let network = networks.iter().find(|network| network.bridge == bridge.name);
        let name = network.map_or_else(|| bridge.name.clone(), |network| network.name.to_string());
        NetworkStatistics::named(name, bridge)
    }

    /// Those of the bridge of a network of this name.
    #[must_use]
    pub fn named(network: String, bridge: BridgeStatistics) -> Self {
        let mut total = bridge.departed.clone();
        bridge.ports.iter().for_each(|port| total += &port.counters);
        NetworkStatistics { network, bridge, total }
    }
}

/// What a container has received and sent by one of its interfaces, as the container sees it: `rx` is what the switch has
/// sent to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Frames received; a super-frame is one.
    pub rx_packets: u64,
    /// Their bytes.
    pub rx_bytes: u64,
    /// Frames that were for it and that the switch had to drop.
    pub rx_dropped: u64,
    /// Frames sent.
    pub tx_packets: u64,
    /// Their bytes.
    pub tx_bytes: u64,
    /// Frames sent that the switch has dropped, and those that never came to it.
    pub tx_dropped: u64,
}

impl Traffic {
    /// Of each port by its name.
    #[must_use]
    pub fn by_port(statistics: &[BridgeStatistics]) -> BTreeMap<&str, Traffic> {
        let ports = statistics.iter().flat_map(|bridge| &bridge.ports);
        ports.map(|port| (port.name.as_str(), Traffic::of(&port.counters, port.rx_missed))).collect()
    }

    fn of(PortCounters { rx, tx }: &PortCounters, missed: u64) -> Self {
        Traffic {
            rx_packets: tx.packets,
            rx_bytes: tx.bytes,
            rx_dropped: tx.dropped,
            tx_packets: rx.packets,
            tx_bytes: rx.bytes,
            tx_dropped: rx.dropped + missed,
        }
    }
}

/// What `network inspect` shows: a network and what moves on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkShown {
    /// The network.
    #[serde(flatten)]
    pub details: NetworkDetails,
    /// Container's id → its traffic there.
    pub traffic: BTreeMap<String, Traffic>,
    /// What the switch has counted on it in all, ports that have gone included; `null` if it has no bridge.
    pub statistics: Option<PortCounters>,
}

impl NetworkShown {
    /// A network with what the statistics know of it.
    #[must_use]
    pub fn new(details: NetworkDetails, statistics: &[BridgeStatistics]) -> Self {
        let own = statistics.iter().filter(|bridge| details.bridge.as_ref() == Some(&bridge.name));
        let own: Vec<BridgeStatistics> = own.cloned().collect();
        let by_port = Traffic::by_port(&own);
        let of_member = |(id, member): (&String, &netns::manager::MemberView)| {
            let port = format!("{}.{}", member.name, member.ifname.as_ref()?);
            Some((id.clone(), *by_port.get(port.as_str())?))
        };
        let traffic = details.containers.iter().filter_map(of_member).collect();
        let total = own.first().map(|bridge| NetworkStatistics::named(String::new(), bridge.clone()).total);
        NetworkShown { details, traffic, statistics: total }
    }
}
