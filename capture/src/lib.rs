//! What a capture is made of, without a file, a clock or a thread: bytes in, bytes out.
//!
//! The map:
//!
//! * [`filter`]: which frames are wanted, as tcpdump has it;
//! * [`pcapng`]: the file format, as Wireshark reads it;
//! * [`pcap`]: the frames of anybody's capture file;
//! * [`recording`]: all that came to a data plane, in order, as data and as such a file. Who replays it gets the same decisions.
//! * [`recorder`]: it watches a data plane, on its thread, and keeps what is to be kept: for a writer, or for a while.
//! * [`replay`]: gives a recording to a data plane of today, and says where it decides otherwise.

pub mod describe;
pub mod filter;
pub mod pcap;
pub mod pcapng;
pub mod recorder;
pub mod recording;
pub mod replay;
