//! `modescope presets`: what is built in.

use std::process::ExitCode;

/// List the built-in presets, or print one.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn execute(_args: &Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("presets are not in this build yet")
}
