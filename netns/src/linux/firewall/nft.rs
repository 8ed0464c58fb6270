//! Reads the forward chains from what `nft -j list ruleset` prints: a list of tables, sets, chains and rules as JSON
//! (libnftables-json(5)).
//!
//! What is not understood becomes a condition that may hold, never one that does.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::legacy::target;
use super::ruleset::{Action, Chain, ChainId, Condition, Name, Rule, Ruleset, Side};
use crate::firewall::TABLE;

/// Statements that decide nothing.
const NEUTRAL: [&str; 11] =
    ["counter", "log", "mangle", "set", "map", "comment", "notrack", "last", "secmark", "flow", "ct helper"];

/// Sets and maps by family, table and name.
type Sets<'a> = BTreeMap<[&'a str; 3], &'a [Value]>;

/// Reads the tables of families that see IPv4 being forwarded, but for ours.
///
/// # Errors
/// If it is not the JSON that nft prints.
pub(super) fn read(printed: &str) -> Result<Ruleset, String> {
    let document: Value = serde_json::from_str(printed).map_err(|why| format!("its JSON can not be read: {why}"))?;
    let objects = document.get("nftables").and_then(Value::as_array).ok_or("its JSON has no list 'nftables'")?;
    let sets: Sets<'_> = objects.iter().filter_map(set).collect();
    let mut ruleset = Ruleset::default();
    for object in objects {
        if let Some(chain) = object.get("chain") {
            let Some(id) = id(chain, "name") else { continue };
            let text = |key| chain.get(key).and_then(Value::as_str);
            let base = (text("hook") == Some("forward")).then(|| text("policy") == Some("drop"));
            ruleset.chains.entry(id).or_insert_with(Chain::default).base = base;
        } else if let Some(rule) = object.get("rule") {
            let Some(id) = id(rule, "chain") else { continue };
            let reader = Reader { sets: &sets, family: &id.family, table: &id.table };
            let rules = reader.rules(rule.get("expr").and_then(Value::as_array).map_or(&[], Vec::as_slice));
            ruleset.chains.entry(id).or_insert_with(Chain::default).rules.extend(rules);
        }
    }
    Ok(ruleset)
}

/// Which chain an object is, or is in.
fn id(object: &Value, key: &str) -> Option<ChainId> {
    let text = |key| object.get(key).and_then(Value::as_str);
    let (family, table, name) = (text("family")?, text("table")?, text(key)?);
    // Tables of ours, of this instance or another, stand aside for each other.
    let is_foreign = matches!(family, "ip" | "inet") && !(family == "inet" && table.starts_with(TABLE));
    is_foreign.then(|| ChainId { family: family.to_owned(), table: table.to_owned(), name: name.to_owned() })
}

fn set(object: &Value) -> Option<([&str; 3], &[Value])> {
    let set = object.get("set").or_else(|| object.get("map"))?;
    let text = |key| set.get(key).and_then(Value::as_str);
    let elements = set.get("elem").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    Some(([text("family")?, text("table")?, text("name")?], elements))
}

struct Reader<'a> {
    sets: &'a Sets<'a>,
    family: &'a str,
    table: &'a str,
}

impl Reader<'_> {
    /// A rule, or as many as its verdict map has verdicts.
    fn rules(&self, statements: &[Value]) -> Vec<Rule> {
        let mut conditions = Vec::new();
        for statement in statements {
            // Without anything is how some versions print what they can not.
            let Some((key, value)) = statement.as_object().and_then(only_entry) else {
                conditions.push(Condition::Perhaps);
                continue;
            };
            let action = match key {
                "match" => {
                    conditions.extend(self.condition(value));
                    continue;
                }
                "vmap" => return self.verdicts(&conditions, value),
                "xt" => match extension(value) {
                    Ok(action) => action,
                    Err(condition) => {
                        conditions.extend(condition);
                        continue;
                    }
                },
                "queue" => Action::Elsewhere,
                key if NEUTRAL.contains(&key) => Action::Nothing,
                key => match verdict(key, value) {
                    Some(action) => action,
                    None => {
                        conditions.push(Condition::Perhaps);
                        continue;
                    }
                },
            };
            if action != Action::Nothing {
                return vec![Rule { conditions, action }];
            }
        }
        vec![Rule { conditions, action: Action::Nothing }]
    }

    fn condition(&self, matched: &Value) -> Option<Condition> {
        let is = match matched.get("op").and_then(Value::as_str) {
            Some("==" | "in") => true,
            Some("!=") => false,
            _ => return Some(Condition::Perhaps),
        };
        match (matched.get("left"), matched.get("right")) {
            (Some(left), Some(right)) => self.compared(left, &self.listed(right), is),
            _ => Some(Condition::Perhaps),
        }
    }

    /// That `left` is, or is not, one of `values`. `None` if that goes without saying.
    fn compared(&self, left: &Value, values: &[&Value], is: bool) -> Option<Condition> {
        let key = |kind: &str| left.get(kind)?.get("key")?.as_str();
        let protocol = left.get("payload").and_then(|payload| payload.get("protocol")).and_then(Value::as_str);
        let condition = match (key("meta"), key("ct"), protocol) {
            (Some("iifname" | "iif"), ..) => Condition::Interface {
                side: Side::Input,
                names: values.iter().map(|name| interface(name)).collect(),
                is,
            },
            (Some("oifname" | "oif"), ..) => Condition::Interface {
                side: Side::Output,
                names: values.iter().map(|name| interface(name)).collect(),
                is,
            },
            (Some("nfproto"), ..) => {
                let has_ipv4 = values.iter().any(|value| value.as_str() == Some("ipv4"));
                return (has_ipv4 != is).then_some(Condition::Never);
            }
            (_, Some("state"), _) => {
                let states = values.iter().filter_map(|state| state.as_str()).map(str::to_owned).collect();
                Condition::State { states, is }
            }
            (_, _, Some("ip6" | "icmpv6")) => Condition::Never,
            _ => Condition::Perhaps,
        };
        Some(condition)
    }

    /// The values that something is compared with: one, a list, an anonymous set, or a named one.
    fn listed<'v>(&'v self, right: &'v Value) -> Vec<&'v Value> {
        let list = match right {
            Value::String(name) if name.starts_with('@') => self.named(name),
            Value::Array(list) => Some(list.as_slice()),
            Value::Object(object) => object.get("set").and_then(Value::as_array).map(Vec::as_slice),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
        };
        list.map_or_else(|| vec![right], |list| list.iter().map(element).collect())
    }

    fn named(&self, reference: &str) -> Option<&[Value]> {
        let name = reference.strip_prefix('@')?;
        self.sets.get(&[self.family, self.table, name]).copied()
    }

    /// A verdict map: one rule for each verdict, of which one applies at most.
    fn verdicts(&self, conditions: &[Condition], vmap: &Value) -> Vec<Rule> {
        let data = vmap.get("data");
        let pairs = match data {
            Some(Value::String(name)) => self.named(name),
            data => data.and_then(|data| data.get("set")).and_then(Value::as_array).map(Vec::as_slice),
        };
        let rule = |pair: &Value| {
            let (value, verdicts) = (element(pair.get(0)?), pair.get(1)?.as_object()?);
            let (kind, target) = only_entry(verdicts)?;
            let mut conditions = conditions.to_vec();
            conditions
                .extend(vmap.get("key").map_or(Some(Condition::Perhaps), |key| self.compared(key, &[value], true)));
            Some(Rule { conditions, action: verdict(kind, target)? })
        };
        pairs.unwrap_or_default().iter().filter_map(rule).collect()
    }
}

/// An element of a set may be wrapped together with its comment, counter or lifetime.
fn element(value: &Value) -> &Value {
    value.get("elem").and_then(|elem| elem.get("val")).unwrap_or(value)
}

fn interface(name: &Value) -> Name {
    match name.as_str() {
        Some(text) if text.starts_with('@') => Name::Some,
        Some(text) => match text.strip_suffix('*') {
            Some(beginning) => Name::BeginsWith(beginning.to_owned()),
            None => Name::Exactly(text.to_owned()),
        },
        None => Name::Some,
    }
}

/// What only iptables understands: nft knows no more of it than its name. An action, or a condition, or neither.
fn extension(xt: &Value) -> Result<Action, Option<Condition>> {
    let text = |key| xt.get(key).and_then(Value::as_str);
    match (text("type"), text("name")) {
        (Some("target"), Some(name)) => match target(name) {
            // A chain would be one of nft's.
            Action::Jump(_) => Ok(Action::Elsewhere),
            action => Ok(action),
        },
        (Some("match"), Some("comment")) => Err(None),
        (Some("match"), Some("conntrack" | "state")) => Err(Some(Condition::SomeState)),
        _ => Err(Some(Condition::Perhaps)),
    }
}

fn verdict(kind: &str, value: &Value) -> Option<Action> {
    let chain = || value.get("target").and_then(Value::as_str).map(str::to_owned);
    match kind {
        "accept" => Some(Action::Accept),
        "drop" | "reject" => Some(Action::Drop),
        "return" => Some(Action::Return),
        "continue" => Some(Action::Nothing),
        "jump" => chain().map(Action::Jump),
        "goto" => chain().map(Action::Goto),
        _ => None,
    }
}

fn only_entry(object: &Map<String, Value>) -> Option<(&str, &Value)> {
    object.iter().next().map(|(key, value)| (key.as_str(), value))
}

#[cfg(test)]
mod tests {
    use super::super::ruleset::Packet;
    use super::*;

    /// Rules, each as nft prints its list of statements, in a chain `forward` with this policy; whether they drop what goes
    /// out and what comes back.
    fn dropped(policy: &str, rules: &[&str], others: &str) -> [bool; 2] {
        let rules: String = rules
            .iter()
            .map(|expr| {
                format!(r#",{{"rule":{{"family":"inet","table":"t","chain":"forward","handle":1,"expr":[{expr}]}}}}"#)
            })
            .collect();
        let printed = format!(
            r#"{{"nftables":[{{"metainfo":{{"version":"1.0.6"}}}},{{"table":{{"family":"inet","name":"t","handle":1}}}},
            {{"chain":{{"family":"inet","table":"t","name":"forward","hook":"forward","type":"filter","policy":"{policy}"}}}}
            {others}{rules}]}}"#
        );
        let ruleset = read(&printed).expect("it is as nft prints it");
        [Side::Input, Side::Output].map(|side| ruleset.drops(Packet { bridge: "pontoon0", side }).next().is_some())
    }

    fn is(side: &str, names: &str) -> String {
        format!(r#"{{"match":{{"op":"==","left":{{"meta":{{"key":"{side}"}}}},"right":{names}}}}}"#)
    }

    const ACCEPT: &str = r#"{"accept":null}"#;

    #[test]
    fn a_policy_of_drop_drops_and_one_of_accept_does_not() {
        assert_eq!(dropped("drop", &[], ""), [true, true]);
        assert_eq!(dropped("accept", &[], ""), [false, false]);
        assert_eq!(dropped("accept", &[r#"{"counter":{"packets":1,"bytes":2}},{"drop":null}"#], ""), [true, true]);
        assert_eq!(dropped("accept", &[r#"{"reject":{"type":"icmpx","expr":"admin-prohibited"}}"#], ""), [true, true]);
    }

    #[test]
    fn rules_that_name_our_bridge_are_found() {
        for names in
            [r#""pontoon0""#, r#""pon*""#, r#"{"set":["eth0","pontoon0"]}"#, r#"{"set":[{"elem":{"val":"pontoon0"}}]}"#]
        {
            let accepts = format!("{},{ACCEPT}", is("iifname", names));
            assert_eq!(dropped("drop", &[&accepts], ""), [false, true], "{names}");
        }
        let named = r#",{"set":{"family":"inet","table":"t","name":"s","type":"ifname","elem":["pontoon0"]}}"#;
        assert_eq!(dropped("drop", &[&format!("{},{ACCEPT}", is("oifname", r#""@s""#))], named), [true, false]);
        let with_address = format!(
            r#"{},{{"match":{{"op":"==","left":{{"payload":{{"protocol":"ip","field":"daddr"}}}},"right":"10.0.0.1"}}}},{ACCEPT}"#,
            is("iifname", r#""pontoon0""#)
        );
        assert_eq!(dropped("drop", &[&with_address], ""), [false, true]);
        let other = format!("{},{ACCEPT}", is("iifname", r#""docker0""#));
        assert_eq!(dropped("drop", &[&other], ""), [true, true]);
    }

    #[test]
    fn connection_states_count_in_every_spelling() {
        let states = r#"{"match":{"op":"in","left":{"ct":{"key":"state"}},"right":["established","related"]}}"#;
        assert_eq!(dropped("drop", &[&format!("{states},{ACCEPT}")], ""), [true, false]);
        let map = r#"{"vmap":{"key":{"ct":{"key":"state"}},"data":{"set":[["established",{"accept":null}],["new",{"jump":{"target":"out"}}]]}}}"#;
        let out = format!(
            r#",{{"chain":{{"family":"inet","table":"t","name":"out"}}}},{{"rule":{{"family":"inet","table":"t","chain":"out","expr":[{},{ACCEPT}]}}}}"#,
            is("iifname", r#""pontoon0""#)
        );
        assert_eq!(dropped("drop", &[map], &out), [false, false]);
        let opaque = r#"{"xt":{"type":"match","name":"conntrack"}}"#;
        assert_eq!(dropped("drop", &[&format!("{opaque},{ACCEPT}")], ""), [true, false]);
        assert_eq!(
            dropped("accept", &[&format!(r#"{opaque},{{"xt":{{"type":"target","name":"REJECT"}}}}"#)], ""),
            [false, true]
        );
    }

    #[test]
    fn what_is_not_understood_decides_nothing() {
        for odd in [
            r#"{"xt":null}"#,
            "null",
            r#"{"match":{"op":"<","left":1,"right":2}}"#,
            r#"{"limit":{"rate":1}}"#,
            r#"{"new":{}}"#,
        ] {
            assert_eq!(dropped("drop", &[&format!("{odd},{ACCEPT}")], ""), [true, true], "{odd}");
            assert_eq!(dropped("accept", &[&format!(r#"{odd},{{"drop":null}}"#)], ""), [false, false], "{odd}");
        }
        assert_eq!(dropped("drop", &[r#"{"queue":{"num":0}}"#], ""), [false, false]);
        assert_eq!(dropped("drop", &[r#"{"jump":{"target":"not there"}}"#], ""), [false, false]);
    }

    #[test]
    fn rules_for_ipv6_are_not_for_us() {
        let ipv6 = format!("{},{ACCEPT}", is("nfproto", r#""ipv6""#));
        assert_eq!(dropped("drop", &[&ipv6], ""), [true, true]);
        let ipv4 = format!("{},{ACCEPT}", is("nfproto", r#""ipv4""#));
        assert_eq!(dropped("drop", &[&ipv4], ""), [false, false]);
    }

    #[test]
    fn our_own_tables_are_not_foreign() {
        let printed = r#"{"nftables":[{"chain":{"family":"inet","table":"pontoon_1","name":"forward","hook":"forward","policy":"drop"}}]}"#;
        assert_eq!(read(printed), Ok(Ruleset::default()));
        assert!(read("{}").is_err() && read("").is_err());
    }
}
