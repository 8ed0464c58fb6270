//! [`Ruleset`]: the forward chains of a host, as far as they concern a bridge of ours, and what becomes of a packet in them.
//!
//! Not all that a rule asks is known of a packet that is only imagined: where it goes, which protocol it is. So a condition
//! may hold, not hold, or perhaps hold. A rule that perhaps holds decides nothing, with one exception: an administrator who
//! names our bridge and accepts has thought of us. So what is called dropped here is dropped whatever the rest of it.

use std::collections::BTreeMap;

/// The deepest that chains may call each other. The kernel allows 16.
const MAX_DEPTH: usize = 32;

/// Chains by family, table and name.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Ruleset {
    pub(super) chains: BTreeMap<ChainId, Chain>,
}

/// Which chain.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ChainId {
    /// `ip` or `inet`.
    pub(super) family: String,
    pub(super) table: String,
    pub(super) name: String,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Chain {
    /// For a base chain of the forward hook: whether its policy is to drop.
    pub(super) base: Option<bool>,
    pub(super) rules: Vec<Rule>,
}

/// All of its conditions must hold for its action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) conditions: Vec<Condition>,
    pub(super) action: Action,
}

/// A condition, as far as it is understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// The interface on this side is, or is not, one of these.
    Interface { side: Side, names: Vec<Name>, is: bool },
    /// The state of the connection is, or is not, one of these.
    State { states: Vec<String>, is: bool },
    /// The state of the connection is something that we are not told: what iptables matches for its sake. Who accepts by it
    /// accepts what is established.
    SomeState,
    /// It holds for no IPv4 packet.
    Never,
    /// Anything else.
    Perhaps,
}

/// Where an interface is, seen from a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Input,
    Output,
}

/// An interface's name in a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Exactly(String),
    BeginsWith(String),
    /// One that is not understood.
    Some,
}

/// What a rule does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Accept,
    /// Or reject.
    Drop,
    Jump(String),
    Goto(String),
    Return,
    /// It leaves the decision to someone else: a program, a chain that is not known.
    Elsewhere,
    /// It counts, logs, marks.
    Nothing,
}

/// An imagined packet of a bridge of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packet<'a> {
    pub(super) bridge: &'a str,
    /// `Input`: the first of a connection, from the bridge to the world. `Output`: an answer to it.
    pub(super) side: Side,
}

/// What becomes of a packet in a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Accepted {
        /// By a rule that names our bridge.
        by_name: bool,
    },
    Dropped,
    Elsewhere,
    /// The chain has come to its end.
    Undecided,
}

/// How far a rule's conditions hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    Yes,
    No,
    Perhaps,
}

impl Ruleset {
    /// The base chains in which the packet surely ends.
    pub(super) fn drops<'a>(&'a self, packet: Packet<'_>) -> impl Iterator<Item = &'a ChainId> {
        self.chains.iter().filter_map(move |(id, chain)| {
            let policy_drops = chain.base?;
            let mut walk = Walk { ruleset: self, packet, known: BTreeMap::new() };
            let dropped = match walk.fate_in(id, chain, 0) {
                Fate::Dropped => true,
                Fate::Undecided => policy_drops,
                Fate::Accepted { .. } | Fate::Elsewhere => false,
            };
            dropped.then_some(id)
        })
    }

    /// Whether every packet that comes to the end of `chain` or before has gone to the chain `target`.
    pub(super) fn calls(&self, chain: &ChainId, target: &str) -> bool {
        let calls = |rule: &Rule| rule.conditions.is_empty() && rule.action == Action::Jump(target.to_owned());
        self.chains.get(chain).is_some_and(|chain| chain.rules.iter().any(calls))
    }
}

struct Walk<'a> {
    ruleset: &'a Ruleset,
    packet: Packet<'a>,
    /// So that no chain is walked twice, however often it is called.
    known: BTreeMap<&'a str, Fate>,
}

impl<'a> Walk<'a> {
    fn fate_in(&mut self, id: &'a ChainId, chain: &'a Chain, depth: usize) -> Fate {
        for rule in &chain.rules {
            let (holds, by_name) = self.packet.fits(&rule.conditions);
            let surely = match holds {
                Holds::No => continue,
                Holds::Yes => true,
                Holds::Perhaps => false,
            };
            let (fate, ends) = match &rule.action {
                Action::Accept if surely || by_name => (Fate::Accepted { by_name }, true),
                Action::Drop if surely => (Fate::Dropped, true),
                Action::Return if surely => (Fate::Undecided, true),
                Action::Elsewhere if surely => (Fate::Elsewhere, true),
                Action::Jump(target) => (self.fate_of(id, target, depth + 1), false),
                Action::Goto(target) => (self.fate_of(id, target, depth + 1), true),
                Action::Accept | Action::Drop | Action::Return | Action::Elsewhere | Action::Nothing => continue,
            };
            let is_for_us = surely || matches!(fate, Fate::Accepted { by_name: true });
            if is_for_us && (ends || fate != Fate::Undecided) {
                return fate;
            }
        }
        Fate::Undecided
    }

    fn fate_of(&mut self, caller: &ChainId, name: &'a str, depth: usize) -> Fate {
        if let Some(fate) = self.known.get(name) {
            return *fate;
        }
        let id = ChainId { name: name.to_owned(), ..caller.clone() };
        let ruleset = self.ruleset;
        let fate = match ruleset.chains.get_key_value(&id) {
            Some((id, chain)) if depth <= MAX_DEPTH => self.fate_in(id, chain, depth),
            Some(_) | None => Fate::Elsewhere,
        };
        self.known.insert(name, fate);
        fate
    }
}

impl Packet<'_> {
    /// Whether all conditions hold, and whether one of them names our bridge.
    fn fits(&self, conditions: &[Condition]) -> (Holds, bool) {
        let (mut all, mut by_name) = (Holds::Yes, false);
        for condition in conditions {
            let holds = match condition {
                Condition::Interface { side, names, is } if *side == self.side => {
                    let listed = self.is_among(names);
                    by_name |= listed == Holds::Yes && *is;
                    if *is { listed } else { listed.not() }
                }
                Condition::State { states, is } => {
                    let state = match self.side {
                        Side::Input => "new",
                        Side::Output => "established",
                    };
                    if states.iter().any(|listed| listed.eq_ignore_ascii_case(state)) == *is {
                        Holds::Yes
                    } else {
                        Holds::No
                    }
                }
                Condition::SomeState if self.side == Side::Output => Holds::Yes,
                Condition::Never => Holds::No,
                // The interface on the other side is any but ours.
                Condition::Interface { .. } | Condition::SomeState | Condition::Perhaps => Holds::Perhaps,
            };
            match holds {
                Holds::Yes => {}
                Holds::No => return (Holds::No, false),
                Holds::Perhaps => all = Holds::Perhaps,
            }
        }
        (all, by_name)
    }

    fn is_among(&self, names: &[Name]) -> Holds {
        let fits = |name: &Name| match name {
            Name::Exactly(name) => name == self.bridge,
            Name::BeginsWith(beginning) => self.bridge.starts_with(beginning.as_str()),
            Name::Some => false,
        };
        if names.iter().any(fits) {
            Holds::Yes
        } else if names.contains(&Name::Some) {
            Holds::Perhaps
        } else {
            Holds::No
        }
    }
}

impl Holds {
    fn not(self) -> Self {
        match self {
            Holds::Yes => Holds::No,
            Holds::No => Holds::Yes,
            Holds::Perhaps => Holds::Perhaps,
        }
    }
}
