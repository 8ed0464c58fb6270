//! Our nftables tables, put in place by `nft`, and what other tables do to our traffic.
//!
//! What it does is done in the network namespace of the calling thread. Nothing is kept here: the tables are the state.
//!
//! `docker` lets ours pass the rules that Docker keeps. `foreign` looks for chains of others that drop what is ours: `nft` and `legacy` read them into a `ruleset`, which is then
//! asked what becomes of a packet; `remedy` is what a person may do. `journal` reads what instances of ours note for each
//! other, `silence` whether one of them has an interface for its own. `watch` hears what becomes of our tables. `tool` runs the programs.

mod docker;
mod foreign;
mod journal;
mod legacy;
mod nft;
mod remedy;
mod ruleset;
mod silence;
mod tool;
mod watch;

pub use self::docker::{pass_docker, passes_docker};
pub use self::foreign::{Foreign, ForeignDrop, foreign_drops};
pub(super) use self::journal::journals;
pub(super) use self::silence::silenced_by_others;
pub(super) use self::watch::Watch;

use super::failure::{Failure, Step};
use super::survey::index_of;
use crate::backend::BackendError;
use crate::firewall::Policy;

/// Puts the policy, whole, in the place of the instance's last one: after a failure the last one still stands.
///
/// An interface of [`Policy::silenced`] that is not there is passed over, as there is nothing to silence: once it is there,
/// apply the policy again.
///
/// # Errors
/// If there is no program `nft`, a name can not be written down, or the kernel refuses.
pub fn apply(policy: &Policy) -> Result<(), BackendError> {
    let mut policy = policy.clone();
    policy.silenced.retain(|name| index_of(name).is_some());
    let object = format!("instance {}", policy.instance);
    let script = policy.script().map_err(|why| Step::SetFirewall.failed(&object, why))?;
    let done = tool::run("nft", &["-f", "-"], &script).map_err(|why| not_run(Step::SetFirewall, &object, &why))?;
    done.map_err(|said| Step::SetFirewall.failed(&object, said))?;
    Ok(())
}

/// Removes the instance's tables, if they are there.
///
/// # Errors
/// As [`apply`].
pub fn remove(instance: &str) -> Result<(), BackendError> {
    apply(&Policy::none(instance))
}

/// Whether an instance of ours has switched on what forwards on the host; `false` where that can not be read.
#[must_use]
pub fn forwards_for_us() -> bool {
    journals().is_ok_and(|noted| !noted.is_empty())
}

/// What it means that `nft` could not be run.
fn not_run(step: Step, object: &str, why: &std::io::Error) -> Failure {
    if why.kind() == std::io::ErrorKind::NotFound {
        return Step::FindNft.failed("nft", "it is not installed");
    }
    step.failed(object, format_args!("nft: {}", super::process::cause_of(why)))
}
