//! [`Podman`]: Debian's Podman, with CNI.

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::host::{DIR, IMAGE, waited_for};
use crate::pontoon::COMMAND;
use crate::said::Said;

pub const PODMAN: &str = "/usr/bin/podman";
/// Where the reference plugins are.
pub const PLUGINS: &str = "/usr/lib/cni";
/// Where Podman finds what networks there are.
pub const NETWORKS: &str = "/etc/cni/net.d";
const LIMIT: &str = "120";
/// The network `pontoon`, as we ship it.
const CONFLIST: &str = include_str!("../../contrib/cni/podman-pontoon.conflist");

/// A Podman with data of its own. Nothing of it runs but while a command does, and while containers do.
pub struct Podman {
    cgroup: String,
}

impl Podman {
    /// One that finds our plugin, and the network that we ship for it.
    ///
    /// # Errors
    /// If its files can not be written.
    pub fn new(cgroup: &str) -> Result<Podman, String> {
        let plugins = format!("{DIR}/plugins");
        let configuration = format!(
            "[network]\nnetwork_backend = \"cni\"\ncni_plugin_dirs = [\"{}\", \"{PLUGINS}\"]\n\
             network_config_dir = \"{NETWORKS}\"\n\
             [engine]\ncgroup_manager = \"cgroupfs\"\nruntime = \"runc\"\nevents_logger = \"file\"\n\
             enable_port_reservation = false\n\
             [containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1000:1000\"]\n",
            plugins
        );
        let storage =
            format!("[storage]\ndriver = \"vfs\"\nrunroot = \"/run/containers\"\ngraphroot = \"{DIR}/podman\"\n");
        let write = |name: &str, text: &str| {
            std::fs::write(format!("{DIR}/{name}"), text).map_err(|why| format!("write {DIR}/{name}: {why}"))
        };
        write("containers.conf", &configuration)?;
        write("storage.conf", &storage)?;
        for dir in [NETWORKS, &plugins] {
            std::fs::create_dir_all(dir).map_err(|why| format!("make {dir}: {why}"))?;
        }
        let plugin = format!("{plugins}/pontoon-cni");
        std::os::unix::fs::symlink(COMMAND, &plugin).map_err(|why| format!("make {plugin}: {why}"))?;
        let network = format!("{NETWORKS}/pontoon.conflist");
        std::fs::write(&network, CONFLIST).map_err(|why| format!("write {network}: {why}"))?;
        Ok(Podman { cgroup: format!("/{cgroup}") })
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        command.args([LIMIT, PODMAN]);
        match arguments {
            [verb @ ("run" | "create"), rest @ ..] => command.args([verb, "--cgroup-parent", &self.cgroup]).args(rest),
            [verb @ "pod", create @ "create", rest @ ..] => {
                command.args([verb, create, "--cgroup-parent", &self.cgroup]).args(rest)
            }
            _ => command.args(arguments),
        };
        command.env("CONTAINERS_CONF", format!("{DIR}/containers.conf"));
        command.env("CONTAINERS_STORAGE_CONF", format!("{DIR}/storage.conf"));
        command
    }

    pub fn try_to(&self, arguments: &[&str]) -> Said {
        Said::by(&mut self.command(arguments))
    }

    /// Runs a command, which succeeds; what it prints.
    pub fn does(&self, arguments: &[&str]) -> String {
        self.try_to(arguments).printed(&format!("podman {}", arguments.join(" ")))
    }

    /// Runs a command, which fails; what it says.
    pub fn refuses(&self, arguments: &[&str]) -> String {
        let said = self.try_to(arguments);
        assert!(!said.is_well(), "podman {}: {}", arguments.join(" "), said.stdout);
        said.stderr.trim_end().to_owned()
    }

    /// Writes a script that calls it as [`Podman::command`] does.
    pub fn write_script(&self, path: &Path) {
        let script = format!(
            "#!/bin/sh\nexport CONTAINERS_CONF={DIR}/containers.conf CONTAINERS_STORAGE_CONF={DIR}/storage.conf\n\
             verb=$1; shift\n[ $verb != run ] || set -- --cgroup-parent {} \"$@\"\nexec {PODMAN} $verb \"$@\"\n",
            self.cgroup
        );
        std::fs::write(path, script).expect("write a script");
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("make it executable");
    }

    /// Makes a network of ours, of the shape of the one that we ship.
    pub fn makes_network(&self, name: &str, subnet: &str) {
        let network = CONFLIST.replace("\"pontoon\"", &format!("\"{name}\"")).replace("10.89.128.0/20", subnet);
        std::fs::write(format!("{NETWORKS}/{name}.conflist"), network).expect("write a network");
    }

    /// A client that is not waited for.
    pub fn begins(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("run podman")
    }

    /// Starts a container that waits until it is removed.
    pub fn starts(&self, name: &str, options: &[&str]) {
        let run = ["run", "--detach", "--name", name];
        self.does(&[&run[..], options, &[IMAGE, "sleep", "1000000"]].concat());
    }

    /// Starts a container that tells its name to whoever asks on port 80, by HTTP.
    pub fn serves(&self, name: &str, options: &[&str]) {
        let script = format!("echo {name} >/www/index.html; exec httpd -f -p 80 -h /www");
        let run = ["run", "--detach", "--stop-signal=KILL", "--name", name];
        self.does(&[&run[..], options, &[IMAGE, "sh", "-c", &script]].concat());
        let is_there = || self.try_asking(name, "127.0.0.1").is_well().then_some(());
        assert!(waited_for(is_there).is_some(), "the server in {name} starts");
    }

    /// Runs a script in a container, which succeeds; what it prints.
    pub fn inside(&self, name: &str, script: &str) -> String {
        self.does(&["exec", name, "sh", "-c", script])
    }

    /// The answer of the server on port 80 of an address or a name, asked in a container.
    pub fn asks(&self, name: &str, whom: &str) -> String {
        self.try_asking(name, whom).printed(&format!("{name} asks {whom}"))
    }

    fn try_asking(&self, name: &str, whom: &str) -> Said {
        self.try_to(&["exec", name, "timeout", "5", "wget", "-qO-", &format!("http://{whom}/")])
    }

    pub fn import(&self, archive: &Path, name: &str) {
        let archive = File::open(archive).expect("open the image");
        let output = self.command(&["import", "-", name]).stdin(archive).output().expect("run podman");
        Said::from(output).printed("podman import");
    }
}
