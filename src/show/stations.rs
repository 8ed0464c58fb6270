//! `bridge fdb show`, line by line as bridge(8) prints it.

use control::Station;

/// One line a station: `MAC dev PORT [vlan V] master BRIDGE [static|permanent] [sticky]`.
#[must_use]
pub fn fdb(stations: &[Station]) -> String {
    let mut text = String::new();
    for station in stations {
        text.push_str(&format!("{} dev {} ", station.mac, station.ifname));
        if let Some(vlan) = station.vlan {
            text.push_str(&format!("vlan {vlan} "));
        }
        text.push_str(&format!("master {}", station.master));
        for word in station.flags.iter().chain([&station.state]).filter(|word| !word.is_empty()) {
            text.push(' ');
            text.push_str(word);
        }
        text.push('\n');
    }
    text
}
