//! The optimal policy of an objective, the "target" (docs/math.md section 1).

/// The distribution an objective asks for, with the multiplier that proves it.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Natural-log masses (−∞ for arms that get none), normalised.
    pub log_masses: Vec<f64>,
    /// Masses, exp of the above.
    pub masses: Vec<f64>,
    /// Multiplier of the sum-to-one constraint: Λ for `Forward`, λ for the α family; none for `Reverse`.
    pub lambda: Option<f64>,
    /// J*: the objective's value at the target.
    pub optimal_value: f64,
    /// Mass on arms outside the reference's support (only `Forward` and α ≤ 0 can put any there).
    pub outside_support: f64,
}

/// A β at which two arms (or modes) have the same target mass under `Reverse`; below it the better reward wins, above it
/// the better-supported one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tie {
    /// β*, > 0.
    pub beta: f64,
    /// The one with the better reward.
    pub better_reward: usize,
    /// The one with the better support.
    pub better_support: usize,
}
