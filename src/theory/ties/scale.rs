//! Where values of β lie on the axis of places. The way from a place to its β costs a pass over all arms and the way back a
//! whole solution, so edges of columns are interpolated in a table of the former: they only say how wide columns are.

use super::{Divergence, Scratch, Ties};

/// Columns between every other knot of the table, at the most: what a kink between them, where α > 1 cuts arms, can put an
/// edge off by.
const SPACING: usize = 4;
/// By how much of a column edges may be off halfway between knots.
const ERROR: f64 = 0.2;
/// Halvings after which neighbours of the table count as one.
const DEEPEST: u32 = 60;
/// Beyond these coordinates nothing is looked for.
const REACH: f64 = 660.0;

impl Ties<'_> {
    /// Places of ascending `betas`, ascending; those of β that no target's place reaches coincide. None if stopped.
    pub(super) fn places(
        &self,
        betas: &[f64],
        scratch: &mut Scratch,
        stop: &dyn Fn() -> bool,
    ) -> Option<Vec<f64>> {
        if self.divergence == Divergence::Reverse {
            return Some(betas.to_vec());
        }
        let (&first, &last) = (betas.first()?, betas.last()?);
        let mut table = Table {
            ties: self,
            betas,
            scratch,
            stop,
            knots: Vec::new(),
        };
        let mut low = table.knot(first.ln());
        let mut step = 1.0;
        while low.log_beta > first.ln() && low.at > -REACH && !stop() {
            low = table.knot(low.at - step);
            step *= 2.0;
        }
        let mut high = table.knot(low.at.max(last.ln()));
        step = 1.0;
        while high.log_beta < last.ln() && high.at < REACH && !stop() {
            high = table.knot(high.at + step);
            step *= 2.0;
        }
        table.knots.push(low);
        table.between(low, high, 0);
        if stop() {
            return None;
        }
        let knots = table.knots;
        let mut segment = 0;
        let mut places: Vec<f64> = Vec::with_capacity(betas.len());
        for beta in betas {
            let log_beta = beta.ln();
            while segment + 2 < knots.len() && knots[segment + 1].log_beta < log_beta {
                segment += 1;
            }
            let (a, b) = match knots.get(segment..segment + 2) {
                Some(&[a, b]) => (a, b),
                Some(_) | None => (low, high),
            };
            let part = (log_beta - a.log_beta) / (b.log_beta - a.log_beta);
            let part = if part.is_finite() {
                part.clamp(0.0, 1.0)
            } else {
                0.0
            };
            let place = self.place_at(a.at + part * (b.at - a.at));
            places.push(places.last().map_or(place, |&before| place.max(before)));
        }
        Some(places)
    }

    /// The place at a coordinate: logarithmic, but where places of the entropic equation, which is in units of η, are small
    /// or negative.
    fn place_at(&self, at: f64) -> f64 {
        if self.entropy > 0.0 && at < 1.0 {
            at
        } else if self.entropy > 0.0 {
            (at - 1.0).exp()
        } else {
            at.exp()
        }
    }
}

/// A coordinate and the β of its place.
#[derive(Clone, Copy)]
struct Knot {
    at: f64,
    log_beta: f64,
}

struct Table<'s, 'a> {
    ties: &'s Ties<'a>,
    betas: &'s [f64],
    scratch: &'s mut Scratch,
    stop: &'s dyn Fn() -> bool,
    knots: Vec<Knot>,
}

impl Table<'_, '_> {
    fn knot(&mut self, at: f64) -> Knot {
        let beta = self.ties.beta_at(self.ties.place_at(at), self.scratch);
        Knot {
            at,
            log_beta: beta.clamp(1e-300, 1e300).ln(),
        }
    }

    /// Adds knots after `low` up to `high`, near enough for straight lines between them: β may stay where it is over many
    /// decades of places and then leap.
    fn between(&mut self, low: Knot, high: Knot, depth: u32) {
        let below = |knot: Knot| self.betas.partition_point(|beta| beta.ln() < knot.log_beta);
        let columns = below(high).saturating_sub(below(low));
        if columns < 2 || depth >= DEEPEST || (self.stop)() {
            self.knots.push(high);
            return;
        }
        let middle = self.knot(0.5 * (low.at + high.at));
        let width = (high.log_beta - low.log_beta) / columns as f64;
        let off = middle.log_beta - 0.5 * (low.log_beta + high.log_beta);
        if columns <= SPACING && off.abs() <= ERROR * width {
            self.knots.extend([middle, high]);
        } else {
            self.between(low, middle, depth + 1);
            self.between(middle, high, depth + 1);
        }
    }
}
