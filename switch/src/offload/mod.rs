//! What a link without offload needs done in software: segmentation and checksums.
//!
//! * [`checksum`]: the internet checksum;
//! * [`layout`]: where the headers of a super-frame begin and end;
//! * [`segment`]: a super-frame into segments, an unfinished checksum into a finished one.

pub mod checksum;
pub mod layout;
pub mod segment;
