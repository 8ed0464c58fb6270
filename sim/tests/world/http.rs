//! A real protocol library, written for sockets of any kind, over the simulated ones: HTTP/1.1 by hyper.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use pontoon_sim::net::{TcpListener, TcpStream};
use pontoon_sim::print;
use pontoon_sim::task;
use pontoon_sim::time::{Instant, sleep, timeout};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::*;

/// A body's length, in bytes.
const LONG: usize = 3_000_000;
const PATIENCE: Duration = Duration::from_secs(10);

/// A socket, with hyper's names for what it does.
struct Socket(TcpStream);

impl hyper::rt::Read for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut cursor: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut space = [0; 16 * 1024];
        let room = cursor.remaining().min(space.len());
        let mut buffer = ReadBuf::new(&mut space[..room]);
        let read = Pin::new(&mut self.0).poll_read(cx, &mut buffer);
        cursor.put_slice(buffer.filled());
        read
    }
}

impl hyper::rt::Write for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// Answers with what it is sent, backwards; and says which of its connections that was.
async fn server() -> io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:80").await?;
    for connection in 0.. {
        let (stream, _) = listener.accept().await?;
        let answer = move |request: Request<Incoming>| async move {
            let is_post = request.method() == Method::POST;
            let mut body = request.into_body().collect().await?.to_bytes().to_vec();
            body.reverse();
            let mut response = Response::new(Full::new(Bytes::from(body)));
            response.headers_mut().insert("connection-number", connection.into());
            if !is_post {
                *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            }
            Ok::<_, hyper::Error>(response)
        };
        let serve = hyper::server::conn::http1::Builder::new().serve_connection(Socket(stream), service_fn(answer));
        task::spawn(serve);
    }
    Ok(())
}

type Client = SendRequest<Full<Bytes>>;

async fn connect() -> io::Result<Client> {
    let stream = TcpStream::connect("web:80").await?;
    let (client, connection) = hyper::client::conn::http1::handshake(Socket(stream)).await.map_err(io::Error::other)?;
    task::spawn(connection);
    Ok(client)
}

/// The number of the connection, and the body.
async fn post(client: &mut Client, body: Vec<u8>) -> Result<(String, Vec<u8>), hyper::Error> {
    client.ready().await?;
    let request = Request::post("/").header("host", "web").body(Full::new(Bytes::from(body)));
    let response = client.send_request(request.expect("a request")).await?;
    assert_eq!(response.status(), StatusCode::OK);
    let number = response.headers()["connection-number"].to_str().expect("a number").to_owned();
    Ok((number, response.into_body().collect().await?.to_bytes().to_vec()))
}

fn backwards(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().rev().copied().collect()
}

/// A world with a network on which names lead to containers, and a server on it.
fn world_with_server() -> World {
    let mut world = world();
    world.create_network(programs::network_request("shop")).expect("a network");
    spawn(&mut world, "web", "shop", server);
    world
}

#[test]
fn requests_with_long_bodies_share_one_connection() {
    let mut world = world_with_server();
    let client = spawn(&mut world, "client", "shop", async || {
        let mut client = connect().await.expect("a connection");
        for round in 0..4 {
            let body = some_bytes(LONG + round);
            let (number, answer) = post(&mut client, body.clone()).await.expect("an answer");
            assert!(answer == backwards(&body));
            assert_eq!(number, "0");
            sleep(Duration::from_secs(40)).await;
        }
        let get = Request::get("/").header("host", "web").body(Full::new(Bytes::new())).expect("a request");
        assert_eq!(client.send_request(get).await.expect("an answer").status(), StatusCode::METHOD_NOT_ALLOWED);
    });
    assert_eq!(world.wait(&client, Duration::from_secs(3600)), Ok(0));
}

#[test]
fn many_clients_are_served_at_the_same_time() {
    let mut world = world_with_server();
    let clients: Vec<_> = (0..5)
        .map(|number| {
            spawn(&mut world, &format!("client{number}"), "shop", async move || {
                let mut client = connect().await.expect("a connection");
                let body = some_bytes(LONG / 10 * (number + 1));
                let (_, answer) = post(&mut client, body.clone()).await.expect("an answer");
                assert!(answer == backwards(&body));
            })
        })
        .collect();
    let status: Vec<_> = clients.iter().map(|client| world.wait(client, Duration::from_secs(60))).collect();
    assert_eq!(status, vec![Ok(0); 5]);
}

#[test]
fn a_server_that_starts_anew_in_the_middle_of_a_request_is_found_again() {
    let mut world = world_with_server();
    let client = spawn(&mut world, "client", "shop", async || {
        let (mut failures, mut done) = (0, 0);
        let mut client = connect().await.expect("a connection");
        while done < 6 {
            let body = some_bytes(LONG);
            match post(&mut client, body.clone()).await {
                Ok((_, answer)) => {
                    assert!(answer == backwards(&body));
                    done += 1;
                    print("done\n");
                }
                Err(why) => {
                    failures += 1;
                    assert!(why.is_incomplete_message() || why.is_canceled() || why.is_closed(), "{why:?}");
                    client = loop {
                        match timeout(PATIENCE, connect()).await {
                            Ok(Ok(client)) => break client,
                            Ok(Err(_)) | Err(_) => sleep(Duration::from_millis(100)).await,
                        }
                    };
                }
            }
        }
        failures
    });
    // In the middle of the third.
    assert!(world.run_until(PATIENCE, |world| world.logs("client").expect("a log") == "done\ndone\n"));
    world.advance(Duration::from_millis(1));
    assert_eq!(world.logs("client").expect("a log"), "done\ndone\n");
    world.stop("web", Duration::from_secs(1)).expect("stopped");
    world.advance(Duration::from_secs(3));
    world.rm("web", true).expect("removed");
    spawn(&mut world, "web", "shop", server);
    assert_eq!(world.wait(&client, Duration::from_secs(600)), Ok(1));
}

#[test]
fn a_link_that_is_cut_in_the_middle_of_a_request_is_a_timeout_and_nothing_is_lost_once_it_is_back() {
    let mut world = world_with_server();
    let client = spawn(&mut world, "client", "shop", async || {
        let mut client = connect().await.expect("a connection");
        let body = some_bytes(LONG);
        let (mut timeouts, began) = (0, Instant::now());
        let mut answer = Box::pin(post(&mut client, body.clone()));
        let answer = loop {
            match timeout(PATIENCE, answer.as_mut()).await {
                Ok(answer) => break answer.expect("an answer"),
                Err(_) => timeouts += 1,
            }
        };
        assert!(answer.1 == backwards(&body) && answer.0 == "0");
        assert!(began.elapsed() > PATIENCE * timeouts);
        i32::try_from(timeouts).expect("few")
    });
    world.advance(Duration::from_millis(20));
    assert_eq!(client.status(), None);
    let web = Place::container("web");
    world.set_link(&web, "eth0", false).expect("off");
    world.advance(Duration::from_secs(25));
    assert_eq!(client.status(), None);
    world.set_link(&web, "eth0", true).expect("on");
    let timeouts = world.wait(&client, Duration::from_secs(600)).expect("it ends");
    assert!((2..=6).contains(&timeouts), "{timeouts}");
}

#[test]
fn a_client_that_gives_up_leaves_the_server_as_it_was() {
    let mut world = world_with_server();
    let client = spawn(&mut world, "client", "shop", async || {
        let mut hasty = connect().await.expect("a connection");
        let late = timeout(Duration::from_millis(10), post(&mut hasty, some_bytes(LONG))).await;
        assert!(late.is_err());
        drop(hasty);
        let mut client = connect().await.expect("a connection");
        let answer = post(&mut client, b"abc".to_vec()).await.expect("an answer");
        assert_eq!(answer, ("1".to_owned(), b"cba".to_vec()));
    });
    assert_eq!(world.wait(&client, Duration::from_secs(60)), Ok(0));
}
