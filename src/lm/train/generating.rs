//! How far the sampling of a step has come, for whoever shows it meanwhile.

use std::{
    sync::{Mutex, PoisonError},
    time::Instant,
};

/// Written while completions are drawn, read by others.
#[derive(Debug, Default)]
pub struct Generating {
    at: Mutex<Option<GeneratedSoFar>>,
}

/// Where sampling is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GeneratedSoFar {
    /// When it began.
    pub since: Instant,
    /// Tokens that the longest completion has.
    pub tokens: usize,
    /// Tokens that a completion may have; all may end before.
    pub most: usize,
}

impl Generating {
    /// Where sampling is; none outside of it.
    #[must_use]
    pub fn so_far(&self) -> Option<GeneratedSoFar> {
        *self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn begin(&self, most: usize) {
        self.set(Some(GeneratedSoFar {
            since: Instant::now(),
            tokens: 0,
            most,
        }));
    }

    pub(crate) fn reach(&self, tokens: usize) {
        self.set(self.so_far().map(|at| GeneratedSoFar { tokens, ..at }));
    }

    pub(super) fn end(&self) {
        self.set(None);
    }

    fn set(&self, at: Option<GeneratedSoFar>) {
        *self.at.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }
}
