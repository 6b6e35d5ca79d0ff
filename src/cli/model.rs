//! `modescope model`: which models there are and what they are, how to get more, and the exact log-probabilities they give to
//! answers.

use std::{
    io::{self, IsTerminal as _, Write as _},
    ops::ControlFlow,
    path::PathBuf,
    process::ExitCode,
};

use candle_core::Device;
use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::lm::{
    self, AnswerScore, Model, ModelInfo, ModelSource, ModelStore, PromptSpec, StoredModel,
    store::{FetchRequest, ImportOptions},
};

const EXAMPLES: &str = "\
Examples:
  modescope model score --model embedded --raw --prompt 'pick 1 or 2:' --answers 1,2
  modescope model score --model SmolLM2-135M-Instruct.Q4_1.gguf --answers 1,2 \\
      --prompt 'Pick 1 or 2 at random. Reply with a single digit and nothing else.' \\
      --prefill 'My pick: ' --first-token";

const NAMES: &str = "\
A model is \"embedded\", a name that `modescope model list` shows, or the path of a
.gguf file, a Hugging Face folder (config.json, tokenizer.json, *.safetensors) or a
PEFT adapter (adapter_config.json, adapter_model.safetensors).";

#[derive(Debug, clap::Args)]
#[command(after_help = NAMES)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Models that have a name: embedded, imported, in the Hugging Face cache
    List {
        /// Print a JSON array
        #[arg(long)]
        json: bool,
    },
    /// What a model is: architecture, size, tensor types, licence
    #[command(after_help = NAMES)]
    Info {
        /// A name, a .gguf file or a Hugging Face folder
        model: String,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Take a model on disk into the data folder, so that presets can name it
    Import(Import),
    /// Get a model from the Hugging Face hub into its cache, or go on where that stopped
    Fetch(Fetch),
    /// Write a model as a Hugging Face folder: a GGUF file converted to f32, an adapter added to its base
    #[command(after_help = NAMES)]
    Export(Export),
    /// Exact log-probabilities of answers to a prompt, end token included (or of their first tokens)
    #[command(after_help = EXAMPLES)]
    Score(Score),
}

#[derive(Debug, clap::Args)]
struct Import {
    /// A .gguf file or a Hugging Face folder
    path: PathBuf,
    /// What presets will call it; its file name without this
    #[arg(long)]
    name: Option<String>,
    /// Link to where it lies instead of copying it
    #[arg(long)]
    link: bool,
    /// Replace a model of that name
    #[arg(long)]
    overwrite: bool,
}

#[derive(Debug, clap::Args)]
struct Fetch {
    /// ORG/NAME, or ORG/NAME@REVISION
    repository: String,
    /// The .gguf file to fetch, where there are several
    #[arg(long, value_name = "NAME")]
    file: Option<String>,
}

#[derive(Debug, clap::Args)]
struct Export {
    /// A name or a path
    model: String,
    /// The folder to write
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Replace the folder if it is there already
    #[arg(long)]
    overwrite: bool,
}

#[derive(Debug, clap::Args)]
struct Score {
    /// A name, a .gguf file or a Hugging Face folder
    #[arg(long)]
    model: String,
    /// The user's turn, put through the model's chat template
    #[arg(long)]
    prompt: String,
    /// The prompt is the whole text: no chat template
    #[arg(long)]
    raw: bool,
    /// First words of the assistant's turn
    #[arg(long, default_value = "")]
    prefill: String,
    /// The answers, separated by commas
    #[arg(long, required = true, value_delimiter = ',')]
    answers: Vec<String>,
    /// Only the first token of each answer counts, as in presets with matching FirstToken
    #[arg(long)]
    first_token: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::List { json } => list(*json)?,
        Command::Info { model, json } => info(model, *json)?,
        Command::Import(args) => import(args)?,
        Command::Fetch(args) => fetch(args)?,
        Command::Export(args) => export(args)?,
        Command::Score(args) => score(args)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn list(as_json: bool) -> anyhow::Result<()> {
    let models = ModelStore::of_user().list();
    let mut out = io::stdout().lock();
    if as_json {
        let all: Vec<serde_json::Value> = models
            .iter()
            .map(|model| {
                let mut entry = match model.source.inspect() {
                    Ok(info) => info_json(&info),
                    Err(error) => json!({"error": error.to_string()}),
                };
                entry["name"] = json!(model.name);
                entry["origin"] = json!(model.origin);
                entry["path"] = json!(model.source.path());
                entry
            })
            .collect();
        writeln!(out, "{}", json!(all))?;
        return Ok(());
    }
    let heads = [
        "name",
        "family",
        "parameters",
        "on disk",
        "context",
        "licence",
        "where",
    ];
    let mut rows: Vec<[String; 7]> = vec![heads.map(str::to_owned)];
    rows.extend(models.iter().map(row));
    let widths: [usize; 7] = std::array::from_fn(|column| {
        let width = |row: &[String; 7]| row[column].chars().count();
        rows.iter().map(width).max().unwrap_or(0)
    });
    for row in &rows {
        let mut line = String::new();
        for (column, (text, width)) in row.iter().zip(widths).enumerate() {
            let pad = " ".repeat(width - text.chars().count());
            // Numbers are aligned at their right end.
            match column {
                2..=4 => line.extend([&pad, text.as_str(), "  "]),
                _ => line.extend([text.as_str(), &pad, "  "]),
            }
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

fn row(model: &StoredModel) -> [String; 7] {
    let place = match model.source.path() {
        None => model.origin.to_owned(),
        Some(path) => format!("{}, {}", model.origin, path.display()),
    };
    match model.source.inspect() {
        Ok(info) => [
            model.name.clone(),
            info.config.family.model_type().to_owned(),
            parameters(&info),
            megabytes(info.file_bytes),
            info.config.context.to_string(),
            info.license.unwrap_or_else(|| "not stated".to_owned()),
            place,
        ],
        Err(error) => [
            model.name.clone(),
            "cannot be read".to_owned(),
            String::new(),
            String::new(),
            String::new(),
            String::new(),
            error.to_string(),
        ],
    }
}

fn parameters(info: &ModelInfo) -> String {
    let count = info.config.parameters() as f64;
    if count < 1e6 {
        format!("{:.0} thousand", count / 1e3)
    } else {
        format!("{:.1} million", count / 1e6)
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

fn import(args: &Import) -> anyhow::Result<()> {
    let options = ImportOptions {
        name: args.name.clone(),
        link: args.link,
        overwrite: args.overwrite,
    };
    let bar = bar();
    let model = ModelStore::of_user().import(&args.path, &options, |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    })?;
    bar.finish_and_clear();
    told(&model.name, &model.source)
}

fn fetch(args: &Fetch) -> anyhow::Result<()> {
    let request = FetchRequest::of_user(&args.repository, args.file.as_deref())?;
    let bar = bar();
    let quiet = !io::stderr().is_terminal();
    let mut current = String::new();
    let source = ModelStore::of_user().fetch(&request, |progress| {
        if progress.file != current {
            progress.file.clone_into(&mut current);
            bar.set_message(current.clone());
            bar.reset();
            if quiet {
                // A closed standard error is no reason to stop.
                let _ = writeln!(io::stderr(), "{current}, {}", megabytes(progress.total));
            }
        }
        bar.set_length(progress.total);
        bar.set_position(progress.done);
        ControlFlow::Continue(())
    })?;
    bar.finish_and_clear();
    told(&request.repository, &source)
}

fn export(args: &Export) -> anyhow::Result<()> {
    if args.out.exists() && !args.overwrite {
        anyhow::bail!(
            "{} is there already; give another --out, or --overwrite to replace it",
            args.out.display()
        );
    }
    let model = ModelStore::of_user()
        .resolve(&args.model, None)?
        .load(&Device::Cpu)?;
    super::pretrain::save(&args.out, &model)?;
    writeln!(
        io::stdout(),
        "{}, {} parameters, written to {}",
        model.info.name,
        parameters(&model.info),
        args.out.display()
    )?;
    Ok(())
}

fn told(name: &str, source: &ModelSource) -> anyhow::Result<()> {
    let info = source.inspect()?;
    let place = source.path().map(|path| path.display().to_string());
    writeln!(
        io::stdout(),
        "{name} ({}, {} parameters) is at {}; presets can say model: {name:?}",
        info.config.family.model_type(),
        parameters(&info),
        place.unwrap_or_default()
    )?;
    Ok(())
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template(
        "{msg} {bar:30} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left",
    ) {
        bar.set_style(style);
    }
    bar
}

fn info(name: &str, as_json: bool) -> anyhow::Result<()> {
    let info = ModelStore::of_user().resolve(name, None)?.inspect()?;
    let mut out = io::stdout().lock();
    if as_json {
        writeln!(out, "{}", info_json(&info))?;
        return Ok(());
    }
    let config = &info.config;
    let types: Vec<String> = info
        .tensor_types
        .iter()
        .map(|(kind, count)| format!("{count} × {kind}"))
        .collect();
    let rows = [
        ("name", info.name.clone()),
        (
            "licence",
            info.license
                .clone()
                .unwrap_or_else(|| "not stated in the file".to_owned()),
        ),
        ("architecture", config.family.model_type().to_owned()),
        ("parameters", parameters(&info)),
        ("layers", config.layers.to_string()),
        (
            "width",
            format!(
                "{} (feed-forward {})",
                config.hidden_size, config.intermediate_size
            ),
        ),
        (
            "heads",
            format!(
                "{} of {} ({} for keys and values)",
                config.heads, config.head_dim, config.kv_heads
            ),
        ),
        (
            "vocabulary",
            format!(
                "{} tokens{}",
                config.vocab_size,
                if config.tied_embeddings {
                    ", head tied to the embeddings"
                } else {
                    ""
                }
            ),
        ),
        ("context", format!("{} tokens", config.context)),
        ("tensors", types.join(", ")),
        ("on disk", megabytes(info.file_bytes)),
        (
            "in memory as f32",
            megabytes(4 * config.parameters() as u64),
        ),
    ];
    for (name, value) in rows {
        writeln!(out, "{name:<18}{value}")?;
    }
    Ok(())
}

fn info_json(info: &ModelInfo) -> serde_json::Value {
    let config = &info.config;
    json!({
        "name": info.name,
        "license": info.license,
        "architecture": config.family.model_type(),
        "parameters": config.parameters(),
        "layers": config.layers,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "heads": config.heads,
        "kv_heads": config.kv_heads,
        "head_dim": config.head_dim,
        "vocab_size": config.vocab_size,
        "context": config.context,
        "tied_embeddings": config.tied_embeddings,
        "tensor_types": info.tensor_types,
        "file_bytes": info.file_bytes,
    })
}

fn score(args: &Score) -> anyhow::Result<()> {
    let loaded = ModelStore::of_user()
        .resolve(&args.model, None)?
        .load(&Device::Cpu)?;
    let model = Model::new(&loaded.info.config, &loaded.weights)?;
    let prompt = PromptSpec {
        prompt: args.prompt.clone(),
        raw: args.raw,
        prefill: args.prefill.clone(),
    }
    .tokens(&loaded)?;
    let scores = if args.first_token {
        lm::score_first_tokens(&model, &loaded, &prompt, &args.answers)?
    } else {
        lm::score_answers(&model, &loaded, &prompt, &args.answers)?
    };
    let rest = 1.0 - scores.iter().map(|s| s.log_prob.exp()).sum::<f64>();
    let mut out = io::stdout().lock();
    if args.json {
        let object = json!({
            "model": loaded.info.name,
            "prompt_tokens": prompt,
            "answers": scores,
            "everything_else": rest,
        });
        writeln!(out, "{object}")?;
        return Ok(());
    }
    let width = scores
        .iter()
        .map(|s| s.text.chars().count())
        .max()
        .unwrap_or(0)
        .max(15)
        + 2;
    writeln!(
        out,
        "{:width$}{:>12}{:>12}  tokens",
        "answer", "log-prob", "probability"
    )?;
    for AnswerScore {
        text,
        tokens,
        log_prob,
        ..
    } in &scores
    {
        let shown = text.replace(' ', "␣");
        writeln!(
            out,
            "{shown:width$}{log_prob:>12.4}{:>12.6}  {tokens:?}",
            log_prob.exp()
        )?;
    }
    writeln!(out, "{:width$}{:>12}{rest:>12.6}", "everything else", "")?;
    Ok(())
}
