//! Whatever dockerd, or somebody in its place, posts to the network driver, and whatever its API says of names.
//!
//! The first byte chooses the method. What is understood is within its bounds; what is not says what was to be done.

#![no_main]

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use docker::ports::{are_met, choose};
use docker::{Call, Method, call, engine};
use libfuzzer_sys::fuzz_target;
use netns::publish::{MAX_PORTS, check};

fuzz_target!(|input: &[u8]| {
    let Some((first, body)) = input.split_first() else { return };
    let method = Method::ALL[usize::from(*first) % Method::ALL.len()];
    match call::read(method, body) {
        Err(refused) => {
            let text = refused.to_string();
            assert!(text.starts_with(method.operation()) && text.len() < 8 * body.len() + 4096, "{text}");
        }
        Ok(Call::CreateNetwork(order)) => {
            assert!(order.options.prefix.len() <= 12 && !order.options.prefix.is_empty());
        }
        Ok(Call::Program(order)) => {
            assert!(order.ports.len() <= MAX_PORTS);
            let every = Ipv4Addr::UNSPECIFIED;
            // A choice among few that are busy; each is a look at the host.
            if order.ports.len() < 32
                && let Ok(chosen) = choose(&order.ports, every, |mapping| mapping.host % 3 != 0)
            {
                assert!(are_met(&order.ports, &chosen, every));
                assert_eq!(check(&chosen), Ok(()));
                assert_eq!(chosen.iter().collect::<BTreeSet<_>>().len(), chosen.len());
            }
        }
        Ok(_) => {}
    }
    for (endpoint, name) in engine::container_names(body) {
        assert!(!endpoint.is_empty() && name.as_str().parse::<netns::name::Name>().is_ok());
    }
});
