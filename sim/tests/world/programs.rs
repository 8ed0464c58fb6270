//! Programs that are code: how they begin, what becomes of them, and who hears of it.

use std::cell::{Cell, RefCell};
use std::net::SocketAddrV4;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use netns::manager::NetworkRequest;
use pontoon_sim::net::{TcpListener, TcpStream, UdpSocket};
use pontoon_sim::task::{self, yield_now};
use pontoon_sim::time::{Instant, sleep};
use pontoon_sim::{Calls, Next, Process, SocketId, Stuck};
use tokio::io::AsyncReadExt;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

/// Says in `gone` that it was dropped.
struct Guard(Rc<Cell<bool>>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

#[test]
fn what_a_program_returns_is_its_exit_status() {
    let mut world = world();
    let nothing = spawn(&mut world, "nothing", "none", async || {});
    let number = spawn(&mut world, "number", "none", async || 7);
    let good = spawn(&mut world, "good", "none", async || io::Result::Ok(3));
    let bad = spawn(&mut world, "bad", "none", async || Err::<(), _>("no luck"));
    assert_eq!(number.status(), None, "nothing runs before time goes on");
    world.run_until_done(Duration::ZERO).expect("all end at once");
    let status = [nothing, number, good, bad].map(|program| program.status());
    assert_eq!(status, [Some(0), Some(7), Some(3), Some(1)]);
    assert_eq!(world.logs("bad").expect("a log"), "Error: \"no luck\"\n");
    let view = world.inspect("number").expect("a view");
    assert_eq!((view.state.as_str(), view.exit_status), ("exited", Some(7)));
}

#[test]
fn a_program_that_panics_ends_with_101_and_the_world_goes_on() {
    let mut world = world();
    let echo = spawn(&mut world, "echo", "bridge", echo);
    let unlucky = spawn(&mut world, "unlucky", "bridge", async || {
        let _listener = TcpListener::bind("0.0.0.0:80").await.expect("a listener");
        sleep(Duration::from_secs(1)).await;
        panic!("the {} is broken", "valve");
    });
    assert_eq!(world.wait(&unlucky, MINUTE), Ok(101));
    assert_eq!(world.logs("unlucky").expect("a log"), "panicked: the valve is broken\n");
    assert_eq!(echo.status(), None);
    assert_eq!(world.connect(&Place::Host, FIRST, 7).map(drop), Err(pontoon_sim::SocketError::TimedOut), "it is taken");
}

#[test]
fn a_task_that_panics_is_its_own_end_and_not_its_programs() {
    let mut world = world();
    let place = start(&mut world, "web", "bridge");
    let told = world.block_on(&place, async {
        let broken = task::spawn(async { panic!("no") });
        let whole = task::spawn(async { 4 });
        let endless = task::spawn(std::future::pending::<()>());
        endless.abort();
        let (broken, endless) = (broken.await.expect_err("it panics"), endless.await.expect_err("it was ended"));
        assert!(broken.is_panic() && endless.is_cancelled());
        (broken.to_string(), whole.await.expect("it ends"))
    });
    assert_eq!(told, ("the task panicked: no".to_owned(), 4));
}

#[test]
#[should_panic(expected = "what I say")]
fn a_panic_of_the_program_that_is_waited_for_goes_through() {
    world().block_on(&Place::Host, async { panic!("what I say") });
}

#[test]
fn stop_and_kill_end_a_program_and_its_destructors_run() {
    let mut world = world();
    let place = start(&mut world, "watcher", "bridge");
    for (signal, status) in [(15, 143), (9, 137)] {
        let gone = Rc::new(Cell::new(false));
        let guard = Guard(Rc::clone(&gone));
        let server = spawn(&mut world, "server", "bridge", async move || {
            let _guard = guard;
            task::spawn(echo());
            std::future::pending::<()>().await;
        });
        let client = world.exec(&place, async {
            let mut stream = TcpStream::connect((SECOND, 7)).await?;
            stream.write_all(b"x").await?;
            let mut all = Vec::new();
            stream.read_to_end(&mut all).await?;
            io::Result::Ok(all)
        });
        world.advance(Duration::from_secs(1));
        assert!(!gone.get());
        world.kill("server", signal).expect("killed");
        assert_eq!((server.status(), gone.get()), (Some(status), true));
        // The kernel has closed its sockets in good order.
        assert_eq!(world.block_on(&place, client.expect("started")).expect("no panic").expect("an end"), b"x");
        assert!(world.connect(&place, SECOND, 7).is_err());
        world.rm("server", true).expect("removed");
    }
}

#[test]
fn programs_go_on_while_there_is_no_daemon() {
    let mut world = world();
    spawn(&mut world, "echo", "bridge", echo);
    let client = spawn(&mut world, "client", "bridge", async || {
        let mut stream = TcpStream::connect((FIRST, 7)).await?;
        for word in [b"one", b"two"] {
            let mut back = [0; 3];
            stream.write_all(word).await?;
            stream.read_exact(&mut back).await?;
            assert_eq!(&back, word);
            sleep(Duration::from_secs(10)).await;
        }
        io::Result::Ok(5)
    });
    world.advance(Duration::from_secs(1));
    world.kill_daemon();
    world.advance(Duration::from_secs(12));
    assert_eq!(client.status(), None);
    world.up().expect("a daemon");
    assert_eq!(world.wait(&client, MINUTE), Ok(5));
    assert_eq!(world.inspect("client").expect("a view").exit_status, Some(5));
}

#[test]
fn a_program_that_ends_while_there_is_no_daemon_is_noted_by_the_next() {
    let mut world = world();
    let short = spawn(&mut world, "short", "bridge", async || {
        sleep(Duration::from_secs(1)).await;
        9
    });
    world.kill_daemon();
    assert_eq!(world.wait(&short, MINUTE), Ok(9));
    world.up().expect("a daemon");
    assert_eq!(world.inspect("short").expect("a view").exit_status, Some(9));
}

#[test]
fn programs_run_wherever_there_is_a_place() {
    let mut world = world();
    let web = start(&mut world, "web", "bridge");
    let joiner = spawn(&mut world, "joiner", "container:web", echo);
    let own = spawn(&mut world, "own", "host", async || {
        let listener = TcpListener::bind((GATEWAY, 8)).await?;
        echo_once(&listener).await
    });
    let heard = world.block_on(&web, async {
        let mut heard = Vec::new();
        for at in [SocketAddrV4::new(LOCALHOST, 7), SocketAddrV4::new(FIRST, 7), SocketAddrV4::new(GATEWAY, 8)] {
            let mut stream = TcpStream::connect(at).await?;
            stream.write_all(b"hi").await?;
            stream.shutdown().await?;
            stream.read_to_end(&mut heard).await?;
        }
        io::Result::Ok(heard)
    });
    assert_eq!(heard.expect("echoes"), b"hihihi");
    assert_eq!((own.status(), joiner.status()), (Some(0), None));
}

#[test]
fn nothing_starts_in_a_container_that_has_ended() {
    let mut world = world();
    let short = spawn(&mut world, "short", "bridge", async || 0);
    world.wait(&short, MINUTE).expect("it ends");
    let refused = world.exec(&short.place(), async {}).expect_err("it has ended");
    assert_eq!(refused.to_string(), netns::error::Error::NotRunning("short".into()).to_string());
    assert!(world.exec(&Place::container("nobody"), async {}).is_err());
}

#[test]
fn what_runs_beside_a_command_ends_with_it() {
    let mut world = world();
    let web = start(&mut world, "web", "bridge");
    let gone = Rc::new(Cell::new(false));
    let guard = Guard(Rc::clone(&gone));
    let beside = world.exec(&web, async move {
        let _guard = guard;
        let _socket = UdpSocket::bind("0.0.0.0:9").await;
        // A destructor may ask for anything, and gets nothing.
        struct Late;
        impl Drop for Late {
            fn drop(&mut self) {
                let late = task::spawn(async {});
                assert!(late.is_finished(), "it never begins");
                assert_eq!(Instant::now(), Instant::now());
            }
        }
        let _late = Late;
        std::future::pending::<()>().await;
    });
    world.advance(Duration::from_secs(1));
    world.stop("web", MINUTE).expect("stopped");
    assert!(gone.get());
    let ended = world.block_on(&Place::Host, beside.expect("started")).expect_err("it was ended");
    assert!(ended.is_cancelled());
}

#[test]
fn the_sockets_of_a_program_beside_others_are_closed_when_it_ends() {
    let mut world = world();
    let web = start(&mut world, "web", "bridge");
    world.block_on(&web, async {
        let listener = TcpListener::bind("0.0.0.0:80").await.expect("a listener");
        // It is still there when its program is not.
        std::mem::forget(listener);
    });
    assert_eq!(world.connect(&Place::Host, FIRST, 80), Err(pontoon_sim::SocketError::Refused));
    world.listen(&web, ANY, 80).expect("the port is free");
}

#[test]
fn a_deadlock_is_called_one_and_names_who_waits_for_what() {
    let mut world = world();
    spawn(&mut world, "server", "none", async || TcpListener::bind("127.0.0.1:80").await?.accept().await.map(drop));
    spawn(&mut world, "reader", "none", async || {
        let listener = TcpListener::bind("127.0.0.1:80").await?;
        let mut stream = TcpStream::connect("127.0.0.1:80").await?;
        let _held = listener.accept().await?;
        stream.read_u8().await.map(drop)
    });
    let stuck = world.run_until_done(MINUTE).expect_err("they wait for ever");
    assert_eq!(stuck, Stuck::Deadlock(vec!["server (accepts)".into(), "reader (reads from 127.0.0.1:80)".into()]));
    assert_eq!(
        stuck.to_string(),
        "deadlock: nothing is left to happen, and these have not ended: server (accepts); reader (reads from 127.0.0.1:80)"
    );
}

#[test]
fn who_has_not_ended_in_time_is_named() {
    let mut world = world();
    let slow = spawn(&mut world, "slow", "none", async || sleep(MINUTE * 2).await);
    let stuck = world.wait(&slow, MINUTE).expect_err("it sleeps");
    assert_eq!(stuck, Stuck::Limit { programs: vec!["slow (waits)".into()], limit: MINUTE });
    assert_eq!(world.wait(&slow, MINUTE), Ok(0));
}

#[test]
fn who_asks_again_and_again_does_not_hold_the_clock_still() {
    let mut world = world();
    let spinner = spawn(&mut world, "spinner", "none", async || {
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(1) {
            yield_now().await;
        }
    });
    assert_eq!(world.wait(&spinner, Duration::from_millis(2)), Ok(0));
}

#[test]
fn tasks_take_turns_in_the_order_in_which_they_began() {
    let order = Rc::new(RefCell::new(Vec::new()));
    let note = Rc::clone(&order);
    world().block_on(&Place::Host, async move {
        let tasks: Vec<_> = (0..3)
            .map(|number| {
                let note = Rc::clone(&note);
                task::spawn(async move {
                    for round in 0..2 {
                        note.borrow_mut().push((round, number));
                        yield_now().await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("it ends");
        }
    });
    assert_eq!(*order.borrow(), [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]);
}

#[test]
fn names_of_containers_lead_to_them_on_a_network_of_the_users() {
    let mut world = world();
    world.create_network(network_request("shop")).expect("a network");
    spawn(&mut world, "web", "shop", echo);
    let client = spawn(&mut world, "client", "shop", async || {
        let mut stream = TcpStream::connect("web:7").await?;
        let own = TcpStream::connect(("localhost", 80)).await.expect_err("nobody is there");
        assert_eq!(own.kind(), io::ErrorKind::ConnectionRefused);
        let nobody = TcpStream::connect("nobody:7").await.expect_err("no such name");
        pontoon_sim::print(&format!("{nobody}\n"));
        stream.write_all(b"by name").await?;
        stream.shutdown().await?;
        let mut back = String::new();
        stream.read_to_string(&mut back).await?;
        pontoon_sim::print(&back);
        io::Result::Ok(())
    });
    assert_eq!(world.wait(&client, MINUTE), Ok(0));
    let log = world.logs("client").expect("a log");
    assert_eq!(log, "failed to lookup address information: Temporary failure in name resolution\nby name");
}

pub(crate) fn network_request(name: &str) -> NetworkRequest {
    NetworkRequest::new(name.parse().expect("a name"))
}

#[test]
#[should_panic(expected = "there is no simulated world here")]
fn outside_of_a_world_there_is_no_time() {
    let _ = Instant::now();
}

#[test]
fn equal_seeds_give_equal_runs_of_programs() {
    let trace = |seed| {
        let mut world = World::builder().seed(seed).up().expect("a world");
        spawn(&mut world, "echo", "bridge", echo);
        let clients: Vec<_> = (0..3)
            .map(|number| {
                spawn(&mut world, &format!("client{number}"), "bridge", async move || {
                    let mut stream = TcpStream::connect((FIRST, 7)).await?;
                    stream.write_all(&some_bytes(10_000 * (number + 1))).await?;
                    stream.shutdown().await?;
                    let mut back = Vec::new();
                    stream.read_to_end(&mut back).await?;
                    assert_eq!(back, some_bytes(10_000 * (number + 1)));
                    io::Result::Ok(())
                })
            })
            .collect();
        assert!(clients.iter().all(|client| world.wait(client, MINUTE) == Ok(0)));
        (world.trace_hash(), world.now())
    };
    assert_eq!(trace(5), trace(5));
    assert_ne!(trace(5), trace(6));
}

/// Counts down from what it is sent, a second a number, as a state machine.
enum Countdown {
    Begins,
    Listens(SocketId),
    Counts { socket: SocketId, left: u8, until: switch::time::Instant },
}

impl Process for Countdown {
    fn wake(&mut self, calls: &mut Calls<'_>) -> Next {
        loop {
            match self {
                Countdown::Begins => match calls.listen(SocketAddrV4::new(ANY, 80)) {
                    Ok(listener) => *self = Countdown::Listens(listener),
                    Err(_) => return Next::End(1),
                },
                Countdown::Listens(listener) => match calls.accept(*listener) {
                    Poll::Ready(Ok((socket, _))) => {
                        *self = Countdown::Counts { socket, left: 3, until: calls.now() };
                    }
                    Poll::Ready(Err(_)) => return Next::End(1),
                    Poll::Pending => return Next::Wait,
                },
                Countdown::Counts { socket, left, until } => {
                    if calls.sleep_until(*until).is_pending() {
                        return Next::Wait;
                    }
                    let Poll::Ready(Ok(1)) = calls.write(*socket, &[*left]) else { return Next::End(1) };
                    if *left == 0 {
                        return Next::End(i32::from(*left));
                    }
                    (*left, *until) = (*left - 1, calls.now() + Duration::from_secs(1));
                }
            }
        }
    }
}

#[test]
fn a_state_machine_is_a_program_too() {
    let mut world = world();
    world.run(request("countdown", "bridge"), Countdown::Begins).expect("a container");
    let heard = world.block_on(&Place::Host, async {
        let mut stream = TcpStream::connect((FIRST, 80)).await?;
        let began = Instant::now();
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).await?;
        assert_eq!(began.elapsed().as_secs(), 3);
        io::Result::Ok(heard)
    });
    assert_eq!(heard.expect("numbers"), [3, 2, 1, 0]);
    assert_eq!(world.inspect("countdown").expect("a view").exit_status, Some(0));
}
