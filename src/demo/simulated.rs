//! The tale in the simulator: the same switch, the same manager, simulated hosts, and time that passes as it is needed.

use std::net::Ipv4Addr;
use std::time::Duration;

use control::{Bridge, Station};
use netns::interface::InterfaceInfo;
use netns::manager::RunRequest;
use sim::{Capture, Place, Program, Scope, World};

use super::{Stage, TRANSFER};
use crate::failure::Failure;
use crate::show;

/// Where chance begins, so that every telling is the same.
pub(super) const SEED: u64 = 1;
/// A port on which nobody else listens.
const PORT: u16 = 8080;

/// A simulated host with a daemon.
pub(super) struct Simulated {
    world: World,
    seed: u64,
}

impl Simulated {
    pub(super) fn new(seed: u64, trace: bool) -> Result<Self, Failure> {
        let world = World::builder().seed(seed).trace(trace).up()?;
        Ok(Simulated { world, seed })
    }

    /// Records all frames from now on.
    pub(super) fn capture(&mut self) -> Result<Capture, Failure> {
        self.world.capture(&Scope::world()).map_err(Failure::new)
    }

    /// What happened, a line each.
    pub(super) fn trace(&self) -> Vec<String> {
        self.world.trace()
    }

    fn since(&self, start: Duration) -> Duration {
        self.world.now().saturating_sub(start)
    }
}

impl Stage for Simulated {
    fn scenery(&self) -> String {
        format!(
            "The \"host\" here is a simulated one, with a virtual clock (seed {}); switch and manager are the real ones.",
            self.seed
        )
    }

    fn run(&mut self, name: &str, mode: &str) -> Result<(), Failure> {
        let mut request = RunRequest::new(vec!["sleep".into(), "300".into()]);
        request.name = Some(name.parse().map_err(Failure::new)?);
        request.mode = mode.parse().map_err(Failure::new)?;
        request.detached = true;
        self.world.run(request, Program::Sleep)?;
        Ok(())
    }

    fn interfaces(&mut self, container: &str) -> Result<Vec<InterfaceInfo>, Failure> {
        Ok(self.world.interfaces(&Place::container(container))?)
    }

    fn ping(&mut self, from: &str, to: Ipv4Addr) -> Result<Duration, Failure> {
        let start = self.world.now();
        let answered = self.world.ping(&Place::container(from), to);
        if answered { Ok(self.since(start)) } else { Err(Failure::new(format_args!("no echo from {to}"))) }
    }

    fn transfer(&mut self, from: &str, to: &str, address: Ipv4Addr) -> Result<Duration, Failure> {
        self.world.listen(&Place::container(to), Ipv4Addr::UNSPECIFIED, PORT).map_err(Failure::new)?;
        let start = self.world.now();
        let sent = super::probe::pattern(TRANSFER);
        let received = self.world.transfer(&Place::container(from), address, PORT, &sent).map_err(Failure::new)?;
        if received == sent {
            Ok(self.since(start))
        } else {
            Err(Failure::new(format_args!("{} bytes came, not the {TRANSFER} that were sent", received.len())))
        }
    }

    fn bridges(&mut self) -> Result<Vec<Bridge>, Failure> {
        let statistics = self.world.statistics();
        Ok(self.world.bridge_networks()?.iter().map(|network| Bridge::new(network, &statistics)).collect())
    }

    fn stations(&mut self) -> Result<Vec<Station>, Failure> {
        Ok(self.world.fdb().into_iter().map(Station::new).collect())
    }

    fn statistics(&mut self) -> Result<Vec<show::stats::Bridge>, Failure> {
        let (networks, statistics) = (self.world.bridge_networks()?, self.world.statistics());
        let networks: Vec<_> = networks.iter().collect();
        Ok(statistics.into_iter().map(|bridge| show::stats::Bridge::new(bridge, &networks)).collect())
    }
}
