//! ADD: an interface for a container.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use cni::call::Subject;
use cni::configuration::Configuration;
use cni::ipam::{Way, way};
use cni::outcome::{Address, Dns, Interface, Outcome, Route};
use cni::{Code, Failure};
use control::{CniAdd, CniAttached, CniNetwork, CniOrder, CniRoute};
use ipnet::Ipv4Net;

use super::daemon::{Daemon, PATIENCE};
use super::delegate::Delegate;
use super::sandbox::Sandbox;

/// What a delegate has given.
struct Given {
    address: Ipv4Net,
    gateway: Option<Ipv4Addr>,
    routes: Vec<Way>,
    dns: Dns,
}

/// Makes an interface; what the plugins before this one have made is in the result, too.
///
/// # Errors
/// Why there is none. No address is taken then.
pub fn add(subject: &Subject, netns: &str) -> Result<Outcome, Failure> {
    let configuration = &subject.configuration;
    let sandbox = Sandbox::open(netns)?;
    let ifname = subject.attachment.ifname.as_str();
    if sandbox.has(ifname)? {
        let message = format_args!("make the interface {ifname} in {netns}: there is one of this name already");
        return Err(Failure::new(Code::InvalidEnvironment, message));
    }
    let delegate = Delegate::of(configuration, &subject.path)?;
    // Before an address is taken, which would have to be given back.
    let mut daemon = Daemon::reach(configuration, PATIENCE)?;
    let given = delegate.as_ref().map(|delegate| delegate.add().and_then(given)).transpose();
    let made = given.and_then(|given| {
        let order = order(subject, sandbox.path().to_owned(), given.as_ref())?;
        let routes = order.routes.clone();
        let attached = attach(&mut daemon, &sandbox, order)?;
        Ok(outcome(subject, netns, &attached, routes, given))
    });
    if let (Err(_), Some(delegate)) = (&made, &delegate)
        && let Err(failure) = delegate.del()
    {
        tracing::error!("give the address back: {failure}");
    }
    made
}

/// Has the daemon make it. What it still takes for an interface of this container's may have gone with a sandbox that was in this
/// one's place: it is seen a moment later.
fn attach(daemon: &mut Daemon, sandbox: &Sandbox, order: CniAdd) -> Result<CniAttached, Failure> {
    let ask = |daemon: &mut Daemon| daemon.ask(CniOrder::Add(Box::new(order.clone())));
    match ask(daemon) {
        Err(failure) if failure.code == Code::InvalidEnvironment && !sandbox.has(order.ifname.as_str())? => {
            daemon.insist::<()>(CniOrder::Del { key: order.key() })?;
            ask(daemon)
        }
        attached => attached,
    }
}

/// What a delegate's result says to us.
fn given(outcome: Outcome) -> Result<Given, Failure> {
    let wrong = |why: String| Failure::new(Code::InvalidConfiguration, format_args!("ipam: {why}"));
    let [ip] = outcome.ips.as_slice() else {
        return Err(wrong(format!("{} addresses were given: a container has one on a network", outcome.ips.len())));
    };
    let address = cni::arguments::subnet(&ip.address).map_err(wrong)?;
    let gateway = ip.gateway.as_deref().filter(|gateway| !gateway.is_empty());
    let gateway = gateway.map(cni::arguments::address).transpose().map_err(wrong)?;
    let routes = outcome.routes.iter().map(|route| way(&route.dst, route.gw.as_deref()).map_err(wrong));
    Ok(Given { address, gateway, routes: routes.collect::<Result<_, _>>()?, dns: outcome.dns })
}

fn order(subject: &Subject, netns: PathBuf, given: Option<&Given>) -> Result<CniAdd, Failure> {
    let configuration = &subject.configuration;
    let asked = &configuration.capabilities;
    let mut network = network_of(configuration);
    let (mut ip, mut routes) = (subject.ip(), configuration.routes.clone());
    if let Some(given) = given {
        let subnet = given.address.trunc();
        if let Some(other) = network.subnet.filter(|other| *other != subnet) {
            let message = format_args!("ipam: {} was given, and the subnet is {other}", given.address);
            return Err(Failure::new(Code::InvalidConfiguration, message));
        }
        network.subnet = Some(subnet);
        network.gateway = network.gateway.or(given.gateway);
        ip = Some(given.address.addr());
        let mut ways = given.routes.clone();
        if configuration.default_route && !ways.iter().any(|way| way.dst.prefix_len() == 0) {
            ways.push(Way { dst: Ipv4Net::default(), gw: None });
        }
        routes = Some(ways);
    }
    Ok(CniAdd {
        network,
        container: subject.attachment.container.clone(),
        ifname: subject.attachment.ifname.clone(),
        netns,
        name: subject.arguments.name.clone(),
        ip,
        mac: subject.mac(),
        pool: configuration.pool.filter(|_| ip.is_none()),
        aliases: asked.aliases.clone(),
        publish: asked.publish.clone(),
        routes: routes.map(|ways| ways.iter().map(|way| CniRoute { to: way.dst, by: way.gw }).collect()),
    })
}

/// The network of a configuration.
pub fn network_of(configuration: &Configuration) -> CniNetwork {
    CniNetwork {
        name: configuration.name.clone(),
        subnet: configuration.subnet,
        gateway: configuration.gateway,
        mtu: configuration.mtu,
        internal: configuration.internal,
    }
}

fn outcome(
    subject: &Subject,
    netns: &str,
    attached: &CniAttached,
    routes: Option<Vec<CniRoute>>,
    given: Option<Given>,
) -> Outcome {
    let configuration = &subject.configuration;
    let mut outcome = configuration.previous.clone().unwrap_or_default();
    let interface = Interface {
        name: subject.attachment.ifname.as_str().to_owned(),
        mac: attached.mac.to_string(),
        mtu: Some(attached.mtu),
        sandbox: netns.to_owned(),
        ..Interface::default()
    };
    let gateway = attached.gateway.to_string();
    let address = Address {
        address: attached.ip.to_string(),
        gateway: (!attached.internal).then(|| gateway.clone()),
        interface: None,
    };
    let by_default =
        || if attached.internal { Vec::new() } else { vec![CniRoute { to: Ipv4Net::default(), by: None }] };
    let routes = routes.unwrap_or_else(by_default).into_iter().map(|route| Route {
        dst: route.to.to_string(),
        gw: Some(route.by.map_or_else(|| gateway.clone(), |by| by.to_string())),
        ..Route::default()
    });
    outcome.add(interface, vec![address], routes.collect());
    let given = given.map(|given| given.dns).unwrap_or_default();
    outcome.dns = dns(configuration, &outcome.dns, given, attached);
    outcome
}

/// Who resolves names: as the runtime asks, or the configuration says, or the delegate, or the plugins before; and if nobody does, the
/// host's address on the network, which answers for the names of the containers on it.
fn dns(configuration: &Configuration, before: &Dns, given: Dns, attached: &CniAttached) -> Dns {
    let asked = &configuration.capabilities.dns;
    let first = |lists: [&Vec<String>; 4]| lists.into_iter().find(|list| !list.is_empty()).cloned().unwrap_or_default();
    let said = &configuration.dns;
    let mut nameservers = first([&asked.servers, &said.nameservers, &given.nameservers, &before.nameservers]);
    if nameservers.is_empty() {
        nameservers.extend(attached.nameserver.map(|server| server.to_string()));
    }
    let domains = [&said.domain, &given.domain, &before.domain];
    Dns {
        nameservers,
        domain: domains.into_iter().find(|domain| !domain.is_empty()).cloned().unwrap_or_default(),
        search: first([&asked.searches, &said.search, &given.search, &before.search]),
        options: first([&asked.options, &said.options, &given.options, &before.options]),
    }
}
