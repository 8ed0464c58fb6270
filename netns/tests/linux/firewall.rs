//! What our tables let pass, seen from both ends; that nobody else's rule changes; and whose chains drop what is ours.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use netns::firewall::{GROUP, Policy, PolicyNetwork};
use netns::linux::firewall::{self, Foreign, ForeignDrop, foreign_drops};

use crate::places::{Network, Place, arrives, arrives_before, at, enter_host, is_lost, outside, sh, socket};

crate::trials![
    outbound_traffic_is_masqueraded_and_answers_come_back,
    networks_do_not_reach_each_other_through_the_gateways,
    an_internal_network_has_no_way_out_and_none_in,
    what_comes_unasked_from_outside_is_dropped,
    a_guard_forwards_only_what_is_ours_or_was_before,
    instances_do_not_disturb_each_other,
    ipv6_is_not_forwarded_to_or_from_our_bridges,
    the_host_does_not_hear_a_silenced_interface,
    the_rules_of_others_are_the_same_to_the_byte,
    two_hundred_networks_are_applied_at_once,
    without_nft_the_error_says_what_to_install,
    dockers_forward_chain_is_found_and_its_remedy_lets_us_pass,
    a_foreign_table_is_found_and_its_remedy_lets_us_pass,
    rules_of_iptables_legacy_are_found_and_their_remedy_lets_us_pass,
    rules_of_iptables_legacy_that_can_not_be_read_are_told,
];

/// A host with a network and an outside.
struct Scene {
    network: Network,
    outside: Place,
    outside_ip: Ipv4Addr,
    /// The host's own.
    host: UdpSocket,
}

const UPLINK: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

impl Scene {
    fn new() -> Self {
        enter_host();
        let network = Network::new("pontoon0", 1);
        let (outside, outside_ip) = outside("up0", 2);
        Scene { network, outside, outside_ip, host: socket() }
    }

    /// That nothing gets from a network's container to the outside.
    fn has_no_way_out(&self, network: &Network) {
        let (inner, outer) = (network.container.socket(), self.outside.socket());
        let address = at(self.outside_ip, &outer);
        is_lost(&inner, &outer, address, (&self.host, at(network.gateway, &self.host)), (&self.host, address));
    }

    /// That nothing gets from the outside to a network's container.
    fn has_no_way_in(&self, network: &Network) {
        let (inner, outer) = (network.container.socket(), self.outside.socket());
        let address = network.at(&inner);
        is_lost(&outer, &inner, address, (&self.host, at(UPLINK, &self.host)), (&self.host, address));
    }

    /// That a container reaches the outside, by the host's address, and is answered.
    fn has_a_way_out(&self, network: &Network) {
        let (inner, outer) = (network.container.socket(), self.outside.socket());
        let source = arrives(&inner, &outer, at(self.outside_ip, &outer));
        assert_eq!(source.ip(), UPLINK);
        assert_eq!(arrives(&outer, &inner, source), at(self.outside_ip, &outer));
    }
}

/// Nothing gets from one container to another, though the host reaches both.
fn is_isolated(from: &Network, to: &Network, host: &UdpSocket) {
    let (sender, receiver) = (from.container.socket(), to.container.socket());
    let address = to.at(&receiver);
    is_lost(&sender, &receiver, address, (host, at(from.gateway, host)), (host, address));
}

fn policy(networks: &[(&Network, bool)]) -> Policy {
    let network = |(network, internal): &(&Network, bool)| PolicyNetwork {
        bridge: network.bridge.clone(),
        subnet: format!("{}/24", network.gateway).parse().expect("a subnet"),
        internal: *internal,
    };
    Policy { networks: networks.iter().map(network).collect(), ..Policy::none("0") }
}

fn outbound_traffic_is_masqueraded_and_answers_come_back() {
    let scene = Scene::new();
    let (inner, outer) = (scene.network.container.socket(), scene.outside.socket());
    // Without a rule the outside sees the container.
    assert_eq!(arrives(&inner, &outer, at(scene.outside_ip, &outer)), scene.network.at(&inner));
    firewall::apply(&policy(&[(&scene.network, false)])).expect("applied");
    scene.has_a_way_out(&scene.network);
    // The host sees the container as it is, whichever of its addresses is meant.
    let inner = scene.network.container.socket();
    for own in [scene.network.gateway, UPLINK] {
        assert_eq!(arrives(&inner, &scene.host, at(own, &scene.host)), scene.network.at(&inner));
    }
    firewall::remove("0").expect("removed");
    assert_eq!(arrives(&inner, &outer, at(scene.outside_ip, &outer)), scene.network.at(&inner));
    assert_eq!(sh("nft list ruleset"), "");
}

fn networks_do_not_reach_each_other_through_the_gateways() {
    enter_host();
    // A name that is legal, and would be much else to nft if it were not quoted.
    let (one, two, inside) = (Network::new("pontoon0", 1), Network::new(r"b;{}$c#\'d@", 2), Network::new("br-in", 3));
    let host = socket();
    let pairs = [(&one, &two), (&two, &one), (&one, &inside), (&inside, &two), (&two, &inside), (&inside, &one)];
    for (from, to) in pairs {
        let (sender, receiver) = (from.container.socket(), to.container.socket());
        assert_eq!(arrives(&sender, &receiver, to.at(&receiver)), from.at(&sender));
    }
    firewall::apply(&policy(&[(&one, false), (&two, false), (&inside, true)])).expect("applied");
    for (from, to) in pairs {
        is_isolated(from, to, &host);
    }
    // Through the gateway, too, a network reaches itself.
    let (other, other_ip) = one.another(3);
    one.container.sh(&format!("ip route add {other_ip} via {}", one.gateway));
    let (sender, receiver) = (one.container.socket(), other.socket());
    assert_eq!(arrives(&sender, &receiver, at(other_ip, &receiver)), one.at(&sender));
}

fn an_internal_network_has_no_way_out_and_none_in() {
    let scene = Scene::new();
    let inside = Network::new("br-in", 3);
    let (inner, outer) = (inside.container.socket(), scene.outside.socket());
    arrives(&inner, &outer, at(scene.outside_ip, &outer));
    arrives(&outer, &inner, inside.at(&inner));
    firewall::apply(&policy(&[(&scene.network, false), (&inside, true)])).expect("applied");
    // Its container has a default route, by which everything did pass.
    assert!(inside.container.sh("ip route").contains("default via 172.31.3.1"));
    scene.has_no_way_out(&inside);
    scene.has_no_way_in(&inside);
    scene.has_a_way_out(&scene.network);
    // Not even by a connection from before it was internal.
    let (inner, outer) = (scene.network.container.socket(), scene.outside.socket());
    let source = arrives(&inner, &outer, at(scene.outside_ip, &outer));
    arrives(&outer, &inner, source);
    firewall::apply(&policy(&[(&scene.network, true), (&inside, true)])).expect("applied");
    let allowed = (&scene.host, scene.network.at(&inner));
    is_lost(&outer, &inner, source, (&scene.host, at(UPLINK, &scene.host)), allowed);
}

fn what_comes_unasked_from_outside_is_dropped() {
    let scene = Scene::new();
    let (inner, outer) = (scene.network.container.socket(), scene.outside.socket());
    arrives(&outer, &inner, scene.network.at(&inner));
    firewall::apply(&policy(&[(&scene.network, false)])).expect("applied");
    scene.has_no_way_in(&scene.network);
    scene.has_a_way_out(&scene.network);
}

fn a_guard_forwards_only_what_is_ours_or_was_before() {
    let scene = Scene::new();
    let (right, right_ip) = outside("up1", 3);
    let passes = |from: &Place, to: &Place, ip: Ipv4Addr| {
        let (sender, receiver) = (from.socket(), to.socket());
        arrives(&sender, &receiver, at(ip, &receiver));
    };
    let does_not_pass = |from: &Place, gateway: Ipv4Addr, to: &Place, ip: Ipv4Addr| {
        let (sender, receiver) = (from.socket(), to.socket());
        let address = at(ip, &receiver);
        is_lost(&sender, &receiver, address, (&scene.host, at(gateway, &scene.host)), (&scene.host, address));
    };
    let left = &scene.outside;
    let right_gateway = Ipv4Addr::new(192, 0, 3, 1);
    let open = policy(&[(&scene.network, false)]);
    firewall::apply(&open).expect("applied");
    passes(left, &right, right_ip);
    passes(&right, left, scene.outside_ip);
    let guarding = Policy { guards: true, ..open.clone() };
    firewall::apply(&guarding).expect("applied");
    does_not_pass(left, UPLINK, &right, right_ip);
    does_not_pass(&right, right_gateway, left, scene.outside_ip);
    scene.has_a_way_out(&scene.network);
    // What came from there was forwarded before us.
    firewall::apply(&Policy { forwarded: vec!["up0".to_owned()], ..guarding }).expect("applied");
    passes(left, &right, right_ip);
    does_not_pass(&right, right_gateway, left, scene.outside_ip);
    firewall::apply(&open).expect("applied");
    passes(&right, left, scene.outside_ip);
}

fn instances_do_not_disturb_each_other() {
    let scene = Scene::new();
    let second = Network::new("pontoon1", 4);
    sh(&format!("ip link set pontoon0 group {GROUP}; ip link set pontoon1 group {GROUP}"));
    firewall::apply(&Policy { guards: true, ..policy(&[(&scene.network, false)]) }).expect("applied");
    firewall::apply(&Policy { instance: "1".to_owned(), ..policy(&[(&second, false)]) }).expect("applied");
    scene.has_a_way_out(&scene.network);
    scene.has_a_way_out(&second);
    scene.has_no_way_in(&second);
    is_isolated(&scene.network, &second, &scene.host);
    is_isolated(&second, &scene.network, &scene.host);
    for bridge in ["pontoon0", "pontoon1"] {
        assert_eq!(foreign_drops(bridge).expect("read"), Foreign::default());
    }
    firewall::remove("0").expect("removed");
    scene.has_a_way_out(&second);
    assert!(!sh("nft list tables").contains("pontoon_0"));
}

fn ipv6_is_not_forwarded_to_or_from_our_bridges() {
    let scene = Scene::new();
    sh("echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
        ip addr add fd00:1::1/64 dev pontoon0 nodad; ip addr add fd00:2::1/64 dev up0 nodad");
    scene.network.container.sh("ip addr add fd00:1::2/64 dev eth0 nodad; ip route add fd00:2::/64 via fd00:1::1");
    scene.outside.sh("ip addr add fd00:2::2/64 dev eth0 nodad; ip route add fd00:1::/64 via fd00:2::1");
    let own = || {
        let socket = UdpSocket::bind("[::]:0").expect("a socket");
        socket.set_read_timeout(Some(std::time::Duration::from_millis(50))).expect("set");
        socket
    };
    let address = |ip: &str, socket: &UdpSocket| -> SocketAddr {
        (ip.parse::<std::net::Ipv6Addr>().expect("an address"), socket.local_addr().expect("bound").port()).into()
    };
    let (inner, outer, host) = (scene.network.container.run(own), scene.outside.run(own), own());
    let (to_inner, to_outer) = (address("fd00:1::2", &inner), address("fd00:2::2", &outer));
    arrives(&inner, &outer, to_outer);
    arrives(&outer, &inner, to_inner);
    firewall::apply(&policy(&[(&scene.network, false)])).expect("applied");
    is_lost(&inner, &outer, to_outer, (&host, address("fd00:1::1", &host)), (&host, to_outer));
    is_lost(&outer, &inner, to_inner, (&host, address("fd00:2::1", &host)), (&host, to_inner));
}

fn the_host_does_not_hear_a_silenced_interface() {
    let scene = Scene::new();
    let (inner, address) = (scene.outside.socket(), at(UPLINK, &scene.host));
    arrives(&inner, &scene.host, address);
    let silenced = vec!["up0".to_owned(), "gone".to_owned()];
    firewall::apply(&Policy { silenced, ..Policy::none("0") }).expect("applied, but for what is not there");
    let tap = rustix::net::socket(
        rustix::net::AddressFamily::PACKET,
        rustix::net::SocketType::RAW,
        // ETH_P_ALL, in network order.
        rustix::net::Protocol::from_raw(std::num::NonZeroU32::new(u32::from(3_u16.to_be())).expect("not zero")).into(),
    )
    .expect("a packet socket");
    inner.send_to(b"overheard", address).expect("sent");
    // By the packet socket it is heard all the same.
    let mut frame = [0; 2048];
    loop {
        let (length, _) = rustix::net::recv(&tap, &mut frame, rustix::net::RecvFlags::empty()).expect("received");
        if frame[..length].ends_with(b"overheard") {
            break;
        }
    }
    let own = socket();
    assert!(arrives_before(&own, &scene.host, at(Ipv4Addr::LOCALHOST, &scene.host), "overheard"));
    firewall::remove("0").expect("removed");
    arrives(&inner, &scene.host, address);
}

/// Everything that a table may have, of several families, some of it as iptables would have it.
const FOREIGN: &str = r#"
table ip filter {
	chain FORWARD {
		type filter hook forward priority filter; policy drop;
		counter packets 7 bytes 700 jump DOCKER-USER
		iifname "docker0" counter packets 3 bytes 300 accept comment "theirs"
	}
	chain DOCKER-USER {
		counter packets 7 bytes 700 return
	}
}
table inet pontoon {
	comment "not ours, though it sounds so"
	set hosts {
		type ipv4_addr
		flags interval
		elements = { 10.0.0.0/8, 192.0.2.7 comment "a host" }
	}
	map ways {
		type ifname : verdict
		elements = { "eth0" : accept, "pontoon0" : drop }
	}
	counter visits {
		packets 5 bytes 500
	}
	chain input {
		type filter hook input priority -5; policy accept;
		ip saddr @hosts counter name "visits" accept
		tcp dport { 22, 80-90 } limit rate 5/second burst 5 packets log prefix "a ; b" accept
	}
	chain post {
		type nat hook postrouting priority srcnat; policy accept;
		oifname "eth9" masquerade
	}
}
table ip6 filter {
	chain FORWARD {
		type filter hook forward priority filter; policy drop;
	}
}
table netdev pontoon {
	chain ingress {
		type filter hook ingress device "up0" priority filter; policy accept;
		ip saddr 198.51.100.0/24 drop
	}
}
table bridge filter {
	chain forward {
		type filter hook forward priority filter; policy accept;
	}
}
"#;

fn the_rules_of_others_are_the_same_to_the_byte() {
    let scene = Scene::new();
    sh(&format!("nft -f - <<'END'\n{FOREIGN}\nEND"));
    let tables = ["ip filter", "inet pontoon", "ip6 filter", "netdev pontoon", "bridge filter"];
    let each = || tables.map(|table| sh(&format!("nft -a list table {table}")));
    let (before, each_before) = (sh("nft -s list ruleset; nft list ruleset"), each());
    let whole = Policy {
        guards: true,
        forwarded: vec!["up0".to_owned()],
        silenced: vec!["up0".to_owned()],
        ..policy(&[(&scene.network, false)])
    };
    // Nothing to remove is no error, and no trace.
    firewall::remove("0").expect("nothing to remove");
    assert_eq!(sh("nft -s list ruleset; nft list ruleset"), before);
    let mut applied = Vec::new();
    for _ in 0..2 {
        firewall::apply(&whole).expect("applied");
        assert_eq!(each(), each_before);
        applied.push(sh("nft list ruleset"));
    }
    assert_eq!(applied[0], applied[1]);
    assert_eq!(applied[0].matches("table inet pontoon_0 {").count(), 1);
    assert_eq!(applied[0].matches("table netdev pontoon_0 {").count(), 1);
    firewall::apply(&policy(&[(&scene.network, false)])).expect("applied");
    assert!(!sh("nft list tables").contains("netdev pontoon_0"));
    for _ in 0..2 {
        firewall::remove("0").expect("removed");
        assert_eq!(sh("nft -s list ruleset; nft list ruleset"), before);
    }
}

fn two_hundred_networks_are_applied_at_once() {
    enter_host();
    let network = |number: u8| PolicyNetwork {
        bridge: format!("br-{number:012x}"),
        subnet: format!("10.{number}.0.0/16").parse().expect("a subnet"),
        internal: number.is_multiple_of(4),
    };
    let policy = Policy { networks: (0..200).map(network).collect(), ..Policy::none("0") };
    firewall::apply(&policy).expect("applied");
    let listed = sh("nft list ruleset");
    assert_eq!(listed.matches(" masquerade\n").count(), 150);
    // Each in the set of bridges, twice in the set of pairs, a quarter in that of internal networks, the rest in a rule.
    assert_eq!(listed.matches("\"br-").count(), 200 + 400 + 50 + 150);
    firewall::remove("0").expect("removed");
    assert_eq!(sh("nft list ruleset"), "");
}

/// Lets the calling thread find no administrator's program.
fn hide_programs() {
    sh("for directory in /usr/local/sbin /usr/sbin /sbin; do
            if [ -d $directory ] && [ -n \"$(ls $directory)\" ]; then mount -t tmpfs none $directory; fi
        done");
}

fn without_nft_the_error_says_what_to_install() {
    enter_host();
    hide_programs();
    let expected = |error: netns::backend::BackendError| {
        assert_eq!(error.to_string(), "run the program nft: it is not installed");
        let hint = netns::error::Error::from(error).hint().expect("a hint");
        assert!(hint.starts_with("install nftables"), "{hint}");
    };
    expected(firewall::apply(&Policy::none("0")).expect_err("there is no nft"));
    expected(foreign_drops("pontoon0").expect_err("there is no nft"));
    let refused = firewall::apply(&Policy::none("0 {")).expect_err("no name").to_string();
    assert!(refused.starts_with("set the firewall tables of instance 0 {: '0 {' can not be"), "{refused}");
}

/// Finds the one chain that drops, sees that it does, runs the remedy, and sees that it helps.
fn found_and_remedied(scene: &Scene, table: &str, chain: &str, remedy: &str) {
    firewall::apply(&policy(&[(&scene.network, false)])).expect("applied");
    let drop = ForeignDrop { table: table.to_owned(), chain: chain.to_owned(), remedy: remedy.to_owned() };
    assert_eq!(foreign_drops("pontoon0").expect("read"), Foreign { drops: vec![drop], unread: Vec::new() });
    scene.has_no_way_out(&scene.network);
    sh(remedy);
    assert_eq!(foreign_drops("pontoon0").expect("read"), Foreign::default());
    scene.has_a_way_out(&scene.network);
    scene.has_no_way_in(&scene.network);
    // Another bridge is no better off.
    assert_eq!(foreign_drops("pontoon1").expect("read").drops.len(), 1);
}

/// What Docker makes of a host, as `iptables` (or another program by that name) is told.
fn docker(iptables: &str) -> String {
    format!(
        "{iptables} -P FORWARD DROP
        {iptables} -N DOCKER-USER; {iptables} -N DOCKER-FORWARD; {iptables} -N DOCKER-CT
        {iptables} -A FORWARD -j DOCKER-USER
        {iptables} -A FORWARD -j DOCKER-FORWARD
        {iptables} -A DOCKER-FORWARD -j DOCKER-CT
        {iptables} -A DOCKER-FORWARD -i docker0 -m comment --comment 'a b' -j ACCEPT
        {iptables} -A DOCKER-CT -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
        {iptables} -A DOCKER-USER -s 203.0.113.0/24 -j DROP"
    )
}

fn dockers_forward_chain_is_found_and_its_remedy_lets_us_pass() {
    let scene = Scene::new();
    assert_eq!(foreign_drops("pontoon0").expect("read"), Foreign::default());
    sh(&docker("iptables-nft"));
    let iptables = if sh("iptables --version").contains("nf_tables") { "iptables" } else { "iptables-nft" };
    let remedy = format!(
        "{iptables} -I DOCKER-USER -i pontoon0 -j ACCEPT && \
         {iptables} -I DOCKER-USER -o pontoon0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
    );
    found_and_remedied(&scene, "ip filter", "FORWARD", &remedy);
}

fn a_foreign_table_is_found_and_its_remedy_lets_us_pass() {
    let scene = Scene::new();
    sh("nft -f - <<'END'
table inet filter {
	set inner { type ifname; elements = { \"docker0\", \"virbr0\" }; }
	chain forward {
		type filter hook forward priority 10; policy accept;
		ct state vmap { established : accept, related : accept, invalid : drop }
		iifname @inner accept
		meta nfproto ipv6 accept
		tcp dport 1 accept
		counter reject with icmpx type admin-prohibited
	}
}
END");
    // Answers are let pass already.
    let remedy = "nft 'insert rule inet filter forward iifname \"pontoon0\" accept'";
    found_and_remedied(&scene, "inet filter", "forward", remedy);
}

fn rules_of_iptables_legacy_are_found_and_their_remedy_lets_us_pass() {
    let scene = Scene::new();
    sh(&docker("iptables-legacy"));
    let iptables = if sh("iptables --version").contains("legacy") { "iptables" } else { "iptables-legacy" };
    let remedy = format!(
        "{iptables} -I DOCKER-USER -i pontoon0 -j ACCEPT && \
         {iptables} -I DOCKER-USER -o pontoon0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
    );
    found_and_remedied(&scene, "iptables-legacy filter", "FORWARD", &remedy);
}

fn rules_of_iptables_legacy_that_can_not_be_read_are_told() {
    enter_host();
    sh(&docker("iptables-legacy"));
    sh("nft=$(command -v nft); mkdir /tmp/pontoon-nft-$$; cp $nft /tmp/pontoon-nft-$$/nft
        mount -t tmpfs none /usr/sbin; cp /tmp/pontoon-nft-$$/nft /usr/sbin/nft; rm -r /tmp/pontoon-nft-$$");
    let found = foreign_drops("pontoon0").expect("nft is there");
    assert_eq!(found.drops, []);
    let why = "there are rules of iptables-legacy, which only iptables-legacy-save can read: there is no such program";
    assert_eq!(found.unread, [why]);
}
