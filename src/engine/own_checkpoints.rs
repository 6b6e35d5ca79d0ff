//! The checkpoints that a language run writes by itself: after every so many steps, as its preset says. A run folder and the
//! window write them by this same rule.

use std::path::{Path, PathBuf};

use super::session::{Session, SessionError};

/// See [`OwnCheckpoints::next`]; `at` is the step of the last one.
pub(super) fn next_after(session: &Session, at: Option<u64>) -> Option<u64> {
    let every = session.language()?.spec().checkpoints.every?;
    let step = session.step();
    let due = step.div_ceil(every).max(1).checked_mul(every)?;
    if at == Some(due) {
        due.checked_add(every)
    } else {
        Some(due)
    }
}

/// Where a run's own checkpoints go, and which was the last.
#[derive(Debug)]
pub(super) struct OwnCheckpoints {
    root: PathBuf,
    /// Step of the last one, whether it could be written or not.
    at: Option<u64>,
}

impl OwnCheckpoints {
    /// None written so far.
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root, at: None }
    }

    /// The folder that holds them.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The next step, from the present one on, after which one is due and not yet written; none where the preset wants none.
    pub(super) fn next(&self, session: &Session) -> Option<u64> {
        next_after(session, self.at)
    }

    /// Whether one is due at the present step.
    pub(super) fn is_due(&self, session: &Session) -> bool {
        self.next(session) == Some(session.step())
    }

    /// Writes one of the present step, unless there is nothing to write: a bandit, or a step that was written before.
    pub(super) fn write(&mut self, session: &mut Session) -> Option<Result<PathBuf, SessionError>> {
        if session.language().is_none() || self.at == Some(session.step()) {
            return None;
        }
        self.at = Some(session.step());
        Some(session.checkpoint_by_itself(&self.root))
    }

    /// The run stands at another step now: what was written there may be written again.
    pub(super) fn forget_last(&mut self) {
        self.at = None;
    }
}
