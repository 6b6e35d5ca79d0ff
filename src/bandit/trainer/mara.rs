//! MARA within a batch (docs/math.md section 3): threshold and anchor come from what was drawn, or from the best anchor
//! drawn so far.

use super::{drive::Drive, signal::Slots};
use crate::{
    bandit::Problem,
    theory::{
        Anchor, Divergence, Mara, MaraAlgorithm, Objective, Threshold,
        mara::{self, AnchorAnswer, Anchored},
    },
};

/// The best anchor drawn so far, as it is kept between batches: by what does not change with the objective.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RunningAnchor {
    /// The arm it counts as.
    pub arm: u32,
    /// Its raw reward where that is not its arm's, as a reward program pays it; otherwise the arm's present one counts.
    pub reward: Option<f64>,
    /// Its log π_ref in nats where that is not its arm's, as of a completion that counts as an answer.
    pub log_reference: Option<f64>,
}

impl RunningAnchor {
    /// The very answer that an arm stands for.
    #[must_use]
    pub fn of_arm(arm: u32) -> Self {
        Self {
            arm,
            reward: None,
            log_reference: None,
        }
    }

    /// Whether they are the same answer, whatever it is paid.
    fn is_same(self, other: Self) -> bool {
        self.arm == other.arm && self.log_reference == other.log_reference
    }
}

/// MARA as sampled training applies it. Not made where the anchor is exact: the drive holds the result then.
#[derive(Debug, Clone)]
pub(super) struct BatchMara {
    mara: Mara,
    algorithm: MaraAlgorithm,
    objective: Objective,
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
            objective: *objective,
            class_logs,
            rewards: Vec::new(),
            log_reference: Vec::new(),
            support: Vec::new(),
            order: Vec::new(),
            last: None,
        })
    }

    /// The slots with rewards and references of good arms replaced. `answer_of` names a slot's answer; `running` is the best
    /// anchor so far, and is kept up to date.
    pub(super) fn apply<'a>(
        &'a mut self,
        slots: &Slots<'a>,
        answer_of: impl Fn(usize) -> RunningAnchor,
        drive: &Drive,
        running: &mut Option<RunningAnchor>,
    ) -> Slots<'a> {
        let tau = self.threshold(slots);
        self.support.clear();
        self.support.extend((0..slots.counts.len()).map(|slot| {
            let drawn = slots.counts[slot] > 0.0;
            let class = self
                .class_logs
                .as_ref()
                .map(|logs| logs[answer_of(slot).arm as usize]);
            // Arms outside the support have the floor and are never good.
            let possible = slots.log_reference[slot] > super::drive::LOG_ZERO;
            if drawn && possible {
                class.unwrap_or(slots.log_reference[slot])
            } else {
                f64::NEG_INFINITY
            }
        }));
        let found = mara::find_anchor(slots.rewards, &self.support, tau).map(|found| {
            let answer = answer_of(found.index);
            let index = answer.arm as usize;
            (AnchorAnswer { index, ..found }, answer)
        });
        let anchor = if self.mara.anchor == Anchor::RunningMaximum {
            let drawn = (0..slots.counts.len()).filter(|&slot| slots.counts[slot] > 0.0);
            let kept = running.map(|kept| {
                // What it is paid may differ from draw to draw; the last time counts.
                let again = match kept.reward {
                    Some(_) => drawn.map(&answer_of).find(|answer| kept.is_same(*answer)),
                    None => None,
                };
                let kept = again.unwrap_or(kept);
                (self.present(kept, drive), kept)
            });
            // An edit may have made the old anchor a bad answer.
            let kept = kept.filter(|(present, _)| present.reward >= tau);
            let best = match (kept, found) {
                (Some(kept), Some(new)) if new.0.log_reference > kept.0.log_reference => Some(new),
                (Some(kept), _) => Some(kept),
                (None, new) => new,
            };
            *running = best.map(|(_, answer)| answer);
            best
        } else {
            found
        };
        let anchor = anchor.map(|(present, _)| present);
        self.last = None;
        let Some(anchor) = anchor else {
            return *slots;
        };
        let anchored = Anchored {
            algorithm: self.algorithm,
            threshold: tau,
            beta: drive.beta,
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

    /// What a kept anchor is under the running objective.
    fn present(&self, kept: RunningAnchor, drive: &Drive) -> AnchorAnswer {
        let index = kept.arm as usize;
        AnchorAnswer {
            index,
            reward: kept.reward.map_or(drive.rewards[index], |raw| {
                self.objective.effective_reward(raw)
            }),
            log_reference: match &self.class_logs {
                Some(of_class) => of_class[index],
                None => kept.log_reference.unwrap_or(drive.log_reference[index]),
            },
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
