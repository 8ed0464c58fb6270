//! The Linux backend.

pub mod wire;
