//! `modescope completions SHELL`: a completion script on standard output.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap_complete::Shell;

/// Print a completion script for a shell, to be saved where that shell looks for completions.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  modescope completions bash > ~/.local/share/bash-completion/completions/modescope
  modescope completions zsh  > ~/.zfunc/_modescope       (with ~/.zfunc in fpath)
  modescope completions fish > ~/.config/fish/completions/modescope.fish")]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

pub(super) fn execute(args: &Args, command: &mut clap::Command) -> anyhow::Result<ExitCode> {
    // Into memory first: the generator panics where a pipe is closed.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, command, "modescope", &mut script);
    io::stdout().lock().write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}
