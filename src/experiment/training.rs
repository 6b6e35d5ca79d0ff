//! How a policy is trained, as plain data: family, start, update, optimiser, stop rule.

use serde::{Deserialize, Serialize};

/// Everything about the learner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Training {
    /// What the policy can express.
    pub policy: PolicyFamily,
    /// Where it starts.
    pub start: Start,
    /// Where the gradient comes from.
    pub update: Update,
    /// What turns a gradient into a step.
    pub optimizer: Optimizer,
    /// Step size, > 0.
    pub learning_rate: f64,
    /// When to stop.
    pub stop: StopRule,
    /// Seed of every random stream of the run.
    pub seed: u64,
}

impl Training {
    /// Whether a run on `earlier` that is to follow this one has another policy to begin with: another family, start or seed.
    #[must_use]
    pub fn begins_anew_from(&self, earlier: &Self) -> bool {
        self.policy != earlier.policy || self.start != earlier.start || self.seed != earlier.seed
    }
}

impl Default for Training {
    fn default() -> Self {
        Self {
            policy: PolicyFamily::SoftmaxTable,
            start: Start::Reference,
            update: Update::Sampled {
                batch: 256,
                advantage: Advantage::MeanBaseline,
                kl: KlPenalty::Matched,
            },
            optimizer: Optimizer::default(),
            learning_rate: 0.05,
            stop: StopRule::default(),
            seed: 0,
        }
    }
}

/// What the policy can express.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum PolicyFamily {
    /// One logit per arm: can express every distribution.
    SoftmaxTable,
    /// A Gaussian discretised on the line (mean and log standard deviation per axis).
    Gaussian,
    /// A mixture of Gaussians discretised on the line or grid.
    GaussianMixture {
        /// Number of components, 1 to 64.
        components: usize,
    },
    /// Logits linear in arm features.
    LinearSoftmax {
        /// The features.
        features: Features,
    },
    /// Logits from a small multi-layer perceptron on arm features.
    Mlp {
        /// The features.
        features: Features,
        /// Width of each hidden layer, 1 to 4 layers of 1 to 1024.
        hidden: Vec<usize>,
    },
}

/// Largest number of arms × (features + units) that a policy network may have.
pub const MAX_ACTIVATIONS: usize = 50_000_000;

impl PolicyFamily {
    /// Its name as presets write it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::SoftmaxTable => "SoftmaxTable",
            Self::Gaussian => "Gaussian",
            Self::GaussianMixture { .. } => "GaussianMixture",
            Self::LinearSoftmax { .. } => "LinearSoftmax",
            Self::Mlp { .. } => "Mlp",
        }
    }

    /// Numbers that a network holds for each arm: features, hidden units and the logit. None for families without a
    /// network. `axes` is 1 for arms on a line and 2 for a grid.
    #[must_use]
    pub fn width(&self, axes: usize) -> Option<usize> {
        let (features, hidden) = match self {
            Self::SoftmaxTable | Self::Gaussian | Self::GaussianMixture { .. } => return None,
            Self::LinearSoftmax { features } => (features, &[][..]),
            Self::Mlp { features, hidden } => (features, hidden.as_slice()),
        };
        let units = hidden
            .iter()
            .fold(1, |sum: usize, width| sum.saturating_add(*width));
        Some(features.count(axes).saturating_add(units))
    }
}

impl Features {
    /// How many features an arm has; `axes` is 1 for arms on a line and 2 for a grid.
    #[must_use]
    pub fn count(self, axes: usize) -> usize {
        match (self, axes) {
            (Self::Polynomial(degree), 0 | 1) => degree,
            // Degree t has t + 1 monomials in two variables.
            (Self::Polynomial(degree), _) => degree.saturating_mul(degree.saturating_add(3)) / 2,
            (Self::Fourier(frequency), 0 | 1) => frequency.saturating_mul(2),
            // Half of the wave vectors with |kx| + |ky| up to the frequency, a sine and a cosine each.
            (Self::Fourier(frequency), _) => {
                (frequency.saturating_mul(frequency.saturating_add(1))).saturating_mul(2)
            }
        }
    }
}

/// Arm features of the restricted families, from coordinates scaled to [−1, 1].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Features {
    /// Powers of the coordinates up to a total degree (1 to 16).
    Polynomial(usize),
    /// Sines and cosines of the coordinates up to a frequency (1 to 64).
    Fourier(usize),
}

/// Where the policy starts; a family that cannot express the distribution starts at its best fit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Start {
    /// At the reference, as fine-tuning does.
    Reference,
    /// Uniform.
    Uniform,
    /// At given unnormalised masses, one per arm.
    Given(Vec<f64>),
}

/// Where the gradient comes from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Update {
    /// The exact gradient of J in the policy's parameters.
    Exact,
    /// Mirror descent: the exact natural gradient on the table, free of softmax dynamics.
    NaturalGradient,
    /// A policy gradient from samples of the policy.
    Sampled {
        /// Samples per step, 1 to 65,536.
        batch: usize,
        /// What is subtracted from, and divides, the reward.
        advantage: Advantage,
        /// How the divergence to the reference enters.
        kl: KlPenalty,
    },
    /// REINVENT's DAP: the squared difference between log π and log π_ref + R/β, on samples of the policy.
    Dap {
        /// Samples per step, 1 to 65,536.
        batch: usize,
    },
}

impl Update {
    /// Whether every step also draws from the reference.
    #[must_use]
    pub fn draws_from_reference(self) -> bool {
        matches!(
            self,
            Self::Sampled {
                kl: KlPenalty::ReferenceSamples,
                ..
            }
        )
    }

    /// Samples of a step; none where the update is exact.
    #[must_use]
    pub fn batch(self) -> Option<usize> {
        match self {
            Self::Sampled { batch, .. } | Self::Dap { batch } => Some(batch),
            Self::Exact | Self::NaturalGradient => None,
        }
    }

    /// The smallest batch: an advantage that compares a sample with the others of its batch needs another one.
    #[must_use]
    pub fn least_batch(self) -> usize {
        match self {
            Self::Sampled {
                advantage: Advantage::LeaveOneOut | Advantage::GroupNormalised,
                ..
            } => 2,
            Self::Sampled {
                advantage: Advantage::None | Advantage::MeanBaseline,
                ..
            }
            | Self::Dap { .. }
            | Self::Exact
            | Self::NaturalGradient => 1,
        }
    }

    /// Whether the reward is divided by the batch's standard deviation and the penalty is not, which makes β·σ of β
    /// (docs/math.md section 4).
    #[must_use]
    pub fn divides_reward_alone(self) -> bool {
        matches!(
            self,
            Self::Sampled {
                advantage: Advantage::GroupNormalised,
                kl: KlPenalty::Loss(_) | KlPenalty::ReferenceSamples | KlPenalty::Off,
                ..
            }
        )
    }
}

/// What is subtracted from, and divides, a sample's reward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Advantage {
    /// Nothing: plain REINFORCE.
    None,
    /// The batch mean.
    MeanBaseline,
    /// The mean of the other samples.
    LeaveOneOut,
    /// The batch mean, divided by the batch's standard deviation (GRPO).
    GroupNormalised,
}

/// How the divergence to the reference enters a sampled update (docs/math.md section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KlPenalty {
    /// The estimator whose expected gradient is the objective's own, whatever its direction: f′(π/π_ref) as a stop-grad
    /// reward (for `Reverse` the usual reward shaping).
    Matched,
    /// In the reward, stop-grad, by the given estimator's value.
    InReward(KlEstimator),
    /// As a differentiable loss beside the policy gradient (outside the advantage).
    Loss(KlEstimator),
    /// −log π on as many samples from the reference.
    ReferenceSamples,
    /// No penalty at all.
    Off,
}

/// Per-sample estimators of KL(π‖π_ref), with w = π_ref/π.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KlEstimator {
    /// −log w.
    K1,
    /// ½ log² w.
    K2,
    /// w − 1 − log w (GRPO's default).
    K3,
    /// k3's value with k2's gradient (verl's straight-through "k3+").
    K3Plus,
    /// ρ·k3 with a differentiable importance ratio ρ = π/π_old.
    RhoK3,
}

/// What turns a gradient into a step (ascent on J).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Optimizer {
    /// θ ← θ + lr · g.
    Sgd,
    /// Heavy-ball momentum.
    Momentum {
        /// Decay of the velocity, in [0, 1).
        momentum: f64,
    },
    /// Adam.
    Adam {
        /// Decay of the first moment, in [0, 1).
        beta1: f64,
        /// Decay of the second moment, in [0, 1).
        beta2: f64,
        /// Added to the denominator, > 0.
        epsilon: f64,
    },
}

impl Default for Optimizer {
    fn default() -> Self {
        Self::Adam {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
        }
    }
}

/// When a run stops by itself; the first rule that holds stops it, none set runs until paused.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StopRule {
    /// After this many steps.
    pub steps: Option<u64>,
    /// Once TV(π, G) stays at or below this for 100 steps.
    pub converged: Option<f64>,
    /// After this many seconds of training.
    pub seconds: Option<f64>,
}
