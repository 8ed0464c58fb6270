//! Published ports: how connections end, and what is remembered of clients.

use std::net::SocketAddr;
use std::time::Duration;

use netns::publish::PortMapping;
use pontoon_sim::net::{TcpStream, UdpSocket};
use pontoon_sim::time::sleep;
use tokio::io::AsyncReadExt;

use super::*;

const LENGTH: usize = 1 << 20;

/// A world with `web`, whose ports these are, as `-p` says it.
fn world_with_web(ports: &[&str]) -> (World, Place) {
    let mut world = world();
    let publish = ports.iter().flat_map(|port| PortMapping::parse(port).expect("a mapping")).collect();
    let name = Some("web".parse().expect("a name"));
    let request = RunRequest { name, publish, detached: true, ..RunRequest::new(vec!["web".into()]) };
    world.run(request, Program::Sleep).expect("a container");
    (world, Place::container("web"))
}

async fn hear(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).await?;
    Ok(heard)
}

async fn accept(port: u16) -> io::Result<TcpStream> {
    TcpListener::bind((ANY, port)).await?.accept().await.map(|(stream, _)| stream)
}

#[test]
fn a_half_closed_connection_stays_half_open_whoever_closes_first() {
    let (mut world, web) = world_with_web(&["8080:80", "8081:81"]);
    let answering = world.exec(&web, async {
        let mut stream = accept(80).await?;
        assert_eq!(hear(&mut stream).await?, b"question");
        // The client has said all, and waits on.
        sleep(Duration::from_secs(100)).await;
        stream.write_all(&some_bytes(LENGTH)).await?;
        stream.shutdown().await
    });
    let heard = world.block_on(&Place::Host, async {
        let mut stream = TcpStream::connect((LOCALHOST, 8080)).await?;
        stream.write_all(b"question").await?;
        stream.shutdown().await?;
        hear(&mut stream).await
    });
    assert!(heard.expect("it is whole") == some_bytes(LENGTH));
    world.block_on(&web, answering.expect("started")).expect("no panic").expect("no error");
    let asking = world.exec(&web, async {
        let mut stream = accept(81).await?;
        stream.write_all(b"question").await?;
        stream.shutdown().await?;
        hear(&mut stream).await
    });
    let asked = world.block_on(&Place::Host, async {
        let mut stream = TcpStream::connect((LOCALHOST, 8081)).await?;
        let asked = hear(&mut stream).await?;
        stream.write_all(&some_bytes(LENGTH)).await?;
        stream.shutdown().await?;
        io::Result::Ok(asked)
    });
    assert_eq!(asked.expect("it is whole"), b"question");
    let heard = world.block_on(&web, asking.expect("started")).expect("no panic").expect("it is whole");
    assert!(heard == some_bytes(LENGTH));
}

#[test]
fn a_reset_is_passed_on_both_ways() {
    let (mut world, web) = world_with_web(&["8080:80"]);
    // Who closes with something unread resets.
    let rude = world.exec(&web, async {
        let stream = accept(80).await?;
        sleep(Duration::from_secs(1)).await;
        drop(stream);
        io::Result::Ok(())
    });
    let heard = world.block_on(&Place::Host, async {
        let mut stream = TcpStream::connect((LOCALHOST, 8080)).await?;
        stream.write_all(b"nobody reads this").await?;
        hear(&mut stream).await
    });
    assert_eq!(heard.expect_err("it is reset").kind(), io::ErrorKind::ConnectionReset);
    drop(rude);
    let server = world.exec(&web, async {
        let mut stream = accept(80).await?;
        stream.write_all(b"nobody reads this").await?;
        hear(&mut stream).await
    });
    world.block_on(&Place::Host, async {
        let stream = TcpStream::connect((LOCALHOST, 8080)).await.expect("connected");
        sleep(Duration::from_secs(1)).await;
        drop(stream);
    });
    let heard = world.block_on(&web, server.expect("started")).expect("no panic");
    assert_eq!(heard.expect_err("it is reset").kind(), io::ErrorKind::ConnectionReset);
}

#[test]
fn what_is_not_whole_when_the_publisher_is_killed_is_reset() {
    let (mut world, web) = world_with_web(&["8080:80"]);
    let server = world.exec(&web, async { hear(&mut accept(80).await?).await });
    let client = world.exec(&Place::Host, async {
        let mut stream = TcpStream::connect((LOCALHOST, 8080)).await?;
        stream.write_all(b"half of it").await?;
        hear(&mut stream).await
    });
    world.advance(Duration::from_secs(1));
    world.kill_publisher("web");
    for (place, end) in [(&web, server), (&Place::Host, client)] {
        let heard = world.block_on(place, end.expect("started")).expect("no panic");
        assert_eq!(heard.expect_err("it is reset").kind(), io::ErrorKind::ConnectionReset);
    }
    assert_eq!(world.published_to("web"), Some(FIRST), "another has the ports");
}

#[test]
fn what_a_container_says_last_is_heard() {
    let mut world = world();
    let publish = PortMapping::parse("8080:80").expect("a mapping");
    let web = world.spawn(RunRequest { publish, ..RunRequest::new(vec!["web".into()]) }, async || {
        let mut stream = accept(80).await?;
        stream.write_all(b"goodbye").await?;
        stream.shutdown().await
    });
    let heard = world.block_on(&Place::Host, async { hear(&mut TcpStream::connect((LOCALHOST, 8080)).await?).await });
    assert_eq!(web.expect("a container").status(), Some(0));
    // The container has gone with its interface before the client had ended its half, so that this is the most it can hear.
    assert!(heard.is_ok_and(|heard| heard == b"goodbye"));
    world.block_on(&Place::Host, async { TcpListener::bind((ANY, 8080)).await.map(drop) }).expect("the port is free");
}

#[test]
fn clients_of_datagrams_are_told_apart_and_forgotten_when_they_are_silent() {
    let (mut world, web) = world_with_web(&["5300:53/udp"]);
    world
        .exec(&web, async {
            let socket = UdpSocket::bind((ANY, 53)).await?;
            loop {
                let (_, from) = socket.recv_from(&mut [0; 100]).await?;
                socket.send_to(from.to_string().as_bytes(), from).await?;
            }
            #[expect(unreachable_code, reason = "it says of which type this is")]
            io::Result::Ok(())
        })
        .expect("started");
    let sockets = [5001, 5002].map(|port| world.udp_bind(&Place::Host, ANY, port).expect("bound"));
    let ask = |world: &mut World, socket| {
        world.udp_send(socket, SocketAddr::from((LOCALHOST, 5300)), b"who am I?").expect("sent");
        let (from, told) = world.udp_recv(socket, Duration::from_secs(1)).expect("an answer");
        assert_eq!(from, SocketAddr::from((LOCALHOST, 5300)));
        String::from_utf8(told).expect("text")
    };
    let first = sockets.map(|socket| ask(&mut world, socket));
    assert!(first[0] != first[1] && first.iter().all(|told| told.starts_with("172.17.0.1:")), "{first:?}");
    world.advance(Duration::from_secs(59));
    assert_eq!(ask(&mut world, sockets[0]), first[0], "it is still known");
    world.advance(Duration::from_secs(59));
    assert_eq!(ask(&mut world, sockets[0]), first[0], "each word counts anew");
    assert_ne!(ask(&mut world, sockets[1]), first[1], "it was silent for a minute");
    world.advance(Duration::from_secs(61));
    let before = world.events();
    world.advance(Duration::from_secs(24 * 3600));
    assert!(world.events() - before < 10, "nobody is left to be forgotten");
}
