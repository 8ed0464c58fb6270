use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use netns::mode::NetworkMode;
use netns::network::EndpointKind;
use netns::publish::MAX_PORTS;

use super::*;
use crate::cni::{CniNetwork, CniRoute};
use crate::{decode, encode};

fn order() -> RunOrder {
    RunOrder {
        name: None,
        network: NetworkMode::bridge(),
        ip: None,
        mac: None,
        mtu: None,
        hostname: None,
        aliases: Vec::new(),
        publish: Vec::new(),
        dns: Vec::new(),
        offload: true,
        detach: true,
        auto_remove: false,
        process: Process { argv: vec!["true".into()], env: Vec::new(), cwd: "/".into(), tty: false },
    }
}

fn run_with(change: impl FnOnce(&mut RunOrder)) -> Request {
    let mut order = order();
    change(&mut order);
    Request::Run(Box::new(order))
}

fn network_with(labels: &[(&str, usize)]) -> Request {
    let labels: BTreeMap<_, _> = labels.iter().map(|(key, len)| ((*key).to_owned(), "x".repeat(*len))).collect();
    Request::CreateNetwork(Box::new(NetworkOrder {
        name: name("net"),
        subnet: None,
        gateway: None,
        ip_range: None,
        internal: false,
        mtu: None,
        labels,
        endpoint: EndpointKind::Tap,
    }))
}

fn connect_with(aliases: usize) -> Request {
    let aliases = vec![name("web"); aliases];
    Request::Connect { network: "net".into(), container: "web".into(), ip: None, mac: None, aliases }
}

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn cni_with(change: impl FnOnce(&mut CniAdd)) -> Request {
    let ifname = "eth0".parse().expect("a name");
    let mut add = CniAdd::new(CniNetwork::new(name("web")), "c1", ifname, "/run/netns/c1");
    change(&mut add);
    Request::Cni(CniOrder::Add(Box::new(add)))
}

fn gc_with(spared: Vec<String>) -> Request {
    Request::Cni(CniOrder::Gc { network: name("web"), spared })
}

fn route() -> CniRoute {
    CniRoute { to: "10.0.0.0/8".parse().expect("a prefix"), by: None }
}

fn port(host: u16, container: u16) -> PortMapping {
    PortMapping { ip: Ipv4Addr::UNSPECIFIED, host, container, protocol: netns::publish::Protocol::Tcp }
}

#[test]
fn what_is_just_within_the_bounds_is_a_request() {
    let container = || "x".repeat(MAX_TARGET);
    let published = || (1..=1024).map(|host| port(host, 65_535));
    for request in [
        Request::Stop { container: container(), grace: MAX_GRACE },
        Request::Kill { container: container(), signal: 64 },
        Request::Kill { container: String::new(), signal: 1 },
        Request::Disconnect { network: container(), container: container() },
        connect_with(MAX_ALIASES),
        network_with(&[("k", MAX_LABELS - 1)]),
        run_with(|order| order.publish = published().collect()),
        run_with(|order| order.dns = vec![Ipv4Addr::LOCALHOST; MAX_DNS]),
        run_with(|order| order.hostname = Some("x".repeat(MAX_HOSTNAME))),
        run_with(|order| order.aliases = vec![name("web"); MAX_ALIASES]),
        run_with(|order| order.process.env = vec![("=C:".into(), "a=b".into()), ("A".into(), "".into())]),
        run_with(|order| order.process.env = vec![("A".into(), "".into()); MAX_WORDS - 1]),
        run_with(|order| order.process.cwd = ("/".to_owned() + &"d".repeat(MAX_PATH - 1)).into()),
        cni_with(|add| add.container = container()),
        cni_with(|add| add.netns = ("/".to_owned() + &"d".repeat(MAX_PATH - 1)).into()),
        cni_with(|add| add.routes = Some(vec![route(); MAX_ROUTES])),
        gc_with(vec!["k".repeat(MAX_KEY); MAX_SPARED]),
    ] {
        assert_eq!(check(&request), Ok(()));
        let line = encode(&request, 4).expect("JSON");
        let decoded = decode(&line).expect("a request");
        assert_eq!((decoded.fds, decoded.body), (4, request));
    }
    assert_eq!(published().count(), MAX_PORTS);
}

#[test]
fn what_is_beyond_them_is_refused_by_name_before_anything_is_made_of_it() {
    let long = || "x".repeat(MAX_TARGET + 1);
    let refused = [
        (Request::Locate(long()), "a name or an id: 256 bytes are too many, at most 255 may be"),
        (Request::Inspect(long()), "a name or an id: 256 bytes are too many, at most 255 may be"),
        (
            Request::RemoveNetwork { network: long(), force: false },
            "a name or an id: 256 bytes are too many, at most 255 may be",
        ),
        (
            Request::Remove { container: long(), force: true },
            "a name or an id: 256 bytes are too many, at most 255 may be",
        ),
        (
            Request::Disconnect { network: "net".into(), container: long() },
            "a name or an id: 256 bytes are too many, at most 255 may be",
        ),
        (
            Request::Stop { container: "web".into(), grace: MAX_GRACE + 1 },
            "4294967296 seconds are too many: at most 4294967295 may be",
        ),
        (
            Request::Kill { container: "web".into(), signal: 0 },
            "there is no signal 0: a signal is a number from 1 to 64",
        ),
        (
            Request::Kill { container: "web".into(), signal: 65 },
            "there is no signal 65: a signal is a number from 1 to 64",
        ),
        (connect_with(MAX_ALIASES + 1), "257 aliases are too many: at most 256 may be"),
        (network_with(&[("", 1)]), "a label has a name"),
        (network_with(&[("k", MAX_LABELS)]), "all labels together: 65537 bytes are too many, at most 65536 may be"),
        (run_with(|order| order.publish = vec![port(0, 80)]), "0.0.0.0:0->80/tcp: there is no port 0"),
        (run_with(|order| order.publish = vec![port(80, 0)]), "0.0.0.0:80->0/tcp: there is no port 0"),
        (
            run_with(|order| order.publish = (1..=1025).map(|host| port(host, 80)).collect()),
            "1025 published ports are too many: a container has at most 1024",
        ),
        (
            run_with(|order| order.dns = vec![Ipv4Addr::LOCALHOST; MAX_DNS + 1]),
            "65 DNS servers are too many: at most 64 may be",
        ),
        (
            run_with(|order| order.hostname = Some("x".repeat(MAX_HOSTNAME + 1))),
            "the host name: 256 bytes are too many, at most 255 may be",
        ),
        (
            run_with(|order| order.aliases = vec![name("web"); MAX_ALIASES + 1]),
            "257 aliases are too many: at most 256 may be",
        ),
        (run_with(|order| order.process.argv.clear()), "there is no command"),
        (
            run_with(|order| order.process.argv.push("a\0b".into())),
            "an argument has a NUL byte in it, which the kernel takes for its end",
        ),
        (
            run_with(|order| order.process.env.push(("A".into(), "\0".into()))),
            "a variable has a NUL byte in it, which the kernel takes for its end",
        ),
        (
            run_with(|order| order.process.env.push(("".into(), "x".into()))),
            "a variable has a name, with no '=' but at its beginning",
        ),
        (
            run_with(|order| order.process.env.push(("A=B".into(), "x".into()))),
            "a variable has a name, with no '=' but at its beginning",
        ),
        (run_with(|order| order.process.cwd = "tmp".into()), "the working directory is no absolute path"),
        (
            run_with(|order| order.process.cwd = "/\0".into()),
            "the working directory has a NUL byte in it, which the kernel takes for its end",
        ),
        (
            run_with(|order| order.process.cwd = ("/".to_owned() + &"d".repeat(MAX_PATH)).into()),
            "the working directory: 4097 bytes are too many, at most 4096 may be",
        ),
        (cni_with(|add| add.container = long()), "a name or an id: 256 bytes are too many, at most 255 may be"),
        (cni_with(|add| add.netns = "netns/c1".into()), "the network namespace is no absolute path"),
        (
            cni_with(|add| add.aliases = vec![name("web"); MAX_ALIASES + 1]),
            "257 aliases are too many: at most 256 may be",
        ),
        (cni_with(|add| add.publish = vec![port(0, 80)]), "0.0.0.0:0->80/tcp: there is no port 0"),
        (cni_with(|add| add.routes = Some(vec![route(); MAX_ROUTES + 1])), "65 routes are too many: at most 64 may be"),
        (gc_with(vec!["k".repeat(MAX_KEY + 1)]), "a guest's key: 272 bytes are too many, at most 271 may be"),
        (gc_with(vec![String::new(); MAX_SPARED + 1]), "16385 guests are too many: at most 16384 may be"),
        (
            run_with(|order| order.process.argv = vec!["".into(); MAX_WORDS + 1]),
            "699051 arguments and variables are too many: at most 699050 may be",
        ),
    ];
    for (request, why) in refused {
        assert_eq!(check(&request).map_err(|refused| refused.to_string()), Err(why.to_owned()));
        let refused = decode(&encode(&request, 0).expect("JSON")).expect_err(why).to_string();
        assert!(refused.starts_with(why), "{refused}");
    }
}

#[test]
fn what_is_no_request_at_all_is_refused() {
    let deep = "[".repeat(100_000);
    for nonsense in [
        "",
        "\n",
        "{}\n",
        "{\"fds\":0}\n",
        "{\"fds\":-1,\"body\":\"hello\"}\n",
        "{\"fds\":0,\"body\":\"shut_down\"}\n",
        "{\"fds\":0,\"body\":{\"inspect\":7}}\n",
        "{\"fds\":0,\"body\":{\"inspect\":\"a\",\"log\":\"a\"}}\n",
        "{\"fds\":0,\"body\":\"hello\"} x\n",
        "\u{0}\n",
        &deep,
        &format!("{{\"fds\":0,\"body\":{{\"inspect\":{deep}}}}}"),
    ] {
        assert!(decode(nonsense.as_bytes()).is_err(), "{nonsense:.40}");
    }
    assert_eq!(decode(b"{\"fds\":0,\"body\":\"hello\"}\n").expect("a request").body, Request::Hello);
}

#[test]
fn a_frame_to_be_explained_is_as_long_as_one_can_be_and_its_port_has_a_name() {
    let explain = |port: usize, frame: usize| {
        check(&Request::Explain { port: "x".repeat(port), frame: crate::FrameBytes(vec![0; frame]) })
    };
    assert_eq!(explain(MAX_PORT_NAME, MAX_FRAME), Ok(()));
    let (port, frame) = ("a port's name", "the frame");
    let refused = |what, length, limit| Err(Refused::TooLong { what, length, limit });
    assert_eq!(explain(MAX_PORT_NAME + 1, 0), refused(port, MAX_PORT_NAME + 1, MAX_PORT_NAME));
    assert_eq!(explain(0, MAX_FRAME + 1), refused(frame, MAX_FRAME + 1, MAX_FRAME));
}
