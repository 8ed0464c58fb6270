//! [`Reference`]: who is where, and what is to come of each step, in the plainest words.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use proptest_state_machine::ReferenceStateMachine;
use switch::mac::MacAddr;
use switch::port::PortConfig;
use switch::time::Instant;
use switch::verdict::{DropReason, PortId, Verdict};

use super::step::{Command, Mode, Net, Sender, Sent, Station, Step, Way, Who, any_step};
use crate::model::Model;

/// How long a network remembers a station.
const AGEING: Duration = Duration::from_secs(300);
/// How long a step takes, so that what it sent has arrived.
pub const A_STEP: Duration = Duration::from_millis(1);

/// What there is.
#[derive(Clone, Debug)]
pub struct Reference {
    pub daemon: bool,
    now: Instant,
    pub nets: BTreeMap<Net, Switch>,
    pub living: BTreeMap<Who, Container>,
    next_port: u16,
    /// Whether the last step was one that succeeds; none if it is nothing that anybody is answered.
    pub answer: Option<bool>,
    /// Frames that were sent, and by whom they are heard in the last step: by number.
    pub heard: Vec<(u32, Sent, BTreeSet<Ear>)>,
    pub frames: u32,
    /// Sent while no daemon was there. Of one sender only: the order among several is nobody's promise.
    waiting: Vec<(u32, Sent)>,
}

/// A network: its switch, and what its ports have counted.
#[derive(Clone, Debug)]
pub struct Switch {
    model: Model,
    pub ends: BTreeMap<Sender, End>,
    pub counted: BTreeMap<Sender, Counted>,
    /// What ports had counted that may come back, and the sum of those that do not.
    left: BTreeMap<Sender, Counted>,
    ended: Counted,
}

#[derive(Clone, Copy, Debug)]
pub struct End {
    port: PortId,
    pub up: bool,
    /// Whether its cable lets pass what it sends, and what it is to hear.
    sends: bool,
    hears: bool,
}

/// What came in by a port, by what became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    pub forwarded: u64,
    pub flooded: u64,
    pub local: u64,
    pub drops: BTreeMap<DropReason, u64>,
}

/// Who hears: an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ear {
    pub net: Net,
    pub at: Sender,
}

#[derive(Clone, Debug)]
pub struct Container {
    pub mode: Mode,
    /// The networks that it is on, with the last byte of the address there if it asked for one.
    pub on: BTreeMap<Net, Option<u8>>,
}

/// The address of a container on a network, which it is given on the command line.
pub fn mac_of(who: Who, net: Net) -> MacAddr {
    MacAddr([2, 0, 0, 0, net as u8, who.0])
}

/// Stands for the host's address on a network.
const GATEWAY: MacAddr = MacAddr([2, 0xff, 0, 0, 0, 0]);

/// An address in bytes; none for the host's, which only the world knows.
pub fn bytes_of(station: Station, net: Net) -> Option<MacAddr> {
    match station {
        Station::Of(who) => Some(mac_of(who, net)),
        Station::Gateway => None,
        Station::Stranger(number) => Some(MacAddr([2, 0xee, 0, 0, 0, number])),
        Station::Broadcast => Some(MacAddr::BROADCAST),
        Station::Multicast => Some(MacAddr([1, 0, 0x5e, 0, 0, 9])),
        Station::Reserved => Some(MacAddr([1, 0x80, 0xc2, 0, 0, 0x0e])),
        Station::Zero => Some(MacAddr::ZERO),
    }
}

impl Counted {
    fn add(&mut self, other: &Counted) {
        self.forwarded += other.forwarded;
        self.flooded += other.flooded;
        self.local += other.local;
        for (reason, count) in &other.drops {
            *self.drops.entry(*reason).or_default() += count;
        }
    }
}

impl Switch {
    /// With nobody but the host.
    fn new() -> Self {
        let mut switch = Switch {
            model: Model::new(AGEING, false),
            ends: BTreeMap::new(),
            counted: BTreeMap::new(),
            left: BTreeMap::new(),
            ended: Counted::default(),
        };
        switch.plug(Sender::Host, PortId(0), true);
        switch
    }

    fn plug(&mut self, whose: Sender, port: PortId, up: bool) {
        let local = (whose == Sender::Host).then_some(GATEWAY);
        self.model.plug(port, PortConfig { local, ..PortConfig::default() });
        self.ends.insert(whose, End { port, up, sends: true, hears: true });
        let counted = self.left.remove(&whose).unwrap_or_default();
        self.counted.insert(whose, counted);
    }

    fn unplug(&mut self, whose: Sender) {
        if let Some(end) = self.ends.remove(&whose) {
            self.model.unplug(end.port);
            self.left.extend(self.counted.remove_entry(&whose));
        }
    }

    /// A container has ended: one of its name begins anew.
    fn bury(&mut self, whose: Sender) {
        self.unplug(whose);
        if let Some(counted) = self.left.remove(&whose) {
            self.ended.add(&counted);
        }
    }

    /// What the ports have counted that are not there.
    pub fn departed(&self) -> Counted {
        let mut sum = self.ended.clone();
        self.left.values().for_each(|counted| sum.add(counted));
        sum
    }

    /// Another daemon: the same ports, which count on, and no stations.
    fn forget(&mut self) {
        let mut ends = std::mem::take(&mut self.ends);
        self.model = Model::new(AGEING, false);
        self.left.append(&mut self.counted);
        while let Some((whose, end)) = ends.pop_first() {
            self.plug(whose, end.port, end.up);
            self.ends.insert(whose, end);
        }
    }

    /// A frame comes in; who hears it.
    fn ingress(&mut self, whose: Sender, from: MacAddr, to: MacAddr, now: Instant) -> BTreeSet<Sender> {
        let verdict = self.model.ingress(self.ends[&whose].port, to, from, None, now);
        let counted = self.counted.get_mut(&whose).expect("a port counts");
        let egress: Vec<PortId> = match &verdict {
            Verdict::Unicast { egress, .. } => {
                counted.forwarded += 1;
                vec![*egress]
            }
            Verdict::Local { egress, .. } => {
                counted.local += 1;
                vec![*egress]
            }
            Verdict::Flood { to, .. } => {
                counted.flooded += 1;
                to.iter().collect()
            }
            Verdict::Drop(reason) => {
                *counted.drops.entry(*reason).or_default() += 1;
                Vec::new()
            }
        };
        let hears = |(_, end): &(&Sender, &End)| end.up && end.hears && egress.contains(&end.port);
        self.ends.iter().filter(hears).map(|(whose, _)| *whose).collect()
    }

    /// Which station is heard behind whom; the host's own address is not learned.
    pub fn stations(&self, now: Instant) -> BTreeSet<(MacAddr, Sender)> {
        let whose = |port: PortId| self.ends.iter().find(|(_, end)| end.port == port).map(|(whose, _)| *whose);
        let heard = self.model.stations(now);
        heard.into_iter().map(|(_, station, port)| (station, whose(port).expect("a live port"))).collect()
    }
}

impl Reference {
    pub fn stations(&self, net: Net) -> BTreeSet<(MacAddr, Sender)> {
        self.nets[&net].stations(self.now)
    }

    /// The containers whose interface on a network is there.
    pub fn on(&self, net: Net) -> impl Iterator<Item = Who> {
        self.living.iter().filter(move |(_, container)| container.on.contains_key(&net)).map(|(who, _)| *who)
    }

    fn allows_run(&self, who: Who, mode: Mode, ip: Option<u8>) -> bool {
        let is_free = |net: Net| ip.is_none() || self.on(net).all(|other| self.living[&other].on[&net] != ip);
        !self.living.contains_key(&who)
            && match mode {
                Mode::On(net) => self.nets.contains_key(&net) && is_free(net),
                Mode::Host | Mode::None => ip.is_none(),
                Mode::Of(target) => ip.is_none() && self.living.contains_key(&target),
            }
    }

    fn allows_connect(&self, who: Who, net: Net) -> bool {
        let is_fit = |container: &Container| matches!(container.mode, Mode::On(_)) && !container.on.contains_key(&net);
        self.nets.contains_key(&net) && self.living.get(&who).is_some_and(is_fit)
    }

    fn allows_disconnect(&self, who: Who, net: Net) -> bool {
        self.living.get(&who).is_some_and(|container| container.on.contains_key(&net))
    }

    fn join(&mut self, who: Who, net: Net, ip: Option<u8>) {
        self.next_port += 1;
        let (port, now) = (PortId(self.next_port), self.now);
        let switch = self.nets.get_mut(&net).expect("it is there");
        let whose = Sender::Container(who);
        switch.plug(whose, port, true);
        // It says who it is, as Linux does with `arp_notify`.
        switch.ingress(whose, mac_of(who, net), MacAddr::BROADCAST, now);
        self.living.get_mut(&who).expect("it lives").on.insert(net, ip);
    }

    fn leave(&mut self, who: Who, net: Net) {
        self.nets.get_mut(&net).expect("it is there").unplug(Sender::Container(who));
        self.living.get_mut(&who).expect("it lives").on.remove(&net);
    }

    fn end(&mut self, who: Who) {
        self.nets.values_mut().for_each(|net| net.bury(Sender::Container(who)));
        self.living.remove(&who);
    }

    fn start_daemon(&mut self) {
        self.daemon = true;
        self.nets.values_mut().for_each(Switch::forget);
        for (number, sent) in std::mem::take(&mut self.waiting) {
            // What waited in an interface that is gone went with it.
            if self.nets.get(&sent.net).is_some_and(|net| net.ends.contains_key(&sent.sender)) {
                self.send(number, sent);
            }
        }
    }

    fn send(&mut self, number: u32, sent: Sent) {
        let bytes = |station| bytes_of(station, sent.net).unwrap_or(GATEWAY);
        let now = self.now;
        let net = self.nets.get_mut(&sent.net).expect("it is there");
        let heard = net.ingress(sent.sender, bytes(sent.from), bytes(sent.to), now);
        let ears = heard.into_iter().map(|at| Ear { net: sent.net, at }).collect();
        self.heard.push((number, sent, ears));
    }

    fn run(&mut self, who: Who, mode: Mode, ip: Option<u8>) {
        self.living.insert(who, Container { mode, on: BTreeMap::new() });
        if let Mode::On(net) = mode {
            self.join(who, net, ip);
        }
    }

    /// What is left when a daemon was killed over a command, and what it did was taken back.
    fn strike(&mut self, command: Command) {
        match command {
            Command::Run { .. } | Command::Connect { .. } => {}
            Command::Remove(who) => self.end(who),
            Command::Disconnect { who, net } => self.leave(who, net),
        }
        self.start_daemon();
    }

    /// Does it if it may be done.
    fn answered(&mut self, is_allowed: bool, work: impl FnOnce(&mut Self)) {
        self.answer = Some(is_allowed);
        if is_allowed {
            work(self);
        }
    }
}

impl ReferenceStateMachine for Reference {
    type State = Self;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Self> {
        let nets = [(Net::Bridge, Switch::new()), (Net::Red, Switch::new())].into();
        Just(Reference {
            daemon: true,
            now: Instant::ZERO,
            nets,
            living: BTreeMap::new(),
            next_port: 0,
            answer: None,
            heard: Vec::new(),
            frames: 0,
            waiting: Vec::new(),
        })
        .boxed()
    }

    fn transitions(_: &Self) -> BoxedStrategy<Step> {
        any_step().boxed()
    }

    fn preconditions(state: &Self, step: &Step) -> bool {
        match step {
            Step::Run { mode: Mode::Of(target), who, .. } => state.daemon && target != who,
            Step::Run { .. }
            | Step::Stop(_)
            | Step::Remove(_)
            | Step::Connect { .. }
            | Step::Disconnect { .. }
            | Step::CreateBlue
            | Step::RemoveBlue
            | Step::KillDaemon => state.daemon,
            Step::Die(who) => state.living.contains_key(who),
            Step::Link { who, net, .. } => {
                state.living.get(who).is_some_and(|container| container.on.contains_key(net))
            }
            // (What waits in an interface is in its cable already.)
            Step::Cut { who, net, .. } => {
                state.daemon && state.living.get(who).is_some_and(|container| container.on.contains_key(net))
            }
            Step::Wait { .. } | Step::Heal => true,
            Step::StartDaemon => !state.daemon,
            Step::Send(sent) => {
                let end = state.nets.get(&sent.net).and_then(|net| net.ends.get(&sent.sender));
                let is_alone =
                    state.waiting.iter().all(|(_, other)| (other.net, other.sender) == (sent.net, sent.sender));
                // (The host's interfaces go with the daemon and come with it, unless somebody keeps them.)
                let is_there = state.daemon || (is_alone && sent.sender != Sender::Host);
                is_there && end.is_some_and(|end| end.up)
            }
            Step::Struck { command, .. } => {
                state.daemon
                    && match *command {
                        Command::Run { who, net } => state.allows_run(who, Mode::On(net), None),
                        Command::Remove(who) => state.living.contains_key(&who),
                        Command::Connect { who, net } => state.allows_connect(who, net),
                        Command::Disconnect { who, net } => state.allows_disconnect(who, net),
                    }
            }
        }
    }

    fn apply(mut state: Self, step: &Step) -> Self {
        (state.answer, state.heard) = (None, Vec::new());
        match *step {
            Step::Run { who, mode, ip } => {
                state.answered(state.allows_run(who, mode, ip), |state| state.run(who, mode, ip));
            }
            Step::Stop(who) | Step::Remove(who) => {
                state.answered(state.living.contains_key(&who), |state| state.end(who));
            }
            Step::Die(who) => state.end(who),
            Step::Connect { who, net } => {
                state.answered(state.allows_connect(who, net), |state| state.join(who, net, None));
            }
            Step::Disconnect { who, net } => {
                state.answered(state.allows_disconnect(who, net), |state| state.leave(who, net));
            }
            Step::CreateBlue => {
                let is_new = !state.nets.contains_key(&Net::Blue);
                state.answered(is_new, |state| drop(state.nets.insert(Net::Blue, Switch::new())));
            }
            Step::RemoveBlue => {
                let is_free = state.nets.contains_key(&Net::Blue) && state.on(Net::Blue).next().is_none();
                state.answered(is_free, |state| drop(state.nets.remove(&Net::Blue)));
            }
            Step::Send(sent) => {
                state.frames += 1;
                let number = state.frames;
                if !state.nets[&sent.net].ends[&sent.sender].sends {
                    // It is lost on the way to the switch.
                } else if state.daemon {
                    state.send(number, sent);
                } else {
                    state.waiting.push((number, sent));
                }
            }
            Step::Link { who, net, up } => {
                let net = state.nets.get_mut(&net).expect("it is there");
                net.ends.get_mut(&Sender::Container(who)).expect("it has one").up = up;
            }
            Step::Cut { who, net, way } => {
                let net = state.nets.get_mut(&net).expect("it is there");
                let end = net.ends.get_mut(&Sender::Container(who)).expect("it has one");
                match way {
                    Way::ToSwitch => end.sends = false,
                    Way::FromSwitch => end.hears = false,
                }
            }
            Step::Heal => {
                let ends = state.nets.values_mut().flat_map(|net| net.ends.values_mut());
                ends.for_each(|end| (end.sends, end.hears) = (true, true));
            }
            Step::Wait { seconds } => state.now = state.now + Duration::from_secs(seconds),
            Step::KillDaemon => state.daemon = false,
            Step::StartDaemon => state.start_daemon(),
            Step::Struck { command, .. } => state.strike(command),
        }
        state.now = state.now + A_STEP;
        state
    }
}
