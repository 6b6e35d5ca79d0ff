//! `modescope run PRESET`: training without a window.

use std::process::ExitCode;

/// Train a preset without a window.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A built-in preset or a preset file
    #[arg(value_name = "PRESET|FILE")]
    preset: String,
}

pub(super) fn execute(_args: &Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("training is not in this build yet")
}
