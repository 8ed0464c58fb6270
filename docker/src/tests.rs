//! What dockerd was observed to send, what it might, and what a hostile one would.

use std::net::Ipv4Addr;

use netns::publish::{PortMapping, Protocol};
use proptest::prelude::*;
use serde_json::{Value, json};
use switch::mac::MacAddr;

use crate::call::read;
use crate::ports::{ANY, are_met, choose};
use crate::{Call, EndpointOrder, Method, NetworkOrder, Refused, Subject, Wanted, engine, reply};

const NET: &str = "1111111111111111111111111111111111111111111111111111111111111111";
const END: &str = "2222222222222222222222222222222222222222222222222222222222222222";

fn call(method: Method, body: &Value) -> Result<Call, Refused> {
    read(method, body.to_string().as_bytes())
}

fn refused(method: Method, body: &Value) -> String {
    call(method, body).expect_err("it is refused").to_string()
}

fn network() -> Value {
    json!({
        "NetworkID": NET,
        "Options": {"com.docker.network.enable_ipv6": false, "com.docker.network.generic": {}},
        "IPv4Data": [{"AddressSpace": "LocalDefault", "AuxAddresses": {"r1": "10.77.0.250/24"}, "Gateway": "10.77.0.1/24", "Pool": "10.77.0.0/24"}],
        "IPv6Data": []
    })
}

fn with_options(generic: Value) -> Value {
    let mut body = network();
    body["Options"]["com.docker.network.generic"] = generic;
    body
}

fn ordered(body: &Value) -> NetworkOrder {
    match call(Method::CreateNetwork, body) {
        Ok(Call::CreateNetwork(order)) => *order,
        other => panic!("{other:?}"),
    }
}

fn endpoint(interface: Value, options: Value) -> Value {
    json!({"NetworkID": NET, "EndpointID": END, "Interface": interface, "Options": options})
}

fn endpoint_ordered(body: &Value) -> EndpointOrder {
    match call(Method::CreateEndpoint, body) {
        Ok(Call::CreateEndpoint(order)) => *order,
        other => panic!("{other:?}"),
    }
}

fn program(portmap: Value) -> Result<Vec<Wanted>, Refused> {
    let body = json!({"NetworkID": NET, "EndpointID": END, "Options": {"com.docker.network.portmap": portmap}});
    match call(Method::ProgramExternalConnectivity, &body)? {
        Call::Program(order) => Ok(order.ports),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_network_is_made_as_dockerd_asks_for_it() {
    let order = ordered(&network());
    assert_eq!((order.id.as_str(), order.subnet.to_string().as_str()), (NET, "10.77.0.0/24"));
    assert_eq!((order.gateway, order.internal), (Ipv4Addr::new(10, 77, 0, 1), false));
    assert_eq!(order.reserved, [Ipv4Addr::new(10, 77, 0, 250)]);
    assert_eq!((order.options.mtu, order.options.prefix.as_str()), (None, "eth"));
    let mut body = with_options(json!({
        "com.docker.network.driver.mtu": "9000", "com.docker.network.bridge.name": "lan0", "endpoint": "tap",
        "com.docker.network.bridge.host_binding_ipv4": "127.0.0.1", "com.docker.network.container_iface_prefix": "net",
        "com.docker.network.bridge.enable_icc": "1",
    }));
    body["Options"]["com.docker.network.internal"] = json!(true);
    let order = ordered(&body);
    assert!(order.internal);
    assert_eq!((order.options.mtu, order.options.host_binding), (Some(9000), Ipv4Addr::LOCALHOST));
    assert_eq!(order.options.bridge.map(String::from).as_deref(), Some("lan0"));
    assert_eq!((order.options.prefix.as_str(), order.said.len()), ("net", 6));
}

#[test]
fn what_go_leaves_empty_is_nothing() {
    let mut body = network();
    (body["Options"], body["IPv6Data"], body["IPv4Data"][0]["AuxAddresses"]) = (Value::Null, Value::Null, Value::Null);
    assert_eq!(ordered(&body).said.len(), 0);
    assert_eq!(ordered(&with_options(Value::Null)).said.len(), 0);
    assert_eq!(endpoint_ordered(&endpoint(Value::Null, Value::Null)).ip, None);
    assert_eq!(program(Value::Null), Ok(Vec::new()));
}

#[test]
fn a_network_that_can_not_be_had_is_refused_by_its_id_and_with_the_cause() {
    let cases = [
        (
            "/Options/com.docker.network.enable_ipv6",
            json!(true),
            "IPv6 can not be had: create it without --ipv6 and without an IPv6 subnet",
        ),
        (
            "/Options/com.docker.network.enable_ipv6",
            json!("no"),
            "com.docker.network.enable_ipv6 is neither true nor false",
        ),
        ("/IPv6Data", json!([{}]), "IPv6 can not be had: create it without --ipv6 and without an IPv6 subnet"),
        ("/IPv4Data", json!([]), "it has no IPv4 subnet, and a network takes one"),
        ("/IPv4Data", json!([{}, {}]), "it has 2 IPv4 subnets, and a network takes one"),
        ("/IPv4Data/0/Pool", json!("fd00::/64"), "the subnet is none of IPv4: 'fd00::/64'"),
        ("/IPv4Data/0/Gateway", json!(""), "it has no gateway: Docker's IPAM driver must name one"),
        ("/IPv4Data/0/Gateway", json!("x"), "the gateway is no IPv4 address: 'x'"),
        ("/IPv4Data/0/AuxAddresses/r1", json!("y"), "the reserved address r1 is none: 'y'"),
        ("/Options/com.docker.network.generic", json!([]), "the options are no object of texts"),
    ];
    for (place, value, cause) in cases {
        let mut body = network();
        *body.pointer_mut(place).expect(place) = value;
        assert_eq!(refused(Method::CreateNetwork, &body), format!("create network 111111111111: {cause}"));
    }
    let mut body = network();
    body["NetworkID"] = json!("ab\u{7}");
    let why = "create network ab\\u{7}: this is no id: 64 hexadecimal digits are expected";
    assert_eq!(refused(Method::CreateNetwork, &body), why);
    let mut body = endpoint(json!({}), json!({}));
    body["EndpointID"] = json!("x");
    let why = "join endpoint x: this is no id: 64 hexadecimal digits are expected";
    assert_eq!(refused(Method::Join, &body), why);
    (body["NetworkID"], body["EndpointID"]) = (json!("y"), json!(END));
    let why = "join endpoint 222222222222: its network y is no id: 64 hexadecimal digits are expected";
    assert_eq!(refused(Method::Join, &body), why);
}

#[test]
fn an_option_that_would_have_no_effect_is_refused() {
    let cases = [
        ("com.docker.network.driver.mtu", "big", "this is no number of bytes"),
        ("com.docker.network.bridge.enable_icc", "false", "only true can be had"),
        ("com.docker.network.bridge.gateway_mode_ipv4", "routed", "only nat can be had"),
        ("com.docker.network.bridge.host_binding_ipv4", "224.0.0.1", "this is no address of a host"),
        ("com.docker.network.container_iface_prefix", "", "1 to 12 bytes are expected"),
        ("com.docker.network.container_iface_prefix", "thirteen-is-1", "1 to 12 bytes are expected"),
        ("endpoint", "veth", "only tap can be had"),
    ];
    for (name, value, cause) in cases {
        let body = with_options(json!({name: value}));
        let expected = format!("create network 111111111111: -o {name}={value}: {cause}");
        assert_eq!(refused(Method::CreateNetwork, &body), expected);
    }
    let unknown = refused(Method::CreateNetwork, &with_options(json!({"com.docker.network.driver.mut": 9000})));
    assert!(
        unknown.contains("-o com.docker.network.driver.mut=9000: there is no such option; there are com.docker"),
        "{unknown}"
    );
}

#[test]
fn an_endpoints_answer_fills_only_what_was_empty() {
    let order = endpoint_ordered(&endpoint(
        json!({"Address": "10.77.0.11/24", "AddressIPv6": "", "MacAddress": ""}),
        json!({}),
    ));
    assert_eq!((order.ip, order.mac, order.mac_is_filled), (Some(Ipv4Addr::new(10, 77, 0, 11)), None, false));
    let mac: MacAddr = "02:00:00:00:00:07".parse().expect("a MAC");
    let filled = endpoint_ordered(&endpoint(json!({"MacAddress": "02:00:00:00:00:07"}), json!({})));
    assert_eq!((filled.mac, filled.mac_is_filled), (Some(mac), true));
    for asked in ["AgAAAAAH", "02:00:00:00:00:07"] {
        let options = json!({"com.docker.network.endpoint.macaddress": asked});
        let order = endpoint_ordered(&endpoint(json!({}), options));
        assert_eq!((order.mac, order.mac_is_filled), (Some(mac), false), "{asked}");
    }
    assert_eq!(reply::endpoint(None, None), json!({"Interface": {}}));
    assert_eq!(reply::endpoint(None, Some(mac)), json!({"Interface": {"MacAddress": "02:00:00:00:00:07"}}));
}

#[test]
fn an_endpoint_that_can_not_be_had_is_refused_by_its_id() {
    let cases = [
        (json!({"AddressIPv6": "fd00::2/64"}), json!({}), "an IPv6 address can not be had"),
        (json!({"Address": "here"}), json!({}), "'here' is no IPv4 address"),
        (
            json!({}),
            json!({"com.docker.network.endpoint.macaddress": "AgAA"}),
            "com.docker.network.endpoint.macaddress is no MAC address",
        ),
        (
            json!({}),
            json!({"com.docker.network.endpoint.macaddress": 7}),
            "com.docker.network.endpoint.macaddress is no MAC address",
        ),
    ];
    for (interface, options, cause) in cases {
        let said = refused(Method::CreateEndpoint, &endpoint(interface, options));
        assert_eq!(said, format!("create endpoint 222222222222: {cause}"));
    }
}

#[test]
fn an_internal_network_asks_for_no_second_interface() {
    let inner = reply::joined("pt-1", "eth", None);
    assert_eq!(inner, json!({"InterfaceName": {"SrcName": "pt-1", "DstPrefix": "eth"}, "DisableGatewayService": true}));
    let outer = reply::joined("pt-1", "eth", Some(Ipv4Addr::new(10, 77, 0, 1)));
    assert_eq!(outer, json!({"InterfaceName": {"SrcName": "pt-1", "DstPrefix": "eth"}, "Gateway": "10.77.0.1"}));
}

#[test]
fn ports_are_one_a_range_or_any() {
    let wanted = program(json!([
        {"Proto": 6, "IP": "", "Port": 80, "HostIP": "", "HostPort": 8080, "HostPortEnd": 8080},
        {"Proto": 17, "IP": "", "Port": 53, "HostIP": "127.0.0.1", "HostPort": 5300, "HostPortEnd": 5302},
        {"Proto": 6, "IP": "", "Port": 443, "HostIP": "", "HostPort": 0, "HostPortEnd": 0},
    ]));
    let wanted = wanted.expect("they can be had");
    assert_eq!(wanted[0].host, 8080..=8080);
    assert_eq!(
        (wanted[1].host.clone(), wanted[1].ip, wanted[1].protocol),
        (5300..=5302, Some(Ipv4Addr::LOCALHOST), Protocol::Udp)
    );
    assert_eq!(wanted[2].host, ANY);
    let every = Ipv4Addr::UNSPECIFIED;
    let chosen = choose(&wanted, every, |mapping| mapping.host != 5300 && mapping.host != 49_153).expect("a choice");
    let chosen_ports: Vec<u16> = chosen.iter().map(|mapping| mapping.host).collect();
    assert_eq!(chosen_ports, [8080, 5301, 49_154]);
    assert!(are_met(&wanted, &chosen, every) && !are_met(&wanted, &chosen, Ipv4Addr::LOCALHOST));
    assert!(!are_met(&wanted[..2], &chosen, every));
    let none = choose(&wanted, every, |_| false).expect_err("nothing is free");
    assert_eq!(none, "no port of the host is free for 53/udp in 5300-5302");
}

#[test]
fn a_port_that_can_not_be_published_is_refused_by_its_number() {
    let port = |key: &str, value: Value| {
        let mut port = json!({"Proto": 6, "Port": 80, "HostIP": "", "HostPort": 8080, "HostPortEnd": 8080});
        port[key] = value;
        program(json!([port])).expect_err("it is refused").to_string()
    };
    let cases = [
        ("Proto", json!(132), "port 80/sctp: only TCP and UDP can be published"),
        ("Proto", json!(1), "port 80 of IP protocol 1: only TCP and UDP can be published"),
        ("Port", json!(0), "port 0/tcp: 0 is no port"),
        ("HostIP", json!("::1"), "port 80/tcp: ::1 is an IPv6 address, and only IPv4 ones can be published on"),
        ("HostIP", json!("x"), "port 80/tcp: 'x' is no address of a host"),
        ("HostIP", json!("224.0.0.1"), "port 80/tcp: 224.0.0.1 is no address of a host"),
        ("HostPortEnd", json!(8000), "port 80/tcp: the range 8080-8000 is inverted"),
    ];
    for (key, value, cause) in cases {
        assert_eq!(port(key, value), format!("publish the ports of endpoint 222222222222: {cause}"));
    }
    assert!(port("HostPort", json!(70_000)).contains("com.docker.network.portmap: "));
    assert!(port("Port", json!("80")).contains("com.docker.network.portmap: "));
}

#[test]
fn what_undoes_takes_any_id_and_what_is_not_understood_is_an_error_in_the_protocols_form() {
    let body = json!({"NetworkID": "no", "EndpointID": "nobody", "New": {"a": [1]}});
    let subject = Subject { network: "no".into(), endpoint: "nobody".into() };
    assert_eq!(call(Method::Leave, &body), Ok(Call::Leave(subject.clone())));
    assert_eq!(call(Method::DeleteEndpoint, &body), Ok(Call::DeleteEndpoint(subject)));
    assert_eq!(call(Method::DeleteNetwork, &body), Ok(Call::DeleteNetwork("no".into())));
    let wrong = call(Method::DeleteNetwork, &json!({"NetworkID": 7})).expect_err("a number is no id");
    let wrong = serde_json::to_value(wrong).expect("JSON");
    assert!(wrong["Err"].as_str().is_some_and(|why| why.starts_with("delete network: the request can not be read: ")));
    for method in Method::ALL {
        let read = read(method, b"{\"NetworkID\": \"");
        let bodiless = matches!(method, Method::Activate | Method::GetCapabilities | Method::GwAllocCheck);
        assert_eq!(read.is_ok(), bodiless, "{method:?}");
    }
}

#[test]
fn a_network_of_several_hosts_is_refused() {
    let why = "allocate network 111111111111: a network is of one host: this driver's scope is local";
    assert_eq!(refused(Method::AllocateNetwork, &json!({"NetworkID": NET})), why);
    assert_eq!(call(Method::FreeNetwork, &json!({"NetworkID": NET})), Ok(Call::Nothing));
    assert_eq!(call(Method::DiscoverNew, &json!({"DiscoveryType": 1, "DiscoveryData": {}})), Ok(Call::Nothing));
}

#[test]
fn names_are_read_from_the_engines_answers() {
    let id = netns::name::Id::try_from(NET.to_owned()).expect("an id");
    let named = |id: &str, name: &str| json!({"Name": name, "Id": id, "Containers": {}}).to_string();
    assert_eq!(engine::network_name(&id, named(NET, "web").as_bytes()).map(String::from).as_deref(), Some("web"));
    assert_eq!(engine::network_name(&id, named(END, "web").as_bytes()), None);
    assert_eq!(engine::network_name(&id, named(NET, "not a name").as_bytes()), None);
    assert_eq!(engine::network_name(&id, b"{\"message\":\"no\"}"), None);
    let listed = json!([
        {"Id": "a", "Names": ["/other/web", "/web"], "NetworkSettings": {"Networks": {"n": {"EndpointID": END}, "m": {"EndpointID": ""}}}},
        {"Id": "b", "Names": null, "NetworkSettings": {"Networks": {"n": {"EndpointID": NET}}}},
        {"Id": "c", "Names": ["/db"], "NetworkSettings": null},
    ]);
    let names = engine::container_names(listed.to_string().as_bytes());
    let names: Vec<_> = names.iter().map(|(endpoint, name)| (endpoint.as_str(), name.as_str())).collect();
    assert_eq!(names, [(END, "web")]);
    assert!(engine::container_names(b"<html>").is_empty());
    let members = |id: &str| json!({"Id": id, "Containers": {"0": {"Name": "web", "EndpointID": END}}}).to_string();
    let endpoints = engine::network_endpoints(&id, members(NET).as_bytes()).expect("it says");
    assert_eq!(endpoints.into_iter().collect::<Vec<_>>(), [END]);
    let silent: [&str; 3] = [&members(END), &json!({"Id": NET}).to_string(), "{\"message\":\"no\"}"];
    assert!(silent.iter().all(|said| engine::network_endpoints(&id, said.as_bytes()).is_none()));
    let missing = json!({"message": format!("network {NET} not found")}).to_string();
    assert!(engine::is_no_network(&id, missing.as_bytes()));
    assert!(!engine::is_no_network(&id, b"{\"message\":\"page not found\"}"));
}

fn any_method() -> impl Strategy<Value = Method> {
    proptest::sample::select(Method::ALL.to_vec())
}

/// A body of the protocol in which one thing is another.
fn mutated() -> impl Strategy<Value = Value> {
    let whole = json!({
        "NetworkID": NET, "EndpointID": END, "SandboxKey": "/run/netns/x",
        "Interface": {"Address": "10.77.0.11/24", "AddressIPv6": "", "MacAddress": ""},
        "Options": {
            "com.docker.network.enable_ipv6": false, "com.docker.network.internal": false,
            "com.docker.network.generic": {"com.docker.network.driver.mtu": "1400"},
            "com.docker.network.endpoint.macaddress": "AgAAAAAH",
            "com.docker.network.portmap": [{"Proto": 6, "IP": "", "Port": 80, "HostIP": "", "HostPort": 8080, "HostPortEnd": 8080}],
        },
        "IPv4Data": [{"AddressSpace": "LocalDefault", "AuxAddresses": {}, "Gateway": "10.77.0.1/24", "Pool": "10.77.0.0/24"}],
        "IPv6Data": [],
    });
    let places = [
        "",
        "/NetworkID",
        "/EndpointID",
        "/SandboxKey",
        "/Interface",
        "/Interface/Address",
        "/Interface/MacAddress",
        "/Options",
        "/Options/com.docker.network.generic",
        "/Options/com.docker.network.generic/com.docker.network.driver.mtu",
        "/Options/com.docker.network.endpoint.macaddress",
        "/Options/com.docker.network.portmap",
        "/Options/com.docker.network.portmap/0",
        "/Options/com.docker.network.portmap/0/Proto",
        "/Options/com.docker.network.portmap/0/HostPort",
        "/IPv4Data",
        "/IPv4Data/0",
        "/IPv4Data/0/Pool",
        "/IPv4Data/0/Gateway",
        "/IPv6Data",
    ];
    let other = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
        Just(json!([[1], {"a": null}])),
    ];
    (proptest::sample::select(places.to_vec()), other).prop_map(move |(place, other)| {
        let mut body = whole.clone();
        *body.pointer_mut(place).expect("it is there") = other;
        body
    })
}

proptest! {
    /// Nothing that comes is worse than an error, and each error says what was to be done.
    #[test]
    fn any_bytes_are_a_call_or_an_error(method in any_method(), body in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Err(refused) = read(method, &body) {
            prop_assert!(refused.to_string().starts_with(method.operation()));
        }
    }

    #[test]
    fn a_body_in_which_one_thing_is_wrong_is_a_call_or_an_error(method in any_method(), body in mutated()) {
        match call(method, &body) {
            Ok(Call::CreateNetwork(order)) => prop_assert!(order.said.len() <= 1),
            Ok(Call::Program(order)) => {
                for wanted in &order.ports {
                    prop_assert!(wanted.container > 0 && *wanted.host.start() > 0 && !wanted.host.is_empty());
                }
            }
            Ok(_) => {}
            Err(refused) => prop_assert!(refused.to_string().starts_with(method.operation())),
        }
    }

    /// What is chosen is what was wanted, once each, and free.
    #[test]
    fn chosen_ports_are_wanted_free_and_apart(
        ports in prop::collection::vec((1..=9u16, 0..3u16, any::<bool>(), any::<bool>()), 0..12),
        busy in prop::collection::btree_set(49_153..49_170u16, 0..10),
    ) {
        let wanted: Vec<Wanted> = ports.iter().enumerate().map(|(number, (container, more, is_any, is_tcp))| {
            let first = 1000 + 2 * u16::try_from(number).expect("few");
            Wanted {
                protocol: if *is_tcp { Protocol::Tcp } else { Protocol::Udp },
                container: *container,
                ip: None,
                host: if *is_any { ANY } else { first..=first + more },
            }
        }).collect();
        let every = Ipv4Addr::UNSPECIFIED;
        let Ok(chosen) = choose(&wanted, every, |mapping| !busy.contains(&mapping.host)) else { return Ok(()) };
        prop_assert!(are_met(&wanted, &chosen, every));
        prop_assert!(chosen.iter().all(|mapping: &PortMapping| !busy.contains(&mapping.host)));
        prop_assert_eq!(netns::publish::check(&chosen), Ok(()));
    }
}
