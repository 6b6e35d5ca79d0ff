//! Finding crossings of many arms without looking at pairs. Sorted by target mass at two places, arms are in the same order
//! exactly if no two of them cross in between; so intervals of places are halved as long as the order changes over them. An
//! interval costs a pass over the arms, and a sort from one place to the next is nearly sorted when it starts.

use super::{Crossing, Divergence, Ties};
use crate::theory::kernels;

/// Arms whose keys are computed at a time.
const BLOCK: usize = 2048;
/// Shifts per arm up to which insertion sort goes on.
const SHIFTS: usize = 6;
/// How far back a partner is looked for where rounding hides which of two arms leads.
const AROUND: usize = 64;
/// How often that is done in one pass.
const PATIENCE: usize = 1 << 14;

/// Arms of which no two are alike.
#[derive(Default)]
pub(super) struct Arms {
    /// Rewards relative to the best one.
    pub(super) rewards: Vec<f64>,
    /// Natural-log reference masses, all finite.
    pub(super) logs: Vec<f64>,
    /// Which arm it is; the first of those alike.
    pub(super) ids: Vec<u32>,
    /// How many arms it stands for.
    pub(super) weights: Vec<u32>,
}

impl Arms {
    /// The arms of a problem that hold mass, ascending in reward, then in support.
    pub(super) fn distinct(ties: &Ties) -> Self {
        let (rewards, logs) = (ties.rewards, ties.log_reference);
        let mut order: Vec<(f64, f64, u32)> = rewards
            .iter()
            .zip(logs)
            .zip(0..)
            .filter(|((reward, log), _)| reward.is_finite() && log.is_finite())
            // Adding 0 makes −0 the same as 0.
            .map(|((&reward, &log), arm)| (reward + 0.0, log + 0.0, arm))
            .collect();
        order.sort_unstable_by(|a, b| {
            (a.0.total_cmp(&b.0))
                .then(a.1.total_cmp(&b.1))
                .then(a.2.cmp(&b.2))
        });
        let mut arms = Self::default();
        for alike in order.chunk_by(|a, b| a.0 == b.0 && a.1 == b.1) {
            let Some(&(reward, log, arm)) = alike.first() else {
                continue;
            };
            arms.rewards.push(reward - ties.top);
            arms.logs.push(log);
            arms.ids.push(arm);
            arms.weights
                .push(u32::try_from(alike.len()).unwrap_or(u32::MAX));
        }
        arms
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// `count` of them, evenly spread.
    fn some(&self, count: usize) -> Self {
        let chosen = |place: usize| place * self.len() / count.max(1);
        let (mut arms, count) = (Self::default(), count.min(self.len()));
        arms.rewards = (0..count).map(|i| self.rewards[chosen(i)]).collect();
        arms.logs = (0..count).map(|i| self.logs[chosen(i)]).collect();
        arms.ids = (0..count).map(|i| self.ids[chosen(i)]).collect();
        arms
    }

    /// Keys of the arms `from..from + keys.len()` at a place: they ascend with target mass.
    fn keys(&self, ties: &Ties, place: f64, from: usize, keys: &mut [f64]) {
        let range = from..from + keys.len();
        let (Some(logs), Some(rewards)) = (self.logs.get(range.clone()), self.rewards.get(range))
        else {
            return;
        };
        match ties.divergence {
            Divergence::Reverse => kernels::line_keys(place, logs, rewards, keys),
            Divergence::Forward if ties.entropy > 0.0 => {
                kernels::entropic_keys(ties.entropic_at(place, 0.0), logs, rewards, keys);
            }
            Divergence::Forward => kernels::power_keys(0.0, floor(place), logs, rewards, keys),
            Divergence::Alpha(alpha) => {
                kernels::power_keys(alpha, floor(place), logs, rewards, keys);
            }
        }
    }

    fn swap_to(&mut self, order: &[(f64, f64, u32)]) {
        let take = |values: &[f64]| order.iter().map(|&(.., i)| values[i as usize]).collect();
        (self.rewards, self.logs) = (take(&self.rewards), take(&self.logs));
        self.ids = (order.iter().map(|&(.., i)| self.ids[i as usize])).collect();
    }

    /// Puts the arm at `from` before that at `to`, `to` ≤ `from`.
    fn shift(&mut self, to: usize, from: usize) {
        self.rewards[to..=from].rotate_right(1);
        self.logs[to..=from].rotate_right(1);
        self.ids[to..=from].rotate_right(1);
    }
}

/// Arms of the α family never sit at a place of exactly 0, where the best would have infinite keys.
fn floor(place: f64) -> f64 {
    place.max(1e-290)
}

/// How many pairs of arms have their ties between two places, each arm counted.
pub(super) fn pairs_between(ties: &Ties, arms: &Arms, low: f64, high: f64) -> u64 {
    let mut keys = [vec![0.0; arms.len()], vec![0.0; arms.len()]];
    arms.keys(ties, low, 0, &mut keys[0]);
    arms.keys(ties, high, 0, &mut keys[1]);
    let mut order: Vec<(f64, f64, u64)> = (keys[0].iter().zip(&keys[1]).zip(&arms.weights))
        .map(|((&low, &high), &weight)| (low, high, u64::from(weight)))
        .collect();
    // Arms that are equal at the low place do not cross above it in the order that they have at the high one.
    order.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let mut sorted: Vec<(f64, u64)> = order
        .into_iter()
        .map(|(_, high, weight)| (high, weight))
        .collect();
    let mut buffer = sorted.clone();
    inversions(&mut sorted, &mut buffer)
}

/// Sorts by the first number and counts, by the product of their weights, pairs that were in strictly descending order.
fn inversions(values: &mut [(f64, u64)], buffer: &mut [(f64, u64)]) -> u64 {
    if values.len() < 2 {
        return 0;
    }
    let middle = values.len() / 2;
    let (left, right) = values.split_at_mut(middle);
    let (left_buffer, right_buffer) = buffer.split_at_mut(middle);
    let mut total = inversions(left, left_buffer) + inversions(right, right_buffer);
    let mut waiting: u64 = left.iter().map(|&(_, weight)| weight).sum();
    let (mut i, mut j) = (0, 0);
    for slot in buffer.iter_mut() {
        match (left.get(i), right.get(j)) {
            (Some(a), Some(b)) if b.0 < a.0 => {
                total += waiting * b.1;
                *slot = *b;
                j += 1;
            }
            (Some(a), _) => {
                waiting -= a.1;
                *slot = *a;
                i += 1;
            }
            (None, Some(b)) => {
                *slot = *b;
                j += 1;
            }
            (None, None) => {}
        }
    }
    values.copy_from_slice(buffer);
    total
}

/// A search for one crossing of each column.
pub(super) struct Sweep<'s, 'a> {
    ties: &'s Ties<'a>,
    /// Places between columns.
    edges: &'s [f64],
    stop: &'s dyn Fn() -> bool,
    /// In the order that they have at `sorted_at`.
    arms: Arms,
    sorted_at: Option<usize>,
    keys: Vec<f64>,
}

impl<'s, 'a> Sweep<'s, 'a> {
    /// A search among `count` of the arms.
    pub(super) fn new(
        ties: &'s Ties<'a>,
        edges: &'s [f64],
        arms: &Arms,
        count: usize,
        stop: &'s dyn Fn() -> bool,
    ) -> Self {
        let arms = arms.some(count);
        Self {
            ties,
            edges,
            stop,
            keys: vec![0.0; arms.len()],
            arms,
            sorted_at: None,
        }
    }

    /// Fills columns `from..to` of `found` that are empty and have a crossing; false if stopped.
    pub(super) fn fill(&mut self, from: usize, to: usize, found: &mut [Option<Crossing>]) -> bool {
        if (self.stop)() {
            return false;
        }
        let open = found
            .get(from..to)
            .is_some_and(|columns| columns.iter().any(Option::is_none));
        let (Some(&low), Some(&high)) = (self.edges.get(from), self.edges.get(to)) else {
            return true;
        };
        if !open || low >= high {
            return true;
        }
        self.sort_at(from);
        let Some((crossing, place)) = self.crossing_within(low, high, to) else {
            return true;
        };
        // A column has the places above its lower edge up to its upper one.
        let column = self
            .edges
            .partition_point(|&edge| edge < place)
            .saturating_sub(1);
        if let Some(place) = found.get_mut(column) {
            place.get_or_insert(crossing);
        }
        if to - from == 1 {
            return true;
        }
        let middle = from.midpoint(to);
        self.fill(from, middle, found) && self.fill(middle, to, found)
    }

    /// A crossing above `low`, where the arms are sorted, up to `high`, which is edge `to`. Where there is none the arms are
    /// in order there too.
    fn crossing_within(&mut self, low: f64, high: f64, to: usize) -> Option<(Crossing, f64)> {
        let within = |arms: &Arms, a: usize, b: usize| {
            let (a, b) = (*arms.ids.get(a)?, *arms.ids.get(b)?);
            let crossing = self.ties.crossing(a as usize, b as usize)?;
            let place = self.ties.place_of(crossing)?;
            (low < place && place <= high).then_some((crossing, place))
        };
        let mut keys = [0.0; BLOCK];
        // The best key so far, and whose it is.
        let mut lead = (f64::NEG_INFINITY, 0);
        let mut doubts = 0;
        for start in (0..self.arms.len()).step_by(BLOCK) {
            let count = BLOCK.min(self.arms.len() - start);
            let keys = &mut keys[..count];
            self.arms.keys(self.ties, high, start, keys);
            for (offset, &key) in keys.iter().enumerate() {
                let here = start + offset;
                if key > lead.0 {
                    lead = (key, here);
                    continue;
                }
                if key == lead.0 && self.arms.rewards[here] == self.arms.rewards[lead.1] {
                    lead.1 = here;
                    continue;
                }
                if let Some(found) = within(&self.arms, lead.1, here) {
                    return Some(found);
                }
                // Keys that differ by rounding alone: the crossing is another column's, but may hide one of this.
                doubts += 1;
                if doubts <= PATIENCE {
                    let before = here.saturating_sub(AROUND)..here;
                    if let Some(found) = before.rev().find_map(|a| within(&self.arms, a, here)) {
                        return Some(found);
                    }
                }
            }
        }
        self.sorted_at = (doubts == 0).then_some(to);
        None
    }

    /// Sorts the arms by their keys at an edge; the better supported last where these are equal, as above that place.
    fn sort_at(&mut self, edge: usize) {
        let Some(&place) = self.edges.get(edge) else {
            return;
        };
        if self.sorted_at == Some(edge) {
            return;
        }
        self.arms.keys(self.ties, place, 0, &mut self.keys);
        if !self.insert_all() {
            let mut order: Vec<(f64, f64, u32)> = (self.keys.iter().zip(&self.arms.logs).zip(0..))
                .map(|((&key, &log), place)| (key, log, place))
                .collect();
            order.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
            self.arms.swap_to(&order);
        }
        self.sorted_at = Some(edge);
    }

    /// Insertion sort, which takes no longer than a pass where little is out of order; false if too much is.
    fn insert_all(&mut self) -> bool {
        let mut shifts = 0;
        for here in 1..self.keys.len() {
            let (key, log) = (self.keys[here], self.arms.logs[here]);
            let sorted = |before: usize| {
                let other = self.keys[before];
                other < key || (other == key && self.arms.logs[before] <= log)
            };
            if sorted(here - 1) {
                continue;
            }
            let mut to = here - 1;
            while to > 0 && !sorted(to - 1) && here - to < self.keys.len().min(4096) {
                to -= 1;
            }
            shifts += here - to;
            if shifts > SHIFTS * self.keys.len() || (to > 0 && !sorted(to - 1)) {
                return false;
            }
            self.keys[to..=here].rotate_right(1);
            self.arms.shift(to, here);
        }
        true
    }
}
