//! Painting the series: grouped bars on few arms, curves and areas on many.

use egui::{Color32, Mesh, Pos2, Rect, Shape, Stroke, StrokeKind, pos2};

use super::{
    layout::Plot,
    series::{Prepared, Series, sample_error},
};
use crate::ui::{
    Theme, View,
    chart::{Columns, Pen, area, band, hatched_rect, line, marker, markers},
};

/// Draws every shown series and pin.
pub(crate) fn series(plot: &Plot, prepared: &Prepared, view: &View<'_>, theme: &Theme) {
    if plot.bars {
        bars(plot, prepared, view, theme);
    } else {
        curves(plot, prepared, theme);
    }
}

/// Left and right edge of the bars of one arm, a little apart from its neighbours.
fn group(plot: &Plot, arm: usize) -> (f32, f32) {
    let (left, right) = plot.slot(arm);
    let room = right - left;
    let pad = (0.11 * room).clamp(0.5, 40.0).max((room - 260.0) / 2.0);
    (left + pad, right - pad)
}

/// Where the bar of a mass series is within its arm's group; all series side by side.
pub(crate) fn bar_rect(
    plot: &Plot,
    prepared: &Prepared,
    series: Series,
    arm: usize,
    mass: f64,
) -> Option<Rect> {
    const SIDE_BY_SIDE: [Series; 3] = [Series::Reference, Series::Samples, Series::Policy];
    let shown = || {
        SIDE_BY_SIDE
            .into_iter()
            .filter(|s| prepared.get(*s).is_some())
    };
    let place = shown().position(|s| s == series)?;
    let (left, right) = group(plot, arm);
    let width = (right - left) / shown().count() as f32;
    let gap = (0.06 * width).min(3.0);
    let from = left + width * place as f32;
    let top = plot.mass.at(mass);
    top.is_finite().then(|| {
        Rect::from_min_max(
            pos2(from + gap, top.min(plot.mass.base())),
            pos2(from + width - gap, plot.mass.base()),
        )
    })
}

fn bars(plot: &Plot, prepared: &Prepared, view: &View<'_>, theme: &Theme) {
    let painter = &plot.frame.inside;
    for (column, arm) in (plot.window.first..plot.window.end).enumerate() {
        let value = |series: Series| {
            prepared
                .get(series)
                .and_then(|c| c.high.get(column))
                .copied()
        };
        let bar = |series: Series| {
            let mass = value(series)?;
            bar_rect(plot, prepared, series, arm, mass).map(|rect| (rect, mass))
        };
        if let Some((rect, _)) = bar(Series::Reference) {
            painter.rect_filled(rect, 0.0, theme.reference.gamma_multiply(0.35));
            painter.rect_stroke(
                rect,
                0.0,
                Stroke::new(1.2, theme.reference),
                StrokeKind::Inside,
            );
        }
        if let Some((rect, share)) = bar(Series::Samples) {
            hatched_rect(painter, rect, theme.samples);
            let error = sample_error(share, view.snapshot.sample_count);
            let ends = [
                plot.mass.at((share - error).max(0.0)),
                plot.mass.at(share + error),
            ];
            painter.line_segment(
                [
                    pos2(rect.center().x, ends[0]),
                    pos2(rect.center().x, ends[1]),
                ],
                Stroke::new(1.2, theme.samples),
            );
        }
        if let Some((rect, _)) = bar(Series::Policy) {
            painter.rect_filled(rect, 0.0, theme.policy);
        }
        let (left, right) = group(plot, arm);
        let level = |y: f32, pen: Pen, width: f32, color: Color32| {
            line(
                painter,
                &[pos2(left, y), pos2(right, y)],
                pen,
                Stroke::new(width, color),
            );
        };
        for (index, columns) in &prepared.pins {
            let color = pin_color(*index);
            if let Some(mass) = columns.high.get(column) {
                level(plot.mass.at(*mass), Pen::DashDot, 1.6, color);
            }
        }
        if let Some(mass) = value(Series::BestFit) {
            let y = plot.mass.at(mass);
            level(y, Pen::Solid, 1.4, theme.best_fit);
            painter.add(marker(
                pos2((left + right) / 2.0, y),
                3,
                4.0,
                theme.best_fit,
            ));
        }
        for (series, corners) in [(Series::Reward, 4), (Series::Augmented, 2)] {
            let Some(reward) = value(series) else {
                continue;
            };
            let y = plot.reward_at(reward);
            if y.is_finite() {
                let color = series.color(theme);
                level(y, Pen::Solid, 2.0, color);
                painter.add(marker(pos2(left, y), corners, 4.0, color));
                painter.add(marker(pos2(right, y), corners, 4.0, color));
            }
        }
        if let Some(mass) = value(Series::Target) {
            let y = plot.mass.at(mass);
            let base = plot.mass.base();
            if y.is_finite() {
                let outline = [
                    pos2(left - 2.0, base),
                    pos2(left - 2.0, y),
                    pos2(right + 2.0, y),
                    pos2(right + 2.0, base),
                ];
                line(
                    painter,
                    &outline,
                    Pen::Dashed,
                    Stroke::new(2.2, theme.target),
                );
            }
        }
    }
}

fn curves(plot: &Plot, prepared: &Prepared, theme: &Theme) {
    let painter = &plot.frame.inside;
    let base = plot.mass.base();
    let mass = |v: f64| plot.mass.at(v);
    if let Some(columns) = prepared.get(Series::Reference) {
        let path = path(plot, columns, mass);
        area(
            painter,
            &top_of(plot, columns, mass),
            base,
            theme.reference.gamma_multiply(0.22),
        );
        line(
            painter,
            &path,
            Pen::Solid,
            Stroke::new(1.2, theme.reference),
        );
    }
    if let Some(columns) = prepared.get(Series::Samples) {
        histogram(plot, columns, theme.samples.gamma_multiply(0.55));
    }
    if let Some(columns) = prepared.get(Series::Policy) {
        spread(plot, columns, mass, theme.policy);
        line(
            painter,
            &path(plot, columns, mass),
            Pen::Solid,
            Stroke::new(1.8, theme.policy),
        );
    }
    for (index, columns) in &prepared.pins {
        let color = pin_color(*index);
        line(
            painter,
            &path(plot, columns, mass),
            Pen::DashDot,
            Stroke::new(1.4, color),
        );
    }
    if let Some(columns) = prepared.get(Series::BestFit) {
        let path = path(plot, columns, mass);
        line(painter, &path, Pen::Solid, Stroke::new(1.2, theme.best_fit));
        markers(painter, &path, (30.0, 60.0), 3, theme.best_fit);
    }
    for (series, corners, offset) in [(Series::Reward, 4, 12.0), (Series::Augmented, 2, 36.0)] {
        if let Some(columns) = prepared.get(series) {
            let color = series.color(theme);
            let path = path(plot, columns, |v| plot.reward_at(v));
            line(painter, &path, Pen::Solid, Stroke::new(1.3, color));
            markers(painter, &path, (offset, 48.0), corners, color);
        }
    }
    if let Some(columns) = prepared.get(Series::Target) {
        spread(plot, columns, mass, theme.target);
        line(
            painter,
            &path(plot, columns, mass),
            Pen::Dashed,
            Stroke::new(2.0, theme.target),
        );
    }
}

/// The line through a series: steps where an arm is wide enough to see, else through the centres; where a column
/// holds several arms it runs from the lowest to the highest.
fn path(plot: &Plot, columns: &Columns, at: impl Fn(f64) -> f32) -> Vec<Pos2> {
    let window = plot.window;
    let mut points = Vec::with_capacity(2 * window.columns);
    let width = (plot.x.to - plot.x.from) / window.columns.max(1) as f32;
    for (column, (&low, &high)) in columns.low.iter().zip(&columns.high).enumerate() {
        let top = at(high);
        if window.aggregates() {
            let x = column_x(plot, column);
            let bottom = at(low);
            if (top - bottom).abs() < 1.0 {
                points.push(pos2(x, top));
            } else if points
                .last()
                .is_some_and(|p: &Pos2| (p.y - top).abs() < (p.y - bottom).abs())
            {
                points.push(pos2(x, top));
                points.push(pos2(x, bottom));
            } else {
                points.push(pos2(x, bottom));
                points.push(pos2(x, top));
            }
        } else if width >= 3.0 {
            let (left, right) = plot.slot(window.first + column);
            points.push(pos2(left, top));
            points.push(pos2(right, top));
        } else {
            points.push(pos2(plot.centre(window.first + column), top));
        }
    }
    points
}

/// The upper edge of a series, for areas.
fn top_of(plot: &Plot, columns: &Columns, at: impl Fn(f64) -> f32) -> Vec<Pos2> {
    let stepped = (plot.x.to - plot.x.from) / plot.window.columns.max(1) as f32 >= 3.0;
    let mut points = Vec::with_capacity(2 * columns.high.len());
    for (column, &high) in columns.high.iter().enumerate() {
        let y = at(high);
        if stepped && !plot.window.aggregates() {
            let (left, right) = plot.slot(plot.window.first + column);
            points.push(pos2(left, y));
            points.push(pos2(right, y));
        } else {
            points.push(pos2(column_x(plot, column), y));
        }
    }
    points
}

fn column_x(plot: &Plot, column: usize) -> f32 {
    let (from, to) = (plot.window.start(column), plot.window.start(column + 1));
    plot.x.at((from + to) as f64 / 2.0)
}

/// A light band between lowest and highest where columns hold several arms.
fn spread(plot: &Plot, columns: &Columns, at: impl Fn(f64) -> f32, color: Color32) {
    if !plot.window.aggregates() {
        return;
    }
    let points: Vec<_> = columns
        .low
        .iter()
        .zip(&columns.high)
        .enumerate()
        .map(|(column, (&low, &high))| (column_x(plot, column), at(low), at(high)))
        .collect();
    band(&plot.frame.inside, &points, color.gamma_multiply(0.18));
}

fn histogram(plot: &Plot, columns: &Columns, color: Color32) {
    let base = plot.mass.base();
    let mut mesh = Mesh::default();
    for (column, &share) in columns.high.iter().enumerate() {
        let top = plot.mass.at(share);
        if share > 0.0 && top.is_finite() {
            let left = plot.x.at(plot.window.start(column) as f64);
            let right = plot.x.at(plot.window.start(column + 1) as f64);
            let gap = if right - left > 3.0 { 0.7 } else { 0.0 };
            mesh.add_colored_rect(
                Rect::from_min_max(pos2(left + gap, top), pos2(right - gap, base)),
                color,
            );
        }
    }
    plot.frame.inside.add(Shape::mesh(mesh));
}

/// The colour of a pin.
pub(crate) fn pin_color(index: usize) -> Color32 {
    Theme::PINS[index % Theme::PINS.len()]
}
