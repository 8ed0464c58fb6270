use proptest::prelude::*;

use super::*;

fn network(bridge: &str, subnet: &str, internal: bool) -> PolicyNetwork {
    PolicyNetwork { bridge: bridge.to_owned(), subnet: subnet.parse().expect("a subnet"), internal }
}

fn script(policy: &Policy) -> String {
    policy.script().expect("it can be written")
}

#[test]
fn an_empty_policy_deletes_both_tables_whether_they_are_there_or_not() {
    let expected = "\
add table inet pontoon_0
delete table inet pontoon_0
add table netdev pontoon_0
delete table netdev pontoon_0
";
    assert_eq!(script(&Policy::none("0")), expected);
}

#[test]
fn the_whole_policy_is_one_transaction() {
    let policy = Policy {
        instance: "0".to_owned(),
        networks: vec![
            network("pontoon0", "172.18.0.1/16", false),
            network("br-0123456789ab", "172.19.0.0/16", false),
            network("br-ba9876543210", "172.20.0.0/16", true),
        ],
        guards: true,
        forwarded: vec!["eth1".to_owned()],
        journal: "{\"on\":false}".to_owned(),
        silenced: vec!["veth2".to_owned(), "veth1".to_owned()],
    };
    let expected = r#"add table inet pontoon_0
delete table inet pontoon_0
add table netdev pontoon_0
delete table netdev pontoon_0
table inet pontoon_0 {
	set bridges {
		type ifname
		elements = {
			"br-0123456789ab",
			"br-ba9876543210",
			"pontoon0",
		}
	}
	set itself {
		type ifname . ifname
		elements = {
			"br-0123456789ab" . "br-0123456789ab",
			"br-ba9876543210" . "br-ba9876543210",
			"pontoon0" . "pontoon0",
		}
	}
	set internal {
		type ifname
		elements = {
			"br-ba9876543210",
		}
	}
	set forwarded {
		type ifname
		elements = {
			"eth1",
		}
	}
	chain forward {
		type filter hook forward priority filter; policy accept;
		iifname @bridges goto outwards
		oifname @bridges goto inwards
		meta nfproto != ipv4 accept
		iifname @forwarded accept
		iifgroup 1886350964 accept
		oifgroup 1886350964 accept
		drop
	}
	chain outwards {
		meta nfproto ipv6 drop
		iifname . oifname @itself accept
		iifname @internal drop
		oifname @bridges drop
		accept
	}
	chain inwards {
		meta nfproto ipv6 drop
		oifname @internal drop
		ct state established,related accept
		ct status dnat accept
		drop
	}
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr 172.18.0.0/16 oifname != "pontoon0" masquerade
		ip saddr 172.19.0.0/16 oifname != "br-0123456789ab" masquerade
	}
	chain journal {
		continue comment "7b226f6e223a66616c73657d"
	}
}
table netdev pontoon_0 {
	chain silence {
		type filter hook ingress devices = { "veth1", "veth2" } priority filter; policy drop;
	}
}
"#;
    assert_eq!(script(&policy), expected);
}

#[test]
fn without_a_guard_what_is_not_ours_is_left_alone() {
    let networks = vec![network("pontoon0", "172.18.0.0/16", false)];
    let policy = Policy { networks, forwarded: vec!["eth1".to_owned()], ..Policy::none("0") };
    let text = script(&policy);
    assert!(text.contains("\t\toifname @bridges goto inwards\n\t}\n"), "{text}");
    assert!(!text.contains("forwarded") && !text.contains("netdev pontoon_0 {"), "{text}");
}

#[test]
fn a_guard_stands_though_there_is_no_network() {
    let text = script(&Policy { guards: true, ..Policy::none("0") });
    assert!(text.contains("\tset bridges {\n\t\ttype ifname\n\t}\n"), "{text}");
    assert!(text.contains("\t\tdrop\n"), "{text}");
}

#[test]
fn a_journal_is_read_as_it_was_written_however_long_it_is() {
    for journal in ["x".to_owned(), "{\"interfaces\":[\"é\"]}".repeat(500)] {
        let text = script(&Policy { guards: true, journal: journal.clone(), ..Policy::none("0") });
        let comments = text.lines().filter_map(|line| line.trim().strip_prefix("continue comment "));
        let pieces: Vec<&str> = comments.map(|comment| comment.trim_matches('"')).collect();
        assert!(pieces.iter().all(|piece| piece.len() <= MAX_COMMENT));
        assert_eq!(read_journal(&pieces.concat()), Some(journal));
    }
    for odd in ["7b7", "x", "+1", "é", "ff"] {
        assert_eq!(read_journal(odd), None, "{odd}");
    }
    // Whoever does not guard has nothing to put back.
    assert!(!script(&Policy { journal: "x".into(), ..Policy::none("0") }).contains("journal"));
}

#[test]
fn two_hundred_networks_need_two_hundred_rules() {
    let networks = (0..200).map(|n| network(&format!("br-{n}"), &format!("10.0.{n}.0/24"), false)).collect();
    let text = script(&Policy { networks, ..Policy::none("0") });
    let rules = text.lines().filter(|line| line.ends_with("masquerade") || line.contains(" goto ")).count();
    assert_eq!(rules, 202);
    // Each is an element of two sets, and has its rule for masquerading.
    assert_eq!(text.matches("\"br-").count(), 200 + 400 + 200);
}

#[test]
fn names_that_nft_could_misread_are_refused() {
    for name in ["", ".", "..", "a b", "a\tb", "a\nb", "a/b", "a:b", "a\"b", "a\0b", "eth*", "sixteen-bytes-xx", "à"] {
        let policy = Policy { networks: vec![network(name, "172.18.0.0/16", false)], ..Policy::none("0") };
        assert_eq!(policy.script(), Err(PolicyError::Interface(name.to_owned())));
        let policy = Policy { silenced: vec![name.to_owned()], ..Policy::none("0") };
        assert_eq!(policy.script(), Err(PolicyError::Interface(name.to_owned())));
    }
    for instance in ["", "0 { }", "0;", "ä", &"0".repeat(33)] {
        assert_eq!(Policy::none(instance).script(), Err(PolicyError::Instance(instance.to_owned())));
    }
    let shown = PolicyError::Interface("a\n\"b".to_owned()).to_string();
    assert_eq!(shown, "'a\\n\\\"b' can not be the name of an interface in a firewall rule");
}

/// What nft's scanner makes of a script, as far as quotes go: what is between them, and all the rest.
fn scan(script: &str) -> (Vec<&str>, String) {
    let mut parts = script.split('"');
    let mut rest = parts.next().unwrap_or_default().to_owned();
    let mut names = Vec::new();
    while let Some(name) = parts.next() {
        names.push(name);
        rest.push_str("NAME");
        rest.push_str(parts.next().expect("each quote is closed"));
    }
    (names, rest)
}

/// Every name that the kernel might take, and more.
fn names() -> impl Strategy<Value = String> {
    let odd = "[-a-z0-9@.;{}()\\[\\]#$\\\\*'!%&|<>=,+~^ä]{1,15}";
    let illegal = "[a-z;{}\" \n\t/:]{1,15}";
    prop_oneof![6 => odd.prop_map(|name| name), 1 => illegal.prop_map(|name| name), 1 => any::<String>()]
}

proptest! {
    #[test]
    fn no_name_gets_out_of_its_quotes(first in names(), second in names(), internal: bool) {
        let with = |first: &str, second: &str| Policy {
            networks: vec![network(first, "10.1.0.0/16", internal), network(second, "10.2.0.0/16", false)],
            guards: true,
            forwarded: vec![first.to_owned()],
            silenced: vec![second.to_owned()],
            ..Policy::none("0")
        };
        prop_assume!(first != second);
        if let Ok(text) = with(&first, &second).script() {
            let plain = script(&with("a", "b"));
            let (names, rest) = scan(&text);
            let (plain_names, plain_rest) = scan(&plain);
            prop_assert_eq!(rest, plain_rest);
            prop_assert_eq!(names.len(), plain_names.len());
            prop_assert!(names.iter().all(|name| *name == first || *name == second));
            prop_assert!(names.iter().all(|name| name.len() <= 15 && !name.contains(char::is_whitespace)));
        }
    }
}
