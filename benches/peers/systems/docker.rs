//! docker0 as Docker leaves it: the Linux bridge, br_netfilter on, and the iptables rules of a Docker with one network and no
//! published port.

use super::bridge::Bridged;
use super::namespace::{Keeper, find, said};
use super::{End, SUBNET, System};

const SWITCH: &str = "/proc/sys/net/bridge/bridge-nf-call-iptables";

/// The rules, in the order in which Docker has them.
const RULES: [&str; 21] = [
    "-P FORWARD DROP",
    "-N DOCKER",
    "-N DOCKER-ISOLATION-STAGE-1",
    "-N DOCKER-ISOLATION-STAGE-2",
    "-N DOCKER-USER",
    "-A FORWARD -j DOCKER-USER",
    "-A FORWARD -j DOCKER-ISOLATION-STAGE-1",
    "-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    "-A FORWARD -o docker0 -j DOCKER",
    "-A FORWARD -i docker0 ! -o docker0 -j ACCEPT",
    "-A FORWARD -i docker0 -o docker0 -j ACCEPT",
    "-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2",
    "-A DOCKER-ISOLATION-STAGE-1 -j RETURN",
    "-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP",
    "-A DOCKER-ISOLATION-STAGE-2 -j RETURN",
    "-A DOCKER-USER -j RETURN",
    "-t nat -N DOCKER",
    "-t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
    "-t nat -A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER",
    "-t nat -A POSTROUTING -s SUBNET ! -o docker0 -j MASQUERADE",
    "-t nat -A DOCKER -i docker0 -j RETURN",
];

/// The bridge, and whose rules its frames pass.
pub struct Docker0(Bridged);

impl Docker0 {
    pub fn new() -> Result<Self, String> {
        // Whichever variant the machine's own `iptables` is.
        find("iptables", "iptables")?;
        let bridged = Bridged::new("docker0", prepare)?;
        let docker0 = Docker0(bridged);
        docker0.see_that_the_rules_see()?;
        Ok(docker0)
    }

    /// Frames that a bridge forwards meet no rule unless br_netfilter works in this very namespace.
    fn see_that_the_rules_see(&self) -> Result<(), String> {
        crate::load::reach(self.container(0), self.container(1))?;
        let rules = said(self.0.host.command("iptables").args(["-nvxL", "FORWARD"]), "iptables -L FORWARD")?;
        let rules = String::from_utf8_lossy(&rules).into_owned();
        let first = rules.lines().find(|line| line.contains("DOCKER-USER"));
        match first.and_then(|line| line.split_whitespace().next()) {
            None | Some("0") => Err("br_netfilter is on, and yet no bridged frame met a rule".to_owned()),
            Some(_) => Ok(()),
        }
    }
}

fn prepare(host: &Keeper) -> Result<(), String> {
    host.sh(&format!("test -e {SWITCH}"))
        .map_err(|_| "the kernel's br_netfilter is not there (modprobe br_netfilter)".to_owned())?;
    host.sh(&format!("echo 1 > {SWITCH} && echo 1 > /proc/sys/net/ipv4/ip_forward"))?;
    RULES.iter().try_for_each(|rule| host.sh(&format!("iptables {}", rule.replace("SUBNET", SUBNET))))
}

impl System for Docker0 {
    fn container(&self, number: usize) -> End {
        self.0.container(number)
    }

    fn outside(&self) -> Option<End> {
        self.0.outside()
    }
}
