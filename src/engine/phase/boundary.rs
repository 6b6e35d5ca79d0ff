//! The boundary on which two answers tie: exact for the reverse direction, where the log-ratio of two arms has a closed form,
//! and from the computed cells otherwise, with the crossing between two cells found by solving for targets in between.
//! Lines come from marching squares.

use std::{collections::HashMap, ops::ControlFlow};

use super::{Parameter, PhaseMap, PhaseQuantity, PhaseRequest, Scratch};
use crate::theory::Direction;

/// Cells of the fine grid on which the closed form is contoured.
const FINE: usize = 160;

/// Segments of the tie boundary of the request's pair, as fractions of the axes; empty where there is none to draw yet.
#[must_use]
pub fn tie_boundary(request: &PhaseRequest, map: Option<&PhaseMap>) -> Vec<[(f64, f64); 2]> {
    if let Some(pair) = request.pair
        && request.has_closed_tie()
    {
        let mut values = Vec::with_capacity(FINE * FINE);
        for row in 0..FINE {
            for column in 0..FINE {
                let (x, y) = (fraction(column, FINE), fraction(row, FINE));
                values.push(reverse_log_ratio(
                    request,
                    pair,
                    request.x.value_at(x),
                    request.y.value_at(y),
                ));
            }
        }
        return contour(&values, FINE, FINE);
    }
    map.filter(|map| map.stride == 1)
        .map_or_else(Vec::new, |map| match &map.boundary {
            Some(boundary) => boundary.clone(),
            None => contour(&cells(map), map.request.columns, map.request.rows),
        })
}

/// The boundary of a map that has all its cells, with each crossing where the pair's target masses are equal, not where a
/// straight line between two cells says. None where there is a closed form or no pair, and where `keep_going` says no.
pub(super) fn refined_boundary(
    map: &PhaseMap,
    keep_going: &mut dyn FnMut() -> bool,
) -> Option<Vec<[(f64, f64); 2]>> {
    map.request.pair?;
    if map.request.has_closed_tie() {
        return None;
    }
    let request = PhaseRequest {
        quantity: PhaseQuantity::PairRatio,
        ..(*map.request).clone()
    };
    let mut scratch = Scratch::default();
    let mut known: HashMap<[usize; 4], f64> = HashMap::new();
    let (columns, rows) = (request.columns, request.rows);
    let outcome = lines(&cells(map), columns, rows, &mut |from, to, ends| {
        let side = [
            from.0.min(to.0),
            from.1.min(to.1),
            from.0.max(to.0),
            from.1.max(to.1),
        ];
        let turned = side != [from.0, from.1, to.0, to.1];
        // Two cells share the side.
        let part = match known.get(&side) {
            Some(&part) if turned => 1.0 - part,
            Some(&part) => part,
            None => {
                let ratio_at = |part: f64| {
                    let along = |a: usize, b: usize, cells: usize| {
                        let (a, b) = (fraction(a, cells), fraction(b, cells));
                        a + part * (b - a)
                    };
                    let x = request.x.value_at(along(from.0, to.0, columns));
                    let y = request.y.value_at(along(from.1, to.1, rows));
                    let (_, ratio) = request.evaluate(x, y, &mut scratch);
                    keep_going().then_some(ratio)
                };
                let Some(part) = zero_between(ends, ratio_at) else {
                    return ControlFlow::Break(());
                };
                known.insert(side, if turned { 1.0 - part } else { part });
                part
            }
        };
        ControlFlow::Continue(part)
    });
    match outcome {
        ControlFlow::Continue(segments) => Some(segments),
        ControlFlow::Break(()) => None,
    }
}

/// Where between 0 and 1 a function of these ends' values changes its sign, to a millionth: regula falsi (Illinois), which
/// falls back on halving. None as soon as the function has no more answer.
fn zero_between(ends: (f64, f64), mut value_at: impl FnMut(f64) -> Option<f64>) -> Option<f64> {
    let ((mut low, mut at_low), (mut high, mut at_high)) = ((0.0, ends.0), (1.0, ends.1));
    let mut kept = 0;
    for round in 0..60 {
        let straight = low + (high - low) * at_low / (at_low - at_high);
        if high - low < 1e-6 || at_low == 0.0 || at_high == 0.0 {
            return Some(straight);
        }
        // Ratios that jump, where MARA takes another anchor, have no slope to follow.
        let middle = if round % 4 == 3 || !(low < straight && straight < high) {
            0.5 * (low + high)
        } else {
            straight
        };
        let value = value_at(middle)?;
        if !value.is_finite() {
            return Some(straight);
        }
        if value.abs() < 1e-12 {
            return Some(middle);
        }
        if (value > 0.0) == (at_low > 0.0) {
            (low, at_low) = (middle, value);
            at_high *= if kept > 0 { 0.5 } else { 1.0 };
            kept = 1;
        } else {
            (high, at_high) = (middle, value);
            at_low *= if kept < 0 { 0.5 } else { 1.0 };
            kept = -1;
        }
    }
    Some(0.5 * (low + high))
}

/// The pair's log-ratio in each cell, without areas that tie everywhere.
fn cells(map: &PhaseMap) -> Vec<f64> {
    let mut values: Vec<f64> = map.log_ratios.iter().map(|&v| f64::from(v)).collect();
    leave_out_plateaus(&mut values, map.request.columns, map.request.rows);
    values
}

impl PhaseRequest {
    /// The tie boundary has a closed form, whatever cells are computed: reverse everywhere on the diagram, and no MARA.
    #[must_use]
    pub fn has_closed_tie(&self) -> bool {
        let reverse = matches!(
            self.objective.direction,
            Direction::Reverse | Direction::Alpha(1.0)
        );
        let varied = [self.x.parameter, self.y.parameter];
        reverse
            && self.objective.mara.is_none()
            && !varied
                .iter()
                .any(|p| matches!(p, Parameter::Alpha | Parameter::Tau))
    }
}

/// β log π_ref(a)/π_ref(b) + R(a) − R(b), which has the sign of the target's log-ratio whatever η is.
fn reverse_log_ratio(request: &PhaseRequest, (a, b): (usize, usize), x: f64, y: f64) -> f64 {
    let problem = &request.problem;
    let log = |arm: usize| problem.reference.log_masses().get(arm).copied();
    let reward = |arm: usize| problem.rewards.get(arm).copied();
    let (Some(log_a), Some(log_b), Some(reward_a), Some(reward_b)) =
        (log(a), log(b), reward(a), reward(b))
    else {
        return f64::NAN;
    };
    let mut log_ratio = log_a - log_b;
    let mut gap = reward_a - reward_b;
    let mut objective = request.objective;
    for (parameter, value) in [(request.x.parameter, x), (request.y.parameter, y)] {
        match parameter {
            Parameter::RewardGap(first, second) => {
                let shift = value - (first.reward(problem) - second.reward(problem));
                gap += shift * moved(first.arms(problem), a, b);
            }
            Parameter::ReferenceRatio(first, second) => {
                let shift = (value / (first.reference(problem) / second.reference(problem))).ln();
                log_ratio += shift * moved(first.arms(problem), a, b);
            }
            Parameter::ReferencePower => log_ratio *= value,
            Parameter::Beta
            | Parameter::RewardScale
            | Parameter::RewardOffset
            | Parameter::Tau
            | Parameter::Alpha
            | Parameter::Entropy => {
                let mut same = std::borrow::Cow::Borrowed(problem.as_ref());
                parameter.apply(value, &mut same, &mut objective);
            }
        }
    }
    objective.beta.get() * log_ratio + objective.reward_scale * gap
}

/// Log-ratios smaller than this are rounding.
const ROUNDING: f64 = 1e-6;

/// Where MARA makes two answers equal they tie over a whole area, and the zero line of what rounding leaves there would be
/// noise: cells of such areas become NaN. A tie line that runs exactly along cells is kept.
fn leave_out_plateaus(values: &mut [f64], columns: usize, rows: usize) {
    for value in values.iter_mut().filter(|value| value.abs() < ROUNDING) {
        *value = 0.0;
    }
    let near = |place: usize, cells: usize| place.saturating_sub(1)..(place + 2).min(cells);
    let around = |column: usize, row: usize, holds: &dyn Fn(usize) -> bool, all: bool| {
        let mut cells =
            near(row, rows).flat_map(|r| near(column, columns).map(move |c| r * columns + c));
        if all {
            cells.all(holds)
        } else {
            cells.any(holds)
        }
    };
    let zero: Vec<bool> = values.iter().map(|&value| value == 0.0).collect();
    let is_zero = |cell: usize| zero.get(cell).copied().unwrap_or(false);
    let inside: Vec<bool> = (0..rows * columns)
        .map(|cell| around(cell % columns, cell / columns, &is_zero, true))
        .collect();
    let is_inside = |cell: usize| inside.get(cell).copied().unwrap_or(false);
    for (cell, value) in values.iter_mut().enumerate() {
        if is_zero(cell) && around(cell % columns, cell / columns, &is_inside, false) {
            *value = f64::NAN;
        }
    }
}

/// How much a shift of some arms moves a relative to b.
fn moved(arms: Vec<usize>, a: usize, b: usize) -> f64 {
    f64::from(arms.contains(&a)) - f64::from(arms.contains(&b))
}

/// Centre of a cell as a fraction of the axis.
fn fraction(cell: usize, cells: usize) -> f64 {
    (cell as f64 + 0.5) / cells as f64
}

/// The zero line of values on a grid (row by row, row 0 at the bottom), as segments in fractions of the axes; cells with NaN
/// are left out.
#[must_use]
pub fn contour(values: &[f64], columns: usize, rows: usize) -> Vec<[(f64, f64); 2]> {
    let straight = &mut |_, _, (v, w): (f64, f64)| ControlFlow::Continue(v / (v - w));
    match lines(values, columns, rows, straight) {
        ControlFlow::Continue(segments) => segments,
        ControlFlow::Break(()) => Vec::new(),
    }
}

/// Column and row.
type Cell = (usize, usize);

/// As [`contour`], with `crossing` to say at which part of the way between two cells of these values the zero is.
fn lines(
    values: &[f64],
    columns: usize,
    rows: usize,
    crossing: &mut dyn FnMut(Cell, Cell, (f64, f64)) -> ControlFlow<(), f64>,
) -> ControlFlow<(), Vec<[(f64, f64); 2]>> {
    let mut segments = Vec::new();
    let at = |column: usize, row: usize| {
        values
            .get(row * columns + column)
            .copied()
            .unwrap_or(f64::NAN)
    };
    for row in 0..rows.saturating_sub(1) {
        for column in 0..columns.saturating_sub(1) {
            // Corners counter-clockwise from the lower left.
            let corners = [
                (column, row),
                (column + 1, row),
                (column + 1, row + 1),
                (column, row + 1),
            ];
            let mut crossings = Vec::with_capacity(4);
            for side in 0..4 {
                let (from, to) = (corners[side], corners[(side + 1) % 4]);
                let (v, w) = (at(from.0, from.1), at(to.0, to.1));
                if (v > 0.0) != (w > 0.0) && v.is_finite() && w.is_finite() {
                    let part = crossing(from, to, (v, w))?;
                    let along = |a: usize, b: usize, cells: usize| {
                        let (a, b) = (fraction(a, cells), fraction(b, cells));
                        a + part * (b - a)
                    };
                    crossings.push((along(from.0, to.0, columns), along(from.1, to.1, rows)));
                }
            }
            for pair in crossings.chunks_exact(2) {
                segments.push([pair[0], pair[1]]);
            }
        }
    }
    ControlFlow::Continue(segments)
}
