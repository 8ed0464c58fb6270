use std::net::Ipv6Addr;

use ::capture::describe::describe;
use switch::mac::MacAddr;

use crate::wire::{Echo, Ndp, Packet};

#[test]
fn says_what_is_said_of_neighbours() {
    let (a, b) = (Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1), Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2));
    let [from, to] = [1, 2].map(|last| MacAddr([2, 0, 0, 0, 0, last]));
    let words = |packet: Packet| {
        let bytes = packet.into_frame(to, from).bytes;
        let said = describe(&bytes, bytes.len());
        said.split_once(" bytes, ").expect("a length").1.to_owned()
    };
    let answer = |solicited, station| Ndp::Advertisement { target: b, solicited, overrides: true, station };
    let question = Ndp::Solicitation { target: b, source: Some(from), nonce: Some([7; 6]) };
    assert_eq!(words(Packet::ndp(a, b, &question)), "NDP who has fd00::2? fd00::1 asks");
    assert_eq!(words(Packet::ndp(b, a, &answer(true, Some(to)))), "NDP fd00::2 is at 02:00:00:00:00:02");
    assert_eq!(words(Packet::ndp(b, a, &answer(false, None))), "NDP fd00::2 is there, unasked");
    for (reply, name) in [(false, "request"), (true, "reply")] {
        let echo = Echo { reply, id: 7, sequence: 3, data: vec![0; 9] };
        let packet = Packet::echo(a.into(), b.into(), &echo);
        assert_eq!(words(packet), format!("ICMPv6 fd00::1 > fd00::2 echo {name} 3"));
    }
}
