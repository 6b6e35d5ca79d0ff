//! Ties of any number of arms at the resolution at which a slider shows them: one of each column of β in which any pair
//! ties, and all at which the likeliest arm changes. Coarse to fine: few arms find the ties of most columns, and all of them
//! are only compared where those found none.

use super::{
    Crossing, ListedTie, Scratch, Tie, TieCount, TieList, TieScope, Ties, WINNERS, listed,
    sweep::{Arms, Sweep, pairs_between},
};

/// The first pass compares so many arms, each later one [`FINER`] times as many.
const COARSEST: usize = 512;
/// See [`COARSEST`].
const FINER: usize = 8;
/// Up to so many pairs are counted column by column.
const COUNTED_PAIRS: usize = 10_000_000;
/// What passes from places to β may take, in nanoseconds, before there are fewer columns.
const PASSES_BUDGET: f64 = 12e9;
/// What the ties of every pair may take, likewise, before there are columns instead.
const PAIRS_BUDGET: f64 = 2e9;
/// Columns there are at the least.
const FEWEST: usize = 256;

/// Whether a search goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TieProgress {
    /// There is more to find.
    More,
    /// All is found.
    Done,
    /// It was stopped; what is found stays.
    Stopped,
}

/// A search for the ties of many arms, pass by pass.
pub struct TieColumns<'a> {
    ties: Ties<'a>,
    arms: Arms,
    /// Edges of columns, ascending.
    betas: Vec<f64>,
    /// Pairs at whose ties the winner changes.
    corners: Vec<(usize, usize)>,
    next: Pass,
    /// All ties, where there are few.
    every: Option<Vec<ListedTie>>,
    /// Places of `betas`, once known.
    edges: Vec<f64>,
    winners: Vec<Tie>,
    /// The crossing of each column.
    found: Vec<Option<Crossing>>,
    /// Its tie, once β is known.
    known: Vec<Option<Tie>>,
    pairs: Option<u64>,
    counts: Vec<TieCount>,
    scratch: Scratch,
}

/// What is done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pass {
    /// All pairs, as there are few.
    Every,
    /// Places of columns, and winners.
    LayOut,
    /// Columns that have no tie yet, with so many arms.
    Compare(usize),
    Count,
    Done,
}

impl<'a> Ties<'a> {
    /// A search for one tie per column. `betas` are the ascending edges of columns. Where the arms that differ make no more
    /// than `most` pairs, it finds the ties of all of those instead.
    #[must_use]
    pub fn columns(&self, betas: &[f64], most: usize) -> TieColumns<'a> {
        let arms = Arms::distinct(self);
        let pairs = pairs_of(arms.len());
        let few = pairs <= most && pairs as f64 * self.pair_cost() <= PAIRS_BUDGET;
        let columns = betas.len().saturating_sub(1);
        TieColumns {
            ties: *self,
            arms,
            betas: betas.to_vec(),
            corners: self.corners(),
            next: if few { Pass::Every } else { Pass::LayOut },
            every: None,
            edges: Vec::new(),
            winners: Vec::new(),
            found: vec![None; columns],
            known: vec![None; columns],
            pairs: None,
            counts: Vec::new(),
            scratch: Scratch::default(),
        }
    }

    /// How many columns, at most `wanted`, [`Self::columns`] finds the ties of within some ten seconds.
    #[must_use]
    pub fn affordable_columns(&self, wanted: usize) -> usize {
        let affordable = PASSES_BUDGET / (2.0 * self.pass_cost()).max(1.0);
        (affordable as usize).max(FEWEST).min(wanted)
    }
}

impl TieColumns<'_> {
    /// One more pass. `stop` is asked every few milliseconds, or tens of them on a million arms.
    pub fn advance(&mut self, stop: &dyn Fn() -> bool) -> TieProgress {
        let next = match self.next {
            Pass::Every => self.find_every(),
            Pass::LayOut => self.lay_out(stop),
            Pass::Compare(count) => self.compare(count, stop),
            Pass::Count => self.count(stop),
            Pass::Done => Some(Pass::Done),
        };
        match next {
            None => TieProgress::Stopped,
            Some(next) => {
                self.next = next;
                if next == Pass::Done {
                    TieProgress::Done
                } else {
                    TieProgress::More
                }
            }
        }
    }

    /// What is found so far.
    #[must_use]
    pub fn list(&self) -> TieList {
        if let Some(ties) = &self.every {
            let alike = self.arms.weights.iter().any(|&weight| weight > 1);
            return TieList {
                ties: ties.clone(),
                scope: match self.pairs {
                    Some(pairs) if alike => TieScope::Alike { pairs },
                    Some(_) | None => TieScope::All,
                },
                counts: Vec::new(),
            };
        }
        let known = self.known.iter().flatten().copied().collect();
        let mut ties = listed(known, &self.corners);
        // The winners' own are all here already.
        ties.retain(|listed| !listed.changes_winner);
        ties.extend(self.winners.iter().map(|&tie| ListedTie {
            tie,
            changes_winner: true,
        }));
        ties.sort_by(|a, b| a.tie.beta.total_cmp(&b.tie.beta));
        TieList {
            ties,
            scope: TieScope::Columns {
                columns: self.found.len(),
                pairs: self.pairs,
            },
            counts: self.counts.clone(),
        }
    }

    fn find_every(&mut self) -> Option<Pass> {
        let ids: Vec<usize> = self.arms.ids.iter().map(|&id| id as usize).collect();
        let ties = self.ties.pairwise(&ids);
        let mut weights: Vec<(usize, u64)> = (ids.into_iter())
            .zip(self.arms.weights.iter().map(|&weight| u64::from(weight)))
            .collect();
        weights.sort_unstable();
        let weight = |arm: usize| {
            let place = weights.binary_search_by_key(&arm, |&(id, _)| id).ok();
            place
                .and_then(|place| weights.get(place))
                .map_or(1, |&(_, weight)| weight)
        };
        let pairs = ties
            .iter()
            .map(|tie| weight(tie.better_reward) * weight(tie.better_support));
        self.pairs = Some(pairs.sum());
        self.every = Some(listed(ties, &self.corners));
        Some(Pass::Done)
    }

    fn lay_out(&mut self, stop: &dyn Fn() -> bool) -> Option<Pass> {
        self.edges = self.ties.places(&self.betas, &mut self.scratch, stop)?;
        let all = self.corners.len() <= WINNERS;
        for &(a, b) in &self.corners {
            if stop() {
                self.winners.clear();
                return None;
            }
            let Some(crossing) = self.ties.crossing(a, b) else {
                continue;
            };
            let column = (self.ties.place_of(crossing)).and_then(|place| self.column(place));
            let open = column.and_then(|column| self.found.get_mut(column));
            let is_first = open.is_some_and(|found| found.replace(crossing).is_none());
            if (all || is_first)
                && let Some(tie) = self.ties.at(crossing, &mut self.scratch)
            {
                self.winners.push(tie);
            }
        }
        Some(Pass::Compare(COARSEST.min(self.arms.len())))
    }

    /// The column that holds a place: above its lower edge, up to its upper one.
    pub(super) fn column(&self, place: f64) -> Option<usize> {
        let above = self.edges.partition_point(|&edge| edge < place);
        (above < self.edges.len())
            .then(|| above.checked_sub(1))
            .flatten()
    }

    fn compare(&mut self, count: usize, stop: &dyn Fn() -> bool) -> Option<Pass> {
        let columns = self.found.len();
        let mut sweep = Sweep::new(&self.ties, &self.edges, &self.arms, count, stop);
        if !sweep.fill(0, columns, &mut self.found) {
            return None;
        }
        for (known, found) in self.known.iter_mut().zip(&self.found) {
            if let (None, &Some(crossing)) = (&known, found) {
                if stop() {
                    return None;
                }
                *known = self.ties.at(crossing, &mut self.scratch);
            }
        }
        let finer = count.saturating_mul(FINER);
        Some(if count >= self.arms.len() {
            Pass::Count
        } else if finer > self.arms.len() / 2 {
            Pass::Compare(self.arms.len())
        } else {
            Pass::Compare(finer)
        })
    }

    fn count(&mut self, stop: &dyn Fn() -> bool) -> Option<Pass> {
        let (Some(&low), Some(&high)) = (self.edges.first(), self.edges.last()) else {
            return Some(Pass::Done);
        };
        if pairs_of(self.arms.len()) > COUNTED_PAIRS {
            self.pairs = Some(pairs_between(&self.ties, &self.arms, low, high));
            return Some(Pass::Done);
        }
        let mut counts = vec![0_u64; self.found.len()];
        let arms = || self.arms.ids.iter().zip(&self.arms.weights);
        for (i, (&a, &weight)) in arms().enumerate() {
            if stop() {
                return None;
            }
            for (&b, &other) in arms().skip(i + 1) {
                let crossing = self.ties.crossing(a as usize, b as usize);
                let column = crossing
                    .and_then(|crossing| self.ties.place_of(crossing))
                    .and_then(|place| self.column(place));
                if let Some(count) = column.and_then(|column| counts.get_mut(column)) {
                    *count += u64::from(weight) * u64::from(other);
                }
            }
        }
        self.pairs = Some(counts.iter().sum());
        self.counts = (counts.into_iter().zip(self.betas.windows(2)))
            .filter(|&(pairs, _)| pairs > 0)
            .filter_map(|(pairs, edges)| match *edges {
                [low, high] => Some(TieCount {
                    between: (low, high),
                    pairs,
                }),
                _ => None,
            })
            .collect();
        Some(Pass::Done)
    }

    /// Whether a column has a tie.
    #[cfg(test)]
    pub(super) fn has_tie(&self, column: usize) -> bool {
        self.known.get(column).is_some_and(Option::is_some)
    }

    /// Places of the columns' edges.
    #[cfg(test)]
    pub(super) fn edges(&self) -> &[f64] {
        &self.edges
    }
}

/// How many pairs so many arms make.
fn pairs_of(arms: usize) -> usize {
    arms.saturating_mul(arms.saturating_sub(1)) / 2
}
