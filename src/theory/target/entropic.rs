//! Forward KL with an entropy bonus η > 0. Stationarity, R + β π_ref/π − η(log π + 1) = λ, reads u + ln u = c per arm with
//! u = β π_ref/(η π) and c = (λ'−R)/η + ln(β π_ref/η), λ' = λ + η: u = ω(c) is the Wright omega function and
//! log π = (R−λ')/η + ω(c). The outer root in λ' is Newton on log Σπ, which is decreasing and convex in λ'.

use super::Target;
use crate::theory::kernels::{self, Survey};

pub(super) fn solve(
    log_reference: &[f64],
    rewards: &[f64],
    beta: f64,
    eta: f64,
    survey: Survey,
    target: &mut Target,
) {
    let best = survey.high;
    let scale = (beta / eta).ln();
    // t = (λ' − best)/η. Σπ ≥ Σ e^{(R−λ')/η}, so the root lies above the entropic one.
    let distance: Vec<f64> = rewards
        .iter()
        .map(|&reward| (best - reward) / eta)
        .collect();
    let mut t = kernels::log_sum_exp(&distance.iter().map(|d| -d).collect::<Vec<_>>());
    let mut low = t;
    let mut high = f64::INFINITY;
    let evaluate = |t: f64, log_masses: &mut [f64], masses: &mut [f64]| -> (f64, f64) {
        let mut slope = kernels::Compensated::default();
        for (arm, log_mass) in log_masses.iter_mut().enumerate() {
            let log_q = log_reference[arm];
            let bare = -distance[arm] - t;
            let u = if log_q == f64::NEG_INFINITY {
                0.0
            } else {
                wright_omega(scale + log_q - bare)
            };
            *log_mass = if u > 1.0 {
                scale + log_q - u.ln()
            } else {
                bare + u
            };
            masses[arm] = log_mass.exp();
            slope.add(masses[arm] / (1.0 + u));
        }
        (kernels::sum(masses), slope.get())
    };
    for _ in 0..300 {
        let (mass, slope) = evaluate(t, &mut target.log_masses, &mut target.masses);
        if mass > 1.0 {
            low = low.max(t);
        } else {
            high = high.min(t);
        }
        let step = mass.ln() * mass / slope;
        let next = t + step;
        if step.abs() <= 2e-16 * t.abs().max(1e-300)
            || high.is_finite() && high - low <= 2e-16 * high.abs()
        {
            break;
        }
        t = if next > low && next < high {
            next
        } else if high.is_finite() {
            let middle = low + (high - low) / 2.0;
            if middle == low || middle == high {
                break;
            }
            middle
        } else {
            next
        };
    }
    let log_sum = kernels::sum(&target.masses).ln();
    for (log_mass, mass) in target.log_masses.iter_mut().zip(&mut target.masses) {
        *log_mass -= log_sum;
        *mass = log_mass.exp();
    }
    super::sharpen(target);
    target.outside_support = log_reference
        .iter()
        .zip(&target.masses)
        .filter(|(log_q, _)| **log_q == f64::NEG_INFINITY)
        .map(|(_, mass)| mass)
        .sum();
    target.lambda = Some(best + eta * (t - 1.0));
    target.optimal_value = kernels::dot(&target.masses, rewards)
        - beta * kernels::cross_divergence(log_reference, &target.log_masses)
        - eta * kernels::dot(&target.masses, &target.log_masses);
}

/// The Wright omega function on the reals: the solution of u + ln u = c.
#[must_use]
pub(crate) fn wright_omega(c: f64) -> f64 {
    if c < -38.0 {
        return c.exp();
    }
    if c > 1e17 {
        return c;
    }
    let mut u = if c < -1.0 {
        let e = c.exp();
        e / (1.0 + e)
    } else if c < 2.0 {
        // Newton from the tangent at c = 1, ω = 1.
        (0.5 + 0.5 * c + 0.0625 * (c - 1.0) * (c - 1.0)).max(0.2)
    } else {
        let l = c.ln();
        c - l + l / c
    };
    for _ in 0..4 {
        // Third-order (Halley) on g(u) = u + ln u − c.
        let g = u + u.ln() - c;
        let slope = 1.0 + 1.0 / u;
        let step = g / slope;
        let step = step / (1.0 + step / (2.0 * u * u * slope));
        u -= step;
        if step.abs() <= 1e-6 * u {
            break;
        }
    }
    u
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wright_omega_solves_its_equation() {
        let mut c = -690.0;
        while c < 1e9 {
            let u = wright_omega(c);
            let error = u + u.ln() - c;
            assert!(
                error.abs() <= 4e-16 * (1.0 + c.abs() + u),
                "c = {c}, error {error:e}"
            );
            c += 0.37 * (1.0 + c.abs() / 30.0);
        }
        assert!((wright_omega(1.0) - 1.0).abs() < 1e-15);
        assert!((wright_omega(0.0) - 0.567_143_290_409_783_8).abs() < 1e-15);
    }
}
