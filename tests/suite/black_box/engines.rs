//! What a user of Docker's or of a runtime of CNI's is told of his containers by our own commands.

use serde_json::{Value, json};

use super::cni::{Runtime, sandbox};
use super::docker::dockerd::{NET, Plugin, Sandbox, endpoint_id};
use super::{fails, looks_like, pontoon, prints, tests};
use crate::lab::linux::Linux;
use crate::lab::{Lab, Order, run, run_all};

tests![
    down_tells_whose_containers_it_takes_the_network_from,
    network_ls_tells_whose_a_network_is,
    a_network_in_use_tells_what_its_containers_engines_take,
    where_docker_can_not_be_served_is_told_before_anything_is_started,
    the_directory_in_which_dockerd_looks_is_made,
];

/// Two containers of Docker's and one of a runtime's.
fn guests(lab: &Linux) -> (Plugin, Runtime, [Sandbox; 2]) {
    let plugin = Plugin::up(lab);
    plugin.call("CreateNetwork", &super::docker::dockerd::network());
    let sandboxes = [1, 2].map(|number| {
        plugin.create_endpoint(number, &format!("10.77.0.1{number}/24"));
        let joined = plugin.join(number);
        let taken = Sandbox::new();
        let source = joined["InterfaceName"]["SrcName"].as_str().expect("a name");
        taken.take(source, "eth0", &format!("10.77.0.1{number}/24"), None);
        taken
    });
    // A reservation has no interface yet.
    plugin.create_endpoint(3, "10.77.0.13/24");
    let runtime = Runtime::new(lab);
    sandbox("pod");
    runtime.add("pod").ok();
    (plugin, runtime, sandboxes)
}

fn down_tells_whose_containers_it_takes_the_network_from() {
    let mut lab = Linux::new();
    let (_plugin, _runtime, sandboxes) = guests(&lab);
    run_all(&mut lab, &["own"]);
    let said = pontoon(&lab, &["down"]);
    let expected = format!(
        "pontoon: warning: 2 containers of docker have lost their network: {}, {}; `docker restart` gives it back to one \
         once `pontoon up --docker` serves again\n\
         pontoon: warning: 1 container of cni has lost its network: pod; it is for its runtime to start it again\n",
        &endpoint_id(1)[..12],
        &endpoint_id(2)[..12],
    );
    assert_eq!((said.status, said.stdout.as_str(), said.stderr.as_str()), (0, "", expected.as_str()));
    drop(sandboxes);
    // Who cuts nobody off but his own is told nothing, as before.
    lab.up();
    run(&mut lab, Order::new("own"));
    assert_eq!(prints(&lab, &["down"]), "");
    lab.assert_nothing_is_left();
}

fn network_ls_tells_whose_a_network_is() {
    let lab = Linux::new();
    let (_plugin, _runtime, _sandboxes) = guests(&lab);
    prints(&lab, &["network", "create", "back"]);
    let expected = "NETWORK ID     NAME           DRIVER   SCOPE   OWNER\n\
                    [SHORT]   bridge         bridge   local   pontoon\n\
                    [SHORT]   host           host     local   pontoon\n\
                    [SHORT]   none           null     local   pontoon\n\
                    [SHORT]   [SHORT]   bridge   local   docker\n\
                    [SHORT]   back           bridge   local   pontoon\n\
                    [SHORT]   web            bridge   local   cni\n";
    looks_like(&lab, &prints(&lab, &["network", "ls"]), expected);
    let listed: Value = lab.json(&["network", "ls"]);
    let owner = |name: &str| -> Value {
        let named = listed.as_array().expect("an array").iter().find(|network| network["name"] == name);
        named.expect("it is listed")["owner"].clone()
    };
    assert_eq!([owner(&NET[..12]), owner("web")], [json!("docker"), json!("cni")]);
    // As of `network inspect`: what nobody else has made has no owner.
    assert_eq!([owner("back"), owner("bridge")], [Value::Null, Value::Null]);
    let shown: Value = lab.json(&["network", "inspect", "web"]);
    assert_eq!(shown[0]["owner"], "cni");
}

fn a_network_in_use_tells_what_its_containers_engines_take() {
    let mut lab = Linux::new();
    let (_plugin, _runtime, _sandboxes) = guests(&lab);
    let (one, other) = (&endpoint_id(1)[..12], &endpoint_id(2)[..12]);
    let docker = &NET[..12];
    let used = format!(
        "pontoon: network {docker} is in use by {one} (docker), {other} (docker)\n\
         hint: `docker network disconnect {docker} CONTAINER` takes one off it, `docker rm -f CONTAINER` removes one\n"
    );
    let said = pontoon(&lab, &["network", "rm", "--force", docker]);
    assert_eq!((said.status, said.stderr), (1, used));
    let left = "hint: the runtime that has made one removes it, such as `podman rm -f CONTAINER`\n";
    fails(&lab, &["network", "rm", "web"], 1, &format!("pontoon: network web is in use by pod (cni)\n{left}"));
    run(&mut lab, Order::new("own").network("web"));
    let mixed = "pontoon: network web is in use by own, pod (cni)\n\
                 hint: `pontoon network disconnect web CONTAINER` takes one off it, `pontoon stop` ends one; of those of cni: the \
                 runtime that has made one removes it, such as `podman rm -f CONTAINER`\n";
    fails(&lab, &["network", "rm", "web"], 1, mixed);
    // So it is with their ports.
    let bridge = lab.inspect_network("web").expect("it is there").bridge.expect("a bridge");
    let port = format!("pontoon: port pod.eth0 is that of container pod\n{left}");
    fails(&lab, &["port", "del", &bridge, "pod.eth0"], 1, &port);
}

fn where_docker_can_not_be_served_is_told_before_anything_is_started() {
    let lab = Linux::new();
    let dir = lab.dir().display().to_string();
    let another = "--docker=PATH chooses another socket: the file's name is the driver's";
    let longest = format!("{dir}/{}", "x".repeat(107 - 1 - dir.len()));
    std::fs::write(lab.dir().join("file"), "").expect("write a file");
    std::os::unix::fs::symlink("nowhere", lab.dir().join("link")).expect("make a link");
    let absolute =
        "dockerd takes an absolute one, such as /run/docker/plugins/NAME.sock: the file's name is the driver's";
    let yours = "dockerd looks into /run/docker/plugins; a directory elsewhere is yours to make";
    for (path, status, why, hint) in [
        ("pontoon.sock".to_owned(), 2, "the path is relative".to_owned(), absolute),
        (format!("{longest}x"), 1, "the path is too long for a socket: 108 bytes, 107 at most".to_owned(), another),
        (format!("{dir}/no/such/p.sock"), 1, format!("there is no directory {dir}/no/such"), yours),
        (format!("{dir}/file/p.sock"), 1, format!("{dir}/file is no directory"), another),
        (dir.clone(), 1, "a directory is there".to_owned(), another),
        (format!("{dir}/file"), 1, "a file is there".to_owned(), another),
        (format!("{dir}/link"), 1, "a symbolic link is there".to_owned(), another),
    ] {
        let told = format!("pontoon: serve Docker at {path}: {why}\nhint: {hint}\n");
        for up in [&["up"][..], &["up", "--detach"]] {
            let said = pontoon(&lab, &[up, &[&format!("--docker={path}")]].concat());
            assert_eq!((said.status, said.stdout.as_str(), said.stderr.as_str()), (status, "", told.as_str()));
        }
    }
    assert!(!lab.runtime_dir().exists() && !lab.state_dir().exists());
    // One byte less will do.
    prints(&lab, &["up", "--detach", &format!("--docker={longest}")]);
}

/// Docker need not have been started before. (/run is the test's own.)
fn the_directory_in_which_dockerd_looks_is_made() {
    let mut lab = Linux::new();
    for own in ["--docker", "--docker=/run/docker/plugins/shop/shop.sock"] {
        prints(&lab, &["up", "--detach", own]);
        let path = own.split('=').nth(1).unwrap_or("/run/docker/plugins/pontoon.sock");
        assert!(prints(&lab, &["status"]).contains(&format!("docker:       {path}\n")));
        lab.down();
    }
}
