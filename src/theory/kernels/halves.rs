//! Passes over so many arms that a second core is worth waking: each half is taken for itself. Where the halves meet
//! depends on the number of arms alone, and so do results, however many threads there are.

use super::{
    BLOCK, Distances, Entropic, EntropicSums, EntropicValue, Faced, Facing, PoleSums, Poles, Power,
    PowerSums, Survey, Tilt, Tilted, family, measuring, solving, tilting,
};

/// Arms from which a pass takes longer than waking a thread: some 50 µs.
const WORTH_A_THREAD: usize = 1 << 18;

/// Where the halves meet, if there are any.
fn middle(arms: usize) -> Option<usize> {
    (arms >= WORTH_A_THREAD).then(|| arms / 2 / (2 * BLOCK) * (2 * BLOCK))
}

/// What a solver needs to know of the rewards before it starts, see `solving`.
#[must_use]
pub fn survey(rewards: &[f64], log_reference: &[f64]) -> Survey {
    let Some(middle) = middle(rewards.len()) else {
        return solving::survey(rewards, log_reference);
    };
    let (r, x) = (rewards.split_at(middle), log_reference.split_at(middle));
    let (one, other) = rayon::join(|| solving::survey(r.0, x.0), || solving::survey(r.1, x.1));
    one.and(other)
}

/// Survey and sum of tilted weights, see `tilting`.
#[must_use]
pub fn survey_tilted(
    power: f64,
    rate: f64,
    log_reference: &[f64],
    rewards: &[f64],
) -> (Survey, Tilted) {
    let run = |x: &[f64], r: &[f64]| tilting::survey_tilted(power, rate, x, r);
    let Some(middle) = middle(rewards.len()) else {
        return run(log_reference, rewards);
    };
    let (x, r) = (log_reference.split_at(middle), rewards.split_at(middle));
    let (one, other) = rayon::join(|| run(x.0, r.0), || run(x.1, r.1));
    let survey = one.0.and(other.0);
    // Both sums are relative to their own half's best reward.
    let moved = |(half, tilted): (Survey, Tilted)| {
        let fall = if half.best == survey.best {
            0.0
        } else {
            (half.best - survey.best) * rate
        };
        Tilted {
            sum: tilted.sum * fall.exp(),
            highest: tilted.highest + fall,
        }
    };
    let (one, other) = (moved(one), moved(other));
    let tilted = Tilted {
        sum: one.sum + other.sum,
        highest: one.highest.max(other.highest),
    };
    (survey, tilted)
}

/// Σ e^(w − shift) and max w, see `tilting`.
#[must_use]
pub fn tilted_sum(by: Tilt, log_reference: &[f64], rewards: &[f64]) -> Tilted {
    let Some(middle) = middle(rewards.len()) else {
        return tilting::tilted_sum(by, log_reference, rewards);
    };
    let (x, r) = (log_reference.split_at(middle), rewards.split_at(middle));
    let (one, other) = rayon::join(
        || tilting::tilted_sum(by, x.0, r.0),
        || tilting::tilted_sum(by, x.1, r.1),
    );
    Tilted {
        sum: one.sum + other.sum,
        highest: one.highest.max(other.highest),
    }
}

/// Writes masses and log masses of tilted weights, see `tilting`.
pub fn tilt(
    by: Tilt,
    amount: f64,
    factor: f64,
    (log_reference, rewards): (&[f64], &[f64]),
    (log_masses, masses): (&mut [f64], &mut [f64]),
) {
    let Some(middle) = middle(rewards.len()) else {
        tilting::tilt(
            by,
            amount,
            factor,
            log_reference,
            rewards,
            log_masses,
            masses,
        );
        return;
    };
    let (x, r) = (log_reference.split_at(middle), rewards.split_at(middle));
    let (logs, masses) = (log_masses.split_at_mut(middle), masses.split_at_mut(middle));
    rayon::join(
        || tilting::tilt(by, amount, factor, x.0, r.0, logs.0, masses.0),
        || tilting::tilt(by, amount, factor, x.1, r.1, logs.1, masses.1),
    );
}

/// Sums over the poles of forward KL's equation, u > 0.
#[must_use]
pub fn pole_sums(reference: &[f64], distance: &[f64], u: f64) -> PoleSums {
    let Some(middle) = middle(reference.len()) else {
        return solving::pole_sums(reference, distance, u);
    };
    let (masses, distances) = (reference.split_at(middle), distance.split_at(middle));
    let (one, other) = rayon::join(
        || solving::pole_sums(masses.0, distances.0, u),
        || solving::pole_sums(masses.1, distances.1, u),
    );
    PoleSums {
        value: one.value + other.value,
        square: one.square + other.square,
        cube: one.cube + other.cube,
    }
}

/// π_ref into `masses` and d = (best − r)·rate, at least 0 and at most 1e300, into `distance`.
pub fn distances(
    (log_reference, rewards): (&[f64], &[f64]),
    best: f64,
    rate: f64,
    (masses, distance): (&mut [f64], &mut [f64]),
) -> Distances {
    let Some(middle) = middle(rewards.len()) else {
        return solving::distances(log_reference, rewards, best, rate, masses, distance);
    };
    let (x, r) = (log_reference.split_at(middle), rewards.split_at(middle));
    let (masses, distance) = (masses.split_at_mut(middle), distance.split_at_mut(middle));
    let (one, other) = rayon::join(
        || solving::distances(x.0, r.0, best, rate, masses.0, distance.0),
        || solving::distances(x.1, r.1, best, rate, masses.1, distance.1),
    );
    Distances {
        support: one.support + other.support,
        mean: one.mean + other.mean,
        at_zero: one.at_zero + other.at_zero,
    }
}

/// On entry `masses` holds π_ref and `log_masses` holds d; on return π_ref/(u+d) and log π_ref − ln(u+d).
pub fn poles(log_reference: &[f64], masses: &mut [f64], log_masses: &mut [f64], u: f64) -> Poles {
    let Some(middle) = middle(log_reference.len()) else {
        return solving::poles(log_reference, masses, log_masses, u);
    };
    let x = log_reference.split_at(middle);
    let (masses, logs) = (masses.split_at_mut(middle), log_masses.split_at_mut(middle));
    let (one, other) = rayon::join(
        || solving::poles(x.0, masses.0, logs.0, u),
        || solving::poles(x.1, masses.1, logs.1, u),
    );
    Poles {
        largest: one.largest.max(other.largest),
        excess: one.excess + other.excess,
    }
}

/// y = (level − R)/β of every arm, between ±1e300.
pub fn below(rewards: &[f64], level: f64, beta: f64, distance: &mut [f64]) {
    let Some(middle) = middle(rewards.len()) else {
        return family::below(rewards, level, beta, distance);
    };
    let (r, y) = (rewards.split_at(middle), distance.split_at_mut(middle));
    rayon::join(
        || family::below(r.0, level, beta, y.0),
        || family::below(r.1, level, beta, y.1),
    );
}

/// The least c at which one arm of the support alone would hold everything, see `family`.
#[must_use]
pub fn alone(epsilon: f64, log_reference: &[f64], distance: &[f64]) -> f64 {
    let Some(middle) = middle(distance.len()) else {
        return family::alone(epsilon, log_reference, distance);
    };
    let (x, y) = (log_reference.split_at(middle), distance.split_at(middle));
    let (one, other) = rayon::join(
        || family::alone(epsilon, x.0, y.0),
        || family::alone(epsilon, x.1, y.1),
    );
    one.min(other)
}

/// One evaluation of the α family's equation.
#[must_use]
pub fn power_sums(by: Power, log_reference: &[f64], distance: &[f64]) -> PowerSums {
    let Some(middle) = middle(distance.len()) else {
        return family::power_sums(by, log_reference, distance);
    };
    let (x, y) = (log_reference.split_at(middle), distance.split_at(middle));
    let (one, other) = rayon::join(
        || family::power_sums(by, x.0, y.0),
        || family::power_sums(by, x.1, y.1),
    );
    PowerSums {
        mass: one.mass + other.mass,
        slope: one.slope + other.slope,
        bend: one.bend + other.bend,
        others: one.others + other.others,
    }
}

/// log G and G of the α family.
pub fn powers(
    by: Power,
    (log_reference, distance): (&[f64], &[f64]),
    (log_masses, masses): (&mut [f64], &mut [f64]),
) {
    let Some(middle) = middle(distance.len()) else {
        return family::powers(by, log_reference, distance, log_masses, masses);
    };
    let (x, y) = (log_reference.split_at(middle), distance.split_at(middle));
    let (logs, masses) = (log_masses.split_at_mut(middle), masses.split_at_mut(middle));
    rayon::join(
        || family::powers(by, x.0, y.0, logs.0, masses.0),
        || family::powers(by, x.1, y.1, logs.1, masses.1),
    );
}

/// As [`powers`] for distances from a pivot, see `family`.
pub fn powers_from_pivot(
    by: Power,
    log_ratio: f64,
    (log_reference, distance): (&[f64], &[f64]),
    (log_masses, masses): (&mut [f64], &mut [f64]),
) {
    let run = |x: &[f64], y: &[f64], logs: &mut [f64], masses: &mut [f64]| {
        family::powers_from_pivot(by, log_ratio, x, y, logs, masses);
    };
    let Some(middle) = middle(distance.len()) else {
        return run(log_reference, distance, log_masses, masses);
    };
    let (x, y) = (log_reference.split_at(middle), distance.split_at(middle));
    let (logs, masses) = (log_masses.split_at_mut(middle), masses.split_at_mut(middle));
    rayon::join(
        || run(x.0, y.0, logs.0, masses.0),
        || run(x.1, y.1, logs.1, masses.1),
    );
}

/// y of every arm measured from a pivot; returns the pivots' Σ π_ref, see `family`.
#[must_use]
pub fn below_pivot(
    (log_reference, rewards): (&[f64], &[f64]),
    pivot: f64,
    beta: f64,
    distance: &mut [f64],
) -> f64 {
    let Some(middle) = middle(rewards.len()) else {
        return family::below_pivot(log_reference, rewards, pivot, beta, distance);
    };
    let (x, r) = (log_reference.split_at(middle), rewards.split_at(middle));
    let y = distance.split_at_mut(middle);
    let (one, other) = rayon::join(
        || family::below_pivot(x.0, r.0, pivot, beta, y.0),
        || family::below_pivot(x.1, r.1, pivot, beta, y.1),
    );
    one + other
}

/// The lowest reward in the support at a y below `limit`, see `family`.
#[must_use]
pub fn lowest_within(
    limit: f64,
    (log_reference, rewards): (&[f64], &[f64]),
    distance: &[f64],
) -> f64 {
    let Some(middle) = middle(rewards.len()) else {
        return family::lowest_within(limit, log_reference, distance, rewards);
    };
    let (x, r) = (log_reference.split_at(middle), rewards.split_at(middle));
    let y = distance.split_at(middle);
    let (one, other) = rayon::join(
        || family::lowest_within(limit, x.0, y.0, r.0),
        || family::lowest_within(limit, x.1, y.1, r.1),
    );
    one.min(other)
}

/// As [`powers`], with y in `log_masses` on entry; returns the α-divergence of the masses, see `family`.
#[must_use]
pub fn powers_and_cost(
    by: Power,
    log_reference: &[f64],
    (log_masses, masses): (&mut [f64], &mut [f64]),
) -> f64 {
    let Some(middle) = middle(log_reference.len()) else {
        return family::powers_and_cost(by, log_reference, log_masses, masses);
    };
    let x = log_reference.split_at(middle);
    let (logs, masses) = (log_masses.split_at_mut(middle), masses.split_at_mut(middle));
    let (one, other) = rayon::join(
        || family::powers_and_cost(by, x.0, logs.0, masses.0),
        || family::powers_and_cost(by, x.1, logs.1, masses.1),
    );
    one + other
}

/// The α-divergence Σ π_ref f_α(π/π_ref), see `family`.
#[must_use]
pub fn alpha_divergence(alpha: f64, log_masses: &[f64], log_reference: &[f64]) -> f64 {
    let Some(middle) = middle(log_masses.len()) else {
        return family::alpha_divergence(alpha, log_masses, log_reference);
    };
    let (p, q) = (log_masses.split_at(middle), log_reference.split_at(middle));
    let (one, other) = rayon::join(
        || family::alpha_divergence(alpha, p.0, q.0),
        || family::alpha_divergence(alpha, p.1, q.1),
    );
    one + other
}

/// One evaluation of the equation of forward KL with an entropy bonus, see `family`.
pub fn entropic_sums(
    by: Entropic,
    moved: Option<f64>,
    (log_reference, rewards): (&[f64], &[f64]),
    omegas: &mut [f64],
) -> EntropicSums {
    let Some(middle) = middle(rewards.len()) else {
        return family::entropic_sums(by, moved, log_reference, rewards, omegas);
    };
    let (x, r) = (log_reference.split_at(middle), rewards.split_at(middle));
    let omegas = omegas.split_at_mut(middle);
    let (one, other) = rayon::join(
        || family::entropic_sums(by, moved, x.0, r.0, omegas.0),
        || family::entropic_sums(by, moved, x.1, r.1, omegas.1),
    );
    EntropicSums {
        mass: one.mass + other.mass,
        slope: one.slope + other.slope,
        curvature: one.curvature + other.curvature,
    }
}

/// log π and π of forward KL with an entropy bonus from ω nearby; returns Σπ, see `family`.
pub fn entropic_masses(
    by: Entropic,
    moved: f64,
    (log_reference, rewards): (&[f64], &[f64]),
    (log_masses, masses): (&mut [f64], &mut [f64]),
) -> f64 {
    let Some(middle) = middle(rewards.len()) else {
        return family::entropic_masses(by, moved, log_reference, rewards, log_masses, masses);
    };
    let (x, r) = (log_reference.split_at(middle), rewards.split_at(middle));
    let (logs, masses) = (log_masses.split_at_mut(middle), masses.split_at_mut(middle));
    let (one, other) = rayon::join(
        || family::entropic_masses(by, moved, x.0, r.0, logs.0, masses.0),
        || family::entropic_masses(by, moved, x.1, r.1, logs.1, masses.1),
    );
    one + other
}

/// The sums that J of forward KL with an entropy bonus consists of, see `family`.
#[must_use]
pub fn entropic_value(
    (log_reference, rewards): (&[f64], &[f64]),
    (log_masses, masses): (&[f64], &[f64]),
) -> EntropicValue {
    let Some(middle) = middle(rewards.len()) else {
        return family::entropic_value(log_reference, rewards, log_masses, masses);
    };
    let (x, r) = (log_reference.split_at(middle), rewards.split_at(middle));
    let (logs, masses) = (log_masses.split_at(middle), masses.split_at(middle));
    let (one, other) = rayon::join(
        || family::entropic_value(x.0, r.0, logs.0, masses.0),
        || family::entropic_value(x.1, r.1, logs.1, masses.1),
    );
    EntropicValue {
        expected_reward: one.expected_reward + other.expected_reward,
        kl_from_reference: one.kl_from_reference + other.kl_from_reference,
        negentropy: one.negentropy + other.negentropy,
        outside: one.outside + other.outside,
    }
}

/// A target and its reference compared with each other, see `measuring`.
#[must_use]
pub fn face(of: Facing<'_>) -> Faced {
    let Some(middle) = middle(of.target.len()) else {
        return measuring::face(of);
    };
    let (g, lg) = (of.target.split_at(middle), of.log_target.split_at(middle));
    let (x, r) = (
        of.log_reference.split_at(middle),
        of.rewards.split_at(middle),
    );
    let run = |target, log_target, log_reference, rewards| {
        measuring::face(Facing {
            target,
            log_target,
            log_reference,
            rewards,
        })
    };
    let (one, other) = rayon::join(|| run(g.0, lg.0, x.0, r.0), || run(g.1, lg.1, x.1, r.1));
    Faced {
        target_reward: one.target_reward + other.target_reward,
        target_entropy: one.target_entropy + other.target_entropy,
        reference_reward: one.reference_reward + other.reference_reward,
        reference_entropy: one.reference_entropy + other.reference_entropy,
        kl_of_target: one.kl_of_target + other.kl_of_target,
        kl_of_reference: one.kl_of_reference + other.kl_of_reference,
        tv: one.tv + other.tv,
    }
}

/// Forward KL's distance to its optimum over β, see `measuring`.
#[must_use]
pub fn forward_gap(
    (log_reference, rewards): (&[f64], &[f64]),
    log_masses: &[f64],
    log_target: &[f64],
    lambda: f64,
    beta: f64,
) -> f64 {
    let run = |x: &[f64], r: &[f64], p: &[f64], g: &[f64]| {
        measuring::forward_gap(x, p, g, r, lambda, beta)
    };
    let Some(middle) = middle(log_masses.len()) else {
        return run(log_reference, rewards, log_masses, log_target).max(0.0);
    };
    let (x, r) = (log_reference.split_at(middle), rewards.split_at(middle));
    let (p, g) = (log_masses.split_at(middle), log_target.split_at(middle));
    let (one, other) = rayon::join(|| run(x.0, r.0, p.0, g.0), || run(x.1, r.1, p.1, g.1));
    (one + other).max(0.0)
}

/// x ← x − amount and m ← m·factor, together.
pub fn settle(logs: &mut [f64], amount: f64, masses: &mut [f64], factor: f64) {
    let Some(middle) = middle(masses.len()) else {
        return solving::settle(logs, amount, masses, factor);
    };
    let (logs, masses) = (logs.split_at_mut(middle), masses.split_at_mut(middle));
    rayon::join(
        || solving::settle(logs.0, amount, masses.0, factor),
        || solving::settle(logs.1, amount, masses.1, factor),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theory::kernels;

    const ARMS: usize = WORTH_A_THREAD + 4321;

    fn close(name: &str, halves: f64, whole: f64) {
        let same = halves == whole || (halves - whole).abs() <= 1e-13 * whole.abs();
        assert!(same, "{name}: {halves} in halves, {whole} in one go");
    }

    /// Rewards whose best arm lies in the second half, and a reference that may leave the first one out.
    fn problem(first_half: bool) -> (Vec<f64>, Vec<f64>) {
        let number = |i: usize| ((i * 7919 + 13) % 10_007) as f64 / 10_007.0;
        let log_reference = (0..ARMS).map(|i| {
            let there = first_half || i > ARMS * 3 / 5;
            let there = there && i % 17 != 3;
            if there {
                -12.0 - 3.0 * number(i)
            } else {
                f64::NEG_INFINITY
            }
        });
        let rewards = (0..ARMS).map(|i| number(i + 5) + if i > ARMS / 2 { 0.3 } else { 0.0 });
        (log_reference.collect(), rewards.collect())
    }

    #[test]
    fn halves_of_tilted_passes_are_the_whole() {
        for first_half in [true, false] {
            let (x, r) = problem(first_half);
            for rate in [0.1, 20.0, 4000.0] {
                let (survey, tilted) = survey_tilted(1.0, rate, &x, &r);
                let (whole, exact) = tilting::survey_tilted(1.0, rate, &x, &r);
                assert_eq!(survey, whole);
                assert_eq!(super::survey(&r, &x), whole);
                if tilted.sum.is_finite() && exact.sum.is_finite() {
                    close("sum", tilted.sum, exact.sum);
                }
                close("highest", tilted.highest, exact.highest);
                let by = Tilt {
                    power: 0.7,
                    top: survey.best,
                    rate,
                    shift: exact.highest,
                };
                let (halves, whole) = (tilted_sum(by, &x, &r), tilting::tilted_sum(by, &x, &r));
                close("shifted sum", halves.sum, whole.sum);
                let [mut logs, mut masses, mut whole_logs, mut whole_masses] =
                    [(); 4].map(|()| vec![0.5; ARMS]);
                tilt(by, 0.3, 2.0, (&x, &r), (&mut logs, &mut masses));
                tilting::tilt(by, 0.3, 2.0, &x, &r, &mut whole_logs, &mut whole_masses);
                assert_eq!((logs, masses), (whole_logs, whole_masses));
            }
        }
    }

    #[test]
    fn halves_of_the_forward_passes_are_the_whole() {
        let (x, r) = problem(true);
        let [mut masses, mut logs, mut whole_masses, mut whole_logs] =
            [(); 4].map(|()| vec![0.5; ARMS]);
        let halves = distances((&x, &r), 1.3, 20.0, (&mut masses, &mut logs));
        let whole = solving::distances(&x, &r, 1.3, 20.0, &mut whole_masses, &mut whole_logs);
        close("support", halves.support, whole.support);
        close("mean", halves.mean, whole.mean);
        close("at zero", halves.at_zero, whole.at_zero);
        let (halves, whole) = (
            pole_sums(&masses, &logs, 0.4),
            solving::pole_sums(&masses, &logs, 0.4),
        );
        close("value", halves.value, whole.value);
        close("square", halves.square, whole.square);
        close("cube", halves.cube, whole.cube);
        let halves = poles(&x, &mut masses, &mut logs, 0.4);
        let whole = solving::poles(&x, &mut whole_masses, &mut whole_logs, 0.4);
        close("largest", halves.largest, whole.largest);
        close("excess", halves.excess, whole.excess);
        assert_eq!((logs, masses), (whole_logs, whole_masses));
    }

    #[test]
    fn halves_of_the_family_passes_are_the_whole() {
        let (x, r) = problem(true);
        let mut distance = vec![0.0; ARMS];
        below(&r, 1.3, 0.05, &mut distance);
        let whole: Vec<f64> = r.iter().map(|r| (1.3 - r) / 0.05).collect();
        assert_eq!(distance, whole);
        for epsilon in [-0.5, 1.0] {
            let whole = family::alone(epsilon, &x, &distance);
            assert_eq!(alone(epsilon, &x, &distance), whole);
        }
        let by = Power {
            epsilon: -0.5,
            base: 1.0,
            offset: -0.2,
        };
        let halves = power_sums(by, &x, &distance);
        let whole = family::power_sums(by, &x, &distance);
        close("mass", halves.mass, whole.mass);
        close("slope", halves.slope, whole.slope);
        close("others", halves.others, whole.others);
        close("bend", halves.bend, whole.bend);
        let [mut masses, mut logs, mut whole_masses, mut whole_logs] =
            [(); 4].map(|()| vec![0.5; ARMS]);
        powers(by, (&x, &distance), (&mut logs, &mut masses));
        family::powers(by, &x, &distance, &mut whole_logs, &mut whole_masses);
        assert_eq!((&logs, &masses), (&whole_logs, &whole_masses));
        let whole = family::alpha_divergence(0.5, &logs, &x);
        close("divergence", alpha_divergence(0.5, &logs, &x), whole);
        let (mut own_logs, mut own_masses) = (distance.clone(), vec![0.5; ARMS]);
        let cost = powers_and_cost(by, &x, (&mut own_logs, &mut own_masses));
        close("cost", cost, whole);
        assert_eq!((&own_logs, &own_masses), (&logs, &masses));
        // A pivot with arms in both halves.
        let pivot = r[5];
        let rounded: Vec<f64> = r
            .iter()
            .map(|&r| if (r - pivot).abs() < 0.2 { pivot } else { r })
            .collect();
        let mut whole_distance = vec![0.0; ARMS];
        let halves = below_pivot((&x, &rounded), pivot, 0.05, &mut distance);
        let whole = family::below_pivot(&x, &rounded, pivot, 0.05, &mut whole_distance);
        close("pivots", halves, whole);
        assert_eq!(distance, whole_distance);
        for limit in [-3.0, 4.4] {
            let whole = family::lowest_within(limit, &x, &distance, &rounded);
            assert_eq!(lowest_within(limit, (&x, &rounded), &distance), whole);
        }
        let by = Power {
            epsilon: 2.0,
            base: 0.3,
            offset: 0.0,
        };
        powers_from_pivot(by, -0.6, (&x, &distance), (&mut logs, &mut masses));
        let (own_logs, own_masses) = (&mut whole_logs, &mut whole_masses);
        family::powers_from_pivot(by, -0.6, &x, &distance, own_logs, own_masses);
        assert_eq!((&logs, &masses), (&whole_logs, &whole_masses));
        let by = Entropic {
            log_scale: 1.6,
            rate: 100.0,
            top: 1.3,
            offset: 0.7,
        };
        let nearby = Entropic {
            offset: 0.705,
            ..by
        };
        for (by, moved) in [(by, None), (nearby, Some(0.005))] {
            let halves = entropic_sums(by, moved, (&x, &r), &mut logs);
            let whole = family::entropic_sums(by, moved, &x, &r, &mut whole_logs);
            close("entropic mass", halves.mass, whole.mass);
            close("entropic slope", halves.slope, whole.slope);
            close("entropic curvature", halves.curvature, whole.curvature);
            assert_eq!(logs, whole_logs);
        }
        let halves = entropic_masses(nearby, 0.0, (&x, &r), (&mut logs, &mut masses));
        let (whole_out, by) = ((&mut whole_logs, &mut whole_masses), nearby);
        let whole = family::entropic_masses(by, 0.0, &x, &r, whole_out.0, whole_out.1);
        close("entropic mass", halves, whole);
        settle(&mut logs, 0.3, &mut masses, 2.0);
        solving::settle(&mut whole_logs, 0.3, &mut whole_masses, 2.0);
        let halves = entropic_value((&x, &r), (&logs, &masses));
        let whole = family::entropic_value(&x, &r, &logs, &masses);
        close("reward", halves.expected_reward, whole.expected_reward);
        close(
            "divergence",
            halves.kl_from_reference,
            whole.kl_from_reference,
        );
        close("negentropy", halves.negentropy, whole.negentropy);
        close("outside", halves.outside, whole.outside);
        assert_eq!((logs, masses), (whole_logs, whole_masses));
    }

    #[test]
    fn halves_of_the_measuring_passes_are_the_whole() {
        let (x, r) = problem(true);
        let (mut target, mut log_target) = (vec![0.0; ARMS], vec![0.0; ARMS]);
        let by = Power {
            epsilon: 1.0,
            base: 1.0,
            offset: 3.0,
        };
        let mut distance = vec![0.0; ARMS];
        below(&r, 1.3, 0.2, &mut distance);
        // Some arms have no target.
        powers(by, (&x, &distance), (&mut log_target, &mut target));
        assert!(target.contains(&0.0));
        let of = Facing {
            target: &target,
            log_target: &log_target,
            log_reference: &x,
            rewards: &r,
        };
        let mut reference = vec![0.0; ARMS];
        kernels::exp(&x, &mut reference);
        // One pass finds what two comparisons do.
        for (faced, masses, log_masses) in [
            (measuring::face(of).of_target(), &target, &log_target),
            (measuring::face(of).of_reference(), &reference, &x),
        ] {
            let want = kernels::compare(kernels::Compared {
                masses,
                log_masses,
                log_reference: &x,
                target: &target,
                log_target: &log_target,
                rewards: &r,
            });
            assert_eq!(faced, want);
        }
        let (halves, whole) = (face(of), measuring::face(of));
        close("target's reward", halves.target_reward, whole.target_reward);
        close(
            "target's entropy",
            halves.target_entropy,
            whole.target_entropy,
        );
        close("reward", halves.reference_reward, whole.reference_reward);
        close("entropy", halves.reference_entropy, whole.reference_entropy);
        close("KL of target", halves.kl_of_target, whole.kl_of_target);
        close(
            "KL of reference",
            halves.kl_of_reference,
            whole.kl_of_reference,
        );
        close("TV", halves.tv, whole.tv);
        let halves = forward_gap((&x, &r), &x, &distance, 1.5, 0.2);
        let whole = measuring::forward_gap(&x, &x, &distance, &r, 1.5, 0.2);
        close("gap", halves, whole);
    }
}
