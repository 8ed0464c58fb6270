//! What can not be meant is refused with its code, makes nothing, and hinders nobody.

use serde_json::{Value, json};

use super::super::{prints, tests};
use super::{Runtime, execute, sandbox};
use crate::lab::linux::{Linux, processes};
use crate::lab::{Lab, names};

tests![
    nonsense_on_standard_input_is_an_error_of_its_kind,
    what_can_not_be_had_says_why,
    a_configuration_that_contradicts_its_network_is_refused,
    a_sandbox_that_is_none_is_refused,
    who_is_no_runtime_is_told_so,
];

fn nonsense_on_standard_input_is_an_error_of_its_kind() {
    let mut lab = Linux::new();
    let runtime = Runtime::new(&lab);
    sandbox("one");
    let whole = runtime.conf.to_string();
    let deep = "[".repeat(100_000);
    let long = format!("{{\"name\":\"{}\"}}", "x".repeat(2 << 20));
    let inputs: [(&[u8], i32); 12] = [
        (b"", 6),
        (b"nonsense", 6),
        (b"\xff\xfe\x00", 6),
        (b"[]", 6),
        (b"null", 6),
        (&whole.as_bytes()[..whole.len() / 2], 6),
        (deep.as_bytes(), 6),
        (long.as_bytes(), 6),
        (b"{}", 1),
        (b"{\"cniVersion\":\"9.9.9\",\"name\":\"web\"}", 1),
        (b"{\"cniVersion\":\"1.1.0\"}", 7),
        (b"{\"cniVersion\":\"1.1.0\",\"name\":\"a/b\"}", 7),
    ];
    for command in ["ADD", "CHECK", "DEL", "GC", "STATUS"] {
        for (input, code) in inputs {
            let said = execute(runtime.plugin("pontoon-cni", command, "one"), input);
            assert!(!said.clone().failed(code).is_empty(), "{command}: {said:?}");
        }
    }
    assert_eq!(processes::others(), Vec::<String>::new(), "no daemon was started for that");
    runtime.add("one").ok();
    lab.finish();
}

fn what_can_not_be_had_says_why() {
    let mut lab = Linux::new();
    lab.up();
    let runtime = Runtime::new(&lab);
    sandbox("one");
    let mapping = |protocol: &str, host_ip: &str| json!({ "portMappings": [{ "hostPort": 80, "containerPort": 80, "protocol": protocol, "hostIP": host_ip }] });
    let only = "Pontoon gives addresses of IPv4 only";
    let cases: [(&str, Value, i32, String); 9] = [
        ("subnet", json!("fd00::/64"), 7, format!("subnet: 'fd00::/64' is an IPv6 subnet, and {only}")),
        (
            "ipam",
            json!({ "subnet": "fd00::/64" }),
            7,
            format!("ipam.subnet: 'fd00::/64' is an IPv6 subnet, and {only}"),
        ),
        (
            "runtimeConfig",
            json!({ "ips": ["fd00::2/64"] }),
            7,
            format!("runtimeConfig.ips: 'fd00::2/64' is an IPv6 address, and {only}"),
        ),
        (
            "runtimeConfig",
            mapping("sctp", ""),
            7,
            "runtimeConfig.portMappings: 80/sctp: ports of SCTP can not be published".into(),
        ),
        (
            "runtimeConfig",
            mapping("tcp", "::1"),
            7,
            format!("runtimeConfig.portMappings: '::1' is an IPv6 address, and {only}"),
        ),
        ("bridge", json!("cni0"), 2, "unknown key bridge: \"cni0\"".into()),
        ("ipMasq", json!(false), 2, "unknown key ipMasq: false".into()),
        ("ipam", json!({ "subnett": "10.1.0.0/16" }), 2, "unknown key ipam.subnett: \"10.1.0.0/16\"".into()),
        ("mtu", json!("big"), 6, "invalid type: string \"big\", expected u32".into()),
    ];
    for (key, value, code, message) in cases {
        let told = runtime.with(key, value).add("one").failed(code);
        assert_eq!(told, format!("read the configuration: {message}"));
    }
    let told = runtime.with("mtu", json!(20)).add("one").failed(7);
    assert!(told.starts_with("an MTU of 20 is out of range"), "{told}");
    let told = runtime.with("subnet", json!("10.88.0.1/24")).add("one").failed(7);
    assert_eq!(told, "network web: 10.88.0.1/24 is no subnet: it should be 10.88.0.0/24");
    // None of them has made anything.
    assert_eq!(names(&mut lab, true), Vec::<String>::new());
    runtime.add("one").ok();
    lab.finish();
}

fn a_configuration_that_contradicts_its_network_is_refused() {
    let mut lab = Linux::new();
    lab.up();
    let runtime = Runtime::new(&lab);
    for container in ["one", "two"] {
        sandbox(container);
    }
    runtime.add("one").ok();
    let cases = [
        ("subnet", json!("10.99.0.0/24"), "its subnet is 10.88.0.0/24, and 10.99.0.0/24 in the configuration"),
        ("gateway", json!("10.88.0.254"), "its gateway is 10.88.0.1, and 10.88.0.254 in the configuration"),
        ("mtu", json!(1400), "its MTU is 1500, and 1400 in the configuration"),
        ("internal", json!(true), "its way out is not internal, and internal in the configuration"),
    ];
    for (key, value, message) in cases {
        let changed = runtime.with(key, value);
        assert_eq!(changed.add("two").failed(7), format!("network web: {message}"));
        assert_eq!(changed.ask("STATUS", "").failed(7), format!("network web: {message}"));
    }
    // One that says less contradicts nothing, and what is undone is not looked at.
    let mut less = runtime.with("mtu", json!(1500));
    less.conf.as_object_mut().expect("an object").remove("subnet");
    less.add("two").ok();
    runtime.with("subnet", json!("10.99.0.0/24")).del("one").ok();
    assert_eq!(names(&mut lab, true).len(), 1);
    lab.finish();
}

fn a_sandbox_that_is_none_is_refused() {
    let mut lab = Linux::new();
    let runtime = Runtime::new(&lab);
    let cases = [
        ("/run/netns/nothing", "open CNI_NETNS /run/netns/nothing: No such file or directory"),
        ("/dev/null", "open CNI_NETNS /dev/null: it is no network namespace"),
        ("/proc/self/ns/mnt", "open CNI_NETNS /proc/self/ns/mnt: it is no network namespace"),
        ("/proc/self/ns/net", "open CNI_NETNS /proc/self/ns/net: it is the host's own network namespace"),
    ];
    for (path, message) in cases {
        let mut plugin = runtime.plugin("pontoon-cni", "ADD", "one");
        plugin.env("CNI_NETNS", path);
        assert_eq!(runtime.execute(plugin).failed(8), message);
    }
    let mut plugin = runtime.plugin("pontoon-cni", "ADD", "one");
    plugin.env_remove("CNI_NETNS").env("CNI_IFNAME", "a/b");
    let told = runtime.execute(plugin).failed(4);
    assert_eq!(told, "missing in the environment: CNI_NETNS");
    assert_eq!(processes::others(), Vec::<String>::new());
    lab.finish();
}

fn who_is_no_runtime_is_told_so() {
    let mut lab = Linux::new();
    let runtime = Runtime::new(&lab);
    let mut plugin = runtime.plugin("pontoon-cni", "", "");
    plugin.env_clear();
    let told = execute(plugin, b"").failed(4);
    assert_eq!(told, "CNI_COMMAND is missing: this is a plugin, for a container runtime");
    let told = execute(runtime.plugin("pontoon-cni", "MAKE", ""), b"{}").failed(4);
    assert_eq!(told, "CNI_COMMAND: 'MAKE' is no command");
    // Under its own name the program is the command, whatever is in the environment.
    lab.up();
    assert!(prints(&lab, &["network", "ls"]).contains("bridge"));
    lab.finish();
}
