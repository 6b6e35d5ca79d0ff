//! Checking what a preset says must come out, by computing its targets and running it headless.

use std::path::Path;

use thiserror::Error;

use super::{
    session::{Budget, Session, SessionError},
    snapshot::Collapse,
};
use crate::{
    bandit::Analysis,
    experiment::{self, Expectation, Preset, Quantity, SetError},
    theory,
};

/// A run that has no limit of steps by itself gets this one.
const MOST_STEPS: u64 = 100_000;

/// An expectation and what came out.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// The expectation.
    pub expectation: Expectation,
    /// What was measured; NaN where the quantity is not defined (two arms that never tie, say).
    pub measured: f64,
    /// The policy's collapse on the way, where it was trained.
    pub collapse: Option<Collapse>,
}

impl Checked {
    /// Whether it came out as expected.
    #[must_use]
    pub fn holds(&self) -> bool {
        let (low, high) = self.expectation.between;
        (low..=high).contains(&self.measured)
    }
}

/// Why an expectation could not be checked.
#[derive(Debug, Error)]
pub enum CheckError {
    /// One of its overrides is not accepted.
    #[error(transparent)]
    Given(#[from] SetError),
    /// The experiment cannot run.
    #[error(transparent)]
    Run(#[from] SessionError),
}

/// Checks every expectation of a preset. Those about the policy train it until its stop rule holds, or for 100,000
/// steps where it has none; expectations under the same overrides share a run.
///
/// # Errors
/// [`CheckError`] for the first one that cannot be checked at all.
pub fn check_expectations(
    preset: &Preset,
    base_dir: Option<&Path>,
) -> Result<Vec<Checked>, CheckError> {
    let mut runs: Vec<(&[String], Run)> = Vec::new();
    let mut checked = Vec::with_capacity(preset.expectations.len());
    for expectation in &preset.expectations {
        let given = expectation.given.as_slice();
        let known = runs.iter().position(|(other, _)| *other == given);
        let index = match known {
            Some(index) => index,
            None => {
                let mut preset = preset.clone();
                experiment::set_paths(&mut preset, given)?;
                let session = Session::new(preset, base_dir)?;
                runs.push((
                    given,
                    Run {
                        session,
                        done: false,
                    },
                ));
                runs.len() - 1
            }
        };
        let run = &mut runs[index].1;
        checked.push(Checked {
            measured: run.measure(expectation.quantity)?,
            expectation: expectation.clone(),
            collapse: run.session.first_collapse(),
        });
    }
    Ok(checked)
}

struct Run {
    session: Session,
    done: bool,
}

impl Run {
    fn measure(&mut self, quantity: Quantity) -> Result<f64, SessionError> {
        let at = |masses: &[f64], arm: usize| masses.get(arm).copied().unwrap_or(f64::NAN);
        let peak = |masses: &[f64]| masses.iter().copied().fold(f64::NAN, f64::max);
        let analysis: &Analysis = self.session.analysis();
        Ok(match quantity {
            Quantity::TargetMass(arm) => at(&analysis.target.masses, arm),
            Quantity::TargetPeak => peak(&analysis.target.masses),
            Quantity::Target(metric) => analysis.target_metrics.get(metric),
            Quantity::TieBeta(first, second) => theory::tie_beta(
                first,
                second,
                self.session.problem().reference.log_masses(),
                &analysis.rewards,
                &self.session.preset().objective,
            )
            .map_or(f64::NAN, theory::Beta::get),
            Quantity::PolicyMass(arm) => at(self.finished()?.policy(), arm),
            Quantity::PolicyPeak => peak(self.finished()?.policy()),
            Quantity::Policy(metric) => self.finished()?.metrics().get(metric),
        })
    }

    /// The session after its run.
    fn finished(&mut self) -> Result<&mut Session, SessionError> {
        if !self.done {
            let limit = self.session.preset().training.stop.steps;
            let budget = Budget {
                stop_rules: true,
                ..Budget::steps(limit.unwrap_or(MOST_STEPS))
            };
            self.session.advance(budget, &|| false)?;
            self.done = true;
        }
        Ok(&mut self.session)
    }
}
