//! Offload headers: what is not believed of them, and what a link without offload needs done in software, which is
//! segmentation and checksums.
//!
//! * [`claim`]: whether an offload header can be true of its frame;
//! * [`checksum`]: the internet checksum;
//! * [`layout`]: where the headers of a super-frame begin and end;
//! * [`segment`]: a super-frame into segments, an unfinished checksum into a finished one;
//! * [`train`]: datagrams of one flow to a super-frame, for a link with offload.

pub mod checksum;
pub mod claim;
pub mod layout;
pub mod segment;
pub mod train;
