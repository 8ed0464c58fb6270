//! Where our filters and libpcap's are meant to differ, and why.

use crate::libpcap::{parse, tcpdump};

struct Difference {
    why: &'static str,
    filter: &'static str,
    /// What stands behind the addresses.
    frame: &'static [&'static [u8]],
    /// Whether the filter matches: ours, and libpcap's.
    ours: bool,
    theirs: bool,
}

const TAG_5: &[u8] = &[0x81, 0, 0, 5];
const TAG_6: &[u8] = &[0x81, 0, 0, 6];
const ARP: &[u8] = &[0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2];
const IPV4: &[u8] =
    &[0x08, 0x00, 0x45, 0, 0, 28, 0, 7, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0, 53, 0, 80, 0, 8, 0, 0];
/// With a header length of nothing.
const SENSELESS: &[u8] =
    &[0x08, 0x00, 0x40, 0, 0, 28, 0, 7, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0, 53, 0, 80, 0, 8, 0, 0];
const UDP: &[u8] = &[0, 53, 0, 80, 0, 8, 0, 0];
const ADDRESSES: &[u8] =
    &[0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];

const ALL: &[Difference] = &[
    Difference {
        why: "a port of a switch sees tagged and untagged frames side by side: tags are looked through",
        filter: "arp",
        frame: &[TAG_5, ARP],
        ours: true,
        theirs: false,
    },
    Difference {
        why: "'vlan' is a test like any other, and moves nothing for the tests behind it",
        filter: "vlan 5 or udp",
        frame: &[IPV4],
        ours: true,
        theirs: false,
    },
    Difference {
        why: "'vlan 6' means any of the tags, not the one whose turn it is",
        filter: "vlan 6",
        frame: &[TAG_5, TAG_6, ARP],
        ours: true,
        theirs: false,
    },
    Difference {
        why: "0x9100 was never a standard, and the switch takes it for no tag",
        filter: "vlan",
        frame: &[&[0x91, 0], TAG_5.split_at(2).1, ARP],
        ours: false,
        theirs: true,
    },
    Difference {
        why: "IPv6 extension headers are walked",
        filter: "udp port 53",
        frame: &[&[0x86, 0xdd, 0x60, 0, 0, 0, 0, 16, 60, 64], ADDRESSES, &[17, 0, 1, 4, 0, 0, 0, 0], UDP],
        ours: true,
        theirs: false,
    },
    Difference {
        why: "the first fragment of an IPv6 packet has its ports",
        filter: "udp port 53",
        frame: &[&[0x86, 0xdd, 0x60, 0, 0, 0, 0, 16, 44, 64], ADDRESSES, &[17, 0, 0, 1, 0, 0, 0, 9], UDP],
        ours: true,
        theirs: false,
    },
    Difference {
        why: "a frame that is cut has no ports, and the rest of the expression goes on",
        filter: "not port 80",
        frame: &[IPV4.split_at(20).0],
        ours: true,
        theirs: false,
    },
    Difference {
        why: "behind an IPv4 header of no length there are no ports",
        filter: "udp src port 16384",
        frame: &[SENSELESS],
        ours: false,
        theirs: true,
    },
];

pub(crate) fn where_it_differs_from_libpcap_it_does_so_on_purpose() {
    for Difference { why, filter, frame, ours, theirs } in ALL {
        let frame = [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2][..], &frame.concat()].concat();
        let found = (parse(filter).matches(&frame, frame.len()), !tcpdump(filter, &[frame]).is_empty());
        assert_eq!(found, (*ours, *theirs), "{filter}: {why}");
    }
}
