//! [`Scope`]: which frames a rule is asked about.

use crate::cable::{CableHandle, CableId, Direction};
use crate::namespace::NamespaceId;
use crate::rule::LineId;
use crate::world::Place;

/// Which frames a rule is asked about: those of some cables, in one direction or both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    pub(crate) extent: Extent,
    direction: Option<Direction>,
}

/// Which cables, as the user names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    World,
    Place(Place),
    Cable(Place, String),
    Number(CableId),
}

/// Which cables, as the world knows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Applies {
    Everywhere,
    In(NamespaceId),
    On(CableId),
}

impl Scope {
    /// All cables that there are and will be.
    #[must_use]
    pub fn world() -> Self {
        Scope { extent: Extent::World, direction: None }
    }

    /// All cables that a place has and will have. A container that is started anew under its name is another place.
    #[must_use]
    pub fn place(place: &Place) -> Self {
        Scope { extent: Extent::Place(place.clone()), direction: None }
    }

    /// The cable behind one interface.
    #[must_use]
    pub fn cable(place: &Place, interface: &str) -> Self {
        Scope { extent: Extent::Cable(place.clone(), interface.to_owned()), direction: None }
    }

    /// A cable that one has in hand, such as one between two networks.
    #[must_use]
    pub fn on(cable: &CableHandle) -> Self {
        Scope { extent: Extent::Number(cable.id()), direction: None }
    }

    /// Only what the interface sends.
    #[must_use]
    pub fn to_switch(self) -> Self {
        Scope { direction: Some(Direction::ToSwitch), ..self }
    }

    /// Only what the switch sends.
    #[must_use]
    pub fn from_switch(self) -> Self {
        Scope { direction: Some(Direction::FromSwitch), ..self }
    }

    pub(crate) fn resolved(&self, applies: Applies) -> Resolved {
        Resolved { applies, direction: self.direction }
    }
}

/// A scope whose cables are known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resolved {
    applies: Applies,
    direction: Option<Direction>,
}

impl Resolved {
    /// Whether a line is in it, whose cable has its interface in `namespace`.
    pub(crate) fn has(self, line: LineId, namespace: Option<NamespaceId>) -> bool {
        let is_there = match self.applies {
            Applies::Everywhere => true,
            Applies::In(own) => namespace == Some(own),
            Applies::On(cable) => line.cable == cable,
        };
        is_there && self.direction.is_none_or(|direction| direction == line.direction)
    }
}
