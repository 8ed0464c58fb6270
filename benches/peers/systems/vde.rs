//! `vde_switch`, with TAPs of its own (`-tap`): the quickest way it has, without a `vde_plug2tap` between.

use super::namespace::{Keeper, find};
use super::service::Service;
use super::taps::{self, Tapped};
use super::{CONTAINERS, End, System};
use crate::cage;

const GATEWAY: &str = "gateway";

/// The switch and its containers.
pub struct Vde {
    tapped: Tapped,
    _switch: Service,
}

impl Vde {
    pub fn new() -> Result<Self, String> {
        find("vde_switch", "vde2")?;
        let host = Keeper::of_host()?;
        let mut arguments = vec!["-s".to_owned(), format!("{}/vde", cage::DIR), "-n".to_owned(), "64".to_owned()];
        let names = (0..CONTAINERS).map(taps::name).chain([GATEWAY.to_owned()]);
        arguments.extend(names.flat_map(|name| ["-tap".to_owned(), name]));
        // It ends when its console does, which is its standard input.
        let mut switch = Service::new(&host, "vde_switch", &arguments)?;
        switch.wait_until(|| host.sh(&format!("ip link show {GATEWAY}")).is_ok())?;
        Ok(Vde { tapped: Tapped::new(host, GATEWAY)?, _switch: switch })
    }
}

impl System for Vde {
    fn container(&self, number: usize) -> End {
        self.tapped.container(number)
    }

    fn outside(&self) -> Option<End> {
        self.tapped.outside()
    }
}
