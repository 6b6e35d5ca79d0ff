//! The best fit to the target within a restricted policy family, for the cause "representation": looked for once after each
//! edit, from the target itself, from its largest parts and from the last fit.

use super::super::{Trainer, family, fit};

/// Peaks of the target that a best fit starts from, besides the whole of it.
const PEAK_STARTS: usize = 3;
/// A peak ends where the target falls below this share of its top.
const PEAK_EDGE: f64 = 0.1;

impl Trainer {
    /// Looks for the best fit to the target unless that was done since the last edit.
    pub(super) fn find_fit(&mut self) {
        if self.companions.fit.is_some() {
            return;
        }
        let family = family::new(&self.problem, &self.training.policy, self.training.seed);
        let Ok(Some(mut family)) = family else {
            self.companions.fit = Some(None);
            return;
        };
        let target = &self.analysis.target.masses;
        let parts = self.peaks();
        let mut starts = vec![fit::Start::Masses(target)];
        starts.extend(parts.iter().map(|part| fit::Start::Masses(part)));
        if let Some(last) = &self.companions.last_fit {
            starts.push(fit::Start::Parameters(last));
        }
        let found = fit::to_objective(family.as_mut(), &self.drive, &starts).unwrap_or_default();
        self.companions.fit = Some(found);
    }

    /// The target's mass on each of its largest modes, or, where no modes are known, on the runs of arms around its highest
    /// peaks; normalised. Nothing if there is only one.
    fn peaks(&self) -> Vec<Vec<f64>> {
        let masses = &self.analysis.target.masses;
        let mut parts: Vec<Vec<f64>> = Vec::new();
        if self.problem.modes.len() > 1 {
            for mode in &self.problem.modes {
                let mut part = vec![0.0; masses.len()];
                for &arm in &mode.arms {
                    part[arm as usize] = masses[arm as usize];
                }
                parts.push(part);
            }
        } else {
            let mut left = masses.clone();
            for _ in 0..PEAK_STARTS {
                let Some(top) = (0..left.len()).max_by(|&a, &b| left[a].total_cmp(&left[b])) else {
                    break;
                };
                let edge = PEAK_EDGE * left[top];
                let below = |arm: &usize| left[*arm] < edge;
                let from = (0..top).rev().find(below).map_or(0, |arm| arm + 1);
                let to = (top..left.len()).find(below).unwrap_or(left.len());
                let mut part = vec![0.0; left.len()];
                part[from..to].copy_from_slice(&left[from..to]);
                left[from..to].fill(0.0);
                parts.push(part);
            }
        }
        let sum = |part: &Vec<f64>| part.iter().sum::<f64>();
        parts.retain(|part| sum(part) > 0.0);
        parts.sort_by(|a, b| sum(b).total_cmp(&sum(a)));
        parts.truncate(PEAK_STARTS);
        for part in &mut parts {
            let total = sum(part);
            part.iter_mut().for_each(|mass| *mass /= total);
        }
        if parts.len() > 1 { parts } else { Vec::new() }
    }
}
