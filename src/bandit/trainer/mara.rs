//! MARA within a batch (docs/math.md section 3): threshold and anchor come from what was drawn, or from the best anchor
//! drawn so far.

use super::{drive::Drive, signal::Slots};
use crate::{
    bandit::Problem,
    theory::{
        Anchor, Divergence, Mara, MaraAlgorithm, Objective, Threshold,
        mara::{self, Anchored},
    },
};

/// MARA as sampled training applies it. Not made where the anchor is exact: the drive holds the result then.
#[derive(Debug, Clone)]
pub(super) struct BatchMara {
    mara: Mara,
    algorithm: MaraAlgorithm,
    beta: f64,
    /// log Σ π_ref over the good arms of each arm's class; none unless per class.
    class_logs: Option<Vec<f64>>,
    /// Rewards and log references after MARA, one per slot.
    rewards: Vec<f64>,
    log_reference: Vec<f64>,
    /// The support by which slots compete to be the anchor.
    support: Vec<f64>,
    order: Vec<(f64, f64)>,
    /// What the last batch settled on.
    last: Option<Anchored>,
}

impl BatchMara {
    /// None where MARA is off or its anchor exact.
    pub(super) fn new(problem: &Problem, objective: &Objective, drive: &Drive) -> Option<Self> {
        let mara = objective.mara?;
        match mara.anchor {
            Anchor::Exact => return None,
            Anchor::Batch | Anchor::RunningMaximum => {}
        }
        // Classes are the problem's: what counts as good in them is decided once, over all arms.
        let class_logs = mara.per_class.then(|| {
            let classes: Vec<&[u32]> = problem.modes.iter().map(|mode| &*mode.arms).collect();
            let tau = mara::threshold(mara.threshold, &drive.rewards).unwrap_or(f64::INFINITY);
            mara::class_log_reference(&drive.log_reference, &drive.rewards, tau, &classes)
        });
        Some(Self {
            mara,
            algorithm: mara.algorithm_for(Divergence::from(objective.direction)),
            beta: drive.beta,
            class_logs,
            rewards: Vec::new(),
            log_reference: Vec::new(),
            support: Vec::new(),
            order: Vec::new(),
            last: None,
        })
    }

    /// The slots with rewards and references of good arms replaced. `arm_of` names a slot's arm; `running` is the best
    /// anchor so far, and is kept up to date.
    pub(super) fn apply<'a>(
        &'a mut self,
        slots: &Slots<'a>,
        arm_of: impl Fn(usize) -> usize,
        drive: &Drive,
        running: &mut Option<u32>,
    ) -> Slots<'a> {
        let tau = self.threshold(slots);
        self.support.clear();
        self.support.extend((0..slots.counts.len()).map(|slot| {
            let drawn = slots.counts[slot] > 0.0;
            let class = self.class_logs.as_ref().map(|logs| logs[arm_of(slot)]);
            // Arms outside the support have the floor and are never good.
            let possible = slots.log_reference[slot] > super::drive::LOG_ZERO;
            if drawn && possible {
                class.unwrap_or(slots.log_reference[slot])
            } else {
                f64::NEG_INFINITY
            }
        }));
        let mut anchor = mara::find_anchor(slots.rewards, &self.support, tau);
        if let Some(found) = &mut anchor {
            found.index = arm_of(found.index);
        }
        if self.mara.anchor == Anchor::RunningMaximum {
            let kept = running.map(|arm| {
                let arm = arm as usize;
                let logs = self.class_logs.as_deref().unwrap_or(&drive.log_reference);
                mara::AnchorAnswer {
                    index: arm,
                    reward: drive.rewards[arm],
                    log_reference: logs[arm],
                }
            });
            // An edit may have made the old anchor a bad answer.
            let kept = kept.filter(|kept| kept.reward >= tau);
            anchor = match (kept, anchor) {
                (Some(kept), Some(new)) if new.log_reference > kept.log_reference => Some(new),
                (Some(kept), _) => Some(kept),
                (None, new) => new,
            };
            *running = anchor.map(|found| found.index as u32);
        }
        self.last = None;
        let Some(anchor) = anchor else {
            return *slots;
        };
        let anchored = Anchored {
            algorithm: self.algorithm,
            threshold: tau,
            beta: self.beta,
            anchor,
        };
        self.last = Some(anchored);
        self.rewards.clear();
        self.log_reference.clear();
        for (slot, support) in self.support.iter().enumerate() {
            let (reward, log_reference) = (slots.rewards[slot], slots.log_reference[slot]);
            let changed = if *support == f64::NEG_INFINITY {
                (reward, log_reference)
            } else {
                anchored.apply(reward, log_reference, *support)
            };
            self.rewards.push(changed.0);
            self.log_reference.push(changed.1);
        }
        Slots {
            rewards: &self.rewards,
            log_reference: &self.log_reference,
            ..*slots
        }
    }

    /// By how much the last batch's MARA raised an arm's log π_ref.
    pub(super) fn lift(&self, drive: &Drive, arm: usize) -> f64 {
        let log_reference = drive.log_reference[arm];
        let class = self
            .class_logs
            .as_ref()
            .map_or(log_reference, |logs| logs[arm]);
        self.last.map_or(0.0, |anchored| {
            anchored.apply(drive.rewards[arm], log_reference, class).1 - log_reference
        })
    }

    /// τ over the batch's samples.
    fn threshold(&mut self, slots: &Slots<'_>) -> f64 {
        match self.mara.threshold {
            Threshold::Constant(value) => value,
            Threshold::Percentile(share) => {
                self.order.clear();
                let drawn = slots.rewards.iter().zip(slots.counts);
                self.order.extend(
                    drawn
                        .filter(|(_, count)| **count > 0.0)
                        .map(|(r, c)| (*r, *c)),
                );
                self.order.sort_by(|a, b| a.0.total_cmp(&b.0));
                // The same rank as `theory::mara::threshold`, with each arm counted as often as it came up.
                let rank = (share * slots.total - 1e-9)
                    .ceil()
                    .clamp(0.0, slots.total - 1.0);
                let mut below = 0.0;
                for (reward, count) in &self.order {
                    below += count;
                    if below > rank {
                        return *reward;
                    }
                }
                f64::INFINITY
            }
        }
    }
}
