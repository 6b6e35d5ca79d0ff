//! `modescope pretrain`: a very small model from a seed and a grammar. This is how the embedded model was made.

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};

use super::values::whole;
use crate::lm::{
    LoadedModel,
    export::{HubFolder, loaded_tensors, save_hub_folder},
    pretrain::{EMBEDDED_GRAMMAR, Grammar, PretrainProgress, pretrain},
};

/// Train a very small language model from nothing on a grammar.
///
/// A grammar (presets/grammars/embedded.ron is one) lists prompts with weighted completions. The model is trained on their
/// exact probabilities; the same grammar and seed give the same weights, bit for bit, on one machine.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  modescope pretrain --out my-model
  modescope pretrain --grammar my.ron --steps 500 --seed 7 --out my-model
  modescope model score --model my-model --raw --prompt 'pick 1 or 2:' --answers 1,2")]
pub(super) struct Args {
    /// The grammar; without it that of the embedded model
    #[arg(long, value_name = "FILE")]
    grammar: Option<PathBuf>,
    /// Steps, in place of the grammar's
    #[arg(long, value_name = "N", value_parser = whole, allow_hyphen_values = true)]
    steps: Option<u64>,
    /// Seed of the initial weights, in place of the grammar's
    #[arg(long, value_name = "S", value_parser = whole, allow_hyphen_values = true)]
    seed: Option<u64>,
    /// Folder to write: a Hugging Face folder with weights, configuration and tokenizer
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Replace the folder if it is there already
    #[arg(long)]
    overwrite: bool,
}

pub(super) fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    let mut grammar = match &args.grammar {
        None => Grammar::parse(Path::new("presets/grammars/embedded.ron"), EMBEDDED_GRAMMAR)?,
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            Grammar::parse(path, &text)?
        }
    };
    if let Some(steps) = args.steps {
        grammar.training.steps = steps;
    }
    if let Some(seed) = args.seed {
        grammar.training.seed = seed;
    }
    if args.out.exists() && !args.overwrite {
        anyhow::bail!(
            "{} is there already; give another --out, or --overwrite to replace it",
            args.out.display()
        );
    }
    let began = Instant::now();
    let mut shown = Shown::new(grammar.training.steps);
    let mut last = None;
    let model = pretrain(&grammar, |progress| {
        shown.show(progress);
        last = Some(progress);
    })?;
    shown.bar.finish_and_clear();
    save(&args.out, &model)?;
    let mut out = io::stdout().lock();
    if let Some(PretrainProgress {
        step, loss, excess, ..
    }) = last
    {
        writeln!(
            out,
            "{step} steps in {:.0} s, loss {loss:.4} nats, {excess:.5} above the grammar's own entropy",
            began.elapsed().as_secs_f64()
        )?;
    }
    writeln!(
        out,
        "{} parameters, {} tokens, written to {}",
        model.info.config.parameters(),
        model.info.config.vocab_size,
        args.out.display()
    )?;
    Ok(ExitCode::SUCCESS)
}

/// Writes a model as a Hugging Face folder.
pub(super) fn save(folder: &Path, model: &LoadedModel) -> anyhow::Result<()> {
    save_hub_folder(
        folder,
        &HubFolder {
            config: &model.info.config,
            tensors: loaded_tensors(&model.weights)?,
            tokenizer: &model.tokenizer,
            chat: model.chat.as_ref(),
        },
    )?;
    Ok(())
}

/// A bar on a terminal, lines elsewhere.
struct Shown {
    bar: ProgressBar,
    lines: bool,
}

impl Shown {
    fn new(steps: u64) -> Self {
        let bar = ProgressBar::new(steps);
        if let Ok(style) =
            ProgressStyle::with_template("{bar:30} {pos}/{len} steps  {msg}  {eta} left")
        {
            bar.set_style(style);
        }
        Self {
            bar,
            lines: !io::stderr().is_terminal(),
        }
    }

    fn show(&mut self, progress: PretrainProgress) {
        let words = format!(
            "loss {:.4}, {:.5} above the grammar's entropy",
            progress.loss, progress.excess
        );
        if self.lines && progress.step.is_multiple_of(250) {
            // A closed standard error is no reason to stop.
            let _ = writeln!(
                io::stderr(),
                "step {} of {}  {words}",
                progress.step,
                progress.steps
            );
        }
        self.bar.set_position(progress.step);
        self.bar.set_message(words);
    }
}
