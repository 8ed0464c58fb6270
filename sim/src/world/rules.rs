//! The verbs about rules and faults.

use std::collections::BTreeSet;

use super::{Place, World};
use crate::cable::CableId;
use crate::fault::Partition;
use crate::rule::{Applies, Extent, Rule, RuleGuard, Scope};
use crate::socket::SocketError;

impl World {
    /// Lets a rule decide about the frames of a scope, after those that are there already, until the guard is dropped.
    ///
    /// # Errors
    /// If the place or the interface of the scope is not there, or the interface leads to no switch.
    pub fn add_rule(&mut self, scope: Scope, rule: impl Rule + 'static) -> Result<RuleGuard, SocketError> {
        let applies = self.resolve(&scope)?;
        Ok(self.plant.rules.install(scope.resolved(applies), Box::new(rule)))
    }

    /// Cuts the places of one side off from those of the other, both ways, until the guards are dropped: nothing that one
    /// side sends, a broadcast neither, reaches the other. Among themselves they go on, and with everybody else.
    ///
    /// Who sends is told by the source address of the frame. The interfaces are those that the places have now.
    ///
    /// ```
    /// # use netns::manager::RunRequest;
    /// # use pontoon_sim::{Place, Program, World};
    /// let mut world = World::builder().up()?;
    /// # let one = world.run(RunRequest::new(vec!["one".into()]), Program::Sleep)?;
    /// # let two = world.run(RunRequest::new(vec!["two".into()]), Program::Sleep)?;
    /// let (one, two) = (Place::container(one.name.as_str()), Place::container(two.name.as_str()));
    /// let split = world.partition(&[&one], &[&two]).expect("they are there");
    /// assert!(!world.ping(&one, [172, 17, 0, 3]));
    /// assert!(world.ping(&Place::Host, [172, 17, 0, 3]));
    /// drop(split);
    /// assert!(world.ping(&one, [172, 17, 0, 3]));
    /// # Ok::<(), netns::error::Error>(())
    /// ```
    ///
    /// # Errors
    /// If one of the places is not there.
    pub fn partition(&mut self, one: &[&Place], other: &[&Place]) -> Result<[RuleGuard; 2], SocketError> {
        Ok([self.partition_oneway(one, other)?, self.partition_oneway(other, one)?])
    }

    /// Lets nothing from some places reach others; what those send still arrives.
    ///
    /// # Errors
    /// If one of the places is not there.
    pub fn partition_oneway(&mut self, from: &[&Place], to: &[&Place]) -> Result<RuleGuard, SocketError> {
        let mut partition = Partition { from: BTreeSet::new(), to: BTreeSet::new() };
        for place in from {
            partition.from.extend(self.within(place, |namespace, _| {
                namespace.interfaces.iter().map(|interface| interface.mac).collect::<Vec<_>>()
            })?);
        }
        for place in to {
            partition.to.extend(self.within(place, |namespace, _| {
                namespace.interfaces.iter().filter_map(|interface| interface.kind.line()).collect::<Vec<_>>()
            })?);
        }
        self.add_rule(Scope::world(), partition)
    }

    pub(super) fn resolve(&mut self, scope: &Scope) -> Result<Applies, SocketError> {
        match &scope.extent {
            Extent::World => Ok(Applies::Everywhere),
            Extent::Place(place) => {
                let (namespace, _) = self.locate(place).ok_or(SocketError::NoSuchDevice)?;
                Ok(Applies::In(namespace))
            }
            Extent::Number(cable) => Ok(Applies::On(*cable)),
            Extent::Cable(place, interface) => Ok(Applies::On(self.cable_behind(place, interface)?)),
        }
    }

    fn cable_behind(&mut self, place: &Place, interface: &str) -> Result<CableId, SocketError> {
        let found =
            self.within(place, |namespace, _| namespace.interface(interface).and_then(|found| found.kind.cable()))?;
        found.ok_or(SocketError::NoSuchDevice)
    }
}
