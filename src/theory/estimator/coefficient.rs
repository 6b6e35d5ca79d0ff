//! The coefficient of every estimator's score term, split into what is inside the advantage (centred, maybe divided by the
//! batch's standard deviation) and what is outside, and its moments under the policy.
//!
//! A coefficient may hold the ratio w = π_ref/π, which overflows where the policy has all but left an arm, while π·w does not:
//! products with π are therefore formed in log space there.

use super::{Estimator, Scene};
use crate::experiment::{Advantage, KlEstimator, KlPenalty};

/// A coefficient `a + b·e^log_u`, with `b` zero unless e^log_u is too large or too small to be merged into `a`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Coefficient {
    a: f64,
    b: f64,
    log_u: f64,
}

/// Beyond this exponent a ratio is kept in log space.
const LARGE: f64 = 300.0;

impl Coefficient {
    fn plain(a: f64) -> Self {
        Self {
            a,
            b: 0.0,
            log_u: 0.0,
        }
    }

    fn with_ratio(a: f64, b: f64, log_u: f64) -> Self {
        Self { a, b, log_u }
    }

    /// The coefficient itself.
    pub(super) fn value(self) -> f64 {
        if self.b == 0.0 {
            self.a
        } else {
            self.a + self.b * self.log_u.exp()
        }
    }

    pub(super) fn plus(self, other: f64) -> Self {
        Self {
            a: self.a + other,
            ..self
        }
    }

    pub(super) fn times(self, factor: f64) -> Self {
        Self {
            a: self.a * factor,
            b: self.b * factor,
            ..self
        }
    }

    /// Sum of two coefficients, of which at most one holds a ratio.
    fn and(self, other: Self) -> Self {
        let ratio = if self.b == 0.0 { other } else { self };
        Self {
            a: self.a + other.a,
            b: ratio.b,
            log_u: ratio.log_u,
        }
    }

    /// π·c.
    pub(super) fn first(self, mass: f64, log_mass: f64) -> f64 {
        if self.b == 0.0 {
            mass * self.a
        } else {
            mass * self.a + self.b * (log_mass + self.log_u).exp()
        }
    }

    /// π·c².
    pub(super) fn second(self, mass: f64, log_mass: f64) -> f64 {
        if self.b == 0.0 {
            mass * self.a * self.a
        } else {
            mass * self.a * self.a
                + 2.0 * self.a * self.b * (log_mass + self.log_u).exp()
                + self.b * self.b * (log_mass + 2.0 * self.log_u).exp()
        }
    }
}

/// What is inside the advantage besides the reward; the entropy bonus goes with the penalty, inside or outside.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Inside {
    /// Nothing.
    Reward,
    /// −β f′(π/π_ref) of the α-divergence.
    Derivative(f64),
    /// −β times the value of an estimator.
    Value(KlEstimator),
    /// 2 ((β log π_ref + R)/(β+η) − log π) in place of everything.
    Dap,
}

/// Which form an estimator's coefficients have, and the scalars in them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts {
    inside: Inside,
    outside: Option<KlEstimator>,
    /// Weight of −log π on samples from the reference.
    pub(super) on_reference: f64,
    /// The inside is centred on its mean (mean baseline or leave-one-out).
    pub(super) centred: bool,
    /// Factor of the inside: 1, (B−1)/B for a batch mean, over σ where the batch's standard deviation divides.
    pub(super) factor: f64,
    /// σ of the inside under the policy, where the advantage divides by it.
    pub(super) sigma: Option<f64>,
    /// The expectation counts arms that the policy never draws (only the exact gradient does).
    impossible_arms: bool,
}

impl Parts {
    /// The exact gradient, as if it were an estimator without noise.
    pub(super) fn exact(scene: &Scene) -> Self {
        Self {
            inside: Inside::Derivative(scene.alpha()),
            outside: None,
            on_reference: 0.0,
            centred: false,
            factor: 1.0,
            sigma: None,
            impossible_arms: true,
        }
    }

    /// An estimator with a batch of `batch` samples.
    pub(super) fn of(estimator: Estimator, scene: &Scene, batch: usize) -> Self {
        let mut parts = Self {
            impossible_arms: false,
            ..Self::exact(scene)
        };
        let advantage = match estimator {
            Estimator::Dap => {
                parts.inside = Inside::Dap;
                Advantage::None
            }
            Estimator::Sampled { advantage, kl } => {
                match kl {
                    KlPenalty::Matched => {}
                    KlPenalty::InReward(value) => parts.inside = Inside::Value(value),
                    KlPenalty::Loss(loss) => {
                        parts.inside = Inside::Reward;
                        parts.outside = Some(loss);
                    }
                    KlPenalty::ReferenceSamples => {
                        parts.inside = Inside::Reward;
                        parts.on_reference = scene.beta;
                    }
                    KlPenalty::Off => parts.inside = Inside::Reward,
                }
                advantage
            }
        };
        let mean_factor = (batch.max(1) - 1) as f64 / batch.max(1) as f64;
        match advantage {
            Advantage::None => {}
            // A sample alone in its batch has nothing to compare itself with: plain REINFORCE.
            _ if batch < 2 => {}
            Advantage::LeaveOneOut => parts.centred = true,
            Advantage::MeanBaseline => {
                parts.centred = true;
                parts.factor = mean_factor;
            }
            Advantage::GroupNormalised => {
                let sigma = parts.inside_moments(scene).1.sqrt();
                parts.centred = true;
                // Equal rewards throughout carry no advantage.
                parts.factor = if sigma > 0.0 {
                    mean_factor / sigma
                } else {
                    0.0
                };
                parts.sigma = Some(sigma);
            }
        }
        parts
    }

    /// Coefficient inside the advantage, before centring and scaling.
    pub(super) fn inside(&self, scene: &Scene, arm: usize) -> Coefficient {
        let log_policy = scene.log_policy[arm];
        let log_ratio = log_policy - scene.log_reference[arm];
        let reward = scene.rewards[arm];
        let bonus = entropy_bonus(scene, log_policy);
        let beta = scene.beta;
        match self.inside {
            Inside::Reward => Coefficient::plain(reward),
            Inside::Derivative(alpha) => derivative(alpha, log_ratio)
                .times(-beta)
                .plus(reward + bonus),
            Inside::Value(estimator) => value(estimator, log_ratio)
                .times(-beta)
                .plus(reward + bonus),
            Inside::Dap => {
                let all = beta + scene.entropy;
                let wanted = (beta * scene.log_reference[arm] + reward) / all;
                Coefficient::plain(2.0 * (wanted - log_policy))
            }
        }
    }

    /// Coefficient outside the advantage (ascent, so minus the loss's).
    pub(super) fn outside(&self, scene: &Scene, arm: usize) -> Coefficient {
        if self.inside != Inside::Reward {
            return Coefficient::default();
        }
        let log_policy = scene.log_policy[arm];
        self.outside
            .map_or(Coefficient::default(), |loss| {
                loss_gradient(loss, log_policy - scene.log_reference[arm]).times(-scene.beta)
            })
            .plus(entropy_bonus(scene, log_policy))
    }

    /// The whole coefficient with the inside centred on `mean` and scaled.
    pub(super) fn total(&self, scene: &Scene, arm: usize, mean: f64) -> Coefficient {
        self.inside(scene, arm)
            .plus(if self.centred { -mean } else { 0.0 })
            .times(self.factor)
            .and(self.outside(scene, arm))
    }

    /// Mean and variance of the inside under the policy.
    pub(super) fn inside_moments(&self, scene: &Scene) -> (f64, f64) {
        let mut mean = 0.0;
        for (arm, log_mass, mass) in drawn(scene) {
            mean += self.inside(scene, arm).first(mass, log_mass);
        }
        let mut variance = 0.0;
        for (arm, log_mass, mass) in drawn(scene) {
            variance += self.inside(scene, arm).plus(-mean).second(mass, log_mass);
        }
        (mean, variance)
    }

    /// Whether arms of zero policy mass count in an expectation.
    fn counts(&self, log_mass: f64) -> bool {
        self.impossible_arms || log_mass > f64::NEG_INFINITY
    }
}

/// The arms that the policy can draw: index, log mass, mass.
pub(super) fn drawn<'a>(scene: &'a Scene) -> impl Iterator<Item = (usize, f64, f64)> + 'a {
    scene.log_policy[..scene.arms()]
        .iter()
        .enumerate()
        .filter(|(_, log_mass)| **log_mass > f64::NEG_INFINITY)
        .map(|(arm, &log_mass)| (arm, log_mass, log_mass.exp()))
}

/// Sum of the reference masses (one, unless MARA swapped some).
pub(super) fn reference_total(scene: &Scene) -> f64 {
    scene.log_reference[..scene.arms()]
        .iter()
        .map(|l| l.exp())
        .sum()
}

/// E\[coefficient · (e_y − π)\] and the reference samples' part.
pub(super) fn expected(scene: &Scene, parts: &Parts, gradient: &mut Vec<f64>) {
    gradient.clear();
    let mut total = 0.0;
    let mean = if parts.centred {
        parts.inside_moments(scene).0
    } else {
        0.0
    };
    for arm in 0..scene.arms() {
        let log_mass = scene.log_policy[arm];
        let product = if log_mass > f64::NEG_INFINITY {
            parts
                .total(scene, arm, mean)
                .first(log_mass.exp(), log_mass)
        } else if parts.counts(log_mass) {
            limit_at_zero(scene, arm)
        } else {
            0.0
        };
        total += product;
        gradient.push(product);
    }
    let on_reference = parts.on_reference;
    let reference = if on_reference > 0.0 {
        on_reference * reference_total(scene)
    } else {
        0.0
    };
    for (arm, entry) in gradient.iter_mut().enumerate() {
        *entry -= scene.log_policy[arm].exp() * (total + reference);
        if on_reference > 0.0 {
            *entry += on_reference * scene.log_reference[arm].exp();
        }
    }
}

/// Limit of π·(R − β f′(π/π_ref)) as π → 0: β π_ref for forward, 0 above α = 0, infinite below.
fn limit_at_zero(scene: &Scene, arm: usize) -> f64 {
    let alpha = scene.alpha();
    let reference = scene.log_reference[arm].exp();
    if alpha > 0.0 || reference == 0.0 {
        0.0
    } else if alpha == 0.0 {
        scene.beta * reference
    } else {
        f64::INFINITY
    }
}

/// −η log π, whose expected score term is η ∇H.
fn entropy_bonus(scene: &Scene, log_policy: f64) -> f64 {
    if scene.entropy > 0.0 {
        -scene.entropy * log_policy
    } else {
        0.0
    }
}

/// f′(t) of the α-divergence at log t: (t^(α−1) − 1)/(α−1), log t at α = 1.
fn derivative(alpha: f64, log_ratio: f64) -> Coefficient {
    let power = alpha - 1.0;
    if power == 0.0 {
        return Coefficient::plain(log_ratio);
    }
    let exponent = power * log_ratio;
    if exponent < LARGE {
        Coefficient::plain(exponent.exp_m1() / power)
    } else {
        Coefficient::with_ratio(-1.0 / power, 1.0 / power, exponent)
    }
}

/// Value of a per-sample estimator of KL(π‖π_ref) (on policy, so ρ = 1).
fn value(estimator: KlEstimator, log_ratio: f64) -> Coefficient {
    match estimator {
        KlEstimator::K1 => Coefficient::plain(log_ratio),
        KlEstimator::K2 => Coefficient::plain(0.5 * log_ratio * log_ratio),
        KlEstimator::K3 | KlEstimator::K3Plus | KlEstimator::RhoK3 => {
            if -log_ratio < LARGE {
                Coefficient::plain((-log_ratio).exp_m1() + log_ratio)
            } else {
                Coefficient::with_ratio(log_ratio - 1.0, 1.0, -log_ratio)
            }
        }
    }
}

/// What multiplies the score when a per-sample estimator is differentiated (on policy, so ρ = 1).
fn loss_gradient(estimator: KlEstimator, log_ratio: f64) -> Coefficient {
    match estimator {
        KlEstimator::K1 => Coefficient::plain(1.0),
        // ρ·k3: k3·∇ρ + ρ·∇k3 = (w − 1 − log w + 1 − w) s.
        KlEstimator::K2 | KlEstimator::K3Plus | KlEstimator::RhoK3 => Coefficient::plain(log_ratio),
        KlEstimator::K3 => derivative(0.0, log_ratio),
    }
}
