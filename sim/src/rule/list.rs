//! [`Rules`]: those that are installed, in their order; what they say of a frame together.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use super::scope::Resolved;
use super::{Fate, LineId, Passage, Rule};
use crate::chance::Chance;
use crate::clock::mix;
use crate::namespace::NamespaceId;

/// The rules of a world.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    seed: u64,
    installed: Cell<u64>,
    list: RefCell<Vec<Installed>>,
}

struct Installed {
    scope: Resolved,
    chance: Chance,
    stays: Rc<Cell<bool>>,
    rule: Box<dyn Rule>,
}

/// Holds a rule in place: when this is dropped, the rule goes. Frames that it has delayed are still on their way.
#[derive(Debug)]
#[must_use = "the rule goes when this is dropped; `forget` lets it stay"]
pub struct RuleGuard(Option<Rc<Cell<bool>>>);

/// What the rules have made of a frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Judgement {
    pub(crate) frame: Vec<u8>,
    pub(crate) delay: Duration,
    /// How much after the frame each copy of it comes.
    pub(crate) copies: Vec<Duration>,
    /// The rule that dropped it.
    pub(crate) dropped_by: Option<&'static str>,
    /// The rules that had something to say of it.
    pub(crate) by: Vec<&'static str>,
}

impl Rules {
    pub(crate) fn new(seed: u64) -> Self {
        Rules { seed, ..Rules::default() }
    }

    /// Whether nobody has anything to say of any frame.
    pub(crate) fn is_empty(&self) -> bool {
        self.list.borrow().is_empty()
    }

    pub(crate) fn install(&self, scope: Resolved, rule: Box<dyn Rule>) -> RuleGuard {
        let number = self.installed.get();
        self.installed.set(number + 1);
        let (chance, stays) = (Chance::new(mix(self.seed ^ mix(number))), Rc::new(Cell::new(true)));
        self.list.borrow_mut().push(Installed { scope, chance, stays: Rc::clone(&stays), rule });
        RuleGuard(Some(stays))
    }

    /// Asks all rules in whose scope a frame is.
    pub(crate) fn judge(
        &self,
        now: Duration,
        line: LineId,
        namespace: Option<NamespaceId>,
        port: &str,
        frame: Vec<u8>,
    ) -> Judgement {
        let list = &mut *self.list.borrow_mut();
        list.retain(|installed| installed.stays.get());
        let mut judgement = Judgement::of(frame);
        for installed in list.iter_mut().filter(|installed| installed.scope.has(line, namespace)) {
            let mut passage = Passage { now, line, port, frame: &judgement.frame, chance: &mut installed.chance };
            let fate = installed.rule.decide(&mut passage);
            judgement.add(fate, installed.rule.name());
            if judgement.dropped_by.is_some() {
                break;
            }
        }
        judgement
    }
}

impl Judgement {
    /// What becomes of a frame of which nobody says anything.
    pub(crate) fn of(frame: Vec<u8>) -> Self {
        Judgement { frame, delay: Duration::ZERO, copies: Vec::new(), dropped_by: None, by: Vec::new() }
    }

    fn add(&mut self, fate: Fate, name: &'static str) {
        match fate {
            Fate::Pass => return,
            Fate::DeliverAfter(delay) => self.delay = self.delay.saturating_add(delay),
            Fate::Duplicate(after) => self.copies.push(after),
            Fate::Corrupt(frame) => self.frame = frame,
            Fate::Drop => self.dropped_by = Some(name),
        }
        self.by.push(name);
    }
}

impl RuleGuard {
    /// Lets the rule stay for as long as the world lasts.
    pub fn forget(mut self) {
        self.0 = None;
    }
}

impl Drop for RuleGuard {
    fn drop(&mut self) {
        if let Some(stays) = &self.0 {
            stays.set(false);
        }
    }
}

impl fmt::Debug for Installed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Installed").field("scope", &self.scope).field("rule", &self.rule.name()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cable::{CableId, Direction};
    use crate::rule::{Applies, Scope};

    const LINE: LineId = LineId { cable: CableId(1), direction: Direction::ToSwitch };

    fn install(rules: &Rules, fate: Fate) -> RuleGuard {
        let always = move |_: &mut Passage<'_>| fate.clone();
        rules.install(Scope::world().resolved(Applies::Everywhere), Box::new(always))
    }

    fn judge(rules: &Rules, line: LineId) -> Judgement {
        rules.judge(Duration::ZERO, line, Some(NamespaceId(0)), "web.eth0", vec![1; 60])
    }

    #[test]
    fn what_rules_say_adds_up() {
        let rules = Rules::new(0);
        let fates = [
            Fate::DeliverAfter(Duration::from_millis(2)),
            Fate::Pass,
            Fate::Duplicate(Duration::ZERO),
            Fate::Corrupt(vec![2; 60]),
            Fate::DeliverAfter(Duration::from_millis(3)),
            Fate::Duplicate(Duration::from_millis(1)),
        ];
        let _guards = fates.map(|fate| install(&rules, fate));
        let expected = Judgement {
            frame: vec![2; 60],
            delay: Duration::from_millis(5),
            copies: vec![Duration::ZERO, Duration::from_millis(1)],
            dropped_by: None,
            by: vec!["rule"; 5],
        };
        assert_eq!(judge(&rules, LINE), expected);
    }

    #[test]
    fn a_rule_sees_what_those_before_it_made_of_the_frame_and_none_sees_what_was_dropped() {
        let rules = Rules::new(0);
        let asked = Rc::new(RefCell::new(Vec::new()));
        let watch = || {
            let asked = Rc::clone(&asked);
            let watcher = move |passage: &mut Passage<'_>| {
                asked.borrow_mut().push(passage.frame[0]);
                Fate::Pass
            };
            rules.install(Scope::world().resolved(Applies::Everywhere), Box::new(watcher))
        };
        let _first = watch();
        let _spoils = install(&rules, Fate::Corrupt(vec![2; 60]));
        let _second = watch();
        let _drops = install(&rules, Fate::Drop);
        let _third = watch();
        assert_eq!(judge(&rules, LINE).dropped_by, Some("rule"));
        assert_eq!(*asked.borrow(), [1, 2]);
    }

    #[test]
    fn a_rule_goes_with_its_guard_unless_that_is_forgotten() {
        let rules = Rules::new(0);
        let delayed = |rules: &Rules| judge(rules, LINE).delay.as_millis();
        let guard = install(&rules, Fate::DeliverAfter(Duration::from_millis(1)));
        install(&rules, Fate::DeliverAfter(Duration::from_millis(2))).forget();
        assert_eq!(delayed(&rules), 3);
        drop(guard);
        assert_eq!((delayed(&rules), rules.is_empty()), (2, false));
    }

    #[test]
    fn a_rule_is_asked_in_its_scope_only() {
        let rules = Rules::new(0);
        let place = crate::Place::Host;
        let scopes = [
            Scope::world().resolved(Applies::Everywhere),
            Scope::place(&place).resolved(Applies::In(NamespaceId(0))),
            Scope::place(&place).resolved(Applies::In(NamespaceId(1))),
            Scope::cable(&place, "eth0").to_switch().resolved(Applies::On(CableId(1))),
            Scope::cable(&place, "eth0").from_switch().resolved(Applies::On(CableId(1))),
            Scope::world().from_switch().resolved(Applies::On(CableId(2))),
        ];
        let bit = |at: u32| move |_: &mut Passage<'_>| Fate::DeliverAfter(Duration::from_nanos(1 << at));
        let _guards: Vec<RuleGuard> =
            (0..).zip(scopes).map(|(at, scope)| rules.install(scope, Box::new(bit(at)))).collect();
        assert_eq!(judge(&rules, LINE).delay.as_nanos(), 0b00_1011);
        let back = LineId { direction: Direction::FromSwitch, ..LINE };
        assert_eq!(judge(&rules, back).delay.as_nanos(), 0b01_0011);
        assert_eq!(judge(&rules, LineId { cable: CableId(2), ..back }).delay.as_nanos(), 0b10_0011);
    }

    #[test]
    fn each_rule_has_chance_of_its_own() {
        let drawn = |rules: &Rules| {
            let by_chance =
                |passage: &mut Passage<'_>| Fate::DeliverAfter(Duration::from_nanos(passage.chance.bits() >> 2));
            rules.install(Scope::world().resolved(Applies::Everywhere), Box::new(by_chance))
        };
        let (one, two) = (Rules::new(7), Rules::new(7));
        let _alone = drawn(&one);
        let (_first, _second) = (drawn(&two), drawn(&two));
        let (single, both) = (judge(&one, LINE).delay, judge(&two, LINE).delay);
        assert_ne!(both, single * 2, "the second draws otherwise");
        assert!(both > single);
    }
}
