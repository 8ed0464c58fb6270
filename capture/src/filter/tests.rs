//! What is understood, and what is not, and where. Whether it means what it should is shown by other programs, in
//! `tests/oracles`.

use proptest::prelude::*;

use super::*;

#[test]
fn what_is_understood_is_said_in_full() {
    for (text, full) in [
        ("host 10.0.0.1", "host 10.0.0.1"),
        ("10.0.0.1", "host 10.0.0.1"),
        ("src or dst host 10.0.0.1", "host 10.0.0.1"),
        ("dst and src 10.0.0.1", "src and dst host 10.0.0.1"),
        ("arp host 10.0.0.1", "arp host 10.0.0.1"),
        ("ip6 dst host fd00::1", "dst host fd00::1"),
        ("net 10", "net 10.0.0.0/8"),
        ("src net 192.168", "src net 192.168.0.0/16"),
        ("net 172.16.0.0 mask 255.240.0.0", "net 172.16.0.0/12"),
        ("fd00::/8 or 10/8", "net fd00::/8 or net 10.0.0.0/8"),
        ("net 0/0", "net 0.0.0.0/0"),
        ("tcp port 80 or 443", "tcp port 80 or tcp port 443"),
        ("port (80 or 443) and udp", "port 80 or port 443 and udp"),
        ("udp dst port 53", "udp dst port 53"),
        ("portrange 9-1", "portrange 1-9"),
        ("not host 10.0.0.1 and 10.0.0.2", "not host 10.0.0.1 and host 10.0.0.2"),
        ("not (tcp || arp) && !icmp", "not (tcp or arp) and not icmp"),
        ("tcp or udp and arp", "tcp or udp and arp"),
        ("tcp or (udp and arp)", "tcp or (udp and arp)"),
        ("(tcp or udp) and arp", "tcp or udp and arp"),
        ("ether src 02:42:ac:12:00:02", "ether src host 02:42:ac:12:00:02"),
        ("ether proto 0x88cc or \\arp", "ether proto 0x88cc or ether proto 0x0806"),
        ("ip proto \\tcp or ip6 proto 58", "ip proto 6 or ip6 proto 58"),
        ("vlan", "vlan"),
        ("vlan 5 or 6 and ip", "vlan 5 or vlan 6 and ip"),
        ("broadcast or ip multicast", "ether broadcast or ip multicast"),
        ("less 64 or greater 1500", "less 64 or greater 1500"),
        ("sctp src port 9", "sctp src port 9"),
    ] {
        let filter = Filter::parse(text).unwrap_or_else(|error| panic!("{}", error.render(text)));
        assert_eq!(filter.to_string(), full, "{text}");
        assert_eq!(Filter::parse(full), Ok(filter), "{full}");
    }
}

#[test]
fn what_is_not_understood_is_pointed_at() {
    for (text, place, message) in [
        ("", "^", "a test such as 'host 10.0.0.1' or 'tcp port 80' is missing here"),
        ("tcp prt 80", "    ^^^", "'prt' is no word of a filter; names are not looked up"),
        ("tcp udp", "    ^^^", "'and' or 'or' is missing before this"),
        ("host", "    ^", "an IP address is expected here"),
        ("host web", "     ^^^", "'web' is no IP address; names are not looked up"),
        ("host 10.0.0.0/8", "     ^^^^^^^^^^", "'10.0.0.0/8' is a network: 'net' is the word for it"),
        ("net 10.0.0.1/8", "    ^^^^^^^^^^", "10.0.0.1 has bits set behind the first 8: 10.0.0.0/8 is the network"),
        ("net 10.0.0.0/33", "    ^^^^^^^^^^^", "'/33' is none of the prefix lengths 0 to 32"),
        ("udp port 65536", "         ^^^^^", "'65536' is not a port: a number from 0 to 65535 is expected"),
        ("portrange 80", "          ^^", "two ports are expected here, from 0 to 65535, such as 8000-8080"),
        ("arp port 80", "^^^^^^^^", "there is no 'arp … port'"),
        ("tcp and", "       ^", "a test such as 'host 10.0.0.1' or 'tcp port 80' is missing here"),
        ("(tcp or udp", "^", "this bracket is not closed"),
        ("tcp)", "   ^", "there is no bracket that this one closes"),
        ("port (80 or tcp)", "            ^^^", "a value for the words before the bracket is expected here"),
        ("wub", "^^^", "'wub' is no word of a filter; names are not looked up"),
        ("inbound", "^^^^^^^", "'inbound' is a word of tcpdump's that is not supported"),
        ("tcp[13] & 2 != 0", "   ^", "arithmetic on bytes and lengths is not supported"),
        (
            "ether 02:42:ac:12:00:02",
            "      ^^^^^^^^^^^^^^^^^",
            "'host', 'src', 'dst', 'proto', 'broadcast' or 'multicast' is expected behind 'ether'",
        ),
        ("ether proto 5", "            ^", "'5' is not an EtherType: a number from 1536 to 65535 is expected"),
        ("vlan 4096", "     ^^^^", "'4096' is not a VLAN: a number from 0 to 4095 is expected"),
        ("ip6 host 10.0.0.1", "         ^^^^^^^^", "'10.0.0.1' is not of IPv6"),
        ("tcp und ärp", "        ^", "'ä' has no place in a filter"),
        ("ärp", "^", "'ä' has no place in a filter"),
    ] {
        let error = Filter::parse(text).expect_err(text);
        let expected = (format!("{text}\n{place}"), message.to_owned());
        assert_eq!((error.render(text), error.message), expected, "{text}");
    }
}

#[test]
fn a_mark_is_below_its_place_whatever_is_before_it() {
    let text = "tcp\tor\nwub";
    assert_eq!(Filter::parse(text).unwrap_err().render(text), "tcp or wub\n       ^^^");
}

#[test]
fn length_depth_and_number_of_tests_are_bounded() {
    let deep = |deep: usize| format!("{}tcp{}", "(".repeat(deep), ")".repeat(deep));
    let many = |many: usize| vec!["tcp"; many].join(" or ");
    let long = |long: usize| format!("tcp{}", " ".repeat(long - 3));
    let message = |text: &str| Filter::parse(text).err().map(|error| error.message);
    assert_eq!((message(&deep(MAX_DEPTH)), message(&many(MAX_TESTS)), message(&long(MAX_LENGTH))), (None, None, None));
    assert_eq!(message(&deep(MAX_DEPTH + 1)).unwrap(), "brackets and negations are at most 64 deep");
    assert_eq!(message(&format!("{}tcp", "not ".repeat(65))).unwrap(), "brackets and negations are at most 64 deep");
    assert_eq!(message(&many(MAX_TESTS + 1)).unwrap(), "a filter has at most 256 tests");
    assert_eq!(message(&long(MAX_LENGTH + 1)).unwrap(), "a filter has at most 4096 bytes");
}

#[test]
fn tags_are_looked_through_and_a_third_one_is_not() {
    let arp = |tags: usize| [&[0; 12][..], &[0x81, 0, 0, 5].repeat(tags), &[0x08, 0x06]].concat();
    let finds = |text: &str, tags| Filter::parse(text).unwrap().matches(&arp(tags), 60);
    assert_eq!([0, 1, 2, 3].map(|tags| finds("arp", tags)), [true, true, true, false]);
    assert_eq!([0, 1, 2, 3].map(|tags| finds("vlan 5", tags)), [false, true, true, true]);
    assert_eq!([0, 1, 2, 3].map(|tags| finds("vlan 5 or arp", tags)), [true; 4]);
    assert_eq!([0, 1, 2, 3].map(|tags| finds("ether proto 0x8100", tags)), [false, true, true, true]);
}

#[test]
fn the_help_says_nothing_that_is_not_understood() {
    let examples = ["src host 10.0.0.1", "dst port 80", "src and dst net 10.0.0.0/8", "net fd00::/8", "port 80 or 443"];
    examples.into_iter().for_each(|text| drop(Filter::parse(text).unwrap()));
    for protocol in Protocol::ALL {
        assert!(SYNTAX.contains(protocol.name()));
        assert_eq!(Filter::parse(protocol.name()).unwrap().to_string(), protocol.name());
    }
}

/// Words and signs in any order, most of which make no sense.
fn soup() -> impl Strategy<Value = String> {
    let words = "host net port portrange proto src dst ether ip ip6 arp tcp udp vlan less greater broadcast mask not and or ( ) ! && || \
                 10.0.0.1 10.0.0.0/8 10 fd00::/8 80 80-90 02:00:00:00:00:01 0x88cc wub [ ä";
    let words: Vec<&str> = words.split_whitespace().collect();
    prop::collection::vec(prop::sample::select(words), 0..12).prop_map(|words| words.join(" "))
}

proptest! {
    #[test]
    fn any_text_is_a_filter_or_an_error_within_it(text in prop_oneof![any::<String>(), soup()], frame: Vec<u8>) {
        match Filter::parse(&text) {
            Ok(filter) => {
                let _ = filter.matches(&frame, frame.len());
                prop_assert_eq!(Filter::parse(&filter.to_string()), Ok(filter));
            }
            Err(error) => {
                prop_assert!(text.get(error.at.clone()).is_some(), "{:?} of {:?}", error.at, text);
                let _ = error.render(&text);
            }
        }
    }
}
