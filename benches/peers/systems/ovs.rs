//! Open vSwitch's userspace datapath (`datapath_type=netdev`) with TAP ports: its database and its switch started by hand, with a
//! database and sockets of their own.

use std::path::{Path, PathBuf};

use super::namespace::{Keeper, find, said};
use super::service::Service;
use super::taps::{self, Tapped};
use super::{CONTAINERS, End, System};
use crate::cage;

const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";
const BRIDGE: &str = "br0";

/// The switch and its containers.
pub struct OpenVSwitch {
    tapped: Tapped,
    _switch: Service,
    _database: Service,
}

impl OpenVSwitch {
    pub fn new() -> Result<Self, String> {
        for program in ["ovsdb-tool", "ovsdb-server", "ovs-vswitchd", "ovs-vsctl"] {
            find(program, "openvswitch-switch")?;
        }
        let host = Keeper::of_host()?;
        let at = |name: &str| PathBuf::from(cage::DIR).join(name).display().to_string();
        let (file, socket) = (at("ovs.db"), at("ovs.sock"));
        said(host.command("ovsdb-tool").args(["create", &file, SCHEMA]), "ovsdb-tool create")?;
        let common = |name: &str| {
            [format!("--unixctl={}", at(&format!("{name}.ctl"))), format!("--pidfile={}", at(&format!("{name}.pid")))]
        };
        let remote = [file, format!("--remote=punix:{socket}")];
        let mut database = Service::new(&host, "ovsdb-server", &[remote.as_slice(), &common("ovsdb")].concat())?;
        database.wait_until(|| Path::new(&socket).exists())?;
        let control = |arguments: &[&str]| {
            let database = format!("--db=unix:{socket}");
            said(host.command("ovs-vsctl").args([&database, "--timeout=10"]).args(arguments), "ovs-vsctl")
        };
        control(&["--no-wait", "init"])?;
        let mut switch = Service::new(
            &host,
            "ovs-vswitchd",
            &[[format!("unix:{socket}")].as_slice(), &common("vswitchd")].concat(),
        )?;
        switch.wait_until(|| Path::new(&at("vswitchd.pid")).exists())?;
        let datapath = ["add-br", BRIDGE, "--", "set", "bridge", BRIDGE, "datapath_type=netdev"].map(str::to_owned);
        let port = |name: String| {
            ["--", "add-port", BRIDGE, &name, "--", "set", "interface", &name, "type=tap"].map(str::to_owned)
        };
        let arguments: Vec<String> =
            datapath.into_iter().chain((0..CONTAINERS).map(taps::name).flat_map(port)).collect();
        // Returns when the switch has done it.
        control(&arguments.iter().map(String::as_str).collect::<Vec<&str>>())?;
        Ok(OpenVSwitch { tapped: Tapped::new(host, BRIDGE)?, _switch: switch, _database: database })
    }
}

impl System for OpenVSwitch {
    fn container(&self, number: usize) -> End {
        self.tapped.container(number)
    }

    fn outside(&self) -> Option<End> {
        self.tapped.outside()
    }
}
