//! A checked bandit problem: what a preset becomes once, at the edge. Inside, nothing is checked again.

use crate::theory::{CoverageRule, Distribution};

/// How the arms lie.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Shape {
    /// On a line.
    Line {
        /// Number of arms.
        count: usize,
        /// Interval that the arms cover.
        range: (f64, f64),
    },
    /// On a grid, row by row, row 0 at the smallest y.
    Grid {
        /// Number of rows (y).
        rows: usize,
        /// Number of columns (x).
        columns: usize,
        /// Interval that the columns cover.
        x_range: (f64, f64),
        /// Interval that the rows cover.
        y_range: (f64, f64),
    },
}

/// A set of arms that counts as one way to be right.
#[derive(Debug, Clone, PartialEq)]
pub struct Mode {
    /// What to call it.
    pub label: String,
    /// Its arms, ascending.
    pub arms: Vec<u32>,
}

/// A checked bandit problem of K arms (1 to 10⁶).
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// How the arms lie.
    pub shape: Shape,
    /// Names, if the arms have any.
    pub names: Option<Vec<String>>,
    /// The reference policy.
    pub reference: Distribution,
    /// Raw rewards, finite, one per arm.
    pub rewards: Vec<f64>,
    /// The modes, disjoint, in order of their first arm.
    pub modes: Vec<Mode>,
    /// What of the modes counts as covered.
    pub coverage: CoverageRule,
}

impl Shape {
    /// The number of arms; saturates where a grid is absurdly large.
    #[must_use]
    pub fn arms(&self) -> usize {
        match *self {
            Self::Line { count, .. } => count,
            Self::Grid { rows, columns, .. } => rows.saturating_mul(columns),
        }
    }

    /// Coordinates (x, y) of an arm: the centre of its cell; y is 0 on a line.
    #[must_use]
    pub fn coordinates(&self, arm: usize) -> (f64, f64) {
        match *self {
            Self::Line { count, range } => (centre(arm, count, range), 0.0),
            Self::Grid {
                rows,
                columns,
                x_range,
                y_range,
            } => (
                centre(arm % columns, columns, x_range),
                centre(arm / columns, rows, y_range),
            ),
        }
    }
}

impl Problem {
    /// The same problem with another rule of what counts as covered.
    #[must_use]
    pub fn counted_by(self, coverage: CoverageRule) -> Self {
        Self { coverage, ..self }
    }

    /// The number of arms.
    #[must_use]
    pub fn arms(&self) -> usize {
        self.rewards.len()
    }

    /// What to call an arm: its name, or its number.
    #[must_use]
    pub fn arm_label(&self, arm: usize) -> String {
        match self.names.as_ref().and_then(|names| names.get(arm)) {
            Some(name) => name.clone(),
            None => arm.to_string(),
        }
    }

    /// Coordinates (x, y) of an arm: the centre of its cell; y is 0 on a line.
    #[must_use]
    pub fn coordinates(&self, arm: usize) -> (f64, f64) {
        self.shape.coordinates(arm)
    }
}

fn centre(cell: usize, cells: usize, (low, high): (f64, f64)) -> f64 {
    low + (high - low) * (cell as f64 + 0.5) / cells as f64
}
