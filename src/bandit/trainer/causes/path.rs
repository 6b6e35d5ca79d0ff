//! Mirror descent's path from one policy to the target, π₀^{1−s} G^s with s from 0 to 1, and the search for the point of it
//! that lies at a given distance from the target.

use super::super::{
    LOGIT_FLOOR,
    kernel::{self, Simd},
};

/// How finely a point is sought, the path's whole length being 1.
const STEP: f64 = 1e-6;
/// How far a secant's guess is pushed towards the middle, as a share of the square of what is left.
const PUSH: f64 = 0.2;

/// See the module. All slices have one entry per arm.
pub(super) struct Path<'a> {
    /// log π₀, −∞ allowed.
    pub(super) from: &'a [f64],
    /// log G, finite.
    pub(super) to: &'a [f64],
    /// G.
    pub(super) target: &'a [f64],
    /// Rewards, which the exponential's kernel sums along the way.
    pub(super) rewards: &'a [f64],
}

impl Path<'_> {
    /// Masses of the first point, to within a millionth of the path, whose total variation from the target is at most
    /// `wanted`; the start where that is close enough.
    ///
    /// The distance falls along the path. The search is bisection with the secant's guess in the place of the middle where
    /// that is safe (the ITP method of Oliveira and Takahashi): at most one pass over the arms more than bisection, half as
    /// many as a rule.
    pub(super) fn point(&self, wanted: f64) -> Vec<f64> {
        let mut walk = Walk {
            path: self,
            logits: vec![0.0; self.to.len()],
            point: vec![0.0; self.to.len()],
        };
        let (mut low, mut high) = (0.0, 1.0);
        let (mut above, mut below) = (walk.go_to(0.0) - wanted, -wanted);
        if above <= 0.0 {
            return walk.point;
        }
        let mut at = 0.0;
        let mut room = STEP / 2.0 * 2f64.powf((1.0 / STEP).log2().ceil() + 1.0);
        while high - low > STEP {
            let middle = 0.5 * (low + high);
            let secant = (low * below - high * above) / (below - above);
            let push = PUSH * (high - low) * (high - low);
            let guess = if push < (middle - secant).abs() {
                secant + push.copysign(middle - secant)
            } else {
                middle
            };
            // However good it looks, no further from the middle than bisection can make up for.
            let radius = (room - 0.5 * (high - low)).max(0.0);
            at = guess.clamp(middle - radius, middle + radius);
            room *= 0.5;
            let left = walk.go_to(at) - wanted;
            if left > 0.0 {
                (low, above) = (at, left);
            } else {
                (high, below) = (at, left);
            }
        }
        if at != high {
            walk.go_to(high);
        }
        walk.point
    }
}

/// Buffers of a search.
struct Walk<'a> {
    path: &'a Path<'a>,
    logits: Vec<f64>,
    point: Vec<f64>,
}

impl Walk<'_> {
    /// Goes to a point of the path; returns its total variation from the target.
    fn go_to(&mut self, s: f64) -> f64 {
        let &Path {
            from,
            to,
            target,
            rewards,
        } = self.path;
        let mut max = f64::NEG_INFINITY;
        for (logit, (from, to)) in self.logits.iter_mut().zip(from.iter().zip(to)) {
            let from = from.max(LOGIT_FLOOR);
            *logit = from + s * (to - from);
            max = max.max(*logit);
        }
        let point = &mut self.point;
        let sums = kernel::exponentiate(Simd::detect(), &self.logits, max, to, rewards, point);
        let scale = 1.0 / sums.mass;
        let mut distance = 0.0;
        for (mass, target) in point.iter_mut().zip(target) {
            *mass *= scale;
            distance += (*mass - target).abs();
        }
        0.5 * distance
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_point_lies_where_plain_bisection_finds_it(
            arms in prop::collection::vec((-12.0f64..0.0, -12.0f64..0.0), 2..40),
            share in 0.0f64..1.1,
        ) {
            let normalised = |pick: fn(&(f64, f64)) -> f64| -> Vec<f64> {
                let sum: f64 = arms.iter().map(|arm| pick(arm).exp()).sum();
                arms.iter().map(|arm| pick(arm) - sum.ln()).collect()
            };
            let (from, to) = (normalised(|arm| arm.0), normalised(|arm| arm.1));
            let target: Vec<f64> = to.iter().map(|log| log.exp()).collect();
            let at = |s: f64| -> Vec<f64> {
                let weights: Vec<f64> =
                    (from.iter().zip(&to)).map(|(a, b)| ((1.0 - s) * a + s * b).exp()).collect();
                let sum: f64 = weights.iter().sum();
                weights.iter().map(|weight| weight / sum).collect()
            };
            let apart = |a: &[f64], b: &[f64]| -> f64 {
                a.iter().zip(b).map(|(a, b)| 0.5 * (a - b).abs()).sum()
            };
            let wanted = share * apart(&at(0.0), &target);
            let (mut low, mut high) = (0.0, 1.0);
            if apart(&at(0.0), &target) <= wanted {
                high = 0.0;
            }
            while high - low > 1e-9 {
                let middle = 0.5 * (low + high);
                if apart(&at(middle), &target) > wanted {
                    low = middle;
                } else {
                    high = middle;
                }
            }
            let rewards = vec![0.0; arms.len()];
            let path = Path { from: &from, to: &to, target: &target, rewards: &rewards };
            // The point may be a millionth of the path further on, where no mass moves by more than some multiple of that.
            let off = apart(&path.point(wanted), &at(high));
            prop_assert!(off < 2e-5, "{off}");
        }
    }
}
