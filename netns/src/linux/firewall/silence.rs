//! [`silenced_by_others`]: whether another instance has an interface of the host for its own, as its table says.
//!
//! It is read from what nft prints for people: before version 1.1 its JSON does not tell the devices of a chain.

use super::{not_run, tool};
use crate::firewall::TABLE;
use crate::linux::failure::{Failure, Step};

const LIST: [&str; 3] = ["list", "chains", "netdev"];

/// Whether the host hears nothing by this interface for the sake of an instance of ours other than `own`. Without a program
/// `nft` it is for nobody's.
pub(in crate::linux) fn silenced_by_others(own: &str, interface: &str) -> Result<bool, Failure> {
    let object = "nft list chains netdev";
    let printed = match tool::run("nft", &LIST, "") {
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        printed => printed.map_err(|why| not_run(Step::ReadFirewall, object, &why))?,
    };
    let printed = printed.map_err(|said| Step::ReadFirewall.failed(object, said))?;
    Ok(devices(&printed, own).any(|device| device == interface))
}

/// The devices of base chains in tables of instances other than `own`.
fn devices<'a>(printed: &'a str, own: &str) -> impl Iterator<Item = &'a str> {
    let mut is_others = false;
    let lines = printed.lines().filter_map(move |line| {
        let line = line.trim();
        if let Some(table) = line.strip_prefix("table netdev ") {
            let instance = table.trim_end_matches(" {").strip_prefix(TABLE);
            is_others = instance.is_some_and(|instance| instance != own);
        }
        let (_, hook) = line.strip_prefix("type filter hook ingress ").filter(|_| is_others)?.split_once("device")?;
        // `device "a"` or `devices = { a, b }`: an interface's name may have a brace in it, but no blank.
        Some(match hook.strip_prefix("s = { ") {
            Some(several) => several.split_once(" }").map_or(several, |(names, _)| names),
            None => hook.split_whitespace().next().unwrap_or_default(),
        })
    });
    lines.flat_map(|names| names.split(", ")).map(|name| name.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tables_of_other_instances_count() {
        let chain = |table: &str, hook: &str| {
            format!(
                "table netdev {table} {{\n\tchain silence {{\n\t\ttype filter hook ingress {hook} priority filter; policy drop;\n\t}}\n}}\n"
            )
        };
        let printed = [
            chain("pontoon_0", "devices = { a, b }"),
            chain("pontoon_1", "device \"c.1\""),
            chain("pontoon_2", "devices = { d, \"e\" }"),
            chain("others", "devices = { f }"),
        ]
        .concat();
        assert_eq!(devices(&printed, "0").collect::<Vec<_>>(), ["c.1", "d", "e"]);
        assert_eq!(devices(&printed, "2").collect::<Vec<_>>(), ["a", "b", "c.1"]);
        assert_eq!(devices("", "0").count(), 0);
    }
}
