//! Virtual time, as programs see it.

use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use pontoon_sim::time::{Instant, MissedTickBehavior, interval, interval_at, sleep, sleep_until, timeout, timeout_at};

use super::*;

const SECOND_LONG: Duration = Duration::from_secs(1);

#[test]
fn to_sleep_takes_as_long_as_it_says() {
    let mut world = world();
    let began = world.now();
    world.block_on(&Place::Host, async {
        let began = Instant::now();
        sleep(Duration::from_nanos(1)).await;
        assert_eq!(began.elapsed(), Duration::from_nanos(1));
        sleep_until(began + SECOND_LONG).await;
        sleep_until(began).await;
        assert_eq!(began.elapsed(), SECOND_LONG);
    });
    assert_eq!(world.now() - began, SECOND_LONG);
}

#[test]
fn the_inner_of_two_timeouts_ends_first_and_what_is_ready_in_time_is_not_late() {
    world().block_on(&Place::Host, async {
        let began = Instant::now();
        let inner = timeout(SECOND_LONG, std::future::pending::<()>());
        let outer = timeout(SECOND_LONG * 2, inner).await;
        assert!(matches!(outer, Ok(Err(_))));
        assert_eq!(began.elapsed(), SECOND_LONG);
        let outer = timeout(SECOND_LONG, timeout(SECOND_LONG * 2, sleep(SECOND_LONG * 3))).await;
        assert_eq!((outer.is_err(), began.elapsed()), (true, SECOND_LONG * 2));
        assert_eq!(timeout(SECOND_LONG, sleep(SECOND_LONG)).await, Ok(()));
        assert_eq!(timeout_at(began, std::future::ready(1)).await, Ok(1));
        let late: io::Error = timeout_at(began, std::future::pending::<()>()).await.expect_err("late").into();
        assert_eq!((late.kind(), late.to_string()), (io::ErrorKind::TimedOut, "deadline has elapsed".to_owned()));
    });
}

#[test]
fn a_timer_that_was_given_up_leaves_nothing_to_wait_for() {
    let mut world = world();
    let kept = Rc::new(());
    let held = Rc::clone(&kept);
    world.block_on(&Place::Host, async move {
        for _ in 0..1000 {
            let held = Rc::clone(&held);
            let done = timeout(Duration::from_secs(86_400), async move { drop(held) }).await;
            assert_eq!(done, Ok(()));
        }
    });
    assert_eq!(Rc::strong_count(&kept), 1);
    assert_eq!(world.now(), Duration::ZERO);
}

#[test]
fn a_sleep_can_be_told_to_wait_for_another_moment() {
    world().block_on(&Place::Host, async {
        let began = Instant::now();
        let mut nap = pin!(sleep(SECOND_LONG));
        assert_eq!(timeout(Duration::from_millis(1), nap.as_mut()).await.ok(), None);
        nap.as_mut().reset(began + SECOND_LONG * 5);
        assert_eq!((nap.is_elapsed(), nap.deadline()), (false, began + SECOND_LONG * 5));
        nap.as_mut().await;
        assert_eq!(began.elapsed(), SECOND_LONG * 5);
    });
}

#[test]
fn ticks_come_a_period_apart_and_missed_ones_as_was_asked() {
    let seen = |behavior| {
        world().block_on(&Place::Host, async move {
            let began = Instant::now();
            let mut ticks = interval(SECOND_LONG);
            ticks.set_missed_tick_behavior(behavior);
            let mut seen = Vec::new();
            for round in 0..4 {
                ticks.tick().await;
                seen.push(began.elapsed().as_millis());
                if round == 0 {
                    sleep(Duration::from_millis(2500)).await;
                }
            }
            seen
        })
    };
    assert_eq!(seen(MissedTickBehavior::Burst), [0, 2500, 2500, 3000]);
    assert_eq!(seen(MissedTickBehavior::Delay), [0, 2500, 3500, 4500]);
    assert_eq!(seen(MissedTickBehavior::Skip), [0, 2500, 3000, 4000]);
    world().block_on(&Place::Host, async {
        let began = Instant::now();
        let mut ticks = interval_at(began + SECOND_LONG * 3, SECOND_LONG);
        assert_eq!(ticks.tick().await, began + SECOND_LONG * 3);
        ticks.reset();
        assert_eq!(ticks.tick().await, began + SECOND_LONG * 4);
    });
}

#[test]
fn tokios_own_macros_and_channels_run_as_they_are() {
    world().block_on(&Place::Host, async {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        pontoon_sim::task::spawn(async move {
            sleep(SECOND_LONG).await;
            sender.send(7)
        });
        let first = tokio::select! {
            biased;
            got = receiver => got.expect("a value"),
            () = sleep(SECOND_LONG * 2) => 0,
        };
        assert_eq!(first, 7);
        let began = Instant::now();
        tokio::join!(sleep(SECOND_LONG), sleep(SECOND_LONG * 2));
        assert_eq!(began.elapsed(), SECOND_LONG * 2);
    });
}
