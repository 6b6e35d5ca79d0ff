//! Why one mode outweighs another: the log-ratio of two sets of arms split as that of two arms is, and the β at which the
//! sets weigh the same (docs/math.md section 2, with sums over the arms of a mode in place of single masses).

use super::{Beta, Divergence, LogRatio, Objective, Target, solve_into};

/// β is looked at so many times per factor of ten; sets that tie twice between two looks are not seen to.
const LOOKS: usize = 10;
/// log₁₀ of the β between which ties are sought.
const RANGE: (i32, i32) = (-6, 6);
/// Log-ratios nearer zero than this have no side.
const NO_SIDE: f64 = 1e-9;

/// Splits log G(A)/G(B) of a target into a reference part, log π_ref(A)/π_ref(B) (each mass to the power β/(β+η) under
/// `Reverse` with an entropy bonus η), and what the rewards add. `log_reference` is the one that the target was solved for
/// (after MARA, if on). None where a set has no mass under reference or target.
#[must_use]
pub fn decompose_modes(
    a: &[u32],
    b: &[u32],
    log_reference: &[f64],
    objective: &Objective,
    target: &Target,
) -> Option<LogRatio> {
    let beta = objective.beta.get();
    let power = match Divergence::from(objective.direction) {
        Divergence::Reverse => beta / (beta + objective.entropy),
        Divergence::Forward | Divergence::Alpha(_) => 1.0,
    };
    let reference_part = log_mass(a, log_reference, power) - log_mass(b, log_reference, power);
    let total = log_mass(a, &target.log_masses, 1.0) - log_mass(b, &target.log_masses, 1.0);
    (reference_part.is_finite() && total.is_finite()).then_some(LogRatio {
        reference_part,
        reward_part: total - reference_part,
        total,
    })
}

/// Every β from 1e-6 to 1e6 at which two sets of arms have the same target mass, ascending; they can tie more than once.
/// MARA is not looked at. Costs some hundred solutions of the target, so it is for problems of some hundred arms.
#[must_use]
pub fn mode_tie_betas(
    a: &[u32],
    b: &[u32],
    log_reference: &[f64],
    rewards: &[f64],
    objective: &Objective,
) -> Vec<Beta> {
    let mut target = Target::default();
    let mut ratio = |exponent: f64| {
        let beta = Beta::new(10f64.powf(exponent)).ok()?;
        let objective = Objective {
            beta,
            mara: None,
            ..*objective
        };
        solve_into(log_reference, rewards, &objective, &mut target).ok()?;
        let ratio = log_mass(a, &target.log_masses, 1.0) - log_mass(b, &target.log_masses, 1.0);
        // Arms cut to zero leave ±∞, which has a side; two empty sets leave NaN, which has none.
        (ratio.abs() > NO_SIDE).then_some((exponent, ratio > 0.0))
    };
    let mut found = Vec::new();
    let mut last: Option<(f64, bool)> = None;
    let looks = LOOKS as i32;
    for look in RANGE.0 * looks..=RANGE.1 * looks {
        let Some((place, side)) = ratio(f64::from(look) / f64::from(looks)) else {
            continue;
        };
        if let Some((before, other)) = last
            && other != side
        {
            let (mut low, mut high) = (before, place);
            for _ in 0..60 {
                let middle = 0.5 * (low + high);
                match ratio(middle) {
                    Some((_, here)) if here == other => low = middle,
                    Some(_) => high = middle,
                    None => (low, high) = (middle, middle),
                }
            }
            found.extend(Beta::new(10f64.powf(0.5 * (low + high))).ok());
        }
        last = Some((place, side));
    }
    found
}

/// log Σ e^{power · log mass} over a set of arms; −∞ for none.
fn log_mass(arms: &[u32], log_masses: &[f64], power: f64) -> f64 {
    let logs = || {
        let known = arms.iter().filter_map(|&arm| log_masses.get(arm as usize));
        known.map(|log| power * log)
    };
    let top = logs().fold(f64::NEG_INFINITY, f64::max);
    if !top.is_finite() {
        return top;
    }
    top + logs().map(|log| (log - top).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::theory::{Direction, decompose, solve_weights};

    const DIRECTIONS: [Direction; 4] = [
        Direction::Reverse,
        Direction::Forward,
        Direction::Alpha(0.5),
        Direction::Alpha(1.7),
    ];

    fn problem() -> (Vec<f64>, Vec<f64>) {
        let reference: [f64; 6] = [0.3, 0.25, 0.1, 0.05, 0.2, 0.1];
        (
            reference.iter().map(|mass| mass.ln()).collect(),
            vec![0.2, 0.1, 0.6, 0.7, 0.0, 0.3],
        )
    }

    #[test]
    fn sets_of_one_arm_split_as_arms_do() {
        let (logs, rewards) = problem();
        for direction in DIRECTIONS {
            for entropy in [0.0, 0.05] {
                let mut objective = Objective::new(direction, Beta::new(0.2).unwrap());
                objective.entropy = entropy;
                let Ok(target) = solve_weights(&logs, &rewards, &objective) else {
                    continue;
                };
                let arms = decompose(0, 3, &logs, &rewards, &objective, &target).unwrap();
                let sets = decompose_modes(&[0], &[3], &logs, &objective, &target).unwrap();
                for (one, other) in [
                    (arms.reference_part, sets.reference_part),
                    (arms.reward_part, sets.reward_part),
                    (arms.total, sets.total),
                ] {
                    assert!((one - other).abs() < 1e-12, "{direction:?}: {one} {other}");
                }
            }
        }
    }

    #[test]
    fn the_whole_is_the_ratio_of_summed_masses() {
        let (logs, rewards) = problem();
        for direction in DIRECTIONS {
            let objective = Objective::new(direction, Beta::new(0.2).unwrap());
            let target = solve_weights(&logs, &rewards, &objective).unwrap();
            let split = decompose_modes(&[0, 1], &[2, 3], &logs, &objective, &target).unwrap();
            let (g, reference) = (&target.masses, |arm: usize| logs[arm].exp());
            let wanted = ((g[0] + g[1]) / (g[2] + g[3])).ln();
            assert!((split.total - wanted).abs() < 1e-12, "{direction:?}");
            let support = ((reference(0) + reference(1)) / (reference(2) + reference(3))).ln();
            assert!((split.reference_part - support).abs() < 1e-12);
            assert!((split.reference_part + split.reward_part - wanted).abs() < 1e-12);
        }
    }

    #[test]
    fn modes_weigh_the_same_at_their_tie() {
        let (logs, rewards) = problem();
        for direction in DIRECTIONS {
            let objective = Objective::new(direction, Beta::new(1.0).unwrap());
            let ties = mode_tie_betas(&[0, 1], &[2, 3], &logs, &rewards, &objective);
            assert!(!ties.is_empty(), "{direction:?}");
            for beta in ties {
                let objective = Objective { beta, ..objective };
                let g = solve_weights(&logs, &rewards, &objective).unwrap().masses;
                let gap = (g[0] + g[1]) - (g[2] + g[3]);
                assert!(gap.abs() < 1e-9, "{direction:?} at {beta:?}: {gap}");
            }
        }
    }

    #[test]
    fn modes_can_tie_twice() {
        // With x = 1/β, 0.55 + 0.01 eˣ against 0.44 e^{x/2}: more at x = 0, less at x = 2, more at x = 10.
        let reference: [f64; 4] = [0.55, 0.01, 0.40, 0.04];
        let logs: Vec<f64> = reference.iter().map(|mass| mass.ln()).collect();
        let rewards = [0.0, 1.0, 0.5, 0.5];
        let objective = Objective::new(Direction::Reverse, Beta::new(1.0).unwrap());
        let ties = mode_tie_betas(&[0, 1], &[2, 3], &logs, &rewards, &objective);
        assert_eq!(ties.len(), 2, "{ties:?}");
        for beta in ties {
            let weight = |arm: usize| reference[arm] * (rewards[arm] / beta.get()).exp();
            let ratio = (weight(0) + weight(1)) / (weight(2) + weight(3));
            assert!((ratio - 1.0).abs() < 1e-9, "{beta:?}: {ratio}");
        }
    }

    #[test]
    fn equal_modes_never_tie_and_empty_ones_have_no_ratio() {
        let logs = [0.25f64.ln(); 4];
        let rewards = [1.0, 0.0, 1.0, 0.0];
        let objective = Objective::new(Direction::Reverse, Beta::new(0.1).unwrap());
        assert!(mode_tie_betas(&[0, 1], &[2, 3], &logs, &rewards, &objective).is_empty());
        let target = solve_weights(&logs, &rewards, &objective).unwrap();
        assert!(decompose_modes(&[], &[2, 3], &logs, &objective, &target).is_none());
        assert!(decompose_modes(&[9], &[2, 3], &logs, &objective, &target).is_none());
    }
}
