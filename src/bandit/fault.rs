//! Several things wrong with one source.

use super::build::ProblemError;

/// What is wrong with a source: at least one thing, in order.
#[derive(Debug)]
pub(super) struct Faults {
    first: ProblemError,
    more: Vec<ProblemError>,
}

impl Faults {
    /// Of a list; none for an empty one.
    pub(super) fn of(faults: Vec<ProblemError>) -> Option<Self> {
        let mut faults = faults.into_iter();
        Some(Self {
            first: faults.next()?,
            more: faults.collect(),
        })
    }

    /// All of them.
    pub(super) fn all(self) -> impl Iterator<Item = ProblemError> {
        std::iter::once(self.first).chain(self.more)
    }
}

impl From<ProblemError> for Faults {
    fn from(first: ProblemError) -> Self {
        Self {
            first,
            more: Vec::new(),
        }
    }
}

impl From<Faults> for ProblemError {
    /// The first of them, where only one is told.
    fn from(faults: Faults) -> Self {
        faults.first
    }
}
