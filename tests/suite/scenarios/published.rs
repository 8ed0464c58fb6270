//! Published ports: who reaches them, and what becomes of them when something else goes.

use super::scenarios;
use crate::lab::{HOST, Lab, NetError, NetworkOrder, Order, Place, address, create, inspect, run};

scenarios![
    a_published_port_is_reached_from_everywhere,
    datagrams_to_a_published_port_are_answered_from_where_they_were_sent_to,
    a_port_of_one_address_is_published_there_only,
    a_published_port_that_nobody_serves_resets_its_clients,
    a_published_port_that_is_taken_is_told_and_nothing_stays,
    published_ports_are_free_when_their_container_ends,
    published_ports_stay_taken_without_a_daemon_and_pass_on_with_the_next,
    published_ports_follow_a_container_to_its_next_network,
    a_container_on_an_internal_network_publishes_nothing_yet,
    a_publisher_that_somebody_kills_is_replaced,
];

const PEER: &str = "hello from 172.17.0.1";

fn tells(lab: &mut dyn Lab, from: Place<'_>, to: &str, port: u16) -> Result<String, NetError> {
    lab.tell(from, address(to), port, "hello")
}

/// Runs `web` with these ports, and a server behind port 80.
fn serve_web(lab: &mut dyn Lab, ports: &[&str]) {
    let order = ports.iter().fold(Order::new("web"), |order, port| order.publish(port));
    run(lab, order);
    lab.serve(Place::In("web"), 80);
}

fn a_published_port_is_reached_from_everywhere(lab: &mut dyn Lab) {
    lab.add_outside();
    lab.up();
    create(lab, NetworkOrder::new("red"));
    serve_web(lab, &["8080:80"]);
    run(lab, Order::new("db"));
    run(lab, Order::new("far").network("red"));
    for (from, to) in [
        (Place::Host, "127.0.0.1"),
        (Place::Host, HOST),
        (Place::Host, "172.17.0.1"),
        (Place::Outside, HOST),
        (Place::In("db"), "172.17.0.1"),
        (Place::In("db"), HOST),
        (Place::In("far"), "172.18.0.1"),
        (Place::In("far"), "172.17.0.1"),
        (Place::In("far"), HOST),
        (Place::In("web"), "172.17.0.1"),
    ] {
        assert_eq!(tells(lab, from, to, 8080), Ok(PEER.to_owned()), "{from:?} to {to}");
    }
    assert_eq!(inspect(lab, "web").published, ["0.0.0.0:8080->80/tcp"]);
}

fn datagrams_to_a_published_port_are_answered_from_where_they_were_sent_to(lab: &mut dyn Lab) {
    lab.add_outside();
    lab.up();
    create(lab, NetworkOrder::new("red"));
    serve_web(lab, &["5300:80/udp"]);
    run(lab, Order::new("far").network("red"));
    for (from, to) in [
        (Place::Host, "127.0.0.1"),
        (Place::Host, HOST),
        (Place::Outside, HOST),
        (Place::In("far"), "172.18.0.1"),
        (Place::In("far"), "172.17.0.1"),
    ] {
        for _ in 0..2 {
            let told = lab.tell_by_udp(from, address(to), 5300, "hello");
            assert_eq!(told.as_deref(), Some(PEER), "{from:?} to {to}");
        }
    }
}

fn a_port_of_one_address_is_published_there_only(lab: &mut dyn Lab) {
    lab.add_outside();
    lab.up();
    serve_web(lab, &["127.0.0.1:8080:80", "10.200.0.1:8081:80"]);
    assert_eq!(tells(lab, Place::Host, "127.0.0.1", 8080), Ok(PEER.to_owned()));
    assert_eq!(tells(lab, Place::Outside, HOST, 8080), Err(NetError::Refused));
    assert_eq!(tells(lab, Place::Outside, HOST, 8081), Ok(PEER.to_owned()));
    assert_eq!(tells(lab, Place::Host, "127.0.0.1", 8081), Err(NetError::Refused));
    assert_eq!(tells(lab, Place::Host, "127.0.0.1", 80), Err(NetError::Refused));
}

fn a_published_port_that_nobody_serves_resets_its_clients(lab: &mut dyn Lab) {
    lab.up();
    run(lab, Order::new("web").publish("8080:80"));
    assert_eq!(tells(lab, Place::Host, "127.0.0.1", 8080), Err(NetError::Reset));
}

fn a_published_port_that_is_taken_is_told_and_nothing_stays(lab: &mut dyn Lab) {
    lab.up();
    let before = lab.census();
    let own = lab.listen(Place::Host, 8081).expect("it is free");
    let order = || Order::new("web").publish("8080:80").publish("8081:81");
    let refused = lab.run(order()).expect_err("a port is taken");
    let said = (refused.status, refused.message.as_str());
    assert_eq!(said, (125, "publish 0.0.0.0:8081/tcp: Address already in use"));
    assert_eq!(lab.census(), before);
    let other = lab.listen(Place::Host, 8080).expect("the other port is free again");
    lab.close(own);
    lab.close(other);
    run(lab, order());
    let refused = lab.run(Order::new("db").publish("127.0.0.1:8080:80")).expect_err("a container has it");
    let said = "publish 127.0.0.1:8080/tcp: Address already in use: container web publishes it";
    assert_eq!((refused.status, refused.message.as_str()), (125, said));
    assert_eq!(lab.listen(Place::Host, 8080), Err(NetError::AddressInUse));
}

fn published_ports_are_free_when_their_container_ends(lab: &mut dyn Lab) {
    lab.up();
    for end in ["stop", "kill", "rm", "shim"] {
        serve_web(lab, &["8080:80", "8080:80/udp"]);
        assert_eq!(tells(lab, Place::Host, "127.0.0.1", 8080), Ok(PEER.to_owned()), "{end}");
        assert_eq!(lab.listen(Place::Host, 8080), Err(NetError::AddressInUse), "{end}");
        match end {
            "stop" => lab.stop("web", 0).expect("stop"),
            "kill" => lab.kill("web", 9).expect("kill"),
            "rm" => lab.rm("web", true).expect("rm"),
            _ => lab.kill_shim("web"),
        }
        lab.eventually("the port is free", &mut |lab| match lab.listen(Place::Host, 8080) {
            Ok(listener) => {
                lab.close(listener);
                true
            }
            Err(_) => false,
        });
        if end != "rm" {
            lab.wait_ended("web");
            lab.rm("web", true).expect("rm");
        }
    }
}

fn published_ports_stay_taken_without_a_daemon_and_pass_on_with_the_next(lab: &mut dyn Lab) {
    lab.up();
    serve_web(lab, &["8080:80"]);
    assert_eq!(tells(lab, Place::Host, "127.0.0.1", 8080), Ok(PEER.to_owned()));
    lab.kill_daemon();
    assert_eq!(lab.listen(Place::Host, 8080), Err(NetError::AddressInUse));
    lab.up();
    assert_eq!(tells(lab, Place::Host, "127.0.0.1", 8080), Ok(PEER.to_owned()));
}

fn published_ports_follow_a_container_to_its_next_network(lab: &mut dyn Lab) {
    lab.up();
    create(lab, NetworkOrder::new("red"));
    serve_web(lab, &["8080:80"]);
    lab.connect_network("red", "web", None).expect("connect");
    assert_eq!(tells(lab, Place::Host, "127.0.0.1", 8080), Ok(PEER.to_owned()));
    lab.disconnect_network("bridge", "web").expect("disconnect");
    assert_eq!(tells(lab, Place::Host, "127.0.0.1", 8080), Ok("hello from 172.18.0.1".to_owned()));
    lab.disconnect_network("red", "web").expect("disconnect");
    let own = lab.listen(Place::Host, 8080).expect("there is nowhere to pass anything to");
    lab.close(own);
    lab.connect_network("bridge", "web", None).expect("connect");
    assert_eq!(tells(lab, Place::Host, "127.0.0.1", 8080), Ok(PEER.to_owned()));
}

fn a_container_on_an_internal_network_publishes_nothing_yet(lab: &mut dyn Lab) {
    lab.up();
    create(lab, NetworkOrder::new("inner").internal());
    let warnings = lab.run_warned(Order::new("web").network("inner").publish("8080:80"));
    let expected = "published ports are ignored as long as the container is on --internal networks only";
    assert_eq!(warnings, [expected]);
    lab.serve(Place::In("web"), 80);
    assert_eq!(tells(lab, Place::Host, "127.0.0.1", 8080), Err(NetError::Refused));
    lab.connect_network("bridge", "web", None).expect("connect");
    assert_eq!(tells(lab, Place::Host, "127.0.0.1", 8080), Ok(PEER.to_owned()));
    lab.disconnect_network("bridge", "web").expect("disconnect");
    assert_eq!(tells(lab, Place::Host, "127.0.0.1", 8080), Err(NetError::Refused));
}

fn a_publisher_that_somebody_kills_is_replaced(lab: &mut dyn Lab) {
    lab.up();
    serve_web(lab, &["8080:80"]);
    lab.kill_publisher("web");
    assert_eq!(tells(lab, Place::Host, "127.0.0.1", 8080), Ok(PEER.to_owned()));
    assert_eq!(inspect(lab, "web").published, ["0.0.0.0:8080->80/tcp"]);
}
