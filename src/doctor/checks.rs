//! What the facts mean.

use std::net::IpAddr;

use netns::linux::firewall::{Foreign, ForeignDrop};
use netns::linux::privilege::Feature;

use super::facts::{Facts, Forwarding, Kernel, Nft, Tap, Tun};
use super::{Finding, Status, cni, engine, passage};

/// The kernel that everything was written for: earlier ones lack calls that there is no way around.
const OLDEST_KERNEL: (u32, u32) = (5, 13);
/// From which on TAPs take super-frames of UDP.
const UDP_OFFLOAD: (u32, u32) = (6, 2);
/// How many servers a resolver asks; further ones in `/etc/resolv.conf` are ignored.
const SERVERS: usize = 3;

/// A finding for each check, in the order of what a container takes first.
pub fn decide(facts: &Facts) -> Vec<Finding> {
    let mut findings = vec![tun(&facts.tun), tap(&facts.tap)];
    findings.extend(Feature::ALL.map(|feature| capability(feature, facts.held.contains(&feature))));
    findings.push(namespaces(&facts.namespaces));
    findings.push(user_namespaces(&facts.user_namespace));
    findings.push(nft(&facts.nft, facts.held.contains(&Feature::Interfaces)));
    findings.extend(foreign(&facts.foreign));
    findings.push(forwarding(&facts.forwarding));
    findings.push(name_resolution(&facts.resolv_conf));
    findings.extend(kernel(&facts.kernel));
    findings.extend(engine::decide(&facts.engine));
    findings.extend(passage::decide(&facts.passage));
    findings.extend(cni::decide(&facts.cni));
    findings
}

pub(super) fn ok(check: &str, finding: impl Into<String>) -> Finding {
    Finding { check: check.to_owned(), status: Status::Ok, finding: finding.into(), hint: None }
}

pub(super) fn warn(check: &str, finding: impl Into<String>, hint: &str) -> Finding {
    Finding { status: Status::Warn, hint: Some(hint.to_owned()), ..ok(check, finding) }
}

fn fail(check: &str, finding: impl Into<String>, hint: &str) -> Finding {
    Finding { status: Status::Fail, ..warn(check, finding, hint) }
}

fn tun(tun: &Tun) -> Finding {
    let check = "/dev/net/tun";
    match tun {
        Tun::Absent => {
            fail(check, "it is not there", "`modprobe tun`; inside of a container, it must be passed in as a device")
        }
        Tun::NoDevice => fail(check, "it is no device", "delete it, then `mknod /dev/net/tun c 10 200`"),
        Tun::Denied => {
            fail(check, "it may not be opened", "only root may, unless the device has another owner, group or mode")
        }
        Tun::Broken(why) => fail(check, format!("it can not be opened: {why}"), "`modprobe tun`"),
        Tun::Opens => ok(check, "it is there and can be opened"),
    }
}

fn tap(tap: &Tap) -> Finding {
    let check = "TAP";
    match tap {
        Tap::NotTried => warn(check, "not tried: there is no namespace to try it in", "ask again as root"),
        Tap::Fails(why) => fail(check, why, "it takes /dev/net/tun and CAP_NET_ADMIN"),
        Tap::Works { offload: true } => ok(check, "one can be made, with the header for segmentation offload"),
        Tap::Works { offload: false } => warn(
            check,
            "one can be made, but without segmentation offload",
            "bulk transfers are slow; a newer kernel helps",
        ),
    }
}

fn capability(feature: Feature, is_held: bool) -> Finding {
    let purpose = feature.purpose();
    match (is_held, feature.is_essential()) {
        (true, _) => ok(feature.capability(), format!("held, for {purpose}")),
        (false, true) => fail(feature.capability(), format!("missing; it is for {purpose}"), feature.hint()),
        (false, false) => warn(feature.capability(), format!("missing; it is for {purpose}"), feature.hint()),
    }
}

fn namespaces(tried: &[(&str, Result<(), String>)]) -> Finding {
    let check = "namespaces";
    let kinds = |mut kinds: Vec<&str>| {
        let last = kinds.pop().unwrap_or_default();
        if kinds.is_empty() { last.to_owned() } else { format!("{} and {last}", kinds.join(", ")) }
    };
    let failed: Vec<String> = tried
        .iter()
        .filter_map(|(kind, made)| Some(format!("a {kind} namespace can not be made: {}", made.as_ref().err()?)))
        .collect();
    if failed.is_empty() {
        let all = kinds(tried.iter().map(|(kind, _)| *kind).collect());
        return ok(check, format!("{all} namespaces can be made"));
    }
    fail(
        check,
        failed.join("; "),
        "root can (CAP_SYS_ADMIN), unless a limit in /proc/sys/user or a seccomp filter forbids it",
    )
}

fn user_namespaces(made: &Result<(), String>) -> Finding {
    let check = "user namespaces";
    match made {
        Ok(()) => ok(check, "they can be made"),
        Err(why) => warn(
            check,
            format!("they can not be made: {why}"),
            "nothing of Pontoon takes them for root; see user.max_user_namespaces and what else the distribution forbids",
        ),
    }
}

fn nft(nft: &Nft, may_try: bool) -> Finding {
    let check = "nft";
    let remedy = "install nftables: without it, containers do not get out of the host";
    match nft {
        Nft::NotFound => fail(check, "there is no such program", remedy),
        Nft::Broken(why) => fail(check, format!("it does not run: {why}"), remedy),
        Nft::NotTried { version } => {
            warn(check, format!("{version}; not tried: there is no namespace to try it in"), "ask again as root")
        }
        Nft::Fails { version, why } if !may_try => {
            warn(check, format!("{version}; not tried: {why}"), "it takes CAP_NET_ADMIN: ask again as root")
        }
        Nft::Fails { version, why } => fail(
            check,
            format!("{version}, but it can not masquerade: {why}"),
            "the kernel needs nf_tables, nft_masq and nf_nat; containers do not get out of the host without them",
        ),
        Nft::Works { version } => ok(check, format!("{version}; it can masquerade")),
    }
}

/// One for each chain of somebody else that lets nothing of ours pass.
fn foreign(found: &Result<Foreign, String>) -> Vec<Finding> {
    let check = "firewall";
    let Foreign { drops, unread } = match found {
        Ok(found) => found,
        Err(why) => return vec![warn(check, why, "ask again as root, with nftables installed")],
    };
    let dropped = drops.iter().map(|ForeignDrop { table, chain, remedy }| {
        let finding = format!("table {table}, chain {chain} drops what containers send out of the host");
        warn(check, finding, &format!("to let it pass: {remedy}"))
    });
    let unread = unread.iter().map(|why| warn(check, why, "whether it drops what containers send is not known"));
    let findings: Vec<Finding> = dropped.chain(unread).collect();
    if findings.is_empty() {
        vec![ok(check, "nobody's rules drop what containers send out of the host")]
    } else {
        findings
    }
}

fn forwarding(forwarding: &Forwarding) -> Finding {
    let check = "net.ipv4.ip_forward";
    match (&forwarding.is_on, forwarding.is_writable) {
        (Ok(true), _) if forwarding.for_us => ok(
            check,
            "1: Pontoon has switched it on, and lets nothing be forwarded but its own networks; whoever else is to forward sets \
             it to 1 before the first `pontoon`",
        ),
        (Ok(true), _) => ok(check, "1: it is left alone"),
        (Ok(false), _) if forwarding.for_us => warn(
            check,
            "0, although Pontoon has switched it on: somebody has switched it off, and containers have no way out",
            "the next `pontoon run` on a bridge network switches it on again",
        ),
        (Ok(false), true) => ok(check, "0: it is set to 1 as long as a network needs a way out, and then to 0 again"),
        (Ok(false), false) => warn(
            check,
            "0, and /proc/sys is read-only",
            "containers reach the host but nothing behind it: set it to 1, or mount /proc/sys writable",
        ),
        (Err(why), _) => warn(check, format!("it can not be read: {why}"), "is /proc mounted?"),
    }
}

fn name_resolution(resolv_conf: &Result<String, String>) -> Finding {
    let check = "name resolution";
    let by_hand = "`--dns ADDRESS` gives a container a server";
    let text = match resolv_conf {
        Ok(text) => text,
        Err(why) => return warn(check, format!("/etc/resolv.conf can not be read: {why}"), by_hand),
    };
    let servers = servers(text);
    let listed: Vec<String> = servers.iter().map(ToString::to_string).collect();
    let listed = listed.join(", ");
    if servers.is_empty() {
        warn(check, "/etc/resolv.conf names no server", by_hand)
    } else if servers.iter().all(IpAddr::is_loopback) {
        warn(
            check,
            format!("the host's only server is its own: {listed}"),
            "in a container that is another place: the responder of a user-defined network asks it for the container; \
             elsewhere give --dns ADDRESS",
        )
    } else {
        ok(check, format!("the host asks {listed}"))
    }
}

/// The servers of a `resolv.conf`(5) that count.
fn servers(text: &str) -> Vec<IpAddr> {
    let server = |line: &str| {
        let mut words = line.split_whitespace();
        let address = words.next().filter(|first| *first == "nameserver").and_then(|_| words.next())?;
        // An IPv6 address may name its interface.
        address.split('%').next()?.parse().ok()
    };
    text.lines().filter_map(server).take(SERVERS).collect()
}

fn kernel(kernel: &Kernel) -> Vec<Finding> {
    let mut findings = Vec::new();
    let version = match &kernel.release {
        Ok(release) => version(release).ok_or_else(|| release.clone()),
        Err(why) => Err(why.clone()),
    };
    let check = "kernel";
    let (major, minor) = OLDEST_KERNEL;
    let release = kernel.release.as_deref().unwrap_or_default();
    findings.push(match &version {
        Ok(known) if *known >= OLDEST_KERNEL => ok(check, release),
        Ok(_) => fail(check, format!("{release} is too old"), &format!("Pontoon takes Linux {major}.{minor} or later")),
        Err(why) => warn(check, format!("its version is not known: {why}"), &format!("it takes {major}.{minor}")),
    });
    findings.push(match &kernel.pidfd {
        Ok(()) => ok("pidfd", "it works"),
        Err(why) => fail("pidfd", format!("it does not work: {why}"), "a seccomp filter may forbid pidfd_open"),
    });
    if let Ok(known) = version {
        findings.push(if known >= UDP_OFFLOAD {
            ok("UDP offload", "this kernel's TAPs take super-frames of UDP")
        } else {
            let (major, minor) = UDP_OFFLOAD;
            let hint = format!("bulk UDP is slower; Linux {major}.{minor} has it");
            warn("UDP offload", "this kernel's TAPs take none of UDP", &hint)
        });
    }
    findings.push(ok(
        "io_uring",
        match &kernel.io_uring {
            Ok(()) => "frames are moved by it".to_owned(),
            // Common, and no reason to worry.
            Err(why) => format!("it can not be used here ({why}): frames are moved with epoll"),
        },
    ));
    findings
}

/// The first two numbers of a release such as `6.18.44-rc1`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|each: char| !each.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn healthy() -> Facts {
        Facts {
            tun: Tun::Opens,
            tap: Tap::Works { offload: true },
            held: Feature::ALL.to_vec(),
            namespaces: vec![("network", Ok(())), ("mount", Ok(())), ("PID", Ok(()))],
            user_namespace: Ok(()),
            nft: Nft::Works { version: "nftables v1.0.6".into() },
            foreign: Ok(Foreign::default()),
            forwarding: Forwarding { is_on: Ok(false), for_us: false, is_writable: true },
            resolv_conf: Ok("nameserver 192.0.2.1\n".into()),
            kernel: Kernel { release: Ok("6.18.44".into()), pidfd: Ok(()), io_uring: Ok(()) },
            engine: engine::Engine {
                socket: "/run/docker/plugins/pontoon.sock".into(),
                dockerd: None,
                plugin: engine::Plugin::Absent,
                others: Vec::new(),
            },
            passage: passage::Passage::NotNeeded,
            cni: cni::Cni::default(),
        }
    }

    /// What is not as it should be with a machine that was healthy.
    fn ill(change: impl FnOnce(&mut Facts)) -> Vec<(String, Status, String)> {
        let mut facts = healthy();
        change(&mut facts);
        let findings = decide(&facts);
        assert!(findings.iter().all(|each| each.hint.is_some() == (each.status != Status::Ok)), "{findings:?}");
        let ill = findings.into_iter().filter(|finding| finding.status != Status::Ok);
        ill.map(|finding| (finding.check, finding.status, finding.finding)).collect()
    }

    fn one(check: &str, status: Status, finding: &str) -> Vec<(String, Status, String)> {
        vec![(check.to_owned(), status, finding.to_owned())]
    }

    #[test]
    fn a_healthy_machine_has_nothing() {
        assert_eq!(ill(|_| {}), []);
        let findings = decide(&healthy());
        let texts: Vec<String> =
            findings.iter().map(|finding| format!("{}: {}", finding.check, finding.finding)).collect();
        assert!(texts.contains(&"namespaces: network, mount and PID namespaces can be made".to_owned()), "{texts:?}");
        assert!(texts.contains(&"CAP_NET_RAW: held, for networks with -o endpoint=veth".to_owned()), "{texts:?}");
    }

    #[test]
    fn without_the_device_nothing_runs() {
        for (tun, finding) in [
            (Tun::Absent, "it is not there"),
            (Tun::NoDevice, "it is no device"),
            (Tun::Denied, "it may not be opened"),
            (Tun::Broken("No such device".into()), "it can not be opened: No such device"),
        ] {
            assert_eq!(ill(|facts| facts.tun = tun), one("/dev/net/tun", Status::Fail, finding));
        }
        let slow = "one can be made, but without segmentation offload";
        assert_eq!(ill(|facts| facts.tap = Tap::Works { offload: false }), one("TAP", Status::Warn, slow));
        assert_eq!(ill(|facts| facts.tap = Tap::Fails("no".into())), one("TAP", Status::Fail, "no"));
    }

    #[test]
    fn a_capability_fails_or_warns_by_what_it_is_for() {
        for feature in Feature::ALL {
            let status = match feature {
                Feature::Interfaces | Feature::Namespaces => Status::Fail,
                Feature::LowPorts | Feature::PacketSockets | Feature::Signals | Feature::EnterMounts => Status::Warn,
            };
            let finding = format!("missing; it is for {}", feature.purpose());
            let found = ill(|facts| facts.held.retain(|held| *held != feature));
            assert_eq!(found, one(feature.capability(), status, &finding));
        }
    }

    #[test]
    fn every_namespace_that_can_not_be_made_is_told() {
        let found = ill(|facts| {
            facts.namespaces[0].1 = Err("No space left on device".into());
            facts.namespaces[2].1 = Err("Operation not permitted".into());
        });
        let finding = "a network namespace can not be made: No space left on device; a PID namespace can not be made: \
                       Operation not permitted";
        assert_eq!(found, one("namespaces", Status::Fail, finding));
        let found = ill(|facts| facts.user_namespace = Err("no".into()));
        assert_eq!(found, one("user namespaces", Status::Warn, "they can not be made: no"));
    }

    #[test]
    fn without_nft_there_is_no_way_out() {
        let version = || "nftables v1".to_owned();
        for (nft, status, finding) in [
            (Nft::NotFound, Status::Fail, "there is no such program"),
            (Nft::Broken("it hangs".into()), Status::Fail, "it does not run: it hangs"),
            (
                Nft::Fails { version: version(), why: "no".into() },
                Status::Fail,
                "nftables v1, but it can not masquerade: no",
            ),
            (
                Nft::NotTried { version: version() },
                Status::Warn,
                "nftables v1; not tried: there is no namespace to try it in",
            ),
        ] {
            assert_eq!(ill(|facts| facts.nft = nft), one("nft", status, finding));
        }
    }

    #[test]
    fn rules_of_others_that_drop_are_told_with_a_remedy() {
        let drop = ForeignDrop {
            table: "ip filter".into(),
            chain: "FORWARD".into(),
            remedy: "iptables -I DOCKER-USER".into(),
        };
        let mut facts = healthy();
        facts.foreign = Ok(Foreign { drops: vec![drop], unread: vec!["iptables-legacy-save: no".into()] });
        let found = decide(&facts).into_iter().filter(|each| each.check == "firewall");
        let found: Vec<_> = found.map(|each| (each.status, each.finding, each.hint.unwrap_or_default())).collect();
        let dropped = "table ip filter, chain FORWARD drops what containers send out of the host";
        let remedy = "to let it pass: iptables -I DOCKER-USER";
        let unread = "whether it drops what containers send is not known";
        assert_eq!(
            found,
            [
                (Status::Warn, dropped.to_owned(), remedy.to_owned()),
                (Status::Warn, "iptables-legacy-save: no".to_owned(), unread.to_owned()),
            ]
        );
        let found = ill(|facts| facts.foreign = Err("not looked at".into()));
        assert_eq!(found, one("firewall", Status::Warn, "not looked at"));
    }

    #[test]
    fn forwarding_is_a_worry_only_if_it_can_not_be_had() {
        assert_eq!(
            ill(|facts| facts.forwarding = Forwarding { is_on: Ok(true), for_us: false, is_writable: false }),
            []
        );
        let found = ill(|facts| facts.forwarding.is_writable = false);
        assert_eq!(found, one("net.ipv4.ip_forward", Status::Warn, "0, and /proc/sys is read-only"));
        assert_eq!(ill(|facts| (facts.forwarding.is_on, facts.forwarding.for_us) = (Ok(true), true)), []);
        let found = ill(|facts| facts.forwarding.for_us = true);
        let told =
            "0, although Pontoon has switched it on: somebody has switched it off, and containers have no way out";
        assert_eq!(found, one("net.ipv4.ip_forward", Status::Warn, told));
    }

    #[test]
    fn a_server_on_the_loopback_is_another_in_a_container() {
        let resolv = |text: &str| ill(|facts| facts.resolv_conf = Ok(text.to_owned()));
        assert_eq!(resolv("nameserver 127.0.0.53\nnameserver 192.0.2.1\n"), []);
        assert_eq!(resolv("nameserver fe80::1%eth0\n"), []);
        let own = "the host's only server is its own: 127.0.0.53, ::1";
        let own = one("name resolution", Status::Warn, own);
        assert_eq!(resolv("# x\nnameserver 127.0.0.53\n nameserver ::1\noptions edns0\n"), own);
        let none = one("name resolution", Status::Warn, "/etc/resolv.conf names no server");
        for text in ["", "search example\n", "nameserver\n", "nameserver x\n", "#nameserver 192.0.2.1\n"] {
            assert_eq!(resolv(text), none, "{text}");
        }
    }

    #[test]
    fn kernels_are_told_by_their_version() {
        let of = |release: &str| ill(|facts| facts.kernel.release = Ok(release.to_owned()));
        let without = ("UDP offload".to_owned(), Status::Warn, "this kernel's TAPs take none of UDP".to_owned());
        assert_eq!(of("6.2.0-generic"), []);
        assert_eq!(of("5.13"), std::slice::from_ref(&without));
        assert_eq!(of("5.4.0"), [("kernel".to_owned(), Status::Fail, "5.4.0 is too old".to_owned()), without]);
        assert_eq!(of("odd"), one("kernel", Status::Warn, "its version is not known: odd"));
        assert_eq!(ill(|facts| facts.kernel.io_uring = Err("Operation not permitted".into())), []);
    }
}
