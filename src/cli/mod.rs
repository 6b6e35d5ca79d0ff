//! The command line: one file per subcommand. This file lists them, and turns whatever goes wrong into one line on
//! standard error and an exit code.

mod completions;
mod gui;
mod model;
mod open;
mod presets;
mod pretrain;
mod run;
mod target;
mod validate;
mod values;

use std::{
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
};

use clap::{CommandFactory as _, Parser, Subcommand, error::ErrorKind};
use tracing_subscriber::EnvFilter;

/// Exit code of a command line that could not be understood.
const USAGE: u8 = 2;

const EXAMPLES: &str = "\
Examples:
  modescope                         open the window on the paper's Figure 5
  modescope figure-4                open it on another preset (see `presets`)
  modescope my.ron                  open it on a preset file of your own
  modescope run figure-3 --json     train without a window, print every metric
  modescope presets show figure-2   a preset as a file to start from
  modescope validate my.ron         every mistake in it, with line and column
  modescope target --reference 0.68,0.30,0.02 --rewards 0,1,1 --beta 0.05
                                    what does this objective ask for, and
                                    does it keep both good answers?

Exit codes: 0 when all went well, 1 when something failed, 2 when the
command line could not be understood. MODESCOPE_LOG=info (or debug, trace)
writes a log to standard error.";

/// A live workbench for KL-regularised reinforcement learning.
///
/// Which distribution does an objective really ask for, does training reach it, and how many modes survive? Modescope
/// answers in a window, live while it trains, and on the command line.
#[derive(Debug, Parser)]
#[command(
    name = "modescope",
    version,
    after_help = EXAMPLES,
    args_conflicts_with_subcommands = true,
    max_term_width = 110
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    gui: gui::Args,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Open the window (what happens without a subcommand)
    Gui(gui::Args),
    /// Print the distribution that an objective asks for, and why
    Target(target::Args),
    /// Train a preset without a window
    Run(run::Args),
    /// List the built-in presets, or print one
    Presets(presets::Args),
    /// Check preset files: every mistake with line and column
    Validate(validate::Args),
    /// Find, import, fetch and look at language models; score answers with one
    Model(model::Args),
    /// Train a very small language model from nothing on a grammar
    Pretrain(pretrain::Args),
    /// Print a completion script for a shell
    Completions(completions::Args),
}

/// Runs the program with the process's arguments: what `main` calls. Never panics on bad input or a closed pipe.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    match start_log().and_then(|()| dispatch(cli)) {
        Ok(code) => code,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&chain(&error));
            ExitCode::FAILURE
        }
    }
}

fn dispatch(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        None => gui::execute(cli.gui),
        Some(Command::Gui(args)) => gui::execute(args),
        Some(Command::Target(args)) => target::execute(&args),
        Some(Command::Run(args)) => run::execute(&args),
        Some(Command::Presets(args)) => presets::execute(&args),
        Some(Command::Validate(args)) => validate::execute(&args),
        Some(Command::Model(args)) => model::execute(&args),
        Some(Command::Pretrain(args)) => pretrain::execute(&args),
        Some(Command::Completions(args)) => completions::execute(&args, &mut Cli::command()),
    }
}

/// Help and version go out as they are; a mistake becomes one line that says where to read more.
fn usage(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            // A closed pipe is the reader's business.
            let _ = error.print();
            ExitCode::from(if error.use_stderr() { USAGE } else { 0 })
        }
        _ => {
            let text = error.to_string();
            let mut line = String::new();
            for part in text.lines().map(str::trim) {
                if part.starts_with("Usage:") || part.starts_with("For more information") {
                    break;
                }
                if !part.is_empty() {
                    if !line.is_empty() {
                        line.push_str(if line.ends_with(':') { " " } else { "; " });
                    }
                    let part = part.trim_start_matches("error: ");
                    // "[possible values: a, b]"
                    let values = part
                        .strip_prefix("[possible values: ")
                        .and_then(|part| part.strip_suffix(']'));
                    match values {
                        Some(values) => line.extend(["accepted: ", values]),
                        None => line.push_str(part),
                    }
                }
            }
            complain(&format!("{line} (see --help)"));
            ExitCode::from(USAGE)
        }
    }
}

/// An error with its causes, each told once: many errors tell their cause themselves.
fn chain(error: &anyhow::Error) -> String {
    let mut told = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !told.contains(&cause) {
            told.push_str(": ");
            told.push_str(&cause);
        }
    }
    told
}

/// One line on standard error; nothing can be done when that is closed as well.
fn complain(message: &str) {
    let _ = writeln!(io::stderr(), "modescope: {}", one_line(message));
}

/// The message without line breaks and other control characters.
fn one_line(message: &str) -> String {
    let words: Vec<&str> = message
        .split(|c: char| c.is_control())
        .filter(|part| !part.is_empty())
        .collect();
    words.join(" ")
}

/// Whether the reader of standard output went away (`modescope presets | head -1`), which is no failure.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
            || cause
                .downcast_ref::<serde_json::Error>()
                .is_some_and(|e| e.io_error_kind() == Some(io::ErrorKind::BrokenPipe))
    })
}

/// What is logged where `MODESCOPE_LOG` says nothing: warnings, but not those of the window system about its screens.
const DEFAULT_LOG: &str = "warn,winit=error";

/// Log to standard error, as much as `MODESCOPE_LOG` asks for.
fn start_log() -> anyhow::Result<()> {
    let asked = std::env::var("MODESCOPE_LOG").unwrap_or_default();
    let directives = if asked.trim().is_empty() {
        DEFAULT_LOG
    } else {
        &asked
    };
    let filter = EnvFilter::builder().parse(directives).map_err(|error| {
        anyhow::anyhow!(
            "MODESCOPE_LOG = {asked:?} is not a log filter ({error}); warn, info, debug and trace are accepted"
        )
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .try_init()
        .map_err(|error| anyhow::anyhow!("the log could not be started: {error}"))
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::chain;

    #[test]
    fn a_cause_is_told_once() {
        let missing = || std::io::Error::other("no such file");
        let inner = crate::lm::LmError::Read {
            path: "a/b".into(),
            source: missing(),
        };
        assert_eq!(chain(&inner.into()), "cannot read a/b: no such file");
        let with_context = Err::<(), _>(missing()).context("c.ron").err();
        assert_eq!(
            with_context.as_ref().map(chain).as_deref(),
            Some("c.ron: no such file")
        );
    }
}
