//! Keys by which arms sort as their target masses do, without a multiplier being solved for: what a sweep over β compares.
//! Better arms never get smaller keys, up to the last digit of a logarithm.

use super::{Entropic, family::entropic_one, ln_one, vectorised};

/// Key below which arms are cut.
const CUT: f64 = -1e30;

vectorised! {
    /// Reverse KL: β log π_ref + R.
    pub fn line_keys<A>(beta: f64, log_reference: &[f64], rewards: &[f64], keys: &mut [f64]) {
        for ((key, &x), &reward) in keys.iter_mut().zip(log_reference).zip(rewards) {
            *key = A::mul_add(beta, x, reward);
        }
    }
}

vectorised! {
    /// The α family: log π_ref + ln(z)/(α − 1) with z = μ − R for α < 1 and R − μ above. Arms that are cut, z ≤ 0, come
    /// below all others, in the order in which they come back. `place` is μ − m or m − μ, `rewards` are R − m, m the best
    /// reward.
    pub fn power_keys<A>(alpha: f64, place: f64, log_reference: &[f64], rewards: &[f64], keys: &mut [f64]) {
        let rate = 1.0 / (alpha - 1.0);
        let side = if alpha < 1.0 { -1.0 } else { 1.0 };
        for ((key, &x), &reward) in keys.iter_mut().zip(log_reference).zip(rewards) {
            let z = A::mul_add(side, reward, place);
            let log = A::mul_add(rate, ln_one::<A>(z), x);
            *key = if z > 0.0 { log } else { CUT + z * -CUT };
        }
    }
}

vectorised! {
    /// Forward KL with an entropy bonus: log π up to a constant.
    pub fn entropic_keys<A>(by: Entropic, log_reference: &[f64], rewards: &[f64], keys: &mut [f64]) {
        for ((key, &x), &reward) in keys.iter_mut().zip(log_reference).zip(rewards) {
            (*key, _) = entropic_one::<A, false>(by, 0.0, x, reward, 0.0);
        }
    }
}
