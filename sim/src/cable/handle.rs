//! [`CableHandle`]: what a test holds of a cable, to see and to change what it is like while frames are on it.

use std::rc::Rc;

use super::body::{Body, Path};
use super::{Cable, CableDrop, CableEnd, CableId, CableStatistics, Direction};
use crate::offload::Frame;

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

    /// Puts a frame on the cable as if its interface had sent it: faster than [`World::inject`](crate::World::inject), and the
    /// MTU does not matter. On a cable between two networks it is as if it came from the second one.
    ///
    /// # Errors
    /// If the interface is switched off, or there is no room for it. What a rule drops is no error.
    pub fn inject(&self, frame: Vec<u8>) -> Result<(), CableDrop> {
        self.send(Direction::ToSwitch, frame.into())
    }

    pub(super) fn send(&self, direction: Direction, frame: Frame) -> Result<(), CableDrop> {
        let body = &*self.0;
        let up = body.state.borrow().up[direction as usize];
        let sent = if up {
            body.hand_over(direction, frame, 0)
        } else {
            body.refuse(&mut body.state.borrow_mut(), direction, CableDrop::Off, &frame.bytes);
            Err(CableDrop::Off)
        };
        sent.inspect_err(|_| body.state.borrow_mut().counters(direction).tx_dropped += 1)
    }

    pub(crate) fn id(&self) -> CableId {
        self.0.id
    }

    /// Lets both receivers look: they may be new.
    pub(crate) fn wake(&self) {
        let state = &mut *self.0.state.borrow_mut();
        Direction::ALL.into_iter().for_each(|direction| self.0.wake(state, direction));
    }

    /// The ends of a cable between two switches.
    pub(crate) fn ends(&self) -> [CableEnd; 2] {
        Direction::ALL.map(|takes| CableEnd::new(&self.0, takes))
    }

    fn of<T>(&self, direction: Direction, what: impl FnOnce(&mut Path) -> T) -> T {
        what(self.0.state.borrow_mut().path(direction))
    }
}
