//! Veth pairs on a real kernel. Each test lives in scratch namespaces of its own.

use std::io::{self, Write as _};
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use nix::sched::{CloneFlags, unshare};
use rustix::event::{PollFd, PollFlags, Timespec};
use switch::buffer::{Buffer, Pool};
use switch::link::port::PortLink;
use switch::link::{Link as _, Received, Transmit};
use switch::vlan::Retag;
use switch::vnet::VnetHeader;

use super::*;
use crate::interface::InterfaceInfo;
use crate::linux::{ethtool, scratch, survey};

#[test]
fn the_name_of_the_host_end_follows_from_id_and_number() {
    let id = |text: &str| Id::try_from(format!("{text:0<64}")).unwrap();
    assert_eq!(host_end(&id("0123456789ab"), 0), "veth0123456");
    assert_eq!(host_end(&id("0123456789ab"), 1), "veth0123457");
    assert_eq!(host_end(&id("fffffff"), 0), "vethfffffff");
    assert_eq!(host_end(&id("fffffff"), 2), "veth0000001");
    assert_eq!(host_end(&id(""), u32::MAX), "vethfffffff");
}

#[test]
fn a_pair_has_a_quiet_end_on_the_host_and_one_with_its_final_name_inside() {
    on_a_host(|| {
        let shim = Shim::start();
        make_veth("veth0123456", "eth0", shim.pid, 9_000).unwrap();
        let outside = interface("veth0123456");
        assert_eq!((outside.up, outside.mtu, outside.ipv4.len(), outside.ipv6_count), (true, 9_000, 0, 0));
        let show = Command::new("ip").args(["link", "show", "veth0123456"]).output().unwrap();
        assert!(String::from_utf8(show.stdout).unwrap().contains("NOARP"));
        let inside = shim.run(|| interface("eth0"));
        assert_eq!((inside.up, inside.mtu, inside.ipv4.len()), (false, 9_000, 0));
        assert!(PortLink::packet("veth0123456").unwrap().offload());

        remove_veth("veth0123456").unwrap();
        assert_eq!((index_of("veth0123456"), shim.run(|| index_of("eth0"))), (None, None));
        remove_veth("veth0123456").unwrap();
    });
}

#[test]
fn a_pair_goes_with_the_namespace_of_its_inner_end() {
    on_a_host(|| {
        let shim = Shim::start();
        make_veth("veth0123456", "eth0", shim.pid, 1_500).unwrap();
        let mut link = PortLink::packet("veth0123456").unwrap();
        drop(shim);
        // Told when it is set down, and then looked after until it is gone.
        let mut ended = || {
            wait_for(&link);
            link.receive(&mut Pool::new(1), &mut Vec::new(), 8) == Received::Down
        };
        assert!((0..100).any(|_| ended()));
        assert_eq!(index_of("veth0123456"), None);
    });
}

#[test]
fn a_pair_that_can_not_be_made_leaves_nothing() {
    on_a_host(|| {
        let shim = Shim::start();
        make_veth("veth0123456", "eth0", shim.pid, 1_500).unwrap();
        for (host_end, inside, because) in [("veth0123456", "eth1", "exists"), ("veth0123457", "eth0", "exists")] {
            let failure = format!("{:?}", make_veth(host_end, inside, shim.pid, 1_500).unwrap_err());
            assert!(failure.contains(host_end) && failure.contains(inside) && failure.contains(because), "{failure}");
        }
        let failure = format!("{:?}", make_veth("veth0123458", "eth2", u32::MAX, 1_500).unwrap_err());
        assert!(failure.contains("No such process"), "{failure}");
        let mut names: Vec<String> = survey::interfaces().unwrap().into_iter().map(|it| it.name).collect();
        names.sort();
        assert_eq!(names, ["lo", "veth0123456"]);
        assert_eq!(shim.run(|| survey::interfaces().unwrap().len()), 2);
    });
}

#[test]
fn the_inner_end_leaves_only_unfinished_what_an_offload_header_can_say() {
    on_a_host(|| {
        let shim = Shim::start();
        make_veth("veth0123456", "eth0", shim.pid, 1_500).unwrap();
        shim.run(|| ethtool::offload_only_what_can_be_said("eth0").unwrap());
        let understood =
            ["tx-tcp-segmentation", "tx-tcp6-segmentation", "tx-udp-segmentation", "tx-checksum-ip-generic"];
        assert_eq!(shim.run(move || ethtool::tests::are_on("eth0", understood)), [true; 4]);
        let unspeakable = ["tx-udp_tnl-segmentation", "tx-gre-segmentation", "tx-checksum-sctp", "tx-gso-list"];
        assert_eq!(shim.run(move || ethtool::tests::are_on("eth0", unspeakable)), [false; 4]);
        assert_eq!(ethtool::tests::are_on("veth0123456", unspeakable), [true; 4], "it would have been");
    });
}

#[test]
fn the_host_does_not_answer_arp_on_its_end_and_the_switch_sees_the_question() {
    on_a_host(|| {
        let shim = Shim::start();
        make_veth("veth0123456", "eth0", shim.pid, 1_500).unwrap();
        ip("address add 10.77.0.1/24 dev lo");
        for interface in ["all", "veth0123456"] {
            std::fs::write(format!("/proc/sys/net/ipv4/conf/{interface}/rp_filter"), "0").unwrap();
        }
        let mut near = PortLink::packet("veth0123456").unwrap();
        let mut far = shim.run(|| {
            ip("link set eth0 addrgenmode none up");
            PortLink::packet("eth0").unwrap()
        });
        let mut question = vec![0xff; 6];
        question.extend([2, 0, 0, 0, 0, 2, 0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 2, 10, 77, 0, 2]);
        question.extend([0, 0, 0, 0, 0, 0, 10, 77, 0, 1]);
        let answers = |near: &mut PortLink, far: &mut PortLink, awaited: usize| {
            assert_eq!(far.transmit(&buffer(&question), Retag::Keep), Transmit::Sent);
            assert_eq!(next(near).frame(), question);
            let mut last = question.clone();
            last[12..14].copy_from_slice(&[0x88, 0xb5]);
            let mut count = 0;
            if awaited > 0 {
                count += usize::from(next(far).frame()[12..14] == [0x08, 0x06]);
            }
            assert_eq!(near.transmit(&buffer(&last), Retag::Keep), Transmit::Sent);
            loop {
                match next(far) {
                    frame if frame.frame() == last => return count,
                    frame => count += usize::from(frame.frame()[12..14] == [0x08, 0x06]),
                }
            }
        };
        assert_eq!(answers(&mut near, &mut far, 0), 0);
        // As it would be otherwise.
        ip("link set veth0123456 arp on");
        assert_eq!(answers(&mut near, &mut far, 1), 1);
    });
}

fn buffer(frame: &[u8]) -> Arc<Buffer> {
    Arc::new(Buffer::holding(frame, VnetHeader::default()))
}

fn next(link: &mut PortLink) -> Arc<Buffer> {
    let mut frames = Vec::new();
    wait_for(link);
    link.receive(&mut Pool::new(1), &mut frames, 1);
    frames.pop().expect("a frame")
}

fn wait_for(link: &PortLink) {
    let patience = Timespec { tv_sec: 10, tv_nsec: 0 };
    let ready = rustix::event::poll(&mut [PollFd::new(link, PollFlags::IN)], Some(&patience)).unwrap();
    assert_eq!(ready, 1, "nothing came");
}

fn interface(name: &str) -> InterfaceInfo {
    survey::interfaces().unwrap().into_iter().find(|it| it.name == name).expect("it is there")
}

fn ip(arguments: &str) {
    assert!(Command::new("ip").args(arguments.split(' ')).status().unwrap().success(), "ip {arguments}");
}

type Job = Box<dyn FnOnce() + Send>;

/// A thread in a network namespace of its own, which stands for a shim. Dropped, it is gone, and its namespace with it.
struct Shim {
    pid: u32,
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Shim {
    fn start() -> Shim {
        let (jobs, to_do) = mpsc::channel::<Job>();
        let (told, pid) = mpsc::channel();
        let thread = thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            told.send(nix::unistd::gettid().as_raw().cast_unsigned()).unwrap();
            to_do.into_iter().for_each(|job| job());
        });
        Shim { pid: pid.recv().unwrap(), jobs: Some(jobs), thread: Some(thread) }
    }

    fn run<T: Send + 'static>(&self, code: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, result) = mpsc::channel();
        let job = Box::new(move || done.send(code()).unwrap());
        self.jobs.as_ref().unwrap().send(job).unwrap();
        result.recv().expect("it did not panic")
    }
}

impl Drop for Shim {
    fn drop(&mut self) {
        drop(self.jobs.take());
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Runs a test in a scratch namespace; says so where it can not, and fails where it must.
fn on_a_host(test: impl FnOnce() + Send + 'static) {
    match scratch::can_run() {
        Ok(()) => {}
        Err(why) if std::env::var("PONTOON_REQUIRE_LINUX").is_ok_and(|value| value == "1") => {
            panic!("PONTOON_REQUIRE_LINUX=1, but {why}")
        }
        // Past the test harness, which would keep it to itself.
        Err(why) => return writeln!(io::stderr(), "SKIPPED, a test that needs a kernel: {why}").unwrap(),
    }
    let ran = thread::spawn(|| {
        scratch::enter().unwrap();
        test();
    });
    if let Err(panic) = ran.join() {
        std::panic::resume_unwind(panic);
    }
}
