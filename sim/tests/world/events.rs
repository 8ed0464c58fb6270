//! What happens is told.

use std::time::Duration;

use netns::event::Event;

use super::*;

#[test]
fn a_station_that_is_silent_for_the_ageing_time_is_told_of() {
    let (mut world, web, _) = world_of_two();
    assert!(world.ping(&web, SECOND));
    world.happened();
    let since = world.now();
    world.advance(Duration::from_secs(400));
    let aged: Vec<_> = world
        .happened()
        .into_iter()
        .filter_map(|(at, event)| if let Event::Aged(entry) = event { Some((at, entry.ifname)) } else { None })
        .collect();
    let names: Vec<&str> = aged.iter().map(|(_, name)| name.as_str()).collect();
    assert!(names.contains(&"web.eth0") && names.contains(&"db.eth0"), "{aged:?}");
    for (at, name) in &aged {
        assert!((295..=330).contains(&(*at - since).as_secs()), "{name} at {at:?}");
    }
    assert_eq!(world.happened(), []);
}

#[test]
fn equal_seeds_tell_of_the_same_at_the_same_times() {
    let told = || {
        let (mut world, web, _) = world_of_two();
        assert!(world.ping(&web, SECOND));
        world.rm("db", true).expect("removed");
        world.happened()
    };
    let (one, other) = (told(), told());
    assert!(one.len() > 10, "{one:?}");
    assert_eq!(one, other);
}
