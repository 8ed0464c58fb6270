//! Sockets, as programs see them: what Linux says.

use std::io::ErrorKind;
use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

use pontoon_sim::net::{TcpListener, TcpStream, UdpSocket};
use pontoon_sim::task;
use pontoon_sim::time::{Instant, sleep, timeout};
use tokio::io::AsyncReadExt;

use super::*;

const SOON: Duration = Duration::from_secs(5);

/// A server on `web` and a client on `db`, until the client is done.
fn between<S: Exit, T: 'static>(
    server: impl AsyncFnOnce(TcpListener) -> S + 'static,
    client: impl Future<Output = T> + 'static,
) -> T {
    let mut world = world();
    spawn(&mut world, "web", "bridge", async || {
        let listener = TcpListener::bind("0.0.0.0:80").await.expect("a listener");
        server(listener).await
    });
    let db = start(&mut world, "db", "bridge");
    world.block_on(&db, client)
}

/// A connection to that server.
async fn connected() -> TcpStream {
    TcpStream::connect((FIRST, 80)).await.expect("a connection")
}

fn kind<T>(result: io::Result<T>) -> ErrorKind {
    result.map(drop).expect_err("an error").kind()
}

#[test]
fn both_ends_know_their_addresses() {
    let (local, peer) = between(
        async |listener: TcpListener| {
            let (stream, peer) = listener.accept().await?;
            assert_eq!(listener.local_addr()?, SocketAddr::from((ANY, 80)));
            assert_eq!((stream.local_addr()?, stream.peer_addr()?), ((FIRST, 80).into(), peer));
            io::Result::Ok(())
        },
        async {
            let stream = connected().await;
            assert!(!stream.nodelay().expect("open"));
            stream.set_nodelay(true).expect("open");
            assert!(stream.nodelay().expect("open"));
            (stream.local_addr().expect("open"), stream.peer_addr().expect("open"))
        },
    );
    assert_eq!((local.ip(), peer), (SECOND.into(), (FIRST, 80).into()));
}

#[test]
fn errors_are_those_of_linux() {
    let mut world = world();
    let web = start(&mut world, "web", "bridge");
    let none = start(&mut world, "none", "none");
    world.block_on(&web, async {
        let waited = |began: Instant| began.elapsed().as_secs();
        assert_eq!(kind(TcpStream::connect((GATEWAY, 80)).await), ErrorKind::ConnectionRefused);
        let began = Instant::now();
        assert_eq!(kind(TcpStream::connect("172.17.9.9:80").await), ErrorKind::HostUnreachable);
        assert_eq!(waited(began), 3);
        let _first = TcpListener::bind("0.0.0.0:80").await.expect("a listener");
        assert_eq!(kind(TcpListener::bind((FIRST, 80)).await), ErrorKind::AddrInUse);
        assert_eq!(kind(TcpListener::bind((SECOND, 81)).await), ErrorKind::AddrNotAvailable);
        let _first = UdpSocket::bind("0.0.0.0:80").await.expect("a socket");
        assert_eq!(kind(UdpSocket::bind("0.0.0.0:80").await), ErrorKind::AddrInUse);
        assert_eq!(kind(UdpSocket::bind((SECOND, 81)).await), ErrorKind::AddrNotAvailable);
        assert_eq!(kind(TcpStream::connect("no port").await), ErrorKind::InvalidInput);
        assert_eq!(kind(TcpStream::connect("web:99999").await), ErrorKind::InvalidInput);
        assert_eq!(kind(TcpStream::connect(&[][..]).await), ErrorKind::InvalidInput);
        // There is no IPv6 in a container, as long as nobody switches it on.
        assert_eq!(kind(TcpStream::connect((Ipv6Addr::LOCALHOST, 80)).await), ErrorKind::AddrNotAvailable);
        assert_eq!(kind(TcpListener::bind((Ipv6Addr::LOCALHOST, 80)).await), ErrorKind::AddrNotAvailable);
    });
    world.block_on(&none, async {
        assert_eq!(kind(TcpStream::connect((FIRST, 80)).await), ErrorKind::NetworkUnreachable);
        let socket = UdpSocket::bind("0.0.0.0:0").await.expect("a socket");
        assert_eq!(kind(socket.send_to(b"x", (FIRST, 80)).await), ErrorKind::NetworkUnreachable);
        assert_eq!(kind(socket.send(b"x").await), ErrorKind::NotConnected);
    });
}

#[test]
fn a_peer_that_falls_silent_times_out() {
    let mut world = world();
    spawn(&mut world, "web", "bridge", echo);
    let db = start(&mut world, "db", "bridge");
    let talk = world.exec(&db, async {
        let mut stream = TcpStream::connect((FIRST, 7)).await.expect("a connection");
        let mut byte = [0];
        sleep(Duration::from_secs(2)).await;
        stream.write_all(b"x").await.expect("there is room");
        let began = Instant::now();
        let failed = kind(stream.read_exact(&mut byte).await);
        (failed, began.elapsed().as_secs(), kind(stream.write_all(b"x").await))
    });
    world.advance(Duration::from_secs(1));
    world.set_link(&Place::container("web"), "eth0", false).expect("off");
    let told = world.block_on(&Place::Host, talk.expect("started")).expect("no panic");
    assert_eq!(told, (ErrorKind::TimedOut, 924, ErrorKind::BrokenPipe));
}

#[test]
fn a_listener_for_whom_too_many_wait_does_not_answer() {
    world().block_on(&Place::Host, async {
        let listener = TcpListener::bind("127.0.0.1:80").await.expect("a listener");
        let mut waiting = Vec::new();
        for _ in 0..128 {
            waiting.push(TcpStream::connect("127.0.0.1:80").await.expect("a connection"));
        }
        let began = Instant::now();
        assert_eq!(kind(TcpStream::connect("127.0.0.1:80").await), ErrorKind::TimedOut);
        assert_eq!(began.elapsed().as_secs(), 131);
        let next = task::spawn(TcpStream::connect("127.0.0.1:80"));
        sleep(SOON).await;
        assert!(!next.is_finished());
        listener.accept().await.expect("a connection");
        next.await.expect("no panic").expect("there is room for it now");
    });
}

#[test]
fn a_listener_is_closed_with_its_last_owner_and_its_port_is_free() {
    world().block_on(&Place::Host, async {
        for _ in 0..3 {
            let listener = TcpListener::bind("127.0.0.1:80").await.expect("the port is free");
            let client = TcpStream::connect("127.0.0.1:80").await.expect("a connection");
            let (server, _) = listener.accept().await.expect("a connection");
            drop(listener);
            assert_eq!(kind(TcpStream::connect("127.0.0.1:80").await), ErrorKind::ConnectionRefused);
            // What was connected stays so.
            let (mut client, mut server) = (client, server);
            client.write_all(b"x").await.expect("there is room");
            assert_eq!(server.read_u8().await.expect("a byte"), b'x');
        }
    });
}

#[test]
fn who_has_said_all_can_still_listen() {
    let heard = between(
        async |listener: TcpListener| {
            let (mut stream, _) = listener.accept().await?;
            let mut all = Vec::new();
            stream.read_to_end(&mut all).await?;
            sleep(SOON).await;
            all.reverse();
            stream.write_all(&all).await
        },
        async {
            let mut stream = connected().await;
            stream.write_all(b"abc").await.expect("there is room");
            stream.shutdown().await.expect("open");
            assert_eq!(kind(stream.write_all(b"d").await), ErrorKind::BrokenPipe);
            let mut heard = String::new();
            stream.read_to_string(&mut heard).await.expect("text");
            heard
        },
    );
    assert_eq!(heard, "cba");
}

#[test]
fn a_half_that_writes_says_when_it_is_dropped_that_this_was_all() {
    between(
        async |listener: TcpListener| {
            loop {
                echo_once(&listener).await.expect("an echo");
            }
        },
        async {
            let (mut reader, mut writer) = connected().await.into_split();
            let writing = task::spawn(async move {
                writer.write_all(&some_bytes(500_000)).await.expect("written");
            });
            let mut heard = Vec::new();
            reader.read_to_end(&mut heard).await.expect("the end");
            writing.await.expect("written");
            assert_eq!(heard, some_bytes(500_000));

            let (reader, writer) = connected().await.into_split();
            let (other, _) = connected().await.into_split();
            let apart = writer.reunite(other).expect_err("of two streams");
            let mut stream = reader.reunite(apart.1).expect("of one stream");
            stream.write_all(b"x").await.expect("still open");
        },
    );
}

#[test]
fn who_leaves_data_unread_resets_and_the_other_hears_it_once() {
    let (read, again, write) = between(
        async |listener: TcpListener| {
            let (stream, _) = listener.accept().await?;
            stream.readable().await?;
            drop(stream);
            std::future::pending::<io::Result<()>>().await
        },
        async {
            let mut stream = connected().await;
            stream.write_all(b"never read").await.expect("there is room");
            let (mut byte, _) = ([0], ());
            let read = kind(stream.read(&mut byte).await);
            (read, stream.read(&mut byte).await.expect("the end"), kind(stream.write_all(b"x").await))
        },
    );
    assert_eq!((read, again, write), (ErrorKind::ConnectionReset, 0, ErrorKind::BrokenPipe));
}

#[test]
fn who_writes_to_somebody_who_is_gone_breaks_the_pipe() {
    let told = between(
        async |listener: TcpListener| {
            drop(listener.accept().await?);
            std::future::pending::<io::Result<()>>().await
        },
        async {
            let mut stream = connected().await;
            assert_eq!(stream.read(&mut [0]).await.expect("the end"), 0);
            // The first is on its way before anybody can object.
            stream.write_all(b"x").await.expect("there is room");
            sleep(SOON).await;
            kind(stream.write_all(b"x").await)
        },
    );
    assert_eq!(told, ErrorKind::BrokenPipe);
}

#[test]
fn a_slow_reader_slows_the_writer_down_and_loses_nothing() {
    let (written, heard) = between(
        async |listener: TcpListener| {
            let (mut stream, _) = listener.accept().await?;
            stream.write_all(&some_bytes(2_000_000)).await?;
            stream.shutdown().await?;
            stream.read_to_end(&mut Vec::new()).await.map(drop)
        },
        async {
            let mut stream = connected().await;
            sleep(SOON).await;
            let (mut heard, mut piece) = (Vec::new(), [0; 777]);
            loop {
                match stream.read(&mut piece).await.expect("data") {
                    0 => break,
                    len => heard.extend_from_slice(&piece[..len]),
                }
                if heard.len() % 100 == 0 {
                    sleep(Duration::from_millis(1)).await;
                }
            }
            (some_bytes(2_000_000), heard)
        },
    );
    assert!(written == heard);
}

#[test]
fn a_million_tiny_writes_arrive_in_far_fewer_packets() {
    let mut world = world();
    spawn(&mut world, "web", "bridge", async || {
        let listener = TcpListener::bind("0.0.0.0:80").await?;
        let (mut stream, _) = listener.accept().await?;
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await?;
        stream.write_u32(all.len() as u32).await
    });
    let db = start(&mut world, "db", "bridge");
    let arrived = world.block_on(&db, async {
        let mut stream = connected().await;
        for number in 0..1_000_000_u32 {
            stream.write_all(&[number as u8]).await.expect("there is room");
        }
        stream.shutdown().await.expect("open");
        stream.read_u32().await.expect("an answer")
    });
    assert_eq!(arrived, 1_000_000);
    let packets = world.interfaces(&db).expect("seen")[1].tx_packets;
    assert!(packets < 3000, "{packets}");
}

#[test]
fn what_was_given_up_half_way_loses_nothing() {
    between(
        async |listener: TcpListener| {
            // Nobody comes for a while; then somebody does, and is not lost.
            while timeout(Duration::from_millis(7), listener.accept()).await.is_err() {}
            let accepted = timeout(SOON, listener.accept()).await;
            accepted.expect("in time").map(drop)
        },
        async {
            sleep(Duration::from_millis(20)).await;
            let first = connected().await;
            let mut second = connected().await;
            assert_eq!(second.read(&mut [0]).await.expect("the end"), 0);
            drop(first);
            // A connection that was given up half way is none, and its port is free.
            let nobody = timeout(Duration::from_millis(1), TcpStream::connect("172.17.9.9:80")).await;
            assert!(nobody.is_err());
        },
    );
    let (mut world, _, _) = world_of_two();
    world.block_on(&Place::container("web"), async {
        let socket = UdpSocket::bind("0.0.0.0:53").await.expect("a socket");
        let other = UdpSocket::bind("0.0.0.0:0").await.expect("a socket");
        for _ in 0..5 {
            assert!(timeout(Duration::from_millis(1), socket.recv_from(&mut [0; 9])).await.is_err());
        }
        for number in 0..5_u8 {
            other.send_to(&[number], (LOCALHOST, 53)).await.expect("sent");
        }
        let mut buffer = [0; 9];
        for number in 0..5_u8 {
            let taken = timeout(SOON, socket.recv(&mut buffer)).await.expect("in time").expect("a datagram");
            assert_eq!(buffer[..taken], [number]);
        }
    });
}

#[test]
fn a_connection_with_oneself_is_one_like_any_other() {
    let mut world = world();
    let web = start(&mut world, "web", "bridge");
    world.block_on(&web, async {
        let listener = TcpListener::bind((FIRST, 0)).await.expect("a listener");
        let at = listener.local_addr().expect("open");
        let (client, server) = tokio::join!(TcpStream::connect(at), listener.accept());
        let (mut client, (mut server, _)) = (client.expect("a connection"), server.expect("a connection"));
        let sent = some_bytes(300_000);
        let copy = sent.clone();
        task::spawn(async move { client.write_all(&copy).await });
        let mut heard = Vec::new();
        server.read_to_end(&mut heard).await.expect("the end");
        assert!(heard == sent);
    });
}

#[test]
fn a_socket_that_is_connected_takes_datagrams_of_its_peer_only() {
    let (mut world, web, db) = world_of_two();
    let server = world.exec(&web, async {
        let (one, two) = (UdpSocket::bind("0.0.0.0:1").await?, UdpSocket::bind("0.0.0.0:2").await?);
        let mut buffer = [0; 4];
        let (len, client) = one.recv_from(&mut buffer).await?;
        two.send_to(b"from another", client).await?;
        one.send_to(&buffer[..len], client).await?;
        io::Result::Ok(client)
    });
    let (heard, own) = world.block_on(&db, async {
        let socket = UdpSocket::bind("0.0.0.0:0").await.expect("a socket");
        socket.connect((FIRST, 1)).await.expect("an address");
        assert_eq!(socket.peer_addr().expect("connected"), (FIRST, 1).into());
        socket.send(b"longer than four").await.expect("sent");
        let mut buffer = [0; 100];
        let len = socket.recv(&mut buffer).await.expect("a datagram");
        assert_eq!(kind(socket.try_recv(&mut buffer)), ErrorKind::WouldBlock);
        (buffer[..len].to_vec(), socket.local_addr().expect("open"))
    });
    // What did not fit was lost.
    assert_eq!(heard, b"long");
    let client = world.block_on(&Place::Host, server.expect("started")).expect("no panic").expect("a datagram");
    assert_eq!(client, (SECOND, own.port()).into());
}

#[test]
fn what_would_have_to_wait_says_so_when_it_only_tries() {
    between(
        async |listener: TcpListener| {
            let (mut stream, _) = listener.accept().await?;
            sleep(SOON).await;
            stream.write_all(b"late").await?;
            std::future::pending::<io::Result<()>>().await
        },
        async {
            let stream = connected().await;
            let mut buffer = [0; 8];
            assert_eq!(kind(stream.try_read(&mut buffer)), ErrorKind::WouldBlock);
            let full = loop {
                if let Err(why) = stream.try_write(&[0; 10_000]) {
                    break why.kind();
                }
                assert!(Instant::now() + SOON > Instant::now());
            };
            assert_eq!(full, ErrorKind::WouldBlock);
            stream.readable().await.expect("open");
            assert_eq!(stream.peek(&mut buffer).await.expect("data"), 4);
            assert_eq!(stream.try_read(&mut buffer).expect("data"), 4);
            assert_eq!(&buffer[..4], b"late");
        },
    );
}

#[test]
fn sockets_can_be_held_by_what_is_sent_between_threads() {
    fn is_send<T: Send + Sync>() {}
    is_send::<TcpStream>();
    is_send::<TcpListener>();
    is_send::<UdpSocket>();
    is_send::<pontoon_sim::time::Sleep>();
    is_send::<pontoon_sim::net::tcp::OwnedWriteHalf>();
}

#[test]
#[should_panic(expected = "a socket of one world was used by a program of another")]
fn a_socket_is_of_its_own_world_only() {
    let (mut one, mut two) = (world(), world());
    let socket = one.block_on(&Place::Host, UdpSocket::bind("127.0.0.1:0")).expect("a socket");
    two.block_on(&Place::Host, async move { socket.send_to(b"x", (LOCALHOST, 9)).await.map(drop) }).expect("sent");
}
