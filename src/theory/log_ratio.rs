//! Why one answer outweighs another: the log-ratio of their target masses as a reference part plus a reward part
//! (docs/math.md section 2), and β from a wanted validity (section 4).

use super::{Beta, Divergence, Objective, Target};

/// log G(a)/G(b), split.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogRatio {
    /// What the reference contributes.
    pub reference_part: f64,
    /// What the reward contributes.
    pub reward_part: f64,
    /// Their sum: the log-ratio of the target masses.
    pub total: f64,
}

/// Splits log G(a)/G(b) of a target into reference and reward parts. `log_reference` and `rewards` are the ones that the
/// target was solved for (after MARA, if on). None where an arm does not exist or has no mass.
#[must_use]
pub fn decompose(
    a: usize,
    b: usize,
    log_reference: &[f64],
    rewards: &[f64],
    objective: &Objective,
    target: &Target,
) -> Option<LogRatio> {
    let (log_a, log_b) = (*target.log_masses.get(a)?, *target.log_masses.get(b)?);
    let support = *log_reference.get(a)? - *log_reference.get(b)?;
    let gap = *rewards.get(a)? - *rewards.get(b)?;
    if !support.is_finite() || !(log_a - log_b).is_finite() {
        return None;
    }
    let beta = objective.beta.get();
    let temperature = beta + objective.entropy;
    let (reference_part, reward_part) = match Divergence::from(objective.direction) {
        Divergence::Reverse => (support * beta / temperature, gap / temperature),
        // log (Λ−R_b)/(Λ−R_a) and its kin: what is left of the exact total.
        Divergence::Forward | Divergence::Alpha(_) => (support, log_a - log_b - support),
    };
    Some(LogRatio {
        reference_part,
        reward_part,
        total: reference_part + reward_part,
    })
}

/// The β at which the reverse target of a 0/1 reward is valid with probability `wanted`, given that the reference is with
/// probability `reference`: β = 1/ln(μ(1−a)/(a(1−μ))). None unless 0 < reference < wanted < 1.
#[must_use]
pub fn validity_beta(reference: f64, wanted: f64) -> Option<Beta> {
    if !(reference > 0.0 && reference < wanted && wanted < 1.0) {
        return None;
    }
    let logit = |p: f64| p.ln() - (-p).ln_1p();
    Beta::new(1.0 / (logit(wanted) - logit(reference))).ok()
}
