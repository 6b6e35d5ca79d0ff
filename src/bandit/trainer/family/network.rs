//! Logits from arm features, linearly or through a small multi-layer perceptron with tanh, differentiated by candle.
//!
//! All numbers come from a seeded stream: candle's own generator on the CPU cannot be seeded.

use candle_core::{Device, Tensor, Var};

use super::{Family, scaled_axes};
use crate::{
    bandit::{
        Problem, Shape,
        trainer::{
            error::TrainError,
            random::{Purpose, Stream},
        },
    },
    experiment::{Features, MAX_ACTIVATIONS},
};

/// See the module.
pub(super) struct Network {
    /// Arms by features.
    features: Tensor,
    /// Weight and bias per layer; the last layer has no bias, which a softmax would not see.
    layers: Vec<(Var, Option<Var>)>,
    /// All weights and biases, layer by layer.
    parameters: Vec<f64>,
    /// The logits of the last [`Family::fill_logits`] with the graph behind them.
    logits: Option<Tensor>,
    cost: usize,
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Network of {} parameters", self.parameters.len())
    }
}

impl Network {
    pub(super) fn new(
        problem: &Problem,
        features: Features,
        hidden: &[usize],
        seed: u64,
    ) -> Result<Self, TrainError> {
        check_range(features)?;
        let arms = problem.arms();
        let axes = match problem.shape {
            Shape::Line { .. } => 1,
            Shape::Grid { .. } => 2,
        };
        let widths: Vec<usize> = [features.count(axes)]
            .into_iter()
            .chain(hidden.iter().copied())
            .chain([1])
            .collect();
        let width: usize = widths.iter().sum();
        // Before the features themselves, which may not fit into memory.
        if arms.saturating_mul(width) > MAX_ACTIVATIONS {
            return Err(TrainError::Field {
                field: "policy",
                value: format!("{width} features and units for {arms} arms"),
                accepted: "arms × (features + units) up to 50 million",
            });
        }
        let columns = feature_columns(problem, features);
        let mut table = Vec::with_capacity(arms * columns.len());
        for arm in 0..arms {
            table.extend(columns.iter().map(|column| column[arm]));
        }
        let failed = |error: candle_core::Error| TrainError::Network {
            step: 0,
            reason: error.to_string(),
        };
        let mut stream = Stream::new(seed, Purpose::Initialisation);
        let mut layers = Vec::new();
        let mut parameters = Vec::new();
        let mut cost = 0;
        for (layer, pair) in widths.windows(2).enumerate() {
            let (inputs, outputs) = (pair[0], pair[1]);
            cost += 3 * arms * inputs * outputs;
            let last = layer + 2 == widths.len();
            // The last layer starts at zero: a uniform policy, to be fitted to the start.
            let spread = if last {
                0.0
            } else {
                1.0 / (inputs as f64).sqrt()
            };
            let weights: Vec<f64> = (0..inputs * outputs)
                .map(|_| spread * stream.normal())
                .collect();
            parameters.extend_from_slice(&weights);
            let weight =
                Tensor::from_vec(weights, (inputs, outputs), &Device::Cpu).map_err(failed)?;
            let bias = if last {
                None
            } else {
                let biases: Vec<f64> = (0..outputs).map(|_| 0.5 * stream.normal()).collect();
                parameters.extend_from_slice(&biases);
                let bias = Tensor::from_vec(biases, (1, outputs), &Device::Cpu).map_err(failed)?;
                Some(Var::from_tensor(&bias).map_err(failed)?)
            };
            layers.push((Var::from_tensor(&weight).map_err(failed)?, bias));
        }
        Ok(Self {
            features: Tensor::from_vec(table, (arms, columns.len()), &Device::Cpu)
                .map_err(failed)?,
            layers,
            parameters,
            logits: None,
            cost,
        })
    }

    fn variables(&self) -> impl Iterator<Item = &Var> {
        self.layers
            .iter()
            .flat_map(|(weight, bias)| std::iter::once(weight).chain(bias))
    }

    fn forward(&self) -> candle_core::Result<Tensor> {
        let mut rest = &self.parameters[..];
        for variable in self.variables() {
            let (mine, others) = rest.split_at(variable.elem_count());
            variable.set(&Tensor::from_slice(mine, variable.shape(), &Device::Cpu)?)?;
            rest = others;
        }
        let mut values = self.features.clone();
        for (weight, bias) in &self.layers {
            values = values.matmul(weight)?;
            if let Some(bias) = bias {
                values = values.broadcast_add(bias)?.tanh()?;
            }
        }
        values.flatten_all()
    }

    fn backward(&self, gradient: &[f64], out: &mut [f64]) -> candle_core::Result<()> {
        let Some(logits) = &self.logits else {
            return Err(candle_core::Error::Msg("no forward pass yet".into()));
        };
        let weights = Tensor::from_slice(gradient, gradient.len(), &Device::Cpu)?;
        let gradients = (logits * weights)?.sum_all()?.backward()?;
        let mut rest = out;
        for variable in self.variables() {
            let (mine, others) = rest.split_at_mut(variable.elem_count());
            match gradients.get(variable) {
                Some(found) => {
                    mine.copy_from_slice(&found.flatten_all()?.to_vec1::<f64>()?);
                }
                None => mine.fill(0.0),
            }
            rest = others;
        }
        Ok(())
    }
}

impl Family for Network {
    fn parameters(&self) -> &[f64] {
        &self.parameters
    }

    fn parameters_mut(&mut self) -> &mut [f64] {
        &mut self.parameters
    }

    fn fill_logits(&mut self, logits: &mut [f64]) -> Result<(), String> {
        let values = self.forward().map_err(|error| error.to_string())?;
        let numbers = values.to_vec1::<f64>().map_err(|error| error.to_string())?;
        logits.copy_from_slice(&numbers);
        self.logits = Some(values);
        Ok(())
    }

    fn pull_back(&mut self, gradient: &[f64], out: &mut [f64]) -> Result<(), String> {
        self.backward(gradient, out)
            .map_err(|error| error.to_string())
    }

    fn fits_by_moments(&self) -> bool {
        false
    }

    /// A network has no moments to match; it starts where it is.
    fn fit_roughly(&mut self, _masses: &[f64]) {}

    fn cost(&self) -> usize {
        self.cost
    }
}

fn check_range(features: Features) -> Result<(), TrainError> {
    let (accepted, size) = match features {
        Features::Polynomial(degree) => ("a degree from 1 to 16", (degree, 16)),
        Features::Fourier(frequency) => ("a frequency from 1 to 64", (frequency, 64)),
    };
    if !(1..=size.1).contains(&size.0) {
        return Err(TrainError::Field {
            field: "policy.features",
            value: size.0.to_string(),
            accepted,
        });
    }
    Ok(())
}

/// One column per feature, as many as [`Features::count`] says, with one number per arm, all of magnitude 1 at most.
fn feature_columns(problem: &Problem, features: Features) -> Vec<Vec<f64>> {
    let axes = scaled_axes(problem);
    let x = &axes[0].0;
    let y = axes.get(1).map(|axis| &axis.0);
    let mut columns = Vec::new();
    let mut add = |value: &dyn Fn(f64, f64) -> f64| {
        let at = |arm: usize| value(x[arm], y.map_or(0.0, |y| y[arm]));
        columns.push((0..x.len()).map(at).collect());
    };
    let highest_y = |left: usize| if y.is_some() { left } else { 0 };
    match features {
        Features::Polynomial(degree) => {
            for total in 1..=degree {
                for of_y in 0..=highest_y(total) {
                    let of_x = total - of_y;
                    add(&|x, y| x.powi(of_x as i32) * y.powi(of_y as i32));
                }
            }
        }
        Features::Fourier(frequency) => {
            // Half of the plane of wave vectors: the other half has the same sines and cosines.
            for kx in 0..=frequency as i64 {
                let reach = highest_y(frequency) as i64 - if y.is_some() { kx } else { 0 };
                for ky in -reach..=reach {
                    if kx == 0 && ky <= 0 {
                        continue;
                    }
                    let wave = move |x: f64, y: f64| {
                        std::f64::consts::PI * (kx as f64 * x + ky as f64 * y)
                    };
                    add(&|x, y| wave(x, y).sin());
                    add(&|x, y| wave(x, y).cos());
                }
            }
        }
    }
    columns
}
