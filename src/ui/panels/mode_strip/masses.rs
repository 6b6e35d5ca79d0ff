//! The masses behind the mode strip and what they measure, computed again only when what they come from changes.

use std::sync::Arc;

use super::{FEW_ARMS, FEW_MODES, MOST_MODES, PAUSE_SECS, ROWS, Series, number_of_draws, short};
use crate::{
    bandit::Problem,
    theory::{
        CoverageRule, coverage,
        sampled::{self, Estimate, SampledCoverage},
    },
    ui::{
        View,
        chart::{Held, Values},
    },
};

/// Mode masses of every row and what they measure.
#[derive(Default)]
pub(super) struct ModeMasses {
    pub(super) rows: [Option<Vec<f64>>; ROWS.len()],
    pub(super) measured: [Option<Measured>; ROWS.len()],
    /// How far the row of samples may be off.
    pub(super) sampled: Option<Sampled>,
    /// When coverage was last measured, in seconds of the window.
    measured_at: f64,
    /// Where each row came from.
    held: [Option<(Held, Arc<Problem>)>; ROWS.len()],
}

/// What samples say of the policy, with standard errors.
pub(super) struct Sampled {
    /// Mass of every mode.
    pub(super) masses: Vec<Estimate>,
    /// How many draws it all comes from.
    pub(super) draws: u64,
    coverage: Option<SampledCoverage>,
}

impl Sampled {
    /// From how often each arm was drawn.
    fn new(problem: &Problem, counts: &[u32], draws: u64) -> Self {
        let counts = sampled::mode_counts(problem.modes.iter().map(|mode| &*mode.arms), counts);
        Self {
            masses: sampled::mode_masses(&counts, draws),
            draws,
            coverage: sampled::coverage(&counts, draws, problem.coverage),
        }
    }

    /// Standard errors of the cells of the row of samples, in the order of the header; none is known of the last two.
    pub(super) fn texts(&self) -> [String; 8] {
        let Some(found) = &self.coverage else {
            return Default::default();
        };
        let text = |estimate: Estimate| format!("± {}", short(estimate.standard_error));
        [
            format!("± {:.3}", found.covered.standard_error),
            text(found.effective),
            text(found.balance),
            text(found.largest_share),
            text(found.mass),
            text(found.seen),
            String::new(),
            String::new(),
        ]
    }
}

/// The coverage of one row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measured {
    coverage: coverage::Coverage,
    seen: f64,
    /// n for 50 % and 95 %; not looked for where that takes too long.
    draws_for: Option<[Option<u64>; 2]>,
}

impl Measured {
    fn new(masses: &[f64], rule: CoverageRule) -> Option<Self> {
        Some(Self {
            coverage: coverage::measure(masses, rule.epsilon)?,
            seen: coverage::coverage_at(masses, rule.draws),
            draws_for: (masses.len() <= MOST_MODES)
                .then(|| [0.5, 0.95].map(|share| coverage::draws_for(masses, share))),
        })
    }

    /// The cells of a row, in the order of the header.
    pub(super) fn texts(&self, modes: usize) -> [String; 8] {
        let draws = |place: usize| match self.draws_for {
            Some(n) => n[place].map_or_else(|| "never".to_owned(), number_of_draws),
            None => "–".to_owned(),
        };
        [
            format!("{} of {modes}", self.coverage.covered),
            short(self.coverage.effective),
            short(self.coverage.balance),
            short(self.coverage.largest_share),
            short(self.coverage.mass),
            short(self.seen),
            draws(0),
            draws(1),
        ]
    }
}

impl ModeMasses {
    /// Brings everything up to date; `now` in seconds of the window.
    pub(super) fn update(&mut self, view: &View, now: f64) {
        let fresh = now - self.measured_at >= PAUSE_SECS || view.problem.modes.len() <= FEW_MODES;
        if fresh {
            self.measured_at = now;
        }
        for (row, series) in ROWS.into_iter().enumerate() {
            let Some((held, values)) = series.values(view) else {
                self.rows[row] = None;
                self.measured[row] = None;
                self.held[row] = None;
                if series == Series::Samples {
                    self.sampled = None;
                }
                continue;
            };
            let known = self.held[row].as_ref().is_some_and(|(old, problem)| {
                old.same(&held) && Arc::ptr_eq(problem, view.problem)
            });
            if !known {
                let masses =
                    known_masses(view, series).unwrap_or_else(|| per_mode(view.problem, values));
                if fresh || self.measured[row].is_none() {
                    self.measured[row] = Measured::new(&masses, view.problem.coverage);
                    if let Values::Counts(counts, draws) = values {
                        self.sampled = Some(Sampled::new(view.problem, counts, draws));
                    }
                }
                self.rows[row] = Some(masses);
                self.held[row] = Some((held, view.problem.clone()));
            }
        }
    }

    /// How far the mass of a mode among the samples may be off.
    pub(super) fn error(&self, series: Series, mode: usize) -> Option<Estimate> {
        let sampled = self
            .sampled
            .as_ref()
            .filter(|_| series == Series::Samples)?;
        sampled.masses.get(mode).copied()
    }
}

/// Mode masses that came with the analysis or the snapshot, used where summing them again would be felt.
fn known_masses(view: &View, series: Series) -> Option<Vec<f64>> {
    if view.problem.arms() <= FEW_ARMS {
        return None;
    }
    let known = match series {
        Series::Reference => &view.shown_analysis().reference_modes,
        Series::Target => &view.shown_analysis().target_modes,
        Series::Policy if view.scrub.is_none() => &*view.snapshot.policy_modes,
        Series::Policy | Series::Samples | Series::BestFit | Series::Reward | Series::Augmented => {
            return None;
        }
    };
    (known.len() == view.problem.modes.len()).then(|| known.to_vec())
}

/// A series summed over the arms of each mode.
fn per_mode(problem: &Problem, values: Values<'_>) -> Vec<f64> {
    let sums = |one: &dyn Fn(&[u32]) -> f64| problem.modes.iter().map(|m| one(&m.arms)).collect();
    match values {
        Values::Counts(counts, total) => sums(&|arms| {
            let sum: u64 = arms
                .iter()
                .filter_map(|&arm| counts.get(arm as usize))
                .map(|&count| u64::from(count))
                .sum();
            sum as f64 / total.max(1) as f64
        }),
        Values::Plain(_) | Values::Single(_) | Values::Log(_) => {
            sums(&|arms| arms.iter().map(|&arm| values.get(arm as usize)).sum())
        }
    }
}
