//! The β at which two arms have the same target mass, for every direction (docs/math.md section 2).

use super::{Beta, Divergence, Objective, Ties, solve_weights};

/// β at which the arms tie, above it the better-supported one wins. None where no β in [1e-6, 1e6] makes them tie: the
/// same arm is better in reward and support, or they do not differ in one of the two. MARA is not looked at.
///
/// [`Ties`] knows all but one case: an entropy bonus changes ties in directions other than `Reverse`, and then the tie is
/// searched for by solving for the target, some hundred times.
#[must_use]
pub fn tie_beta(
    first: usize,
    second: usize,
    log_reference: &[f64],
    rewards: &[f64],
    objective: &Objective,
) -> Option<Beta> {
    let divergence = Divergence::from(objective.direction);
    if objective.entropy == 0.0 || divergence == Divergence::Reverse {
        let tie = Ties::new(log_reference, rewards, divergence).between(first, second)?;
        return Beta::new(tie.beta).ok();
    }
    let gap = rewards.get(first)? - rewards.get(second)?;
    let support = log_reference.get(first)? - log_reference.get(second)?;
    // The better reward must have the poorer support.
    if !(support.is_finite() && gap * support < 0.0) {
        return None;
    }
    search(first, second, log_reference, rewards, objective)
}

/// First sign change of the log-ratio along ascending β, refined by bisection in log β.
fn search(
    first: usize,
    second: usize,
    log_reference: &[f64],
    rewards: &[f64],
    objective: &Objective,
) -> Option<Beta> {
    let log_ratio = |log_beta: f64| {
        let objective = Objective {
            beta: Beta::new(log_beta.exp()).ok()?,
            ..*objective
        };
        let target = solve_weights(log_reference, rewards, &objective).ok()?;
        let ratio = target.log_masses.get(first)? - target.log_masses.get(second)?;
        (!ratio.is_nan()).then_some(ratio)
    };
    let steps = 48;
    let at =
        |step: i32| (f64::from(step) / f64::from(steps) * 12.0 - 6.0) * std::f64::consts::LN_10;
    let mut before: Option<(f64, f64)> = None;
    for step in 0..=steps {
        let here = at(step);
        let Some(ratio) = log_ratio(here) else {
            continue;
        };
        if let Some((low, low_ratio)) = before
            && (low_ratio > 0.0) != (ratio > 0.0)
        {
            let (mut low, mut high) = (low, here);
            for _ in 0..44 {
                let middle = 0.5 * (low + high);
                match log_ratio(middle) {
                    Some(value) if (value > 0.0) == (low_ratio > 0.0) => low = middle,
                    Some(_) => high = middle,
                    None => break,
                }
            }
            return Beta::new((0.5 * (low + high)).exp()).ok();
        }
        before = Some((here, ratio));
    }
    None
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::theory::Direction;

    #[test]
    fn targets_tie_at_the_tie_in_every_direction() {
        let log_reference = [0.5f64.ln(), 0.2f64.ln(), 0.3f64.ln()];
        let rewards = [0.2, 0.7, 0.1];
        for direction in [
            Direction::Reverse,
            Direction::Forward,
            Direction::Alpha(0.5),
            Direction::Alpha(1.0),
            Direction::Alpha(2.0),
        ] {
            let mut objective = Objective::new(direction, Beta::new(1.0).unwrap());
            let beta = tie_beta(0, 1, &log_reference, &rewards, &objective).unwrap();
            let mirrored = tie_beta(1, 0, &log_reference, &rewards, &objective).unwrap();
            assert!((beta.get() / mirrored.get() - 1.0).abs() < 1e-9);
            objective.beta = beta;
            let target = solve_weights(&log_reference, &rewards, &objective).unwrap();
            let ratio = target.log_masses[0] - target.log_masses[1];
            assert!(ratio.abs() < 1e-9, "{direction:?} at {beta:?}: {ratio}");
        }
    }

    #[test]
    fn an_entropy_bonus_moves_the_forward_tie() {
        let log_reference = [0.5f64.ln(), 0.2f64.ln(), 0.3f64.ln()];
        let rewards = [0.2, 0.7, 0.1];
        let plain = Objective::new(Direction::Forward, Beta::new(1.0).unwrap());
        let mut bonus = Objective {
            entropy: 0.3,
            ..plain
        };
        let without = tie_beta(0, 1, &log_reference, &rewards, &plain).unwrap();
        let beta = tie_beta(0, 1, &log_reference, &rewards, &bonus).unwrap();
        assert!((beta.get() / without.get() - 1.0).abs() > 0.01, "{beta:?}");
        bonus.beta = beta;
        let target = solve_weights(&log_reference, &rewards, &bonus).unwrap();
        assert!((target.log_masses[0] - target.log_masses[1]).abs() < 1e-9);
    }

    #[test]
    fn an_answer_that_is_better_in_both_ways_never_ties() {
        let log_reference = [0.6f64.ln(), 0.4f64.ln()];
        for direction in [
            Direction::Reverse,
            Direction::Forward,
            Direction::Alpha(0.5),
        ] {
            let objective = Objective::new(direction, Beta::new(1.0).unwrap());
            assert_eq!(
                tie_beta(0, 1, &log_reference, &[1.0, 0.5], &objective),
                None
            );
            assert_eq!(
                tie_beta(0, 1, &log_reference, &[1.0, 1.0], &objective),
                None
            );
        }
    }
}
