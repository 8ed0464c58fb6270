//! [`Addresses`]: where a network's addresses come from, when that is us: `ipam`, in the words of the plugin `host-local`, so that
//! a section of its becomes ours by another `type`.
//!
//! A network of ours has one subnet. So `ranges` has one set of one range, or `ipam` is that range itself.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::Deserialize;
use serde_json::Value;

use crate::arguments::{address, subnet};

/// The most routes that a container gets.
pub const MAX_ROUTES: usize = 64;

/// A subnet, and which part of it addresses are given from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// All of it.
    pub subnet: Option<Ipv4Net>,
    /// The host's address in it.
    pub gateway: Option<Ipv4Addr>,
    /// The first address that is given; the subnet's first without it.
    pub first: Option<Ipv4Addr>,
    /// The last one; the subnet's last without it.
    pub last: Option<Ipv4Addr>,
}

/// A route in a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// Where to.
    pub dst: Ipv4Net,
    /// By whom; by the gateway without it.
    pub gw: Option<Ipv4Addr>,
}

/// What `ipam` says to us.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// Where addresses are from.
    pub range: Range,
    /// A container's routes; the default route without it.
    pub routes: Option<Vec<Way>>,
}

/// Why addresses can not come from there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// There is a key of no meaning.
    Unknown(String),
    /// It is not of the right shape.
    Shape(String),
    /// It can not be meant.
    Meaning(String),
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RawRange {
    subnet: Option<String>,
    gateway: Option<String>,
    range_start: Option<String>,
    range_end: Option<String>,
    #[serde(flatten)]
    further: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct RawRoute {
    dst: String,
    gw: Option<String>,
    #[serde(flatten)]
    further: BTreeMap<String, Value>,
}

impl Addresses {
    /// Reads a section that is ours.
    pub(crate) fn read(ipam: &Value) -> Result<Self, Wrong> {
        let shape = |why: serde_json::Error| Wrong::Shape(format!("ipam: {why}"));
        let mut section = RawRange::deserialize(ipam).map_err(shape)?;
        let _ = section.further.remove("type");
        let ranges = section.further.remove("ranges");
        let ranges = ranges.map(Vec::<Vec<RawRange>>::deserialize).transpose().map_err(shape)?;
        let routes = section.further.remove("routes");
        let routes = routes.map(Vec::<RawRoute>::deserialize).transpose().map_err(shape)?;
        let itself = Range::read(section, "ipam")?;
        let range = match one_range(ranges.unwrap_or_default(), "ipam.ranges")? {
            Some(_) if itself != Range::default() => {
                return Err(Wrong::Meaning("ipam: there is a range beside ranges: a network has one subnet".into()));
            }
            Some(range) => range,
            None => itself,
        };
        let routes = routes.map(|routes| read_routes(&routes)).transpose()?;
        Ok(Addresses { range, routes })
    }
}

impl Range {
    fn read(raw: RawRange, place: &str) -> Result<Self, Wrong> {
        known(&raw.further, place)?;
        let wrong = |key: &'static str| move |why: String| Wrong::Meaning(format!("{place}.{key}: {why}"));
        let one = |text: Option<String>, key| text.map(|text| address(&text)).transpose().map_err(wrong(key));
        let net = raw.subnet.map(|text| subnet(&text)).transpose().map_err(wrong("subnet"))?;
        let range = Range {
            subnet: net,
            gateway: one(raw.gateway, "gateway")?,
            first: one(raw.range_start, "rangeStart")?,
            last: one(raw.range_end, "rangeEnd")?,
        };
        let ends = [("rangeStart", range.first), ("rangeEnd", range.last)];
        for (key, end) in ends.into_iter().filter_map(|(key, end)| Some((key, end?))) {
            match net {
                None => return Err(Wrong::Meaning(format!("{place}.{key}: it needs a subnet beside it"))),
                Some(net) if !net.contains(&end) => {
                    return Err(Wrong::Meaning(format!("{place}.{key}: {end} is not in the subnet {net}")));
                }
                Some(_) => {}
            }
        }
        match (range.first, range.last) {
            (Some(first), Some(last)) if first > last => {
                Err(Wrong::Meaning(format!("{place}: rangeStart {first} is behind rangeEnd {last}")))
            }
            _ => Ok(range),
        }
    }

    /// The first and the last address that are given, if not all of the subnet's are.
    #[must_use]
    pub fn ends(&self) -> Option<(Ipv4Addr, Ipv4Addr)> {
        if self.first.is_none() && self.last.is_none() {
            return None;
        }
        let subnet = self.subnet?;
        Some((self.first.unwrap_or(subnet.network()), self.last.unwrap_or(subnet.broadcast())))
    }
}

/// The one range of a list of sets of them.
pub(crate) fn one_range(sets: Vec<Vec<RawRange>>, place: &str) -> Result<Option<Range>, Wrong> {
    let mut all = sets.into_iter().flatten();
    let Some(range) = all.next() else { return Ok(None) };
    if all.next().is_some() {
        return Err(Wrong::Meaning(format!("{place}: a network has one subnet")));
    }
    let range = Range::read(range, place)?;
    if range.subnet.is_none() {
        return Err(Wrong::Meaning(format!("{place}: it has no subnet")));
    }
    Ok(Some(range))
}

fn read_routes(raw: &[RawRoute]) -> Result<Vec<Way>, Wrong> {
    if raw.len() > MAX_ROUTES {
        return Err(Wrong::Meaning(format!("ipam.routes: {} are too many: at most {MAX_ROUTES}", raw.len())));
    }
    let wrong = |why| Wrong::Meaning(format!("ipam.routes: {why}"));
    let read = |route: &RawRoute| {
        known(&route.further, "ipam.routes")?;
        way(&route.dst, route.gw.as_deref()).map_err(wrong)
    };
    raw.iter().map(read).collect()
}

/// A route, as a configuration or a delegate writes it.
///
/// # Errors
/// What is wrong with it.
pub fn way(dst: &str, gw: Option<&str>) -> Result<Way, String> {
    let dst = subnet(dst)?.trunc();
    let gw = gw.filter(|gw| !gw.is_empty()).map(address).transpose()?;
    Ok(Way { dst, gw })
}

fn known(further: &BTreeMap<String, Value>, place: &str) -> Result<(), Wrong> {
    match further.first_key_value() {
        Some((key, value)) => Err(Wrong::Unknown(format!("{place}.{key}: {value}"))),
        None => Ok(()),
    }
}
