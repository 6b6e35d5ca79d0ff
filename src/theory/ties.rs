//! Tie points: the β* at which two arms have the same target mass (docs/math.md section 2), for every divergence.
//!
//! Below its tie the arm with the better reward wins, above it the better-supported one. Reverse has β* in closed form. For
//! the α family G ∝ π_ref [(1−α)(μ − R)]^{1/(α−1)} with one multiplier μ (Λ for forward): two arms tie at a μ* that follows
//! from them alone, and β* from μ* by one pass over all arms. An entropy bonus leaves reverse ties where they are. Under
//! forward KL two arms of one mass π tie where β/π = (R₁−R₂)/(π_ref₂−π_ref₁), with or without a bonus; with one, π/β of
//! every arm follows from that, and β* from their sum being 1/β*.
//!
//! So two arms tie at most once, at a *place* that follows from them alone, on an axis that grows with β: β itself, the
//! multiplier's distance from the best reward, or the multiplier of the entropic equation. [`TieColumns`] rests on that.

mod columns;
#[cfg(test)]
mod columns_tests;
mod scale;
mod sweep;

pub use columns::{TieColumns, TieProgress};

use super::{
    Divergence, Objective, Tie,
    kernels::{self, Entropic, Power},
};

/// Beyond this many arms, ties that cost a pass each are thinned to [`FEW`], so that a drag stays fluent.
const MANY_ARMS: usize = 10_000;
/// See [`MANY_ARMS`].
const FEW: usize = 16;
/// Ties between neighbouring modes, where there are too many modes for all pairs.
const MODE_TIES: usize = 48;
/// At most this many changes of the winner are listed, evenly thinned: more than a slider can show.
const WINNERS: usize = 1024;
/// What the ties of all pairs may cost inside a frame, in nanoseconds.
const FRAME_BUDGET: f64 = 1.2e6;
/// Up to this many arms the ties of all pairs are listed where there is time, arms alike included.
const THOROUGH_ARMS: usize = 300;
/// Up to this many pairs of arms that differ, all ties are listed where there is time.
const THOROUGH_PAIRS: usize = 500_000;
/// Columns of β from 10⁻⁶ to 10⁶ where ties are thinned to one per column: a hundred to the decade.
const THOROUGH_COLUMNS: usize = 1200;

/// How much time there is to list ties.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TieEffort {
    /// None: somebody wants the target and its metrics alone.
    Skip,
    /// Under a millisecond on problems of some hundred arms, so that a frame waits for it.
    Frame,
    /// All pairs of up to 300 arms, or 1000 that differ; beyond it a [`TieColumns`] search to its end, which takes seconds.
    Thorough,
}

/// Which ties a list holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TieScope {
    /// Those of all pairs.
    #[default]
    All,
    /// Only those at which the likeliest arm changes, as there are too many pairs.
    WinnerChanges {
        /// How many of these there are; more than are listed where the list is thinned.
        total: usize,
    },
    /// Every β at which any pair ties: of arms alike in reward and reference, the first stands for all.
    Alike {
        /// How many pairs tie, each arm counted.
        pairs: u64,
    },
    /// Those at which the likeliest arm changes, and one of each column of β in which any pair ties.
    Columns {
        /// Into how many columns β was divided.
        columns: usize,
        /// How many pairs tie within the columns, each arm counted; none as long as the search goes on, when columns may
        /// still lack their tie.
        pairs: Option<u64>,
    },
    /// None: the rewards themselves move with β (MARA's Algorithm 1 under a divergence other than reverse KL), or ties were
    /// not asked for.
    Unknown,
}

/// A tie of a list.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ListedTie {
    /// The tie.
    pub tie: Tie,
    /// The likeliest arm changes here, not only the order of two others.
    pub changes_winner: bool,
}

/// The ties of a problem, ascending in β.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TieList {
    /// See the type.
    pub ties: Vec<ListedTie>,
    /// Whether they are all there are.
    pub scope: TieScope,
    /// How many pairs tie in each column that has ties, ascending; empty where that was not counted.
    pub counts: Vec<TieCount>,
}

/// How many pairs of arms tie in a column of β.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TieCount {
    /// Its smallest and largest β.
    pub between: (f64, f64),
    /// How many pairs, each arm counted.
    pub pairs: u64,
}

/// A reference (natural-log weights), effective rewards and a divergence: what ties depend on.
#[derive(Debug, Clone, Copy)]
pub struct Ties<'a> {
    log_reference: &'a [f64],
    rewards: &'a [f64],
    divergence: Divergence,
    /// η of an entropy bonus, which only forward ties depend on.
    entropy: f64,
    /// For α < 1, μ stays above every reward that can hold mass.
    top: f64,
}

/// The tie of two arms under reverse KL: β* = (R₁−R₂)/(log π_ref₂ − log π_ref₁), if positive.
#[must_use]
pub fn tie(first: usize, second: usize, log_reference: &[f64], rewards: &[f64]) -> Option<Tie> {
    Ties::new(log_reference, rewards, Divergence::Reverse).between(first, second)
}

/// Two arms and the place of their tie on an axis that grows with β.
#[derive(Debug, Clone, Copy)]
struct Crossing {
    better_reward: usize,
    better_support: usize,
    /// β* for reverse; with m the best reward, μ* − m for α < 1 and m − μ* for α > 1.
    place: f64,
}

impl<'a> Ties<'a> {
    /// Ties of `rewards` (effective, after MARA) on `log_reference` (after MARA); both have one number per arm.
    #[must_use]
    pub fn new(log_reference: &'a [f64], rewards: &'a [f64], divergence: Divergence) -> Self {
        let survey = kernels::survey(rewards, log_reference);
        Self {
            log_reference,
            rewards,
            divergence,
            entropy: 0.0,
            top: survey.best.max(survey.best_outside),
        }
    }

    /// Ties under an objective's divergence and entropy bonus; the same `rewards` and `log_reference` as in [`Self::new`].
    #[must_use]
    pub fn of(log_reference: &'a [f64], rewards: &'a [f64], objective: &Objective) -> Self {
        Self {
            entropy: objective.entropy,
            ..Self::new(log_reference, rewards, objective.direction.into())
        }
    }

    /// The tie of two arms, if they have one.
    #[must_use]
    pub fn between(&self, first: usize, second: usize) -> Option<Tie> {
        self.between_with(first, second, &mut Scratch::default())
    }

    fn between_with(&self, first: usize, second: usize, scratch: &mut Scratch) -> Option<Tie> {
        self.crossing(first, second)
            .and_then(|crossing| self.at(crossing, scratch))
    }

    /// The ties of all pairs of `arms`, ascending in β.
    #[must_use]
    pub fn pairwise(&self, arms: &[usize]) -> Vec<Tie> {
        let scratch = &mut Scratch::default();
        let mut ties: Vec<Tie> = arms
            .iter()
            .enumerate()
            .flat_map(|(i, &a)| arms[i + 1..].iter().map(move |&b| (a, b)))
            .filter_map(|(a, b)| self.between_with(a, b, scratch))
            .collect();
        ties.sort_by(|a, b| a.beta.total_cmp(&b.beta));
        ties
    }

    /// As many ties as there is time for: those of all pairs, or those at which the likeliest arm changes.
    #[must_use]
    pub fn list(&self, effort: TieEffort) -> TieList {
        let arms = self.rewards.len();
        let all = match effort {
            TieEffort::Skip => {
                return TieList {
                    scope: TieScope::Unknown,
                    ..TieList::default()
                };
            }
            TieEffort::Frame => {
                let pairs = 0.5 * arms as f64 * (arms as f64 - 1.0);
                pairs * self.pair_cost() <= FRAME_BUDGET
            }
            TieEffort::Thorough => arms <= THOROUGH_ARMS,
        };
        if all {
            let ties = self.pairwise(&(0..arms).collect::<Vec<_>>());
            return TieList {
                ties: listed(ties, &self.corners()),
                ..TieList::default()
            };
        }
        if effort == TieEffort::Thorough {
            let mut columns = self.columns(
                &decades(self.affordable_columns(THOROUGH_COLUMNS)),
                THOROUGH_PAIRS,
            );
            while columns.advance(&|| false) == TieProgress::More {}
            return columns.list();
        }
        let corners = self.corners();
        let limit = match (effort, self.divergence) {
            (TieEffort::Frame, Divergence::Forward | Divergence::Alpha(_)) if arms > MANY_ARMS => {
                FEW
            }
            (TieEffort::Skip | TieEffort::Frame | TieEffort::Thorough, _) => WINNERS,
        };
        let ties = self.thinned(&corners, limit);
        TieList {
            ties: ties
                .into_iter()
                .map(|tie| ListedTie {
                    tie,
                    changes_winner: true,
                })
                .collect(),
            scope: TieScope::WinnerChanges {
                total: corners.len(),
            },
            counts: Vec::new(),
        }
    }

    /// Nanoseconds that a pair takes, one in two of which have a tie; sorting the list and drawing it included.
    fn pair_cost(&self) -> f64 {
        let own = match self.divergence {
            Divergence::Reverse | Divergence::Forward => 60.0,
            Divergence::Alpha(_) => 20.0,
        };
        own + self.pass_cost()
    }

    /// Nanoseconds from a place to its β.
    fn pass_cost(&self) -> f64 {
        let arms = self.rewards.len() as f64;
        match self.divergence {
            Divergence::Reverse => 0.0,
            Divergence::Forward if self.entropy > 0.0 => 17.0 * arms,
            Divergence::Forward => 0.3 * arms,
            Divergence::Alpha(_) => 2.0 * arms,
        }
    }

    /// The ties at which the target's likeliest arm changes, ascending in β: the corners of the upper envelope of
    /// log π_ref + R/β over β. At most `limit` of them, evenly thinned.
    #[must_use]
    pub fn envelope(&self, limit: usize) -> Vec<Tie> {
        self.thinned(&self.corners(), limit)
    }

    /// At most `limit` corners, evenly thinned, as ties.
    fn thinned(&self, corners: &[(usize, usize)], limit: usize) -> Vec<Tie> {
        let kept = corners.len().min(limit);
        let scratch = &mut Scratch::default();
        (0..kept)
            .filter_map(|i| corners.get(i * corners.len() / kept))
            .filter_map(|&(a, b)| self.between_with(a, b, scratch))
            .collect()
    }

    /// Pairs of arms at whose ties the winner changes, ascending in β: a convex hull, alike for the α family, and under an
    /// entropy bonus the same.
    fn corners(&self) -> Vec<(usize, usize)> {
        let points = self.frontier();
        let mut hull: Vec<usize> = Vec::new();
        let mut places: Vec<f64> = Vec::new();
        for arm in points {
            while let Some(&last) = hull.last() {
                let Some(crossing) = self.crossing(last, arm) else {
                    hull.pop();
                    places.pop();
                    continue;
                };
                // The last corner stays only if it wins somewhere: places ascend along the hull.
                if places
                    .last()
                    .is_some_and(|&before| crossing.place <= before)
                {
                    hull.pop();
                    places.pop();
                } else {
                    places.push(crossing.place);
                    break;
                }
            }
            hull.push(arm);
        }
        hull.windows(2).map(|pair| (pair[0], pair[1])).collect()
    }

    /// Supported arms that no other arm beats in both reward and support, descending in reward.
    fn frontier(&self) -> Vec<usize> {
        let (rewards, logs) = (self.rewards, self.log_reference);
        let survey = kernels::survey(rewards, logs);
        // Best support per slice of reward, then of all higher slices: what lies below that is beaten.
        const SLICES: usize = 2048;
        let scale = (SLICES - 1) as f64 / (survey.best - survey.low).max(f64::MIN_POSITIVE);
        let slice = |reward: f64| (((reward - survey.low) * scale) as usize).min(SLICES - 1);
        let mut support = vec![f64::NEG_INFINITY; SLICES + 1];
        for (&reward, &log_mass) in rewards.iter().zip(logs) {
            let place = &mut support[slice(reward)];
            *place = if log_mass > *place { log_mass } else { *place };
        }
        for i in (0..SLICES).rev() {
            support[i] = support[i].max(support[i + 1]);
        }
        let mut points: Vec<usize> = (0..rewards.len())
            .filter(|&arm| {
                logs[arm] > f64::NEG_INFINITY && logs[arm] > support[slice(rewards[arm]) + 1]
            })
            .collect();
        points.sort_unstable_by(|&a, &b| {
            rewards[b]
                .total_cmp(&rewards[a])
                .then(logs[b].total_cmp(&logs[a]))
                .then(a.cmp(&b))
        });
        let mut best = f64::NEG_INFINITY;
        points.retain(|&arm| {
            let better = logs[arm] > best;
            best = best.max(logs[arm]);
            better
        });
        points
    }

    /// The ties between modes, each standing for its best arm; indices are modes.
    #[must_use]
    pub fn modes(&self, modes: &[&[u32]], pairwise_up_to: usize) -> Vec<Tie> {
        let best: Vec<(usize, usize)> = modes
            .iter()
            .enumerate()
            .filter_map(|(mode, arms)| Some((mode, self.best_arm(arms)?)))
            .collect();
        let crossings = best
            .iter()
            .enumerate()
            .flat_map(|(i, &a)| best[i + 1..].iter().map(move |&b| (a, b)));
        let mut ties: Vec<Tie> = if best.len() <= pairwise_up_to {
            crossings
                .filter_map(|((mode_a, a), (mode_b, b))| {
                    let tie = self.between(a, b)?;
                    let (better_reward, better_support) = if tie.better_reward == a {
                        (mode_a, mode_b)
                    } else {
                        (mode_b, mode_a)
                    };
                    Some(Tie {
                        better_reward,
                        better_support,
                        ..tie
                    })
                })
                .collect()
        } else {
            // Neighbours in reward: enough to see where the lead changes.
            let logs: Vec<f64> = best
                .iter()
                .map(|&(_, arm)| self.log_reference[arm])
                .collect();
            let tops: Vec<f64> = best.iter().map(|&(_, arm)| self.rewards[arm]).collect();
            let few = Ties {
                log_reference: &logs,
                rewards: &tops,
                ..*self
            };
            few.envelope_crossings()
                .into_iter()
                .filter_map(|(a, b)| {
                    let tie = self.between(best[a].1, best[b].1)?;
                    Some(Tie {
                        better_reward: best[a].0,
                        better_support: best[b].0,
                        ..tie
                    })
                })
                .take(MODE_TIES)
                .collect()
        };
        ties.sort_by(|a, b| a.beta.total_cmp(&b.beta));
        ties
    }

    /// Pairs of neighbours along the frontier, the better reward first.
    fn envelope_crossings(&self) -> Vec<(usize, usize)> {
        self.frontier()
            .windows(2)
            .map(|pair| (pair[0], pair[1]))
            .collect()
    }

    /// A mode's best arm: best reward within the support, then best support, then the first.
    #[must_use]
    pub fn best_arm(&self, arms: &[u32]) -> Option<usize> {
        let mut best: Option<(usize, f64, f64)> = None;
        for &arm in arms {
            let arm = arm as usize;
            let (Some(&reward), Some(&log_mass)) =
                (self.rewards.get(arm), self.log_reference.get(arm))
            else {
                continue;
            };
            let better = best.is_none_or(|(_, top, support)| {
                reward > top || (reward == top && log_mass > support)
            });
            if log_mass > f64::NEG_INFINITY && better {
                best = Some((arm, reward, log_mass));
            }
        }
        best.map(|(arm, ..)| arm)
    }

    fn crossing(&self, first: usize, second: usize) -> Option<Crossing> {
        let (r1, r2) = (*self.rewards.get(first)?, *self.rewards.get(second)?);
        let (l1, l2) = (
            *self.log_reference.get(first)?,
            *self.log_reference.get(second)?,
        );
        let (better_reward, better_support, top, gap, support) = if r1 > r2 {
            (first, second, r1, r1 - r2, l2 - l1)
        } else {
            (second, first, r2, r2 - r1, l1 - l2)
        };
        if !(gap > 0.0 && support > 0.0 && support.is_finite()) {
            return None;
        }
        // Multipliers are kept relative to the best reward, or they would lose the digits that matter.
        let below = top - self.top;
        let place = match self.divergence {
            Divergence::Reverse => gap / support,
            Divergence::Forward => below + gap / support.exp_m1(),
            Divergence::Alpha(alpha) if alpha < 1.0 => {
                below + gap / ((1.0 - alpha) * support).exp_m1()
            }
            Divergence::Alpha(alpha) => gap / ((alpha - 1.0) * support).exp_m1() + gap - below,
        };
        Some(Crossing {
            better_reward,
            better_support,
            place,
        })
    }

    /// β at a crossing.
    fn at(&self, crossing: Crossing, scratch: &mut Scratch) -> Option<Tie> {
        let beta = self.beta_at(self.place_of(crossing)?, scratch);
        (beta > 0.0 && beta.is_finite()).then_some(Tie {
            beta,
            better_reward: crossing.better_reward,
            better_support: crossing.better_support,
        })
    }

    /// The β whose target has multiplier m + `offset`: ΣG = 1 solved for β. 0 where no β has it.
    fn family_beta(&self, alpha: f64, offset: f64, scratch: &mut Scratch) -> f64 {
        if alpha < 1.0 && offset <= 0.0 {
            return 0.0;
        }
        let top = self.top;
        if alpha == 0.0 {
            return 1.0 / kernels::pole_sum_at(self.log_reference, self.rewards, top, offset);
        }
        let Scratch {
            distance,
            logs,
            masses,
        } = scratch;
        if distance.len() != self.rewards.len() {
            distance.clear();
            distance.extend(self.rewards.iter().map(|&reward| top - reward));
            logs.resize(distance.len(), 0.0);
            masses.resize(distance.len(), 0.0);
        }
        let by = Power {
            epsilon: alpha - 1.0,
            base: 0.0,
            offset: -offset,
        };
        kernels::powers(by, (self.log_reference, distance), (logs, masses));
        (kernels::log_sum_exp(logs) * (alpha - 1.0)).exp()
    }

    /// A crossing's place on the axis of [`Self::beta_at`]. Under forward KL with an entropy bonus, with w = β/π at the tie,
    /// each arm's s = π/β solves R + π_ref/s − η log s = R₁ + w π_ref₁ + η log w, where β does not appear.
    fn place_of(&self, crossing: Crossing) -> Option<f64> {
        if self.divergence != Divergence::Forward || self.entropy <= 0.0 {
            return Some(crossing.place);
        }
        let (better, supported) = (crossing.better_reward, crossing.better_support);
        let gap = self.rewards.get(better)? - self.rewards.get(supported)?;
        let log_mass = *self.log_reference.get(better)?;
        let support = self.log_reference.get(supported)? - log_mass;
        let log_w = gap.ln() - log_mass - (support + (-(-support).exp_m1()).ln());
        Some(crossing.place / self.entropy + log_w)
    }

    /// The β whose target is at this place; grows with it. 0 where no β has it. A pass over all arms, but for reverse.
    fn beta_at(&self, place: f64, scratch: &mut Scratch) -> f64 {
        match self.divergence {
            Divergence::Reverse => place,
            Divergence::Forward if self.entropy > 0.0 => {
                // With s = π/β as in `place_of`, masses sum to one at β = 1/Σs.
                scratch.logs.resize(self.rewards.len(), 0.0);
                let inputs = (self.log_reference, self.rewards);
                let by = self.entropic_at(place, self.top);
                1.0 / kernels::entropic_sums(by, None, inputs, &mut scratch.logs).mass
            }
            Divergence::Forward => self.family_beta(0.0, place, scratch),
            Divergence::Alpha(alpha) if alpha < 1.0 => self.family_beta(alpha, place, scratch),
            Divergence::Alpha(alpha) => self.family_beta(alpha, -place, scratch),
        }
    }

    /// The entropic equation for s = π/β.
    fn entropic_at(&self, place: f64, top: f64) -> Entropic {
        Entropic {
            log_scale: -self.entropy.ln(),
            rate: 1.0 / self.entropy,
            top,
            offset: place,
        }
    }
}

/// Ties as a list says them; `corners` are the pairs at whose ties the winner changes.
fn listed(ties: Vec<Tie>, corners: &[(usize, usize)]) -> Vec<ListedTie> {
    let mut winners: Vec<(usize, usize)> =
        corners.iter().map(|&(a, b)| (a.min(b), a.max(b))).collect();
    winners.sort_unstable();
    let changes = |a: usize, b: usize| winners.binary_search(&(a.min(b), a.max(b))).is_ok();
    ties.into_iter()
        .map(|tie| ListedTie {
            changes_winner: changes(tie.better_reward, tie.better_support),
            tie,
        })
        .collect()
}

/// Edges of so many equal columns of log β from 10⁻⁶ to 10⁶.
fn decades(columns: usize) -> Vec<f64> {
    (0..=columns)
        .map(|edge| 10f64.powf(12.0 * edge as f64 / columns as f64 - 6.0))
        .collect()
}

/// Buffers of one number per arm, filled where a divergence needs them.
#[derive(Default)]
struct Scratch {
    /// m − R.
    distance: Vec<f64>,
    logs: Vec<f64>,
    masses: Vec<f64>,
}
