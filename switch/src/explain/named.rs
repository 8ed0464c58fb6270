//! The same explanation with other names for its ports.

use super::{Decision, Egress, Explanation, Found, Lesson, Step};

impl<P> Explanation<P> {
    /// The same, with each port called as `name` says.
    pub fn named<Q>(self, name: impl Fn(P) -> Q) -> Explanation<Q> {
        let name = &name;
        Explanation {
            bridge: self.bridge,
            port: name(self.port),
            steps: self.steps.into_iter().map(|step| step.named(name)).collect(),
            egress: self.egress.into_iter().map(|egress| egress.named(name)).collect(),
            decision: self.decision.named(name),
        }
    }
}

impl<P> Step<P> {
    fn named<Q>(self, name: impl Fn(P) -> Q) -> Step<Q> {
        match self {
            Step::Parsed(header) => Step::Parsed(header),
            Step::Unreadable { length, reason } => Step::Unreadable { length, reason },
            Step::Source { station, reason } => Step::Source { station, reason },
            Step::Vlan { vlan, by, reason } => Step::Vlan { vlan, by, reason },
            Step::Learning { station, learned, stations, quota } => {
                Step::Learning { station, learned: learned.named(name), stations, quota }
            }
            Step::Reserved { destination } => Step::Reserved { destination },
            Step::Lookup { station, found } => Step::Lookup { station, found: found.named(name) },
        }
    }
}

impl<P> Lesson<P> {
    fn named<Q>(self, name: impl Fn(P) -> Q) -> Lesson<Q> {
        match self {
            Lesson::New => Lesson::New,
            Lesson::Refreshed => Lesson::Refreshed,
            Lesson::Moved { from } => Lesson::Moved { from: name(from) },
            Lesson::Refused { refusal, behind } => Lesson::Refused { refusal, behind: behind.map(name) },
        }
    }
}

impl<P> Found<P> {
    fn named<Q>(self, name: impl Fn(P) -> Q) -> Found<Q> {
        match self {
            Found::Group => Found::Group,
            Found::Known { behind, kind, age } => Found::Known { behind: name(behind), kind, age },
            Found::Expired { behind, age } => Found::Expired { behind: name(behind), age },
            Found::Unknown => Found::Unknown,
        }
    }
}

impl<P> Egress<P> {
    fn named<Q>(self, name: impl Fn(P) -> Q) -> Egress<Q> {
        Egress { port: name(self.port), is_local: self.is_local, fate: self.fate }
    }
}

impl<P> Decision<P> {
    fn named<Q>(self, name: impl Fn(P) -> Q) -> Decision<Q> {
        match self {
            Decision::Unicast { to } => Decision::Unicast { to: name(to) },
            Decision::Flood { to } => Decision::Flood { to: to.into_iter().map(name).collect() },
            Decision::Local { to } => Decision::Local { to: name(to) },
            Decision::Drop { reason } => Decision::Drop { reason },
        }
    }
}
