//! [`foreign_drops`]: whose chains drop the traffic of a bridge of ours, and what to do about it.
//!
//! In nftables every table has its say, and a drop is final: what our table accepts, the table of another may drop. On every
//! host with Docker, its chain `FORWARD` does. Only what is surely dropped is told; a rule that only perhaps lets a packet
//! pass does not help it (see `ruleset`).

use std::fs;
use std::io;

use super::remedy::{DOCKER_USER, Iptables, remedy};
use super::ruleset::{ChainId, Packet, Ruleset, Side};
use super::{legacy, nft, not_run, tool};
use crate::backend::BackendError;
use crate::firewall::quote;
use crate::linux::failure::Step;
use crate::linux::process::cause_of;

const LIST: [&str; 3] = ["-j", "list", "ruleset"];
const LEGACY_SAVE: &str = "iptables-legacy-save";
/// The tables of iptables' older side. Not below `/proc/net`, which is of the process's first thread.
const LEGACY_TABLES: &str = "/proc/thread-self/net/ip_tables_names";

/// What was found in the rules of others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Foreign {
    /// Chains that drop our traffic.
    pub drops: Vec<ForeignDrop>,
    /// What may be one but could not be read, and why, each in a sentence.
    pub unread: Vec<String>,
}

/// A chain of somebody else in which our traffic ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignDrop {
    /// Family and name, such as `ip filter`; for what nftables does not see, `iptables-legacy filter`.
    pub table: String,
    /// The base chain, such as `FORWARD`.
    pub chain: String,
    /// One command for a shell, to be run by root, after which this chain lets the traffic pass.
    pub remedy: String,
}

/// Finds the chains of the forward hook in which traffic from or to `bridge` ends, in the network namespace of the calling
/// thread.
///
/// # Errors
/// If there is no program `nft`, or what it prints can not be read.
pub fn foreign_drops(bridge: &str) -> Result<Foreign, BackendError> {
    let object = "nft -j list ruleset";
    // It will stand in a rule.
    quote(bridge).map_err(|why| Step::ReadFirewall.failed(object, why))?;
    let printed = tool::run("nft", &LIST, "").map_err(|why| not_run(Step::ReadFirewall, object, &why))?;
    let printed = printed.map_err(|said| Step::ReadFirewall.failed(object, said))?;
    let seen = nft::read(&printed).map_err(|why| Step::ReadFirewall.failed(object, why))?;
    let mut found = Foreign::default();
    let mut dropping = drops_in(seen, bridge);
    match read_legacy() {
        Ok(legacy) => dropping.extend(drops_in(legacy, bridge)),
        Err(why) => found.unread.push(why),
    }
    if !dropping.is_empty() {
        let iptables = which_iptables();
        found.drops = dropping.iter().map(|drop| drop.report(bridge, &iptables)).collect();
    }
    Ok(found)
}

/// A base chain that drops.
struct Dropping {
    chain: ChainId,
    sides: Vec<Side>,
    has_docker_user: bool,
}

impl Dropping {
    fn report(&self, bridge: &str, iptables: &Iptables) -> ForeignDrop {
        let ChainId { family, table, name } = &self.chain;
        ForeignDrop {
            table: format!("{family} {table}"),
            chain: name.clone(),
            remedy: remedy(bridge, &self.chain, self.has_docker_user, &self.sides, iptables),
        }
    }
}

fn drops_in(ruleset: Ruleset, bridge: &str) -> Vec<Dropping> {
    let mut found: Vec<Dropping> = Vec::new();
    for side in [Side::Input, Side::Output] {
        for chain in ruleset.drops(Packet { bridge, side }) {
            match found.iter_mut().find(|known| known.chain == *chain) {
                Some(known) => known.sides.push(side),
                None => found.push(Dropping {
                    chain: chain.clone(),
                    sides: vec![side],
                    has_docker_user: ruleset.calls(chain, DOCKER_USER),
                }),
            }
        }
    }
    found
}

/// The rules that nftables does not see. Why they can not be read, in a sentence.
fn read_legacy() -> Result<Ruleset, String> {
    let names = match fs::read_to_string(LEGACY_TABLES) {
        Ok(names) => names,
        // The kernel has no such side, or nobody uses it.
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(Ruleset::default()),
        Err(why) => return Err(format!("{LEGACY_TABLES} can not be read: {}", cause_of(&why))),
    };
    if !names.lines().any(|name| name == "filter") {
        return Ok(Ruleset::default());
    }
    let saved = tool::run(LEGACY_SAVE, &["-t", "filter"], "");
    let why = match saved {
        Ok(Ok(saved)) => return Ok(legacy::read(&saved)),
        Ok(Err(said)) => said,
        Err(why) if why.kind() == io::ErrorKind::NotFound => "there is no such program".to_owned(),
        Err(why) => cause_of(&why),
    };
    Err(format!("there are rules of iptables-legacy, which only {LEGACY_SAVE} can read: {why}"))
}

fn which_iptables() -> Iptables {
    let says = |program: &str, word: &str| {
        tool::run(program, &["--version"], "").is_ok_and(|version| version.is_ok_and(|version| version.contains(word)))
    };
    let nft = ["iptables", "iptables-nft"].into_iter().find(|program| says(program, "(nf_tables)"));
    // Before there were two sides, the version did not say which.
    let is_legacy = nft != Some("iptables") && says("iptables", "iptables v");
    Iptables { nft, legacy: if is_legacy { "iptables" } else { "iptables-legacy" } }
}
