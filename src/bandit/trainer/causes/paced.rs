//! Companions of a problem too large to keep step with: they take one step to several of the run's, so that they cost about a
//! tenth of it, and are compared at points of a fixed list with the masses that the run had there.
//!
//! A stretch begins at the start and some steps after every edit, with the companions where the run is. After n steps of the
//! run they have done n / pace, and what is known is the comparison at the last point up to there: so what is seen depends on
//! the step alone, here too. Whoever looks only now and then makes them catch up at that moment; a session follows them at
//! every step, so that no step takes long ([`Trainer::follow_in_time`]).

use std::{collections::VecDeque, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{Causes, LARGEST, Needed, distance, exactly, total_variation};
use crate::{
    bandit::trainer::{Trainer, sampler::TREE_ARMS},
    experiment::{PolicyFamily, Training, Update},
};

/// What companions may cost by [`Cost`]'s estimate, as a share of the run: one part in so many. Their share of the caches and
/// the comparisons make it a tenth.
const SHARE: usize = 16;
/// Companions are not compared more often than this, in their steps: the search for mirror descent's point costs as much as
/// a dozen of them.
pub(super) const LEAST_STRIDE: u64 = 32;
/// Comparisons for each doubling of the step, and from how many arms on one is enough: the run's masses at points that the
/// companions have not reached wait in memory.
const POINTS_PER_DOUBLING: u64 = 4;
const HUGE: usize = 1 << 17;
/// Steps from an edit to the begin of its stretch: putting companions where the run is takes longer than a step, and every
/// edit of a slider that is dragged would do it.
pub(super) const SETTLE: u64 = 32;
/// Steps after which companions rest, and what a stretch may cost if that is less, in multiples of one pass over an arm.
const LAST: u64 = 20_000;
const BUDGET: usize = 100_000_000_000;

/// Where a stretch stands. Steps are counted from its begin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Paced {
    /// Steps of the run before it.
    begun: u64,
    /// Steps of the run for each of the companions'.
    pace: u64,
    /// The last point.
    last: u64,
    /// Comparisons for each doubling of the step.
    points: u64,
    /// Steps that companions have done.
    reached: u64,
    /// A companion left the finite numbers: nothing further is compared.
    lost: bool,
    /// Masses of the run at points ahead, ascending. As f32: a total variation of masses rounded so is off by 1e-7 at most.
    ahead: VecDeque<(u64, Arc<[f32]>)>,
    /// What was compared last, and at which point; at the begin nothing is apart.
    at: u64,
    compared: Causes,
}

impl Paced {
    /// The point at or before so many steps, 0 being the begin.
    fn point_before(&self, steps: u64) -> u64 {
        let doubling = steps.checked_ilog2().map_or(1, |log| 1 << log);
        let stride = (doubling / self.points).max(LEAST_STRIDE);
        (steps - steps % stride).min(self.last)
    }

    /// The point after so many steps; none after the last.
    fn point_after(&self, steps: u64) -> Option<u64> {
        let doubling = steps.checked_ilog2().map_or(1, |log| 1 << log);
        let stride = (doubling / self.points).max(LEAST_STRIDE);
        let next = steps - steps % stride + stride;
        (next <= self.last).then_some(next)
    }

    /// Steps that companions should have done when the run stands at `step`.
    fn due(&self, step: u64) -> u64 {
        (step.saturating_sub(self.begun) / self.pace).min(self.last)
    }

    /// The run's step at which companions are to do their next one.
    fn next_step(&self) -> u64 {
        if self.is_over() {
            u64::MAX
        } else {
            self.begun + self.pace * (self.reached + 1)
        }
    }

    /// The run's step at which its masses are to be kept next, the run having done `step`.
    fn next_kept(&self, step: u64) -> u64 {
        match self.point_after(step.saturating_sub(self.begun)) {
            Some(point) if !self.is_over() => self.begun + point,
            Some(_) | None => u64::MAX,
        }
    }

    /// Steps that the companions have done.
    #[cfg(test)]
    pub(super) fn reached(&self) -> u64 {
        self.reached
    }

    fn is_over(&self) -> bool {
        self.lost || self.reached >= self.last
    }
}

impl Trainer {
    /// Whether companions are too large to keep step with the run.
    pub(super) fn is_paced(&self) -> bool {
        self.problem.arms() > LARGEST && !self.is_companion
    }

    /// A stretch begins shortly: companions are put where the run is then.
    pub(super) fn expect_paced(&mut self) {
        let needed = Needed::by(&self.training, self.drive.divergence);
        let table = self.training.policy == PolicyFamily::SoftmaxTable;
        // The run is its own exact-gradient run, or its own mirror descent.
        let alone = match self.training.update {
            Update::Exact => !table,
            Update::NaturalGradient => true,
            Update::Sampled { .. } | Update::Dap { .. } => false,
        };
        let companions = &mut self.companions;
        companions.keep_at = u64::MAX;
        companions.follow_at = u64::MAX;
        companions.begins_at = u64::MAX;
        companions.paced = None;
        if alone {
            companions.exact = None;
            companions.expected = None;
            companions.mirror = Arc::default();
            return;
        }
        let arms = self.problem.arms();
        let cost = Cost::of(self, &needed);
        let points = if arms > HUGE { 1 } else { POINTS_PER_DOUBLING };
        let begun = match self.step {
            0 => 0,
            step => step + SETTLE,
        };
        let mut paced = Paced {
            begun,
            pace: cost.pace(),
            last: u64::MAX,
            points,
            reached: 0,
            lost: false,
            ahead: VecDeque::new(),
            at: 0,
            compared: Causes::none(table),
        };
        paced.last = paced.point_before(cost.most_steps()).max(LEAST_STRIDE);
        self.companions.begins_at = begun;
        self.companions.paced = Some(paced);
    }

    /// Puts the companions where the run is, just before its next step.
    #[cold]
    pub(in super::super) fn begin_paced(&mut self) {
        self.companions.begins_at = u64::MAX;
        let Some(paced) = &self.companions.paced else {
            return;
        };
        (self.companions.keep_at, self.companions.follow_at) =
            (paced.next_kept(self.step), paced.next_step());
        if self.training.policy == PolicyFamily::SoftmaxTable {
            self.companions.mirror = self.log_masses().into();
        }
        self.put_companions();
    }

    /// The companions that the run needs, at its policy.
    fn put_companions(&mut self) {
        let needed = Needed::by(&self.training, self.drive.divergence);
        let exact = self.companions.exact.take();
        let expected = self.companions.expected.take();
        if needed.exact {
            self.companions.exact = self.companion(exactly(&self.training), exact);
        }
        if needed.expected {
            self.companions.expected = self.companion(Training::clone(&self.training), expected);
        }
        self.lose_paced_if_incomplete();
    }

    /// Without a companion that the run needs there is nothing to compare it with.
    pub(super) fn lose_paced_if_incomplete(&mut self) {
        let needed = Needed::by(&self.training, self.drive.divergence);
        let companions = &self.companions;
        let missing = (needed.exact && companions.exact.is_none())
            || (needed.expected && companions.expected.is_none());
        let goes_on = (companions.paced.as_ref()).is_some_and(|paced| !paced.is_over());
        if missing && goes_on && companions.begins_at == u64::MAX {
            self.lose_paced();
        }
    }

    /// The run stands at a point: its masses are kept until the companions are there.
    pub(super) fn keep_paced(&mut self) {
        self.fill_masses();
        let Some(paced) = &mut self.companions.paced else {
            return;
        };
        let masses = self.masses.iter().map(|&mass| mass as f32).collect();
        paced.ahead.push_back((self.step - paced.begun, masses));
        // Nobody will ask for a point once a later one is due.
        let due = paced.due(self.step);
        while paced.ahead.get(1).is_some_and(|(point, _)| *point <= due) {
            paced.ahead.pop_front();
        }
        self.companions.keep_at = paced.next_kept(self.step);
    }

    /// Lets the companions do the step that is due, if one is; for every step of a run that somebody watches.
    pub(crate) fn follow_in_time(&mut self) {
        if self.step >= self.companions.follow_at {
            self.follow_paced();
        }
    }

    /// Brings the companions to where they should be at this step.
    #[cold]
    pub(super) fn follow_paced(&mut self) {
        let Some(paced) = &mut self.companions.paced else {
            return;
        };
        if self.companions.begins_at != u64::MAX {
            return;
        }
        let due = paced.due(self.step);
        let mut reached = None;
        while paced.ahead.front().is_some_and(|(point, _)| *point <= due) {
            reached = paced.ahead.pop_front();
        }
        if let Some((point, masses)) = reached
            && self.go_to(point)
        {
            let compared = self.compare_with(&masses);
            if let Some(paced) = &mut self.companions.paced {
                (paced.at, paced.compared) = (point, compared);
            }
        }
        self.go_to(due);
        if let Some(paced) = &self.companions.paced {
            self.companions.follow_at = paced.next_step();
            if paced.is_over() {
                self.rest_paced();
            }
        }
    }

    /// Steps the companions on to a point; whether they got there.
    fn go_to(&mut self, point: u64) -> bool {
        let Some(paced) = &mut self.companions.paced else {
            return false;
        };
        let steps = point.saturating_sub(paced.reached);
        paced.reached += steps;
        let on = |companion: &mut Box<Trainer>| (0..steps).all(|_| companion.step().is_ok());
        let companions = &mut self.companions;
        let sound = [&mut companions.exact, &mut companions.expected]
            .into_iter()
            .flatten()
            .all(on);
        if !sound {
            self.lose_paced();
        }
        sound
    }

    /// The causes at a point that the companions have reached, where the run had `masses`.
    fn compare_with(&mut self, masses: &[f32]) -> Causes {
        let exact = match &mut self.companions.exact {
            Some(exact) => exact.masses().to_vec(),
            None => masses.iter().map(|&mass| f64::from(mass)).collect(),
        };
        let bias = match &mut self.companions.expected {
            Some(expected) => total_variation(expected.masses(), &exact),
            None => 0.0,
        };
        let run = masses.iter().map(|&mass| f64::from(mass));
        Causes {
            sampling: distance(run, exact.iter().copied()),
            bias: Some(bias),
            dynamics: self.mirror_distance(&exact),
        }
    }

    fn lose_paced(&mut self) {
        if let Some(paced) = &mut self.companions.paced {
            paced.lost = true;
        }
        self.rest_paced();
    }

    /// Nothing more is compared before the next edit.
    fn rest_paced(&mut self) {
        let companions = &mut self.companions;
        companions.exact = None;
        companions.expected = None;
        companions.mirror = Arc::default();
        companions.keep_at = u64::MAX;
        companions.follow_at = u64::MAX;
        if let Some(paced) = &mut companions.paced {
            paced.ahead.clear();
        }
    }

    /// The step of the run that was compared last.
    pub(super) fn paced_until(&self) -> Option<u64> {
        let paced = self.companions.paced.as_ref()?;
        Some((paced.begun + paced.at).min(self.step))
    }

    /// What is known at this step.
    pub(super) fn paced_causes(&mut self) -> Option<Causes> {
        self.follow_paced();
        Some(self.companions.paced.as_ref()?.compared)
    }

    /// Goes on with a stretch that was saved at this step; from its companions' states `restore` makes them again.
    pub(super) fn restore_paced(&mut self, paced: &Paced, mirror: &Arc<[f64]>) {
        self.companions.begins_at = u64::MAX;
        self.companions.paced = Some(paced.clone());
        self.companions.mirror = Arc::clone(mirror);
        if paced.is_over() {
            self.rest_paced();
            return;
        }
        if paced.begun >= self.step {
            // It is still to begin.
            self.companions.keep_at = u64::MAX;
            self.companions.follow_at = u64::MAX;
            self.companions.begins_at = paced.begun;
            return;
        }
        self.companions.keep_at = paced.next_kept(self.step);
        self.companions.follow_at = paced.next_step();
        self.put_companions();
    }
}

/// What steps cost, in multiples of one pass of the table over an arm.
struct Cost {
    run: usize,
    companions: usize,
}

impl Cost {
    fn of(trainer: &Trainer, needed: &Needed) -> Self {
        /// A gradient that is written out arm by arm before the pass.
        const DENSE: usize = 6;
        /// A draw by binary search, and one of a small problem's tree.
        const DRAW: usize = 80;
        const TREE_DRAW: usize = 2;
        let arms = trainer.problem.arms();
        let family = trainer.family.as_ref().map(|family| 2 * family.cost());
        let dense = DENSE * arms + family.unwrap_or(0);
        let projects = trainer.drive.divergence == crate::theory::Divergence::Reverse;
        let exact = if projects && family.is_none() {
            arms
        } else {
            dense
        };
        let drawn = |batch: usize| match (arms <= TREE_ARMS, family) {
            (true, _) => dense + TREE_DRAW * batch,
            (false, None) => arms + DRAW * batch,
            (false, Some(_)) => dense + DRAW * batch,
        };
        Self {
            run: match trainer.training.update {
                Update::Exact | Update::NaturalGradient => exact,
                Update::Sampled { batch, .. } | Update::Dap { batch } => drawn(batch),
            },
            companions: [(needed.exact, exact), (needed.expected, dense)]
                .iter()
                .filter(|(needed, _)| *needed)
                .map(|(_, cost)| cost)
                .sum(),
        }
    }

    /// Steps of the run for each of the companions'.
    fn pace(&self) -> u64 {
        (SHARE * self.companions).div_ceil(self.run.max(1)).max(1) as u64
    }

    /// Steps of the companions until they rest; a run that is its own companion need not.
    fn most_steps(&self) -> u64 {
        match BUDGET.checked_div(self.companions) {
            Some(most) => LAST.min(most as u64),
            None => u64::MAX,
        }
    }
}
