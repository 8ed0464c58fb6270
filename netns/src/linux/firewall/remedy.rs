//! What a person may paste so that a foreign chain lets our traffic pass: in the words of whoever keeps that chain, so that
//! it survives what they do to it.

use super::legacy;
use super::ruleset::{ChainId, Side};

/// Docker leaves this chain to the administrator, and calls it first.
pub(super) const DOCKER_USER: &str = "DOCKER-USER";

/// Which of the programs by the name of iptables writes which side of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Iptables {
    /// That writes nftables' side, if there is one.
    pub(super) nft: Option<&'static str>,
    /// That writes the older side.
    pub(super) legacy: &'static str,
}

/// One command for a shell. `chain` is a base chain; `has_docker_user` says whether it calls [`DOCKER_USER`]; `sides` are
/// where it drops.
pub(super) fn remedy(
    bridge: &str,
    chain: &ChainId,
    has_docker_user: bool,
    sides: &[Side],
    iptables: &Iptables,
) -> String {
    let target = if has_docker_user { DOCKER_USER } else { &chain.name };
    let ChainId { family, table, .. } = chain;
    let is_iptables = table == "filter" && chain.name == "FORWARD";
    let program = match (family.as_str(), iptables.nft) {
        (legacy::FAMILY, _) => Some(iptables.legacy),
        ("ip", Some(program)) if is_iptables => Some(program),
        _ => None,
    };
    if family == "inet" && table == "firewalld" {
        // It allows nobody else to change its table. Zone `trusted` forwards what comes from its interfaces; answers pass.
        let interface = shell_word(&format!("--add-interface={bridge}"));
        return format!("firewall-cmd --permanent --zone=trusted {interface} && firewall-cmd --reload");
    }
    if let Some(program) = program {
        let (bridge, target) = (shell_word(bridge), shell_word(target));
        let command = |side: &Side| match side {
            Side::Input => format!("{program} -I {target} -i {bridge} -j ACCEPT"),
            Side::Output => {
                format!("{program} -I {target} -o {bridge} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")
            }
        };
        return sides.iter().map(command).collect::<Vec<_>>().join(" && ");
    }
    let command = |side: &Side| match side {
        Side::Input => format!("insert rule {family} {table} {target} iifname \"{bridge}\" accept"),
        Side::Output => {
            format!("insert rule {family} {table} {target} oifname \"{bridge}\" ct state established,related accept")
        }
    };
    // In one transaction.
    format!("nft {}", shell_word(&sides.iter().map(command).collect::<Vec<_>>().join("; ")))
}

/// Text as one word for a shell.
fn shell_word(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'=' | b'@');
    if !text.is_empty() && text.bytes().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [Side; 2] = [Side::Input, Side::Output];

    fn chain(family: &str, table: &str, name: &str) -> ChainId {
        ChainId { family: family.to_owned(), table: table.to_owned(), name: name.to_owned() }
    }

    fn iptables(nft: Option<&'static str>) -> Iptables {
        Iptables { nft, legacy: "iptables-legacy" }
    }

    #[test]
    fn docker_leaves_a_chain_to_us() {
        let forward = chain("ip", "filter", "FORWARD");
        assert_eq!(
            remedy("pontoon0", &forward, true, &BOTH, &iptables(Some("iptables"))),
            "iptables -I DOCKER-USER -i pontoon0 -j ACCEPT && \
             iptables -I DOCKER-USER -o pontoon0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
        );
        assert_eq!(
            remedy("pontoon0", &forward, false, &[Side::Input], &iptables(Some("iptables-nft"))),
            "iptables-nft -I FORWARD -i pontoon0 -j ACCEPT"
        );
        assert_eq!(
            remedy("pontoon0", &forward, true, &[Side::Input], &iptables(None)),
            "nft 'insert rule ip filter DOCKER-USER iifname \"pontoon0\" accept'"
        );
        assert_eq!(
            remedy("pontoon0", &chain(legacy::FAMILY, "filter", "FORWARD"), true, &[Side::Input], &iptables(None)),
            "iptables-legacy -I DOCKER-USER -i pontoon0 -j ACCEPT"
        );
    }

    #[test]
    fn other_tables_are_spoken_to_by_nft_and_firewalld_by_its_own_program() {
        assert_eq!(
            remedy("br-0", &chain("inet", "filter", "forward"), false, &BOTH, &iptables(Some("iptables"))),
            "nft 'insert rule inet filter forward iifname \"br-0\" accept; \
             insert rule inet filter forward oifname \"br-0\" ct state established,related accept'"
        );
        assert_eq!(
            remedy("pontoon0", &chain("inet", "firewalld", "filter_FORWARD"), false, &BOTH, &iptables(None)),
            "firewall-cmd --permanent --zone=trusted --add-interface=pontoon0 && firewall-cmd --reload"
        );
    }

    #[test]
    fn a_name_stays_one_word_of_the_shell() {
        assert_eq!(shell_word("a'b;$(c)"), r"'a'\''b;$(c)'");
        assert_eq!(shell_word(""), "''");
    }
}
