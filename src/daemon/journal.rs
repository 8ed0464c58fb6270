//! What the daemon logs of what happens to containers, networks and ports: with fields, for whoever searches.

use netns::event::{Container, Event, Membership, Narrator, Network, Port};
use switch::dataplane::{Change, Control};

/// Logs an event.
pub(super) fn log(event: &Event) {
    match event {
        Event::ContainerCreated(Container { container, id }) => tracing::debug!(container, id, "container created"),
        Event::ContainerStarted(Container { container, id }) => tracing::info!(container, id, "container started"),
        Event::ContainerExited { container: Container { container, id }, exit_status } => {
            tracing::info!(container, id, exit_status, "container ended");
        }
        Event::ContainerRemoved(Container { container, id }) => tracing::info!(container, id, "container removed"),
        Event::NetworkCreated(Network { network, id, bridge }) => tracing::info!(network, id, bridge, "network made"),
        Event::NetworkRemoved(Network { network, id, bridge }) => {
            tracing::info!(network, id, bridge, "network removed");
        }
        Event::Connected(Membership { network, container, id }) => {
            tracing::info!(container, id, network, "container connected");
        }
        Event::Disconnected(Membership { network, container, id }) => {
            tracing::info!(container, id, network, "container disconnected");
        }
        Event::PortUp(Port { ifindex, ifname, master }) => {
            tracing::info!(port = ifname, number = ifindex, bridge = master, "port up");
        }
        Event::PortDown(Port { ifindex, ifname, master }) => {
            tracing::info!(port = ifname, number = ifindex, bridge = master, "port down");
        }
        Event::PortRenamed { port: Port { ifindex, ifname, master }, from } => {
            tracing::info!(port = ifname, from, number = ifindex, bridge = master, "port renamed");
        }
        Event::Lost { count } => tracing::warn!(count, "events lost"),
        // Of stations there are too many; `bridge monitor` tells of them.
        Event::Learned(_) | Event::Moved { .. } | Event::Set(_) | Event::Aged(_) | Event::Evicted(_) => {}
    }
}

/// What a change of the data plane that the manager wants is to its ports.
pub(super) fn told<L>(narrator: &mut Narrator, control: &Control<L>) -> Vec<Event> {
    match control {
        Control::AddBridge { bridge, name, .. } => {
            narrator.tell(Change::BridgeUp { bridge: *bridge, name: name.clone() }).into_iter().collect()
        }
        Control::RemoveBridge { bridge } => {
            let gone = narrator.tell_of_all_ends(*bridge);
            narrator.tell(Change::BridgeDown { bridge: *bridge });
            gone
        }
        Control::Plug { bridge, port, config, .. } => {
            let (name, is_local) = (config.name.clone(), config.local.is_some());
            narrator.tell(Change::PortUp { bridge: *bridge, port: *port, name, is_local }).into_iter().collect()
        }
        Control::Unplug { port } => narrator.tell_of_the_end(*port).into_iter().collect(),
        Control::RenamePort { port, name } => narrator.tell_of_a_name(*port, name.clone()).into_iter().collect(),
        Control::SetStation { .. }
        | Control::ClearStation { .. }
        | Control::FlushPort { .. }
        | Control::CountBridge { .. }
        | Control::CountPort { .. }
        | Control::CountDeparted { .. } => Vec::new(),
    }
}
