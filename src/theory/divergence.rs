//! Divergences between distributions given as log masses, with 0·log 0 = 0 and +∞ where support is missing.

/// KL(p‖q) = Σ p log(p/q); +∞ if p has mass where q has none.
#[must_use]
pub fn kl(log_p: &[f64], log_q: &[f64]) -> f64 {
    let mut total = super::kernels::Compensated::default();
    for (&a, &b) in log_p.iter().zip(log_q) {
        if a == f64::NEG_INFINITY {
            continue;
        }
        if b == f64::NEG_INFINITY {
            return f64::INFINITY;
        }
        total.add(a.exp() * (a - b));
    }
    total.get().max(0.0)
}

/// Total variation ½ Σ |p − q|.
#[must_use]
pub fn total_variation(p: &[f64], q: &[f64]) -> f64 {
    let terms: Vec<f64> = p.iter().zip(q).map(|(a, b)| (a - b).abs()).collect();
    0.5 * super::kernels::sum(&terms)
}

/// Entropy −Σ p log p in nats.
#[must_use]
pub fn entropy(log_p: &[f64]) -> f64 {
    let terms: Vec<f64> = log_p
        .iter()
        .map(|&a| {
            if a == f64::NEG_INFINITY {
                0.0
            } else {
                -a * a.exp()
            }
        })
        .collect();
    super::kernels::sum(&terms).max(0.0)
}

/// One arm's share of the α-divergence Σ π_ref f_α(π/π_ref) (docs/math.md section 1), α neither 0 nor 1, from log π and
/// log π_ref. Outside the support it is π/(1−α) for α < 1 and +∞ for α > 1.
#[must_use]
pub fn f_alpha(alpha: f64, log_p: f64, log_q: f64) -> f64 {
    match (log_p == f64::NEG_INFINITY, log_q == f64::NEG_INFINITY) {
        (true, true) => 0.0,
        (false, true) => {
            if alpha < 1.0 {
                log_p.exp() / (1.0 - alpha)
            } else {
                f64::INFINITY
            }
        }
        (true, false) => {
            if alpha > 0.0 {
                log_q.exp() / alpha
            } else {
                f64::INFINITY
            }
        }
        (false, false) => {
            // f_α(t) = t·f_{1−α}(1/t): work on the side whose denominator stays away from zero.
            if alpha <= 0.5 {
                weighed_near_zero(alpha, log_p, log_q)
            } else {
                weighed_near_zero(1.0 - alpha, log_q, log_p)
            }
        }
    }
}

/// e^base·f_α(t) for log t = own − base and α ≤ ½, α = 0 included: f_α(t) = ((t^α − 1)/α − (t − 1))/(α − 1).
fn weighed_near_zero(alpha: f64, own: f64, base: f64) -> f64 {
    let log_t = own - base;
    let weight = base.exp();
    let sum = if log_t > 30.0 {
        // t may leave the doubles; its product with the weight does not.
        let grown = if alpha == 0.0 {
            weight * log_t
        } else {
            ((base + alpha * log_t).exp() - weight) / alpha
        };
        grown - (own.exp() - weight)
    } else {
        let power = if alpha == 0.0 {
            log_t
        } else {
            (alpha * log_t).exp_m1() / alpha
        };
        weight * (power - log_t.exp_m1())
    };
    sum / (alpha - 1.0)
}
