//! What the comparison does not show.

/// Printed at the end of each report, and part of it in JSON.
pub const LIMITS: [&str; 7] = [
    "Most of the distance to vde_switch and Open vSwitch in bulk TCP is GSO, not switching: on TAPs they move single frames of \
     1500 bytes, while the kernel bridge, docker0 and Pontoon move super-frames of up to 64 KiB. Their UDP and ping-pong rows \
     compare the switching.",
    "Open vSwitch is made for DPDK and for its kernel datapath; its userspace datapath on TAPs is what runs without either, and \
     not its best.",
    "There is no physical wire: two containers on one machine. What a network card, its queues and its interrupts would cost or \
     save is not in it.",
    "Senders, receivers and a switch in user space share the same few cores. On a machine with more of them the ratios are others.",
    "Gbit per busy core-second counts the whole machine's work meanwhile, iperf3's included.",
    "A flood and the search for the lossless rate use datagrams of 64 bytes from one sender, over one flow; loss is judged in \
     trials of 0.2 s, and a rate is too much when two of them lose 0.5 %.",
    "docker0 is rebuilt from Docker's own rules without published ports or further networks, each of which adds rules; no Docker \
     runs.",
];
