//! CNI beside us: whether runtimes of containers find `pontoon-cni`, which of their networks name it, and whether the daemon could serve
//! those. Facts, and how they are found; [`words`] says what they mean.
//!
//! It is looked for where Podman, containerd and CRI-O look, or where `CNI_PATH` and `NETCONFPATH` say, which `cnitool` has as well. A
//! network is read as the plugin would read it, and the daemon asked what STATUS asks, but none is started.

mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use cni::Call;
use cni::configuration::{Configuration, MAX_INPUT};
use control::{CniOrder, Request};
use serde_json::Value;

pub use self::words::decide;
use super::probe::run;
use crate::client::{Client, Missed};
use crate::failure::{Failure, cause_of};
use crate::paths::Dirs;
use crate::plugin::network_of;

/// What it is called.
const PLUGIN: &str = crate::plugin::NAME;
/// Where runtimes look for plugins: containerd and CRI-O in the last, Podman in all.
const PLACES: [&str; 5] =
    ["/usr/local/libexec/cni", "/usr/libexec/cni", "/usr/local/lib/cni", "/usr/lib/cni", "/opt/cni/bin"];
/// Where they look for networks.
const NETWORKS: &str = "/etc/cni/net.d";
/// Where Podman may be told other places, the last one first.
const SETTINGS: [&str; 2] = ["/etc/containers/containers.conf", "/usr/share/containers/containers.conf"];
/// How many networks are looked at.
const MOST: usize = 100;
/// How long the daemon may take over an answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// What was seen of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cni {
    /// Where plugins are looked for.
    pub places: Vec<PathBuf>,
    /// What is there under our name.
    pub plugins: Vec<(PathBuf, Plugin)>,
    /// The files that name it.
    pub networks: Vec<(PathBuf, Network)>,
}

/// What is called `pontoon-cni`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plugin {
    /// This very program, or another copy of the same version.
    Ours,
    /// Another version: what it says of itself.
    Other(String),
    /// Nothing that can be executed; why.
    Broken(String),
}

/// A network that names the plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Network {
    /// Which the plugin would refuse; why.
    Wrong(String),
    /// Which takes another plugin as well, that is nowhere.
    Lacks(String),
    /// Which is as it should be.
    Known(String, Service),
}

/// Whether an interface could be had on a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Service {
    /// There is no daemon: the first interface brings one.
    NoDaemon,
    /// Yes.
    Ready,
    /// The daemon is of another version: which.
    Version(String),
    /// No; why, and what helps.
    Refused(String, Option<String>),
}

/// Looks.
pub fn look(dirs: &Dirs) -> Cni {
    let places = places();
    let plugins = places.iter().map(|place| place.join(PLUGIN)).filter(|path| path.symlink_metadata().is_ok());
    let plugins = plugins.map(|path| (path.clone(), plugin(&path))).collect();
    // One that does not answer is waited for once.
    let mut silent = BTreeMap::new();
    let networks =
        files().into_iter().filter_map(|file| Some((file.clone(), network(&file, &places, dirs, &mut silent)?)));
    let networks = networks.take(MOST).collect();
    Cni { places, plugins, networks }
}

fn said(variable: &str) -> Option<Vec<PathBuf>> {
    let value = std::env::var_os(variable).filter(|value| !value.is_empty())?;
    Some(std::env::split_paths(&value).collect())
}

fn places() -> Vec<PathBuf> {
    said("CNI_PATH").unwrap_or_else(|| {
        let own = setting("cni_plugin_dirs").and_then(|value| serde_json::from_value::<Vec<PathBuf>>(value).ok());
        let usual = PLACES.iter().map(PathBuf::from);
        let mut seen = BTreeSet::new();
        own.unwrap_or_default().into_iter().chain(usual).filter(|place| seen.insert(place.clone())).collect()
    })
}

/// Podman's settings are TOML, of which a list of strings on one line is JSON as well.
fn setting(key: &str) -> Option<Value> {
    SETTINGS.iter().filter_map(|file| fs::read_to_string(file).ok()).find_map(|text| setting_in(&text, key))
}

fn setting_in(text: &str, key: &str) -> Option<Value> {
    let value = |line: &str| line.trim().strip_prefix(key)?.trim_start().strip_prefix('=').map(str::to_owned);
    text.lines().find_map(value).and_then(|value| serde_json::from_str(value.trim()).ok())
}

/// The files that may have networks in them, in a runtime's order.
fn files() -> Vec<PathBuf> {
    let usual = || setting("network_config_dir").and_then(|value| Some(PathBuf::from(value.as_str()?)));
    let dirs = said("NETCONFPATH").unwrap_or_else(|| vec![usual().unwrap_or_else(|| NETWORKS.into())]);
    let entries = dirs.iter().filter_map(|dir| fs::read_dir(dir).ok()).flatten().flatten().map(|entry| entry.path());
    let is_network = |path: &PathBuf| {
        path.extension().is_some_and(|end| ["conf", "conflist", "json"].iter().any(|known| end == *known))
            && path.metadata().is_ok_and(|meta| meta.is_file() && meta.len() <= MAX_INPUT as u64)
    };
    let files: BTreeSet<PathBuf> = entries.filter(is_network).collect();
    files.into_iter().collect()
}

fn plugin(path: &Path) -> Plugin {
    let meta = match path.metadata() {
        Ok(meta) => meta,
        Err(why) if why.kind() == ErrorKind::NotFound => return Plugin::Broken("it leads nowhere".into()),
        Err(why) => return Plugin::Broken(cause_of(&why)),
    };
    if !meta.is_file() || meta.permissions().mode() & 0o111 == 0 {
        return Plugin::Broken("it can not be executed".into());
    }
    let is_this = |own: fs::Metadata| (own.dev(), own.ino()) == (meta.dev(), meta.ino());
    if fs::metadata("/proc/self/exe").is_ok_and(is_this) {
        return Plugin::Ours;
    }
    // Under its other name it tells its version.
    match run(Command::new(path).arg0("pontoon").arg("--version"), "") {
        Ok(said) if said.status.success() => {
            let version = String::from_utf8_lossy(&said.stdout).lines().next().unwrap_or_default().trim().to_owned();
            if version == format!("pontoon {}", env!("CARGO_PKG_VERSION")) {
                Plugin::Ours
            } else {
                Plugin::Other(version)
            }
        }
        Ok(said) => Plugin::Broken(format!("it does not tell its version ({})", said.status)),
        Err(why) => Plugin::Broken(why),
    }
}

/// What a file says of us, if it does.
fn network(file: &Path, places: &[PathBuf], dirs: &Dirs, silent: &mut BTreeMap<PathBuf, Service>) -> Option<Network> {
    let text = fs::read_to_string(file).ok().filter(|text| text.contains(PLUGIN))?;
    let whole: Value = match serde_json::from_str(&text) {
        Ok(whole) => whole,
        Err(why) => return Some(Network::Wrong(format!("it is no JSON: {why}"))),
    };
    let plugins = match whole.get("plugins").and_then(Value::as_array) {
        Some(plugins) => plugins.clone(),
        None => vec![whole.clone()],
    };
    let kind = |plugin: &Value| plugin.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut own = plugins.iter().find(|plugin| kind(plugin) == PLUGIN)?.clone();
    for key in ["cniVersion", "name"] {
        // As a runtime does.
        if let (Some(value), Some(own)) = (whole.get(key), own.as_object_mut()) {
            own.insert(key.to_owned(), value.clone());
        }
    }
    let configuration = match read(&own) {
        Ok(configuration) => configuration,
        Err(why) => return Some(Network::Wrong(why)),
    };
    let others = plugins.iter().map(kind).chain(configuration.delegate.clone());
    let is_nowhere = |kind: &String| kind != PLUGIN && !places.iter().any(|place| place.join(kind).exists());
    if let Some(other) = others.into_iter().find(is_nowhere) {
        return Some(Network::Lacks(other));
    }
    let service = service(&configuration, dirs, silent);
    Some(Network::Known(configuration.name.to_string(), service))
}

/// As the plugin would read it for an ADD.
fn read(configuration: &Value) -> Result<Configuration, String> {
    let variable = |name: &str| {
        let value = match name {
            "CNI_COMMAND" => "ADD",
            "CNI_CONTAINERID" => "doctor",
            "CNI_NETNS" => "/run/netns/doctor",
            "CNI_IFNAME" => "eth0",
            _ => return None,
        };
        Some(value.to_owned())
    };
    match cni::read(variable, configuration.to_string().as_bytes()) {
        Ok(Call::Add(subject, _)) => Ok(subject.configuration),
        Ok(_) => Err("it is read for something else than ADD".into()),
        Err(refused) => Err(refused.failure.to_string()),
    }
}

fn service(configuration: &Configuration, dirs: &Dirs, silent: &mut BTreeMap<PathBuf, Service>) -> Service {
    let chosen = |own: &Option<PathBuf>, usual: &PathBuf| own.clone().unwrap_or_else(|| usual.clone());
    let dirs = Dirs {
        runtime: chosen(&configuration.runtime_dir, &dirs.runtime),
        state: chosen(&configuration.state_dir, &dirs.state),
    };
    let refused = |failure: Failure| Service::Refused(failure.message, failure.hint);
    if let Some(service) = silent.get(&dirs.runtime) {
        return service.clone();
    }
    let mut client = match Client::look_within(&dirs, PATIENCE) {
        Ok(Some(client)) => client,
        Ok(None) => return Service::NoDaemon,
        Err(Missed::Failed(failure)) => return refused(failure),
        Err(Missed::Silent(failure)) => {
            return silent.entry(dirs.runtime).or_insert(refused(failure)).clone();
        }
    };
    match client.ask::<control::Status>(&Request::Status) {
        Ok(status) if status.version == env!("CARGO_PKG_VERSION") => {}
        Ok(status) => return Service::Version(status.version),
        Err(failure) => return refused(failure),
    }
    match client.ask::<()>(&Request::Cni(CniOrder::Status(network_of(configuration)))) {
        Ok(()) => Service::Ready,
        Err(failure) => refused(failure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn podmans_settings_are_read_where_they_are_plain() {
        let text =
            "[network]\n# cni_plugin_dirs = [\"/no\"]\ncni_plugin_dirs = [\"/a\", \"/b\"]\nnetwork_config_dir=\"/c\"\n";
        assert_eq!(setting_in(text, "cni_plugin_dirs"), Some(serde_json::json!(["/a", "/b"])));
        assert_eq!(setting_in(text, "network_config_dir"), Some(serde_json::json!("/c")));
        assert_eq!(setting_in("cni_plugin_dirs = [\n  \"/a\",\n]\n", "cni_plugin_dirs"), None);
    }
}
