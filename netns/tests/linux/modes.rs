//! What is seen from inside, mode by mode.

use std::net::Ipv4Addr;

use netns::manager::RunRequest;

use crate::world::{World, interfaces_in, names, process, request, show_interfaces, start, traces};

crate::trials![
    bridge_gives_lo_and_eth0_with_the_lease,
    without_offload_eth0_is_the_same,
    a_lease_of_the_users_choice_is_taken,
    none_gives_lo_only,
    host_sees_the_hosts_interfaces,
    a_joiner_sees_the_same_and_keeps_lo_when_the_first_ends,
    a_joiner_is_refused_by_a_container_that_has_ended,
    sysfs_agrees_with_the_kernel,
    what_is_mounted_below_sysfs_is_still_there,
    the_host_name_is_the_id_or_the_users,
    the_gateway_bears_the_bridges_name,
    a_second_instance_gets_the_next_bridge_and_subnet,
    the_hash_of_each_switch_starts_from_chance,
];

fn show(world: &mut World, network: &str) -> Vec<netns::interface::InterfaceInfo> {
    let [exe, role] = show_interfaces();
    let (status, output) = world.run_to_end(network, &[&exe, &role]);
    assert_eq!(status, 0, "{output}");
    interfaces_in(&output)
}

fn bridge_gives_lo_and_eth0_with_the_lease() {
    let mut world = World::new();
    let seen = show(&mut world, "bridge");
    assert_eq!(names(&seen), ["lo", "eth0"]);
    let [lo, eth0] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!((lo.up, lo.mtu, lo.ipv6_count), (true, 65536, 0));
    assert_eq!(lo.ipv4, ["127.0.0.1/8".parse().expect("an address")]);
    assert_eq!((eth0.up, eth0.mtu, eth0.ipv6_count), (true, 1500, 0));
    assert_eq!(eth0.ipv4, ["172.17.0.2/16".parse().expect("an address")]);
    assert_eq!(eth0.mac.to_string(), "02:42:ac:11:00:02");
    let (_, routes) = world.run_to_end("bridge", &["cat", "/proc/net/route"]);
    // Little-endian hexadecimal: destination 0.0.0.0, gateway 172.17.0.1.
    assert!(routes.contains("eth0\t00000000\t010011AC\t"), "{routes}");
    let (_, tries) = world.run_to_end("bridge", &["cat", "/proc/net/fib_trie"]);
    assert!(tries.contains("172.17.255.255"), "{tries}");
    let (_, disabled) = world.run_to_end("bridge", &["cat", "/proc/sys/net/ipv6/conf/default/disable_ipv6"]);
    assert_eq!(disabled, "1\n");
}

fn without_offload_eth0_is_the_same() {
    let mut world = World::new();
    let [exe, role] = show_interfaces();
    let request = RunRequest { offload: false, ..request("bridge") };
    let running = world.try_run(request, process(&[&exe, &role])).expect("it runs");
    let (_, output) = {
        let mut running = running;
        assert_eq!(running.session.wait(), netns::linux::Outcome::Started);
        world.finish(running)
    };
    assert_eq!(names(&interfaces_in(&output)), ["lo", "eth0"]);
}

fn a_lease_of_the_users_choice_is_taken() {
    let mut world = World::new();
    let [exe, role] = show_interfaces();
    let request = RunRequest {
        ip: Some(Ipv4Addr::new(172, 17, 3, 4)),
        mac: Some("02:00:00:00:00:07".parse().expect("a MAC")),
        mtu: Some(9000),
        ..request("bridge")
    };
    let mut running = world.try_run(request, process(&[&exe, &role])).expect("it runs");
    assert_eq!(running.session.wait(), netns::linux::Outcome::Started);
    let (_, output) = world.finish(running);
    let eth0 = &interfaces_in(&output)[1];
    assert_eq!(eth0.ipv4, ["172.17.3.4/16".parse().expect("an address")]);
    assert_eq!((eth0.mac.to_string().as_str(), eth0.mtu), ("02:00:00:00:00:07", 9000));
}

fn none_gives_lo_only() {
    let seen = show(&mut World::new(), "none");
    assert_eq!(names(&seen), ["lo"]);
    assert!(seen[0].up);
    assert_eq!(seen[0].ipv6_count, 0);
}

fn host_sees_the_hosts_interfaces() {
    let mut world = World::new();
    let seen = show(&mut world, "host");
    assert_eq!(names(&seen), ["lo", "pontoon0"]);
    let own = netns::linux::interfaces().expect("the kernel answers");
    assert_eq!(names(&own), names(&seen));
    assert_eq!(own[1].ipv4, seen[1].ipv4);
    // A PID namespace and a proc of its own all the same.
    let (_, pid) = world.run_to_end("host", &["sh", "-c", "echo $$; ls /proc | grep -c '^[0-9]'"]);
    assert!(pid.starts_with("2\n"), "{pid}");
}

fn a_joiner_sees_the_same_and_keeps_lo_when_the_first_ends() {
    let mut world = World::new();
    let first = world.run_detached("bridge", &["sleep", "1000"]);
    let [exe, role] = show_interfaces();
    let seen = show(&mut world, &format!("container:{}", first.short()));
    assert_eq!(names(&seen), ["lo", "eth0"]);
    let script = format!("read line; exec {exe} {role}");
    let (stdin, go) = std::io::pipe().expect("a pipe");
    let (mut output, stdout) = std::io::pipe().expect("a pipe");
    let (mut session, attach) = netns::linux::Session::pair().expect("a pair");
    let streams = netns::linux::Streams::Caller {
        stdin: stdin.into(),
        stderr: stdout.try_clone().expect("a dup").into(),
        stdout: stdout.into(),
        attach,
    };
    let command = netns::linux::Command { process: process(&["sh", "-c", &script]), streams };
    let joiner = request(&format!("container:{}", first.short()));
    start(world.manager(), joiner, command).expect("it joins");
    assert_eq!(session.wait(), netns::linux::Outcome::Started);
    world.remove(&first);
    std::io::Write::write_all(&mut { go }, b"go\n").expect("written");
    let mut text = String::new();
    std::io::Read::read_to_string(&mut output, &mut text).expect("read");
    assert_eq!(names(&interfaces_in(&text)), ["lo"]);
    assert_eq!(world.wait_for_end().status, 0);
}

fn a_joiner_is_refused_by_a_container_that_has_ended() {
    let mut world = World::new();
    let first = world.run_detached("none", &["true"]);
    world.wait_for_end();
    let joiner = request(&format!("container:{}", first.short()));
    let refused = world.try_run(joiner, process(&["true"])).err().expect("refused").to_string();
    assert!(refused.contains("is not running"), "{refused}");
}

fn sysfs_agrees_with_the_kernel() {
    let mut world = World::new();
    for (network, expected) in [("bridge", "eth0\nlo\n"), ("none", "lo\n"), ("host", "lo\npontoon0\n")] {
        let (_, listed) = world.run_to_end(network, &["ls", "/sys/class/net"]);
        assert_eq!(listed, expected, "{network}");
    }
    let first = world.run_detached("bridge", &["sleep", "1000"]);
    let (_, listed) = world.run_to_end(&format!("container:{}", first.short()), &["ls", "/sys/class/net"]);
    assert_eq!(listed, "eth0\nlo\n");
}

fn what_is_mounted_below_sysfs_is_still_there() {
    let mut world = World::new();
    let list =
        ["sh", "-c", "cut -d' ' -f5 /proc/self/mountinfo | grep ^/sys/ | sort -u; ls /sys/fs/cgroup | head -n 1"];
    let (_, inside) = world.run_to_end("none", &list);
    let (_, outside) = world.run_to_end("host", &list);
    assert_eq!(inside, outside);
}

fn the_host_name_is_the_id_or_the_users() {
    let mut world = World::new();
    let running = world.run("none", &["cat", "/proc/sys/kernel/hostname"]);
    let id = running.id.short().to_owned();
    assert_eq!(world.finish(running), (0, format!("{id}\n")));
    let request = RunRequest { hostname: Some("web-1".to_owned()), ..request("bridge") };
    let mut running = world.try_run(request, process(&["cat", "/proc/sys/kernel/hostname"])).expect("it runs");
    assert_eq!(running.session.wait(), netns::linux::Outcome::Started);
    assert_eq!(world.finish(running), (0, "web-1\n".to_owned()));
    let own = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("a host name");
    assert_eq!(world.run_to_end("host", &["cat", "/proc/sys/kernel/hostname"]), (0, own));
}

fn the_gateway_bears_the_bridges_name() {
    let mut world = World::new();
    let own = netns::linux::interfaces().expect("the kernel answers");
    assert_eq!(names(&own), ["lo", "pontoon0"]);
    let gateway = &own[1];
    assert_eq!((gateway.up, gateway.mtu, gateway.ipv6_count), (true, 1500, 0));
    assert_eq!(gateway.ipv4, ["172.17.0.1/16".parse().expect("an address")]);
    assert_eq!(gateway.mac, world.manager().bridge_networks()[0].mac);
    world.kill_daemon();
    assert_eq!(traces().1.into_iter().collect::<Vec<_>>(), ["lo"]);
}

fn a_second_instance_gets_the_next_bridge_and_subnet() {
    let mut first = World::new();
    let paths = first.paths();
    let paths = netns::linux::Paths { runtime: paths.runtime.join("second"), state: paths.state.join("second") };
    let backend = netns::linux::Linux::new(paths, "/proc/self/exe".into()).expect("a backend");
    let now = netns::manager::Now { instant: switch::time::Instant::ZERO, unix: 0 };
    let settings = netns::manager::Settings { seed: 8, bip: None, defers_forwarding: false };
    let (second, _) = netns::manager::Manager::open(backend, &settings, now).expect("a manager");
    assert_eq!(first.manager().bridge_networks()[0].bridge, "pontoon0");
    assert_eq!(second.bridge_networks()[0].bridge, "pontoon1");
    assert_eq!(second.bridge_networks()[0].subnet.to_string(), "172.18.0.0/16");
}

/// Nobody outside can know which stations collide.
fn the_hash_of_each_switch_starts_from_chance() {
    let mut world = World::new();
    world.create_network("web");
    let mut seeds = world.hash_seeds();
    world.kill_daemon();
    world.start_daemon_with(8);
    seeds.extend(world.hash_seeds());
    let different: std::collections::BTreeSet<&u64> = seeds.iter().collect();
    assert_eq!((seeds.len(), different.len()), (4, 4), "{seeds:?}");
}
