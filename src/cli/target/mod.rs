//! `modescope target`: the distribution an objective asks for, from numbers on the command line or one JSON object per
//! line of standard input.

mod jsonl;
mod mistake;
mod request;
mod table;

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use super::values::{above_zero, from_zero, listed, number, share};
use clap::ValueEnum;
use request::{Answer, DirectionName, MaraRequest, Request};

/// Print the distribution that an objective asks for, and why.
///
/// Arms are given by their reference masses (which must sum to 1) and their rewards. The answer lists every arm's target
/// mass, the best value J* of the objective, the multiplier λ (Λ under forward KL), the ties (the β at which two arms
/// have the same target mass), and says in words what the target looks like.
///
/// A mode is an arm whose effective reward reaches MARA's threshold, or without MARA the middle between the smallest and
/// the largest reward. Beyond 1,000 arms neighbouring such arms are one mode.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  modescope target --reference 0.68,0.30,0.02 --rewards 0,1,1 --beta 0.05
      two good answers, one 15 times rarer: the ratio stays, whatever β is
  modescope target --reference 0.68,0.30,0.02 --rewards 0,1,1 --beta 0.05 --mara 0.5
      the same with MARA: both get half
  modescope target --reference 0.5,0.5,0 --rewards 0,0.5,1 --beta 0.1 --direction forward
      forward KL can leave the reference's support
  echo '{\"reference\": [0.5, 0.5], \"rewards\": [0, 1], \"beta\": 0.1}' | modescope target --jsonl
      one answer per line, for programs

With --jsonl each line of standard input is an object with the fields reference,
rewards, beta and, if wanted, direction, alpha, entropy, mara (a threshold, or an
object with threshold or percentile, algorithm, per_class), reward_scale and
reward_offset. Each line of standard output is an object with target, log_target
(null is −∞), lambda (null under reverse), optimal_value, modes, ties, sentence
and more; or, for a line that is not accepted, with line and error. The exit code
is then 1.")]
pub(super) struct Args {
    /// Reference masses π_ref, one per arm, separated by commas; they must sum to 1
    #[arg(
        long,
        value_name = "MASSES",
        value_delimiter = ',',
        value_parser = listed,
        allow_hyphen_values = true,
        required_unless_present = "jsonl"
    )]
    reference: Vec<f64>,
    /// Rewards, one per arm, separated by commas
    #[arg(
        long,
        value_name = "REWARDS",
        value_delimiter = ',',
        value_parser = listed,
        allow_hyphen_values = true,
        required_unless_present = "jsonl"
    )]
    rewards: Vec<f64>,
    /// Coefficient β > 0 of the divergence to the reference
    #[arg(
        long,
        value_name = "BETA",
        value_parser = above_zero,
        allow_hyphen_values = true,
        required_unless_present = "jsonl"
    )]
    beta: Option<f64>,
    /// Which divergence: reverse is KL(π‖π_ref), forward is KL(π_ref‖π) [default: reverse]
    #[arg(long)]
    direction: Option<DirectionArg>,
    /// The α-divergence in place of a direction: 1 is reverse, 0 is forward, 0.5 Hellinger, 2 half χ²
    #[arg(long, value_name = "A", value_parser = number, allow_hyphen_values = true)]
    alpha: Option<f64>,
    /// Coefficient η ≥ 0 of an entropy bonus
    #[arg(long, value_name = "ETA", value_parser = from_zero, allow_hyphen_values = true)]
    entropy: Option<f64>,
    /// Mode-anchored reward augmentation of the arms with effective reward ≥ TAU
    #[arg(
        long,
        value_name = "TAU",
        value_parser = number,
        allow_hyphen_values = true,
        group = "mara_threshold"
    )]
    mara: Option<f64>,
    /// The same with a share of the arms in place of TAU: 0.9 keeps the best tenth
    #[arg(
        long,
        value_name = "P",
        value_parser = share,
        allow_hyphen_values = true,
        group = "mara_threshold"
    )]
    mara_percentile: Option<f64>,
    /// MARA's form: 1 augments rewards, 2 swaps rewards and reference [default: 1 for reverse, else 2]
    #[arg(
        long,
        value_name = "1|2",
        value_parser = algorithm,
        requires = "mara_threshold",
        allow_hyphen_values = true
    )]
    mara_algorithm: Option<i64>,
    /// Effective reward = S · reward + C
    #[arg(long, value_name = "S", value_parser = number, allow_hyphen_values = true)]
    reward_scale: Option<f64>,
    /// See --reward-scale
    #[arg(long, value_name = "C", value_parser = number, allow_hyphen_values = true)]
    reward_offset: Option<f64>,
    /// Print one JSON object in place of the table
    #[arg(long)]
    json: bool,
    /// Read one JSON object per line from standard input, write one per line
    #[arg(
        long,
        conflicts_with_all = [
            "reference", "rewards", "beta", "direction", "alpha", "entropy", "mara", "mara_percentile", "reward_scale", "reward_offset", "json",
        ]
    )]
    jsonl: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DirectionArg {
    /// KL(π‖π_ref), the usual penalty
    Reverse,
    /// KL(π_ref‖π)
    Forward,
}

fn algorithm(text: &str) -> Result<i64, String> {
    text.trim()
        .parse()
        .map_err(|_| "1 or 2 is accepted".to_owned())
}

pub(super) fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    if args.jsonl {
        return jsonl::execute(&mut io::stdin().lock(), &mut io::stdout().lock());
    }
    let answer = request(args)
        .and_then(Request::solve)
        .map_err(anyhow::Error::msg)?;
    let mut out = io::stdout().lock();
    if args.json {
        serde_json::to_writer(&mut out, &answer.to_json())?;
        writeln!(out)?;
    } else {
        table::print(&answer, &mut out)?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn request(args: &Args) -> Result<Request, String> {
    Ok(Request {
        reference: args.reference.clone(),
        rewards: args.rewards.clone(),
        beta: args.beta.unwrap_or(f64::NAN),
        direction: args.direction.map(|direction| match direction {
            DirectionArg::Reverse => DirectionName::Reverse,
            DirectionArg::Forward => DirectionName::Forward,
        }),
        alpha: args.alpha,
        entropy: args.entropy,
        mara: (args.mara.is_some() || args.mara_percentile.is_some()).then(|| MaraRequest {
            threshold: args.mara,
            percentile: args.mara_percentile,
            algorithm: args.mara_algorithm,
            ..MaraRequest::default()
        }),
        reward_scale: args.reward_scale,
        reward_offset: args.reward_offset,
    })
}
