//! Where the maps stand, and what is drawn around and over them.

use egui::{Align2, Color32, Rect, Stroke, Ui, Vec2, pos2, vec2};

use super::Cells;
use crate::{
    figure::viridis,
    ui::{
        Theme, View,
        chart::{Frame, Margins, Scale, decades, number, ticks},
        panels::main_plot::Series,
    },
};

/// Room for the colour bar, and for ticks, where a map has that much room.
fn margins(room: Vec2) -> Margins {
    let bar = room.x > 130.0 && room.y > 90.0;
    let ticks = room.x > 220.0 && room.y > 140.0;
    Margins {
        left: if ticks { 38.0 } else { 4.0 },
        right: if bar { 58.0 } else { 4.0 },
        top: 16.0,
        bottom: if ticks { 18.0 } else { 4.0 },
    }
}

/// Places for `count` maps and the margins within each: the number of columns that makes the maps largest, in the
/// grid's proportions.
pub(super) fn arrange(outer: Rect, count: usize, cells: Cells) -> (Vec<Rect>, Margins) {
    let aspect = (cells.columns as f32 / cells.rows as f32).clamp(0.25, 4.0);
    let size_of = |across: usize| {
        let down = count.div_ceil(across);
        let room = vec2(outer.width() / across as f32, outer.height() / down as f32);
        let margin = margins(room);
        let width = (room.x - margin.left - margin.right).max(1.0);
        let height = (room.y - margin.top - margin.bottom).max(1.0);
        (room, margin, width.min(height * aspect))
    };
    let Some(across) = (1..=count).max_by(|a, b| size_of(*a).2.total_cmp(&size_of(*b).2)) else {
        return (Vec::new(), margins(Vec2::ZERO));
    };
    let (room, margin, width) = size_of(across);
    let size = vec2(
        width + margin.left + margin.right,
        width / aspect + margin.top + margin.bottom,
    );
    let places = (0..count)
        .map(|i| {
            let corner =
                outer.min + vec2((i % across) as f32 * room.x, (i / across) as f32 * room.y);
            Rect::from_min_size(corner, size.min(room))
        })
        .collect();
    (places, margin)
}

/// Title, ticks and colour bar of a map.
pub(super) fn labels(
    frame: &Frame,
    place: Rect,
    series: Series,
    range: (f64, f64),
    log: bool,
    cells: Cells,
    theme: &Theme,
) {
    let rect = frame.rect;
    frame.label(
        pos2(rect.left(), rect.top() - 2.0),
        Align2::LEFT_BOTTOM,
        series.label(),
        series.color(theme),
    );
    if rect.left() - place.left() > 20.0 {
        let x = frame.x(cells.x_range.0, cells.x_range.1);
        let y = frame.y(cells.y_range.0, cells.y_range.1);
        let few = (rect.width() / 42.0).clamp(2.0, 6.0) as usize;
        frame.bottom_axis(x, &ticks(x.low, x.high, few), false);
        for tick in ticks(y.low, y.high, few) {
            frame.label(
                pos2(rect.left() - 4.0, y.at(tick.value)),
                Align2::RIGHT_CENTER,
                &tick.label,
                frame.text_color(),
            );
        }
    }
    if place.right() - rect.right() > 20.0 {
        color_bar(frame, range, log);
    }
    frame.outline();
}

fn color_bar(frame: &Frame, (low, high): (f64, f64), log: bool) {
    let rect = frame.rect;
    let bar = Rect::from_min_max(
        pos2(rect.right() + 6.0, rect.top()),
        pos2(rect.right() + 14.0, rect.bottom()),
    );
    let mut mesh = egui::Mesh::default();
    const STRIPES: usize = 48;
    for i in 0..STRIPES {
        let [r, g, b] = viridis((i as f64 + 0.5) / STRIPES as f64);
        let share = |i: usize| bar.bottom() - bar.height() * i as f32 / STRIPES as f32;
        mesh.add_colored_rect(
            Rect::from_min_max(pos2(bar.left(), share(i + 1)), pos2(bar.right(), share(i))),
            Color32::from_rgb(r, g, b),
        );
    }
    frame.outside.add(egui::Shape::mesh(mesh));
    let scale = Scale::new(low, high, bar.bottom(), bar.top());
    let few = (rect.height() / 36.0).clamp(3.0, 6.0) as usize;
    let marks = if log {
        decades(low, high, few)
    } else {
        ticks(low, high, few)
    };
    for tick in marks {
        let y = scale.at(tick.value);
        if y >= bar.top() - 0.5 && y <= bar.bottom() + 0.5 {
            frame.label(
                pos2(bar.right() + 3.0, y),
                Align2::LEFT_CENTER,
                &tick.label,
                frame.text_color(),
            );
        }
    }
    if low >= high {
        frame.label(
            pos2(bar.right() + 3.0, bar.center().y),
            Align2::LEFT_CENTER,
            &number(low),
            frame.text_color(),
        );
    }
}

/// Cross-hair on the hovered arm, boxes on the picked ones.
pub(super) fn crosshair(ui: &Ui, frame: &Frame, cells: Cells, view: &View, theme: &Theme) {
    let size = vec2(
        frame.rect.width() / cells.columns as f32,
        frame.rect.height() / cells.rows as f32,
    );
    let cell = |arm: usize| {
        (arm < cells.rows * cells.columns).then(|| {
            let (row, column) = (arm / cells.columns, arm % cells.columns);
            Rect::from_min_size(
                pos2(
                    frame.rect.left() + column as f32 * size.x,
                    frame.rect.bottom() - (row + 1) as f32 * size.y,
                ),
                size,
            )
        })
    };
    if let Some(cell) = view.selection.hovered.and_then(cell) {
        let centre = cell.center();
        for (width, color) in [
            (2.5, Color32::from_black_alpha(110)),
            (1.0, Color32::from_white_alpha(220)),
        ] {
            let stroke = Stroke::new(width, color);
            frame.inside.hline(frame.rect.x_range(), centre.y, stroke);
            frame.inside.vline(centre.x, frame.rect.y_range(), stroke);
        }
    }
    for (name, arm) in [("A", view.selection.pair.0), ("B", view.selection.pair.1)] {
        if let Some(cell) = arm.and_then(cell) {
            let at = cell.center();
            frame
                .inside
                .circle(at, 7.5, theme.accent, Stroke::new(1.0, Color32::WHITE));
            frame.inside.text(
                at,
                Align2::CENTER_CENTER,
                name,
                frame.font(),
                ui.visuals().extreme_bg_color,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CELLS: Cells = Cells {
        rows: 4,
        columns: 5,
        x_range: (0.0, 1.0),
        y_range: (0.0, 1.0),
    };

    #[test]
    fn maps_get_places_inside_the_panel_that_do_not_overlap() {
        let outer = Rect::from_min_size(pos2(3.0, 5.0), vec2(800.0, 300.0));
        for count in 0..=7 {
            let (places, _) = arrange(outer, count, CELLS);
            assert_eq!(places.len(), count);
            for (i, a) in places.iter().enumerate() {
                assert!(outer.expand(0.1).contains_rect(*a), "{a:?}");
                for b in &places[..i] {
                    assert!(!a.shrink(0.1).intersects(b.shrink(0.1)));
                }
            }
        }
    }
}
