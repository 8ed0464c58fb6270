//! [`Policy`]: what the host may forward to and from our bridges, as the text of one nftables transaction. Pure.
//!
//! The rules it keeps:
//!
//! * an instance has the tables `inet pontoon_INSTANCE` and `netdev pontoon_INSTANCE`, and names no other;
//! * the text makes, empties and fills them in one transaction, so that there is no moment without a rule, and applying it
//!   again changes nothing;
//! * a rule of ours accepts for our own chain only: what another table drops is dropped (see [`crate::linux::firewall`]);
//! * no list is searched rule by rule but that of the subnets, once for each new connection.

use std::collections::BTreeSet;
use std::fmt::Write;

use ipnet::Ipv4Net;

use crate::ifname::is_ifname;

/// The longest name of an instance, in bytes.
const MAX_INSTANCE: usize = 32;

/// The group (`ip link set … group`) that the host's interface in each bridge network is in, of whichever instance: by it
/// one instance's guard knows the bridges of the others. `pont` in ASCII.
pub const GROUP: u32 = 0x706f_6e74;

/// What the names of our tables begin with, whichever instance they are of.
pub(crate) const TABLE: &str = "pontoon_";
/// The chain that notes how the host forwarded before us. Nothing passes it: its rules are there for their comments, which
/// every version of nftables keeps.
pub(crate) const JOURNAL: &str = "journal";
/// The longest piece of a note in one comment, in bytes: the kernel's bound is 128.
const MAX_COMMENT: usize = 120;

/// What the host's firewall does for one instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// What the tables are called by: `0` for the instance whose bridge is `pontoon0`. Letters, digits and `_`.
    pub instance: String,
    /// Every bridge network of the instance.
    pub networks: Vec<PolicyNetwork>,
    /// Whether we switched the host's forwarding on. Then what is not ours, and would not be forwarded without us, is not.
    /// Where `br_netfilter` shows what the kernel's own bridges switch to the forward hook, that is not told apart from what
    /// is routed, and dropped as well.
    pub guards: bool,
    /// With `guards`: the interfaces that forwarded what they received before we switched it on for all.
    pub forwarded: Vec<String>,
    /// With `guards`: how the host forwarded before us, in the backend's words, for other instances to find. Nothing is noted
    /// if it is empty, as by an instance that is about to leave.
    pub journal: String,
    /// The host's ends of veth endpoints, and interfaces of the host that are ports of ours. They are read through packet
    /// sockets, which see a frame first; the host's own stack must not hear it. Each must be there when the script is applied.
    pub silenced: Vec<String>,
}

/// One bridge network, as the firewall sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyNetwork {
    /// The host's interface in it.
    pub bridge: String,
    /// Its addresses.
    pub subnet: Ipv4Net,
    /// Whether it has no way out.
    pub internal: bool,
}

/// Why a policy can not be written down.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The kernel has no interface of this name, or nftables has no way to say it.
    #[error("'{}' can not be the name of an interface in a firewall rule", .0.escape_debug())]
    Interface(String),
    /// The instance makes no table's name.
    #[error("'{}' can not be the name of an instance: at most {MAX_INSTANCE} letters, digits and '_'", .0.escape_debug())]
    Instance(String),
}

/// Which tables an instance has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tables {
    pub(crate) inet: bool,
    pub(crate) netdev: bool,
}

impl Policy {
    /// The tables that it takes.
    pub(crate) fn tables(&self) -> Tables {
        Tables { inet: !self.networks.is_empty() || self.guards, netdev: !self.silenced.is_empty() }
    }

    /// What an instance leaves behind: nothing.
    #[must_use]
    pub fn none(instance: impl Into<String>) -> Self {
        Policy { instance: instance.into(), ..Policy::default() }
    }

    /// The text for `nft -f -` that puts this policy, whole, in the place of the instance's last one.
    ///
    /// # Errors
    /// If a name can not be written so that it stays a name.
    pub fn script(&self) -> Result<String, PolicyError> {
        let instance = checked_instance(&self.instance)?;
        let bridges = quoted(self.networks.iter().map(|network| &network.bridge))?;
        let internal = quoted(self.networks.iter().filter(|network| network.internal).map(|network| &network.bridge))?;
        let forwarded = quoted(&self.forwarded)?;
        let silenced = quoted(&self.silenced)?;

        let mut script = Script(String::new());
        for family in ["inet", "netdev"] {
            // To delete what is not there is an error; to add what is there is none.
            script.line(0, format_args!("add table {family} pontoon_{instance}"));
            script.line(0, format_args!("delete table {family} pontoon_{instance}"));
        }
        let tables = self.tables();
        if tables.inet {
            script.line(0, format_args!("table inet pontoon_{instance} {{"));
            script.set("bridges", "ifname", &bridges);
            let pairs = bridges.iter().map(|bridge| format!("{bridge} . {bridge}")).collect();
            script.set("itself", "ifname . ifname", &pairs);
            script.set("internal", "ifname", &internal);
            if self.guards {
                script.set("forwarded", "ifname", &forwarded);
            }
            self.forward(&mut script);
            self.masquerade(&mut script)?;
            if self.guards && !self.journal.is_empty() {
                self.note(&mut script);
            }
            script.line(0, "}");
        }
        if tables.netdev {
            script.line(0, format_args!("table netdev pontoon_{instance} {{"));
            script.line(1, "chain silence {");
            let devices: Vec<String> = silenced.into_iter().collect();
            let devices = devices.join(", ");
            script.line(
                2,
                format_args!("type filter hook ingress devices = {{ {devices} }} priority filter; policy drop;"),
            );
            script.line(1, "}");
            script.line(0, "}");
        }
        Ok(script.0)
    }

    fn forward(&self, script: &mut Script) {
        script.line(1, "chain forward {");
        script.line(2, "type filter hook forward priority filter; policy accept;");
        script.line(2, "iifname @bridges goto outwards");
        script.line(2, "oifname @bridges goto inwards");
        if self.guards {
            // What we switched on was the forwarding of IPv4. The bridges of other instances have their own tables.
            script.line(2, "meta nfproto != ipv4 accept");
            script.line(2, "iifname @forwarded accept");
            script.line(2, format_args!("iifgroup {GROUP} accept"));
            script.line(2, format_args!("oifgroup {GROUP} accept"));
            script.line(2, "drop");
        }
        script.line(1, "}");
        script.line(1, "chain outwards {");
        script.line(2, "meta nfproto ipv6 drop");
        script.line(2, "iifname . oifname @itself accept");
        script.line(2, "iifname @internal drop");
        script.line(2, "oifname @bridges drop");
        script.line(2, "accept");
        script.line(1, "}");
        script.line(1, "chain inwards {");
        script.line(2, "meta nfproto ipv6 drop");
        script.line(2, "oifname @internal drop");
        script.line(2, "ct state established,related accept");
        // What somebody has rewritten to come here, as the CNI plugin `portmap` does with a published port.
        script.line(2, "ct status dnat accept");
        script.line(2, "drop");
        script.line(1, "}");
    }

    /// In hexadecimal digits, none of which is anything special to nft.
    fn note(&self, script: &mut Script) {
        let digits: Vec<String> = self.journal.bytes().map(|byte| format!("{byte:02x}")).collect();
        script.line(1, format_args!("chain {JOURNAL} {{"));
        for piece in digits.chunks(MAX_COMMENT / 2) {
            script.line(2, format_args!("continue comment \"{}\"", piece.concat()));
        }
        script.line(1, "}");
    }

    fn masquerade(&self, script: &mut Script) -> Result<(), PolicyError> {
        script.line(1, "chain postrouting {");
        script.line(2, "type nat hook postrouting priority srcnat; policy accept;");
        for network in self.networks.iter().filter(|network| !network.internal) {
            let (subnet, bridge) = (network.subnet.trunc(), quote(&network.bridge)?);
            script.line(2, format_args!("ip saddr {subnet} oifname != {bridge} masquerade"));
        }
        script.line(1, "}");
        Ok(())
    }
}

/// What [`Policy::journal`] was, from the comments of the chain [`JOURNAL`], one after the other.
pub(crate) fn read_journal(digits: &str) -> Option<String> {
    let digit = |digit: &u8| char::from(*digit).to_digit(16);
    let byte = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(digit(high)? << 4 | digit(low)?).ok(),
        _ => None,
    };
    let bytes: Option<Vec<u8>> = digits.as_bytes().chunks(2).map(byte).collect();
    String::from_utf8(bytes?).ok()
}

/// Text in the layout of `nft list ruleset`.
struct Script(String);

impl Script {
    fn line(&mut self, depth: usize, text: impl std::fmt::Display) {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "{:\t<depth$}{text}", "");
    }

    fn set(&mut self, name: &str, kind: &str, elements: &BTreeSet<String>) {
        self.line(1, format_args!("set {name} {{"));
        self.line(2, format_args!("type {kind}"));
        // There is no way to say that there are none but to say nothing.
        if !elements.is_empty() {
            self.line(2, "elements = {");
            for element in elements {
                self.line(3, format_args!("{element},"));
            }
            self.line(2, "}");
        }
        self.line(1, "}");
    }
}

fn quoted<'a>(names: impl IntoIterator<Item = &'a String>) -> Result<BTreeSet<String>, PolicyError> {
    names.into_iter().map(|name| quote(name)).collect()
}

/// An interface's name between quotes, where nothing is special to nft but the quote itself, for which there is no escape,
/// and a `*` at the end, which would stand for any ending.
pub(crate) fn quote(name: &str) -> Result<String, PolicyError> {
    let is_speakable = is_ifname(name) && !name.contains('"') && !name.ends_with('*');
    if is_speakable { Ok(format!("\"{name}\"")) } else { Err(PolicyError::Interface(name.to_owned())) }
}

fn checked_instance(name: &str) -> Result<&str, PolicyError> {
    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_plain && (1..=MAX_INSTANCE).contains(&name.len()) {
        Ok(name)
    } else {
        Err(PolicyError::Instance(name.to_owned()))
    }
}

#[cfg(test)]
mod tests;
