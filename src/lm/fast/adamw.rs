//! AdamW on flat buffers, with clipping of the gradient's norm, in one pass over memory.

use rayon::prelude::*;

use super::{
    super::error::LmError,
    buffer,
    kernels::{self, AdamStep},
    matmul::{Piece, TALL},
    outer::Outer,
};

/// Settings of [`AdamW`]; the defaults are PyTorch's, without weight decay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamWSettings {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the denominator.
    pub epsilon: f64,
    /// Decoupled weight decay per unit of learning rate.
    pub weight_decay: f64,
    /// Largest norm of the whole gradient; none leaves it as it is.
    pub max_norm: Option<f64>,
}

impl Default for AdamWSettings {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.0,
            max_norm: Some(1.0),
        }
    }
}

/// What a checkpoint keeps of an [`AdamW`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AdamWState {
    /// First moments, one per parameter.
    pub first: Vec<f32>,
    /// Second moments, one per parameter.
    pub second: Vec<f32>,
    /// Steps done.
    pub steps: u32,
}

/// The optimiser (Loshchilov and Hutter, arXiv 1711.05101, Algorithm 2).
#[derive(Debug, Clone)]
pub struct AdamW {
    settings: AdamWSettings,
    state: AdamWState,
}

/// Elements per piece of work: fixed, so that results do not depend on the number of threads.
const PIECE: usize = 1 << 16;

impl AdamW {
    /// A fresh state for `parameters` numbers.
    #[must_use]
    pub fn new(parameters: usize, settings: AdamWSettings) -> Self {
        Self {
            settings,
            state: AdamWState {
                first: buffer::zeros(parameters),
                second: buffer::zeros(parameters),
                steps: 0,
            },
        }
    }

    /// Goes on from a saved state; with the same settings, parameters and gradients the steps are bit for bit those of an
    /// optimiser that was never saved.
    ///
    /// # Errors
    /// When the moments differ in length or a value is not finite or a second moment negative.
    pub fn from_state(state: AdamWState, settings: AdamWSettings) -> Result<Self, LmError> {
        if state.first.len() != state.second.len() {
            return Err(LmError::Request(format!(
                "{} first moments do not go with {} second moments",
                state.first.len(),
                state.second.len()
            )));
        }
        let sound = |v: &f32| v.is_finite() && *v >= 0.0;
        if !state.first.iter().all(|m| m.is_finite()) || !state.second.iter().all(sound) {
            return Err(LmError::Request(
                "the optimiser's moments must be finite, the second ones at least 0".to_owned(),
            ));
        }
        Ok(Self { settings, state })
    }

    /// The state, for a checkpoint.
    #[must_use]
    pub fn state(&self) -> &AdamWState {
        &self.state
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> AdamWSettings {
        self.settings
    }

    /// Other settings from the next step on.
    pub fn set_settings(&mut self, settings: AdamWSettings) {
        self.settings = settings;
    }

    /// One descent step; returns the gradient's norm before clipping. Nothing changes when that norm is not finite.
    pub fn step(&mut self, parameters: &mut [f32], gradient: &[f32], learning_rate: f64) -> f64 {
        let norm = gradient
            .par_chunks(PIECE)
            .map(|piece| f64::from(kernels::sum_squares(piece)))
            .collect::<Vec<f64>>()
            .iter()
            .sum::<f64>()
            .sqrt();
        self.step_with_norm(parameters, gradient, norm, learning_rate);
        norm
    }

    /// [`Self::step`] where the gradient's norm is known already, as [`super::Backward::run`] returns it: saves a pass over
    /// the gradient. Nothing changes when that norm is not finite.
    pub fn step_with_norm(
        &mut self,
        parameters: &mut [f32],
        gradient: &[f32],
        norm: f64,
        learning_rate: f64,
    ) {
        let Some(step) = self.begin(norm, learning_rate) else {
            return;
        };
        let len = gradient.len();
        let pieces: Vec<Piece<'_>> = self.all(gradient, parameters).split(PIECE, len).collect();
        (pieces.into_par_iter())
            .for_each(|p| kernels::adamw(p.written, p.first, p.second, p.read, step));
    }

    /// [`Self::step_with_norm`] that leaves the parameters as they are and writes the new ones over the gradient: whoever
    /// exchanges the two buffers can go back. The gradients that `outers` stand for are formed on the way, whatever the
    /// buffer holds in their place. Nothing changes when the norm is not finite.
    pub fn step_apart(
        &mut self,
        parameters: &[f32],
        (gradient, outers): (&mut [f32], &[Outer<'_>]),
        norm: f64,
        learning_rate: f64,
    ) {
        let Some(step) = self.begin(norm, learning_rate) else {
            return;
        };
        let len = gradient.len();
        let mut rest = self.all(parameters, gradient);
        // Pieces, and of which rows of what they are the gradient.
        let mut pieces: Vec<(Piece<'_>, Option<(&Outer<'_>, usize)>)> = Vec::new();
        let mut at = 0;
        for outer in outers {
            let span = outer.span.range();
            pieces.extend(rest.split(PIECE, span.start - at).map(|p| (p, None)));
            for (rows, formed) in outer.stretches(TALL) {
                let piece = rest.take(rows.len() * outer.span.columns);
                pieces.push((piece, (!formed).then_some((outer, rows.start))));
            }
            at = span.end;
        }
        pieces.extend(rest.split(PIECE, len - at).map(|p| (p, None)));
        pieces.into_par_iter().for_each(|(p, outer)| match outer {
            None => kernels::adamw_apart(p.read, p.first, p.second, p.written, step),
            Some((outer, row)) => outer.step(row, p, step),
        });
    }

    fn all<'a>(&'a mut self, read: &'a [f32], written: &'a mut [f32]) -> Piece<'a> {
        Piece {
            read,
            first: &mut self.state.first,
            second: &mut self.state.second,
            written,
        }
    }

    /// The parameters of the last step were not taken: it does not count, though the moments have taken in its gradient.
    pub fn uncount(&mut self) {
        self.state.steps = self.state.steps.saturating_sub(1);
    }

    /// The numbers of the next step; none where the gradient is broken.
    fn begin(&mut self, norm: f64, learning_rate: f64) -> Option<AdamStep> {
        if !norm.is_finite() {
            return None;
        }
        self.state.steps += 1;
        let s = self.settings;
        let t = self.state.steps as i32;
        Some(AdamStep {
            rate: learning_rate as f32,
            decay: s.weight_decay as f32,
            beta1: s.beta1 as f32,
            beta2: s.beta2 as f32,
            first_correction: (1.0 / (1.0 - s.beta1.powi(t))) as f32,
            second_correction: (1.0 / (1.0 - s.beta2.powi(t)).sqrt()) as f32,
            epsilon: s.epsilon as f32,
            scale: match s.max_norm {
                Some(max) if norm > max => (max / norm) as f32,
                _ => 1.0,
            },
        })
    }

    /// Steps done.
    #[must_use]
    pub fn steps(&self) -> u32 {
        self.state.steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_published_recursion_in_double_precision() {
        let settings = AdamWSettings {
            weight_decay: 0.1,
            max_norm: None,
            ..AdamWSettings::default()
        };
        let mut optimiser = AdamW::new(3, settings);
        let mut p = [0.5f32, -1.0, 2.0];
        let (mut q, mut m, mut v) = (p.map(f64::from), [0.0f64; 3], [0.0f64; 3]);
        for t in 1..=20 {
            let g: [f32; 3] = std::array::from_fn(|i| ((t * (i + 1)) as f32 * 0.7).sin());
            optimiser.step(&mut p, &g, 0.01);
            for i in 0..3 {
                let g = f64::from(g[i]);
                m[i] = 0.9 * m[i] + 0.1 * g;
                v[i] = 0.999 * v[i] + 0.001 * g * g;
                q[i] -= 0.01 * 0.1 * q[i];
                q[i] -= 0.01 * (m[i] / (1.0 - 0.9f64.powi(t as i32)))
                    / ((v[i] / (1.0 - 0.999f64.powi(t as i32))).sqrt() + 1e-8);
            }
        }
        for i in 0..3 {
            assert!(
                (f64::from(p[i]) - q[i]).abs() < 1e-5,
                "{} against {}",
                p[i],
                q[i]
            );
        }
    }

    #[test]
    fn a_step_apart_is_the_same_step_and_keeps_the_parameters() {
        let mut beside = AdamW::new(3, AdamWSettings::default());
        let mut within = beside.clone();
        let mut parameters = [0.5f32, -1.0, 2.0];
        for t in 1..=3 {
            let before = parameters;
            let g: [f32; 3] = std::array::from_fn(|i| ((t * (i + 1)) as f32 * 0.7).sin());
            let mut next = g;
            beside.step_apart(&before, (&mut next, &[]), 2.0, 0.01);
            within.step_with_norm(&mut parameters, &g, 2.0, 0.01);
            assert_eq!(next, parameters);
            assert_eq!(beside.state, within.state);
        }
        let mut g = [1.0f32; 3];
        beside.step_apart(&parameters, (&mut g, &[]), f64::NAN, 0.01);
        assert_eq!((g, beside.steps()), ([1.0; 3], 3));
    }

    #[test]
    fn clips_to_the_norm_and_leaves_everything_alone_when_the_gradient_is_broken() {
        let mut optimiser = AdamW::new(2, AdamWSettings::default());
        let mut p = [1.0f32, 1.0];
        assert!((optimiser.step(&mut p, &[30.0, 40.0], 0.1) - 50.0).abs() < 1e-4);
        assert!((optimiser.state.first[0] - 0.06).abs() < 1e-6);
        let before = p;
        assert!(optimiser.step(&mut p, &[f32::NAN, 1.0], 0.1).is_nan());
        assert_eq!((p, optimiser.steps()), (before, 1));
    }
}
