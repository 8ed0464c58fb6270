//! The verbs about cables.

use super::{Place, World};
use crate::cable::CableHandle;
use crate::interface::Kind;
use crate::socket::SocketError;

impl World {
    /// The cable behind an interface, to be looked at and changed at any time.
    ///
    /// ```
    /// use std::time::Duration;
    /// # use netns::manager::RunRequest;
    /// # use pontoon_sim::Program;
    /// use pontoon_sim::{Cable, CableDrop, Direction, Place, World};
    ///
    /// let mut world = World::builder().cable(Cable { rate: Some(1_000_000_000), ..Cable::default() }).up()?;
    /// # let web = world.run(RunRequest::new(vec!["httpd".into()]), Program::Sleep)?;
    /// let web = Place::container(web.name.as_str());
    /// let cable = world.cable(&web, "eth0").expect("it is on a network");
    /// cable.set_direction(Direction::ToSwitch, Cable { latency: Duration::from_millis(20), ..Cable::default() });
    ///
    /// let before = world.now();
    /// assert!(world.ping(&web, [172, 17, 0, 1]));
    /// assert!(world.now() - before > Duration::from_millis(20));
    /// assert_eq!(cable.statistics(Direction::ToSwitch).dropped_for(CableDrop::QueueFull), 0);
    /// # Ok::<(), netns::error::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the place or the interface is not there, or it leads to no switch.
    pub fn cable(&mut self, place: &Place, interface: &str) -> Result<CableHandle, SocketError> {
        self.within(place, |namespace, _| match namespace.interface(interface).map(|found| &found.kind) {
            Some(Kind::Cable(jack)) => Ok(jack.handle()),
            Some(Kind::Loopback(_) | Kind::Dummy(_)) | None => Err(SocketError::NoSuchDevice),
        })?
    }
}
