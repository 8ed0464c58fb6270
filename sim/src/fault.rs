//! Faults, ready made: [rules](crate::rule) for what goes wrong on real wires.
//!
//! | what | rule | as `tc qdisc … netem` has it |
//! |---|---|---|
//! | frames are lost, each with the same probability | [`Loss`] | `loss random` |
//! | frames are lost in bursts | [`GilbertElliott`] | `loss gemodel` |
//! | frames take longer, some more and some less | [`Jitter`] | `delay 0 jitter` |
//! | some frames are held back and overtaken | [`Reorder`] | `reorder` |
//! | some frames come twice | [`Duplicate`] | `duplicate` |
//! | bits or bytes of some frames change | [`Corrupt`] | `corrupt` |
//! | nothing passes | [`Cut`] | `loss 100%` |
//! | nothing passes, now and then | [`Flap`] | |
//! | long frames vanish | [`MtuHole`] | |
//!
//! Some places no longer reach others: [`World::partition`](crate::World::partition).
//!
//! ```
//! use std::time::Duration;
//! use netns::manager::RunRequest;
//! use pontoon_sim::fault::{Jitter, Loss};
//! use pontoon_sim::{Place, Program, Scope, World};
//!
//! let mut world = World::builder().seed(1).up()?;
//! let web = world.run(RunRequest::new(vec!["httpd".into()]), Program::Sleep)?;
//! let web = Place::container(web.name.as_str());
//! let lossy = world.add_rule(Scope::place(&web).to_switch(), Loss::new(0.25)).expect("it is there");
//! world.add_rule(Scope::world(), Jitter::uniform(Duration::from_millis(5))).expect("the world is there").forget();
//!
//! let gateway = std::net::Ipv4Addr::new(172, 17, 0, 1);
//! let answered = (0..100).filter(|_| world.ping(&web, gateway)).count();
//! assert_eq!(answered, 72);
//!
//! drop(lossy);
//! assert!((0..100).all(|_| world.ping(&web, gateway)));
//! # Ok::<(), netns::error::Error>(())
//! ```
//!
//! Probabilities are numbers from 0 to 1; any other is a mistake of whoever says it, and panics.

mod damage;
mod delay;
mod loss;
mod outage;
#[cfg(test)]
mod tests;

pub use self::damage::{Corrupt, Duplicate};
pub use self::delay::{Jitter, Reorder};
pub use self::loss::{GilbertElliott, Loss};
pub(crate) use self::outage::Partition;
pub use self::outage::{Cut, Flap, MtuHole};

/// A probability.
///
/// # Panics
/// If it is none.
fn probability(number: f64) -> f64 {
    assert!((0.0..=1.0).contains(&number), "{number} is no probability: those are from 0 to 1");
    number
}
