//! The passes of the α family and of forward KL with an entropy bonus.

use super::{BLOCK, Compensated, block_sum, exp_one, expm1_one, ln_one, vectorised};

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

/// Σ over arms of G = π_ref z^{1/ε}.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PowerSums {
    /// ΣG.
    pub mass: f64,
    /// ΣG/z.
    pub slope: f64,
    /// ΣG over arms at y > 0.
    pub others: f64,
}

vectorised! {
    /// One evaluation of the α family's equation.
    pub(super) fn power_sums<A>(by: Power, log_reference: &[f64], distance: &[f64]) -> PowerSums {
        let inverse = 1.0 / by.epsilon;
        let mut totals = [Compensated::default(); 3];
        let mut scratch = [[0.0; BLOCK]; 3];
        for (x, y) in log_reference.chunks(BLOCK).zip(distance.chunks(BLOCK)) {
            let n = x.len();
            let y = &y[..n];
            let [masses, slopes, others] = scratch.each_mut().map(|s| &mut s[..n]);
            for i in 0..n {
                let (z, log_z) = z_and_log::<A>(by, y[i]);
                let own = exp_one::<A>(A::mul_add(log_z, inverse, x[i]));
                let own = if x[i] > f64::NEG_INFINITY && z > 0.0 { own } else { 0.0 };
                masses[i] = own;
                slopes[i] = if own > 0.0 { own / z } else { 0.0 };
                others[i] = if y[i] > 0.0 { own } else { 0.0 };
            }
            for (total, scratch) in totals.iter_mut().zip(&scratch) {
                total.add(block_sum(&scratch[..x.len()]));
            }
        }
        PowerSums { mass: totals[0].get(), slope: totals[1].get(), others: totals[2].get() }
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

vectorised! {
    /// log π = (R−λ')/η + ω(c) with c = (λ'−R)/η + ln(β π_ref/η), ω the Wright omega function; returns Σπ and Σ π/(1 + ω).
    pub(super) fn entropic<A>(by: Entropic, log_reference: &[f64], rewards: &[f64], log_masses: &mut [f64], masses: &mut [f64]) -> (f64, f64) {
        let mut totals = [Compensated::default(); 2];
        let mut scratch = [0.0; BLOCK];
        for (((x, rewards), log_masses), masses) in log_reference.chunks(BLOCK).zip(rewards.chunks(BLOCK))
            .zip(log_masses.chunks_mut(BLOCK)).zip(masses.chunks_mut(BLOCK))
        {
            let n = x.len();
            let (rewards, scratch) = (&rewards[..n], &mut scratch[..n]);
            let (log_masses, masses) = (&mut log_masses[..n], &mut masses[..n]);
            for i in 0..n {
                let bare = (rewards[i] - by.top) * by.rate - by.offset;
                let c = by.log_scale + x[i] - bare;
                let u = omega_one::<A>(c);
                let log = if u > 1.0 { by.log_scale + x[i] - ln_one::<A>(u) } else { bare + u };
                let mass = exp_one::<A>(log);
                log_masses[i] = log;
                masses[i] = mass;
                scratch[i] = mass / (1.0 + u);
            }
            totals[0].add(block_sum(masses));
            totals[1].add(block_sum(scratch));
        }
        (totals[0].get(), totals[1].get())
    }
}

/// The Wright omega function on the reals, the solution of u + ln u = c, within a few ulp; 0 at −∞.
#[inline(always)]
#[must_use]
pub fn omega_one<A: super::Arith>(c: f64) -> f64 {
    let e = exp_one::<A>(if c < 0.0 { c } else { 0.0 });
    let low = e / (1.0 + e);
    let middle = 0.5 + 0.5 * c + 0.0625 * (c - 1.0) * (c - 1.0);
    let log = ln_one::<A>(if c > 2.0 { c } else { 2.0 });
    let high = c - log + log / c;
    let mut u = if c < -1.0 {
        low
    } else if c < 2.0 {
        middle
    } else {
        high
    };
    for _ in 0..2 {
        // The fourth-order step of Fritsch, Shafer and Crowley (CACM 16, 1973), written with one division.
        let r = c - u - ln_one::<A>(u);
        let v = u + 1.0;
        let w = 2.0 * v * A::mul_add(r, 2.0 / 3.0, v);
        u = A::mul_add(u * r, (w - r) / (v * (w - 2.0 * r)), u);
    }
    let u = if c > 1e17 { c } else { u };
    // ω(c) = e^c (1 − e^c + …) where e^c is below half an ulp.
    if c < -38.0 { e } else { u }
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
