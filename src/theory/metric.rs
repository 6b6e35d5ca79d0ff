//! The list of everything that is measured of a policy: one enum feeds charts, tables, CSV files and phase diagrams.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::coverage::CoverageRule;

macro_rules! metrics {
    ($($(#[doc = $doc:literal])+ $variant:ident, $key:literal, $label:literal, $formula:literal;)+) => {
        /// One number measured of a policy π against its problem and target G (docs/math.md section 5 unless said).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Metric { $($(#[doc = $doc])+ $variant,)+ }

        impl Metric {
            /// Every metric, in the order in which tables list them.
            pub const ALL: &'static [Metric] = &[$(Metric::$variant,)+];

            /// Name in files and JSON.
            #[must_use]
            pub fn key(self) -> &'static str { match self { $(Metric::$variant => $key,)+ } }

            /// Name in the window.
            #[must_use]
            pub fn label(self) -> &'static str { match self { $(Metric::$variant => $label,)+ } }

            /// What it is, as a formula.
            #[must_use]
            pub fn formula(self) -> &'static str { match self { $(Metric::$variant => $formula,)+ } }
        }
    };
}

metrics! {
    /// Expected effective reward.
    ExpectedReward, "expected_reward", "E[R]", "Σ π(y) R(y)";
    /// The objective's value.
    Objective, "objective", "J", "E_π[R] − β D(π, π_ref) + η H(π)";
    /// The best value any policy can have.
    OptimalObjective, "optimal_objective", "J*", "J at the target";
    /// What is left to gain.
    ObjectiveGap, "objective_gap", "J* − J", "J* − J(π)";
    /// KL(π‖π_ref).
    KlToReference, "kl_to_reference", "KL(π‖π_ref)", "Σ π log(π/π_ref)";
    /// KL(π_ref‖π).
    KlFromReference, "kl_from_reference", "KL(π_ref‖π)", "Σ π_ref log(π_ref/π)";
    /// KL(π‖G).
    KlToTarget, "kl_to_target", "KL(π‖G)", "Σ π log(π/G)";
    /// KL(G‖π).
    KlFromTarget, "kl_from_target", "KL(G‖π)", "Σ G log(G/π)";
    /// Total variation to the target.
    TvToTarget, "tv_to_target", "TV(π, G)", "½ Σ |π − G|";
    /// Entropy in nats.
    Entropy, "entropy", "entropy", "−Σ π log π";
    /// Mass on modes.
    ModeMass, "mode_mass", "mass on modes", "m = Σ m_k";
    /// Modes that hold at least ε/M (ε as set, 0.1 by default).
    CoveredModes, "covered_modes", "covered modes", "#{k : m_k ≥ ε/M}";
    /// exp of the entropy of the mode shares.
    EffectiveModes, "effective_modes", "effective modes", "exp(−Σ p_k log p_k)";
    /// Smallest over largest mode share.
    Balance, "balance", "balance", "min p_k / max p_k";
    /// Largest mode share; above 0.95 is "unimodal".
    LargestShare, "largest_share", "largest share", "max p_k";
    /// Expected share of modes seen in n draws (n as set, 10 by default).
    Coverage, "coverage", "coverage@n", "(1/M) Σ (1 − (1−m_k)^n)";
    /// Effective β: β, or β·σ where a group's standard deviation divides the reward (docs/math.md section 4).
    EffectiveBeta, "effective_beta", "effective β", "β, or β·σ under group normalisation";
    /// First cause of collapse: the target itself is unimodal.
    CauseTarget, "cause_target", "cause: target", "KL(G‖uniform over good answers)";
    /// Second cause: softmax policy gradient against the natural gradient from the same start; 0 for a run that is one.
    CauseDynamics, "cause_dynamics", "cause: dynamics", "TV(exact-gradient run, mirror-descent run), up to 20,000 steps after an edit";
    /// Third cause: the sampled run against the exact-gradient run from the same start.
    CauseSampling, "cause_sampling", "cause: sampling", "TV(sampled run, exact-gradient run), up to 20,000 steps after an edit";
    /// What a batch without end would leave of the third cause, the estimator's own doing: a run on the expectation of the
    /// update against the exact-gradient run; 0 where the update is unbiased.
    EstimatorBias, "estimator_bias", "estimator bias", "TV(run on the expected update, exact-gradient run), what a batch without end leaves of sampling";
    /// Fourth cause: the family's best fit to G, against G.
    CauseRepresentation, "cause_representation", "cause: representation", "TV(best fit in the family, G)";
    /// Norm of the sampled gradient before clipping; language models only.
    GradientNorm, "gradient_norm", "gradient norm", "‖∇J‖ before clipping";
    /// Share of the batch that was an acceptable answer; language models only.
    ValidShare, "valid_share", "valid share", "samples that are an answer / batch";
}

impl Metric {
    /// Its name in the window with the numbers that a rule counts it by: "coverage@10", "covered modes (ε = 0.1)".
    #[must_use]
    pub fn label_by(self, rule: CoverageRule) -> Cow<'static, str> {
        match self {
            Self::Coverage => format!("coverage@{}", rule.draws).into(),
            Self::CoveredModes => format!("{} (ε = {})", self.label(), rule.epsilon).into(),
            _ => self.label().into(),
        }
    }

    /// What it is, as a formula with the numbers of a rule.
    #[must_use]
    pub fn formula_by(self, rule: CoverageRule) -> Cow<'static, str> {
        match self {
            Self::Coverage => format!("(1/M) Σ (1 − (1−m_k)^{})", rule.draws).into(),
            Self::CoveredModes => format!("#{{k : m_k ≥ {}/M}}", rule.epsilon).into(),
            _ => self.formula().into(),
        }
    }

    /// Those that compare the run with others that go beside it from the same start, and may be of an earlier step than the
    /// run's present one.
    pub const COMPARED: [Self; 3] = [
        Self::CauseDynamics,
        Self::CauseSampling,
        Self::EstimatorBias,
    ];
}

/// A value for every [`Metric`]; NaN where one is not defined (no modes, say) or not measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metrics {
    values: [f64; Metric::ALL.len()],
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            values: [f64::NAN; Metric::ALL.len()],
        }
    }
}

impl Metrics {
    /// The value, NaN where it is not defined.
    #[must_use]
    pub fn get(&self, metric: Metric) -> f64 {
        self.values[metric as usize]
    }

    /// Sets a value.
    pub fn set(&mut self, metric: Metric, value: f64) {
        self.values[metric as usize] = value;
    }

    /// Every metric with its value, in table order.
    pub fn iter(&self) -> impl Iterator<Item = (Metric, f64)> + '_ {
        Metric::ALL.iter().map(|&m| (m, self.get(m)))
    }
}
