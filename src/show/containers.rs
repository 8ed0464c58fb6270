//! `ps` and `network ls`.

use control::{Shown, Traffic};
use netns::manager::{ContainerView, NetworkView};
use netns::mode::NetworkMode;
use netns::name::Id;

use super::ports::ports;
use super::stats::Units;
use super::{table, text};

/// Who has made what no engine has.
const OURS: &str = "pontoon";

/// The table of `ps`, with what each container has received and sent if that is wanted. `now` in seconds since 1970.
#[must_use]
pub fn ps(containers: &[Shown], with_traffic: bool, now: u64) -> String {
    let headings = ["CONTAINER ID", "NAME", "PID", "NETWORK", "IP", "MAC", "PORTS", "STATUS", "NET I/O"];
    let mut rows = table(if with_traffic { &headings } else { &headings[..8] });
    for Shown { container, traffic, .. } in containers {
        let interface = container.networks.values().next();
        let cells = [
            container.id[..Id::SHORT].to_owned(),
            container.name.clone(),
            if container.pid == 0 { String::new() } else { container.pid.to_string() },
            network(container),
            interface.map(|own| own.ip.addr().to_string()).unwrap_or_default(),
            interface.map(|own| own.mac.to_string()).unwrap_or_default(),
            ports(&container.published),
            status(container, now),
        ];
        rows.add_row(cells.into_iter().chain(with_traffic.then(|| net_io(traffic.values()))));
    }
    text(rows, &[])
}

/// What a container has received and sent, on all its networks; nothing for one that has none.
fn net_io<'a>(traffic: impl Iterator<Item = &'a Traffic>) -> String {
    let units = Units { exact: false, seconds: None };
    let sum = traffic
        .map(|own| (own.rx_bytes, own.tx_bytes))
        .reduce(|(rx, tx), (more_rx, more_tx)| (rx + more_rx, tx + more_tx));
    sum.map(|(received, sent)| format!("{} / {}", units.bytes(received), units.bytes(sent))).unwrap_or_default()
}

/// The table of `network ls`.
#[must_use]
pub fn networks(networks: &[NetworkView]) -> String {
    let mut rows = table(&["NETWORK ID", "NAME", "DRIVER", "SCOPE", "OWNER"]);
    for network in networks {
        let owner = network.owner.map_or_else(|| OURS.to_owned(), |engine| engine.to_string());
        rows.add_row([&network.id[..Id::SHORT], &network.name, &network.driver, &network.scope, &owner]);
    }
    text(rows, &[])
}

/// The mode; of one with interfaces, the networks that it is on by now.
fn network(container: &ContainerView) -> String {
    match &container.network_mode {
        NetworkMode::Bridge(_) if container.state == "running" => {
            container.networks.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
        }
        mode => mode.to_string(),
    }
}

fn status(container: &ContainerView, now: u64) -> String {
    let since = |then: u64| duration(now.saturating_sub(then));
    match (container.exit_status, container.finished) {
        (Some(status), Some(finished)) => format!("Exited ({status}) {} ago", since(finished)),
        (Some(status), None) => format!("Exited ({status})"),
        (None, _) if container.state == "running" => format!("Up {}", since(container.created)),
        (None, _) => container.state.clone(),
    }
}

/// A length of time in words, as Docker says it.
fn duration(seconds: u64) -> String {
    let (count, unit) = match seconds {
        0 => return "less than a second".into(),
        1..=119 => (seconds, "second"),
        120..=7199 => (seconds / 60, "minute"),
        7200..=172_799 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_said_in_the_unit_that_fits() {
        let said: Vec<_> = [0, 1, 59, 119, 120, 7199, 7200, 172_800].into_iter().map(duration).collect();
        assert_eq!(
            said,
            [
                "less than a second",
                "1 second",
                "59 seconds",
                "119 seconds",
                "2 minutes",
                "119 minutes",
                "2 hours",
                "2 days"
            ]
        );
    }
}
