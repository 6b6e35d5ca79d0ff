//! The β at which two arms have the same target mass, for every direction (docs/math.md section 2).

use super::{Beta, Objective, Ties};

/// β at which the arms tie, above it the better-supported one wins. None where no β makes them tie: the same arm is better in
/// reward and support, or they do not differ in one of the two. MARA is not looked at. Costs at most one pass over the arms.
#[must_use]
pub fn tie_beta(
    first: usize,
    second: usize,
    log_reference: &[f64],
    rewards: &[f64],
    objective: &Objective,
) -> Option<Beta> {
    let tie = Ties::of(log_reference, rewards, objective).between(first, second)?;
    Beta::new(tie.beta).ok()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::theory::{Direction, solve_weights};

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
        let without = tie_beta(0, 1, &log_reference, &rewards, &plain).unwrap();
        for entropy in [1e-6, 1e-3, 0.3, 5.0] {
            let mut bonus = Objective { entropy, ..plain };
            let beta = tie_beta(0, 1, &log_reference, &rewards, &bonus).unwrap();
            let moved = (beta.get() / without.get() - 1.0).abs();
            assert!(
                if entropy >= 0.3 {
                    moved > 0.01
                } else {
                    moved < 0.01
                },
                "η = {entropy}: {beta:?}"
            );
            bonus.beta = beta;
            let target = solve_weights(&log_reference, &rewards, &bonus).unwrap();
            let gap = target.log_masses[0] - target.log_masses[1];
            assert!(gap.abs() < 1e-9, "η = {entropy} at {beta:?}: {gap:e}");
        }
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
