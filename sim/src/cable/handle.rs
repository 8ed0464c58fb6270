//! [`CableHandle`]: what a test holds of a cable, to see and to change what it is like while frames are on it.

use std::rc::Rc;

use super::{Body, Cable, CableStatistics, Direction, Path};

/// A cable of a world, from [`World::cable`](crate::World::cable). It stays valid when the cable is gone: then nothing
/// moves in it any more.
#[derive(Clone, Debug)]
pub struct CableHandle(pub(super) Rc<Body>);

impl CableHandle {
    /// What a direction is like.
    #[must_use]
    pub fn get(&self, direction: Direction) -> Cable {
        self.of(direction, |path| path.line.shape())
    }

    /// Makes both directions so, for all frames that are not on the wire yet.
    pub fn set(&self, cable: Cable) {
        Direction::ALL.into_iter().for_each(|direction| self.set_direction(direction, cable));
    }

    /// Makes one direction so, for all frames that are not on the wire yet.
    pub fn set_direction(&self, direction: Direction, cable: Cable) {
        let body = &self.0;
        let state = &mut *body.state.borrow_mut();
        state.path(direction).line.reshape(cable, body.plant.clock.now());
        body.arm(state, direction);
    }

    /// What a direction has seen.
    #[must_use]
    pub fn statistics(&self, direction: Direction) -> CableStatistics {
        self.of(direction, |path| path.line.statistics())
    }

    fn of<T>(&self, direction: Direction, what: impl FnOnce(&mut Path) -> T) -> T {
        what(self.0.state.borrow_mut().path(direction))
    }
}
