//! Who tells everybody whose address he has now: whoever may be taken for a station that has gone, and nobody else.

use std::collections::BTreeSet;

use switch::mac::MacAddr;

use super::scenarios;
use crate::frames::{EXPERIMENTAL, ethernet};
use crate::lab::{Lab, NetworkOrder, Order, Place, address, create, mac_of, run};

scenarios![
    an_address_is_reached_at_once_whatever_station_had_it,
    an_address_that_had_a_mac_of_its_own_stays_strange_beyond_a_killed_daemon,
    whoever_comes_where_interfaces_of_the_host_are_announces_itself,
];

/// One who has an address for a while.
#[derive(Clone, Copy, Debug)]
pub struct Holder {
    /// The address's last byte.
    pub address: u8,
    /// The last byte of the MAC that was chosen, if it was.
    pub mac: Option<u8>,
    /// Whether the daemon dies in that time, and another takes over.
    pub kills: bool,
}

const fn plain(address: u8) -> Holder {
    Holder { address, mac: None, kills: false }
}

const fn chosen(address: u8, mac: u8) -> Holder {
    Holder { address, mac: Some(mac), kills: false }
}

fn an_address_is_reached_at_once_whatever_station_had_it(lab: &mut dyn Lab) {
    let holders = [plain(9), plain(9), chosen(9, 7), plain(8), plain(9), chosen(8, 7), chosen(8, 6), plain(8)];
    follow_one_another(lab, &holders);
}

fn an_address_that_had_a_mac_of_its_own_stays_strange_beyond_a_killed_daemon(lab: &mut dyn Lab) {
    follow_one_another(lab, &[Holder { kills: true, ..chosen(9, 7) }, Holder { kills: true, ..plain(8) }, plain(9)]);
}

/// One has an address after another, and is reached as soon as he is there by those who knew all before him.
pub fn follow_one_another(lab: &mut dyn Lab, holders: &[Holder]) {
    lab.up();
    run(lab, Order::new("peer"));
    let mut strange = BTreeSet::new();
    for (number, Holder { address: last, mac, kills }) in holders.iter().enumerate() {
        let (name, ip) = (format!("holder{number}"), format!("172.17.9.{last}"));
        let order = Order::new(&name).ip(&ip);
        let order = mac.iter().fold(order, |order, mac| order.mac(&format!("02:00:00:00:00:{mac:02x}")));
        if mac.is_some() {
            strange.insert(*last);
        }
        assert_eq!(announcements(lab, order), usize::from(strange.contains(last)), "of {number} in {holders:?}");
        for place in [Place::Host, Place::In("peer")] {
            assert!(lab.ping(place, address(&ip), 56), "{number} in {holders:?} from {place:?}");
        }
        if *kills {
            lab.kill_daemon();
            lab.up();
        }
        lab.stop(&name, 0).expect("stop");
    }
}

fn whoever_comes_where_interfaces_of_the_host_are_announces_itself(lab: &mut dyn Lab) {
    lab.up();
    create(lab, NetworkOrder::new("other"));
    lab.host_address("10.9.0.1/24".parse().expect("a prefix"));
    run(lab, Order::new("peer"));
    assert_eq!(announcements(lab, Order::new("before")), 0);
    lab.add_port("pontoon0", "uplink1").expect("a port");
    assert_eq!(announcements(lab, Order::new("beside")), 1);
    lab.remove_port("pontoon0", "uplink1").expect("given back");
    // Who was there is remembered for longer.
    assert_eq!(announcements(lab, Order::new("after")), 1);
}

/// Starts a container on the network of `peer`. How often it says to all, of itself, that it has its address.
fn announcements(lab: &mut dyn Lab, order: Order) -> usize {
    let name = order.name.clone().expect("it has a name");
    let ear = lab.sniff(Place::In("peer"), "eth0");
    run(lab, order);
    let (mac, ip) = (mac_of(lab, &name), crate::lab::ip_of(lab, &name).octets());
    // Whatever it said of itself was said before this.
    let last = ethernet(MacAddr::BROADCAST, mac, EXPERIMENTAL, name.as_bytes());
    lab.inject(Place::In(&name), "eth0", &last);
    let heard = lab.heard_until(ear, &last);
    let is_announcement =
        |frame: &&Vec<u8>| frame[6..12] == mac.0 && frame[12..14] == ARP && frame[28..32] == ip && frame[38..42] == ip;
    heard.iter().filter(is_announcement).count()
}

/// The EtherType.
const ARP: [u8; 2] = [0x08, 0x06];
