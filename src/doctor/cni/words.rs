//! What the facts of CNI mean.

use std::path::Path;

use super::super::Finding;
use super::super::checks::{ok, warn};
use super::{Cni, Network, PLUGIN, Plugin, Service};

/// What is said of it; one line where there is nothing.
pub fn decide(cni: &Cni) -> Vec<Finding> {
    let check = "CNI";
    let Cni { places, plugins, networks } = cni;
    let places: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
    let places = places.join(", ");
    let mut findings: Vec<Finding> = plugins.iter().map(|(path, plugin)| called(path, plugin)).collect();
    if networks.is_empty() {
        let finding = format!("no network of a runtime's names `{PLUGIN}`");
        findings.push(ok(check, finding));
    } else if plugins.is_empty() {
        let finding = format!("`{PLUGIN}` is in none of {places}, and networks name it");
        let hint = format!("`ln -s /usr/local/bin/pontoon PLACE/{PLUGIN}`, in the place where your runtime looks");
        findings.push(warn(check, finding, &hint));
    }
    findings.extend(networks.iter().map(|(file, network)| {
        let file = file.display();
        let (finding, hint) = match network {
            Network::Wrong(why) => (format!("{file}: {why}"), "docs/cni.md has what can stand there".to_owned()),
            Network::Lacks(other) => {
                let hint = "Debian's package containernetworking-plugins has the usual ones";
                (format!("{file} names the plugin `{other}` as well, which is in none of {places}"), hint.to_owned())
            }
            Network::Known(name, Service::Ready) => {
                return ok(check, format!("{file}: network {name} can be had from the daemon"));
            }
            Network::Known(name, Service::NoDaemon) => {
                return ok(check, format!("{file}: network {name}; no daemon runs, the first container starts one"));
            }
            Network::Known(name, Service::Version(version)) => {
                let own = env!("CARGO_PKG_VERSION");
                let hint = "end the daemon (SIGTERM): its containers go on, and the next daemon takes them over";
                (
                    format!("{file}: network {name}; the daemon's version is {version}, and this one's {own}"),
                    hint.into(),
                )
            }
            Network::Known(name, Service::Refused(why, hint)) => {
                let hint = hint.clone().unwrap_or_else(|| "`pontoon network ls` shows what there is".into());
                (format!("{file}: network {name}: {why}"), hint)
            }
        };
        warn(check, finding, &hint)
    }));
    findings
}

fn called(path: &Path, plugin: &Plugin) -> Finding {
    let (check, path) = ("CNI", path.display());
    let hint = format!("`ln -sf /usr/local/bin/pontoon {path}`");
    match plugin {
        Plugin::Ours => ok(check, format!("{path} is this version of Pontoon")),
        Plugin::Other(said) => {
            let finding = format!("{path} says that it is '{said}', and this is pontoon {}", env!("CARGO_PKG_VERSION"));
            warn(check, finding, &hint)
        }
        Plugin::Broken(why) => warn(check, format!("{path}: {why}"), &hint),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::Status;
    use super::*;

    fn found(plugins: &[Plugin], networks: &[Network]) -> Vec<(Status, String)> {
        let cni = Cni {
            places: vec!["/opt/cni/bin".into(), "/usr/lib/cni".into()],
            plugins: plugins.iter().map(|plugin| ("/opt/cni/bin/pontoon-cni".into(), plugin.clone())).collect(),
            networks: networks.iter().map(|network| ("/etc/cni/net.d/web.conflist".into(), network.clone())).collect(),
        };
        let findings = decide(&cni);
        assert!(findings.iter().all(|each| each.hint.is_some() == (each.status != Status::Ok)), "{findings:?}");
        findings.into_iter().map(|each| (each.status, each.finding)).collect()
    }

    fn known(service: Service) -> Network {
        Network::Known("web".into(), service)
    }

    #[test]
    fn without_a_network_that_names_the_plugin_there_is_one_line_that_is_no_reason_to_worry() {
        let lines =
            |plugins: &[Plugin]| found(plugins, &[]).into_iter().map(|(status, told)| (status == Status::Ok, told));
        let none = || (true, "no network of a runtime's names `pontoon-cni`".to_owned());
        let there = (true, "/opt/cni/bin/pontoon-cni is this version of Pontoon".to_owned());
        assert_eq!(lines(&[]).collect::<Vec<_>>(), [none()]);
        assert_eq!(lines(&[Plugin::Ours]).collect::<Vec<_>>(), [there, none()]);
    }

    #[test]
    fn a_plugin_that_is_not_where_a_runtime_looks_is_told() {
        let found = found(&[], &[known(Service::NoDaemon)]);
        let nowhere = "`pontoon-cni` is in none of /opt/cni/bin, /usr/lib/cni, and networks name it";
        let file = "/etc/cni/net.d/web.conflist: network web; no daemon runs, the first container starts one";
        assert_eq!(found, [(Status::Warn, nowhere.to_owned()), (Status::Ok, file.to_owned())]);
    }

    #[test]
    fn a_plugin_of_another_version_or_none_that_runs_is_told() {
        let own = env!("CARGO_PKG_VERSION");
        let other = format!("/opt/cni/bin/pontoon-cni says that it is 'pontoon 0.0.1', and this is pontoon {own}");
        let nowhere = "/opt/cni/bin/pontoon-cni: it leads nowhere".to_owned();
        let plugins = [Plugin::Other("pontoon 0.0.1".into()), Plugin::Broken("it leads nowhere".into())];
        let found = found(&plugins, &[known(Service::Ready)]);
        assert_eq!(found[..2], [(Status::Warn, other), (Status::Warn, nowhere)]);
        let ready = "/etc/cni/net.d/web.conflist: network web can be had from the daemon";
        assert_eq!(found[2..], [(Status::Ok, ready.to_owned())]);
    }

    #[test]
    fn what_keeps_a_network_from_being_had_is_told() {
        let own = env!("CARGO_PKG_VERSION");
        let refused = || Service::Refused("the daemon in /run/pontoon does not answer".into(), None);
        for (network, told) in [
            (Network::Wrong("read the configuration: no".into()), ": read the configuration: no".to_owned()),
            (
                Network::Lacks("portmap".into()),
                " names the plugin `portmap` as well, which is in none of /opt/cni/bin, /usr/lib/cni".to_owned(),
            ),
            (
                known(Service::Version("0.0.1".into())),
                format!(": network web; the daemon's version is 0.0.1, and this one's {own}"),
            ),
            (known(refused()), ": network web: the daemon in /run/pontoon does not answer".to_owned()),
        ] {
            let told = (Status::Warn, format!("/etc/cni/net.d/web.conflist{told}"));
            assert_eq!(found(&[Plugin::Ours], &[network])[1..], [told]);
        }
    }
}
