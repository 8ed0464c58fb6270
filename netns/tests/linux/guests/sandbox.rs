//! [`Sandbox`]: a network namespace of another engine's, by a file of its own, and what that engine does in it.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use netns::guest::{GuestView, Place, Route};
use netns::interface::InterfaceInfo;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};

use crate::world::PATIENCE;

/// Nothing runs in it: it lives by its file, and what is entered by it.
pub(super) struct Sandbox {
    file: PathBuf,
}

impl Sandbox {
    pub(super) fn new() -> Sandbox {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let file = std::env::temp_dir().join(format!("pontoon-sandbox-{}-{number}", std::process::id()));
        File::create_new(&file).expect("a file");
        let target = file.clone();
        let made = thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).expect("a namespace");
            mount(Some("/proc/thread-self/ns/net"), &target, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        });
        made.join().expect("a thread").expect("mounted");
        Sandbox { file }
    }

    pub(super) fn path(&self) -> String {
        self.file.display().to_string()
    }

    pub(super) fn place(&self, ifname: &str, routes: Vec<Route>) -> Place {
        Place::Inside { netns: self.path(), ifname: ifname.to_owned(), routes }
    }

    /// Does something inside.
    pub(super) fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let namespace = File::open(&self.file).expect("it is there");
        let inside = thread::spawn(move || {
            setns(&namespace, CloneFlags::CLONE_NEWNET).expect("entered");
            drop(namespace);
            work()
        });
        inside.join().expect("it does not panic")
    }

    pub(super) fn interfaces(&self) -> Vec<InterfaceInfo> {
        self.run(|| netns::linux::interfaces().expect("the kernel answers"))
    }

    /// Moves an interface of the host in and makes it usable, in the order in which Docker does.
    pub(super) fn take(&self, from: &str, guest: &GuestView, to: &'static str) {
        let from = from.to_owned();
        self.fetch(&from);
        let (mac, address, gateway) = (guest.lease.mac, guest.lease.ip, guest.lease.gateway);
        self.run(move || {
            ip(&format!("link set {from} name {to}"));
            ip(&format!("link set {to} address {mac}"));
            ip(&format!("address add {address} dev {to}"));
            ip(&format!("link set {to} up"));
            ip(&format!("route add default via {gateway}"));
        });
    }

    /// Moves an interface of this namespace back to the host, renamed and off, as Docker does.
    pub(super) fn give_back(&self, from: &'static str, to: &'static str) {
        let host = own_process();
        self.run(move || {
            ip(&format!("link set {from} down"));
            ip(&format!("link set {from} name {to}"));
            ip(&format!("link set {to} netns {host}"));
        });
    }

    /// Moves an interface of another sandbox in.
    pub(super) fn take_from(&self, other: &Sandbox, name: &str) {
        let (file, name) = (self.path(), name.to_owned());
        other.run(move || ip(&format!("link set {name} netns {file}")));
    }

    fn fetch(&self, name: &str) {
        ip(&format!("link set {name} netns {}", self.path()));
    }

    /// Says this to the next who connects to this port. Its address, as others know it.
    pub(super) fn serve(&self, port: u16, text: String) -> SocketAddr {
        self.run(move || {
            let interfaces = netns::linux::interfaces().expect("the kernel answers");
            let address = interfaces.iter().find_map(|interface| interface.ipv4.first()).expect("an address").addr();
            let listener = TcpListener::bind((address, port)).expect("a port");
            thread::spawn(move || {
                let (mut client, _) = listener.accept().expect("a client");
                drop(listener);
                client.write_all(text.as_bytes()).expect("heard");
            });
            (address, port).into()
        })
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = umount2(&self.file, MntFlags::MNT_DETACH);
        let _ = fs::remove_file(&self.file);
    }
}

/// All that a server says.
pub(super) fn read_from(server: SocketAddr) -> String {
    let mut client = TcpStream::connect_timeout(&server, PATIENCE).expect("connected");
    client.set_read_timeout(Some(PATIENCE)).expect("set");
    let mut said = String::new();
    client.read_to_string(&mut said).expect("UTF-8");
    said
}

/// Runs `ip` in the namespace of this thread. What it says.
pub(super) fn ip(arguments: &str) -> String {
    let words = arguments.split(' ');
    let run = Command::new("ip").args(words).output().expect("iproute2 is installed");
    assert!(run.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8(run.stdout).expect("UTF-8")
}

/// A number that stands for the namespace of this thread.
fn own_process() -> i32 {
    rustix::thread::gettid().as_raw_nonzero().get()
}
