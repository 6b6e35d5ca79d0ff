//! Painting a chart: its bounds, curves with their range, lanes, edit marks.

use egui::{Color32, Pos2, Rect, Response, Stroke, Ui, pos2, vec2};

use super::{Chart, Curve, PinTraces, Point, Shows, trace};
use crate::ui::{
    Theme, View,
    chart::{Frame, Pen, Scale, band, hairlines, line, number},
    panels::main_plot::pin_color,
};

/// Opacity of a line that was not smoothed, behind the smoothed one.
pub(crate) const RAW: f32 = 0.45;

/// Vertical bounds that hold what is drawn, at round numbers so that they hold still; logs if `log`.
pub(super) fn fit<'a>(traces: impl Iterator<Item = &'a Vec<Point>>, log: bool) -> (f64, f64) {
    let mut low = f64::INFINITY;
    let mut high = f64::NEG_INFINITY;
    for point in traces.flatten() {
        for value in [point.low, point.high] {
            let value = if log { value.log10() } else { value };
            if value.is_finite() {
                low = low.min(value);
                high = high.max(value);
            }
        }
    }
    if low > high {
        return if log { (-2.0, 0.0) } else { (0.0, 1.0) };
    }
    if log {
        // A value that touches zero must not push everything else to the top.
        low = low.max(high - 12.0);
        let pad = 0.05 * (high - low).max(0.1);
        return (low - pad, high + pad);
    }
    // Nothing but zeros has no scale of its own.
    if low == 0.0 && high == 0.0 {
        return (0.0, 1.0);
    }
    // A line that never moved is shown over its whole height, not its last digits.
    if low >= 0.0 && (low < 0.4 * high || low == high) {
        low = 0.0;
    }
    let span = (high - low).max(1e-3 * high.abs()).max(1e-7);
    let step = 10f64.powf((span / 4.0).log10().floor());
    (
        ((low - 0.02 * span) / step)
            .floor()
            .max(if low == 0.0 { 0.0 } else { f64::NEG_INFINITY })
            * step,
        ((high + 0.04 * span) / step).ceil() * step,
    )
}

pub(super) fn curves(
    frame: &Frame,
    (x, y, log): (Scale, Scale, bool),
    chart: &Chart,
    traces: &[Vec<Point>],
    pins: &[PinTraces],
    theme: &Theme,
) {
    let at = |value: f64| vertical(y, log, value);
    for (index, traces) in pins {
        for (points, _) in traces.iter().zip(chart.curves) {
            line(
                &frame.inside,
                &path(points, x, at),
                Pen::DashDot,
                Stroke::new(1.1, pin_color(*index)),
            );
        }
    }
    for (curve, points) in chart.curves.iter().zip(traces) {
        let color = (curve.color)(theme);
        let range: Vec<(f32, f32, f32)> = points
            .iter()
            .map(|p| (x.at(p.step), at(p.low), at(p.high)))
            .collect();
        band(&frame.inside, &range, color.gamma_multiply(0.22));
        raw_line(frame, points, (x, at), (curve.pen, color));
        line(
            &frame.inside,
            &path(points, x, at),
            curve.pen,
            Stroke::new(1.6, color),
        );
    }
}

/// One lane per curve. Divergences share one scale and total variations another, so that lanes of a unit compare.
pub(super) fn lanes(
    ui: &Ui,
    frame: &Frame,
    x: Scale,
    chart: &Chart,
    traces: &[Vec<Point>],
    pins: &[PinTraces],
    theme: &Theme,
) {
    use crate::theory::Metric;
    let is_divergence = |curve: &Curve| curve.shows == Shows::Metric(Metric::CauseTarget);
    let top = |divergence: bool| {
        chart
            .curves
            .iter()
            .zip(traces)
            .filter(|(curve, _)| is_divergence(curve) == divergence)
            .flat_map(|(_, points)| points.iter().map(|p| p.high))
            .filter(|v| v.is_finite())
            .fold(0.0, f64::max)
    };
    let height = frame.rect.height() / chart.curves.len().max(1) as f32;
    let mut names = Vec::new();
    for (lane, (curve, points)) in chart.curves.iter().zip(traces).enumerate() {
        let bottom = frame.rect.top() + height * (lane + 1) as f32;
        let top_value = top(is_divergence(curve)).max(1e-6);
        let y = Scale::new(0.0, top_value, bottom - 1.0, bottom - height + 3.0);
        let color = (curve.color)(theme);
        for (index, traces) in pins {
            if let Some(points) = traces.get(lane) {
                line(
                    &frame.inside,
                    &path(points, x, |v| y.at(v)),
                    Pen::DashDot,
                    Stroke::new(1.1, pin_color(*index)),
                );
            }
        }
        let filled: Vec<_> = points
            .iter()
            .map(|p| (x.at(p.step), y.from, y.at(p.mean)))
            .collect();
        band(&frame.inside, &filled, color.gamma_multiply(0.25));
        raw_line(frame, points, (x, |v| y.at(v)), (curve.pen, color));
        line(
            &frame.inside,
            &path(points, x, |v| y.at(v)),
            curve.pen,
            Stroke::new(1.4, color),
        );
        let last = points
            .last()
            .map_or_else(|| "–".to_owned(), |p| number(curve.shows.value(p.mean)));
        let name = curve.shows.label().trim_start_matches("cause: ");
        let text =
            frame
                .inside
                .layout_no_wrap(format!("{name} {last}"), frame.font(), theme.ink(color));
        frame.inside.hline(
            frame.rect.x_range(),
            bottom,
            Stroke::new(1.0, frame.text_color().gamma_multiply(0.3)),
        );
        if text.size().y <= height + 3.0 {
            let top = bottom - height + ((height - text.size().y) / 2.0).min(1.0);
            let at = pos2(frame.rect.left() + 3.0, top);
            names.push((at, text));
        }
    }
    // Over everything, or the lines of low lanes run through the words.
    for (at, text) in names {
        let back = Rect::from_min_size(at, text.size()).expand2(vec2(2.0, -1.0));
        frame
            .inside
            .rect_filled(back, 2.0, ui.visuals().extreme_bg_color);
        frame.inside.galley(at, text, frame.text_color());
    }
}

/// The line as it was recorded, where the one over it is smoothed.
fn raw_line(
    frame: &Frame,
    points: &[Point],
    (x, at): (Scale, impl Fn(f64) -> f32),
    (pen, color): (Pen, Color32),
) {
    if let Some(raw) = trace::unsmoothed(points) {
        let pale = Stroke::new(1.0, color.gamma_multiply(RAW));
        line(&frame.inside, &path(&raw, x, at), pen, pale);
    }
}

fn path(points: &[Point], x: Scale, at: impl Fn(f64) -> f32) -> Vec<Pos2> {
    points
        .iter()
        .map(|p| pos2(x.at(p.step), at(p.mean)))
        .collect()
}

fn vertical(y: Scale, log: bool, value: f64) -> f32 {
    let value = if log { value.log10() } else { value };
    if value.is_nan() {
        f32::NAN
    } else if value == f64::NEG_INFINITY {
        y.at(y.low)
    } else {
        y.at(value)
    }
}

pub(super) fn dot(
    frame: &Frame,
    (x, y, log): (Scale, Scale, bool),
    points: &[Point],
    step: f64,
    color: Color32,
) {
    let Some(point) = trace::at(points, step) else {
        return;
    };
    let at = pos2(x.at(step), vertical(y, log, point.mean));
    if at.y.is_finite() {
        frame.inside.circle_filled(at, 3.0, color);
    }
}

/// Lines where edits took effect; returns the label of the one under the pointer.
pub(super) fn edit_marks<'v>(
    frame: &Frame,
    x: Scale,
    view: &'v View<'_>,
    response: &Response,
    theme: &Theme,
) -> Option<&'v str> {
    let pointer = response.hover_pos();
    let mut drawn: Vec<f32> = Vec::new();
    let mut nearest: Option<(f32, &str)> = None;
    for mark in view.snapshot.marks.iter() {
        let at = x.at(mark.step as f64);
        if !frame.rect.x_range().contains(at) {
            continue;
        }
        if let Some(pointer) = pointer {
            let distance = (pointer.x - at).abs();
            // Of several edits at one place the last one counts.
            if distance < 5.0 && nearest.is_none_or(|(best, _)| distance <= best) {
                nearest = Some((distance, &mark.label));
            }
        }
        // A drag leaves hundreds of marks on a few pixels.
        if drawn.last().is_none_or(|last| at - last >= 3.0) {
            drawn.push(frame.inside.round_to_pixel_center(at));
        }
    }
    // Faint, for there may be dozens, and what they cross is what the chart is about.
    let up = frame.rect.y_range();
    frame.inside.add(hairlines(
        &frame.inside,
        drawn.iter().map(|&at| Rect::from_x_y_ranges(at..=at, up)),
        theme.edit_mark.gamma_multiply(0.5),
    ));
    for at in drawn {
        frame.inside.add(crate::ui::chart::marker(
            pos2(at, frame.rect.top() + 3.0),
            2,
            2.5,
            theme.edit_mark,
        ));
    }
    nearest.map(|(_, label)| label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(low: f64, high: f64) -> Point {
        Point {
            step: 0.0,
            low,
            high,
            mean: (low + high) / 2.0,
            raw: (low + high) / 2.0,
        }
    }

    #[test]
    fn bounds_hold_every_value_and_are_round() {
        for (low, high) in [
            (0.0, 1.0),
            (0.93, 0.97),
            (-3.0, 2.0),
            (5.0, 5.0),
            (1e-9, 2e-9),
        ] {
            let trace = vec![point(low, high)];
            let (from, to) = fit([&trace].into_iter(), false);
            assert!(from <= low && to >= high && from < to, "{from} {to}");
        }
        assert_eq!(fit([&vec![point(0.1, 0.9)]].into_iter(), false).0, 0.0);
        assert_eq!(fit(std::iter::empty(), false), (0.0, 1.0));
        let zero = vec![point(0.0, 1.0)];
        let (from, to) = fit([&zero].into_iter(), true);
        assert!(from.is_finite() && to >= 0.0);
    }
}
