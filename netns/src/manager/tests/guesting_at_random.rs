//! Guests in any order of what an engine may ask for, with daemons that are killed in the middle of it and hosts that fail: no
//! address is given twice, nothing stays of what is gone, and nothing goes of what nobody let go.

use proptest::prelude::*;

use super::*;
use crate::guest::{GuestRequest, Place};
use crate::lease::Lease;
use crate::network::Owner;
use crate::record::Phase;

const ENGINES: [Owner; 2] = [Owner::Docker, Owner::Cni];
const KEYS: [&str; 3] = ["aaaa/eth0", "bbbb/eth0", "cccc/eth0"];
const NETWORKS: [&str; 2] = ["red", "blue"];

#[derive(Clone, Debug)]
enum Verb {
    Reserve {
        network: usize,
        ip: Option<u8>,
    },
    Open {
        inside: bool,
    },
    Publish {
        port: u16,
    },
    Unpublish,
    Name {
        name: usize,
    },
    Close,
    Release,
    /// The sandbox dies.
    Die,
    /// A daemon is killed between two steps.
    Restart,
    Reboot,
}

/// What is done, to which endpoint, and after how many steps something fails, or the daemon is killed.
#[derive(Clone, Debug)]
struct Step {
    verb: Verb,
    engine: usize,
    key: usize,
    strike: Option<(usize, bool)>,
}

fn step() -> impl Strategy<Value = Step> {
    let verb = prop_oneof![
        4 => (0..NETWORKS.len(), prop::option::of(2..5_u8)).prop_map(|(network, ip)| Verb::Reserve { network, ip }),
        4 => any::<bool>().prop_map(|inside| Verb::Open { inside }),
        2 => (1..4_u16).prop_map(|port| Verb::Publish { port }),
        1 => Just(Verb::Unpublish),
        1 => (0..3_usize).prop_map(|name| Verb::Name { name }),
        2 => Just(Verb::Close),
        2 => Just(Verb::Release),
        1 => Just(Verb::Die),
        1 => Just(Verb::Restart),
        1 => Just(Verb::Reboot),
    ];
    let strike = prop::option::weighted(0.3, (0..8_usize, any::<bool>()));
    (verb, 0..ENGINES.len(), 0..KEYS.len(), strike).prop_map(|(verb, engine, key, strike)| Step {
        verb,
        engine,
        key,
        strike,
    })
}

type Known = BTreeMap<(usize, usize), Lease>;

fn known(lab: &Lab) -> Known {
    let all = (0..ENGINES.len()).flat_map(|engine| (0..KEYS.len()).map(move |key| (engine, key)));
    all.filter_map(|at| Some((at, lab.manager.guest(ENGINES[at.0], KEYS[at.1])?.lease))).collect()
}

/// The next daemon, which makes up other ids than the last one. Returns its warnings.
fn restart(lab: &mut Lab) -> Vec<String> {
    let seed = lab.now.unix + 1;
    let opened =
        Manager::open(Paper(Rc::clone(&lab.host)), &Settings { seed, bip: None, defers_forwarding: false }, lab.now);
    let (manager, warnings) = opened.expect("a manager");
    (lab.manager, lab.now) = (manager, at(seed));
    warnings
}

fn carry_out(lab: &mut Lab, step: &Step) {
    let (engine, key, now) = (ENGINES[step.engine], KEYS[step.key], lab.now);
    let done = match &step.verb {
        Verb::Reserve { network, ip } => {
            let subnet = lab.manager.network(NETWORKS[*network]).expect("it is there").subnet;
            let ip = ip.map(|last| (u32::from(subnet.network()) + u32::from(last)).into());
            lab.manager
                .reserve(GuestRequest { ip, ..GuestRequest::new(engine, key, NETWORKS[*network]) }, now)
                .map(drop)
        }
        Verb::Open { inside } => {
            let ifname = format!("pt{}{}", step.engine, step.key);
            let place = match inside {
                false => Place::Host { ifname },
                true => Place::Inside { netns: "/run/netns/x".into(), ifname, routes: Vec::new() },
            };
            lab.manager.open_guest(engine, key, place, now).map(drop)
        }
        Verb::Publish { port } => {
            let ports = PortMapping::parse(&format!("{port}:80")).expect("a port");
            lab.manager.publish_guest(engine, key, ports, now)
        }
        Verb::Unpublish => lab.manager.unpublish_guest(engine, key, now),
        Verb::Name { name } => lab.manager.name_guest(engine, key, ["web", "db", "/web"][*name], now).map(drop),
        Verb::Close => lab.manager.close_guest(engine, key, now),
        Verb::Release => lab.manager.release(engine, key, now),
        Verb::Die => {
            let id = lab.manager.guest(engine, key).filter(|view| view.port.is_some()).map(|view| view.id);
            if let Some(id) = id {
                let mut host = lab.host();
                host.made(&id).end = Some(None);
                host.published.remove(&id);
                host.ended.push_back((id, 0));
            }
            lab.manager.reap(now);
            Ok(())
        }
        Verb::Restart => {
            assert_eq!(restart(lab), Vec::<String>::new());
            Ok(())
        }
        Verb::Reboot => {
            {
                let mut host = lab.host();
                let boot: u32 = host.boot.parse().expect("a number");
                host.boot = (boot + 1).to_string();
                host.containers.clear();
                host.published.clear();
                host.gateways.clear();
                host.accounts.clear();
                host.ended.clear();
            }
            assert_eq!(restart(lab), Vec::<String>::new());
            Ok(())
        }
    };
    // What nothing has struck is refused for a reason that a user may give, and never because the host has failed.
    let is_told = |failed: &Error| {
        matches!(failed, Error::NoSuchGuest { .. } | Error::GuestExists { .. } | Error::Lease { .. })
            || failed.to_string().contains("publishes it")
    };
    if let (Err(failed), None) = (&done, step.strike) {
        assert!(is_told(failed), "{step:?}: {failed}");
    }
}

/// Whom a step may take something from that it does not name: who has the address that Docker gives out.
fn is_touched(at: (usize, usize), step: &Step, before: &Known, after: &Known) -> bool {
    let is_named = at == (step.engine, step.key);
    let takes =
        matches!(step.verb, Verb::Reserve { .. }) && ENGINES[step.engine] == Owner::Docker && at.0 == step.engine;
    let is_taken = || {
        let new = after.get(&(step.engine, step.key)).map(|lease| lease.ip);
        new.is_none() || new == before.get(&at).map(|lease| lease.ip)
    };
    is_named || matches!(step.verb, Verb::Reboot) || (takes && is_taken())
}

fn check(lab: &mut Lab) {
    lab.controls();
    lab.controls();
    let records: Vec<&Record> = lab.manager.records.values().collect();
    let leases: Vec<(Id, std::net::Ipv4Addr)> = records
        .iter()
        .flat_map(|record| record.endpoints.iter().map(|endpoint| (endpoint.network.clone(), endpoint.lease.ip.addr())))
        .collect();
    assert_eq!(leases.iter().collect::<BTreeSet<_>>().len(), leases.len(), "an address is had twice: {leases:?}");
    let names: BTreeSet<&str> = records.iter().map(|record| record.name.as_str()).collect();
    assert_eq!(names.len(), records.len(), "a name is had twice");
    for record in &records {
        let is_open = matches!(record.phase, Phase::Running { .. });
        assert!(is_open || record.phase == Phase::Reserved, "{:?}", record.phase);
        let guest = record.guest.as_ref().expect("a guest");
        assert_eq!((guest.place.is_some(), guest.is_leaving), (is_open, false));
    }
    let open: BTreeSet<Id> = records.iter().filter(|record| record.is_open()).map(|record| record.id.clone()).collect();
    let host = lab.host.borrow();
    assert_eq!(host.containers.keys().cloned().collect::<BTreeSet<_>>(), open, "interfaces");
    assert_eq!(lab.manager.ports.keys().map(|(id, _)| id.clone()).collect::<BTreeSet<_>>(), open, "ports");
    let wanted = records.iter().filter(|record| record.is_open() && !record.published.is_empty());
    // Out of an internal network no way leads, and none into it.
    let wanted = wanted.filter(|record| !lab.manager.networks[&record.endpoints[0].network].network.internal);
    let wanted =
        wanted.map(|record| (record.id.clone(), (record.endpoints[0].lease.ip.addr(), record.published.clone())));
    assert_eq!(host.published, wanted.collect::<BTreeMap<_, _>>(), "published ports");
    let saved: BTreeSet<&str> = host.disk.keys().filter_map(|key| key.strip_prefix("container-")).collect();
    assert_eq!(saved, records.iter().map(|record| record.id.as_str()).collect(), "records on disk");
    for record in &records {
        let text = &host.disk[&format!("container-{}", record.id)];
        assert_eq!(serde_json::from_str::<Record>(text).expect("a record"), **record, "as on disk");
    }
    let owners = host.accounts.keys().filter_map(|key| key.strip_prefix("port-")?.split('-').nth(1));
    owners.for_each(|owner| assert!(records.iter().any(|record| record.id.as_str() == owner), "an account of {owner}"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn whatever_engines_ask_for_and_wherever_a_daemon_is_killed_nothing_is_given_twice_and_nothing_leaks(
        steps in prop::collection::vec(step(), 1..24)
    ) {
        let mut lab = Lab::new();
        lab.create_network(NetworkRequest { owner: Owner::Docker, ..network("red") });
        lab.create_network(NetworkRequest { owner: Owner::Cni, ..internal("blue") });
        let mut before = Known::new();
        for step in &steps {
            // (A daemon that is started while it is struck down is another matter: it is not there then.)
            let strike = step.strike.filter(|_| !matches!(step.verb, Verb::Restart | Verb::Reboot));
            let step = &Step { strike, ..step.clone() };
            lab.host().strike = strike;
            carry_out(&mut lab, step);
            let was_killed = lab.host().strike.take().is_some_and(|(left, kills)| left == 0 && kills);
            if was_killed {
                prop_assert_eq!(restart(&mut lab), Vec::<String>::new());
            } else {
                // What could not be done is done when it is tried again.
                prop_assert!(lab.pass(6).is_empty());
            }
            // What could not even be noted, the next daemon finds.
            if strike.is_some() {
                prop_assert_eq!(restart(&mut lab), Vec::<String>::new());
            }
            check(&mut lab);
            let after = known(&lab);
            for (at, lease) in &before {
                prop_assert!(after.get(at) == Some(lease) || is_touched(*at, step, &before, &after), "{step:?} took {at:?}");
            }
            before = after;
        }
        prop_assert_eq!(lab.manager.release_all(lab.now).len(), 0);
        check(&mut lab);
        prop_assert!(lab.manager.is_idle());
        prop_assert!(lab.host().published.is_empty() && lab.host().containers.is_empty());
    }
}
