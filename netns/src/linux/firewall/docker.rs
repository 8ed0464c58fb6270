//! The way of our networks through the rules that Docker keeps.
//!
//! dockerd gives the chain FORWARD the policy to drop, and lets its own bridges pass by rules for each. What another chain
//! accepts does not matter to that policy: whatever is to be forwarded must be accepted in FORWARD itself.
//!
//! * All that is ours is in one chain of ours, which FORWARD calls last: after what the administrator has put into DOCKER-USER,
//!   and wherever Docker puts its own.
//! * What leaves a bridge of ours passes DOCKER-ISOLATION-STAGE-2 first, where Docker drops what goes to one of its bridges: so they
//!   are as isolated from ours as from one another.
//! * It is written in one transaction, by the variant of iptables that dockerd finds as well, and only if it is not as it should be.

use std::collections::BTreeSet;

use super::not_run;
use super::tool;
use crate::backend::BackendError;
use crate::linux::failure::Step;

/// Docker leaves this chain to the administrator: where it is, there are rules of Docker's.
const DOCKER: &str = "-N DOCKER-USER";
/// Where Docker drops what comes from one of its bridges and goes to another.
const ISOLATION: &str = "DOCKER-ISOLATION-STAGE-2";
/// What is read and written.
const OBJECT: &str = "FORWARD of iptables";

/// Lets what leaves these bridges, and what answers it, pass the rules that Docker keeps, and no other bridges of the instance.
///
/// # Errors
/// If the rules can not be read or written, or a bridge has a name that can not be written down.
pub fn pass_docker(instance: &str, bridges: &[String]) -> Result<(), BackendError> {
    let Some(script) = missing(Step::SetFirewall, instance, bridges)? else { return Ok(()) };
    let written = tool::run("iptables-restore", &["--wait", "5", "--noflush"], &script);
    let written = written.map_err(|why| not_run(Step::SetFirewall, OBJECT, &why))?;
    written.map_err(|said| Step::SetFirewall.failed(OBJECT, said))?;
    Ok(())
}

/// Whether [`pass_docker`] would have something to do. Of what is done by iptables' older side nobody is told: a chain that is
/// flushed there stays so until somebody looks.
///
/// # Errors
/// If the rules can not be read, or a bridge has a name that can not be written down.
pub fn passes_docker(instance: &str, bridges: &[String]) -> Result<bool, BackendError> {
    Ok(missing(Step::ReadFirewall, instance, bridges)?.is_none())
}

/// What `iptables-restore` is to be told, if anything.
fn missing(step: Step, instance: &str, bridges: &[String]) -> Result<Option<String>, BackendError> {
    let rules = match tool::run("iptables", &["--wait", "5", "--list-rules"], "") {
        Ok(rules) => rules.map_err(|said| step.failed(OBJECT, said))?,
        // Without it dockerd writes no rules.
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(why) => return Err(not_run(step, OBJECT, &why).into()),
    };
    match bridges.iter().find(|bridge| !is_plain(bridge)) {
        Some(odd) => Err(step.failed(OBJECT, format_args!("{odd} can not be written down")).into()),
        None => Ok(script(&rules, instance, bridges)),
    }
}

/// Whether a name means itself to iptables, where a plus at the end would mean all that begin so.
fn is_plain(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte))
}

/// What `iptables-restore` is to be told, if the rules that `iptables --list-rules` prints are not as they should be.
fn script(rules: &str, instance: &str, bridges: &[String]) -> Option<String> {
    let chain = format!("PONTOON-{instance}");
    let has = |line: &str| rules.lines().any(|rule| rule == line);
    let (is_there, jump) = (has(&format!("-N {chain}")), format!("FORWARD -j {chain}"));
    let is_called = has(&format!("-A {jump}"));
    if bridges.is_empty() || !has(DOCKER) {
        let calls = if is_called { format!("-D {jump}\n") } else { String::new() };
        return is_there.then(|| format!("*filter\n{calls}-F {chain}\n-X {chain}\nCOMMIT\n"));
    }
    let is_isolating = has(&format!("-N {ISOLATION}"));
    // Whoever asks, and in whatever order: it is the same rules.
    let bridges: BTreeSet<&String> = bridges.iter().collect();
    let wanted: Vec<String> = bridges
        .into_iter()
        .flat_map(|bridge| {
            let isolated = is_isolating.then(|| format!("-A {chain} -i {bridge} -j {ISOLATION}"));
            isolated.into_iter().chain([
                format!("-A {chain} -i {bridge} -j ACCEPT"),
                format!("-A {chain} -o {bridge} -m conntrack --ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT"),
            ])
        })
        .collect();
    let own = format!("-A {chain} ");
    if is_called && rules.lines().filter(|rule| rule.starts_with(&own)).eq(wanted.iter().map(String::as_str)) {
        return None;
    }
    let call = if is_called { String::new() } else { format!("-A {jump}\n") };
    // To declare a chain makes it, or empties it.
    Some(format!("*filter\n:{chain} - [0:0]\n{}\n{call}COMMIT\n", wanted.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = "-P INPUT ACCEPT\n-P FORWARD DROP\n-N DOCKER\n-N DOCKER-ISOLATION-STAGE-2\n-N DOCKER-USER\n\
                         -A FORWARD -j DOCKER-USER\n-A FORWARD -i docker0 ! -o docker0 -j ACCEPT\n";
    const OURS: &str = "-A PONTOON-0 -i br-1 -j DOCKER-ISOLATION-STAGE-2\n-A PONTOON-0 -i br-1 -j ACCEPT\n\
                        -A PONTOON-0 -o br-1 -m conntrack --ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT\n";

    fn bridges(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_bridge_passes_behind_dockers_isolation() {
        let expected = format!("*filter\n:PONTOON-0 - [0:0]\n{OURS}-A FORWARD -j PONTOON-0\nCOMMIT\n");
        assert_eq!(script(RULES, "0", &bridges(&["br-1"])), Some(expected));
    }

    #[test]
    fn nothing_is_written_where_all_is_as_it_should_be() {
        let rules = format!("{RULES}-N PONTOON-0\n-A FORWARD -j PONTOON-0\n{OURS}");
        assert_eq!(script(&rules, "0", &bridges(&["br-1"])), None);
        assert!(script(&rules, "0", &bridges(&["br-1", "br-2"])).is_some());
        let both = format!("{rules}{}", OURS.replace("br-1", "br-2"));
        assert_eq!(script(&both, "0", &bridges(&["br-1", "br-2"])), None);
        assert_eq!(script(&both, "0", &bridges(&["br-2", "br-1"])), None, "in another order");
    }

    #[test]
    fn a_chain_that_nobody_calls_any_more_is_called_again() {
        let rules = format!("{RULES}-N PONTOON-0\n{OURS}");
        let script = script(&rules, "0", &bridges(&["br-1"])).expect("something is to be written");
        assert!(script.contains("-A FORWARD -j PONTOON-0\n"), "{script}");
    }

    #[test]
    fn with_the_last_bridge_the_chain_goes() {
        let rules = format!("{RULES}-N PONTOON-0\n-A FORWARD -j PONTOON-0\n{OURS}");
        let expected = "*filter\n-D FORWARD -j PONTOON-0\n-F PONTOON-0\n-X PONTOON-0\nCOMMIT\n";
        assert_eq!(script(&rules, "0", &[]).as_deref(), Some(expected));
        assert_eq!(script(RULES, "0", &[]), None);
    }

    #[test]
    fn where_docker_has_no_rules_nothing_is_written() {
        assert_eq!(script("-P FORWARD ACCEPT\n", "0", &bridges(&["br-1"])), None);
    }

    #[test]
    fn a_name_that_means_more_than_itself_is_not_plain() {
        assert!(is_plain("br-0123456789ab") && !is_plain("br+") && !is_plain("a b") && !is_plain("a\"b"));
    }
}
