//! Which subnet a bridge network gets: Docker's local default pools, in Docker's order.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

/// 172.17/16 to 172.31/16, then 192.168.0/20 to 192.168.240/20.
pub fn default_pools() -> impl Iterator<Item = Ipv4Net> {
    let large = (17..=31).map(|second| (Ipv4Addr::new(172, second, 0, 0), 16));
    let small = (0..=240).step_by(16).map(|third| (Ipv4Addr::new(192, 168, third, 0), 20));
    large.chain(small).filter_map(|(address, length)| Ipv4Net::new(address, length).ok())
}

/// The first of `pools` that shares no address with any prefix of `taken`: the host's addresses and routes, and the
/// subnets of other networks.
pub fn first_free(pools: impl IntoIterator<Item = Ipv4Net>, taken: &[Ipv4Net]) -> Option<Ipv4Net> {
    pools.into_iter().find(|pool| !taken.iter().any(|other| overlap(*pool, *other)))
}

/// Whether two prefixes share an address: one contains the other.
#[must_use]
pub fn overlap(a: Ipv4Net, b: Ipv4Net) -> bool {
    a.contains(&b) || b.contains(&a)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Ipv4Net {
        text.parse().expect("a prefix")
    }

    #[test]
    fn pools_come_in_dockers_order() {
        let pools: Vec<_> = default_pools().collect();
        assert_eq!(pools.len(), 31);
        assert_eq!(pools[0], net("172.17.0.0/16"));
        assert_eq!(pools[14], net("172.31.0.0/16"));
        assert_eq!(pools[15], net("192.168.0.0/20"));
        assert_eq!(pools[30], net("192.168.240.0/20"));
    }

    #[test]
    fn a_host_in_172_17_gets_172_18() {
        assert_eq!(first_free(default_pools(), &[net("172.17.64.0/20")]), Some(net("172.18.0.0/16")));
    }

    #[test]
    fn a_wide_route_takes_all_pools_under_it() {
        assert_eq!(first_free(default_pools(), &[net("172.16.0.0/12")]), Some(net("192.168.0.0/20")));
        assert_eq!(first_free(default_pools(), &[net("172.16.0.0/12"), net("192.168.0.0/16")]), None);
    }
}
