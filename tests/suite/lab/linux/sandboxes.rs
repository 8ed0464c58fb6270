//! A runtime of containers that speaks CNI: its sandboxes, and what it asks of `pontoon-cni`.

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use netns::publish::PortMapping;
use serde_json::{Value, json};

use super::inside::Inside;
use super::{Linux, text};
use crate::lab::PODS;

/// The file that stands for a sandbox.
pub fn path(sandbox: &str) -> String {
    format!("/run/netns/{sandbox}")
}

pub fn add(sandbox: &str) {
    Inside::here().ip(&["netns", "add", sandbox]);
}

pub fn end(sandbox: &str) {
    Inside::here().ip(&["netns", "del", sandbox]);
}

pub fn attach(lab: &Linux, sandbox: &str, publish: &[&str]) -> Result<Ipv4Addr, String> {
    let ports = publish.iter().flat_map(|port| PortMapping::parse(port).expect("a port"));
    let ports: Vec<Value> = ports
        .map(|port| json!({ "hostPort": port.host, "containerPort": port.container, "protocol": port.protocol.to_string() }))
        .collect();
    let said = ask(lab, "ADD", sandbox, &ports)?;
    let address = said["ips"][0]["address"].as_str().and_then(|address| address.split('/').next()?.parse().ok());
    Ok(address.unwrap_or_else(|| panic!("no address in {said:#}")))
}

pub fn detach(lab: &Linux, sandbox: &str) {
    ask(lab, "DEL", sandbox, &[]).unwrap_or_else(|why| panic!("DEL {sandbox}: {why}"));
}

/// What the plugin answers, or the message of its error.
fn ask(lab: &Linux, command: &str, sandbox: &str, ports: &[Value]) -> Result<Value, String> {
    let (name, subnet) = PODS;
    let conf = json!({
        "cniVersion": "1.1.0",
        "name": name,
        "type": "pontoon-cni",
        "subnet": subnet,
        "capabilities": { "portMappings": true },
        "runtimeConfig": { "portMappings": ports },
        "runtimeDir": lab.runtime_dir(),
        "stateDir": lab.state_dir(),
    });
    let mut plugin = Command::new(env!("CARGO_BIN_EXE_pontoon"));
    plugin.arg0("pontoon-cni").env("CNI_COMMAND", command).env("CNI_CONTAINERID", sandbox).env("CNI_IFNAME", "eth0");
    plugin.env("CNI_NETNS", path(sandbox)).env("CNI_PATH", "/usr/lib/cni");
    plugin.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut plugin = plugin.spawn().expect("execute the plugin");
    plugin.stdin.take().expect("a pipe").write_all(conf.to_string().as_bytes()).expect("write the configuration");
    let output = plugin.wait_with_output().expect("wait for the plugin");
    let said = text(&output.stdout);
    let said = if said.is_empty() { Value::Null } else { serde_json::from_str(&said).expect("JSON and nothing else") };
    match said["msg"].as_str() {
        Some(why) => Err(why.to_owned()),
        None => Ok(said),
    }
}
