//! Estimators in words: name, formula, and what each pulls towards.

use super::{Estimator, Pull};
use crate::{
    experiment::{Advantage, KlEstimator, KlPenalty},
    theory::Direction,
};

impl Estimator {
    /// Every way to charge for the divergence, with the given advantage, and DAP: the rows of the estimator table.
    #[must_use]
    pub fn list(advantage: Advantage) -> Vec<Self> {
        use KlEstimator::{K1, K2, K3, K3Plus, RhoK3};
        let mut all: Vec<Self> = [
            KlPenalty::Matched,
            KlPenalty::InReward(K1),
            KlPenalty::InReward(K2),
            KlPenalty::InReward(K3),
            KlPenalty::Loss(K1),
            KlPenalty::Loss(K2),
            KlPenalty::Loss(K3),
            KlPenalty::Loss(K3Plus),
            KlPenalty::Loss(RhoK3),
            KlPenalty::ReferenceSamples,
            KlPenalty::Off,
        ]
        .into_iter()
        .map(|kl| Self::Sampled { advantage, kl })
        .collect();
        if advantage != Advantage::GroupNormalised {
            // GRPO, whatever the others use: the division by σ is what moves its target.
            all.push(Self::Sampled {
                advantage: Advantage::GroupNormalised,
                kl: KlPenalty::Loss(K3),
            });
        }
        all.push(Self::Dap);
        all
    }

    /// Its name in tables, without the advantage.
    #[must_use]
    pub fn name(self) -> &'static str {
        let Self::Sampled { advantage, kl } = self else {
            return "DAP";
        };
        match kl {
            KlPenalty::Matched => "matched",
            KlPenalty::InReward(KlEstimator::K1) => "k1 in the reward",
            KlPenalty::InReward(KlEstimator::K2) => "k2 in the reward",
            KlPenalty::InReward(KlEstimator::K3) => "k3 in the reward",
            KlPenalty::InReward(KlEstimator::K3Plus) => "k3+ in the reward",
            KlPenalty::InReward(KlEstimator::RhoK3) => "ρ·k3 in the reward",
            KlPenalty::Loss(KlEstimator::K1) => "k1 as a loss",
            KlPenalty::Loss(KlEstimator::K2) => "k2 as a loss",
            KlPenalty::Loss(KlEstimator::K3) if advantage == Advantage::GroupNormalised => {
                "GRPO (k3 loss, reward/σ)"
            }
            KlPenalty::Loss(KlEstimator::K3) => "k3 as a loss",
            KlPenalty::Loss(KlEstimator::K3Plus) => "k3+ as a loss",
            KlPenalty::Loss(KlEstimator::RhoK3) => "ρ·k3 as a loss",
            KlPenalty::ReferenceSamples => "reference samples",
            KlPenalty::Off => "no penalty",
        }
    }

    /// What it adds to the objective per sample, as a formula with w = π_ref/π.
    #[must_use]
    pub fn formula(self) -> &'static str {
        let Self::Sampled { kl, .. } = self else {
            return "loss (log π − log π_ref − R/β)²";
        };
        match kl {
            KlPenalty::Matched => "reward R − β f′(π/π_ref), stop-grad",
            KlPenalty::InReward(KlEstimator::K1) => "reward R − β log(π/π_ref), stop-grad",
            KlPenalty::InReward(KlEstimator::K2) => "reward R − β ½ log² w, stop-grad",
            KlPenalty::InReward(KlEstimator::K3 | KlEstimator::K3Plus | KlEstimator::RhoK3) => {
                "reward R − β (w − 1 − log w), stop-grad"
            }
            KlPenalty::Loss(KlEstimator::K1) => "loss β log(π/π_ref)",
            KlPenalty::Loss(KlEstimator::K2) => "loss β ½ log² w",
            KlPenalty::Loss(KlEstimator::K3) => "loss β (w − 1 − log w)",
            KlPenalty::Loss(KlEstimator::K3Plus) => "value of k3, gradient of k2",
            KlPenalty::Loss(KlEstimator::RhoK3) => "loss β ρ (w − 1 − log w), ρ = π/π_old",
            KlPenalty::ReferenceSamples => "loss −β log π on samples from π_ref",
            KlPenalty::Off => "reward R alone",
        }
    }

    /// Why its expectation is what it is, in one line.
    #[must_use]
    pub fn reason(self) -> &'static str {
        let Self::Sampled { kl, .. } = self else {
            return "Expected gradient (2/β)∇J of the reverse objective, whatever direction is set; log Z drops out as a baseline.";
        };
        match kl {
            KlPenalty::Matched => {
                "The derivative of the objective's own divergence, as a reward: its expectation is the exact gradient."
            }
            KlPenalty::InReward(KlEstimator::K1) => {
                "The usual reward shaping: its expectation is the gradient of the reverse objective."
            }
            KlPenalty::InReward(KlEstimator::K2) => {
                "A fair value of the KL as a reward has the wrong gradient: arms below the reference are pushed further down."
            }
            KlPenalty::InReward(KlEstimator::K3 | KlEstimator::K3Plus | KlEstimator::RhoK3) => {
                "A good value of the KL as a reward has the wrong gradient: arms below the reference are pushed further down."
            }
            KlPenalty::Loss(KlEstimator::K1) => {
                "The expected score is zero, so it adds noise and no pull: the reference is forgotten."
            }
            KlPenalty::Loss(KlEstimator::K2) => "Its gradient is that of KL(π‖π_ref).",
            KlPenalty::Loss(KlEstimator::K3) => {
                "Its value estimates KL(π‖π_ref), its gradient is that of KL(π_ref‖π); the variance explodes where π ≪ π_ref."
            }
            KlPenalty::Loss(KlEstimator::K3Plus) => {
                "Straight-through: reports k3, follows k2, so its gradient is that of KL(π‖π_ref)."
            }
            KlPenalty::Loss(KlEstimator::RhoK3) => {
                "The importance ratio's own gradient repairs k3: on policy it is exactly that of KL(π‖π_ref)."
            }
            KlPenalty::ReferenceSamples => {
                "Maximum likelihood on reference samples is the gradient of KL(π_ref‖π)."
            }
            KlPenalty::Off => "Policy gradient on the reward alone.",
        }
    }
}

impl Pull {
    /// In one line, for a table.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Target(objective) => target_name(objective.direction),
            Self::BestReward => "best reward alone".to_owned(),
            Self::Moving { objective, sigma } => format!(
                "{}, β·σ = {:.3} (σ = {sigma:.3} now)",
                target_name(objective.direction),
                objective.beta.get()
            ),
            Self::FromHere => "depends on the start".to_owned(),
        }
    }
}

fn target_name(direction: Direction) -> String {
    match direction {
        Direction::Reverse => "reverse target".to_owned(),
        Direction::Forward => "forward target".to_owned(),
        Direction::Alpha(alpha) => format!("α = {alpha} target"),
    }
}
