//! A Gaussian, or a mixture of them, discretised on the line or grid: π(y) ∝ Σ_c e^{a_c} Π_axes N(x_y; μ_c, σ_c).
//!
//! Coordinates are scaled to [−1, 1], so that learning rates mean the same on every problem. Parameters per component:
//! mixture logit a (absent with one component), then μ and log σ per axis.

use super::{Family, scaled_axes};
use crate::bandit::Problem;

/// σ is never below this share of a cell: all mass is on one arm long before.
const NARROWEST: f64 = 0.1;

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Mixture {
    axes: Vec<(Vec<f64>, f64)>,
    components: usize,
    parameters: Vec<f64>,
    /// Responsibilities, component by component, one per arm; empty with one component.
    shares: Vec<f64>,
}

impl Mixture {
    pub(super) fn new(problem: &Problem, components: usize) -> Self {
        let axes = scaled_axes(problem);
        let mut mixture = Self {
            shares: if components > 1 {
                vec![0.0; components * problem.arms()]
            } else {
                Vec::new()
            },
            components,
            parameters: Vec::new(),
            axes,
        };
        mixture.parameters = vec![0.0; components * mixture.stride()];
        mixture.fit_roughly(&vec![1.0; problem.arms()]);
        mixture
    }

    fn mixed(&self) -> usize {
        usize::from(self.components > 1)
    }

    /// Parameters per component.
    fn stride(&self) -> usize {
        self.mixed() + 2 * self.axes.len()
    }

    /// (μ, σ) of a component on an axis; whether σ is at its floor.
    fn bell(&self, component: usize, axis: usize) -> (f64, f64, bool) {
        let at = component * self.stride() + self.mixed() + 2 * axis;
        let floor = NARROWEST * self.axes[axis].1;
        let sigma = self.parameters[at + 1].exp();
        (self.parameters[at], sigma.max(floor), sigma < floor)
    }

    /// Adds log N up to a constant, and the mixture logit.
    fn fill_component(&self, component: usize, out: &mut [f64]) {
        let mut constant = 0.0;
        if self.components > 1 {
            constant = self.parameters[component * self.stride()];
        }
        for axis in 0..self.axes.len() {
            constant -= self.bell(component, axis).1.ln();
        }
        out.fill(constant);
        for (axis, (places, _)) in self.axes.iter().enumerate() {
            let (mean, sigma, _) = self.bell(component, axis);
            let scale = 1.0 / sigma;
            for (value, place) in out.iter_mut().zip(places) {
                let z = (place - mean) * scale;
                *value -= 0.5 * z * z;
            }
        }
    }
}

impl Family for Mixture {
    fn parameters(&self) -> &[f64] {
        &self.parameters
    }

    fn parameters_mut(&mut self) -> &mut [f64] {
        &mut self.parameters
    }

    fn fill_logits(&mut self, logits: &mut [f64]) -> Result<(), String> {
        if self.components == 1 {
            self.fill_component(0, logits);
            return Ok(());
        }
        let arms = logits.len();
        let mut shares = std::mem::take(&mut self.shares);
        for (component, values) in shares.chunks_exact_mut(arms).enumerate() {
            self.fill_component(component, values);
        }
        for (arm, logit) in logits.iter_mut().enumerate() {
            let each = || (0..self.components).map(|c| c * arms + arm);
            let max = each()
                .map(|at| shares[at])
                .fold(f64::NEG_INFINITY, f64::max);
            let mut sum = 0.0;
            for at in each() {
                shares[at] = (shares[at] - max).exp();
                sum += shares[at];
            }
            for at in each() {
                shares[at] /= sum;
            }
            *logit = max + sum.ln();
        }
        self.shares = shares;
        Ok(())
    }

    fn pull_back(&mut self, gradient: &[f64], out: &mut [f64]) -> Result<(), String> {
        let arms = gradient.len();
        let (mixed, stride) = (self.mixed(), self.stride());
        for component in 0..self.components {
            let shares = self.shares.get(component * arms..(component + 1) * arms);
            let part = |arm: usize| shares.map_or(1.0, |s| s[arm]) * gradient[arm];
            let at = component * stride;
            if mixed == 1 {
                out[at] = (0..arms).map(part).sum();
            }
            for (axis, (places, _)) in self.axes.iter().enumerate() {
                let (mean, sigma, narrow) = self.bell(component, axis);
                let (mut by_mean, mut by_width) = (0.0, 0.0);
                for (arm, place) in places.iter().enumerate() {
                    let z = (place - mean) / sigma;
                    let g = part(arm);
                    by_mean += g * z;
                    by_width += g * (z * z - 1.0);
                }
                out[at + mixed + 2 * axis] = by_mean / sigma;
                // At its floor σ may only grow.
                out[at + mixed + 2 * axis + 1] = if narrow { by_width.max(0.0) } else { by_width };
            }
        }
        Ok(())
    }

    fn fits_by_moments(&self) -> bool {
        true
    }

    /// Moments: of everything for one component; for more, of slices of equal mass along the first axis.
    fn fit_roughly(&mut self, masses: &[f64]) {
        let total: f64 = masses.iter().sum();
        let places = &self.axes[0].0;
        let mut order: Vec<usize> = (0..masses.len()).collect();
        order.sort_by(|&a, &b| places[a].total_cmp(&places[b]));
        let (mixed, stride) = (self.mixed(), self.stride());
        let share = total / self.components as f64;
        let mut sums = vec![[[0.0; 3]; 2]; self.components];
        let mut before = 0.0;
        for arm in order {
            let middle = before + 0.5 * masses[arm];
            before += masses[arm];
            let component = ((middle / share) as usize).min(self.components - 1);
            for (axis, (places, _)) in self.axes.iter().enumerate() {
                let place = places[arm];
                let moments = &mut sums[component][axis];
                moments[0] += masses[arm];
                moments[1] += masses[arm] * place;
                moments[2] += masses[arm] * place * place;
            }
        }
        for (component, sums) in sums.iter().enumerate() {
            let at = component * stride;
            if mixed == 1 {
                self.parameters[at] = (sums[0][0] / total).max(1e-3).ln();
            }
            for (axis, (_, cell)) in self.axes.iter().enumerate() {
                let [mass, first, second] = sums[axis];
                let (mean, variance) = if mass > 0.0 {
                    let mean = first / mass;
                    (mean, second / mass - mean * mean)
                } else {
                    // An empty slice (one arm holds several slices' mass): a wide component to begin with.
                    (0.0, 0.25)
                };
                let sigma = variance.max(0.0).sqrt().max(0.5 * cell);
                self.parameters[at + mixed + 2 * axis] = mean;
                self.parameters[at + mixed + 2 * axis + 1] = sigma.ln();
            }
        }
    }

    fn cost(&self) -> usize {
        let per_arm = if self.components == 1 { 4 } else { 40 };
        per_arm * self.components * self.axes.len() * self.axes[0].0.len()
    }
}
