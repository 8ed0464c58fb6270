//! The arguments of `explain`.

use std::path::PathBuf;

use clap::{ArgGroup, Args};

use super::Json;

/// `explain`
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").required(true).args(["hex", "pcap", "to"])))]
pub struct ExplainArgs {
    /// The port that the frame comes in by, as `stats` names it; a container's name, if it has but one
    pub port: String,
    /// The frame in hexadecimal, with or without spaces, colons and 0x; - reads it from standard input
    #[arg(value_name = "HEX", num_args = 0..)]
    pub hex: Vec<String>,
    /// The frames of this file, as tcpdump and Wireshark write it
    #[arg(long, value_name = "FILE", conflicts_with = "hex")]
    pub pcap: Option<PathBuf>,
    /// Only the frame of this number in the file; the first is 1
    #[arg(long, value_name = "N", requires = "pcap", conflicts_with_all = ["hex", "to"], value_parser = clap::value_parser!(u64).range(1..))]
    pub frame: Option<u64>,
    /// A frame to this station: a MAC, a container, an address of one, a bridge, or broadcast
    #[arg(long, value_name = "STATION", conflicts_with_all = ["hex", "pcap"])]
    pub to: Option<String>,
    /// From this station; by default the container or the bridge that the port is of
    #[arg(long, value_name = "STATION", requires = "to", conflicts_with_all = ["hex", "pcap"])]
    pub from: Option<String>,
    /// With a tag of this VLAN
    #[arg(long, value_name = "VLAN", requires = "to", conflicts_with_all = ["hex", "pcap"], value_parser = clap::value_parser!(u16).range(0..=4095))]
    pub vlan: Option<u16>,
    /// Of this type: ipv4 (the default), ipv6, arp, or a number
    #[arg(long = "type", visible_alias = "ethertype", value_name = "TYPE", requires = "to", conflicts_with_all = ["hex", "pcap"], value_parser = parse_type)]
    pub ethertype: Option<u16>,
    /// So many bytes long, header and tag included
    #[arg(long, value_name = "BYTES", requires = "to", conflicts_with_all = ["hex", "pcap"], default_value_t = 60, value_parser = clap::value_parser!(u32).range(18..=65_557))]
    pub length: u32,
    /// For a program
    #[command(flatten)]
    pub json: Json,
}

fn parse_type(text: &str) -> Result<u16, &'static str> {
    let hexadecimal = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    match (text.to_ascii_lowercase().as_str(), hexadecimal) {
        ("ipv4" | "ip", _) => Ok(0x0800),
        ("ipv6", _) => Ok(0x86dd),
        ("arp", _) => Ok(0x0806),
        (_, Some(digits)) => u16::from_str_radix(digits, 16).map_err(drop),
        (_, None) => text.parse().map_err(drop),
    }
    .map_err(|()| "ipv4, ipv6, arp or a number such as 0x88b5 is expected")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn read(words: &str) -> Result<ExplainArgs, clap::Error> {
        let cli = Cli::try_parse_from(["pontoon", "explain"].into_iter().chain(words.split_whitespace()))?;
        match cli.command {
            Command::Explain(args) => Ok(args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_frame_is_given_in_one_of_three_ways() {
        assert_eq!(read("web.eth0 ffff ffff").expect("digits").hex, ["ffff", "ffff"]);
        assert_eq!(read("web.eth0 -").expect("standard input").hex, ["-"]);
        assert!(read("web.eth0 --pcap f.pcap --frame 3").is_ok());
        let built = read("web --to db --vlan 7 --type 0x88b5 --length 1518").expect("a frame to be made");
        assert_eq!((built.vlan, built.ethertype, built.length), (Some(7), Some(0x88b5), 1518));
        for wrong in [
            "web.eth0",
            "web.eth0 ff --pcap f",
            "web.eth0 ff --to db",
            "web.eth0 --pcap f --to db",
            "web.eth0 --from db",
            "web.eth0 ff --frame 1",
            "web.eth0 --pcap f --frame 0",
            "web.eth0 --to db --vlan 4096",
            "web.eth0 --to db --type carrier",
            "web.eth0 --to db --length 17",
            "web.eth0 ff --length 100",
            "web.eth0 ff --from db",
            "web.eth0 --pcap f --vlan 7",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_type_has_a_name_or_a_number() {
        assert_eq!(
            ["ipv4", "IPv6", "arp", "0x88b5", "2048"].map(parse_type),
            [0x800, 0x86dd, 0x806, 0x88b5, 2048].map(Ok)
        );
        assert!(["", "0x", "65536", "0x12345", "-1"].into_iter().all(|wrong| parse_type(wrong).is_err()));
    }
}
