//! What shells and readers of manuals want to know of the command line: completions and man pages, made from [`Cli`].

use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::failure::{Failure, io};

/// The completion script for a shell.
#[must_use]
pub fn completions(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "pontoon", &mut script);
    script
}

/// Writes a man page for each command into a directory, which is made if it is not there.
///
/// # Errors
/// If it can not be written there.
pub fn write_pages(directory: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(directory).map_err(io(format_args!("make the directory {}", directory.display())))?;
    // `help` has no page: it is where one looks without them.
    clap_mangen::generate_to(Cli::command().disable_help_subcommand(true), directory)
        .map_err(io(format_args!("write the man pages in {}", directory.display())))
}
