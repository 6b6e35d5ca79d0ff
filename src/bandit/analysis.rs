//! Everything that follows from a problem and an objective alone, before any training: the target, its ties, its modes
//! and the sentence that says why. The window shows it in the same frame as an edit; the trainer measures against it.

use crate::theory::{Metrics, Target, Tie};

/// What an objective asks for on a problem.
#[derive(Debug, Clone, PartialEq)]
pub struct Analysis {
    /// Effective rewards R = scale·r + offset, one per arm.
    pub rewards: Vec<f64>,
    /// Effective rewards after MARA, where it is on and changes any.
    pub augmented: Option<Vec<f64>>,
    /// Natural-log reference masses after MARA's Algorithm 2, where it is on and changes any (not normalised).
    pub swapped_reference: Option<Vec<f64>>,
    /// The target.
    pub target: Target,
    /// Metrics with the target in place of the policy.
    pub target_metrics: Metrics,
    /// Metrics with the reference in place of the policy.
    pub reference_metrics: Metrics,
    /// Mode masses of the reference, one per mode.
    pub reference_modes: Vec<f64>,
    /// Mode masses of the target, one per mode.
    pub target_modes: Vec<f64>,
    /// Tie points between arms (all pairs on small problems, the winners' boundary on large ones), ascending in β.
    pub ties: Vec<Tie>,
    /// Tie points between modes (their best arms), ascending in β; indices are modes.
    pub mode_ties: Vec<Tie>,
    /// What the target looks like and why, in words.
    pub sentence: String,
}
