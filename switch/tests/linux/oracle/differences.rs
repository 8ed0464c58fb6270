//! Where our switch and the kernel's bridge are meant to differ, why, and the proof that they do.

use switch::mac::MacAddr;
use switch::vlan::VlanId;

use super::kernel::Kernel;
use super::ours::Ours;
use super::plan::{BRIDGE, Body, HOST, NARROW, NARROW_MTU, PORTS, Scene, Sent, address_of_port};
use super::{Behind, Bridge, Copies, all_ports};

/// One thing that the two do not do alike.
pub(super) struct Difference {
    pub(super) name: &'static str,
    pub(super) why: &'static str,
    /// Whether a frame meets it, so that the two can not be compared by it.
    pub(super) meets: fn(&Sent) -> bool,
    /// Whether this is a copy that our switch makes and the kernel's does not.
    pub(super) lacks: fn(&(u16, Vec<u8>)) -> bool,
    /// Shows it, by what either does exactly.
    pub(super) example: fn(&mut Kernel),
}

pub(super) const ALL: &[Difference] = &[
    Difference {
        name: "the group address of bridges",
        why: "without STP the kernel forwards 01:80:C2:00:00:00, so that bridges beyond it find loops; IEEE 802.1Q, 8.6.3, \
              knows no such exception",
        meets: |sent| sent.to == reserved(0),
        lacks: |_| false,
        example: |kernel| {
            let sent = plain(1, A, reserved(0));
            assert_eq!(ports(&ours().send(1, &sent.bytes())), []);
            assert_eq!(ports(&kernel.send(1, &sent.bytes())), [HOST, 2, 3, 4, 5]);
        },
    },
    Difference {
        name: "who sends a pause frame",
        why: "the kernel drops one before it learns, ours learns from every reserved address alike",
        meets: |sent| sent.to == reserved(1),
        lacks: |_| false,
        example: |kernel| {
            let (mut ours, sent) = (ours(), plain(1, A, reserved(1)));
            assert_eq!((ports(&ours.send(1, &sent.bytes())), ports(&kernel.send(1, &sent.bytes()))), (vec![], vec![]));
            assert_eq!((behind(&mut ours, A), behind(kernel, A)), (Some(Behind::Heard(1)), None));
        },
    },
    Difference {
        name: "an unknown station and the host",
        why: "the kernel's host knows its own stations, those of interfaces stacked on the bridge among them; ours may have \
              some behind it that were never heard, and is a port like any other",
        meets: |_| false,
        lacks: |(port, frame)| *port == HOST && frame[0] & 1 == 0 && frame[..6] != BRIDGE.0,
        example: |kernel| {
            let sent = plain(1, A, B);
            assert_eq!(ports(&ours().send(1, &sent.bytes())), [HOST, 2, 3, 4, 5]);
            assert_eq!(ports(&kernel.send(1, &sent.bytes())), [2, 3, 4, 5]);
        },
    },
    Difference {
        name: "stations behind the host",
        why: "the kernel's host is no port: what it sends is not learned from, nor is its source looked at",
        meets: |sent| sent.port == HOST && sent.from != BRIDGE,
        lacks: |_| false,
        example: |kernel| {
            let (mut ours, sent) = (ours(), plain(HOST, A, MacAddr::BROADCAST));
            let everybody: Vec<u16> = PORTS.collect();
            assert_eq!(ports(&ours.send(HOST, &sent.bytes())), everybody);
            assert_eq!(ports(&kernel.send(HOST, &sent.bytes())), everybody);
            assert_eq!((behind(&mut ours, A), behind(kernel, A)), (Some(Behind::Heard(HOST)), None));
            let forged = plain(HOST, MacAddr::ZERO, MacAddr::BROADCAST);
            assert_eq!(ports(&ours.send(HOST, &forged.bytes())), []);
            assert_eq!(ports(&kernel.send(HOST, &forged.bytes())), everybody);
        },
    },
    Difference {
        name: "the host and reserved addresses",
        why: "the kernel's host may speak LLDP and the like by its bridge; in ours nobody does",
        meets: |sent| sent.port == HOST && sent.to.is_reserved(),
        lacks: |_| false,
        example: |kernel| {
            let sent = plain(HOST, BRIDGE, reserved(0x0e));
            assert_eq!(ports(&ours().send(HOST, &sent.bytes())), []);
            assert_eq!(ports(&kernel.send(HOST, &sent.bytes())), [1, 2, 3, 4, 5]);
        },
    },
    Difference {
        name: "four bytes beyond the MTU",
        why: "the kernel has room for a tag in every frame, and does not count the one that it keeps beside the frame; ours \
              has room for one tag in a frame that has one",
        meets: is_nearly_too_long,
        lacks: |_| false,
        example: |kernel| {
            let of_length = |length| Sent { body: Body::Bytes(length), ..plain(1, A, MacAddr::BROADCAST) }.bytes();
            for (length, by_ours, by_kernel) in [(0, true, true), (1, false, true), (4, false, true), (5, false, false)]
            {
                let sent = of_length(NARROW_MTU + length);
                assert_eq!(ports(&ours().send(1, &sent)).contains(&NARROW), by_ours, "{length} bytes more");
                assert_eq!(ports(&kernel.send(1, &sent)).contains(&NARROW), by_kernel, "{length} bytes more");
            }
        },
    },
    Difference {
        name: "a tag with nothing behind it",
        why: "the kernel wants two bytes more than the tag, to see what the payload is; ours never looks there",
        meets: |sent| matches!((sent.tags.as_slice(), sent.body), ([outer], Body::Bytes(..2)) if is_tag(outer)),
        lacks: |_| false,
        example: |kernel| {
            for (length, by_kernel) in [(0, false), (1, false), (2, true)] {
                let tags = vec![(0x8100, 7)];
                let sent = Sent { tags, body: Body::Bytes(length), ..plain(1, A, MacAddr::BROADCAST) };
                assert_eq!(ports(&ours().send(1, &sent.bytes())).len(), 5);
                assert_eq!(ports(&kernel.send(1, &sent.bytes())).len(), if by_kernel { 5 } else { 0 });
            }
        },
    },
    Difference {
        name: "who sends a reserved frame whose second tag is cut off",
        why: "neither lets such a frame through, but the kernel learns from what it does not forward before it looks there",
        meets: |sent| {
            let is_cut = matches!((sent.tags.as_slice(), sent.body), ([outer], Body::CutTag(2..)) if is_tag(outer));
            is_cut && sent.to.is_reserved()
        },
        lacks: |_| false,
        example: |kernel| {
            let mut ours = ours();
            let cut = |to| Sent { tags: vec![(0x8100, 7)], body: Body::CutTag(3), ..plain(1, A, to) }.bytes();
            for to in [MacAddr::BROADCAST, reserved(2)] {
                assert_eq!(behind(kernel, A), None);
                assert_eq!((ports(&ours.send(1, &cut(to))), ports(&kernel.send(1, &cut(to)))), (vec![], vec![]));
            }
            assert_eq!((behind(&mut ours, A), behind(kernel, A)), (None, Some(Behind::Heard(1))));
        },
    },
    Difference {
        name: "addresses of ports",
        why: "a port of the kernel's has an address of its own, which is the host's; ours has none",
        meets: |sent| { PORTS }.any(|port| [sent.from, sent.to].contains(&address_of_port(port))),
        lacks: |_| false,
        example: |kernel| {
            let sent = plain(1, A, address_of_port(2));
            assert_eq!(ports(&ours().send(1, &sent.bytes())), [HOST, 2, 3, 4, 5]);
            assert_eq!(ports(&kernel.send(1, &sent.bytes())), [HOST]);
        },
    },
    Difference {
        name: "static entries",
        why: "a static entry of the kernel's moves with its station unless it is sticky; ours stays (IEEE 802.1Q, 8.8.1)",
        // The entries of a plan are sticky.
        meets: |_| false,
        lacks: |_| false,
        example: |kernel| {
            let mut ours = ours();
            ours.fix(VlanId::NONE, A, 1);
            kernel.fix_loosely(VlanId::NONE, A, 1);
            let sent = plain(2, A, MacAddr::BROADCAST).bytes();
            assert_eq!(ports(&ours.send(2, &sent)), ports(&kernel.send(2, &sent)));
            assert_eq!((behind(&mut ours, A), behind(kernel, A)), (Some(Behind::Fixed(1)), Some(Behind::Fixed(2))));
        },
    },
    Difference {
        name: "a quota for each port",
        why: "made-up addresses shall hurt only the port that they come from; the kernel has but a limit for a whole bridge",
        // No port of a plan has as many stations as it may.
        meets: |_| false,
        lacks: |_| false,
        example: |kernel| {
            let mut ours = Ours::with_quota(Scene::PLAIN, 1);
            for from in [A, B] {
                let sent = plain(1, from, MacAddr::BROADCAST).bytes();
                assert_eq!(ports(&ours.send(1, &sent)), ports(&kernel.send(1, &sent)));
            }
            assert_eq!((behind(&mut ours, A), behind(kernel, A)), (Some(Behind::Heard(1)), Some(Behind::Heard(1))));
            assert_eq!((behind(&mut ours, B), behind(kernel, B)), (None, Some(Behind::Heard(1))));
        },
    },
];

const A: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xa]);
const B: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xb]);

const fn reserved(last: u8) -> MacAddr {
    MacAddr([0x01, 0x80, 0xc2, 0, 0, last])
}

fn is_tag((tpid, _): &(u16, u16)) -> bool {
    matches!(tpid, 0x8100 | 0x88a8)
}

/// Whether the frame is too long for a port in one of the ways to count, and not in all.
fn is_nearly_too_long(sent: &Sent) -> bool {
    const HEADER: usize = 14;
    let payload = sent.bytes().len() - HEADER;
    let is_customers = |tags: &[(u16, u16)]| matches!(tags, [(0x8100, _)]);
    let fits = |mtu| payload <= mtu || is_customers(&sent.tags) && payload <= mtu + 4;
    all_ports().map(super::plan::mtu_of).any(|mtu| !fits(mtu) && payload <= mtu + 12)
}

fn ours() -> Ours {
    Ours::new(Scene::PLAIN)
}

fn plain(port: u16, from: MacAddr, to: MacAddr) -> Sent {
    Sent { port, to, from, tags: Vec::new(), body: Body::Bytes(7) }
}

fn ports(copies: &Copies) -> Vec<u16> {
    copies.iter().map(|(port, _)| *port).collect()
}

fn behind(bridge: &mut impl Bridge, station: MacAddr) -> Option<Behind> {
    bridge.stations().get(&(VlanId::NONE, station)).copied()
}
