//! The pass behind every metric: all sums over arms that compare a policy with the reference and the target.

use super::{BLOCK, Compensated, LANES, block_sum, exp_one, fold, vectorised};

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
        let n = of.masses.len().min(of.log_masses.len()).min(of.log_reference.len())
            .min(of.target.len()).min(of.log_target.len()).min(of.rewards.len());
        let mut start = 0;
        while start < n {
            let end = (start + BLOCK).min(n);
            let mut sums = [[0.0; LANES]; 7];
            let mut add = |lane: usize, [p, lp, lq, g, lg, reward]: [f64; 6]| {
                sums[0][lane] += p * reward;
                sums[1][lane] += -weigh(p, lp);
                sums[2][lane] += weigh(p, lp - lq);
                sums[3][lane] += weigh(exp_one::<A>(lq), lq - lp);
                sums[4][lane] += weigh(p, lp - lg);
                sums[5][lane] += weigh(g, lg - lp);
                sums[6][lane] += (p - g).abs();
            };
            let (p, p_rest) = of.masses[start..end].as_chunks::<LANES>();
            let (lp, lp_rest) = of.log_masses[start..end].as_chunks::<LANES>();
            let (lq, lq_rest) = of.log_reference[start..end].as_chunks::<LANES>();
            let (g, g_rest) = of.target[start..end].as_chunks::<LANES>();
            let (lg, lg_rest) = of.log_target[start..end].as_chunks::<LANES>();
            let (rewards, reward_rest) = of.rewards[start..end].as_chunks::<LANES>();
            for (((((p, lp), lq), g), lg), rewards) in p.iter().zip(lp).zip(lq).zip(g).zip(lg).zip(rewards) {
                for i in 0..LANES {
                    add(i, [p[i], lp[i], lq[i], g[i], lg[i], rewards[i]]);
                }
            }
            for i in 0..p_rest.len() {
                add(i, [p_rest[i], lp_rest[i], lq_rest[i], g_rest[i], lg_rest[i], reward_rest[i]]);
            }
            for (total, sums) in totals.iter_mut().zip(sums) {
                total.add(fold(sums));
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

/// A target G and the reference it was made from, one number per arm each.
#[derive(Debug, Clone, Copy)]
pub struct Facing<'a> {
    /// G.
    pub target: &'a [f64],
    /// log G.
    pub log_target: &'a [f64],
    /// log π_ref.
    pub log_reference: &'a [f64],
    /// R.
    pub rewards: &'a [f64],
}

/// What [`compare`] finds of the target and of the reference in the policy's place, as far as it is not 0; sums that
/// rounding may leave a hair below 0.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Faced {
    /// Σ G R.
    pub target_reward: f64,
    /// −Σ G log G.
    pub target_entropy: f64,
    /// Σ π_ref R.
    pub reference_reward: f64,
    /// −Σ π_ref log π_ref.
    pub reference_entropy: f64,
    /// Σ G log(G/π_ref).
    pub kl_of_target: f64,
    /// Σ π_ref log(π_ref/G).
    pub kl_of_reference: f64,
    /// ½ Σ |G − π_ref|.
    pub tv: f64,
}

impl Faced {
    /// The target as policy.
    #[must_use]
    pub fn of_target(self) -> Comparison {
        Comparison {
            expected_reward: self.target_reward,
            entropy: self.target_entropy.max(0.0),
            kl_to_reference: self.kl_of_target.max(0.0),
            kl_from_reference: self.kl_of_reference.max(0.0),
            kl_to_target: 0.0,
            kl_from_target: 0.0,
            tv_to_target: 0.0,
        }
    }

    /// The reference as policy.
    #[must_use]
    pub fn of_reference(self) -> Comparison {
        Comparison {
            expected_reward: self.reference_reward,
            entropy: self.reference_entropy.max(0.0),
            kl_to_reference: 0.0,
            kl_from_reference: 0.0,
            kl_to_target: self.kl_of_reference.max(0.0),
            kl_from_target: self.kl_of_target.max(0.0),
            tv_to_target: self.tv,
        }
    }
}

vectorised! {
    /// Both comparisons from one pass.
    pub(super) fn face<A>(of: Facing<'_>) -> Faced {
        let mut totals = [Compensated::default(); 7];
        let n = of.target.len().min(of.log_target.len()).min(of.log_reference.len()).min(of.rewards.len());
        let mut start = 0;
        while start < n {
            let end = (start + BLOCK).min(n);
            let mut sums = [[0.0; LANES]; 7];
            let mut add = |lane: usize, g: f64, lg: f64, lq: f64, reward: f64| {
                let q = exp_one::<A>(lq);
                sums[0][lane] += g * reward;
                sums[1][lane] += -weigh(g, lg);
                sums[2][lane] += q * reward;
                sums[3][lane] += -weigh(q, lq);
                sums[4][lane] += weigh(g, lg - lq);
                sums[5][lane] += weigh(q, lq - lg);
                sums[6][lane] += (g - q).abs();
            };
            let (g, g_rest) = of.target[start..end].as_chunks::<LANES>();
            let (lg, lg_rest) = of.log_target[start..end].as_chunks::<LANES>();
            let (lq, lq_rest) = of.log_reference[start..end].as_chunks::<LANES>();
            let (rewards, reward_rest) = of.rewards[start..end].as_chunks::<LANES>();
            for (((g, lg), lq), rewards) in g.iter().zip(lg).zip(lq).zip(rewards) {
                for i in 0..LANES {
                    add(i, g[i], lg[i], lq[i], rewards[i]);
                }
            }
            for i in 0..g_rest.len() {
                add(i, g_rest[i], lg_rest[i], lq_rest[i], reward_rest[i]);
            }
            for (total, sums) in totals.iter_mut().zip(sums) {
                total.add(fold(sums));
            }
            start = end;
        }
        let sum = totals.map(Compensated::get);
        Faced {
            target_reward: sum[0],
            target_entropy: sum[1],
            reference_reward: sum[2],
            reference_entropy: sum[3],
            kl_of_target: sum[4],
            kl_of_reference: sum[5],
            tv: 0.5 * sum[6],
        }
    }
}

vectorised! {
    /// Forward KL's distance to its optimum over β: Σ π_ref (t − 1 − ln t) with t = π/G over the support, plus
    /// Σ π (Λ−R)/β outside it. `outside_rate` gives (Λ−R)/β through `lambda` and `beta`; a negative β leaves that part out.
    pub(super) fn forward_gap<A>(log_reference: &[f64], log_masses: &[f64], log_target: &[f64], rewards: &[f64], lambda: f64, beta: f64) -> f64 {
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
        total.get()
    }
}
