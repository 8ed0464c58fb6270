//! What is listed and named, and by what.

use super::*;

#[test]
fn a_manager_is_idle_when_no_container_is_listed() {
    let mut lab = Lab::new();
    assert!(lab.manager.is_idle());
    lab.run("web", "none");
    assert!(!lab.manager.is_idle());
    lab.manager.stop("web", Duration::ZERO, lab.now).expect("stopped");
    assert!(!lab.manager.is_idle(), "its record is asked for yet");
    lab.manager.remove("web", false, lab.now).expect("removed");
    assert!(lab.manager.is_idle());
}

#[test]
fn an_empty_text_names_nothing_however_many_there_are() {
    let mut lab = Lab::new();
    for count in 0..3 {
        assert_eq!(says(lab.manager.find("").map(drop)), "no such container: ", "of {count}");
        assert_eq!(says(lab.manager.inspect_network("").map(drop)), "no such network: ");
        lab.run(&format!("w{count}"), "none");
    }
}

#[test]
fn the_newest_container_is_listed_first() {
    let mut lab = Lab::new();
    ["c", "a", "b"].iter().for_each(|name| drop(lab.run(name, "none")));
    let listed: Vec<String> = lab.manager.containers(true).into_iter().map(|view| view.name).collect();
    assert_eq!(listed, ["b", "a", "c"]);
    // The last of those who had a name is meant by it.
    lab.manager.stop("c", Duration::ZERO, lab.now).expect("stopped");
    let second = lab.run("c", "none").id;
    lab.manager.stop("c", Duration::ZERO, lab.now).expect("stopped");
    assert_eq!(lab.manager.find("c").expect("it is there").id, second);
}

#[test]
fn the_networks_that_are_no_bridges_list_who_is_on_them() {
    let mut lab = Lab::new();
    for (name, mode) in [("a", "none"), ("b", "host"), ("c", "none"), ("d", "host"), ("e", "bridge")] {
        lab.run(name, mode);
    }
    for ended in ["c", "d"] {
        lab.manager.stop(ended, Duration::ZERO, lab.now).expect("stopped");
    }
    let members = |lab: &Lab, network: &str| -> Vec<String> {
        let details = lab.manager.inspect_network(network).expect("it is there");
        details.containers.into_values().map(|member| member.name).collect()
    };
    assert_eq!((members(&lab, "none"), members(&lab, "host")), (vec!["a".into()], vec!["b".into()]));
    lab.disconnect("none", "a").expect("disconnected");
    assert_eq!((members(&lab, "none"), members(&lab, "host")), (vec![], vec!["b".into()]));
}

#[test]
fn a_beginning_of_an_id_names_a_container_or_a_network_if_it_is_one_ones_alone() {
    let mut lab = Lab::new();
    let red = lab.create_network(network("red"));
    let ids: Vec<Id> = (0..40).map(|number| lab.run(&format!("x{number}"), "none").id).collect();
    let (id, whole) = (&ids[0], ids[0].as_str());
    assert_eq!(lab.manager.find(whole).map(|record| record.id.clone()).ok().as_ref(), Some(id));
    assert_eq!(lab.manager.find(id.short()).map(|record| record.id.clone()).ok().as_ref(), Some(id));
    // Of forty ids two at least begin alike.
    for digit in "0123456789abcdef".chars().map(String::from) {
        let count = ids.iter().filter(|id| id.as_str().starts_with(&digit)).count();
        match (lab.manager.find(&digit), count) {
            (Err(Error::NoSuchContainer(_)), 0) | (Ok(_), 1) => {}
            (Err(Error::Ambiguous { count: told, .. }), 2..) => assert_eq!(told, count),
            (other, count) => panic!("{count} begin with {digit}: {other:?}"),
        }
    }
    let all = lab.manager.networks();
    for network in &all {
        assert_eq!(
            lab.manager.inspect_network(&network.id[..12]).map(|found| found.name).ok().as_ref(),
            Some(&network.name)
        );
    }
    for digit in "0123456789abcdef".chars().map(String::from) {
        let alike: Vec<_> = all.iter().filter(|network| network.id.starts_with(&digit)).collect();
        match (lab.manager.inspect_network(&digit), alike.len()) {
            (Err(Error::NoSuchNetwork(_)), 0) => {}
            (Ok(found), 1) => assert_eq!(found.id, alike[0].id),
            (Err(Error::AmbiguousNetwork { count, .. }), 2..) => assert_eq!(count, alike.len()),
            (other, count) => panic!("{count} begin with {digit}: {other:?}"),
        }
    }
    lab.manager.remove_network(red.short(), lab.now).expect("removed");
    let refused = says(lab.manager.remove_network(&all[0].id[..12], lab.now));
    assert!(refused.contains("bridge"), "{refused}");
}

#[test]
fn a_network_may_be_called_as_an_id_begins() {
    let mut lab = Lab::new();
    let host = lab.manager.inspect_network("host").expect("it is there").id;
    lab.create_network(network(&host[..12]));
    assert_eq!(lab.manager.inspect_network(&host[..12]).expect("it is there").driver, "bridge");
    lab.manager.remove_network(&host[..12], lab.now).expect("removed");
    assert_eq!(lab.manager.inspect_network(&host[..12]).expect("it is there").driver, "host");
}

#[test]
fn unused_networks_go_and_those_in_use_stay() {
    let mut lab = Lab::new();
    for called in ["red", "blue", "green"] {
        lab.create_network(network(called));
    }
    lab.run("web", "red");
    let (gone, failed) = lab.manager.prune_networks(lab.now);
    assert_eq!((gone, failed.len()), (vec![name("blue"), name("green")], 0));
    lab.manager.remove("web", true, lab.now).expect("removed");
    lab.host().fail("close_gateway");
    let (gone, failed) = lab.manager.prune_networks(lab.now);
    assert_eq!((gone, failed.len()), (vec![], 1));
}
