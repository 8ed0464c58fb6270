//! Cables between networks: from a port of one's switch to a port of the other's.

use netns::error::Error;
use switch::dataplane::{BridgeId, Control};
use switch::port::PortConfig;
use switch::verdict::PortId;

use super::{World, no_daemon};
use crate::cable::{CableHandle, trunk};

/// The manager gives out lower numbers.
const FIRST_PORT: u16 = 16_384;

/// A cable between two networks.
#[derive(Debug)]
pub(super) struct Join {
    cable: CableHandle,
    /// The network's bridge, the port's number and its name, at each end.
    ends: [(String, PortId, String); 2],
}

impl World {
    /// Joins two networks by a cable: what one of them floods the other one gets, and their containers reach each other as far
    /// as their addresses let them. A new daemon finds the cable; when a network goes, it leads nowhere.
    ///
    /// The port of the first is called by the name of the second, and the other way round, with the number of the join behind:
    /// `back.1` on `front`, and `front.1` on `back`. Directions are those of the first network: see
    /// [`Direction`](crate::Direction).
    ///
    /// There is no spanning tree: who joins networks in a circle gets a loop, and hears of it ([`Runaway`](crate::Runaway)).
    ///
    /// ```
    /// use netns::manager::NetworkRequest;
    /// use pontoon_sim::{Place, World};
    /// # use netns::manager::RunRequest;
    /// # use pontoon_sim::Program;
    ///
    /// let mut world = World::builder().up()?;
    /// world.create_network(NetworkRequest::new("back".parse()?))?;
    /// world.join("bridge", "back")?;
    /// # let web = world.run(RunRequest::new(vec!["httpd".into()]), Program::Sleep)?;
    /// let web = Place::container(web.name.as_str());
    /// world.ping(&web, [172, 17, 0, 1]);
    /// let heard = world.fdb().into_iter().filter(|row| row.name == "bridge.1").count();
    /// assert_eq!(heard, 1, "the other network knows it now");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If no daemon runs, or one of the networks is not there.
    pub fn join(&mut self, one: &str, other: &str) -> Result<CableHandle, Error> {
        let bridges = [self.bridge_of(one)?, self.bridge_of(other)?];
        let number = self.joins.len() as u16;
        let shape = self.machine().shape();
        let ids = [(); 2].map(|()| self.machine().new_cable());
        let cable = trunk(ids, &self.plant, shape);
        let port = |end: u16, far: &str| (PortId(FIRST_PORT + 2 * number + end), format!("{far}.{}", number + 1));
        let ports = [port(0, other), port(1, one)];
        let ends = std::array::from_fn(|end| {
            let (port, name) = ports[end].clone();
            (bridges[end].clone(), port, name)
        });
        self.joins.push(Join { cable: cable.clone(), ends });
        self.plug_joins();
        Ok(cable)
    }

    /// Plugs in those ends of joins that are not, and whose bridge is there.
    pub(super) fn plug_joins(&mut self) {
        let now = self.clock.now();
        let Some(daemon) = self.daemon.as_mut().filter(|_| !self.joins.is_empty()) else { return };
        let bridges: Vec<(BridgeId, String)> =
            daemon.dataplane.statistics().into_iter().map(|bridge| (bridge.bridge, bridge.name)).collect();
        for join in &self.joins {
            for (link, (bridge, port, name)) in join.cable.ends().into_iter().zip(&join.ends) {
                let found = bridges.iter().find(|(_, known)| known == bridge);
                let Some((bridge, _)) = found.filter(|_| daemon.dataplane.link(*port).is_none()) else { continue };
                let config = PortConfig { name: name.clone(), ..PortConfig::default() };
                let plug = Control::Plug { bridge: *bridge, port: *port, config, link };
                daemon.obey(plug, now, &self.plant.trace);
            }
            join.cable.wake();
        }
    }

    /// The name of a network's bridge.
    fn bridge_of(&mut self, network: &str) -> Result<String, Error> {
        if !self.is_up() {
            return Err(no_daemon());
        }
        let networks = self.bridge_networks()?;
        let found = networks.into_iter().find(|each| each.name.as_str() == network);
        found.map(|network| network.bridge).ok_or_else(|| Error::NoSuchNetwork(network.to_owned()))
    }
}
