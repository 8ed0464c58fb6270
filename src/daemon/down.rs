//! `down`: everything ends, and who is cut off by that is told so.

use std::collections::BTreeMap;
use std::sync::MutexGuard;

use netns::guest::GuestView;
use netns::network::Owner;

use super::Daemon;
use super::state::State;
use crate::failure::Failure;

/// How many containers are told by their names; of more than that there is a number.
const NAMED: usize = 20;

/// Asks every container to end, sees to it, gives interfaces of the host back, and then lets the daemon end. Says whose containers
/// go on without a network.
///
/// # Errors
/// What stays, together with that.
pub(super) fn down(daemon: &Daemon, mut state: MutexGuard<'_, State>) -> Result<Vec<String>, Failure> {
    let mut errors = Vec::new();
    // From now on none comes that would be left behind.
    state.closing = true;
    let now = daemon.now();
    let guests = |engine| state.manager.guests(engine);
    let cut_off = [Owner::Docker, Owner::Cni].into_iter().filter_map(|engine| cut_off(engine, &guests(engine)));
    let cut_off: Vec<String> = cut_off.collect();
    cut_off.iter().for_each(|told| tracing::warn!("{told}"));
    // Their engines are not asked: whoever takes the switch away takes it from them, too.
    errors.extend(state.manager.release_all(now));
    let living = state.manager.living();
    for id in &living {
        match state.manager.stop(id.as_str(), netns::manager::STOP_GRACE, now) {
            // It has just ended by itself, and is forgotten; or is a guest that was released, which is tried again.
            Ok(_) | Err(netns::error::Error::NoSuchContainer(_) | netns::error::Error::OfEngine { .. }) => {}
            Err(failed) => errors.push(failed),
        }
    }
    let _ = state.pump();
    drop(state);
    daemon.poke();
    let mut state = daemon.wait_until(|state| living.iter().all(|id| state.manager.has_ended(id)));
    errors.extend(state.manager.remove_ports(daemon.now()));
    let _ = state.pump();
    state.ending = true;
    drop(state);
    daemon.poke();
    if errors.is_empty() {
        return Ok(cut_off);
    }
    let all: Vec<String> = errors.iter().map(ToString::to_string).chain(cut_off).collect();
    Err(Failure::new(all.join("; ")))
}

/// Whose containers had interfaces of ours until now, and what gives them new ones.
fn cut_off(engine: Owner, guests: &[GuestView]) -> Option<String> {
    let open = guests.iter().filter(|guest| guest.place.is_some());
    // A container has a guest for each of its networks.
    let mut containers: BTreeMap<&str, &str> = BTreeMap::new();
    for guest in open {
        containers.entry(container_of(guest)).or_insert(guest.name.as_str());
    }
    let mut names: Vec<&str> = containers.into_values().collect();
    names.sort_unstable();
    let remedy = match engine {
        Owner::Docker => "`docker restart` gives it back to one once `pontoon up --docker` serves again",
        Owner::Cni => "it is for its runtime to start it again",
        Owner::User => return None,
    };
    let more = names.len().saturating_sub(NAMED);
    let (count, verb) = match names.len() {
        0 => return None,
        1 => ("1 container".to_owned(), "has lost its network"),
        count => (format!("{count} containers"), "have lost their network"),
    };
    names.truncate(NAMED);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    Some(format!("{count} of {engine} {verb}: {}{more}; {remedy}", names.join(", ")))
}

/// What a guest's engine knows its container by, as far as we know that.
fn container_of(guest: &GuestView) -> &str {
    match guest.engine {
        Owner::Cni => guest.key.split('/').next().unwrap_or_default(),
        Owner::Docker | Owner::User => guest.named.as_deref().unwrap_or(&guest.key),
    }
}

#[cfg(test)]
mod tests {
    use netns::guest::Place;
    use netns::lease::Lease;
    use netns::name::Id;
    use switch::mac::MacAddr;

    use super::*;

    fn guest(engine: Owner, name: &str, key: &str, is_open: bool) -> GuestView {
        let id = Id::try_from("0".repeat(64)).expect("an id");
        let lease = Lease {
            ip: "10.0.0.2/24".parse().expect("an address"),
            mac: MacAddr::ZERO,
            gateway: [10, 0, 0, 1].into(),
            mtu: 1500,
        };
        GuestView {
            id: id.clone(),
            name: name.parse().expect("a name"),
            engine,
            key: key.to_owned(),
            named: name.split('.').next().map(str::to_owned),
            sandbox: None,
            network: "shop".into(),
            network_id: id,
            lease,
            internal: false,
            place: is_open.then(|| Place::Host { ifname: "pt-0".into() }),
            ifname: None,
            port: None,
            published: Vec::new(),
        }
    }

    #[test]
    fn a_container_on_two_networks_is_one_and_a_reservation_is_none() {
        let docker = |name, key, is_open| guest(Owner::Docker, name, key, is_open);
        let guests = [docker("web", "1", true), docker("web.back", "2", true), docker("db", "3", false)];
        let told = cut_off(Owner::Docker, &guests).expect("one is cut off");
        assert!(told.starts_with("1 container of docker has lost its network: web; "), "{told}");
        assert_eq!(cut_off(Owner::Docker, &guests[2..]), None);
        let pods = [guest(Owner::Cni, "pod", "a/eth0", true), guest(Owner::Cni, "pod-2", "b/eth0", true)];
        let told = cut_off(Owner::Cni, &pods).expect("two are cut off");
        assert!(told.starts_with("2 containers of cni have lost their network: pod, pod-2; "), "{told}");
    }

    #[test]
    fn of_many_some_are_named() {
        let many: Vec<GuestView> =
            (10..35).map(|each| guest(Owner::Docker, &format!("c{each}"), &each.to_string(), true)).collect();
        let told = cut_off(Owner::Docker, &many).expect("all are cut off");
        assert!(told.starts_with("25 containers of docker have lost their network: c10, c11, "), "{told}");
        assert!(told.contains(", c28, c29 and 5 more; "), "{told}");
    }
}
