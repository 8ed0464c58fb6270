//! Whatever comes over the control socket: lines, requests, and what the manager does with those that may be made.
//!
//! An input is what a peer sends. What can be decoded says the same when it is encoded again; carried out in a simulated world,
//! it takes no address twice; and when all containers and networks are removed, nothing is left.

#![no_main]

use std::collections::BTreeSet;
use std::time::Duration;

use control::bounds::{COMMAND_IN_DETAIL, COMMAND_IN_LIST, check};
use control::{Request, RunOrder, Shown, Traffic, decode, encode};
use libfuzzer_sys::fuzz_target;
use netns::linux::wire::framing::{Lines, MAX_MESSAGE};
use netns::manager::{ConnectRequest, ContainerView};
use sim::{Program, World};

/// More than so many requests of one input are left out.
const REQUESTS: usize = 32;
/// No container is given longer to end.
const GRACE: u64 = 3600;

fuzz_target!(|input: &[u8]| {
    let requests: Vec<Request> = lines(input).iter().filter_map(|line| understood(line)).take(REQUESTS).collect();
    if requests.is_empty() {
        return;
    }
    let mut world = World::builder().seed(7).up().expect("a world");
    let at_first = (world.networks().expect("the networks"), world.remains());
    for request in requests {
        carry_out(&mut world, request);
        is_in_order(&mut world);
    }
    remove_everything(&mut world);
    assert_eq!((world.networks().expect("the networks"), world.remains()), at_first);
});

/// The lines of a stream, the same however it comes in pieces.
fn lines(input: &[u8]) -> Vec<Vec<u8>> {
    let whole = lines_of([input]);
    let (one, other) = input.split_at(input.len() / 3);
    assert_eq!(lines_of([one, other]), whole);
    assert_eq!(lines_of(input.chunks(7)), whole);
    whole
}

fn lines_of<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let mut lines = Lines::default();
    let mut taken = Vec::new();
    for piece in pieces {
        lines.push(piece);
        taken.extend(std::iter::from_fn(|| lines.next_line().expect("an input is shorter than a message may be")));
        assert!(lines.len() < MAX_MESSAGE);
    }
    taken
}

/// A request, if it is one: it is within the bounds, and says the same when it is encoded again.
fn understood(line: &[u8]) -> Option<Request> {
    let message = decode(line).ok()?;
    assert_eq!(check(&message.body), Ok(()));
    let again = encode(&message.body, message.fds).expect("what was decoded can be encoded");
    assert_eq!(decode(&again).expect("what we encode can be decoded"), message);
    assert_eq!(again.iter().position(|byte| *byte == b'\n'), Some(again.len() - 1), "a message is one line");
    Some(message.body)
}

/// As the daemon does. What is refused is none of our business here; nothing may panic.
fn carry_out(world: &mut World, request: Request) {
    match request {
        Request::Hello
        | Request::Enter
        | Request::Status
        | Request::Stay
        | Request::Statistics
        | Request::Bridges
        | Request::Stations
        | Request::Monitor
        | Request::Capture(_)
        | Request::Cni(_) => {}
        Request::Down => {
            world.down(Duration::from_secs(1)).expect("all containers end");
            world.up().expect("the next daemon starts");
        }
        Request::Run(order) => run(world, *order),
        Request::Locate(container) | Request::Log(container) => drop(world.logs(&container)),
        Request::Inspect(container) => {
            if let Ok(view) = world.inspect(&container) {
                can_be_told(world, view, COMMAND_IN_DETAIL);
            }
        }
        Request::Stop { container, grace } => {
            drop(world.stop(&container, Duration::from_secs(grace.min(GRACE))));
        }
        Request::Kill { container, signal } => drop(world.kill(&container, signal)),
        Request::Remove { container, force } => drop(world.rm(&container, force)),
        Request::Containers { all } => {
            for view in world.containers(all).expect("a daemon runs") {
                can_be_told(world, view, COMMAND_IN_LIST);
            }
        }
        Request::Networks => drop(world.networks()),
        Request::CreateNetwork(order) => drop(world.create_network((*order).into())),
        Request::RemoveNetwork { network, force: _ } => drop(world.remove_network(&network)),
        Request::PruneNetworks => drop(world.prune_networks().expect("what nobody is on goes")),
        Request::InspectNetwork(network) => drop(world.inspect_network(&network)),
        Request::Connect { network, container, ip, mac, aliases } => {
            let aliases = aliases.into_iter().map(String::from).collect();
            drop(world.connect_network(&network, &container, ConnectRequest { ip, mac, aliases }));
        }
        Request::AddPort { bridge, interface } => drop(world.add_port(&bridge, &interface)),
        Request::RemovePort { bridge, port } => drop(world.remove_port(&bridge, &port)),
        Request::Explain { port, frame } => drop(world.explain(&port, &frame.0)),
        Request::Disconnect { network, container } => drop(world.disconnect_network(&network, &container)),
    }
}

fn run(world: &mut World, order: RunOrder) {
    let (request, process) = order.into_parts();
    let command = process.argv[0].to_string();
    let program = match command.as_str() {
        "true" => Program::Exit(0),
        "stubborn" => Program::IgnoreTerm,
        "nothing" => Program::NotFound(command),
        _ => Program::Sleep,
    };
    drop(world.run(request, program));
}

/// A view fits into an answer, and a client reads it as it was.
fn can_be_told(world: &World, view: ContainerView, limit: usize) {
    let shown = Shown::new(view, limit, &Traffic::by_port(&world.statistics()));
    let text = serde_json::to_vec(&shown).expect("JSON");
    assert!(text.len() < MAX_MESSAGE);
    assert_eq!(serde_json::from_slice::<Shown>(&text).expect("the same"), shown);
}

/// Whoever lives has a name, addresses and MACs that nobody else has, from the subnet of the network that it is on.
fn is_in_order(world: &mut World) {
    let networks = world.bridge_networks().expect("a daemon runs");
    let (mut names, mut addresses, mut macs) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for container in world.containers(false).expect("a daemon runs") {
        for (name, own) in &container.networks {
            let network =
                networks.iter().find(|network| network.name.as_str() == name).expect("a network that is there");
            assert!(network.subnet.contains(&own.ip.addr()), "{own:?} of {network:?}");
            assert!(own.ip.addr() != network.gateway && own.mac != network.mac, "{own:?} of {network:?}");
            assert!(addresses.insert((name.clone(), own.ip.addr())), "{own:?} is somebody else's, too");
            assert!(macs.insert((name.clone(), own.mac.to_string())), "{own:?} is somebody else's, too");
        }
        assert!(names.insert(container.name.clone()), "two are called {}", container.name);
    }
    for (at, one) in networks.iter().enumerate() {
        for other in &networks[at + 1..] {
            assert!(!one.subnet.contains(&other.subnet) && !other.subnet.contains(&one.subnet), "{one:?}, {other:?}");
        }
    }
}

fn remove_everything(world: &mut World) {
    for container in world.containers(true).expect("a daemon runs") {
        // (One of `--rm` that shared another's namespace may have gone with it.)
        let removed = world.rm(&container.id, true);
        assert!(removed.is_ok() || world.inspect(&container.id).is_err(), "{removed:?}");
    }
    world.prune_networks().expect("what nobody is on goes");
}
