//! Reads the rules of iptables' older kernel side, which nftables does not see, from what `iptables-save` prints.

use super::ruleset::{Action, Chain, ChainId, Condition, Name, Rule, Ruleset, Side};

/// What the family of such a chain is called here: nft has none of this name.
pub(super) const FAMILY: &str = "iptables-legacy";

/// Reads the table `filter`. A line that is not understood is passed over.
pub(super) fn read(saved: &str) -> Ruleset {
    let mut ruleset = Ruleset::default();
    let mut table = "";
    for line in saved.lines() {
        if let Some(name) = line.strip_prefix('*') {
            table = name;
        } else if table != "filter" {
            continue;
        } else if let Some(declared) = line.strip_prefix(':') {
            let mut words = declared.split(' ');
            let (Some(name), Some(policy)) = (words.next(), words.next()) else { continue };
            let base = (name == "FORWARD").then_some(policy == "DROP");
            ruleset.chains.entry(chain(name)).or_default().base = base;
        } else if let Some(appended) = line.strip_prefix("-A ") {
            let words = words(appended);
            let Some((name, arguments)) = words.split_first() else { continue };
            ruleset.chains.entry(chain(name)).or_insert_with(Chain::default).rules.push(rule(arguments));
        }
    }
    ruleset
}

fn chain(name: &str) -> ChainId {
    ChainId { family: FAMILY.to_owned(), table: "filter".to_owned(), name: name.to_owned() }
}

fn rule(arguments: &[String]) -> Rule {
    let mut rule = Rule { conditions: Vec::new(), action: Action::Nothing };
    let mut arguments = arguments.iter().map(String::as_str);
    let mut is = true;
    while let Some(argument) = arguments.next() {
        let condition = match argument {
            "!" => {
                is = false;
                continue;
            }
            "-i" => Some(interface(Side::Input, arguments.next(), is)),
            "-o" => Some(interface(Side::Output, arguments.next(), is)),
            "--ctstate" | "--state" => {
                let states = arguments.next().unwrap_or_default().split(',').map(str::to_owned).collect();
                Some(Condition::State { states, is })
            }
            // What it matches by comes after, as an option of its own.
            "-m" => {
                let name = arguments.next();
                (!matches!(name, Some("conntrack" | "state" | "comment"))).then_some(Condition::Perhaps)
            }
            "--comment" => {
                arguments.next();
                None
            }
            "-j" => {
                rule.action = target(arguments.next().unwrap_or_default());
                // The rest is the target's.
                break;
            }
            "-g" => {
                rule.action = Action::Goto(arguments.next().unwrap_or_default().to_owned());
                break;
            }
            _ => Some(Condition::Perhaps),
        };
        is = true;
        rule.conditions.extend(condition);
    }
    rule.conditions.dedup();
    rule
}

fn interface(side: Side, name: Option<&str>, is: bool) -> Condition {
    let name = name.map_or(Name::Some, |name| match name.strip_suffix('+') {
        Some(beginning) => Name::BeginsWith(beginning.to_owned()),
        None => Name::Exactly(name.to_owned()),
    });
    Condition::Interface { side, names: vec![name], is }
}

/// What a target does. Those of the kernel that decide nothing are named; any other name in capitals may be one that we do
/// not know as well as a chain, which the walk will find or not.
pub(super) fn target(name: &str) -> Action {
    match name {
        "ACCEPT" => Action::Accept,
        "DROP" | "REJECT" => Action::Drop,
        "RETURN" => Action::Return,
        "NFQUEUE" | "QUEUE" => Action::Elsewhere,
        "" | "LOG" | "NFLOG" | "ULOG" | "MARK" | "CONNMARK" | "CONNSECMARK" | "SECMARK" | "TCPMSS" | "CLASSIFY"
        | "AUDIT" | "DSCP" | "TOS" | "TTL" | "CT" | "NOTRACK" | "TRACE" | "SET" | "CHECKSUM" | "RATEEST" | "LED" => {
            Action::Nothing
        }
        chain => Action::Jump(chain.to_owned()),
    }
}

/// Words are parted by blanks; between double quotes a blank is a blank, and a backslash keeps a quote from ending it.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut is_word, mut is_quoted) = (String::new(), false, false);
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => (is_word, is_quoted) = (true, !is_quoted),
            '\\' if is_quoted => word.extend(characters.next()),
            ' ' if !is_quoted => {
                if is_word {
                    words.push(std::mem::take(&mut word));
                }
                is_word = false;
            }
            plain => {
                word.push(plain);
                is_word = true;
            }
        }
    }
    if is_word {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::super::ruleset::Packet;
    use super::*;

    fn dropped(rules: &str) -> [bool; 2] {
        let ruleset =
            read(&format!("*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [1:2]\n:OUTPUT ACCEPT [0:0]\n{rules}COMMIT\n"));
        [Side::Input, Side::Output].map(|side| ruleset.drops(Packet { bridge: "pontoon0", side }).next().is_some())
    }

    #[test]
    fn dockers_chains_drop_what_is_not_dockers() {
        let docker = ":DOCKER-USER - [0:0]\n:DOCKER-CT - [0:0]\n-A FORWARD -j DOCKER-USER\n-A FORWARD -j DOCKER-CT\n\
            -A FORWARD -i docker0 ! -o docker0 -m comment --comment \"a \\\"b\\\" -j ACCEPT\" -j ACCEPT\n\
            -A DOCKER-CT -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n";
        assert_eq!(dropped(docker), [true, true]);
        let out = format!("{docker}-A DOCKER-USER -i pontoon+ -j ACCEPT\n");
        assert_eq!(dropped(&out), [false, true]);
        let both = format!("{out}-A DOCKER-USER -o pontoon0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n");
        assert_eq!(dropped(&both), [false, false]);
        assert_eq!(dropped(&format!("{docker}-A DOCKER-USER ! -i docker0 -j ACCEPT\n")), [false, true]);
    }

    #[test]
    fn a_condition_that_is_not_known_decides_nothing() {
        assert_eq!(dropped("-A FORWARD -s 10.0.0.0/8 -j ACCEPT\n"), [true, true]);
        assert_eq!(dropped("-A FORWARD -m mark ! --mark 0x1 -j ACCEPT\n"), [true, true]);
        assert_eq!(dropped("-A FORWARD -o eth0 -j ACCEPT\n-A FORWARD -j NFQUEUE\n"), [false, false]);
        assert_eq!(dropped("-A FORWARD -i pontoon0 -s 10.0.0.0/8 -j ACCEPT\n"), [false, true]);
        assert_eq!(dropped("-A FORWARD -j LOG --log-prefix \"a -j ACCEPT\"\n"), [true, true]);
        assert_eq!(
            dropped("-A FORWARD -p tcp -j REJECT --reject-with icmp-port-unreachable\n-A FORWARD -j ACCEPT\n"),
            [false, false]
        );
    }

    #[test]
    fn words_are_parted_as_iptables_quotes_them() {
        assert_eq!(words("a  \"b \\\"c\\\\\" \"\" d"), ["a", "b \"c\\", "", "d"]);
    }
}
