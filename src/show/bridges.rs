//! `show`, to the letter as `brctl show` prints it.

use control::Bridge;

/// The header, then each bridge with its first port; further ports below, under the last column.
#[must_use]
pub fn brctl(bridges: &[Bridge]) -> String {
    let mut text = String::from("bridge name\tbridge id\t\tSTP enabled\tinterfaces\n");
    for bridge in bridges {
        let stp = if bridge.stp_enabled { "yes" } else { "no" };
        let first = bridge.interfaces.first().map_or("", String::as_str);
        text.push_str(&format!("{}\t\t{}\t{stp}\t\t{first}\n", bridge.name, bridge.id));
        for port in bridge.interfaces.iter().skip(1) {
            text.push_str(&format!("\t\t\t\t\t\t\t{port}\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_stand_under_the_last_column() {
        let bridge = |interfaces: &[&str]| Bridge {
            name: "pontoon0".into(),
            id: "8000.0242d275aedb".into(),
            stp_enabled: false,
            interfaces: interfaces.iter().map(ToString::to_string).collect(),
        };
        let header = "bridge name\tbridge id\t\tSTP enabled\tinterfaces\n";
        assert_eq!(brctl(&[bridge(&[])]), format!("{header}pontoon0\t\t8000.0242d275aedb\tno\t\t\n"));
        assert_eq!(
            brctl(&[bridge(&["a.eth0", "b.eth0"])]),
            format!("{header}pontoon0\t\t8000.0242d275aedb\tno\t\ta.eth0\n\t\t\t\t\t\t\tb.eth0\n")
        );
    }
}
