//! Lines, areas and markers. Series differ by pen and marker as well as by colour.

use egui::{Color32, Mesh, Painter, Pos2, Rect, Shape, Stroke, pos2, vec2};

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
        // A jagged line is very long: its dashes grow so that their number stays bounded.
        let length: f32 = run.windows(2).map(|p| p[0].distance(p[1])).sum();
        let stretch = (length / 6_000.0).max(1.0);
        let pattern: (&[f32], &[f32]) = match pen {
            Pen::Solid => {
                painter.add(Shape::line(run.to_vec(), stroke));
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
            run,
            stroke,
            &scaled(pattern.0),
            &scaled(pattern.1),
            0.0,
            &mut shapes,
        );
        painter.extend(shapes);
    }
}

/// The area between two lines with the same x; points that are not finite leave a gap.
pub(crate) fn band(painter: &Painter, points: &[(f32, f32, f32)], color: Color32) {
    let mut mesh = Mesh::default();
    let mut previous = false;
    for &(x, low, high) in points {
        if !(x.is_finite() && low.is_finite() && high.is_finite()) {
            previous = false;
            continue;
        }
        let next = mesh.vertices.len() as u32;
        mesh.colored_vertex(pos2(x, low), color);
        mesh.colored_vertex(pos2(x, high), color);
        if previous {
            mesh.add_triangle(next - 2, next - 1, next);
            mesh.add_triangle(next - 1, next, next + 1);
        }
        previous = true;
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
