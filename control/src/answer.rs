//! [`Answer`]: what the daemon says, and what it tells of containers, networks and itself.

use std::collections::BTreeMap;

use netns::event::Event;
use netns::manager::ContainerView;
use netns::network::Network;
use serde::{Deserialize, Serialize};
use switch::dataplane::{BridgeStatistics, FdbRow};
use switch::fdb::EntryKind;
use switch::vlan::VlanId;

use crate::failure::Failure;
use crate::statistics::Traffic;

/// What the daemon answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It is done; what was asked for.
    Done(serde_json::Value),
    /// It is done, and there is something that the user is to know.
    Warned {
        /// What was asked for.
        done: serde_json::Value,
        /// What is to be known.
        warnings: Vec<String>,
    },
    /// It is not done.
    Failed(Failure),
    /// A foreground container has ended, and everything that it held is free.
    Ended,
}

/// A container that runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Running {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What the user is to know.
    pub warnings: Vec<String>,
}

/// A container, as `ps` and `inspect` show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// The container. Its command may be cut.
    #[serde(flatten)]
    pub container: ContainerView,
    /// Whether the command goes on where it ends here.
    pub command_is_cut: bool,
    /// Network's name → what it has received and sent there.
    pub traffic: BTreeMap<String, Traffic>,
}

impl Shown {
    /// A container with the first `limit` bytes of its command, and its part of the traffic of all ports.
    #[must_use]
    pub fn new(mut container: ContainerView, limit: usize, by_port: &BTreeMap<&str, Traffic>) -> Self {
        let command_is_cut = cut(&mut container.command, limit);
        let own = container
            .networks
            .iter()
            .filter_map(|(network, interface)| Some((network.clone(), *by_port.get(interface.port.as_deref()?)?)));
        let traffic = own.collect();
        Shown { container, command_is_cut, traffic }
    }
}

/// Leaves the first `limit` bytes of words, or less where a character would be cut. Whether anything went.
fn cut(words: &mut Vec<String>, limit: usize) -> bool {
    let mut left = limit;
    for at in 0..words.len() {
        let word = &mut words[at];
        if word.len() > left {
            word.truncate(word.floor_char_boundary(left));
            words.truncate(at + 1);
            return true;
        }
        left -= word.len();
    }
    false
}

/// The daemon.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// Its process.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// The bridges.
    pub bridges: Vec<String>,
    /// How many containers run.
    pub running: usize,
    /// How many containers there are, the ended ones included.
    pub containers: usize,
    /// Whether it ends by itself after the last container.
    pub ends_by_itself: bool,
    /// Where its socket is.
    pub runtime_dir: String,
    /// Where its records are.
    pub state_dir: String,
    /// Where its metrics can be had over TCP, if they can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<String>,
    /// Where it serves Docker as a network plugin, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker: Option<String>,
    /// How its data plane reads and writes frames: `uring` or `epoll`; empty from a daemon that does not tell.
    #[serde(default)]
    pub io: String,
    /// Its flight recorder, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flight_recorder: Option<FlightRecorder>,
}

/// What keeps the latest frames in memory.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FlightRecorder {
    /// How many seconds it is to keep.
    pub seconds: u64,
    /// How many it has by now; fewer if it has not run so long, or if there was more than it has room for.
    pub reaches_back: u64,
    /// How many bytes it has taken.
    pub memory: usize,
    /// How many it takes at most.
    pub memory_limit: usize,
}

/// A capture has begun: whatever comes from now on is in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Capturing {
    /// The ports that there are, by their names.
    pub ports: Vec<String>,
}

/// A capture has ended, and its file is whole unless there was an error.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Captured {
    /// How many frames it has.
    pub frames: u64,
    /// How many it should have had.
    pub lost: u64,
    /// How many milliseconds what the flight recorder had reaches back.
    pub reaches_back: Option<u64>,
    /// Why the file could not be written to its end.
    pub error: Option<String>,
}

/// Something that has happened, with its time: a line of `bridge monitor --json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// When, in seconds since 1970.
    pub time: f64,
    /// What.
    #[serde(flatten)]
    pub event: Event,
}

/// A bridge, as `show` prints it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Bridge {
    /// Its name.
    pub name: String,
    /// Its id: `8000.` and its MAC without colons.
    pub id: String,
    /// Always false: there is no spanning tree.
    pub stp_enabled: bool,
    /// Its ports, the host's own aside.
    pub interfaces: Vec<String>,
}

impl Bridge {
    /// The bridge of a network, with the ports that the statistics know.
    #[must_use]
    pub fn new(network: &Network, statistics: &[BridgeStatistics]) -> Self {
        let ports = statistics.iter().filter(|bridge| bridge.name == network.bridge).flat_map(|bridge| &bridge.ports);
        Bridge {
            name: network.bridge.clone(),
            id: format!("8000.{}", network.mac.to_string().replace(':', "")),
            stp_enabled: false,
            interfaces: ports.filter(|port| !port.is_local).map(|port| port.name.clone()).collect(),
        }
    }
}

/// An entry of the FDB, with the keys of `bridge -j fdb show`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Station {
    /// The station.
    pub mac: String,
    /// The port that it is behind.
    pub ifname: String,
    /// The VLAN, where the bridge looks at VLANs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vlan: Option<u16>,
    /// The bridge.
    pub master: String,
    /// Nothing, or `sticky`.
    pub flags: Vec<String>,
    /// Empty for a learned one, `static`, or `permanent` for the bridge's own.
    pub state: String,
    /// Seconds since it was last heard; 0 for one that does not age.
    pub age: u64,
}

impl Station {
    /// An entry of the FDB.
    #[must_use]
    pub fn new(row: FdbRow) -> Self {
        Station {
            mac: row.station.to_string(),
            ifname: row.name,
            vlan: (row.vlan != VlanId::NONE).then_some(row.vlan.get()),
            master: row.bridge,
            flags: if row.kind == EntryKind::Sticky { vec!["sticky".to_owned()] } else { Vec::new() },
            state: match row.kind {
                EntryKind::Static if row.is_local => "permanent".to_owned(),
                EntryKind::Static => "static".to_owned(),
                EntryKind::Dynamic | EntryKind::Sticky => String::new(),
            },
            age: row.age,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_cut_between_characters_and_that_is_told() {
        let words = ["ab", "cdé", "", "f"].map(str::to_owned);
        let cut_to = |limit| {
            let mut left = words.to_vec();
            (cut(&mut left, limit), left.join("|"))
        };
        assert_eq!([7, 8].map(cut_to), [(false, "ab|cdé||f".to_owned()), (false, "ab|cdé||f".to_owned())]);
        assert_eq!(cut_to(6), (true, "ab|cdé||".to_owned()));
        assert_eq!(cut_to(5), (true, "ab|cd".to_owned()));
        assert_eq!(cut_to(2), (true, "ab|".to_owned()));
        assert_eq!(cut_to(0), (true, String::new()));
        assert!(!cut(&mut Vec::new(), 0));
    }
}
