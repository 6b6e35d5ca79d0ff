//! One lowest and one highest value per pixel column of a long series, kept until the data or the zoom change.

use std::sync::Arc;

use crate::bandit::{Analysis, Problem};

/// Values per arm in whichever form they are at hand.
#[derive(Clone, Copy)]
pub(crate) enum Values<'a> {
    /// As they are.
    Plain(&'a [f64]),
    /// As they are, in single precision.
    Single(&'a [f32]),
    /// Natural logs of what is shown.
    Log(&'a [f64]),
    /// Counts out of a total; a column shows their mean, since single counts say little.
    Counts(&'a [u32], u64),
}

impl Values<'_> {
    /// How many arms have a value.
    pub(crate) fn len(self) -> usize {
        match self {
            Self::Plain(v) | Self::Log(v) => v.len(),
            Self::Single(v) => v.len(),
            Self::Counts(v, _) => v.len(),
        }
    }

    /// One arm's value; NaN if there is none.
    pub(crate) fn get(self, arm: usize) -> f64 {
        match self {
            Self::Plain(v) => v.get(arm).copied(),
            Self::Single(v) => v.get(arm).copied().map(f64::from),
            Self::Log(v) => v.get(arm).map(|v| v.exp()),
            Self::Counts(v, total) => v.get(arm).map(|&v| f64::from(v) / (total.max(1) as f64)),
        }
        .unwrap_or(f64::NAN)
    }

    /// Highest value of a range of arms (mean for counts); NaN for an empty one.
    pub(crate) fn highest(self, from: usize, to: usize) -> f64 {
        self.extent(from, to).1
    }

    /// Lowest and highest value of a range of arms (mean and mean for counts); NaN for an empty one.
    fn extent(self, from: usize, to: usize) -> (f64, f64) {
        match self {
            Self::Plain(v) => extent(v.get(from..to).unwrap_or(&[])),
            Self::Single(v) => {
                let mut low = f32::INFINITY;
                let mut high = f32::NEG_INFINITY;
                for &value in v.get(from..to).unwrap_or(&[]) {
                    low = if value < low { value } else { low };
                    high = if value > high { value } else { high };
                }
                found(f64::from(low), f64::from(high))
            }
            Self::Log(v) => {
                let (low, high) = extent(v.get(from..to).unwrap_or(&[]));
                (low.exp(), high.exp())
            }
            Self::Counts(v, total) => {
                let part = v.get(from..to).unwrap_or(&[]);
                let sum: u64 = part.iter().map(|&c| u64::from(c)).sum();
                let mean = sum as f64 / (total.max(1) as f64 * part.len().max(1) as f64);
                (mean, mean)
            }
        }
    }
}

fn extent(values: &[f64]) -> (f64, f64) {
    let mut low = f64::INFINITY;
    let mut high = f64::NEG_INFINITY;
    for &value in values {
        low = if value < low { value } else { low };
        high = if value > high { value } else { high };
    }
    found(low, high)
}

fn found(low: f64, high: f64) -> (f64, f64) {
    if low <= high {
        (low, high)
    } else {
        (f64::NAN, f64::NAN)
    }
}

/// Where values came from. Holding the allocation makes "is it the same data" a comparison of addresses.
#[derive(Clone)]
pub(crate) enum Held {
    /// Of a problem.
    Problem(Arc<Problem>),
    /// Of an analysis.
    Analysis(Arc<Analysis>),
    /// Numbers of their own: a policy, rewards.
    Numbers(Arc<[f64]>),
    /// A keyframe's policy.
    Frame(Arc<[f32]>),
    /// Sample counts.
    Counts(Arc<[u32]>),
}

impl Held {
    /// The very same allocation.
    pub(crate) fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Problem(a), Self::Problem(b)) => Arc::ptr_eq(a, b),
            (Self::Analysis(a), Self::Analysis(b)) => Arc::ptr_eq(a, b),
            (Self::Numbers(a), Self::Numbers(b)) => Arc::ptr_eq(a, b),
            (Self::Frame(a), Self::Frame(b)) => Arc::ptr_eq(a, b),
            (Self::Counts(a), Self::Counts(b)) => Arc::ptr_eq(a, b),
            (
                Self::Problem(_)
                | Self::Analysis(_)
                | Self::Numbers(_)
                | Self::Frame(_)
                | Self::Counts(_),
                _,
            ) => false,
        }
    }
}

/// The arms shown and the number of columns they share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    /// First arm shown.
    pub(crate) first: usize,
    /// One past the last arm shown.
    pub(crate) end: usize,
    /// Number of columns; at most one per arm.
    pub(crate) columns: usize,
}

impl Window {
    /// Arms [first, end) on at most `pixels` columns.
    pub(crate) fn new(first: usize, end: usize, pixels: usize) -> Self {
        let arms = end.saturating_sub(first);
        Self {
            first,
            end,
            columns: arms.min(pixels.max(1)),
        }
    }

    /// Whether columns hold several arms.
    pub(crate) fn aggregates(self) -> bool {
        self.columns < self.end - self.first
    }

    /// First arm of a column; the end for the column past the last.
    pub(crate) fn start(self, column: usize) -> usize {
        self.first + (self.end - self.first) * column / self.columns.max(1)
    }

    /// The column that holds an arm.
    pub(crate) fn column(self, arm: usize) -> usize {
        let arms = (self.end - self.first).max(1);
        let guess = arm.saturating_sub(self.first) * self.columns / arms;
        // Integer rounding can be one off.
        if guess + 1 < self.columns && self.start(guess + 1) <= arm {
            guess + 1
        } else {
            guess.min(self.columns.saturating_sub(1))
        }
    }
}

/// A series as columns.
#[derive(Default)]
pub(crate) struct Columns {
    key: Option<(Held, Window)>,
    /// Lowest value of each column.
    pub(crate) low: Vec<f64>,
    /// Highest value of each column.
    pub(crate) high: Vec<f64>,
    /// Highest value of all.
    pub(crate) top: f64,
    /// Lowest value of all.
    pub(crate) bottom: f64,
    /// Lowest positive value of all; infinite if there is none.
    pub(crate) bottom_positive: f64,
}

impl Columns {
    /// Computes the columns anew if data or window are not those of the last call.
    pub(crate) fn update(&mut self, held: Held, window: Window, values: Values<'_>) {
        if let Some((old, old_window)) = &self.key
            && *old_window == window
            && old.same(&held)
        {
            return;
        }
        self.key = Some((held, window));
        self.low.clear();
        self.high.clear();
        self.top = f64::NEG_INFINITY;
        self.bottom = f64::INFINITY;
        self.bottom_positive = f64::INFINITY;
        for column in 0..window.columns {
            let (low, high) = values.extent(window.start(column), window.start(column + 1));
            self.low.push(low);
            self.high.push(high);
            self.top = self.top.max(high);
            self.bottom = self.bottom.min(low);
            if low > 0.0 {
                self.bottom_positive = self.bottom_positive.min(low);
            } else if high > 0.0 {
                self.bottom_positive = self.bottom_positive.min(high);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_arm_is_in_exactly_one_column_and_spikes_survive() {
        let mut values = vec![0.1; 1003];
        values[777] = 9.0;
        values[778] = -3.0;
        let window = Window::new(0, values.len(), 100);
        assert_eq!((window.start(0), window.start(100)), (0, 1003));
        let held = Held::Numbers(values.clone().into());
        let mut columns = Columns::default();
        columns.update(held, window, Values::Plain(&values));
        assert_eq!((columns.top, columns.bottom), (9.0, -3.0));
        assert_eq!(columns.high.iter().filter(|v| **v == 9.0).count(), 1);
    }

    #[test]
    fn columns_change_with_the_data_but_not_without() {
        let window = Window::new(0, 2, 10);
        let (a, b): (Arc<[f64]>, Arc<[f64]>) = (vec![1.0, 2.0].into(), vec![3.0, 4.0].into());
        let mut columns = Columns::default();
        columns.update(Held::Numbers(a.clone()), window, Values::Plain(&a));
        // The same allocation is not read again.
        columns.update(Held::Numbers(a.clone()), window, Values::Plain(&b));
        assert_eq!(columns.high, [1.0, 2.0]);
        columns.update(Held::Numbers(b.clone()), window, Values::Plain(&b));
        assert_eq!(columns.high, [3.0, 4.0]);
    }

    #[test]
    fn missing_and_undefined_values_do_not_spread() {
        let window = Window::new(0, 5, 5);
        let values: Arc<[f64]> = vec![f64::NAN, 1.0, 0.0].into();
        let mut columns = Columns::default();
        columns.update(
            Held::Numbers(values.clone()),
            window,
            Values::Plain(&values),
        );
        assert!(columns.high[0].is_nan() && columns.high[4].is_nan());
        assert_eq!((columns.top, columns.bottom_positive), (1.0, 1.0));
    }
}
