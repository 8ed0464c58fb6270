//! [`Subject`]: a simulated world that does what a plan says, and is looked at after every step.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use netns::error::Error;
use netns::manager::{ConnectRequest, NetworkRequest, RunRequest};
use netns::mode::NetworkMode;
use netns::name::Name;
use proptest_state_machine::StateMachineTest;
use sim::fault::Cut;
use sim::{Place, Program, RuleGuard, Scope, SocketError, World};
use switch::counters::PortCounters;
use switch::fdb::EntryKind;
use switch::mac::MacAddr;
use switch::port::PortConfig;
use switch::verdict::DropReason;

use super::reference::{A_STEP, Counted, Ear, Reference, bytes_of, mac_of};
use super::step::{Command, Mode, Net, Sender, Station, Step, Way, Who};
use crate::frames::{EXPERIMENTAL, ethernet};

/// A world, and the frames that were sent in it.
pub struct Subject {
    world: World,
    frames: BTreeMap<u32, Vec<u8>>,
    /// The bridges of the networks, and the host's address on each, as they were last seen.
    bridges: BTreeMap<Net, (String, MacAddr)>,
    /// What was heard in the last step.
    heard: BTreeMap<Ear, Vec<Vec<u8>>>,
    answer: Option<bool>,
    cuts: Vec<RuleGuard>,
    /// The last that said no, for people.
    refusal: String,
    /// How often somebody was struck down over a container that may have said who it is before that was taken back.
    announced: u64,
}

impl Subject {
    fn ask<T>(&mut self, result: Result<T, Error>) {
        self.refusal = result.as_ref().err().map_or_else(String::new, ToString::to_string);
        self.answer = Some(result.is_ok());
    }

    /// An interface, as it can be reached: by its place and its name.
    fn interface(&mut self, ear: Ear) -> Option<(Place, String)> {
        match ear.at {
            Sender::Host => Some((Place::Host, self.bridges.get(&ear.net)?.0.clone())),
            Sender::Container(who) => {
                let name = who.name();
                let place = Place::container(&name);
                let interfaces = self.world.interfaces(&place).ok()?;
                let own = interfaces.into_iter().find(|each| each.mac == mac_of(who, ear.net))?;
                Some((place, own.name))
            }
        }
    }

    /// Notes the bridges, which only a daemon knows.
    fn look_around(&mut self) {
        if !self.world.is_up() {
            return;
        }
        let networks = self.world.bridge_networks().expect("a daemon answers");
        let known = |net: &Net| networks.iter().find(|network| network.name.as_str() == net.name());
        self.bridges =
            Net::ALL.into_iter().filter_map(|net| known(&net).map(|it| (net, (it.bridge.clone(), it.mac)))).collect();
    }

    fn run(&mut self, who: Who, mode: Mode, ip: Option<u8>) -> Result<(), Error> {
        let mut request = RunRequest::new(vec!["sleep".to_owned()]);
        request.name = Some(name(&who.name()));
        request.detached = true;
        request.auto_remove = true;
        request.mode = match mode {
            Mode::On(net) => NetworkMode::Bridge(name(net.name())),
            Mode::Host => NetworkMode::Host,
            Mode::None => NetworkMode::None,
            Mode::Of(target) => NetworkMode::Container(target.name()),
        };
        if let Mode::On(net) = mode {
            request.mac = Some(mac_of(who, net));
            request.ip = ip.and_then(|last| self.address(net, last));
        } else {
            request.ip = ip.map(|last| Ipv4Addr::new(172, 17, 0, last));
        }
        self.world.run(request, Program::Sleep).map(drop)
    }

    /// An address of a network by its last byte; none if there is no such network, which is refused anyway.
    fn address(&mut self, net: Net, last: u8) -> Option<Ipv4Addr> {
        let networks = self.world.bridge_networks().expect("a daemon answers");
        let network = networks.into_iter().find(|network| network.name.as_str() == net.name())?;
        let [a, b, c, _] = network.subnet.network().octets();
        Some(Ipv4Addr::new(a, b, c, last))
    }

    fn connect(&mut self, who: Who, net: Net) -> Result<(), Error> {
        let request = ConnectRequest { mac: Some(mac_of(who, net)), ..ConnectRequest::default() };
        self.world.connect_network(net.name(), &who.name(), request)
    }

    fn send(&mut self, state: &Reference, step: &super::step::Sent) {
        let gateway = self.bridges[&step.net].1;
        let bytes = |station: Station| bytes_of(station, step.net).unwrap_or(gateway);
        let frame = ethernet(bytes(step.to), bytes(step.from), EXPERIMENTAL, &state.frames.to_be_bytes());
        let (place, interface) =
            self.interface(Ear { net: step.net, at: step.sender }).expect("the interface is there");
        self.world.inject(&place, &interface, &frame).expect("it is sent");
        self.frames.insert(state.frames, frame);
    }

    fn cut(&mut self, ear: Ear, way: Way) {
        let (place, interface) = self.interface(ear).expect("the interface is there");
        let scope = Scope::cable(&place, &interface);
        let scope = match way {
            Way::ToSwitch => scope.to_switch(),
            Way::FromSwitch => scope.from_switch(),
        };
        self.cuts.push(self.world.add_rule(scope, Cut).expect("there is a cable"));
    }

    /// A daemon is killed over a command, and the next one takes over; what was ordered is taken back if it was done.
    fn strike(&mut self, command: Command, changes: u32) {
        self.world.crash_after_changes(changes);
        self.announced += u64::from(matches!(command, Command::Run { .. } | Command::Connect { .. }));
        match command {
            Command::Run { who, net } => drop(self.run(who, Mode::On(net), None)),
            Command::Remove(who) => drop(self.world.rm(&who.name(), true)),
            Command::Connect { who, net } => drop(self.connect(who, net)),
            Command::Disconnect { who, net } => drop(self.world.disconnect_network(net.name(), &who.name())),
        }
        self.world.advance(A_STEP / 2);
        self.world.kill_daemon();
        assert_eq!(self.world.up().map_err(|why| why.to_string()), Ok(Vec::new()));
        let is_there = |world: &mut World, who: Who| world.inspect(&who.name()).is_ok();
        let is_on = |world: &mut World, who: Who, net: Net| {
            world.inspect(&who.name()).is_ok_and(|view| view.networks.contains_key(net.name()))
        };
        match command {
            Command::Run { who, .. } | Command::Remove(who) => {
                if is_there(&mut self.world, who) {
                    self.world.rm(&who.name(), true).expect("it can be removed");
                }
            }
            Command::Connect { who, net } | Command::Disconnect { who, net } => {
                if is_on(&mut self.world, who, net) {
                    self.world.disconnect_network(net.name(), &who.name()).expect("it can be disconnected");
                }
            }
        }
    }

    /// Collects what came out of every interface since this was last asked, ARP of the hosts aside.
    fn listen(&mut self, state: &Reference) {
        self.heard.clear();
        let ends = state.nets.iter().flat_map(|(net, switch)| switch.ends.keys().map(|at| Ear { net: *net, at: *at }));
        for ear in ends.collect::<Vec<_>>() {
            let Some((place, interface)) = self.interface(ear) else { continue };
            let frames = match self.world.sniff(&place, &interface) {
                // Without a daemon, and without anybody who keeps it.
                Err(SocketError::NoSuchDevice) if ear.at == Sender::Host && !state.daemon => continue,
                sniffed => sniffed.expect("the interface is there"),
            };
            let is_ours = |frame: &Vec<u8>| frame[12..14] == EXPERIMENTAL.to_be_bytes();
            self.heard.insert(ear, frames.into_iter().filter(is_ours).collect());
        }
    }

    /// Takes a step, and looks at everything.
    fn take(&mut self, state: &Reference, step: Step) {
        self.answer = None;
        match step {
            Step::Run { who, mode, ip } => {
                let result = self.run(who, mode, ip);
                self.ask(result);
            }
            Step::Stop(who) => {
                let result = self.world.stop(&who.name(), Duration::ZERO);
                self.ask(result);
            }
            Step::Remove(who) => {
                let result = self.world.rm(&who.name(), true);
                self.ask(result);
            }
            Step::Die(who) => self.world.kill_command(&who.name()),
            Step::Connect { who, net } => {
                let result = self.connect(who, net);
                self.ask(result);
            }
            Step::Disconnect { who, net } => {
                let result = self.world.disconnect_network(net.name(), &who.name());
                self.ask(result);
            }
            Step::CreateBlue => {
                let request = NetworkRequest { internal: true, ..NetworkRequest::new(name("blue")) };
                let result = self.world.create_network(request);
                self.ask(result);
            }
            Step::RemoveBlue => {
                let result = self.world.remove_network("blue");
                self.ask(result);
            }
            Step::Send(sent) => self.send(state, &sent),
            Step::Link { who, net, up } => {
                let ear = Ear { net, at: Sender::Container(who) };
                let (place, interface) = self.interface(ear).expect("the interface is there");
                self.world.set_link(&place, &interface, up).expect("it can be switched");
            }
            Step::Cut { who, net, way } => self.cut(Ear { net, at: Sender::Container(who) }, way),
            Step::Heal => self.cuts.clear(),
            Step::Wait { seconds } => self.world.advance(Duration::from_secs(seconds)),
            Step::KillDaemon => self.world.kill_daemon(),
            Step::StartDaemon => assert_eq!(self.world.up().map_err(|why| why.to_string()), Ok(Vec::new())),
            Step::Struck { command, changes } => self.strike(command, changes),
        }
        self.world.advance(A_STEP);
        self.look_around();
        self.listen(state);
        assert_eq!(self.answer, state.answer, "{}", self.refusal);
        self.check_frames(state);
        if state.daemon {
            self.check_containers(state);
            self.check_switches(state);
        }
    }

    fn check_frames(&self, state: &Reference) {
        let mut expected: BTreeMap<Ear, Vec<Vec<u8>>> = BTreeMap::new();
        for (number, _, ears) in &state.heard {
            for ear in ears {
                expected.entry(*ear).or_default().push(self.frames[number].clone());
            }
        }
        let heard: BTreeMap<Ear, Vec<Vec<u8>>> = self
            .heard
            .iter()
            .filter(|(_, frames)| !frames.is_empty())
            .map(|(ear, frames)| (*ear, frames.clone()))
            .collect();
        assert_eq!(heard, expected, "who heard what");
    }

    /// What the data plane counted and learned.
    fn check_switches(&self, state: &Reference) {
        let (statistics, rows) = (self.world.statistics(), self.world.fdb());
        for (net, switch) in &state.nets {
            let (bridge, _) = &self.bridges[net];
            let statistics = statistics.iter().find(|each| each.name == *bridge).expect("the network has a switch");
            let mut counted = BTreeMap::new();
            for port in &statistics.ports {
                port.counters.check().expect("the law of the counters");
                assert!(port.stations <= PortConfig::DEFAULT_QUOTA, "{}: {} stations", port.name, port.stations);
                counted.insert(whose(&port.name, port.is_local), count(&port.counters));
            }
            assert!(
                self.agree(&counted, &switch.counted),
                "what the ports of {net:?} counted: {counted:?}, {switch:?}"
            );
            let departed =
                ([(Sender::Host, count(&statistics.departed))].into(), [(Sender::Host, switch.departed())].into());
            assert!(
                self.agree(&departed.0, &departed.1),
                "what ports of {net:?} had counted that are gone: {departed:?}"
            );
            let learned: BTreeSet<(MacAddr, Sender)> = rows
                .iter()
                .filter(|row| row.bridge == *bridge && row.kind == EntryKind::Dynamic)
                .map(|row| (row.station, whose(&row.name, row.is_local)))
                .collect();
            assert_eq!(learned, state.stations(*net), "the FDB of {net:?}");
        }
    }

    /// Whether two have counted the same, but for what containers have announced that are taken back.
    fn agree(&self, counted: &BTreeMap<Sender, Counted>, expected: &BTreeMap<Sender, Counted>) -> bool {
        let same = |(whose, counted): (&Sender, &Counted)| {
            let Some(expected) = expected.get(whose) else { return false };
            let beyond = counted.flooded.checked_sub(expected.flooded);
            beyond.is_some_and(|beyond| beyond <= self.announced)
                && *counted == Counted { flooded: counted.flooded, ..expected.clone() }
        };
        counted.len() == expected.len() && counted.iter().all(same)
    }

    /// Who lives, on which networks, with addresses that nobody else has.
    fn check_containers(&mut self, state: &Reference) {
        let views = self.world.containers(true).expect("a daemon answers");
        let there: BTreeMap<String, BTreeSet<String>> =
            views.iter().map(|view| (view.name.clone(), view.networks.keys().cloned().collect())).collect();
        let expected: BTreeMap<String, BTreeSet<String>> = state
            .living
            .iter()
            .map(|(who, container)| (who.name(), container.on.keys().map(|net| net.name().to_owned()).collect()))
            .collect();
        assert_eq!(there, expected, "who is on which network");
        let networks = self.world.bridge_networks().expect("a daemon answers");
        let mut taken: BTreeSet<Ipv4Addr> = networks.iter().map(|network| network.gateway).collect();
        assert_eq!(taken.len(), state.nets.len(), "each network has a gateway of its own");
        for (net, interface) in views.iter().flat_map(|view| &view.networks) {
            let network = networks.iter().find(|network| network.name.as_str() == net).expect("it is there");
            assert!(network.subnet.contains(&interface.ip.addr()), "{} is not on {net}", interface.ip);
            assert!(taken.insert(interface.ip.addr()), "{} is had twice", interface.ip);
        }
    }
}

impl StateMachineTest for Subject {
    type SystemUnderTest = Self;
    type Reference = Reference;

    fn init_test(state: &Reference) -> Self {
        let mut world = World::builder().seed(7).up().expect("a world");
        world.create_network(NetworkRequest::new(name("red"))).expect("a network");
        let (frames, bridges, heard) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut subject = Subject {
            world,
            frames,
            bridges,
            heard,
            answer: None,
            cuts: Vec::new(),
            refusal: String::new(),
            announced: 0,
        };
        subject.look_around();
        // Who has never listened hears nothing.
        subject.listen(state);
        subject
    }

    fn apply(mut subject: Self, state: &Reference, step: Step) -> Self {
        subject.take(state, step);
        subject
    }

    fn teardown(mut subject: Self, _: Reference) {
        if !subject.world.is_up() {
            subject.world.up().expect("a daemon");
        }
        for view in subject.world.containers(true).expect("a daemon answers") {
            subject.world.rm(&view.name, true).expect("it can be removed");
        }
        subject.world.prune_networks().expect("nobody is on them");
        subject.world.advance(A_STEP);
        assert_eq!(subject.world.remains(), Vec::<String>::new(), "what is left");
    }
}

/// Whose port it is, by its name.
fn whose(port: &str, is_local: bool) -> Sender {
    if is_local {
        return Sender::Host;
    }
    let name = port.split([':', '/', '.']).next().expect("a name");
    let number = name.strip_prefix('w').and_then(|digits| digits.parse().ok());
    Sender::Container(Who(number.unwrap_or_else(|| panic!("{port} is nobody's port"))))
}

fn count(counters: &PortCounters) -> Counted {
    let rx = &counters.rx;
    let drops = DropReason::ALL.into_iter().map(|reason| (reason, rx.drops.of(reason))).filter(|(_, n)| *n > 0);
    Counted { forwarded: rx.forwarded, flooded: rx.flooded, local: rx.local, drops: drops.collect() }
}

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}
