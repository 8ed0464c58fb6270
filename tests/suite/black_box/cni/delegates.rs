//! Addresses of other plugins: those of the reference (`host-local`, `static`), and such that do what those never would.

use serde_json::{Value, json};

use super::super::tests;
use super::{Runtime, address_in, end_of_sandbox, sandbox};
use crate::lab::linux::Linux;
use crate::lab::{Lab, address, ip_on, names};

tests![
    host_local_gives_addresses_and_gets_them_back,
    host_local_s_addresses_of_what_has_gone_are_given_back_by_gc,
    a_static_address_is_that_of_the_configuration,
    what_a_delegate_is_asked_and_in_which_version,
    an_address_is_given_back_when_the_rest_fails,
    a_delegate_that_fails_is_told_of,
];

/// Addresses that `host-local` has given.
fn stored(lab: &Linux) -> Vec<String> {
    let entries = std::fs::read_dir(lab.dir().join("store/web")).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.retain(|name| name.starts_with("10."));
    names.sort();
    names
}

fn with_host_local(lab: &Linux) -> Runtime {
    let mut runtime = Runtime::new(lab);
    runtime.conf.as_object_mut().expect("an object").remove("subnet");
    let range = json!([[{ "subnet": "10.77.0.0/24", "rangeStart": "10.77.0.50", "rangeEnd": "10.77.0.52" }]]);
    let routes = json!([{ "dst": "0.0.0.0/0" }]);
    let store = lab.dir().join("store");
    runtime.with("ipam", json!({ "type": "host-local", "ranges": range, "routes": routes, "dataDir": store }))
}

fn host_local_gives_addresses_and_gets_them_back() {
    let mut lab = Linux::new();
    lab.up();
    let runtime = with_host_local(&lab);
    let [one, two, _] = ["one", "two", "three"].map(sandbox);
    // (Debian's does not speak 1.1.0: it is asked in what it does, and the result is in ours.)
    for version in ["0.4.0", "1.0.0", "1.1.0"] {
        let runtime = runtime.with("cniVersion", json!(version));
        let made = runtime.add("one").ok();
        assert_eq!(made["cniVersion"], version);
        assert_eq!(made["routes"], json!([{ "dst": "0.0.0.0/0", "gw": "10.77.0.1" }]));
        let at_two = address_in(&runtime.add("two").ok());
        assert_eq!(
            stored(&lab),
            [address_in(&made), at_two]
                .map(|ip| ip.to_string())
                .into_iter()
                .collect::<std::collections::BTreeSet<_>>()
                .into_iter()
                .collect::<Vec<_>>()
        );
        assert!(one.ping(at_two, 56) && two.ping(address("10.77.0.1"), 56));
        runtime.check("one", &made).ok();
        runtime.del("one").ok();
        runtime.del("one").ok();
        runtime.del("two").ok();
        assert_eq!(stored(&lab), Vec::<String>::new());
    }
    for container in ["one", "two", "three"] {
        runtime.add(container).ok();
    }
    sandbox("four");
    let told = runtime.add("four").failed(102);
    assert!(told.starts_with("host-local: ") && told.contains("no IP addresses available"), "{told}");
    assert_eq!(names(&mut lab, true), ["one", "three", "two"]);
    lab.finish();
}

fn host_local_s_addresses_of_what_has_gone_are_given_back_by_gc() {
    let mut lab = Linux::new();
    lab.up();
    let runtime = with_host_local(&lab);
    for container in ["one", "two"] {
        sandbox(container);
    }
    let at_one = address_in(&runtime.add("one").ok());
    runtime.add("two").ok();
    end_of_sandbox("two");
    runtime.gc(&["one"]).ok();
    assert_eq!(names(&mut lab, true), ["one"]);
    assert_eq!(stored(&lab), [at_one.to_string()]);
    lab.finish();
}

fn a_static_address_is_that_of_the_configuration() {
    let mut lab = Linux::new();
    lab.up();
    let runtime = Runtime::new(&lab);
    let addresses = json!([{ "address": "10.88.0.9/24", "gateway": "10.88.0.1" }]);
    let one = sandbox("one");
    let own = runtime.with("ipam", json!({ "type": "static", "addresses": addresses }));
    assert_eq!(address_in(&own.add("one").ok()), address("10.88.0.9"));
    assert_eq!(ip_on(&mut lab, "one", "web"), address("10.88.0.9"));
    assert_eq!(one.default_route(), None, "it is the delegate that says where routes lead");
    own.del("one").ok();
    let outwards = own.with("isDefaultGateway", json!(true));
    let made = outwards.add("one").ok();
    assert_eq!(made["routes"], json!([{ "dst": "0.0.0.0/0", "gw": "10.88.0.1" }]));
    assert_eq!(one.default_route(), Some(address("10.88.0.1")));
    // The network's own subnet has to be the one that it is from.
    let elsewhere = json!([{ "address": "10.99.0.9/24", "gateway": "10.99.0.1" }]);
    sandbox("two");
    let told = runtime.with("ipam", json!({ "type": "static", "addresses": elsewhere })).add("two").failed(7);
    assert_eq!(told, "ipam: 10.99.0.9/24 was given, and the subnet is 10.88.0.0/24");
    // Nor may it be one that a container has.
    let told = own.add("two").failed(100);
    assert_eq!(told, "network web: address 10.88.0.9 is in use by another container");
    lab.finish();
}

/// A plugin that writes down what it is asked, and says what it is told to. A pattern of the shell names the commands that fail.
fn fake(lab: &Linux, runtime: &Runtime, fails: &str, says: &str) {
    let log = lab.dir().join("asked");
    let _ = std::fs::remove_file(&log);
    let script = format!(
        r#"conf=$(cat)
version=${{conf#*'"cniVersion":"'}}
version=${{version%%'"'*}}
echo "$CNI_COMMAND $CNI_CONTAINERID $version" >> {log}
case $CNI_COMMAND in
VERSION) echo '{{"cniVersion":"1.0.0","supportedVersions":["0.2.0","0.4.0","1.0.0"]}}'; exit 0 ;;
esac
if [ "$version" = 1.1.0 ]; then echo '{{"code":1,"msg":"too new"}}'; exit 1; fi
case $CNI_COMMAND in
{fails}) cat <<'END'
{says}
END
exit 1 ;;
ADD) cat <<'END'
{says}
END
esac"#,
        log = log.display()
    );
    runtime.write_plugin("fake", &script);
}

fn asked(lab: &Linux) -> Vec<String> {
    let log = std::fs::read_to_string(lab.dir().join("asked")).unwrap_or_default();
    let _ = std::fs::remove_file(lab.dir().join("asked"));
    log.lines().map(String::from).collect()
}

const GIVES: &str = r#"{"cniVersion":"1.0.0","ips":[{"address":"10.88.0.9/24","gateway":"10.88.0.1"}],"dns":{"search":["fake.example"]}}"#;

fn what_a_delegate_is_asked_and_in_which_version() {
    let mut lab = Linux::new();
    lab.up();
    let runtime = Runtime::new(&lab).with("ipam", json!({ "type": "fake" }));
    fake(&lab, &runtime, "none", GIVES);
    sandbox("one");
    let made = runtime.add("one").ok();
    assert_eq!(made["dns"], json!({ "nameservers": ["10.88.0.1"], "search": ["fake.example"] }));
    assert_eq!(asked(&lab), ["ADD one 1.1.0", "VERSION one 1.0.0", "ADD one 1.0.0"]);
    runtime.check("one", &made).ok();
    assert_eq!(asked(&lab), ["CHECK one 1.1.0", "VERSION one 1.0.0", "CHECK one 1.0.0"]);
    // It knows neither of these.
    runtime.ask("STATUS", "x").ok();
    assert_eq!(asked(&lab), ["VERSION x 1.0.0"]);
    runtime.gc(&["one"]).ok();
    assert_eq!(asked(&lab), ["VERSION  1.0.0"]);
    runtime.gc(&[]).ok();
    assert_eq!(asked(&lab), ["VERSION  1.0.0", "DEL one 1.1.0", "VERSION  1.0.0", "DEL one 1.0.0"]);
    let old = runtime.with("cniVersion", json!("0.4.0"));
    old.add("one").ok();
    assert_eq!(asked(&lab), ["ADD one 0.4.0"]);
    old.del("one").ok();
    assert_eq!(asked(&lab), ["DEL one 0.4.0"]);
    lab.finish();
}

fn an_address_is_given_back_when_the_rest_fails() {
    let mut lab = Linux::new();
    lab.up();
    let runtime = Runtime::new(&lab).with("ipam", json!({ "type": "fake" })).with("cniVersion", json!("1.0.0"));
    let given_back = ["ADD one 1.0.0", "DEL one 1.0.0"];
    sandbox("one");
    let says = |ips: &str| format!(r#"{{"cniVersion":"1.0.0","ips":[{ips}]}}"#);
    let only = "Pontoon gives addresses of IPv4 only";
    let four = r#"{"address":"10.88.0.9/24"}"#;
    let cases: [(String, i32, String); 6] = [
        (says(r#"{"address":"fd00::9/64"}"#), 7, format!("ipam: 'fd00::9/64' is an IPv6 subnet, and {only}")),
        (says(""), 7, "ipam: 0 addresses were given: a container has one on a network".into()),
        (says(&format!("{four},{four}")), 7, "ipam: 2 addresses were given: a container has one on a network".into()),
        (says(r#"{"address":"10.88.0.1/24"}"#), 100, "network web: address 10.88.0.1 is the gateway's".into()),
        (says(r#"{"address":7}"#), 6, "fake: read its result: invalid type: integer `7`, expected a string".into()),
        ("nonsense".into(), 6, "fake: read its answer: expected ident at line 1 column 2".into()),
    ];
    for (says, code, message) in cases {
        fake(&lab, &runtime, "none", &says);
        assert_eq!(runtime.add("one").failed(code), message);
        assert_eq!(asked(&lab), given_back, "{says}");
    }
    assert_eq!(names(&mut lab, true), Vec::<String>::new());
    lab.finish();
}

fn a_delegate_that_fails_is_told_of() {
    let mut lab = Linux::new();
    lab.up();
    let runtime = Runtime::new(&lab).with("ipam", json!({ "type": "fake" })).with("cniVersion", json!("1.0.0"));
    sandbox("one");
    let told = runtime.add("one").failed(7);
    assert!(told.starts_with("ipam.type 'fake': there is no such plugin in CNI_PATH ("), "{told}");
    let told = runtime.with("ipam", json!({ "type": "../fake" })).add("one").failed(7);
    assert_eq!(told, "ipam.type '../fake': it is no plugin's name");
    fake(&lab, &runtime, "ADD", r#"{"code":11,"msg":"later"}"#);
    assert_eq!(runtime.add("one").failed(11), "fake: later");
    assert_eq!(asked(&lab), ["ADD one 1.0.0", "DEL one 1.0.0"]);
    fake(&lab, &runtime, "ADD", r#"{"code":4711,"msg":"no","details":"more of it"}"#);
    let said = runtime.add("one");
    assert_eq!(said.said["details"], "more of it");
    assert_eq!(said.failed(102), "fake: no");
    fake(&lab, &runtime, "ADD", "");
    assert_eq!(runtime.add("one").failed(102), "fake: it failed without a word (exit status: 1)");
    // What it can not give back now is to be tried again.
    fake(&lab, &runtime, "DEL", r#"{"code":5,"msg":"disk full"}"#);
    assert_eq!(runtime.del("one").failed(5), "fake: disk full");
    runtime.write_plugin("fake", "kill -9 $$");
    assert_eq!(runtime.add("one").failed(102), "fake: it failed without a word (signal: 9 (SIGKILL))");
    assert_eq!(names(&mut lab, true), Vec::<String>::new());
    assert_eq!(Value::Null, runtime.with("ipam", json!({})).del("one").ok());
    lab.finish();
}
