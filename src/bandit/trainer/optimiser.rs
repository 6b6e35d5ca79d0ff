//! What turns a gradient into a step.

use serde::{Deserialize, Serialize};

use super::{
    kernel::{self, Adam, Simd},
    softmax::Rule,
};
use crate::experiment::Optimizer;

/// Moments of the optimiser, zero where it keeps none.
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

    /// Becomes the moments of as many parameters elsewhere.
    pub(super) fn go_to(&mut self, other: &Self) {
        self.first.clone_from(&other.first);
        self.second.clone_from(&other.second);
        self.age = other.age;
    }

    /// The rule of the next step.
    pub(super) fn advance(&mut self, optimizer: Optimizer, rate: f64) -> Rule {
        self.age += 1;
        match optimizer {
            Optimizer::Sgd => Rule::Plain { rate },
            Optimizer::Momentum { momentum } => Rule::Momentum {
                rate,
                decay: momentum,
            },
            Optimizer::Adam {
                beta1,
                beta2,
                epsilon,
            } => {
                let age = self.age.min(i32::MAX as u64) as i32;
                Rule::Adam(Adam {
                    beta1,
                    beta2,
                    epsilon,
                    size: rate / (1.0 - beta1.powi(age)),
                    root: 1.0 / (1.0 - beta2.powi(age)).sqrt(),
                })
            }
        }
    }
}

impl Rule {
    /// One step of ascent on any parameters.
    pub(super) fn apply(
        self,
        simd: Simd,
        gradient: &[f64],
        parameters: &mut [f64],
        first: &mut [f64],
        second: &mut [f64],
    ) {
        match self {
            Self::Plain { rate } => {
                for (parameter, g) in parameters.iter_mut().zip(gradient) {
                    *parameter += rate * g;
                }
            }
            Self::Momentum { rate, decay } => {
                for ((parameter, velocity), g) in parameters.iter_mut().zip(first).zip(gradient) {
                    *velocity = decay * *velocity + g;
                    if velocity.abs() < kernel::TINY {
                        *velocity = 0.0;
                    }
                    *parameter += rate * *velocity;
                }
            }
            Self::Adam(constants) => {
                kernel::adam(simd, &constants, gradient, parameters, first, second);
            }
        }
    }
}
