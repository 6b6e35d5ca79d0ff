//! `modescope validate FILE…`: every mistake in preset files.

use std::{path::PathBuf, process::ExitCode};

/// Check preset files: every mistake with line and column.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The preset files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

pub(super) fn execute(_args: &Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("validation is not in this build yet")
}
