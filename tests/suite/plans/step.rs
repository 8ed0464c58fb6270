//! [`Step`]: what a user, a container or misfortune does.

use proptest::prelude::*;
use proptest::sample::select;

/// One of few containers, so that they meet: `w0`, `w1`, …
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Who(pub u8);

/// A bridge network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Net {
    Bridge,
    Red,
    /// Internal, and it comes and goes.
    Blue,
}

/// What `--network` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    On(Net),
    Host,
    None,
    /// In the namespace of another.
    Of(Who),
}

/// Who sends a frame: a container by its interface on a network, or the host by its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sender {
    Host,
    Container(Who),
}

/// An address in a frame, whatever it is in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Station {
    /// The container's own on this network.
    Of(Who),
    /// The host's on this network.
    Gateway,
    /// Nobody's.
    Stranger(u8),
    Broadcast,
    Multicast,
    /// 01:80:C2:00:00:0E, which no bridge forwards.
    Reserved,
    Zero,
}

/// A frame that somebody sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    pub net: Net,
    pub sender: Sender,
    pub from: Station,
    pub to: Station,
}

/// One step of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Run {
        who: Who,
        mode: Mode,
        ip: Option<u8>,
    },
    Stop(Who),
    /// `rm -f`.
    Remove(Who),
    /// Its command dies, which the daemon only sees.
    Die(Who),
    Connect {
        who: Who,
        net: Net,
    },
    Disconnect {
        who: Who,
        net: Net,
    },
    CreateBlue,
    RemoveBlue,
    Send(Sent),
    /// An interface is switched off or on.
    Link {
        who: Who,
        net: Net,
        up: bool,
    },
    /// The cable of an interface lets nothing pass any more in one direction.
    Cut {
        who: Who,
        net: Net,
        way: Way,
    },
    /// All cables are whole again.
    Heal,
    Wait {
        seconds: u64,
    },
    KillDaemon,
    StartDaemon,
    /// The daemon is killed in the n-th change that a command makes; the next one is there at once, and what was ordered is
    /// taken back if it was done.
    Struck {
        command: Command,
        changes: u32,
    },
}

/// A direction of a cable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    ToSwitch,
    FromSwitch,
}

/// A command that a daemon may be killed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    Run { who: Who, net: Net },
    Remove(Who),
    Connect { who: Who, net: Net },
    Disconnect { who: Who, net: Net },
}

impl Net {
    pub const ALL: [Net; 3] = [Net::Bridge, Net::Red, Net::Blue];

    pub fn name(self) -> &'static str {
        match self {
            Net::Bridge => "bridge",
            Net::Red => "red",
            Net::Blue => "blue",
        }
    }
}

impl Who {
    pub fn name(self) -> String {
        // No beginning of an id, which names a container too.
        format!("w{}", self.0)
    }
}

/// Any step at all: those that make no sense where they stand are left out by the reference.
pub fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (who(), mode(), proptest::option::weighted(0.2, 200..203_u8))
            .prop_map(|(who, mode, ip)| Step::Run { who, mode, ip }),
        1 => who().prop_map(Step::Stop),
        1 => who().prop_map(Step::Remove),
        1 => who().prop_map(Step::Die),
        3 => (who(), net()).prop_map(|(who, net)| Step::Connect { who, net }),
        2 => (who(), net()).prop_map(|(who, net)| Step::Disconnect { who, net }),
        1 => Just(Step::CreateBlue),
        1 => Just(Step::RemoveBlue),
        14 => sent().prop_map(Step::Send),
        2 => (who(), net(), any::<bool>()).prop_map(|(who, net, up)| Step::Link { who, net, up }),
        2 => (who(), net(), select(vec![Way::ToSwitch, Way::FromSwitch]))
            .prop_map(|(who, net, way)| Step::Cut { who, net, way }),
        1 => Just(Step::Heal),
        2 => select(vec![1, 100, 299, 301]).prop_map(|seconds| Step::Wait { seconds }),
        1 => Just(Step::KillDaemon),
        3 => Just(Step::StartDaemon),
        1 => (command(), 1..25_u32).prop_map(|(command, changes)| Step::Struck { command, changes }),
    ]
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        (who(), net()).prop_map(|(who, net)| Command::Run { who, net }),
        who().prop_map(Command::Remove),
        (who(), net()).prop_map(|(who, net)| Command::Connect { who, net }),
        (who(), net()).prop_map(|(who, net)| Command::Disconnect { who, net }),
    ]
}

fn who() -> impl Strategy<Value = Who> {
    (0..5_u8).prop_map(Who)
}

fn net() -> impl Strategy<Value = Net> {
    select(Net::ALL.to_vec())
}

fn mode() -> impl Strategy<Value = Mode> {
    prop_oneof![
        8 => net().prop_map(Mode::On),
        1 => Just(Mode::Host),
        1 => Just(Mode::None),
        1 => who().prop_map(Mode::Of),
    ]
}

fn sent() -> impl Strategy<Value = Sent> {
    let sender = prop_oneof![1 => Just(Sender::Host), 5 => who().prop_map(Sender::Container)];
    (net(), sender, station(), station(), any::<u8>()).prop_map(|(net, sender, from, to, honest)| {
        // Most do not forge.
        let own = match sender {
            Sender::Host => Station::Gateway,
            Sender::Container(who) => Station::Of(who),
        };
        Sent { net, sender, from: if honest < 180 { own } else { from }, to }
    })
}

fn station() -> impl Strategy<Value = Station> {
    prop_oneof![
        6 => who().prop_map(Station::Of),
        2 => Just(Station::Gateway),
        2 => (0..3_u8).prop_map(Station::Stranger),
        1 => Just(Station::Broadcast),
        1 => Just(Station::Multicast),
        1 => Just(Station::Reserved),
        1 => Just(Station::Zero),
    ]
}
