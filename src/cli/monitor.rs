//! The arguments of `bridge monitor`.

use clap::Args;

use super::Json;

/// `bridge monitor`
#[derive(Debug, Args)]
pub struct MonitorArgs {
    /// What to tell of, and words as of bridge(8): `br BRIDGE`, `dev PORT`
    #[arg(value_name = "all|fdb|link|container|network [br BRIDGE] [dev PORT]", num_args = 0..)]
    pub words: Vec<String>,
    /// Say when, in UTC
    #[arg(short, long)]
    pub timestamp: bool,
    /// For a program: one object a line
    #[command(flatten)]
    pub json: Json,
}
