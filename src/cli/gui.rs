//! `modescope [gui] [PRESET|FILE]`: the window.

use std::{path::PathBuf, process::ExitCode};

use clap::ValueEnum;

/// Open the window. It starts training at once; Space pauses.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  modescope gui figure-2                                        open a built-in preset
  modescope gui figure-5 --set objective.beta=0.1               open it with another β
  modescope gui figure-5 --screenshot shot.png --after 3        save a picture of the window after 3 seconds, and exit
  modescope gui figure-5 --frame-stats stats.json --after 20    measure frame times for 20 seconds, and exit")]
pub(super) struct Args {
    /// A built-in preset (`modescope presets` lists them) or a preset file; without it the last session, or Figure 5
    #[arg(value_name = "PRESET|FILE")]
    open: Option<String>,
    /// Change a value of the preset, for example objective.beta=0.1; may be repeated
    #[arg(long = "set", value_name = "PATH=VALUE")]
    sets: Vec<String>,
    /// Save a picture of the window as PNG after --after seconds, then exit
    #[arg(long, value_name = "FILE.png")]
    screenshot: Option<PathBuf>,
    /// Train at full speed for --after seconds, write frame-time percentiles and input latency as JSON, then exit
    #[arg(long, value_name = "FILE.json")]
    frame_stats: Option<PathBuf>,
    /// Seconds until the picture or the statistics are taken
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0, value_parser = seconds, allow_hyphen_values = true)]
    after: f64,
    /// Size of the window in points, for example 1280x800
    #[arg(long, value_name = "WIDTHxHEIGHT", value_parser = size)]
    size: Option<[f32; 2]>,
    /// Light or dark; without it as last time, or as the system has it
    #[arg(long)]
    theme: Option<Theme>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Theme {
    /// Dark on light
    Light,
    /// Light on dark
    Dark,
}

#[cfg(feature = "gui")]
pub(super) fn execute(args: Args) -> anyhow::Result<ExitCode> {
    // A mistake is told where it was typed, not in a window that opens on something else.
    if let Some(name) = &args.open {
        let opened = super::open::open_changed(name, &args.sets).map_err(|error| {
            match misspelt_command(name) {
                Some(command) => anyhow::anyhow!(
                    "there is no command, preset or file {name:?}; did you mean `modescope {command}`?"
                ),
                None => error,
            }
        })?;
        // What it asks for is solved by the window, once.
        super::open::check_prompts(&opened).map_err(|error| match &opened.file {
            Some(_) => error,
            None => anyhow::anyhow!("{name}: {error}"),
        })?;
    } else if let Some(set) = args.sets.first() {
        anyhow::bail!(
            "--set {set}: there is no preset to change; name one too, for example `modescope gui figure-5 --set {set}`"
        );
    }
    crate::ui::run(crate::ui::GuiOptions {
        open: args.open,
        sets: args.sets,
        screenshot: args.screenshot,
        frame_stats: args.frame_stats,
        after_secs: args.after,
        size: args.size,
        dark: args.theme.map(|theme| theme == Theme::Dark),
    })?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(not(feature = "gui"))]
pub(super) fn execute(_args: Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!(
        "this build has no window (it was built without the feature \"gui\"); try `modescope run PRESET` or `modescope --help`"
    )
}

/// The subcommand that was probably meant, where there is no such preset either.
#[cfg(feature = "gui")]
fn misspelt_command(name: &str) -> Option<&'static str> {
    const COMMANDS: [&str; 7] = [
        "gui",
        "target",
        "run",
        "presets",
        "validate",
        "completions",
        "help",
    ];
    let is_path = name.contains(['.', '/', '\\']) || std::path::Path::new(name).exists();
    let near = |names: &mut dyn Iterator<Item = &'static str>| {
        crate::experiment::closest::closest(name, names)
    };
    if is_path || near(&mut crate::experiment::builtin().iter().map(|b| b.name)).is_some() {
        return None;
    }
    near(&mut COMMANDS.into_iter())
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..=86_400.0).contains(&value) => Ok(value),
        _ => Err("a number of seconds from 0 to 86400 is accepted".to_owned()),
    }
}

fn size(text: &str) -> Result<[f32; 2], String> {
    let parts = text
        .split_once(['x', 'X', '×'])
        .and_then(|(width, height)| {
            let pair = [
                width.trim().parse::<f32>().ok()?,
                height.trim().parse::<f32>().ok()?,
            ];
            pair.iter()
                .all(|side| (1.0..=16_384.0).contains(side))
                .then_some(pair)
        });
    parts.ok_or_else(|| {
        "WIDTHxHEIGHT is accepted, each from 1 to 16384, for example 1280x800".to_owned()
    })
}
