//! `modescope presets`: what is built in.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::Subcommand;
use serde::Serialize;

use crate::experiment::{self, Builtin, Preset};

/// List the built-in presets, with a line on what to look for in each, or print one.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  modescope presets                              the list
  modescope presets --json                       the list for a program
  modescope presets show figure-2 > my.ron       a preset file to start from")]
pub(super) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    /// One JSON array of objects with name, title, summary and look_for
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print one preset as a file (RON)
    Show {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
    },
}

/// A line of the list, as JSON has it.
#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    title: &'a str,
    summary: &'a str,
    look_for: &'a str,
}

pub(super) fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    let mut out = io::stdout().lock();
    match &args.action {
        Some(Action::Show { name }) => out.write_all(find(name)?.text.as_bytes())?,
        None => {
            let presets = all()?;
            if args.json {
                let lines: Vec<Line<'_>> = presets
                    .iter()
                    .map(|(name, preset)| Line {
                        name,
                        title: &preset.title,
                        summary: &preset.summary,
                        look_for: &preset.look_for,
                    })
                    .collect();
                serde_json::to_writer_pretty(&mut out, &lines)?;
                writeln!(out)?;
            } else {
                for (i, (name, preset)) in presets.iter().enumerate() {
                    if i > 0 {
                        writeln!(out)?;
                    }
                    writeln!(out, "{name}\n    {}\n    {}", preset.title, preset.look_for)?;
                }
            }
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn all() -> anyhow::Result<Vec<(&'static str, Preset)>> {
    experiment::builtin()
        .iter()
        .map(|builtin| {
            let preset = experiment::parse_preset(builtin.text)
                .map_err(|errors| anyhow::anyhow!("preset {}: {errors}", builtin.name))?;
            Ok((builtin.name, preset))
        })
        .collect()
}

fn find(name: &str) -> anyhow::Result<&'static Builtin> {
    let names = || experiment::builtin().iter().map(|builtin| builtin.name);
    experiment::builtin()
        .iter()
        .find(|builtin| builtin.name == name)
        .ok_or_else(|| match experiment::closest::closest(name, names()) {
            Some(near) => anyhow::anyhow!("there is no preset {name:?}; did you mean {near:?}?"),
            None => anyhow::anyhow!(
                "there is no preset {name:?}; built in are {}",
                names().collect::<Vec<_>>().join(", ")
            ),
        })
}
