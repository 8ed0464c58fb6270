//! What one would type without Pontoon, to run `true` on a bridge.

use super::namespace::Keeper;

/// A host with a bridge.
pub struct ByHand {
    host: Keeper,
    /// A veth outlives its namespace by a moment, and its name with it.
    times: usize,
}

impl ByHand {
    pub fn new() -> Result<Self, String> {
        let host = Keeper::of_host()?;
        host.sh("ip link add br0 type bridge && ip addr add 10.77.0.1/16 dev br0 && ip link set br0 up")?;
        Ok(ByHand { host, times: 0 })
    }

    pub fn run_true(&mut self) -> Result<(), String> {
        self.times += 1;
        let veth = format!("v{}", self.times);
        self.host.sh(&format!(
            "ip netns add c && ip link add {veth} type veth peer name eth0 netns c && ip link set {veth} master br0 up && \
             ip -n c link set lo up && ip -n c addr add 10.77.0.2/16 dev eth0 && ip -n c link set eth0 up && \
             ip -n c route add default via 10.77.0.1 && ip netns exec c true && ip netns del c"
        ))
    }
}
