//! [`Dice`]: filters and frames out of bytes that proptest draws, so that it can make them smaller: where there are no more bytes,
//! the first choice is taken, which is the simplest.

use proptest::prelude::*;

/// Draws.
pub(crate) struct Dice<'a>(std::slice::Iter<'a, u8>);

/// What a filter or a frame is made of.
pub(crate) fn entropy(most: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..most)
}

pub(crate) const STATIONS: [&str; 5] =
    ["02:00:00:00:00:01", "02:00:00:00:00:02", "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01", "33:33:00:00:00:01"];
const V4: [[u8; 4]; 5] = [[10, 0, 0, 1], [10, 0, 0, 2], [10, 1, 0, 1], [192, 168, 0, 1], [224, 0, 0, 1]];
const V6: [[u8; 16]; 4] = [v6(0xfd, 1), v6(0xfd, 2), v6(0xfe, 1), v6(0xff, 1)];
const PORTS: [u16; 4] = [53, 80, 443, 8080];
const PROTOCOLS: [u8; 8] = [6, 17, 132, 1, 2, 58, 50, 0xfe];

const fn v6(first: u8, last: u8) -> [u8; 16] {
    let mut address = [0; 16];
    address[0] = first;
    address[15] = last;
    address
}

/// Which frames are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frames {
    /// Whole ones without tags.
    Plain,
    /// The same with extension headers of IPv6 as well.
    Extended,
    /// Plain ones, and cut ones.
    Cut,
}

impl<'a> Dice<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Dice(bytes.iter())
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::from(self.0.next().copied().unwrap_or(0)) % bound
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// A filter as people write them, with all that the language has but `vlan`.
    pub(crate) fn filter(&mut self) -> String {
        self.expression(3)
    }

    fn expression(&mut self, depth: usize) -> String {
        let mut text = String::new();
        let mut recent = self.term(depth, &mut text);
        for _ in 0..self.below(4) {
            text += self.of(&[" and ", " or ", " && ", " || "]);
            match recent {
                // A value alone takes up the words before.
                Some(value) if self.below(3) == 1 => text += &(value)(self),
                _ => recent = self.term(depth, &mut text),
            }
        }
        text
    }

    /// A term; and how to make another value for its words, if it ends with a value.
    fn term(&mut self, depth: usize, into: &mut String) -> Option<fn(&mut Self) -> String> {
        match self.below(if depth == 0 { 6 } else { 9 }) {
            6 => {
                *into += self.of(&["not ", "! ", "!"]);
                self.term(depth - 1, into)
            }
            7 | 8 => {
                *into += "(";
                *into += &self.expression(depth - 1);
                *into += ")";
                None
            }
            _ => self.primitive(into),
        }
    }

    fn primitive(&mut self, into: &mut String) -> Option<fn(&mut Self) -> String> {
        const WORDS: [&str; 12] =
            ["tcp", "udp", "ip", "ip6", "arp", "icmp", "icmp6", "rarp", "igmp", "sctp", "broadcast", "multicast"];
        const OTHERS: [&str; 6] = [
            "ether multicast",
            "ether broadcast",
            "ip multicast",
            "ip6 multicast",
            "ether proto 0x0806",
            "ether proto \\ip",
        ];
        let directions = ["", "src ", "dst ", "src or dst ", "src and dst "];
        let direction = self.of(&directions);
        let (words, value): (String, fn(&mut Self) -> String) = match self.below(12) {
            0 | 1 => {
                *into += self.of(&WORDS);
                return None;
            }
            2 => {
                *into += self.of(&OTHERS);
                return None;
            }
            3 => {
                *into += &format!("{} {}", self.of(&["less", "greater"]), self.of(&[60, 42, 54, 62, 74]));
                return None;
            }
            4 => (format!("{}{direction}host ", self.of(&["", "ip ", "arp ", "rarp "])), Self::v4),
            5 => (format!("{}{direction}host ", self.of(&["", "ip6 "])), Self::v6),
            6 => (format!("{}{direction}net ", self.of(&["", "ip ", "arp "])), Self::net4),
            7 => (format!("{direction}net "), Self::net6),
            8 | 9 => (format!("{}{direction}port ", self.of(&["", "tcp ", "udp ", "sctp "])), Self::port),
            10 => (format!("{}{direction}portrange ", self.of(&["", "tcp ", "udp "])), Self::range),
            _ => match self.below(3) {
                0 => (format!("ether {direction}host "), Self::station),
                1 => ("ip proto ".to_owned(), Self::protocol),
                _ => ("ip6 proto ".to_owned(), Self::protocol),
            },
        };
        *into += &words;
        *into += &value(self);
        Some(value)
    }

    fn v4(&mut self) -> String {
        std::net::Ipv4Addr::from(self.of(&V4)).to_string()
    }

    fn v6(&mut self) -> String {
        std::net::Ipv6Addr::from(self.of(&V6)).to_string()
    }

    fn net4(&mut self) -> String {
        self.of(&[
            "10.0.0.0/8",
            "10.0.0.0/24",
            "192.168.0.0/16",
            "0.0.0.0/0",
            "10.1.0.0/31",
            "10.0.0.1/32",
            "224.0.0.0/4",
        ])
        .to_owned()
    }

    fn net6(&mut self) -> String {
        self.of(&["fd00::/8", "fd00::/127", "fe00::/7", "ff00::/8", "fd00::1/128", "::/0"]).to_owned()
    }

    fn port(&mut self) -> String {
        self.of(&PORTS).to_string()
    }

    fn range(&mut self) -> String {
        self.of(&["0-79", "53-80", "80-80", "443-65535"]).to_owned()
    }

    fn station(&mut self) -> String {
        self.of(&STATIONS).to_owned()
    }

    fn protocol(&mut self) -> String {
        self.of(&PROTOCOLS).to_string()
    }

    /// Tags, from the outer one on: type and control information.
    pub(crate) fn tags(&mut self, most: usize) -> Vec<u8> {
        let count = 1 + self.below(most);
        let tag = |dice: &mut Self| {
            let (tpid, control) = (dice.of(&[[0x81, 0x00], [0x88, 0xa8]]), dice.of(&[5_u16, 6, 0x6005, 0]));
            [tpid, control.to_be_bytes()].concat()
        };
        (0..count).flat_map(|_| tag(self)).collect()
    }

    /// A frame, and whether it is cut.
    pub(crate) fn frame(&mut self, which: Frames) -> (Vec<u8>, bool) {
        let mac = |text: &str| {
            text.split(':').map(|byte| u8::from_str_radix(byte, 16).expect("hexadecimal")).collect::<Vec<_>>()
        };
        let mut frame = [mac(self.of(&STATIONS)), mac(self.of(&STATIONS[..2]))].concat();
        let payload = match self.below(9) {
            0..4 => self.ipv4(),
            4..6 => self.ipv6(which == Frames::Extended),
            6 => self.arp(&[0x08, 0x06]),
            7 => self.arp(&[0x80, 0x35]),
            _ => {
                let kind: [u8; 2] = self.of(&[[0x88, 0xcc], [0x00, 0x26], [0x08, 0x01]]);
                [&kind[..], &[0x42; 40]].concat()
            }
        };
        frame.extend(payload);
        if self.below(4) == 1 {
            frame.resize(frame.len().max(60), 0);
        }
        let is_cut = which == Frames::Cut && self.below(2) == 1;
        if is_cut {
            // (Behind a whole header. Of half an address or half a header libpcap takes what is there, as far as it needs it; to us
            // what is not whole is not there.)
            let len = if frame[12..14] == [0x86, 0xdd] { self.of(&[14, 54]) } else { self.of(&[14, 34]) };
            frame.truncate(len);
        }
        (frame, is_cut)
    }

    fn arp(&mut self, ethertype: &[u8; 2]) -> Vec<u8> {
        let (sender, target) = (self.of(&V4), self.of(&V4));
        let operation = self.of(&[1, 2]);
        [&ethertype[..], &[0, 1, 8, 0, 6, 4, 0, operation], &[2, 0, 0, 0, 0, 1], &sender, &[0; 6], &target].concat()
    }

    fn ipv4(&mut self) -> Vec<u8> {
        let options = self.of(&[0, 0, 4, 12, 40]);
        let fragment: u16 = self.of(&[0, 0, 0, 0x4000, 0x2000, 0x2001, 0x0100]);
        let protocol = self.of(&PROTOCOLS);
        let (source, destination) = (self.of(&V4), self.of(&V4));
        let content = self.transport(protocol);
        let header = 20 + options;
        let total = ((header + content.len()) as u16).to_be_bytes();
        let fragment = fragment.to_be_bytes();
        let fixed =
            [0x40 | (header / 4) as u8, 0, total[0], total[1], 0, 7, fragment[0], fragment[1], 64, protocol, 0, 0];
        // (An option of one byte that does nothing.)
        [&[0x08, 0x00][..], &fixed, &source, &destination, &vec![1; options], &content].concat()
    }

    fn ipv6(&mut self, is_extended: bool) -> Vec<u8> {
        let protocol = self.of(&PROTOCOLS);
        let (source, destination) = (self.of(&V6), self.of(&V6));
        let mut content = self.transport(protocol);
        let mut next = protocol;
        if is_extended {
            for _ in 0..self.below(3) {
                let (kind, header): (u8, Vec<u8>) = match self.below(5) {
                    0 => (44, vec![next, 0, 0, 1, 0, 0, 0, 9]),
                    1 => (44, vec![next, 0, 0, 8, 0, 0, 0, 9]),
                    2 => (60, [&[next, 1][..], &[0; 14]].concat()),
                    3 => (43, vec![next, 0, 0, 0, 0, 0, 0, 0]),
                    _ => (51, [&[next, 2][..], &[0; 14]].concat()),
                };
                content.splice(0..0, header);
                next = kind;
            }
            // (It comes first or not at all: RFC 8200, 4.1.)
            if self.below(5) == 1 {
                content.splice(0..0, [next, 0, 1, 4, 0, 0, 0, 0]);
                next = 0;
            }
        } else if self.below(4) == 1 {
            // libpcap knows one fragment header, but looks for ports in the fixed place.
            content.splice(0..0, [next, 0, 0, 8, 0, 0, 0, 9]);
            next = 44;
        }
        let len = (content.len() as u16).to_be_bytes();
        [&[0x86, 0xdd, 0x60, 0, 0, 0, len[0], len[1], next, 64][..], &source, &destination, &content].concat()
    }

    fn transport(&mut self, protocol: u8) -> Vec<u8> {
        let ports = [self.of(&PORTS).to_be_bytes(), self.of(&PORTS).to_be_bytes()].concat();
        let rest: &[u8] = match protocol {
            6 => &[0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x02, 1, 0, 0, 0, 0, 0],
            17 => &[0, 8, 0, 0],
            132 => &[0, 0, 0, 1, 0, 0, 0, 0],
            _ => return vec![8, 0, 0, 0, 0, 1, 0, 1, 2, 3, 4, 5],
        };
        [&ports, rest].concat()
    }
}
