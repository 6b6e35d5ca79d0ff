//! When a run stops by itself.

use std::time::Duration;

use super::message::StopReason;
use crate::experiment::StopRule;

/// Steps between two looks at the distance to the target.
const CHECK_EVERY: u64 = 10;
/// Steps for which the distance must stay small.
const STEADY: u64 = 100;

/// A stop rule and what has been seen of it.
#[derive(Debug, Clone)]
pub(crate) struct StopWatch {
    rule: StopRule,
    /// Since which step every look has found the policy close to the target.
    close_since: Option<u64>,
    converged: bool,
    ignored: Ignored,
}

/// Rules that held and that the user went on regardless of.
#[derive(Debug, Clone, Copy, Default)]
struct Ignored {
    steps: bool,
    converged: bool,
    seconds: bool,
}

impl StopWatch {
    pub(crate) fn new(rule: StopRule) -> Self {
        Self {
            rule,
            close_since: None,
            converged: false,
            ignored: Ignored::default(),
        }
    }

    /// Which rule holds, if any.
    pub(crate) fn holds(&self, step: u64, elapsed: Duration) -> Option<StopReason> {
        let StopRule {
            steps,
            converged: _,
            seconds,
        } = self.rule;
        if !self.ignored.steps && steps.is_some_and(|limit| step >= limit) {
            Some(StopReason::Steps)
        } else if !self.ignored.converged && self.converged {
            Some(StopReason::Converged)
        } else if !self.ignored.seconds
            && seconds.is_some_and(|limit| elapsed.as_secs_f64() >= limit)
        {
            Some(StopReason::Seconds)
        } else {
            None
        }
    }

    /// The next step at which [`Self::holds`] may change or the distance is to be checked.
    pub(crate) fn next_after(&self, step: u64) -> u64 {
        let check = match self.rule.converged {
            Some(_) => (step / CHECK_EVERY + 1) * CHECK_EVERY,
            None => u64::MAX,
        };
        match self.rule.steps {
            Some(limit) if limit > step => limit.min(check),
            _ => check,
        }
    }

    /// Whether the distance to the target is to be checked at this step.
    pub(crate) fn checks_distance(&self, step: u64) -> bool {
        self.rule.converged.is_some() && step.is_multiple_of(CHECK_EVERY)
    }

    /// Takes note of TV(π, G) at a step.
    pub(crate) fn distance(&mut self, step: u64, distance: f64) {
        if self.rule.converged.is_some_and(|limit| distance <= limit) {
            let since = *self.close_since.get_or_insert(step);
            self.converged = step - since >= STEADY;
        } else {
            self.target_moved();
        }
    }

    /// Starts looking anew, because the target or the policy has moved away.
    pub(crate) fn target_moved(&mut self) {
        self.close_since = None;
        self.converged = false;
        self.ignored.converged = false;
    }

    /// Ignores what holds now.
    pub(crate) fn ignore(&mut self, step: u64, elapsed: Duration) {
        while let Some(reason) = self.holds(step, elapsed) {
            match reason {
                StopReason::Steps => self.ignored.steps = true,
                StopReason::Converged => self.ignored.converged = true,
                StopReason::Seconds => self.ignored.seconds = true,
            }
        }
    }
}
