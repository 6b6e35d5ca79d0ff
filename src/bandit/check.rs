//! What only shows when an experiment's formulas and tables are evaluated, its target solved and its learner built: as mistakes
//! of its fields.

use std::{path::Path, sync::Arc};

use super::{Analysis, Problem, ProblemError, ProblemSource, TrainError, Trainer};
use crate::{
    experiment::{BanditSpec, Mistake, Preset, Training},
    theory::{Objective, TargetError, Written},
};

/// An experiment whose sources were evaluated, to start from where others differ little.
pub(crate) struct Evaluated<'a> {
    /// What was evaluated.
    pub(crate) bandit: &'a BanditSpec,
    /// Its numbers.
    pub(crate) source: &'a ProblemSource,
}

/// Evaluates the sources of a bandit. Relative CSV paths start at `base_dir`.
///
/// # Errors
/// Everything that is wrong with reference, rewards and modes.
pub(crate) fn evaluate_all(
    bandit: &BanditSpec,
    objective: &Objective,
    base_dir: Option<&Path>,
    like: Option<&Evaluated<'_>>,
) -> Result<(ProblemSource, Problem), Vec<Mistake>> {
    let source = match like {
        Some(like) => like.source.renewed(like.bandit, bandit, base_dir),
        None => ProblemSource::evaluate(bandit, base_dir),
    };
    let built = source.and_then(|source| {
        let problem = source.problem(bandit, objective)?;
        Ok((source, problem))
    });
    built.map_err(|first| {
        let mut faults = ProblemSource::faults(bandit, objective, base_dir);
        if faults.is_empty() {
            // A table that was mended since it was first read.
            faults.push(first);
        }
        faults.iter().map(of_problem).collect()
    })
}

/// What keeps the objective from having a target on a problem.
///
/// # Errors
/// One mistake.
pub(crate) fn solve(problem: &Problem, objective: &Objective) -> Result<Analysis, Mistake> {
    Analysis::without_ties(problem, objective)
        .map_err(|error| of_target(&error, problem, objective))
}

/// What keeps a learner from being built for a problem with its analysis.
pub(crate) fn build(problem: Problem, analysis: Analysis, preset: &Preset) -> Option<Mistake> {
    let training = Training::clone(&preset.training);
    let built = Trainer::new(
        Arc::new(problem),
        preset.objective,
        Arc::new(analysis),
        Arc::new(training),
    );
    built.err().map(|error| match error {
        TrainError::Field {
            field,
            value,
            accepted,
        } => Mistake::new(
            format!("training.{field}"),
            format!("{value} is not accepted; {accepted}"),
        ),
        TrainError::Network { .. } => Mistake::new("training.policy", error.to_string()),
        TrainError::Lengths { .. }
        | TrainError::NotFinite { .. }
        | TrainError::ForeignState { .. } => Mistake::new("training", error.to_string()),
    })
}

fn of_problem(error: &ProblemError) -> Mistake {
    let field = error.field();
    // The message starts with its field, which a mistake tells by itself.
    let whole = error.to_string();
    let message = whole
        .strip_prefix(field)
        .and_then(|rest| rest.strip_prefix(": "))
        .unwrap_or(&whole);
    let mistake = Mistake::new(field, message);
    match error {
        ProblemError::Formula { error, .. } => mistake.at_column(error.column()),
        _ => mistake,
    }
}

/// The field behind rewards that have no target: the one that took them out of the finite numbers.
fn of_target(error: &TargetError, problem: &Problem, objective: &Objective) -> Mistake {
    let is_wide = |values: &mut dyn Iterator<Item = f64>| {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values {
            (low, high) = (low.min(value), high.max(value));
        }
        !(high - low).is_finite()
    };
    let raw = || problem.rewards.iter().copied();
    let (scale, offset) = (objective.reward_scale, objective.reward_offset);
    let (field, value) = match error {
        TargetError::Alpha(_) => ("objective.direction", None),
        TargetError::Entropy(_) | TargetError::EntropyWithAlpha { .. } => {
            ("objective.entropy", None)
        }
        TargetError::Threshold(_) => ("objective.mara.threshold", None),
        TargetError::Lengths { .. } => ("bandit", None),
        TargetError::Reward { .. } | TargetError::Range { .. } => {
            if is_wide(&mut raw()) {
                ("bandit.rewards", None)
            } else if is_wide(&mut raw().map(|reward| scale * reward)) {
                ("objective.reward_scale", Some(scale))
            } else if is_wide(&mut raw().map(|reward| objective.effective_reward(reward))) {
                ("objective.reward_offset", Some(offset))
            } else if objective.mara.is_some() {
                ("objective.mara", None)
            } else {
                ("objective.reward_scale", Some(scale))
            }
        }
    };
    let message = match value {
        Some(value) => format!("{} is not accepted here: {error}", Written(value)),
        None => error.to_string(),
    };
    Mistake::new(field, message)
}
