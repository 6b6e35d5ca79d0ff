//! Where an estimator ends if it is followed for ever: the target it pulls towards (docs/math.md section 4).

use super::{
    Estimator, Scene,
    coefficient::{Parts, drawn},
};
use crate::{
    experiment::{Advantage, KlEstimator, KlPenalty},
    theory::{Beta, Direction, Distribution, Objective, solve_weights},
};

/// The target that an estimator pulls towards.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pull {
    /// The target of an objective (its reward is the effective one already: scale one, no offset, no MARA).
    Target(Objective),
    /// The best rewards alone, whatever the reference.
    BestReward,
    /// The target of an objective whose β is β·σ of the present rewards: it moves as the policy does.
    Moving {
        /// The objective now.
        objective: Objective,
        /// σ now.
        sigma: f64,
    },
    /// No objective has this gradient: where it ends depends on where it starts.
    FromHere,
}

impl Estimator {
    /// What this estimator pulls towards at a policy.
    #[must_use]
    pub fn pull(self, scene: &Scene) -> Pull {
        let objective = |direction, beta| {
            Beta::new(beta).ok().map(|beta| Objective {
                entropy: scene.entropy,
                ..Objective::new(direction, beta)
            })
        };
        let fixed =
            |direction, beta| objective(direction, beta).map_or(Pull::FromHere, Pull::Target);
        let Self::Sampled { kl, .. } = self else {
            return fixed(Direction::Reverse, scene.beta);
        };
        let outside = |direction| {
            let Some(sigma) = self.divisor(scene) else {
                return fixed(direction, scene.beta);
            };
            // R/σ − β D + η H is R − βσ D + ησ H, divided by σ.
            objective(direction, scene.beta * sigma).map_or(Pull::FromHere, |objective| {
                Pull::Moving {
                    objective: Objective {
                        entropy: scene.entropy * sigma,
                        ..objective
                    },
                    sigma,
                }
            })
        };
        match kl {
            KlPenalty::Matched => fixed(scene.direction, scene.beta),
            KlPenalty::InReward(KlEstimator::K1) => fixed(Direction::Reverse, scene.beta),
            KlPenalty::InReward(
                KlEstimator::K2 | KlEstimator::K3 | KlEstimator::K3Plus | KlEstimator::RhoK3,
            ) => Pull::FromHere,
            KlPenalty::Loss(KlEstimator::K1) | KlPenalty::Off => Pull::BestReward,
            KlPenalty::Loss(KlEstimator::K2 | KlEstimator::K3Plus | KlEstimator::RhoK3) => {
                outside(Direction::Reverse)
            }
            KlPenalty::Loss(KlEstimator::K3) | KlPenalty::ReferenceSamples => {
                outside(Direction::Forward)
            }
        }
    }

    /// The masses it pulls towards, one per arm. `Pull::FromHere` follows the estimator's own expected natural gradient
    /// from the present policy, which costs thousands of passes: only up to `flow_arms` arms. None where that is exceeded
    /// or where the target has no solution.
    #[must_use]
    pub fn pulled_masses(self, scene: &Scene, flow_arms: usize) -> Option<Vec<f64>> {
        match self.pull(scene) {
            Pull::Target(objective) | Pull::Moving { objective, .. } => target(scene, objective),
            Pull::BestReward => {
                // As in the moving pull: η for rewards as they are.
                let bonus = scene.entropy * self.divisor(scene).unwrap_or(1.0);
                Some(best_reward(scene, bonus))
            }
            Pull::FromHere => (scene.arms() <= flow_arms).then(|| follow(self, scene)),
        }
    }

    /// σ, where the rewards alone are divided by it.
    fn divisor(self, scene: &Scene) -> Option<f64> {
        match self {
            Self::Sampled {
                advantage: Advantage::GroupNormalised,
                ..
            } => Some(Parts::of(self, scene, usize::MAX).sigma.unwrap_or(0.0)),
            _ => None,
        }
    }
}

fn target(scene: &Scene, objective: Objective) -> Option<Vec<f64>> {
    let arms = scene.arms();
    solve_weights(
        scene.log_reference.get(..arms)?,
        scene.rewards.get(..arms)?,
        &objective,
    )
    .ok()
    .map(|target| target.masses)
}

/// Without a penalty: all mass on the best reward, shared as the policy shares it now; with an entropy bonus η, e^{R/η}.
fn best_reward(scene: &Scene, bonus: f64) -> Vec<f64> {
    let best = drawn(scene)
        .map(|(arm, ..)| scene.rewards[arm])
        .fold(f64::NEG_INFINITY, f64::max);
    let weight = |arm: usize| {
        if scene.log_policy[arm] == f64::NEG_INFINITY {
            0.0
        } else if bonus > 0.0 {
            ((scene.rewards[arm] - best) / bonus).exp()
        } else if scene.rewards[arm] == best {
            scene.log_policy[arm].exp().max(f64::MIN_POSITIVE)
        } else {
            0.0
        }
    };
    let mut masses: Vec<f64> = (0..scene.arms()).map(weight).collect();
    let total: f64 = masses.iter().sum();
    masses.iter_mut().for_each(|mass| *mass /= total);
    masses
}

/// Follows d log π = c − E c until it rests or 4,000 steps are done.
fn follow(estimator: Estimator, scene: &Scene) -> Vec<f64> {
    let arms = scene.arms();
    let mut log_policy = scene.log_policy[..arms].to_vec();
    let mut coefficients = vec![0.0; arms];
    let mut before = log_policy.clone();
    for _ in 0..4000 {
        before.copy_from_slice(&log_policy);
        let here = Scene {
            log_policy: &log_policy,
            ..*scene
        };
        let parts = Parts::of(estimator, &here, usize::MAX);
        let mut mean = 0.0;
        let mut steepness = 1.0f64;
        for (arm, log_mass, mass) in drawn(&here) {
            let total = parts.total(&here, arm, 0.0);
            mean += total.first(mass, log_mass);
            coefficients[arm] = total.value();
            if mass > 1e-12 {
                steepness = steepness.max((log_mass - scene.log_reference[arm]).abs());
            }
        }
        // Below the rate at which the penalty changes with log π.
        let step = 0.3 / (scene.beta * parts.factor.max(1e-12) * steepness);
        for (log_mass, coefficient) in log_policy.iter_mut().zip(&coefficients) {
            if *log_mass > f64::NEG_INFINITY {
                let change = (step * (coefficient - mean)).clamp(-2.0, 2.0);
                *log_mass = (*log_mass + change).max(-700.0);
            }
        }
        match Distribution::from_log_weights(&log_policy) {
            Ok(normalised) => {
                let moved = normalised
                    .log_masses()
                    .iter()
                    .zip(&before)
                    .fold(0.0f64, |most, (now, before)| {
                        most.max((now.exp() - before.exp()).abs())
                    });
                log_policy.copy_from_slice(normalised.log_masses());
                if moved < 1e-10 {
                    break;
                }
            }
            Err(_) => break,
        }
    }
    log_policy.iter().map(|l| l.exp()).collect()
}
