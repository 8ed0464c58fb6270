//! Many ports that have more to say than anybody can hear: what waits of it is bounded, and each has its turn soon.

use nix::sys::socket::{recv, setsockopt, sockopt};

use super::*;

const PORTS: u16 = 130;
const ROUNDS: usize = 32;
/// How many frames the kernel may read in a round, for all ports together.
const A_ROUND: usize = ring::LENT as usize;

#[test]
fn ports_that_flood_share_the_frames_of_a_round_one_after_the_other() {
    let Some(mut flood) = Flood::begin(0, PORTS) else { return };
    flood.goes_on();
    assert_eq!(flood.decided(0..PORTS), (ROUNDS * A_ROUND) as u64);
    assert_eq!((flood.longest_wait, flood.most_held), (usize::from(PORTS).div_ceil(A_ROUND), A_ROUND));
}

/// Each frame becomes 129 copies, so a turn is over after a handful of what was read.
#[test]
fn a_port_whose_frames_become_many_copies_waits_for_its_own_turns_only() {
    let Some(mut flood) = Flood::begin(1, 1) else { return };
    flood.goes_on();
    assert_eq!(flood.longest_wait, 2);
    // (What came in one round, while all that the kernel may read into lies ready for the next.)
    assert!(flood.most_held < 2 * A_ROUND, "{}", flood.most_held);
    let (storm, neighbour) = (flood.decided(0..1), flood.decided(1..2));
    assert!(storm > 3 * ROUNDS as u64, "{storm} of the storm");
    assert!(neighbour > (ROUNDS * A_ROUND / 2) as u64, "{neighbour} of its neighbour");
}

#[test]
fn no_more_waits_than_half_of_the_memory_however_many_ports_have_more_than_their_turns_are_long() {
    for (storms, others) in [(12, 3), (40, 1), (PORTS, 0)] {
        let Some(mut flood) = Flood::begin(storms, others) else { return };
        flood.goes_on();
        let longest_wait = usize::from(storms + others).div_ceil(A_ROUND).max(2);
        assert!(flood.longest_wait <= longest_wait, "{storms} and {others}: {} rounds", flood.longest_wait);
        let half = Settings::default().buffers / 2;
        assert!(flood.most_held <= half, "{storms} and {others}: {} buffers", flood.most_held);
    }
}

#[test]
fn when_a_flood_is_over_all_memory_is_there_again_but_for_what_the_kernel_has() {
    let Some(mut flood) = Flood::begin(12, 3) else { return };
    flood.goes_on();
    assert!(flood.most_held > 3 * A_ROUND, "{}", flood.most_held);
    flood.noise.clear();
    while flood.is_heard_in_a_round() {
        assert!(flood.round < 20 * ROUNDS, "it does not end");
    }
    assert_eq!(flood.held(), A_ROUND);
}

/// A bridge with many ports, of which some never fall silent, and a loop that is turned by hand.
struct Flood {
    uring: Uring,
    dataplane: Dataplane<Lent>,
    far: Vec<OwnedFd>,
    /// What the first ports say, one frame each.
    noise: Vec<[u8; FRAME.len()]>,
    line: VecDeque<PortId>,
    round: usize,
    /// For each port that is never silent, in which round something of it was decided about last.
    heard_in: Vec<usize>,
    /// After how many rounds a port had its turn, at most.
    longest_wait: usize,
    /// How many buffers were not free, at most.
    most_held: usize,
}

impl Flood {
    /// The first ports send to everybody, others behind them to nobody.
    fn begin(storms: u16, others: u16) -> Option<Flood> {
        let mut uring = uring()?;
        let mut dataplane = Dataplane::new(Settings::default());
        let bridge = Control::AddBridge { bridge: BridgeId(1), name: "test".to_owned(), config: Config::default() };
        dataplane.control(bridge, Instant::ZERO).unwrap();
        let plug = |number: u16| {
            let (link, far) = cable();
            // A hundred frames have room in it.
            setsockopt(&far, sockopt::SndBuf, &40_000).unwrap();
            let (port, config) = (PortId(number), PortConfig::default());
            dataplane.control(Control::Plug { bridge: BridgeId(1), port, config, link }, Instant::ZERO).unwrap();
            uring.watch(port, dataplane.link_mut(port).unwrap()).unwrap();
            far
        };
        let far = (0..PORTS).map(plug).collect();
        let mut to_itself = FRAME;
        to_itself.copy_within(VnetHeader::LEN + 6..VnetHeader::LEN + 12, VnetHeader::LEN);
        let noise: Vec<_> = (0..storms).map(|_| FRAME).chain((0..others).map(|_| to_itself)).collect();
        let heard_in = vec![0; noise.len()];
        let line = VecDeque::new();
        Some(Flood { uring, dataplane, far, noise, line, round: 0, heard_in, longest_wait: 0, most_held: 0 })
    }

    fn goes_on(&mut self) {
        (0..ROUNDS).for_each(|_| self.round());
    }

    /// One round of the loop, as [`Loop`](crate::engine::worker::Loop) has it.
    fn round(&mut self) {
        self.round += 1;
        for far in &self.far {
            while recv(far.as_raw_fd(), &mut [0; FRAME.len()], MsgFlags::MSG_DONTWAIT).is_ok() {}
        }
        for (far, frame) in self.far.iter().zip(&self.noise) {
            while send(far.as_raw_fd(), frame, MsgFlags::MSG_DONTWAIT).is_ok() {}
        }
        let mut ready = Vec::new();
        self.uring.wait(Some(Duration::ZERO), &mut ready, &mut self.dataplane, &mut ());
        for port in ready {
            if !self.line.contains(&port) {
                self.line.push_back(port);
            }
        }
        self.most_held = self.most_held.max(self.held());
        for _ in 0..self.line.len() {
            let Some(port) = self.line.pop_front() else { break };
            let before = self.decided(port.0..port.0 + 1);
            if self.uring.service(port, Instant::ZERO, &mut self.dataplane, &mut ()) == Serviced::More {
                self.line.push_back(port);
            }
            if self.decided(port.0..port.0 + 1) > before {
                let last = std::mem::replace(&mut self.heard_in[usize::from(port.0)], self.round);
                self.longest_wait = self.longest_wait.max(self.round - last);
            }
        }
        self.most_held = self.most_held.max(self.held());
    }

    /// Whether anything is heard in the next round.
    fn is_heard_in_a_round(&mut self) -> bool {
        let before = self.decided(0..PORTS);
        self.round();
        self.decided(0..PORTS) > before
    }

    /// How many frames of these ports were decided about.
    fn decided(&self, ports: std::ops::Range<u16>) -> u64 {
        ports.map(|port| self.dataplane.counters(PortId(port)).unwrap().rx.packets).sum()
    }

    /// How many buffers are not free.
    fn held(&mut self) -> usize {
        let free: Vec<_> = std::iter::from_fn(|| self.dataplane.take_buffer()).collect();
        let held = self.dataplane.buffers() - free.len();
        free.into_iter().for_each(|buffer| self.dataplane.give_buffer(buffer));
        held
    }
}
