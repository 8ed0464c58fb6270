//! What is measured, and the figures that come of it.

use serde::{Serialize, Serializer};

use super::peer::Peer;

/// One load, put on one system after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Measure {
    /// Bulk TCP, one stream.
    Tcp1,
    /// Bulk TCP, four streams between two containers.
    Tcp4,
    /// Bulk TCP, eight pairs.
    TcpPairs,
    /// Datagrams of 64 bytes as fast as one sender can; what arrives.
    UdpFlood,
    /// The highest rate of such datagrams of which next to none is lost.
    UdpLossless,
    /// One byte there and one back, over TCP, one pair.
    PingPong,
    /// The same, eight pairs at once.
    PingPongPairs,
    /// Bulk TCP, one stream from a container through the host's masquerade to the outside.
    Outbound,
    /// The same, the other way: a download.
    Download,
    /// One byte there and one back, to the outside.
    OutboundPingPong,
    /// A large transfer each way arrives as it was sent, and no receiver has seen a wrong checksum.
    Integrity,
    /// A container starts, runs `true` and ends.
    Start,
}

impl Measure {
    pub const ALL: [Measure; 12] = [
        Measure::Tcp1,
        Measure::Tcp4,
        Measure::TcpPairs,
        Measure::UdpFlood,
        Measure::UdpLossless,
        Measure::PingPong,
        Measure::PingPongPairs,
        Measure::Outbound,
        Measure::Download,
        Measure::OutboundPingPong,
        Measure::Integrity,
        Measure::Start,
    ];

    /// What `--only` and JSON call it.
    pub fn key(self) -> &'static str {
        match self {
            Measure::Tcp1 => "tcp-x1",
            Measure::Tcp4 => "tcp-x4",
            Measure::TcpPairs => "tcp-8-pairs",
            Measure::UdpFlood => "udp-flood",
            Measure::UdpLossless => "udp-lossless",
            Measure::PingPong => "ping-pong",
            Measure::PingPongPairs => "ping-pong-8-pairs",
            Measure::Outbound => "outbound",
            Measure::Download => "download",
            Measure::OutboundPingPong => "outbound-ping-pong",
            Measure::Integrity => "integrity",
            Measure::Start => "start",
        }
    }

    /// Whether it takes an outside.
    pub fn is_outbound(self) -> bool {
        matches!(self, Measure::Outbound | Measure::Download | Measure::OutboundPingPong)
    }

    /// How long it takes, about, where a load lasts so many seconds.
    pub fn duration(self, seconds: f64) -> f64 {
        match self {
            Measure::UdpLossless => 5.0,
            Measure::Integrity => 1.5,
            // Not in every round.
            Measure::Start => 0.0,
            _ => seconds + 0.5,
        }
    }
}

impl Serialize for Measure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.key())
    }
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Figure {
    Tcp1,
    Tcp1PerCore,
    Tcp4,
    Tcp4PerCore,
    TcpPairs,
    UdpFlood,
    UdpFloodLoss,
    UdpLossless,
    PingPong,
    PingPongP50,
    PingPongP99,
    PingPongPairs,
    PingPongPairsP50,
    PingPongPairsP99,
    Outbound,
    Download,
    OutboundPingPong,
    Start,
}

/// What a figure is for its readers.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    /// What JSON calls it.
    pub key: &'static str,
    pub label: &'static str,
    pub unit: &'static str,
    pub is_lower_better: bool,
}

impl Figure {
    pub fn words(self) -> Words {
        let (key, label, unit) = match self {
            Figure::Tcp1 => ("tcp_x1", "TCP, one stream", "Gbit/s"),
            Figure::Tcp1PerCore => ("tcp_x1_per_core", "TCP, one stream", "Gbit/core-s"),
            Figure::Tcp4 => ("tcp_x4", "TCP, four streams", "Gbit/s"),
            Figure::Tcp4PerCore => ("tcp_x4_per_core", "TCP, four streams", "Gbit/core-s"),
            Figure::TcpPairs => ("tcp_8_pairs", "TCP, eight pairs", "Gbit/s"),
            Figure::UdpFlood => ("udp_flood", "UDP 64 B, a flood, received", "kpps"),
            Figure::UdpFloodLoss => ("udp_flood_loss", "UDP 64 B, a flood, lost", "%"),
            Figure::UdpLossless => ("udp_lossless", "UDP 64 B, under 0.5 % loss", "kpps"),
            Figure::PingPong => ("ping_pong", "ping-pong, one pair", "1/s"),
            Figure::PingPongP50 => ("ping_pong_p50", "ping-pong, one pair, p50", "µs"),
            Figure::PingPongP99 => ("ping_pong_p99", "ping-pong, one pair, p99", "µs"),
            Figure::PingPongPairs => ("ping_pong_8_pairs", "ping-pong, eight pairs", "1/s"),
            Figure::PingPongPairsP50 => ("ping_pong_8_pairs_p50", "ping-pong, eight pairs, p50", "µs"),
            Figure::PingPongPairsP99 => ("ping_pong_8_pairs_p99", "ping-pong, eight pairs, p99", "µs"),
            Figure::Outbound => ("outbound", "TCP through masquerade", "Gbit/s"),
            Figure::Download => ("download", "TCP through masquerade, back", "Gbit/s"),
            Figure::OutboundPingPong => ("outbound_ping_pong", "ping-pong through masquerade", "1/s"),
            Figure::Start => ("start", "start, run `true`, end", "ms"),
        };
        let is_lower_better = matches!(unit, "µs" | "ms" | "%");
        Words { key, label, unit, is_lower_better }
    }

    /// The ratio to the kernel bridge that a switch on TAPs is to reach: the least that we stand for, and the goal.
    pub fn aims(self) -> Option<(f64, f64)> {
        match self {
            Figure::Tcp1 => Some((0.65, 0.80)),
            Figure::Tcp4 => Some((0.45, 0.60)),
            Figure::TcpPairs => Some((0.33, 0.45)),
            Figure::UdpFlood => Some((1.0, 1.5)),
            Figure::PingPong => Some((1.0, 1.1)),
            Figure::PingPongPairs => Some((0.40, 0.60)),
            Figure::Tcp1PerCore
            | Figure::Tcp4PerCore
            | Figure::UdpFloodLoss
            | Figure::UdpLossless
            | Figure::PingPongP50
            | Figure::PingPongP99
            | Figure::PingPongPairsP50
            | Figure::PingPongPairsP99
            | Figure::Outbound
            | Figure::Download
            | Figure::OutboundPingPong
            | Figure::Start => None,
        }
    }

    /// Whether a ratio says anything. A loss is often next to none, and then it does not.
    pub fn has_ratio(self) -> bool {
        self != Figure::UdpFloodLoss
    }

    /// What the base of its ratios is, where that is not the system itself.
    pub fn base_label(self, base: Peer) -> &'static str {
        if self == Figure::Start && base == Peer::Kernel { "by hand, with ip" } else { base.label() }
    }
}
