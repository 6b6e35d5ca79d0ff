//! What turns a gradient into a step, for families with their own parameters (the table has a fused form).

use serde::{Deserialize, Serialize};

use crate::experiment::Optimizer;

/// Moments of the optimiser; empty where it keeps none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Moments {
    pub(super) first: Vec<f64>,
    pub(super) second: Vec<f64>,
    /// Steps since the moments were zero.
    pub(super) age: u64,
}

impl Moments {
    /// Zero moments for `count` parameters.
    pub(super) fn new(count: usize) -> Self {
        Self {
            first: vec![0.0; count],
            second: vec![0.0; count],
            age: 0,
        }
    }

    /// One step of ascent.
    pub(super) fn step(
        &mut self,
        optimizer: Optimizer,
        learning_rate: f64,
        parameters: &mut [f64],
        gradient: &[f64],
    ) {
        self.age += 1;
        match optimizer {
            Optimizer::Sgd => {
                for (parameter, g) in parameters.iter_mut().zip(gradient) {
                    *parameter += learning_rate * g;
                }
            }
            Optimizer::Momentum { momentum } => {
                let moments = self.first.iter_mut();
                for ((parameter, g), velocity) in parameters.iter_mut().zip(gradient).zip(moments) {
                    *velocity = momentum * *velocity + g;
                    *parameter += learning_rate * *velocity;
                }
            }
            Optimizer::Adam {
                beta1,
                beta2,
                epsilon,
            } => {
                let (size, root) = adam_scales(learning_rate, beta1, beta2, self.age);
                let moments = self.first.iter_mut().zip(&mut self.second);
                for ((parameter, g), (m, v)) in parameters.iter_mut().zip(gradient).zip(moments) {
                    *m = beta1 * *m + (1.0 - beta1) * g;
                    *v = beta2 * *v + (1.0 - beta2) * g * g;
                    *parameter += size * *m / (v.sqrt() * root + epsilon);
                }
            }
        }
    }
}

/// Adam's bias corrections folded into two factors: step size over (1 − β₁ᵗ), and 1/√(1 − β₂ᵗ).
pub(super) fn adam_scales(learning_rate: f64, beta1: f64, beta2: f64, age: u64) -> (f64, f64) {
    let age = age.min(i32::MAX as u64) as i32;
    (
        learning_rate / (1.0 - beta1.powi(age)),
        1.0 / (1.0 - beta2.powi(age)).sqrt(),
    )
}
