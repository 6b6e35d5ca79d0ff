//! One estimator at one policy, in numbers: direction and length of its expectation against the exact gradient, and the exact
//! variance of a batch's gradient.
//!
//! With score s_y = e_y − π, ‖s_y‖² = 1 − 2π_y + ‖π‖² and s_y·s_z = δ − π_y − π_z + ‖π‖², so the trace of the covariance is a
//! sum over arms. A baseline taken from the batch makes the batch gradient a U-statistic of order two with kernel
//! ½(r − r′)(s − s′) + ½(c s + c′ s′); its variance is 4(B−2)/(B(B−1)) ζ₁ + 2/(B(B−1)) ζ₂ (Hoeffding), with ζ₁ and ζ₂ closed
//! sums as well.

use super::{
    Estimator, Scene,
    coefficient::{Parts, drawn, reference_total},
};

/// What an estimator does at a policy; see [`EstimatorReport::new`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EstimatorReport {
    /// Cosine between the expected and the exact gradient; NaN where either is zero or not finite.
    pub cosine: f64,
    /// ‖expected gradient‖ / ‖exact gradient‖; NaN where the exact one is zero or not finite.
    pub length_ratio: f64,
    /// ‖expected gradient‖.
    pub length: f64,
    /// Trace of the covariance of one batch's gradient, times the batch size: the variance that each sample brings.
    pub variance: f64,
    /// ‖expected gradient‖ over the root of the trace of the covariance of one batch's gradient.
    pub signal_to_noise: f64,
    /// Where the variance comes from.
    pub spread: Spread,
    /// σ that divides the reward, where the advantage divides by it.
    pub sigma: Option<f64>,
}

/// Where an estimator's variance comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Spread {
    /// Arms that a batch usually holds carry most of it.
    Ordinary,
    /// Most comes from arms that a batch is unlikely to hold: a run looks calm until one of them turns up.
    RareArms {
        /// Their part of the second moment, 0.5 to 1.
        share: f64,
    },
    /// It exceeds every floating-point number.
    Infinite,
}

impl EstimatorReport {
    /// Measures an estimator with batches of `batch` samples. `exact` is the exact gradient of the objective
    /// ([`super::exact_gradient`]); `scratch` is overwritten with the estimator's expected gradient.
    ///
    /// A batch's standard deviation is taken at its large-batch value; all else is exact at every batch size.
    #[must_use]
    pub fn new(
        estimator: Estimator,
        scene: &Scene,
        batch: usize,
        exact: &[f64],
        scratch: &mut Vec<f64>,
    ) -> Self {
        let parts = Parts::of(estimator, scene, batch);
        super::coefficient::expected(scene, &parts, scratch);
        let length = norm(scratch);
        let exact_length = norm(exact);
        let dot: f64 = scratch.iter().zip(exact).map(|(a, b)| a * b).sum();
        let moments = Moments::of(&parts, scene, batch);
        let covariance = moments.batch_covariance(batch.max(1) as f64);
        Self {
            // What rounding leaves of a zero gradient has no direction.
            cosine: if length > 1e-9 * exact_length {
                (dot / (length * exact_length)).clamp(-1.0, 1.0)
            } else {
                f64::NAN
            },
            length_ratio: length / exact_length,
            length,
            variance: covariance * batch.max(1) as f64,
            signal_to_noise: length / covariance.sqrt(),
            spread: moments.spread(),
            sigma: parts.sigma,
        }
    }
}

fn norm(vector: &[f64]) -> f64 {
    vector.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// Sums over arms from which the variance follows. r is the scaled, centred inside; c the outside; t = r + c.
#[derive(Debug, Default)]
struct Moments {
    centred: bool,
    /// Σ π².
    collision: f64,
    /// E t²‖s‖², its part from arms drawn less than once per batch, and ‖E t s‖².
    second: f64,
    rare: f64,
    expected: f64,
    /// E r².
    inside: f64,
    /// E c²‖s‖², ‖E c s‖².
    outside: f64,
    outside_expected: f64,
    /// E r c (1−π), E r c, E r π, E c.
    cross: [f64; 4],
    /// Variance from samples of the reference, per sample.
    on_reference: f64,
}

impl Moments {
    fn of(parts: &Parts, scene: &Scene, batch: usize) -> Self {
        let collision: f64 = drawn(scene).map(|(_, _, mass)| mass * mass).sum();
        let mean = if parts.centred {
            parts.inside_moments(scene).0
        } else {
            0.0
        };
        let mut sums = Self {
            centred: parts.centred,
            collision,
            ..Self::default()
        };
        let rare_below = 1.0 / batch.max(1) as f64;
        let (mut whole, mut loss) = (Score::default(), Score::default());
        for (arm, log_mass, mass) in drawn(scene) {
            let score = 1.0 - 2.0 * mass + collision;
            let total = parts.total(scene, arm, mean);
            whole.add(total.first(mass, log_mass), mass);
            let second = total.second(mass, log_mass) * score;
            sums.second += second;
            if mass < rare_below {
                sums.rare += second;
            }
            if parts.centred {
                let inside = parts.inside(scene, arm).plus(-mean).times(parts.factor);
                let outside = parts.outside(scene, arm);
                sums.inside += inside.second(mass, log_mass);
                let first = outside.first(mass, log_mass);
                sums.outside += outside.second(mass, log_mass) * score;
                loss.add(first, mass);
                if first != 0.0 {
                    // An outside loss goes with a plain inside, so r is finite wherever c is not zero.
                    let r = inside.value();
                    sums.cross[0] += r * first * (1.0 - mass);
                    sums.cross[1] += r * first;
                }
                sums.cross[2] += inside.first(mass, log_mass) * mass;
            }
        }
        sums.cross[3] = loss.mean;
        sums.outside_expected = loss.squared_norm(collision);
        sums.expected = whole.squared_norm(collision);
        if parts.on_reference > 0.0 {
            sums.on_reference = reference_samples_variance(parts.on_reference, scene, collision);
        }
        sums
    }

    /// Trace of the covariance of a batch's gradient.
    fn batch_covariance(&self, batch: f64) -> f64 {
        let on_reference = self.on_reference / batch;
        if !self.centred || batch < 2.0 {
            return (self.second - self.expected).max(0.0) / batch + on_reference;
        }
        let [r_c_rest, r_c, r_mass, c] = self.cross;
        let first = 0.25 * (self.second - self.expected);
        let second = self.inside + r_c_rest + self.collision * r_c - r_mass * c
            + 0.5 * (self.outside + self.outside_expected)
            - self.expected;
        let pairs = batch * (batch - 1.0);
        ((4.0 * (batch - 2.0) * first + 2.0 * second) / pairs).max(0.0) + on_reference
    }

    fn spread(&self) -> Spread {
        if !self.second.is_finite() {
            return Spread::Infinite;
        }
        let share = self.rare / self.second;
        if share > 0.5 {
            Spread::RareArms { share }
        } else {
            Spread::Ordinary
        }
    }
}

/// ‖E c s‖² from sums over arms: E c s = πc − π E c.
#[derive(Debug, Default)]
struct Score {
    mean: f64,
    squares: f64,
    weighted: f64,
}

impl Score {
    fn add(&mut self, first: f64, mass: f64) {
        self.mean += first;
        self.squares += first * first;
        self.weighted += first * mass;
    }

    fn squared_norm(&self, collision: f64) -> f64 {
        (self.squares - 2.0 * self.mean * self.weighted + self.mean * self.mean * collision)
            .max(0.0)
    }
}

/// Variance per sample of `weight` · ‖π_ref‖₁ · (e_y − π) with y drawn from the reference.
fn reference_samples_variance(weight: f64, scene: &Scene, collision: f64) -> f64 {
    let total = reference_total(scene);
    let mut score = 0.0;
    let mut distance = 0.0;
    for (log_reference, log_policy) in scene.log_reference.iter().zip(scene.log_policy) {
        let reference = log_reference.exp() / total;
        let policy = log_policy.exp();
        score += reference * (1.0 - 2.0 * policy + collision);
        distance += (reference - policy).powi(2);
    }
    (weight * total).powi(2) * (score - distance).max(0.0)
}
