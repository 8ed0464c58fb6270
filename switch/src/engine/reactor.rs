//! [`Reactor`]: what the loop waits with. One of two: [`Epoll`](super::epoll::Epoll) asks the kernel which ports are ready
//! and leaves it to their links to read and write; [`Uring`](super::uring::Uring) has the kernel read and write meanwhile.

use std::time::Duration;

use crate::dataplane::{Dataplane, Serviced, Watch};
use crate::link::Link;
use crate::time::Instant;
use crate::verdict::PortId;

/// Waits for ports, and moves frames between the kernel and their links.
pub(super) trait Reactor<L: Link>: Sized {
    /// Called once, on the thread that will wait.
    fn begin(&mut self);

    /// A port is waited for from now on.
    ///
    /// # Errors
    /// If it can not be.
    fn watch(&mut self, port: PortId, link: &mut L) -> nix::Result<()>;

    /// A port is not waited for any more, if it was. Its link may have gone already.
    fn forget(&mut self, port: PortId, dataplane: &mut Dataplane<L>);

    /// The ports that are waited for, ascending.
    fn watched(&self) -> impl Iterator<Item = PortId> + '_;

    /// Somebody watches from now on, or nobody any more: whoever watches is told at once what became of each copy.
    fn set_watched(&mut self, is_watched: bool, dataplane: &mut Dataplane<L>);

    /// Waits until something is ready, or for `patience` (`None`: for ever), and appends the ports whose turn has come: there
    /// may be some that have nothing. Says whether there are commands. Tells `watch` of results of frames sent before.
    fn wait(
        &mut self,
        patience: Option<Duration>,
        ready: &mut Vec<PortId>,
        dataplane: &mut Dataplane<L>,
        watch: &mut impl Watch,
    ) -> bool;

    /// Gives a port its turn.
    fn service(&mut self, port: PortId, now: Instant, dataplane: &mut Dataplane<L>, watch: &mut impl Watch)
    -> Serviced;
}
