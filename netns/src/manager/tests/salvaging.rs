//! What is kept with containers, and what it is good for when records are lost.

use super::*;

/// The networks in a container's note, by name.
fn noted(lab: &Lab, id: &Id) -> Vec<String> {
    let note = lab.host().made(id).note.clone().expect("a note");
    let note: serde_json::Value = serde_json::from_str(&note).expect("JSON");
    let networks = note["networks"].as_array().expect("networks").iter();
    let mut names: Vec<String> = networks.map(|network| network["name"].as_str().expect("a name").to_owned()).collect();
    names.sort();
    names
}

fn names(lab: &Lab) -> Vec<String> {
    lab.manager
        .networks()
        .into_iter()
        .map(|network| network.name)
        .filter(|name| name != "host" && name != "none")
        .collect()
}

/// Loses what is on disk under these keys.
fn lose(lab: &Lab, beginning: &str) {
    lab.host().disk.retain(|key, _| !key.starts_with(beginning));
}

fn anew(network: &str) -> String {
    format!("the record of network {network} is written anew, as a container has it")
}

#[test]
fn a_container_has_a_note_of_the_default_network_and_of_its_own() {
    let mut lab = Lab::new();
    lab.create_network(network("blue"));
    lab.create_network(network("red"));
    let alone = lab.run("alone", "none").id;
    let web = lab.run("web", "red").id;
    assert_eq!((noted(&lab, &alone), noted(&lab, &web)), (vec!["bridge".into()], vec!["bridge".into(), "red".into()]));
    lab.connect("blue", "web").expect("connected");
    assert_eq!(noted(&lab, &web), ["blue", "bridge", "red"]);
    lab.disconnect("red", "web").expect("disconnected");
    assert_eq!(noted(&lab, &web), ["blue", "bridge"]);
}

#[test]
fn a_network_whose_record_is_lost_is_as_its_containers_have_it() {
    let mut lab = Lab::new();
    let red = lab.create_network(network("red"));
    lab.run("web", "red");
    lab.run("db", "red");
    lose(&lab, "network-");
    let mut warnings = lab.restart();
    warnings.sort();
    assert_eq!(warnings, [anew("bridge"), anew("red")]);
    assert_eq!(names(&lab), ["bridge", "red"]);
    assert_eq!(lab.manager.inspect_network("red").expect("it is there").id, red.to_string());
    assert_eq!(lab.restart(), Vec::<String>::new(), "it has its record again");
}

#[test]
fn a_container_whose_record_is_lost_has_it_again_with_its_networks() {
    let mut lab = Lab::new();
    lab.create_network(network("red"));
    lab.run("web", "red");
    let before = lab.manager.inspect("web").expect("it is there");
    lose(&lab, "network-");
    lose(&lab, "container-");
    let warnings = lab.restart();
    assert!(warnings.contains(&"container web had no record; it is written anew".into()), "{warnings:?}");
    let after = lab.manager.inspect("web").expect("it is there");
    assert_eq!((after.networks, names(&lab)), (before.networks, vec!["bridge".into(), "red".into()]));
    assert_eq!(after.state, "running");
}

#[test]
fn a_container_without_record_and_note_is_ended() {
    let mut lab = Lab::new();
    let web = lab.run("web", "bridge").id;
    lose(&lab, "container-");
    lab.host().made(&web).note = Some("nonsense".into());
    assert_eq!(lab.restart(), [format!("container {} had no record; it is ended", web.short())]);
    assert!(lab.host().containers.is_empty());
}

#[test]
fn a_note_that_was_not_brought_up_to_date_brings_no_network_back() {
    let mut lab = Lab::new();
    lab.create_network(network("red"));
    let web = lab.run("web", "red").id;
    let old = lab.host().made(&web).note.clone();
    lab.disconnect("red", "web").expect("disconnected");
    lab.manager.remove_network("red", lab.now).expect("removed");
    lab.host().made(&web).note = old;
    assert_eq!(lab.restart(), Vec::<String>::new());
    assert_eq!(names(&lab), ["bridge"]);
}

#[test]
fn a_container_that_has_ended_brings_no_network_back() {
    let mut lab = Lab::new();
    lab.create_network(network("red"));
    lab.run("web", "red");
    lab.manager.stop("web", Duration::ZERO, lab.now).expect("stopped");
    lab.manager.remove_network("red", lab.now).expect("removed");
    assert_eq!(lab.restart(), Vec::<String>::new());
    assert_eq!(names(&lab), ["bridge"]);
}

#[test]
fn a_network_of_the_same_name_is_not_made_a_second_time() {
    let mut lab = Lab::new();
    lab.create_network(network("red"));
    let web = lab.run("web", "red").id;
    let old = lab.host().made(&web).note.clone();
    lab.disconnect("red", "web").expect("disconnected");
    lab.manager.remove_network("red", lab.now).expect("removed");
    lab.host().made(&web).note = old;
    lab.create_network(network("red"));
    lose(&lab, "container-");
    let warnings = lab.restart();
    assert!(!warnings.contains(&anew("red")), "{warnings:?}");
    assert_eq!(names(&lab), ["bridge", "red"]);
}
