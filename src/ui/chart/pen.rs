//! Lines, areas and markers. Series differ by pen and marker as well as by colour.

use egui::{
    Color32, Mesh, Painter, Pos2, Rect, Shape, Stroke, emath::GuiRounding as _, pos2, vec2,
};

/// How a line is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pen {
    /// Without gaps.
    Solid,
    /// Dashes.
    Dashed,
    /// Dashes and dots.
    DashDot,
    /// Dots.
    Dotted,
}

/// A line through points; a point that is not finite breaks it.
pub(crate) fn line(painter: &Painter, points: &[Pos2], pen: Pen, stroke: Stroke) {
    for run in points.split(|p| !p.x.is_finite() || !p.y.is_finite()) {
        if run.len() < 2 {
            if let [point] = run {
                painter.circle_filled(*point, stroke.width, stroke.color);
            }
            continue;
        }
        // Points of a level stretch may lie closer than a pixel, and level dashes shorter than one are rounded away.
        let run = without_level_points(run);
        // A jagged line is very long: its dashes grow so that their number stays bounded.
        let length: f32 = run.windows(2).map(|p| p[0].distance(p[1])).sum();
        let stretch = (length / 6_000.0).max(1.0);
        let pattern: (&[f32], &[f32]) = match pen {
            Pen::Solid => {
                painter.add(Shape::line(run, stroke));
                continue;
            }
            Pen::Dashed => (&[7.0], &[4.0]),
            Pen::DashDot => (&[9.0, 2.0], &[3.5, 3.5]),
            Pen::Dotted => (&[2.0], &[3.0]),
        };
        let scaled =
            |lengths: &[f32]| -> Vec<f32> { lengths.iter().map(|l| l * stretch).collect() };
        let mut shapes = Vec::new();
        Shape::dashed_line_many_with_offset(
            &run,
            stroke,
            &scaled(pattern.0),
            &scaled(pattern.1),
            0.0,
            &mut shapes,
        );
        painter.extend(shapes);
    }
}

/// The same line without the points within level stretches, of which a converged run has hundreds.
fn without_level_points(points: &[Pos2]) -> Vec<Pos2> {
    // Against the last point kept, so that a slow drift is not lost in small steps.
    const LEVEL: f32 = 0.02;
    let mut kept: Vec<Pos2> = Vec::with_capacity(points.len());
    for (index, &point) in points.iter().enumerate() {
        let is_inner = kept.last().zip(points.get(index + 1)).is_some_and(
            |(before, after): (&Pos2, &Pos2)| {
                (point.y - before.y).abs() < LEVEL && (after.y - before.y).abs() < LEVEL
            },
        );
        if !is_inner {
            kept.push(point);
        }
    }
    kept
}

/// Upright or level lines of one device pixel, each given as its centre line. They lie on whole pixels and need no
/// smoothed edges, so that a grid is one small mesh.
pub(crate) fn hairlines(
    painter: &Painter,
    lines: impl IntoIterator<Item = Rect>,
    color: Color32,
) -> Shape {
    let half = 0.5 / painter.pixels_per_point();
    let mut mesh = Mesh::default();
    for line in lines {
        let grown = if line.width() > line.height() {
            line.expand2(vec2(0.0, half))
        } else {
            line.expand2(vec2(half, 0.0))
        };
        mesh.add_colored_rect(grown.round_to_pixels(painter.pixels_per_point()), color);
    }
    Shape::mesh(mesh)
}

/// The area between two lines with the same x; points that are not finite leave a gap, and so do stretches lower than
/// half a point, which the line along them covers.
pub(crate) fn band(painter: &Painter, points: &[(f32, f32, f32)], color: Color32) {
    let seen = |(_, low, high): (f32, f32, f32)| (high - low).abs() >= 0.5;
    let mut mesh = Mesh::default();
    // The point whose two corners the mesh ends with.
    let mut last = None;
    for (index, pair) in points.windows(2).enumerate() {
        let [from, to] = *pair else { continue };
        let is_finite = [from.0, from.1, from.2, to.0, to.1, to.2]
            .iter()
            .all(|v| v.is_finite());
        if !is_finite || !(seen(from) || seen(to)) {
            continue;
        }
        let mut corners = |(x, low, high): (f32, f32, f32)| {
            mesh.colored_vertex(pos2(x, low), color);
            mesh.colored_vertex(pos2(x, high), color);
        };
        if last != Some(index) {
            corners(from);
        }
        corners(to);
        last = Some(index + 1);
        let end = mesh.vertices.len() as u32;
        mesh.add_triangle(end - 4, end - 3, end - 2);
        mesh.add_triangle(end - 3, end - 2, end - 1);
    }
    painter.add(Shape::mesh(mesh));
}

/// The area between a line and a baseline.
pub(crate) fn area(painter: &Painter, points: &[Pos2], baseline: f32, color: Color32) {
    let points: Vec<_> = points.iter().map(|p| (p.x, baseline, p.y)).collect();
    band(painter, &points, color);
}

/// A rectangle filled with slanted lines.
pub(crate) fn hatched_rect(painter: &Painter, rect: Rect, color: Color32) {
    painter.rect_filled(rect, 0.0, color.gamma_multiply(0.25));
    if rect.width() < 2.0 || rect.height() < 2.0 {
        return;
    }
    let inside = painter.with_clip_rect(rect.intersect(painter.clip_rect()));
    let height = rect.height();
    let spacing = 5.0_f32.max((rect.width() + height) / 160.0);
    let mut x = rect.left() - height;
    while x < rect.right() {
        inside.line_segment(
            [pos2(x, rect.bottom()), pos2(x + height, rect.top())],
            Stroke::new(1.0, color),
        );
        x += spacing;
    }
    painter.rect_stroke(rect, 0.0, Stroke::new(1.0, color), egui::StrokeKind::Inside);
}

/// Markers along a line about every `spacing` pixels, starting at `offset`: squares, triangles or diamonds by `corners`
/// (4, 3, or 2 for a diamond).
pub(crate) fn markers(
    painter: &Painter,
    points: &[Pos2],
    (offset, spacing): (f32, f32),
    corners: u8,
    color: Color32,
) {
    let Some(first) = points.first() else { return };
    let mut next = first.x + offset;
    for point in points {
        if point.x < next || !point.y.is_finite() {
            continue;
        }
        next = point.x + spacing;
        painter.add(marker(*point, corners, 3.0, color));
    }
}

/// One marker.
pub(crate) fn marker(at: Pos2, corners: u8, radius: f32, color: Color32) -> Shape {
    let outline = match corners {
        3 => vec![
            at + vec2(0.0, -radius * 1.2),
            at + vec2(radius * 1.1, radius * 0.8),
            at + vec2(-radius * 1.1, radius * 0.8),
        ],
        2 => vec![
            at + vec2(0.0, -radius * 1.3),
            at + vec2(radius * 1.3, 0.0),
            at + vec2(0.0, radius * 1.3),
            at + vec2(-radius * 1.3, 0.0),
        ],
        _ => {
            return Shape::rect_filled(
                Rect::from_center_size(at, vec2(2.0, 2.0) * radius * 0.8),
                0.0,
                color,
            );
        }
    };
    Shape::convex_polygon(outline, color, Stroke::NONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_line_of_many_points_is_dashed_like_one_of_two() {
        let dashes = |points: Vec<Pos2>| {
            let context = egui::Context::default();
            let output = context.run_ui(egui::RawInput::default(), |ui| {
                line(
                    ui.painter(),
                    &points,
                    Pen::Dashed,
                    Stroke::new(1.6, Color32::RED),
                );
            });
            (output.shapes.into_iter())
                .filter(|s| matches!(s.shape, Shape::LineSegment { .. }))
                .count()
        };
        let count = dashes(vec![pos2(0.0, 5.0), pos2(110.0, 5.0)]);
        assert_eq!(count, 10);
        let close = (0..=1100).map(|i| pos2(0.1 * i as f32, 5.0)).collect();
        assert_eq!(dashes(close), count);
    }

    #[test]
    fn level_stretches_keep_their_ends_and_drifts_their_height() {
        let step: Vec<Pos2> = (0..200)
            .map(|x| pos2(x as f32, if x < 100 { 3.0 } else { 7.0 }))
            .collect();
        assert_eq!(
            without_level_points(&step),
            [(0.0, 3.0), (99.0, 3.0), (100.0, 7.0), (199.0, 7.0)].map(|(x, y)| pos2(x, y))
        );
        let drift: Vec<Pos2> = (0..200).map(|x| pos2(x as f32, 0.01 * x as f32)).collect();
        let kept = without_level_points(&drift);
        for point in &drift {
            let next = kept.partition_point(|k| k.x < point.x).max(1);
            let (a, b) = (kept[next - 1], kept[next]);
            let on_line = a.y + (b.y - a.y) * (point.x - a.x) / (b.x - a.x);
            assert!((on_line - point.y).abs() < 0.02, "{point:?}: {on_line}");
        }
    }
}
