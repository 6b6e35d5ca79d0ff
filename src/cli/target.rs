//! `modescope target`: the distribution an objective asks for.

use std::process::ExitCode;

/// Print the distribution that an objective asks for, and why.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn execute(_args: &Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("targets are not in this build yet")
}
