//! What is counted: by the data plane, and by interfaces that it does not see into.

use std::collections::BTreeMap;

use control::NetworkStatistics;
use switch::dataplane::BridgeStatistics;
use switch::verdict::PortId;

use super::serve::ask_engine;
use super::state::State;
use crate::failure::Failure;

/// All counters of all bridges.
///
/// # Errors
/// If the data plane has stopped.
pub(super) fn all(state: &State) -> Result<Vec<BridgeStatistics>, Failure> {
    let mut statistics = ask_engine(state, |dataplane, _| dataplane.statistics())?;
    let missed: BTreeMap<PortId, u64> = state.manager.missed();
    for port in statistics.iter_mut().flat_map(|bridge| &mut bridge.ports) {
        port.rx_missed += missed.get(&port.port).copied().unwrap_or(0);
    }
    Ok(statistics)
}

/// The same by network.
///
/// # Errors
/// If the data plane has stopped.
pub(super) fn by_network(state: &State) -> Result<Vec<NetworkStatistics>, Failure> {
    let networks = state.manager.bridge_networks();
    Ok(all(state)?.into_iter().map(|bridge| NetworkStatistics::new(bridge, &networks)).collect())
}
