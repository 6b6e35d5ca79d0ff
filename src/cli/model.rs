//! `modescope model`: what a model on disk is, and the exact log-probabilities it gives to answers.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use candle_core::Device;
use clap::Subcommand;
use serde_json::json;

use crate::lm::{self, AnswerScore, Model, ModelFile, ModelInfo, PromptSpec};

const EXAMPLES: &str = "\
Examples:
  modescope model info SmolLM2-135M-Instruct.Q4_1.gguf
  modescope model score --model SmolLM2-135M-Instruct.Q4_1.gguf --answers 1,2 \\
      --prompt 'Pick 1 or 2 at random. Reply with a single digit and nothing else.' \\
      --prefill 'My pick: '";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What a model is: architecture, size, tensor types, licence
    Info {
        /// A .gguf file or a Hugging Face folder
        model: PathBuf,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Exact log-probabilities of answers to a prompt, end token included
    #[command(after_help = EXAMPLES)]
    Score(Score),
}

#[derive(Debug, clap::Args)]
struct Score {
    /// A .gguf file or a Hugging Face folder
    #[arg(long)]
    model: PathBuf,
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
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Info { model, json } => info(model, *json)?,
        Command::Score(args) => score(args)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn info(path: &std::path::Path, as_json: bool) -> anyhow::Result<()> {
    let info = lm::inspect(&ModelFile::find(path)?)?;
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
        (
            "parameters",
            format!("{:.1} million", config.parameters() as f64 / 1e6),
        ),
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
        ("on disk", format!("{:.1} MB", info.file_bytes as f64 / 1e6)),
        (
            "in memory as f32",
            format!("{:.1} MB", config.parameters() as f64 * 4.0 / 1e6),
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
    let loaded = lm::load(&ModelFile::find(&args.model)?, &Device::Cpu)?;
    let model = Model::new(&loaded.info.config, &loaded.weights)?;
    let prompt = PromptSpec {
        prompt: args.prompt.clone(),
        raw: args.raw,
        prefill: args.prefill.clone(),
    }
    .tokens(&loaded)?;
    let scores = lm::score_answers(&model, &loaded, &prompt, &args.answers)?;
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
