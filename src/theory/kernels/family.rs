//! The passes of the α family and of forward KL with an entropy bonus.

use super::{
    BLOCK, Compensated, LANES, block_sum, exp_one, expm1_near, expm1_one, fold, ln_and_inverse,
    ln_one, vectorised,
};

/// z of an arm at distance y: base + ε(c − y), cut at 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Power {
    /// ε = α − 1.
    pub epsilon: f64,
    /// 1, or z of the best arms (then c is 0).
    pub base: f64,
    /// c.
    pub offset: f64,
}

/// (z, ln z), keeping the digits of z − base where that is small; ln z is −∞ where cut.
#[inline(always)]
fn z_and_log<A: super::Arith>(by: Power, y: f64) -> (f64, f64) {
    let shift = by.epsilon * (by.offset - y);
    let z = by.base + shift;
    let log = ln_one::<A>(z) + (shift - (z - by.base)) / z;
    (z, if z > 0.0 { log } else { f64::NEG_INFINITY })
}

/// (ln z, 1/z) of an arm for sums over many, with a single division. A z that no double near 1 holds counts as the nearest
/// one that [`ln_and_inverse`] takes.
#[inline(always)]
fn log_and_inverse<A: super::Arith>(by: Power, y: f64) -> (f64, f64, f64) {
    let shift = by.epsilon * (by.offset - y);
    let z = by.base + shift;
    let held = if z > f64::MIN_POSITIVE {
        z
    } else {
        f64::MIN_POSITIVE
    };
    let held = if held < 1e306 { held } else { 1e306 };
    let (log, inverse) = ln_and_inverse::<A>(held);
    (z, log + (shift - (z - by.base)) * inverse, inverse)
}

/// Σ over arms of G = π_ref z^{1/ε}.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PowerSums {
    /// ΣG.
    pub mass: f64,
    /// ΣG/z.
    pub slope: f64,
    /// ΣG/z².
    pub bend: f64,
    /// ΣG over arms at y > 0.
    pub others: f64,
}

vectorised! {
    /// One evaluation of the α family's equation.
    pub(super) fn power_sums<A>(by: Power, log_reference: &[f64], distance: &[f64]) -> PowerSums {
        let inverse = 1.0 / by.epsilon;
        let mut totals = [Compensated::default(); 4];
        for (x, y) in log_reference.chunks(BLOCK).zip(distance.chunks(BLOCK)) {
            let mut sums = [[0.0; LANES]; 4];
            let mut add = |i: usize, x: f64, y: f64| {
                let (z, log_z, inverse_z) = log_and_inverse::<A>(by, y);
                let own = exp_one::<A>(A::mul_add(log_z, inverse, x));
                let own = if x > f64::NEG_INFINITY && z > 0.0 { own } else { 0.0 };
                let slope = own * inverse_z;
                sums[0][i] += own;
                sums[1][i] += slope;
                sums[2][i] += slope * inverse_z;
                sums[3][i] += if y > 0.0 { own } else { 0.0 };
            };
            let (whole_x, rest_x) = x.as_chunks::<LANES>();
            let (whole_y, rest_y) = y.as_chunks::<LANES>();
            for (x, y) in whole_x.iter().zip(whole_y) {
                for i in 0..LANES {
                    add(i, x[i], y[i]);
                }
            }
            for (i, (&x, &y)) in rest_x.iter().zip(rest_y).enumerate() {
                add(i, x, y);
            }
            for (total, sums) in totals.iter_mut().zip(sums) {
                total.add(fold(sums));
            }
        }
        let [mass, slope, bend, others] = totals.map(Compensated::get);
        PowerSums { mass, slope, bend, others }
    }
}

vectorised! {
    /// log G and G of the α family.
    pub(super) fn powers<A>(by: Power, log_reference: &[f64], distance: &[f64], log_masses: &mut [f64], masses: &mut [f64]) {
        let inverse = 1.0 / by.epsilon;
        for (((log_mass, mass), &x), &y) in log_masses.iter_mut().zip(masses).zip(log_reference).zip(distance) {
            let (z, log_z) = z_and_log::<A>(by, y);
            let log = A::mul_add(log_z, inverse, x);
            let log = if x > f64::NEG_INFINITY && z > 0.0 { log } else { f64::NEG_INFINITY };
            *log_mass = log;
            *mass = exp_one::<A>(log);
        }
    }
}

vectorised! {
    /// As [`powers`] where `distance` is that of [`below_pivot`]: pivots get their share e^`log_ratio` of π_ref.
    pub(super) fn powers_from_pivot<A>(by: Power, log_ratio: f64, log_reference: &[f64], distance: &[f64], log_masses: &mut [f64], masses: &mut [f64]) {
        let inverse = 1.0 / by.epsilon;
        for (((log_mass, mass), &x), &y) in log_masses.iter_mut().zip(masses).zip(log_reference).zip(distance) {
            let (z, log_z) = z_and_log::<A>(by, y);
            let log = A::mul_add(log_z, inverse, x);
            let log = if x > f64::NEG_INFINITY && z > 0.0 { log } else { f64::NEG_INFINITY };
            let log = if y == PIVOT { x + log_ratio } else { log };
            *log_mass = log;
            *mass = exp_one::<A>(log);
        }
    }
}

/// Up to this log ratio the series of e^x − 1 is used.
const NEAR_RATIO: f64 = 0.3;

vectorised! {
    /// As [`powers`], with y in `log_masses` on entry; returns the α-divergence Σ π_ref f_α(G/π_ref) of what it writes,
    /// α = ε + 1. With t = G/π_ref, t^ε is z, so that an arm costs ((z − 1)G − ε(G − π_ref))/(αε).
    pub(super) fn powers_and_cost<A>(by: Power, log_reference: &[f64], log_masses: &mut [f64], masses: &mut [f64]) -> f64 {
        let inverse = 1.0 / by.epsilon;
        let mut total = Compensated::default();
        let mut scratch = [0.0; BLOCK];
        for ((x, logs), masses) in log_reference.chunks(BLOCK).zip(log_masses.chunks_mut(BLOCK)).zip(masses.chunks_mut(BLOCK)) {
            let n = x.len();
            let (logs, masses, scratch) = (&mut logs[..n], &mut masses[..n], &mut scratch[..n]);
            for i in 0..n {
                let shift = by.epsilon * (by.offset - logs[i]);
                let z = by.base + shift;
                let lost = shift - (z - by.base);
                let log_z = ln_one::<A>(z) + lost / z;
                let log_ratio = log_z * inverse;
                let log = A::mul_add(log_z, inverse, x[i]);
                let is_held = x[i] > f64::NEG_INFINITY && z > 0.0;
                let log = if is_held { log } else { f64::NEG_INFINITY };
                let mass = exp_one::<A>(log);
                logs[i] = log;
                masses[i] = mass;
                let base = exp_one::<A>(x[i]);
                let near = base * expm1_near::<A>(log_ratio);
                let gain = if is_held && log_ratio.abs() < NEAR_RATIO { near } else { mass - base };
                let excess = mass * ((z - 1.0) + lost);
                let excess = if mass > 0.0 { excess } else { 0.0 };
                scratch[i] = excess - by.epsilon * gain;
            }
            total.add(block_sum(scratch));
        }
        total.get() / (by.epsilon * (by.epsilon + 1.0))
    }
}

vectorised! {
    /// y = (level − R)/β of every arm, between ±1e300.
    pub(super) fn below<A>(rewards: &[f64], level: f64, beta: f64, distance: &mut [f64]) {
        for (y, &reward) in distance.iter_mut().zip(rewards) {
            let own = (level - reward) / beta;
            let own = if own < 1e300 { own } else { 1e300 };
            *y = if own > -1e300 { own } else { -1e300 };
        }
    }
}

/// y of an arm at the pivot.
const PIVOT: f64 = f64::MAX;

vectorised! {
    /// As [`below`], measured from a pivot's reward. Arms at it are marked by the largest double, which leaves them out of
    /// sums; returns their Σ π_ref.
    pub(super) fn below_pivot<A>(log_reference: &[f64], rewards: &[f64], pivot: f64, beta: f64, distance: &mut [f64]) -> f64 {
        let mut total = Compensated::default();
        for ((x, rewards), distance) in log_reference.chunks(BLOCK).zip(rewards.chunks(BLOCK)).zip(distance.chunks_mut(BLOCK)) {
            let mut least = f64::MAX;
            for (y, &reward) in distance.iter_mut().zip(rewards) {
                let own = (pivot - reward) / beta;
                let own = if own < 1e300 { own } else { 1e300 };
                let own = if own > -1e300 { own } else { -1e300 };
                *y = if own == 0.0 { PIVOT } else { own };
                let size = own.abs();
                least = if size < least { size } else { least };
            }
            // Few blocks hold one.
            if least == 0.0 {
                let mut sums = [0.0; LANES];
                for (x, y) in x.chunks(LANES).zip(distance.chunks(LANES)) {
                    for ((sum, &x), &y) in sums.iter_mut().zip(x).zip(y) {
                        let own = exp_one::<A>(x);
                        *sum += if y == PIVOT { own } else { 0.0 };
                    }
                }
                total.add(fold(sums));
            }
        }
        total.get()
    }
}

vectorised! {
    /// The lowest reward in the support at a y below `limit`; +∞ if there is none.
    pub(super) fn lowest_within<A>(limit: f64, log_reference: &[f64], distance: &[f64], rewards: &[f64]) -> f64 {
        let mut least = [f64::INFINITY; LANES];
        let arms = log_reference.chunks(LANES).zip(distance.chunks(LANES)).zip(rewards.chunks(LANES));
        for ((x, y), rewards) in arms {
            for (((least, &x), &y), &reward) in least.iter_mut().zip(x).zip(y).zip(rewards) {
                let reward = if x > f64::NEG_INFINITY && y < limit { reward } else { f64::INFINITY };
                *least = if reward < *least { reward } else { *least };
            }
        }
        least.into_iter().fold(f64::INFINITY, f64::min)
    }
}

vectorised! {
    /// The least c at which one arm of the support alone would hold everything: y + (π_ref^{−ε} − 1)/ε. The largest double
    /// without such an arm.
    pub(super) fn alone<A>(epsilon: f64, log_reference: &[f64], distance: &[f64]) -> f64 {
        let inverse = 1.0 / epsilon;
        let mut least = [f64::MAX; LANES];
        for (x, y) in log_reference.chunks(LANES).zip(distance.chunks(LANES)) {
            for ((least, &x), &y) in least.iter_mut().zip(x).zip(y) {
                let c = y + expm1_one::<A>(-epsilon * x) * inverse;
                let c = if x > f64::NEG_INFINITY { c } else { f64::MAX };
                *least = if c < *least { c } else { *least };
            }
        }
        least.into_iter().fold(f64::MAX, f64::min)
    }
}

vectorised! {
    /// The largest y below `limit` in the support; −∞ if there is none.
    pub fn farthest_below<A>(limit: f64, log_reference: &[f64], distance: &[f64]) -> f64 {
        let mut most = [f64::NEG_INFINITY; LANES];
        for (x, y) in log_reference.chunks(LANES).zip(distance.chunks(LANES)) {
            for ((most, &x), &y) in most.iter_mut().zip(x).zip(y) {
                let y = if x > f64::NEG_INFINITY && y < limit { y } else { f64::NEG_INFINITY };
                *most = if y > *most { y } else { *most };
            }
        }
        most.into_iter().fold(f64::NEG_INFINITY, f64::max)
    }
}

vectorised! {
    /// The α-divergence Σ π_ref f_α(π/π_ref) (docs/math.md section 1), α neither 0 nor 1. Outside the support an arm costs
    /// π/(1−α) for α < 1; +∞ where support is missing.
    pub(super) fn alpha_divergence<A>(alpha: f64, log_masses: &[f64], log_reference: &[f64]) -> f64 {
        // f_α(t) = t·f_{1−α}(1/t): work on the side whose denominator stays away from zero.
        let swap = alpha > 0.5;
        let a = if swap { 1.0 - alpha } else { alpha };
        let inverse = 1.0 / a;
        let only_policy = if alpha < 1.0 { 1.0 / (1.0 - alpha) } else { f64::INFINITY };
        let only_reference = if alpha > 0.0 { 1.0 / alpha } else { f64::INFINITY };
        let mut total = Compensated::default();
        let mut scratch = [0.0; BLOCK];
        for (p, q) in log_masses.chunks(BLOCK).zip(log_reference.chunks(BLOCK)) {
            let n = p.len();
            let (q, scratch) = (&q[..n], &mut scratch[..n]);
            // Seldom does a block need the other forms.
            let ordinary = |p: f64, q: f64| {
                let log_t = if swap { q - p } else { p - q };
                log_t.abs() <= 30.0
            };
            if a != 0.0 && p.iter().zip(q).fold(true, |all, (&p, &q)| all & ordinary(p, q)) {
                for i in 0..n {
                    let (own, other) = if swap { (q[i], p[i]) } else { (p[i], q[i]) };
                    let log_t = own - other;
                    let power = expm1_one::<A>(a * log_t) * inverse;
                    scratch[i] = exp_one::<A>(other) * (power - expm1_one::<A>(log_t)) / (a - 1.0);
                }
                total.add(block_sum(scratch));
                continue;
            }
            for i in 0..n {
                let (own, other) = if swap { (q[i], p[i]) } else { (p[i], q[i]) };
                let log_t = own - other;
                // ((t^a − 1)/a − (t − 1))/(a − 1), a = 0 told apart by its limit.
                let power = if a == 0.0 { log_t } else { expm1_one::<A>(a * log_t) * inverse };
                let base = exp_one::<A>(other);
                let near = base * (power - expm1_one::<A>(log_t));
                // Where t leaves the doubles, the product with π or π_ref does not.
                let grown = if a == 0.0 { base * log_t } else { (exp_one::<A>(A::mul_add(a, log_t, other)) - base) * inverse };
                let far = grown - (exp_one::<A>(own) - base);
                let both = if log_t > 30.0 { far } else { near } / (a - 1.0);
                let no_p = p[i] == f64::NEG_INFINITY;
                let no_q = q[i] == f64::NEG_INFINITY;
                let one = if no_q { exp_one::<A>(p[i]) * only_policy } else { exp_one::<A>(q[i]) * only_reference };
                let value = if no_p || no_q { one } else { both };
                scratch[i] = if no_p && no_q { 0.0 } else { value };
            }
            total.add(block_sum(scratch));
        }
        total.get()
    }
}

/// What forward KL with an entropy bonus is solved with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Entropic {
    /// ln(β/η).
    pub log_scale: f64,
    /// 1/η.
    pub rate: f64,
    /// The largest reward.
    pub top: f64,
    /// t = (λ' − top)/η.
    pub offset: f64,
}

/// Σ over arms of π = e^{(R−λ')/η + ω(c)} and its derivatives along t.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EntropicSums {
    /// Σπ.
    pub mass: f64,
    /// −dΣπ/dt = Σ π/(1 + ω).
    pub slope: f64,
    /// d²Σπ/dt² = Σ π (1/(1 + ω)² + ω/(1 + ω)³).
    pub curvature: f64,
}

/// Longest way along t from which ω is found again in one step: its error is then some 1e-19.
pub const NEAR: f64 = 0.01;

/// (log π, ω) of an arm, c = (λ'−R)/η + ln(β π_ref/η). `before` is ω where t was smaller by `moved`, |moved| ≤ [`NEAR`];
/// without `NEARBY` it is not read.
#[inline(always)]
pub(super) fn entropic_one<A: super::Arith, const NEARBY: bool>(
    by: Entropic,
    moved: f64,
    x: f64,
    reward: f64,
    before: f64,
) -> (f64, f64) {
    let bare = (reward - by.top) * by.rate - by.offset;
    let scaled = by.log_scale + x;
    let c = scaled - bare;
    let (u, log_u) = if NEARBY {
        // dω/dc = ω/(1+ω); an ω too small to matter is kept above 0.
        let before = if before > 1e-17 { before } else { 1e-17 };
        omega_step::<A>(c, A::mul_add(moved, before / (1.0 + before), before))
    } else {
        omega_step::<A>(c, omega_step::<A>(c, omega_guess::<A>(c)).0)
    };
    let u = if c > OMEGA_IS_C { c } else { u };
    // ω(c) = e^c there: nothing beside the other part of log π.
    let u = if c < OMEGA_IS_EXP { 0.0 } else { u };
    (if u > 1.0 { scaled - log_u } else { bare + u }, u)
}

/// One evaluation of the equation of forward KL with an entropy bonus; leaves ω in `omegas`, which with `moved` holds ω
/// where t was smaller by that much.
pub(super) fn entropic_sums(
    by: Entropic,
    moved: Option<f64>,
    log_reference: &[f64],
    rewards: &[f64],
    omegas: &mut [f64],
) -> EntropicSums {
    match moved {
        Some(moved) => entropic_sums_nearby(by, moved, log_reference, rewards, omegas),
        None => entropic_sums_anew(by, log_reference, rewards, omegas),
    }
}

vectorised! {
    fn entropic_sums_nearby<A>(by: Entropic, moved: f64, log_reference: &[f64], rewards: &[f64], omegas: &mut [f64]) -> EntropicSums {
        entropic_pass::<A, true>(by, moved, log_reference, rewards, omegas)
    }
}

vectorised! {
    fn entropic_sums_anew<A>(by: Entropic, log_reference: &[f64], rewards: &[f64], omegas: &mut [f64]) -> EntropicSums {
        entropic_pass::<A, false>(by, 0.0, log_reference, rewards, omegas)
    }
}

#[inline(always)]
fn entropic_pass<A: super::Arith, const NEARBY: bool>(
    by: Entropic,
    moved: f64,
    log_reference: &[f64],
    rewards: &[f64],
    omegas: &mut [f64],
) -> EntropicSums {
    let mut totals = [Compensated::default(); 3];
    let mut scratch = [[0.0; BLOCK]; 3];
    for ((x, rewards), omegas) in log_reference
        .chunks(BLOCK)
        .zip(rewards.chunks(BLOCK))
        .zip(omegas.chunks_mut(BLOCK))
    {
        let n = x.len();
        let (rewards, omegas) = (&rewards[..n], &mut omegas[..n]);
        let [masses, slopes, curvatures] = scratch.each_mut().map(|s| &mut s[..n]);
        for i in 0..n {
            let (log, u) = entropic_one::<A, NEARBY>(by, moved, x[i], rewards[i], omegas[i]);
            let mass = exp_one::<A>(log);
            let rate = 1.0 / (1.0 + u);
            omegas[i] = u;
            masses[i] = mass;
            slopes[i] = mass * rate;
            curvatures[i] = mass * rate * rate * A::mul_add(u, rate, 1.0);
        }
        for (total, scratch) in totals.iter_mut().zip(&scratch) {
            total.add(block_sum(&scratch[..n]));
        }
    }
    EntropicSums {
        mass: totals[0].get(),
        slope: totals[1].get(),
        curvature: totals[2].get(),
    }
}

vectorised! {
    /// log π and π of forward KL with an entropy bonus; returns Σπ. On entry `log_masses` holds ω where t was smaller by
    /// `moved`, at most [`NEAR`].
    pub(super) fn entropic_masses<A>(by: Entropic, moved: f64, log_reference: &[f64], rewards: &[f64], log_masses: &mut [f64], masses: &mut [f64]) -> f64 {
        let mut total = Compensated::default();
        for (((x, rewards), log_masses), masses) in log_reference.chunks(BLOCK).zip(rewards.chunks(BLOCK))
            .zip(log_masses.chunks_mut(BLOCK)).zip(masses.chunks_mut(BLOCK))
        {
            let n = x.len();
            let (rewards, log_masses, masses) = (&rewards[..n], &mut log_masses[..n], &mut masses[..n]);
            for i in 0..n {
                let (log, _) = entropic_one::<A, true>(by, moved, x[i], rewards[i], log_masses[i]);
                log_masses[i] = log;
                masses[i] = exp_one::<A>(log);
            }
            total.add(block_sum(masses));
        }
        total.get()
    }
}

/// What a target under an entropy bonus is worth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EntropicValue {
    /// Σ π R.
    pub expected_reward: f64,
    /// Σ π_ref log(π_ref/π).
    pub kl_from_reference: f64,
    /// Σ π log π.
    pub negentropy: f64,
    /// Mass outside the reference's support.
    pub outside: f64,
}

vectorised! {
    /// The sums that J of forward KL with an entropy bonus consists of.
    pub(super) fn entropic_value<A>(log_reference: &[f64], rewards: &[f64], log_masses: &[f64], masses: &[f64]) -> EntropicValue {
        let mut totals = [Compensated::default(); 4];
        let mut scratch = [[0.0; BLOCK]; 4];
        for (((x, rewards), log_masses), masses) in log_reference.chunks(BLOCK).zip(rewards.chunks(BLOCK))
            .zip(log_masses.chunks(BLOCK)).zip(masses.chunks(BLOCK))
        {
            let n = x.len();
            let (rewards, log_masses, masses) = (&rewards[..n], &log_masses[..n], &masses[..n]);
            let [expected, divergence, negentropy, outside] = scratch.each_mut().map(|s| &mut s[..n]);
            for i in 0..n {
                let supported = x[i] > f64::NEG_INFINITY;
                let (ratio, own) = (exp_one::<A>(x[i]) * (x[i] - log_masses[i]), masses[i] * log_masses[i]);
                expected[i] = masses[i] * rewards[i];
                divergence[i] = if supported { ratio } else { 0.0 };
                negentropy[i] = if masses[i] > 0.0 { own } else { 0.0 };
                outside[i] = if supported { 0.0 } else { masses[i] };
            }
            for (total, scratch) in totals.iter_mut().zip(&scratch) {
                total.add(block_sum(&scratch[..n]));
            }
        }
        let [expected_reward, kl_from_reference, negentropy, outside] = totals.map(|total| total.get());
        EntropicValue { expected_reward, kl_from_reference, negentropy, outside }
    }
}

/// From here on ω(c) = c to the last digit.
const OMEGA_IS_C: f64 = 1e17;
/// Up to here ω(c) = e^c (1 − e^c + …) is e^c to the last digit.
const OMEGA_IS_EXP: f64 = -38.0;

/// The Wright omega function on the reals, the solution of u + ln u = c, within a few ulp; 0 at −∞.
#[inline(always)]
#[must_use]
pub fn omega_one<A: super::Arith>(c: f64) -> f64 {
    let (u, _) = omega_step::<A>(c, omega_step::<A>(c, omega_guess::<A>(c)).0);
    let u = if c > OMEGA_IS_C { c } else { u };
    if c < OMEGA_IS_EXP { exp_one::<A>(c) } else { u }
}

/// A start from which two steps reach ω(c) to the last digits.
#[inline(always)]
fn omega_guess<A: super::Arith>(c: f64) -> f64 {
    let e = exp_one::<A>(if c < 0.0 { c } else { 0.0 });
    let low = e / (1.0 + e);
    let middle = 0.5 + 0.5 * c + 0.0625 * (c - 1.0) * (c - 1.0);
    let log = ln_one::<A>(if c > 2.0 { c } else { 2.0 });
    let high = c - log + log / c;
    if c < -1.0 {
        low
    } else if c < 2.0 {
        middle
    } else {
        high
    }
}

/// The fourth-order step of Fritsch, Shafer and Crowley (CACM 16, 1973) from u towards ω(c), written with one division; also
/// ln of where it leads, which for a short step costs no second logarithm.
#[inline(always)]
fn omega_step<A: super::Arith>(c: f64, u: f64) -> (f64, f64) {
    let log = ln_one::<A>(u);
    let r = c - u - log;
    let v = u + 1.0;
    let w = 2.0 * v * A::mul_add(r, 2.0 / 3.0, v);
    let e = r * (w - r) / (v * (w - 2.0 * r));
    let ln_1p = e * A::mul_add(e, A::mul_add(e, A::mul_add(e, -0.25, 1.0 / 3.0), -0.5), 1.0);
    (A::mul_add(u, e, u), log + ln_1p)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theory::{divergence::f_alpha, kernels::Fused};

    #[test]
    fn wright_omega_solves_its_equation() {
        let mut c = -690.0;
        while c < 1e9 {
            let u = omega_one::<Fused>(c);
            let error = u + u.ln() - c;
            assert!(
                error.abs() <= 6e-16 * (1.0 + c.abs() + u),
                "c = {c}, error {error:e}"
            );
            c += 0.037 * (1.0 + c.abs() / 30.0);
        }
        assert!((omega_one::<Fused>(1.0) - 1.0).abs() < 1e-15);
        assert!((omega_one::<Fused>(0.0) - 0.567_143_290_409_783_8).abs() < 1e-15);
        assert_eq!(omega_one::<Fused>(f64::NEG_INFINITY), 0.0);
    }

    #[test]
    fn what_is_found_nearby_is_what_is_found_anew() {
        // Arms whose ω reach from far below an ulp to 2e9, and one outside the support.
        let mut x: Vec<f64> = (0..2000).map(|i| f64::from(i) * 0.05 - 80.0).collect();
        let mut rewards: Vec<f64> = (0..x.len()).map(|i| ((i * 37) % 11) as f64 * 0.1).collect();
        x.extend([-5.0, -5.0, -5.0, f64::NEG_INFINITY]);
        rewards.extend([-1e3, -1e6, -1e9, 0.5]);
        let at = |offset| Entropic {
            log_scale: 0.3,
            rate: 2.0,
            top: 1.0,
            offset,
        };
        for moved in [-NEAR, -1e-5, 0.0, 1e-9, NEAR] {
            let [mut near, mut anew] = [(); 2].map(|()| vec![0.0; x.len()]);
            entropic_sums(at(0.2), None, &x, &rewards, &mut near);
            let mut logs = near.clone();
            let sums = entropic_sums(at(0.2 + moved), Some(moved), &x, &rewards, &mut near);
            let want = entropic_sums(at(0.2 + moved), None, &x, &rewards, &mut anew);
            for (a, b) in [
                (sums.mass, want.mass),
                (sums.slope, want.slope),
                (sums.curvature, want.curvature),
            ] {
                assert!((a / b - 1.0).abs() < 1e-14, "{moved}: {a} {b}");
            }
            let mut masses = vec![0.0; x.len()];
            entropic_masses(at(0.2 + moved), moved, &x, &rewards, &mut logs, &mut masses);
            for (i, (&a, &b)) in near.iter().zip(&anew).enumerate() {
                assert!(
                    (a - b).abs() <= 3e-16 + 1e-15 * b,
                    "{moved}, arm {i}: {a} {b}"
                );
                // log π + (R − λ')/η's opposite is ω, and u + ln u = c.
                let bare = (rewards[i] - 1.0) * 2.0 - (0.2 + moved);
                let log = if b > 1.0 {
                    0.3 + x[i] - b.ln()
                } else {
                    bare + b
                };
                assert!(
                    (logs[i] - log).abs() <= 1e-14 * log.abs().max(1.0),
                    "{moved}, arm {i}"
                );
                assert!(
                    (masses[i] - log.exp()).abs() <= 1e-12 * log.exp(),
                    "{moved}, arm {i}"
                );
            }
        }
    }

    #[test]
    fn a_pivot_is_left_out_and_gets_its_share() {
        let none = f64::NEG_INFINITY;
        let arms = 3 * BLOCK + 5;
        let is_out = |i: usize| i % 13 == 4;
        // No reward in the support is among those outside it.
        let rewards: Vec<f64> = (0..arms)
            .map(|i| ((i * 37) % 101) as f64 * 0.01 - if is_out(i) { 0.005 } else { 0.0 })
            .collect();
        let x: Vec<f64> = (0..arms)
            .map(|i| {
                if is_out(i) {
                    none
                } else {
                    -7.0 - (i % 5) as f64
                }
            })
            .collect();
        let (pivot, beta, epsilon) = (rewards[3], 0.07, 2.5);
        let mut y = vec![0.0; arms];
        let mass = below_pivot(&x, &rewards, pivot, beta, &mut y);
        let is_pivot = |i: usize| rewards[i] == pivot;
        let want: f64 = (0..arms).filter(|&i| is_pivot(i)).map(|i| x[i].exp()).sum();
        assert!(want > 0.0 && (mass / want - 1.0).abs() < 1e-14);
        for i in 0..arms {
            let own = (pivot - rewards[i]) / beta;
            assert_eq!(y[i], if is_pivot(i) { f64::MAX } else { own });
        }
        for limit in [-1e9, -1.0, 0.0, 1.3, 1e9] {
            let inside = (0..arms).filter(|&i| x[i] > none && y[i] < limit);
            let want = inside.map(|i| rewards[i]).fold(f64::INFINITY, f64::min);
            assert_eq!(lowest_within(limit, &x, &y, &rewards), want, "{limit}");
        }
        // z of the pivot may be no double, its share of the reference is one.
        for log_ratio in [-0.4, -1e3] {
            let by = Power {
                epsilon,
                base: f64::exp(log_ratio * epsilon),
                offset: 0.0,
            };
            let [mut logs, mut masses, mut want_logs, mut want_masses] =
                [(); 4].map(|()| vec![0.0; arms]);
            powers_from_pivot(by, log_ratio, &x, &y, &mut logs, &mut masses);
            powers(by, &x, &y, &mut want_logs, &mut want_masses);
            for i in (0..arms).filter(|&i| is_pivot(i)) {
                want_logs[i] = x[i] + log_ratio;
                want_masses[i] = exp_one::<Fused>(want_logs[i]);
            }
            assert_eq!((logs, masses), (want_logs, want_masses));
        }
    }

    #[test]
    fn powers_cost_what_their_divergence_is() {
        // Arms from far below to far above their reference, at it, outside the support and (for ε > 0) cut.
        let far: Vec<f64> = (0..1500).map(|i| f64::from(i % 500) * 0.01).collect();
        let x: Vec<f64> = (0..far.len())
            .map(|i| match i % 31 {
                7 => f64::NEG_INFINITY,
                k => -5.0 - 0.3 * k as f64,
            })
            .collect();
        let places = [(1.0, -0.3), (1.0, 1e-9), (1e-3, 0.0), (1.0, 0.4)];
        // So near to the reference that only a few digits of the cost are left.
        let near: Vec<f64> = far.iter().map(|y| 1e-7 * y).collect();
        for (y, places, tolerance) in [(&far, &places[..], 1e-13), (&near, &[(1.0, 1e-7)], 1e-8)] {
            for epsilon in [-1.7, -1.2, -0.9, -0.5, -0.1, -1e-6, 1e-6, 0.4, 1.0] {
                for &(base, offset) in places {
                    if base < 1.0 && epsilon > 0.0 {
                        continue;
                    }
                    let by = Power {
                        epsilon,
                        base,
                        offset,
                    };
                    let [mut logs, mut masses, mut want_masses] =
                        [(); 3].map(|()| vec![0.0; y.len()]);
                    powers(by, &x, y, &mut logs, &mut want_masses);
                    let want = alpha_divergence(epsilon + 1.0, &logs, &x);
                    let mut own_logs = y.clone();
                    let cost = powers_and_cost(by, &x, &mut own_logs, &mut masses);
                    assert_eq!((&own_logs, &masses), (&logs, &want_masses));
                    // A mass beyond the doubles is nobody's target.
                    let close = (cost - want).abs() <= tolerance * want || want.is_infinite();
                    assert!(close, "ε = {epsilon}, {by:?}: {cost:e} for {want:e}");
                }
            }
        }
    }

    #[test]
    fn alpha_divergence_stays_finite_where_a_ratio_does_not() {
        let (p, q) = ([-1400.0, 0.0], [-0.7, -0.7]);
        for alpha in [0.9997, 0.7, 1e-9] {
            let got = alpha_divergence(alpha, &p, &q);
            let plain: f64 = p.iter().zip(&q).map(|(&p, &q)| f_alpha(alpha, p, q)).sum();
            assert!(
                got.is_finite() && (got - plain).abs() < 1e-9 * got,
                "{alpha}: {got} {plain}"
            );
        }
    }

    #[test]
    fn alpha_divergence_agrees_with_its_terms() {
        let none = f64::NEG_INFINITY;
        let p = [0.2_f64.ln(), 0.5_f64.ln(), 0.3_f64.ln(), none, none];
        let q = [0.1_f64.ln(), 0.6_f64.ln(), none, 0.3_f64.ln(), none];
        for alpha in [-1.5, -1e-9, 1e-9, 0.3, 0.5, 0.7, 1.0 - 1e-9, 1.5, 3.0] {
            let want: f64 = p.iter().zip(&q).map(|(&p, &q)| f_alpha(alpha, p, q)).sum();
            let got = alpha_divergence(alpha, &p, &q);
            assert!(
                got == want || (got / want - 1.0).abs() < 1e-12,
                "{alpha}: {got} {want}"
            );
        }
    }
}
