//! [`journals`]: how the host forwarded before any instance of ours, as the instances note it for each other.
//!
//! `net.ipv4.ip_forward` is one for all instances on a host, but each begins and ends when it likes. So whoever needs
//! forwarding that one of us has switched on notes in its own table how it was before: the one who leaves last finds no other
//! note, and puts it back. The tables are where to note it, since they are what instances in a network namespace can see of
//! each other, and they are gone when that is.

use serde_json::Value;

use super::{not_run, tool};
use crate::firewall::{JOURNAL, TABLE, read_journal};
use crate::linux::failure::{Failure, Step};

const LIST: [&str; 4] = ["-j", "list", "ruleset", "inet"];

/// What one instance has noted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::linux) struct Journal {
    /// Which one.
    pub(in crate::linux) instance: String,
    /// As it was given in [`crate::firewall::Policy::journal`].
    pub(in crate::linux) text: String,
}

/// The notes of all instances in the network namespace of the calling thread. Without a program `nft` there are none.
pub(in crate::linux) fn journals() -> Result<Vec<Journal>, Failure> {
    let object = "nft -j list ruleset inet";
    let printed = match tool::run("nft", &LIST, "") {
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        printed => printed.map_err(|why| not_run(Step::ReadFirewall, object, &why))?,
    };
    let printed = printed.map_err(|said| Step::ReadFirewall.failed(object, said))?;
    read(&printed).map_err(|why| Step::ReadFirewall.failed(object, why))
}

fn read(printed: &str) -> Result<Vec<Journal>, String> {
    let document: Value = serde_json::from_str(printed).map_err(|why| format!("its JSON can not be read: {why}"))?;
    let objects = document.get("nftables").and_then(Value::as_array).ok_or("its JSON has no list 'nftables'")?;
    let mut noted: Vec<(&str, String)> = Vec::new();
    for rule in objects.iter().filter_map(|object| object.get("rule")) {
        let text = |key| rule.get(key).and_then(Value::as_str);
        let instance = text("table").and_then(|table| table.strip_prefix(TABLE));
        if let (Some("inet"), Some(instance), Some(JOURNAL), Some(piece)) =
            (text("family"), instance, text("chain"), text("comment"))
        {
            match noted.iter_mut().find(|(known, _)| *known == instance) {
                Some((_, pieces)) => pieces.push_str(piece),
                None => noted.push((instance, piece.to_owned())),
            }
        }
    }
    // What somebody else wrote there is no note of ours.
    let journal = |(instance, pieces): (&str, String)| {
        Some(Journal { instance: instance.to_owned(), text: read_journal(&pieces)? })
    };
    Ok(noted.into_iter().filter_map(journal).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(table: &str, chain: &str, comment: &str) -> String {
        format!(
            r#",{{"rule":{{"family":"inet","table":"{table}","chain":"{chain}","handle":1,"comment":"{comment}","expr":[{{"continue":null}}]}}}}"#
        )
    }

    #[test]
    fn the_notes_of_instances_are_put_together_and_nobody_elses_are_read() {
        let rules = [
            rule("pontoon_0", JOURNAL, "7b"),
            rule("pontoon_1", JOURNAL, "6f6e"),
            rule("pontoon_0", JOURNAL, "7d"),
            rule("pontoon_2", JOURNAL, "by hand"),
            rule("pontoon_3", "forward", "7b7d"),
            rule("others", JOURNAL, "7b7d"),
        ];
        let printed = format!(r#"{{"nftables":[{{"metainfo":{{}}}}{}]}}"#, rules.concat());
        let journal = |instance: &str, text: &str| Journal { instance: instance.into(), text: text.into() };
        assert_eq!(read(&printed), Ok(vec![journal("0", "{}"), journal("1", "on")]));
        assert!(read("{}").is_err() && read("").is_err());
    }
}
