//! The optimal policy of an objective, the "target" (docs/math.md section 1). One file per divergence below.

mod alpha;
mod edge;
mod entropic;
mod forward;
mod reverse;
mod sample;

use thiserror::Error;

use super::{
    Direction, Distribution, Objective, Written,
    kernels::{self, Survey},
};

/// The distribution an objective asks for, with the multiplier that proves it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Target {
    /// Natural-log masses (−∞ for arms that get none), normalised.
    pub log_masses: Vec<f64>,
    /// Masses, exp of the above.
    pub masses: Vec<f64>,
    /// Multiplier of the sum-to-one constraint: Λ for `Forward`, λ for the α family; none for `Reverse`.
    pub lambda: Option<f64>,
    /// J*: the objective's value at the target.
    pub optimal_value: f64,
    /// Mass on arms outside the reference's support (only `Forward` and α < 1 can put any there).
    pub outside_support: f64,
}

/// A β at which two arms (or modes) have the same target mass; below it the better reward wins, above it the
/// better-supported one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tie {
    /// β*, > 0.
    pub beta: f64,
    /// The one with the better reward.
    pub better_reward: usize,
    /// The one with the better support.
    pub better_support: usize,
}

/// Why an objective has no target; each message names the field, its value and what is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
pub enum TargetError {
    /// Two lists of one number per arm differ in length.
    #[error(
        "there are {rewards} rewards for {reference} reference masses; both need one number per arm"
    )]
    Lengths {
        /// Number of reference masses.
        reference: usize,
        /// Number of rewards.
        rewards: usize,
    },
    /// An effective reward is NaN or infinite.
    #[error(
        "effective reward {} of arm {arm} is not accepted; rewards (scaled and offset) are finite numbers",
        Written(*.value)
    )]
    Reward {
        /// The arm.
        arm: usize,
        /// The value.
        value: f64,
    },
    /// The rewards are finite but their differences are not.
    #[error(
        "rewards reach from {} to {}; the range must stay below 1e308",
        Written(*.low),
        Written(*.high)
    )]
    Range {
        /// Smallest reward.
        low: f64,
        /// Largest reward.
        high: f64,
    },
    /// α is NaN or infinite.
    #[error(
        "alpha = {} is not accepted; it must be a finite number (1 is reverse, 0 is forward)",
        Written(*.0)
    )]
    Alpha(f64),
    /// η is negative, NaN or infinite.
    #[error("entropy = {} is not accepted; it must be a finite number ≥ 0", Written(*.0))]
    Entropy(f64),
    /// The entropy bonus has a known target for α = 0 and α = 1 only.
    #[error(
        "entropy = {} with alpha = {} is not accepted; an entropy bonus works with reverse and forward (alpha 1 and 0) only",
        Written(*.entropy),
        Written(*.alpha)
    )]
    EntropyWithAlpha {
        /// η.
        entropy: f64,
        /// α.
        alpha: f64,
    },
    /// MARA's threshold is not a usable number.
    #[error(
        "MARA threshold = {} is not accepted; a constant is a finite number, a percentile lies between 0 and 1",
        Written(*.0)
    )]
    Threshold(f64),
}

/// A direction with its closed-form neighbours told apart: α of exactly 1 or 0 *is* reverse or forward.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Divergence {
    /// KL(π‖π_ref).
    Reverse,
    /// KL(π_ref‖π).
    Forward,
    /// The α-divergence, α neither 0 nor 1.
    Alpha(f64),
}

impl From<Direction> for Divergence {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::Reverse => Self::Reverse,
            Direction::Forward => Self::Forward,
            Direction::Alpha(1.0) => Self::Reverse,
            Direction::Alpha(0.0) => Self::Forward,
            Direction::Alpha(alpha) => Self::Alpha(alpha),
        }
    }
}

/// The target of an objective on a reference and *effective* rewards (scale and offset already applied). MARA is not
/// applied here: see [`super::mara::augment`].
///
/// # Errors
/// [`TargetError`] for mismatched lengths, rewards that are not finite, or an entropy bonus with α other than 0 and 1.
pub fn solve(
    reference: &Distribution,
    rewards: &[f64],
    objective: &Objective,
) -> Result<Target, TargetError> {
    solve_weights(reference.log_masses(), rewards, objective)
}

/// As [`solve`], on natural-log reference weights that need not sum to one (MARA's Algorithm 2 makes such). They must hold
/// no NaN and no +∞, and at least one must be finite.
///
/// # Errors
/// As [`solve`].
pub fn solve_weights(
    log_reference: &[f64],
    rewards: &[f64],
    objective: &Objective,
) -> Result<Target, TargetError> {
    let mut target = Target::default();
    solve_into(log_reference, rewards, objective, &mut target)?;
    Ok(target)
}

/// As [`solve_weights`], reusing the buffers of an earlier target.
///
/// # Errors
/// As [`solve`]; `target` is then unspecified.
pub fn solve_into(
    log_reference: &[f64],
    rewards: &[f64],
    objective: &Objective,
    target: &mut Target,
) -> Result<(), TargetError> {
    check(log_reference, rewards, objective)?;
    let beta = objective.beta.get();
    let eta = objective.entropy;
    target.masses.resize(rewards.len(), 0.0);
    target.log_masses.resize(rewards.len(), 0.0);
    target.lambda = None;
    target.outside_support = 0.0;
    let divergence = Divergence::from(objective.direction);
    if divergence == Divergence::Reverse {
        return reverse::solve(log_reference, rewards, beta, eta, target);
    }
    let survey = kernels::survey(rewards, log_reference);
    check_range(survey, rewards)?;
    match divergence {
        Divergence::Reverse => {}
        Divergence::Forward if eta == 0.0 => {
            forward::solve(log_reference, rewards, beta, survey, target);
        }
        Divergence::Forward => entropic::solve(log_reference, rewards, beta, eta, survey, target),
        Divergence::Alpha(alpha) => {
            alpha::solve(log_reference, rewards, beta, alpha, survey, target);
        }
    }
    Ok(())
}

fn check(log_reference: &[f64], rewards: &[f64], objective: &Objective) -> Result<(), TargetError> {
    if log_reference.len() != rewards.len() || rewards.is_empty() {
        return Err(TargetError::Lengths {
            reference: log_reference.len(),
            rewards: rewards.len(),
        });
    }
    if !(objective.entropy >= 0.0 && objective.entropy.is_finite()) {
        return Err(TargetError::Entropy(objective.entropy));
    }
    if let Divergence::Alpha(alpha) = objective.direction.into() {
        if !alpha.is_finite() {
            return Err(TargetError::Alpha(alpha));
        }
        if objective.entropy > 0.0 {
            return Err(TargetError::EntropyWithAlpha {
                entropy: objective.entropy,
                alpha,
            });
        }
    }
    Ok(())
}

/// Refuses rewards that are not finite or too far apart.
fn check_range(survey: Survey, rewards: &[f64]) -> Result<(), TargetError> {
    let Survey { low, high, .. } = survey;
    if (high - low).is_finite() {
        return Ok(());
    }
    Err(
        match rewards.iter().position(|reward| !reward.is_finite()) {
            Some(arm) => TargetError::Reward {
                arm,
                value: rewards[arm],
            },
            None => TargetError::Range { low, high },
        },
    )
}

/// Gives a dominant arm its log mass from what the others hold, −log1p instead of ln of almost one, so that log masses
/// near zero keep their relative accuracy.
fn sharpen(target: &mut Target) {
    let masses = &mut target.masses;
    if let Some(heavy) = kernels::position_above(masses, 0.5) {
        let own = std::mem::replace(&mut masses[heavy], 0.0);
        let others = kernels::sum(masses);
        masses[heavy] = own;
        if others < 0.5 {
            masses[heavy] = 1.0 - others;
            target.log_masses[heavy] = (-others).ln_1p();
        }
    }
}

/// Puts mass that the support does not want on the arms outside it with the best reward, evenly (docs/math.md section 1).
fn place_outside(
    log_reference: &[f64],
    rewards: &[f64],
    best: f64,
    mass: f64,
    target: &mut Target,
) {
    if mass <= 0.0 {
        return;
    }
    let is_best = |arm: usize| log_reference[arm] == f64::NEG_INFINITY && rewards[arm] == best;
    let count = (0..rewards.len()).filter(|&arm| is_best(arm)).count();
    if count == 0 {
        return;
    }
    let share = mass / count as f64;
    for arm in 0..rewards.len() {
        if is_best(arm) {
            target.masses[arm] = share;
            target.log_masses[arm] = share.ln();
        }
    }
    target.outside_support = mass;
}
