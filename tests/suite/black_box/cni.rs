//! `pontoon-cni`, as a runtime of containers meets it: [`Runtime`] is one, with sandboxes that it makes and a configuration.

pub mod attachments;
pub mod delegates;
pub mod doctor;
pub mod faults;
pub mod nonsense;

use std::io::Write;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::lab::linux::inside::Inside;
use crate::lab::linux::{Linux, status_of, text};

/// A runtime of containers.
pub struct Runtime {
    /// Where plugins are.
    bin: PathBuf,
    /// Its network.
    pub conf: Value,
    /// `CNI_ARGS`.
    pub arguments: String,
}

/// What a plugin said.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub status: i32,
    /// The JSON on standard output; null if there was nothing.
    pub said: Value,
}

impl Answer {
    /// The result of what went well.
    #[track_caller]
    pub fn ok(self) -> Value {
        assert_eq!(self.status, 0, "{:#}", self.said);
        self.said
    }

    /// The message of an error with this code.
    #[track_caller]
    pub fn failed(self, code: i32) -> String {
        assert_eq!((self.status, &self.said["code"]), (code, &json!(code)), "{:#}", self.said);
        self.said["msg"].as_str().expect("a message").to_owned()
    }
}

impl Runtime {
    /// One with a network `web`.
    pub fn new(lab: &Linux) -> Self {
        let bin = lab.dir().join("bin");
        std::fs::create_dir(&bin).expect("make a directory of plugins");
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_pontoon"), bin.join("pontoon-cni")).expect("make a link");
        let conf = json!({
            "cniVersion": "1.1.0",
            "name": "web",
            "type": "pontoon-cni",
            "subnet": "10.88.0.0/24",
            "runtimeDir": lab.runtime_dir(),
            "stateDir": lab.state_dir(),
        });
        Runtime { bin, conf, arguments: String::new() }
    }

    /// The same with something else in the configuration.
    pub fn with(&self, key: &str, value: Value) -> Runtime {
        let mut conf = self.conf.clone();
        conf[key] = value;
        Runtime { bin: self.bin.clone(), conf, arguments: self.arguments.clone() }
    }

    /// Puts a shell script among the plugins.
    pub fn write_plugin(&self, name: &str, script: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.bin.join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("write a plugin");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("make it executable");
    }

    /// A plugin of this kind, to be executed with a command about a container.
    pub fn plugin(&self, kind: &str, command: &str, container: &str) -> Command {
        let found =
            [&self.bin, Path::new("/usr/lib/cni")].map(|dir| dir.join(kind)).into_iter().find(|path| path.exists());
        let mut plugin = Command::new(found.unwrap_or_else(|| panic!("there is no plugin {kind}")));
        plugin.env("CNI_COMMAND", command).env("CNI_CONTAINERID", container).env("CNI_IFNAME", "eth0");
        plugin.env("CNI_NETNS", sandbox_path(container)).env("CNI_ARGS", &self.arguments);
        plugin.env("CNI_PATH", format!("{}:/usr/lib/cni", self.bin.display()));
        plugin.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        plugin
    }

    /// Asks our plugin.
    pub fn ask(&self, command: &str, container: &str) -> Answer {
        self.execute(self.plugin("pontoon-cni", command, container))
    }

    /// Asks it about another interface than `eth0`.
    pub fn ask_about(&self, ifname: &str, command: &str, container: &str) -> Answer {
        let mut plugin = self.plugin("pontoon-cni", command, container);
        plugin.env("CNI_IFNAME", ifname);
        self.execute(plugin)
    }

    /// Executes a plugin with the configuration.
    pub fn execute(&self, plugin: Command) -> Answer {
        execute(plugin, self.conf.to_string().as_bytes())
    }

    pub fn add(&self, container: &str) -> Answer {
        self.ask("ADD", container)
    }

    pub fn del(&self, container: &str) -> Answer {
        self.ask("DEL", container)
    }

    /// Asks whether all is as this result of ADD says.
    pub fn check(&self, container: &str, result: &Value) -> Answer {
        self.with("prevResult", result.clone()).ask("CHECK", container)
    }

    /// Asks to take away all but these.
    pub fn gc(&self, valid: &[&str]) -> Answer {
        let valid: Vec<Value> = valid.iter().map(|id| json!({ "containerID": id, "ifname": "eth0" })).collect();
        self.with("cni.dev/valid-attachments", json!(valid)).ask("GC", "")
    }
}

/// Executes a plugin.
pub fn execute(mut plugin: Command, stdin: &[u8]) -> Answer {
    let mut child = plugin.spawn().expect("execute a plugin");
    // It need not read it.
    let _ = child.stdin.take().expect("a pipe").write_all(stdin);
    let output = child.wait_with_output().expect("wait for a plugin");
    let said = text(&output.stdout);
    let said = if said.is_empty() { Value::Null } else { serde_json::from_str(&said).expect("JSON and nothing else") };
    Answer { status: status_of(&output), said }
}

pub fn sandbox_path(container: &str) -> String {
    format!("/run/netns/{container}")
}

/// Makes a sandbox for a container.
pub fn sandbox(container: &str) -> Inside {
    ip(&["netns", "add", container]);
    Inside::at(sandbox_path(container))
}

/// Takes a sandbox away, and whatever is in it.
pub fn end_of_sandbox(container: &str) {
    ip(&["netns", "del", container]);
}

pub fn ip(words: &[&str]) {
    Inside::here().ip(words);
}

/// The address in a result of ADD.
#[track_caller]
pub fn address_in(result: &Value) -> Ipv4Addr {
    let address = result["ips"][0]["address"].as_str().unwrap_or_else(|| panic!("no address in {result:#}"));
    address.split('/').next().and_then(|address| address.parse().ok()).expect("an address")
}
