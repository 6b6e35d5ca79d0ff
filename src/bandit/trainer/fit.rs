//! Fits a family to a distribution: its start, and the best it can do for an objective.

use std::sync::Arc;

use super::{
    drive::Drive, family::Family, kernel::Simd, optimiser::Moments, signal, softmax::Softmax,
};
use crate::experiment::Optimizer;

/// Multiplications that one fit may take: a few milliseconds.
const BUDGET: usize = 20_000_000;
/// Steps that are worth doing.
const STEPS: std::ops::RangeInclusive<usize> = 20..=400;
const RATE: f64 = 0.05;

/// Takes a family to the masses (normalised): the moments' fit, then down the gradient of KL(masses‖π) where moments are
/// not already the answer. Within the budget, so it may stay rough on large problems.
///
/// # Errors
/// Says why a network failed.
pub(super) fn to_masses(family: &mut dyn Family, masses: &[f64]) -> Result<(), String> {
    family.fit_roughly(masses);
    // One Gaussian is at its optimum with the moments matched.
    if family.parameters().len() > 4 {
        climb(family, masses.len(), |policy, out| {
            let scale = 1.0 / policy.sums.mass;
            for ((out, mass), weight) in out.iter_mut().zip(masses).zip(&policy.weights) {
                *out = mass - weight * scale;
            }
        })?;
    }
    Ok(())
}

/// The best parameters found for the objective from several starts, with their masses. None where the budget is too small
/// for the problem.
pub(super) fn to_objective(
    family: &mut dyn Family,
    drive: &Drive,
    starts: &[Start<'_>],
) -> Result<Option<Fit>, String> {
    let arms = drive.rewards.len();
    if steps(family, arms) < *STEPS.start() {
        return Ok(None);
    }
    let mut best: Option<(f64, Fit)> = None;
    let (mut log_masses, mut masses) = (vec![0.0; arms], vec![0.0; arms]);
    for start in starts {
        match start {
            Start::Parameters(parameters) => family.parameters_mut().copy_from_slice(parameters),
            Start::Masses(masses) => to_masses(family, masses)?,
        }
        let mut policy = climb(family, arms, |policy, out| {
            policy.fill_masses(&mut log_masses, &mut masses);
            signal::exact(drive, &log_masses, &masses, out);
        })?;
        policy.refresh(drive);
        policy.fill_masses(&mut log_masses, &mut masses);
        let value = signal::objective(drive, &log_masses, &masses);
        if value.is_finite() && best.as_ref().is_none_or(|(found, _)| value > *found) {
            let fit = Fit {
                parameters: family.parameters().to_vec(),
                masses: Arc::from(&masses[..]),
            };
            best = Some((value, fit));
        }
    }
    Ok(best.map(|(_, fit)| fit))
}

/// A fit that was found.
#[derive(Debug, Clone)]
pub(super) struct Fit {
    pub(super) parameters: Vec<f64>,
    pub(super) masses: Arc<[f64]>,
}

/// Where a search starts.
#[derive(Debug, Clone, Copy)]
pub(super) enum Start<'a> {
    Parameters(&'a [f64]),
    Masses(&'a [f64]),
}

fn steps(family: &dyn Family, arms: usize) -> usize {
    (BUDGET / (family.cost() + 20 * arms)).min(*STEPS.end())
}

/// Adam with a falling step size along `gradient`, which is given in the logits. Returns the policy at the end.
fn climb(
    family: &mut dyn Family,
    arms: usize,
    mut gradient: impl FnMut(&Softmax, &mut [f64]),
) -> Result<Softmax, String> {
    let steps = steps(family, arms);
    let drive = Drive::blank(arms);
    let mut policy = Softmax::new(vec![0.0; arms]);
    let mut moments = Moments::new(family.parameters().len());
    let mut in_logits = vec![0.0; arms];
    let mut in_parameters = vec![0.0; family.parameters().len()];
    family.fill_logits(&mut policy.logits)?;
    for step in 0..steps {
        if !policy.refresh(&drive) {
            return Err("a fit left the finite numbers".into());
        }
        gradient(&policy, &mut in_logits);
        family.pull_back(&in_logits, &mut in_parameters)?;
        let rate = RATE * (1.0 - step as f64 / steps as f64);
        let rule = moments.advance(Optimizer::default(), rate);
        let Moments { first, second, .. } = &mut moments;
        rule.apply(
            Simd::detect(),
            &in_parameters,
            family.parameters_mut(),
            first,
            second,
        );
        family.fill_logits(&mut policy.logits)?;
    }
    if policy.refresh(&drive) {
        Ok(policy)
    } else {
        Err("a fit left the finite numbers".into())
    }
}
