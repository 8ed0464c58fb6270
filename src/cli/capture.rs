//! `capture`

use std::path::PathBuf;

use clap::Args;

use super::Json;

/// `capture`
#[derive(Debug, Args)]
#[command(after_help = capture::filter::SYNTAX)]
pub struct CaptureArgs {
    /// All ports, those that come later too
    #[arg(short, long)]
    pub all: bool,
    /// Write pcapng to this file, or to standard output if it is `-`, instead of a line for each frame
    #[arg(short, long, value_name = "FILE|-")]
    pub write: Option<PathBuf>,
    /// Keep so many bytes of each frame; by default all, or 256 if nothing is written
    #[arg(short, long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(14..))]
    pub snaplen: Option<u32>,
    /// Only frames that were dropped, whole or in one copy
    #[arg(long)]
    pub drops: bool,
    /// End after so many frames; a frame counts once, whatever becomes of its copies
    #[arg(short, long, value_name = "FRAMES", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// What the flight recorder has kept, instead of what comes
    #[arg(long)]
    pub last: bool,
    /// Print JSON, an object a line
    #[command(flatten)]
    pub json: Json,
    /// Ports, or containers for all of theirs, and what a frame must be like
    #[arg(value_name = "PORT]... [FILTER")]
    pub words: Vec<String>,
}
