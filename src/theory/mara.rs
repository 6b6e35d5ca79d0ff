//! Mode-anchored reward augmentation, the paper's MARA (docs/math.md section 3): good answers share the reward, and in
//! effect the reference mass, of their best-supported member.
//!
//! The same few functions serve the exact target ([`augment`], over all arms) and a training batch ([`threshold`],
//! [`find_anchor`], [`Anchored::apply`], over the samples). Arms outside the reference's support never count as good.

use std::sync::Arc;

use super::{Divergence, Mara, MaraAlgorithm, Objective, TargetError, Threshold, kernels};

/// The good answer that others are levelled to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AnchorAnswer {
    /// Its position in the slices searched.
    pub index: usize,
    /// Its effective reward R(z).
    pub reward: f64,
    /// Its log reference mass (per class: its class's log Σ π_ref).
    pub log_reference: f64,
}

/// An anchor ready to be applied to answers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Anchored {
    /// Which form of MARA.
    pub algorithm: MaraAlgorithm,
    /// From which effective reward on an answer is good.
    pub threshold: f64,
    /// The objective's β.
    pub beta: f64,
    /// The anchor.
    pub anchor: AnchorAnswer,
}

/// What MARA makes of a problem.
#[derive(Debug, Clone, PartialEq)]
pub struct Augmentation {
    /// Threshold, anchor and algorithm.
    pub anchored: Anchored,
    /// Augmented effective rewards R̄, one per arm.
    pub rewards: Arc<[f64]>,
    /// Swapped natural-log reference weights (Algorithm 2 only), one per arm; they need not sum to one.
    pub log_reference: Option<Arc<[f64]>>,
    /// log Σ π_ref over the good arms of each arm's class, one per arm (per-class form only).
    class_log_reference: Option<Arc<[f64]>>,
    /// How many answers are good.
    pub good: usize,
}

impl Augmentation {
    /// The same at another β, all else unchanged: Algorithm 2 has no β in it. None for Algorithm 1, whose lift grows with β.
    #[must_use]
    pub fn at_beta(&self, beta: f64) -> Option<Self> {
        match self.anchored.algorithm {
            MaraAlgorithm::AugmentReward => None,
            MaraAlgorithm::SwapRewardAndReference => Some(Self {
                anchored: Anchored {
                    beta,
                    ..self.anchored
                },
                ..self.clone()
            }),
        }
    }

    /// Log reference and rewards in Algorithm 2's form, whichever is in use: the form that does not depend on β, from which
    /// ties follow. Takes the reference and effective rewards that were augmented.
    #[must_use]
    pub fn swapped(&self, log_reference: &[f64], rewards: &[f64]) -> (Vec<f64>, Vec<f64>) {
        if let Some(swapped) = &self.log_reference {
            return (swapped.to_vec(), self.rewards.to_vec());
        }
        let anchor = self.anchored.anchor;
        let of_class = self.class_log_reference.as_deref();
        let answers = log_reference.iter().zip(rewards).enumerate();
        answers
            .map(|(arm, (&log_mass, &reward))| {
                if reward < self.anchored.threshold || log_mass == f64::NEG_INFINITY {
                    (log_mass, reward)
                } else {
                    // R̄ = R(z) + β·lift: the lift moves to the reference, and without classes it cancels exactly.
                    let level = of_class.map_or(anchor.log_reference, |of_class| {
                        log_mass + (anchor.log_reference - of_class[arm])
                    });
                    (level, anchor.reward)
                }
            })
            .unzip()
    }
}

impl Mara {
    /// The form in use: the one asked for, or the right one for the divergence (1 for reverse KL, 2 otherwise).
    #[must_use]
    pub fn algorithm_for(&self, divergence: Divergence) -> MaraAlgorithm {
        self.algorithm.unwrap_or(match divergence {
            Divergence::Reverse => MaraAlgorithm::AugmentReward,
            Divergence::Forward | Divergence::Alpha(_) => MaraAlgorithm::SwapRewardAndReference,
        })
    }
}

/// τ for a set of effective rewards (all arms, or a batch). A percentile p gives the reward with the share p of the others
/// below it, so that 0.9 keeps the best tenth (ties included).
///
/// # Errors
/// [`TargetError::Threshold`] for a constant that is not finite or a percentile outside [0, 1].
pub fn threshold(threshold: Threshold, rewards: &[f64]) -> Result<f64, TargetError> {
    match threshold {
        Threshold::Constant(value) if value.is_finite() => Ok(value),
        Threshold::Percentile(share) if (0.0..=1.0).contains(&share) => {
            let mut sorted = rewards.to_vec();
            // A hair below, so that 0.9 of 10 is 9 whatever the rounding.
            let position = (share * sorted.len() as f64 - 1e-9).ceil().max(0.0) as usize;
            let position = position.min(sorted.len().saturating_sub(1));
            if sorted.is_empty() {
                return Ok(f64::INFINITY);
            }
            let (_, value, _) = sorted.select_nth_unstable_by(position, f64::total_cmp);
            Ok(*value)
        }
        Threshold::Constant(value) | Threshold::Percentile(value) => {
            Err(TargetError::Threshold(value))
        }
    }
}

/// The best-supported good answer: largest `log_reference` among rewards ≥ τ, the better reward among equals, then the
/// first. None if nothing in the support is good.
#[must_use]
pub fn find_anchor(rewards: &[f64], log_reference: &[f64], threshold: f64) -> Option<AnchorAnswer> {
    let mut found: Option<AnchorAnswer> = None;
    for (index, (&reward, &log_reference)) in rewards.iter().zip(log_reference).enumerate() {
        if reward < threshold || log_reference == f64::NEG_INFINITY {
            continue;
        }
        let better =
            found.is_none_or(|best| (log_reference, reward) > (best.log_reference, best.reward));
        if better {
            found = Some(AnchorAnswer {
                index,
                reward,
                log_reference,
            });
        }
    }
    found
}

impl Anchored {
    /// Augmented (reward, log reference) of one answer. `log_class` is log Σ π_ref over the answer's class under the
    /// per-class form, and the answer's own log π_ref otherwise.
    #[inline]
    #[must_use]
    pub fn apply(&self, reward: f64, log_reference: f64, log_class: f64) -> (f64, f64) {
        if reward < self.threshold || log_reference == f64::NEG_INFINITY {
            return (reward, log_reference);
        }
        let lift = self.anchor.log_reference - log_class;
        match self.algorithm {
            MaraAlgorithm::AugmentReward => (self.anchor.reward + self.beta * lift, log_reference),
            MaraAlgorithm::SwapRewardAndReference => (self.anchor.reward, log_reference + lift),
        }
    }
}

/// log Σ π_ref over the good arms of each arm's class, one per arm (NaN-free: an arm that is not good gets its own log π_ref).
/// `classes` are disjoint lists of arms; a good arm in none is a class of its own.
#[must_use]
pub fn class_log_reference(
    log_reference: &[f64],
    rewards: &[f64],
    threshold: f64,
    classes: &[&[u32]],
) -> Vec<f64> {
    let mut out = log_reference.to_vec();
    let mut members = Vec::new();
    for class in classes {
        members.clear();
        members.extend(
            class
                .iter()
                .map(|&arm| arm as usize)
                .filter(|&arm| rewards.get(arm).is_some_and(|&reward| reward >= threshold)),
        );
        let logs: Vec<f64> = members.iter().map(|&arm| log_reference[arm]).collect();
        let total = kernels::log_sum_exp(&logs);
        for &arm in &members {
            out[arm] = total;
        }
    }
    out
}

/// Applies the objective's MARA to all arms. None if it is off, or if no arm in the support is good. `rewards` are
/// effective; `classes` (the modes) matter for the per-class form only.
///
/// # Errors
/// [`TargetError::Threshold`].
pub fn augment(
    log_reference: &[f64],
    rewards: &[f64],
    objective: &Objective,
    classes: &[&[u32]],
) -> Result<Option<Augmentation>, TargetError> {
    augment_from(None, log_reference, rewards, objective, classes)
}

/// As [`augment`] where τ is known from before: it depends on the rewards and its own setting alone.
///
/// # Errors
/// [`TargetError::Threshold`].
pub fn augment_from(
    known_threshold: Option<f64>,
    log_reference: &[f64],
    rewards: &[f64],
    objective: &Objective,
    classes: &[&[u32]],
) -> Result<Option<Augmentation>, TargetError> {
    let Some(mara) = objective.mara else {
        return Ok(None);
    };
    let tau = match known_threshold {
        Some(tau) => tau,
        None => threshold(mara.threshold, rewards)?,
    };
    let class_logs = mara
        .per_class
        .then(|| class_log_reference(log_reference, rewards, tau, classes));
    let support = class_logs.as_deref().unwrap_or(log_reference);
    let Some(mut anchor) = find_anchor(rewards, support, tau) else {
        return Ok(None);
    };
    if mara.per_class {
        // The anchor's reward is that of the best-supported arm of the anchor's class.
        let mut top = f64::NEG_INFINITY;
        for (index, &log_class) in support.iter().enumerate() {
            if log_class == anchor.log_reference
                && rewards[index] >= tau
                && log_reference[index] > top
            {
                top = log_reference[index];
                anchor.index = index;
                anchor.reward = rewards[index];
            }
        }
    }
    let anchored = Anchored {
        algorithm: mara.algorithm_for(objective.direction.into()),
        threshold: tau,
        beta: objective.beta.get(),
        anchor,
    };
    let mut augmented: Arc<[f64]> = Arc::from(rewards);
    let mut swapped: Option<Arc<[f64]>> = match anchored.algorithm {
        MaraAlgorithm::AugmentReward => None,
        MaraAlgorithm::SwapRewardAndReference => Some(Arc::from(log_reference)),
    };
    // Nobody else holds them yet: no copy is made.
    let paid = Arc::make_mut(&mut augmented);
    let mut weights = swapped.as_mut().map(Arc::make_mut);
    let mut good = 0;
    for arm in 0..rewards.len() {
        if rewards[arm] < tau || log_reference[arm] == f64::NEG_INFINITY {
            continue;
        }
        good += 1;
        let (reward, log_weight) = anchored.apply(rewards[arm], log_reference[arm], support[arm]);
        paid[arm] = reward;
        if let Some(weights) = &mut weights {
            // Without classes the lift cancels exactly: the anchor's own log mass.
            weights[arm] = if mara.per_class {
                log_weight
            } else {
                anchor.log_reference
            };
        }
    }
    Ok(Some(Augmentation {
        anchored,
        rewards: augmented,
        log_reference: swapped,
        class_log_reference: class_logs.map(Arc::from),
        good,
    }))
}

/// Algorithm 2 under forward KL written as a reward on the untouched reference: R̄(y) = Λ − (Λ−R(z)) π_ref(y)/π_ref(z) for
/// good y, with Λ the multiplier of the augmented target. Its plain forward target is the Algorithm 2 target.
#[must_use]
pub fn forward_reward(
    log_reference: &[f64],
    rewards: &[f64],
    anchored: &Anchored,
    lambda: f64,
) -> Vec<f64> {
    let AnchorAnswer {
        reward: top,
        log_reference: log_top,
        ..
    } = anchored.anchor;
    rewards
        .iter()
        .zip(log_reference)
        .map(|(&reward, &log_mass)| {
            if reward < anchored.threshold || log_mass == f64::NEG_INFINITY {
                reward
            } else {
                lambda - (lambda - top) * (log_mass - log_top).exp()
            }
        })
        .collect()
}

#[cfg(test)]
#[path = "mara_tests.rs"]
mod tests;
