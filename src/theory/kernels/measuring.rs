//! The pass behind every metric: all sums over arms that compare a policy with the reference and the target.

use super::{BLOCK, Compensated, block_sum, exp_one, vectorised};

/// A policy π and what it is compared with, one number per arm each.
#[derive(Debug, Clone, Copy)]
pub struct Compared<'a> {
    /// π.
    pub masses: &'a [f64],
    /// log π.
    pub log_masses: &'a [f64],
    /// log π_ref.
    pub log_reference: &'a [f64],
    /// G.
    pub target: &'a [f64],
    /// log G.
    pub log_target: &'a [f64],
    /// R.
    pub rewards: &'a [f64],
}

/// Sums over arms; terms of impossible arms are 0, and +∞ stands where support is missing.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Comparison {
    /// Σ π R.
    pub expected_reward: f64,
    /// −Σ π log π.
    pub entropy: f64,
    /// Σ π log(π/π_ref).
    pub kl_to_reference: f64,
    /// Σ π_ref log(π_ref/π).
    pub kl_from_reference: f64,
    /// Σ π log(π/G).
    pub kl_to_target: f64,
    /// Σ G log(G/π).
    pub kl_from_target: f64,
    /// ½ Σ |π − G|.
    pub tv_to_target: f64,
}

/// p·x with 0·x = 0, whatever x.
#[inline(always)]
fn weigh(p: f64, x: f64) -> f64 {
    let product = p * x;
    if p == 0.0 { 0.0 } else { product }
}

vectorised! {
    /// One pass over all arms; bound by reading six streams beyond the caches.
    pub fn compare<A>(of: Compared<'_>) -> Comparison {
        let mut totals = [Compensated::default(); 7];
        let mut scratch = [[0.0; BLOCK]; 7];
        let n = of.masses.len().min(of.log_masses.len()).min(of.log_reference.len())
            .min(of.target.len()).min(of.log_target.len()).min(of.rewards.len());
        let mut start = 0;
        while start < n {
            let end = (start + BLOCK).min(n);
            let length = end - start;
            let (p, lp) = (&of.masses[start..end], &of.log_masses[start..end]);
            let (lq, rewards) = (&of.log_reference[start..end], &of.rewards[start..end]);
            let (g, lg) = (&of.target[start..end], &of.log_target[start..end]);
            let [s0, s1, s2, s3, s4, s5, s6] = scratch.each_mut().map(|s| &mut s[..length]);
            for i in 0..length {
                s0[i] = p[i] * rewards[i];
                s1[i] = -weigh(p[i], lp[i]);
                s2[i] = weigh(p[i], lp[i] - lq[i]);
                s6[i] = (p[i] - g[i]).abs();
            }
            for i in 0..length {
                s3[i] = weigh(exp_one::<A>(lq[i]), lq[i] - lp[i]);
            }
            for i in 0..length {
                s4[i] = weigh(p[i], lp[i] - lg[i]);
                s5[i] = weigh(g[i], lg[i] - lp[i]);
            }
            for (total, scratch) in totals.iter_mut().zip(&scratch) {
                total.add(block_sum(&scratch[..length]));
            }
            start = end;
        }
        Comparison {
            expected_reward: totals[0].get(),
            entropy: totals[1].get().max(0.0),
            kl_to_reference: totals[2].get().max(0.0),
            kl_from_reference: totals[3].get().max(0.0),
            kl_to_target: totals[4].get().max(0.0),
            kl_from_target: totals[5].get().max(0.0),
            tv_to_target: 0.5 * totals[6].get(),
        }
    }
}

vectorised! {
    /// Forward KL's distance to its optimum over β: Σ π_ref (t − 1 − ln t) with t = π/G over the support, plus
    /// Σ π (Λ−R)/β outside it. `outside_rate` gives (Λ−R)/β through `lambda` and `beta`; a negative β leaves that part out.
    pub fn forward_gap<A>(log_reference: &[f64], log_masses: &[f64], log_target: &[f64], rewards: &[f64], lambda: f64, beta: f64) -> f64 {
        let mut total = Compensated::default();
        let mut scratch = [0.0; BLOCK];
        for (((lq, lp), lg), rewards) in log_reference.chunks(BLOCK).zip(log_masses.chunks(BLOCK))
            .zip(log_target.chunks(BLOCK)).zip(rewards.chunks(BLOCK))
        {
            let scratch = &mut scratch[..lq.len()];
            for ((((s, &lq), &lp), &lg), &reward) in scratch.iter_mut().zip(lq).zip(lp).zip(lg).zip(rewards) {
                let log_t = lp - lg;
                let near = log_t * log_t * (0.5 + log_t * (1.0 / 6.0 + log_t / 24.0));
                let far = exp_one::<A>(log_t) - 1.0 - log_t;
                let inside = exp_one::<A>(lq) * if log_t.abs() < 1e-3 { near } else { far };
                let outside = exp_one::<A>(lp) * (lambda - reward) / beta;
                let outside = if beta > 0.0 { outside } else { 0.0 };
                *s = if lq > f64::NEG_INFINITY { inside } else { outside };
            }
            total.add(block_sum(scratch));
        }
        total.get().max(0.0)
    }
}
