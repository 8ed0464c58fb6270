//! What a runtime says, what becomes of it, and the form of what it is answered.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::outcome::{Address, Dns, Interface, Outcome, Route};
use crate::version::{Version, answer};
use crate::{Call, Code, Refused, read};

const ALL: [(&str, &str); 4] = [
    ("CNI_CONTAINERID", "c1"),
    ("CNI_NETNS", "/run/netns/a"),
    ("CNI_IFNAME", "eth0"),
    ("CNI_PATH", "/opt/cni/bin:/usr/lib/cni"),
];

fn ask(command: &str, environment: &[(&str, &str)], conf: &Value) -> Result<Call, Refused> {
    let variable = |name: &str| {
        let command = [("CNI_COMMAND", command)];
        let known = environment.iter().chain(command.iter()).find(|(key, _)| *key == name);
        known.map(|(_, value)| (*value).to_owned())
    };
    read(variable, conf.to_string().as_bytes())
}

fn conf(version: &str) -> Value {
    json!({ "cniVersion": version, "name": "web", "type": "pontoon-cni" })
}

fn with(key: &str, value: Value) -> Value {
    let mut conf = conf("1.1.0");
    conf[key] = value;
    conf
}

fn code(asked: Result<Call, Refused>) -> Option<Code> {
    asked.err().map(|refused| refused.failure.code)
}

#[test]
fn each_command_says_which_variables_it_misses() {
    let missing = |command| ask(command, &[], &conf("1.1.0")).map_err(|refused| refused.failure.message);
    let interface = "missing in the environment: CNI_CONTAINERID, CNI_NETNS, CNI_IFNAME";
    assert_eq!(missing("ADD"), Err(interface.into()));
    assert_eq!(missing("CHECK"), Err(interface.into()));
    assert_eq!(missing("DEL"), Err("missing in the environment: CNI_CONTAINERID, CNI_IFNAME".into()));
    assert_eq!(missing("GC"), Err("missing in the environment: CNI_PATH".into()));
    assert!(matches!(missing("STATUS"), Ok(Call::Status(..))));
    assert_eq!(missing("VERSION"), Ok(Call::Version("1.1.0".into())));
    assert_eq!(code(ask("MAKE", &ALL, &conf("1.1.0"))), Some(Code::InvalidEnvironment));
}

#[test]
fn a_command_is_refused_in_versions_that_do_not_have_it() {
    let refused = |command| Version::ALL.map(|version| code(ask(command, &ALL, &conf(version.as_str()))));
    let old = Some(Code::IncompatibleVersion);
    assert_eq!(refused("ADD"), [None; 5]);
    assert_eq!(refused("DEL"), [None; 5]);
    assert_eq!(refused("CHECK"), [old, old, None, None, None]);
    assert_eq!(refused("STATUS"), [old, old, old, old, None]);
    assert_eq!(refused("GC"), [old, old, old, old, Some(Code::InvalidConfiguration)], "the last lacks its list");
    assert_eq!(code(ask("ADD", &ALL, &conf("0.2.0"))), old);
    assert_eq!(code(ask("ADD", &ALL, &json!({ "name": "web" }))), old);
}

#[test]
fn who_asks_for_versions_need_not_be_understood() {
    assert_eq!(ask("VERSION", &[], &json!({ "cniVersion": "9.9.9" })), Ok(Call::Version("9.9.9".into())));
    let asked = read(|name| (name == "CNI_COMMAND").then(|| "VERSION".into()), b"");
    assert_eq!(asked, Ok(Call::Version("1.1.0".into())));
    let versions = json!({ "cniVersion": "9.9.9", "supportedVersions": ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] });
    assert_eq!(answer("9.9.9"), versions);
}

#[test]
fn an_error_has_the_specification_s_form_in_the_version_asked_in() {
    let refused = ask("ADD", &[], &conf("0.4.0")).unwrap_err();
    let message = "missing in the environment: CNI_CONTAINERID, CNI_NETNS, CNI_IFNAME";
    assert_eq!(refused.to_json(), json!({ "cniVersion": "0.4.0", "code": 4, "msg": message }));
    let refused = ask("ADD", &ALL, &conf("2.0.0")).unwrap_err();
    let message = "read the configuration: cniVersion '2.0.0' is not spoken";
    let details = "spoken: 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0";
    assert_eq!(refused.to_json(), json!({ "cniVersion": "1.1.0", "code": 1, "msg": message, "details": details }));
}

#[test]
fn what_podman_asks_for_is_understood() {
    let mut environment = ALL.to_vec();
    environment.push(("CNI_ARGS", "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=shop;NEW=x;IP=10.1.0.9"));
    let asked = json!({
        "aliases": { "web": ["shop", "c0ffee"], "other": ["not-here"] },
        "ips": ["10.1.0.7/16"],
        "mac": "02:00:00:00:00:07",
        "portMappings": [{ "hostPort": 8080, "containerPort": 80, "protocol": "tcp", "hostIP": "" }],
    });
    let Ok(Call::Add(subject, netns)) = ask("ADD", &environment, &with("runtimeConfig", asked)) else { panic!() };
    assert_eq!(netns, "/run/netns/a");
    assert_eq!(subject.attachment.key(), "c1/eth0");
    assert_eq!(subject.arguments.name.as_ref().map(|name| name.as_str()), Some("shop"));
    assert_eq!(subject.arguments.ip, Some([10, 1, 0, 9].into()));
    let asked = &subject.configuration.capabilities;
    assert_eq!(asked.ip, Some([10, 1, 0, 7].into()));
    assert_eq!(asked.mac.map(|mac| mac.to_string()).as_deref(), Some("02:00:00:00:00:07"));
    assert_eq!(asked.aliases.iter().map(|alias| alias.as_str()).collect::<Vec<_>>(), ["shop", "c0ffee"]);
    assert_eq!(asked.publish.iter().map(ToString::to_string).collect::<Vec<_>>(), ["0.0.0.0:8080->80/tcp"]);
}

#[test]
fn a_configuration_that_can_not_be_meant_is_refused_with_its_code_and_undone_all_the_same() {
    let wrong = [
        ("subnets", json!("10.1.0.0/16"), Code::UnsupportedField),
        ("subnet", json!("10.1"), Code::InvalidConfiguration),
        ("subnet", json!("fd00::/64"), Code::InvalidConfiguration),
        ("subnet", json!(10), Code::Decode),
        ("isGateway", json!(false), Code::UnsupportedField),
        ("mtu", json!("big"), Code::Decode),
        ("runtimeConfig", json!({ "mac": "01:00:5e:00:00:01" }), Code::InvalidConfiguration),
        ("runtimeConfig", json!({ "ips": ["10.1.0.1", "10.1.0.2"] }), Code::InvalidConfiguration),
        (
            "runtimeConfig",
            json!({ "portMappings": [{ "hostPort": 0, "containerPort": 80 }] }),
            Code::InvalidConfiguration,
        ),
        ("runtimeConfig", json!({ "ipRanges": [[{ "rangeStart": "10.1.0.9" }]] }), Code::InvalidConfiguration),
        (
            "runtimeConfig",
            json!({ "portMappings": [{ "hostPort": 9, "containerPort": 9, "protocol": "sctp" }] }),
            Code::InvalidConfiguration,
        ),
        ("ipam", json!({ "subnets": "10.1.0.0/16" }), Code::UnsupportedField),
        ("ipam", json!({ "routes": [{ "dst": "10.0.0.0/8", "mtu": 1400 }] }), Code::UnsupportedField),
        ("ipam", json!({ "routes": "10.0.0.0/8" }), Code::Decode),
        ("ipam", json!({ "subnet": "10.1.0.0/16", "rangeStart": "10.2.0.1" }), Code::InvalidConfiguration),
        ("ipam", json!({ "rangeStart": "10.2.0.1" }), Code::InvalidConfiguration),
        (
            "ipam",
            json!({ "ranges": [[{ "subnet": "10.1.0.0/16" }], [{ "subnet": "fd00::/64" }]] }),
            Code::InvalidConfiguration,
        ),
        ("runtimeConfig", json!({ "dns": { "servers": ["nobody"] } }), Code::InvalidConfiguration),
        ("args", json!({ "cni": { "mac": "none" } }), Code::InvalidConfiguration),
    ];
    for (key, value, expected) in wrong {
        let conf = with(key, value);
        assert_eq!(code(ask("ADD", &ALL, &conf)), Some(expected), "{conf}");
        assert!(matches!(ask("DEL", &ALL, &conf), Ok(Call::Del(..))), "{conf}");
    }
    assert_eq!(code(ask("DEL", &ALL, &with("name", json!("a/b")))), Some(Code::InvalidConfiguration));
}

#[test]
fn unknown_arguments_pass_only_if_they_may() {
    let asked = |arguments| {
        let mut environment = ALL.to_vec();
        environment.push(("CNI_ARGS", arguments));
        code(ask("ADD", &environment, &conf("1.1.0")))
    };
    assert_eq!(asked("NEW=x"), Some(Code::InvalidEnvironment));
    assert_eq!(asked("NEW=x;IgnoreUnknown=true"), None);
    assert_eq!(asked("NEW=x;IgnoreUnknown=0"), Some(Code::InvalidEnvironment));
    assert_eq!(asked("MAC=ff:ff:ff:ff:ff:ff"), Some(Code::InvalidEnvironment));
    assert_eq!(asked("IP"), Some(Code::InvalidEnvironment));
}

#[test]
fn addresses_come_from_us_unless_another_plugin_is_named() {
    let delegate = |ipam| match ask("ADD", &ALL, &with("ipam", ipam)) {
        Ok(Call::Add(subject, _)) => subject.configuration.delegate,
        other => panic!("{other:?}"),
    };
    assert_eq!(delegate(json!({})), None);
    assert_eq!(delegate(json!({ "type": "pontoon" })), None);
    assert_eq!(delegate(json!({ "type": "host-local", "subnet": "10.1.0.0/16" })), Some("host-local".into()));
}

#[test]
fn the_configurations_that_come_with_it_are_understood() {
    let lists = [
        include_str!("../../contrib/cni/podman-pontoon.conflist"),
        include_str!("../../contrib/cni/10-kubernetes-pontoon.conflist"),
    ];
    for list in lists {
        let list: Value = serde_json::from_str(list).expect("JSON");
        let capabilities = ["portMappings", "ipRanges", "ips", "mac", "dns", "aliases"];
        let asked = list["plugins"][0]["capabilities"].as_object().expect("an object");
        assert!(asked.iter().all(|(key, value)| capabilities.contains(&key.as_str()) && value == true), "{list:#}");
        // A runtime puts the list's version and name into what each of its plugins gets.
        let mut conf = list["plugins"][0].clone();
        (conf["cniVersion"], conf["name"]) = (list["cniVersion"].clone(), list["name"].clone());
        let Ok(Call::Add(subject, _)) = ask("ADD", &ALL, &conf) else { panic!("{conf:#}") };
        assert!(subject.configuration.subnet.is_some() && subject.configuration.delegate.is_none());
        for version in list["cniVersions"].as_array().into_iter().flatten() {
            assert!(version.as_str().and_then(Version::parse).is_some(), "{version}");
        }
    }
}

#[test]
fn a_section_of_host_local_becomes_ours_by_its_type() {
    let sections = [
        json!({ "subnet": "10.1.0.0/16", "rangeStart": "10.1.2.0", "rangeEnd": "10.1.2.9", "gateway": "10.1.0.9" }),
        json!({ "ranges": [[{ "subnet": "10.1.0.0/16", "rangeStart": "10.1.2.0", "rangeEnd": "10.1.2.9", "gateway": "10.1.0.9" }]] }),
    ];
    for mut section in sections {
        section["type"] = json!("pontoon");
        section["routes"] = json!([{ "dst": "0.0.0.0/0" }, { "dst": "10.8.0.0/16", "gw": "10.1.0.8" }]);
        let Ok(Call::Add(subject, _)) = ask("ADD", &ALL, &with("ipam", section)) else { panic!() };
        let configuration = subject.configuration;
        assert_eq!(configuration.subnet.map(|subnet| subnet.to_string()).as_deref(), Some("10.1.0.0/16"));
        assert_eq!(configuration.gateway, Some([10, 1, 0, 9].into()));
        assert_eq!(configuration.pool, Some(([10, 1, 2, 0].into(), [10, 1, 2, 9].into())));
        let ways = configuration.routes.unwrap_or_default();
        assert_eq!(ways.iter().map(|way| way.gw).collect::<Vec<_>>(), [None, Some([10, 1, 0, 8].into())]);
    }
}

#[test]
fn what_two_places_say_of_a_subnet_must_be_the_same() {
    let asked = |asked: &str| {
        let mut conf = with("subnet", json!("10.1.0.0/16"));
        conf["runtimeConfig"] = json!({ "ipRanges": [[{ "subnet": asked, "rangeEnd": "10.1.0.99" }]] });
        ask("ADD", &ALL, &conf).map_err(|refused| refused.failure.message)
    };
    let Ok(Call::Add(subject, _)) = asked("10.1.0.0/16") else { panic!() };
    assert_eq!(subject.configuration.pool, Some(([10, 1, 0, 0].into(), [10, 1, 0, 99].into())));
    let message = "read the configuration: subnet: 10.1.0.0/16 in one place, 10.1.0.0/24 in another";
    assert_eq!(asked("10.1.0.0/24"), Err(message.into()));
}

#[test]
fn gc_spares_what_is_listed() {
    let list = json!([{ "containerID": "c1", "ifname": "eth0" }, { "containerID": "c2", "ifname": "eth1" }]);
    let Ok(Call::Gc(_, spared, path)) = ask("GC", &ALL, &with("cni.dev/valid-attachments", list)) else { panic!() };
    assert_eq!(spared.iter().map(crate::call::Attachment::key).collect::<Vec<_>>(), ["c1/eth0", "c2/eth1"]);
    assert_eq!(path.len(), 2);
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    let word = "[a-z0-9]{1,8}";
    let interface = (word, word, proptest::option::of(68u32..9000), proptest::option::of(word)).prop_map(
        |(name, sandbox, mtu, socket_path)| Interface { name, sandbox, mtu, socket_path, ..Interface::default() },
    );
    let address = prop_oneof![Just("10.1.0.2/16"), Just("fd00::2/64")]
        .prop_map(|address| Address { address: address.into(), ..Address::default() });
    let route = proptest::option::of(1u32..9).prop_map(|priority| Route {
        dst: "0.0.0.0/0".into(),
        priority,
        ..Route::default()
    });
    let made = (interface, vec(address, 0..3), vec(route, 0..3));
    (vec(made, 0..3), vec("[a-z]{1,5}", 0..3)).prop_map(|(made, search)| {
        let mut outcome = Outcome { dns: Dns { search, ..Dns::default() }, ..Outcome::default() };
        made.into_iter().for_each(|(interface, ips, routes)| outcome.add(interface, ips, routes));
        outcome
    })
}

fn keys_are(list: &Value, known: &[&str]) -> bool {
    list.as_array()
        .into_iter()
        .flatten()
        .all(|each| each.as_object().is_some_and(|each| each.keys().all(|key| known.contains(&key.as_str()))))
}

proptest! {
    #[test]
    fn a_result_has_the_words_of_its_version_and_no_others(outcome in outcomes()) {
        for version in Version::ALL {
            let result = outcome.to_json(version);
            prop_assert_eq!(&result["cniVersion"], version.as_str());
            let known = ["cniVersion", "interfaces", "ips", "routes", "dns"];
            prop_assert!(result.as_object().unwrap().keys().all(|key| known.contains(&key.as_str())), "{}", result);
            let is_new = version >= Version::V1_1_0;
            let interface = ["name", "mac", "sandbox", "mtu", "socketPath", "pciID"];
            prop_assert!(keys_are(&result["interfaces"], &interface[..if is_new { 6 } else { 3 }]), "{}", result);
            let route = ["dst", "gw", "mtu", "advmss", "priority", "table", "scope"];
            prop_assert!(keys_are(&result["routes"], &route[..if is_new { 7 } else { 2 }]), "{}", result);
            let interfaces = result["interfaces"].as_array().map_or(0, Vec::len);
            for ip in result["ips"].as_array().into_iter().flatten() {
                let family = if ip["address"] == "10.1.0.2/16" { "4" } else { "6" };
                let expected = if version < Version::V1_0_0 { json!(family) } else { Value::Null };
                prop_assert_eq!(&ip["version"], &expected);
                prop_assert!(ip["interface"].as_u64().is_some_and(|place| (place as usize) < interfaces));
            }
        }
    }

    #[test]
    fn a_result_comes_back_whole_as_the_next_call_s_previous_one(outcome in outcomes()) {
        let conf = with("prevResult", outcome.to_json(Version::V1_1_0));
        let Ok(Call::Check(subject, _)) = ask("CHECK", &ALL, &conf) else { panic!("{conf}") };
        prop_assert_eq!(subject.configuration.previous, Some(outcome));
    }

    #[test]
    fn whatever_comes_is_a_call_or_an_error_with_a_message(
        command in "(ADD|DEL|CHECK|GC|STATUS|VERSION|[A-Z]{0,4})", args in ".{0,20}", id in ".{0,5}", stdin in vec(any::<u8>(), 0..40),
    ) {
        let variable = |name: &str| Some(match name {
            "CNI_COMMAND" => command.clone(),
            "CNI_ARGS" => args.clone(),
            _ => id.clone(),
        });
        for stdin in [stdin.as_slice(), conf("1.1.0").to_string().as_bytes()] {
            if let Err(refused) = read(variable, stdin) {
                prop_assert!(!refused.failure.message.is_empty());
                prop_assert!(refused.to_json()["code"].as_u64().is_some_and(|code| code > 0));
            }
        }
    }
}
