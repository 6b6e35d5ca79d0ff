//! Where the maps stand, and what is drawn around and over them.

use egui::{Align2, Color32, Rect, Stroke, Ui, Vec2, pos2, vec2};

use super::Cells;
use crate::{
    figure::viridis,
    ui::{
        Theme, View,
        chart::{Frame, Margins, Scale, Tick, decades, number, ticks},
        panels::main_plot::Series,
    },
};

/// Where the colour bar of a map stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bar {
    Right,
    Below,
}

/// Room for the colour bar, and for ticks, where a map has that much room.
fn margins(room: Vec2, bar: Bar, words: f32) -> Margins {
    let (wide, high) = match bar {
        Bar::Right => (58.0, 0.0),
        Bar::Below => (0.0, 28.0),
    };
    let bar = room.x > 72.0 + wide && room.y > 90.0 + high;
    let ticks = room.x > 162.0 + wide && room.y > 140.0 + high;
    Margins {
        left: if ticks { words } else { 4.0 },
        right: if bar { wide.max(4.0) } else { 4.0 },
        top: 16.0,
        bottom: if ticks { 18.0 } else { 4.0 } + if bar { high } else { 0.0 },
    }
}

/// Places for `count` maps and the margins within each: the number of columns and the side of the colour bar that make
/// the maps largest, in the grid's proportions.
pub(super) fn arrange(outer: Rect, count: usize, cells: Cells) -> (Vec<Rect>, Margins, Bar) {
    // Room for the labels of the vertical axis: about six points a letter.
    let letters = ticks(cells.y_range.0, cells.y_range.1, 6)
        .iter()
        .map(|tick| tick.label.chars().count())
        .max();
    let words = (10.0 + 6.0 * letters.unwrap_or(0) as f32).clamp(22.0, 48.0);
    let aspect = (cells.columns as f32 / cells.rows as f32).clamp(0.25, 4.0);
    let size_of = |(across, bar): (usize, Bar)| {
        let down = count.div_ceil(across);
        let room = vec2(outer.width() / across as f32, outer.height() / down as f32);
        let margin = margins(room, bar, words);
        let width = (room.x - margin.left - margin.right).max(1.0);
        let height = (room.y - margin.top - margin.bottom).max(1.0);
        (room, margin, width.min(height * aspect))
    };
    let ways = (1..=count).flat_map(|across| [(across, Bar::Below), (across, Bar::Right)]);
    let Some(way) = ways.max_by(|a, b| size_of(*a).2.total_cmp(&size_of(*b).2)) else {
        return (
            Vec::new(),
            margins(Vec2::ZERO, Bar::Right, words),
            Bar::Right,
        );
    };
    let (room, margin, width) = size_of(way);
    let (across, bar) = way;
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
    (places, margin, bar)
}

/// Title, ticks and colour bar of a map.
pub(super) fn labels(
    frame: &Frame,
    (place, bar): (Rect, Bar),
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
        theme.ink(series.color(theme)),
    );
    if rect.left() - place.left() > 20.0 && place.bottom() - rect.bottom() > 17.0 {
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
    match bar {
        Bar::Right if place.right() - rect.right() > 20.0 => color_bar(frame, range, log),
        Bar::Below if place.bottom() - rect.bottom() > 20.0 => {
            color_bar_below(frame, place, range, log);
        }
        Bar::Right | Bar::Below => {}
    }
    frame.outline();
}

const STRIPES: usize = 48;

/// A colour bar; `place` is where the stripe between two shares of its length lies.
fn stripes(place: impl Fn(f32, f32) -> Rect) -> egui::Shape {
    let mut mesh = egui::Mesh::default();
    for i in 0..STRIPES {
        let [r, g, b] = viridis((i as f64 + 0.5) / STRIPES as f64);
        let share = |i: usize| i as f32 / STRIPES as f32;
        mesh.add_colored_rect(place(share(i), share(i + 1)), Color32::from_rgb(r, g, b));
    }
    egui::Shape::mesh(mesh)
}

fn bar_ticks((low, high): (f64, f64), log: bool, wanted: usize) -> Vec<Tick> {
    if low >= high {
        vec![Tick {
            value: low,
            label: number(low),
        }]
    } else if log {
        decades(low, high, wanted)
    } else {
        ticks(low, high, wanted)
    }
}

fn color_bar(frame: &Frame, range: (f64, f64), log: bool) {
    let rect = frame.rect;
    let bar = Rect::from_min_max(
        pos2(rect.right() + 6.0, rect.top()),
        pos2(rect.right() + 14.0, rect.bottom()),
    );
    let y = |share: f32| egui::lerp(bar.bottom()..=bar.top(), share);
    frame.outside.add(stripes(|from, to| {
        Rect::from_x_y_ranges(bar.x_range(), y(to)..=y(from))
    }));
    let scale = Scale::new(range.0, range.1, bar.bottom(), bar.top());
    let few = (rect.height() / 36.0).clamp(3.0, 6.0) as usize;
    for tick in bar_ticks(range, log, few) {
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
}

fn color_bar_below(frame: &Frame, place: Rect, range: (f64, f64), log: bool) {
    let top = place.bottom() - 25.0;
    let bar = Rect::from_x_y_ranges(frame.rect.x_range(), top..=top + 8.0);
    let x = |share: f32| egui::lerp(bar.left()..=bar.right(), share);
    frame.outside.add(stripes(|from, to| {
        Rect::from_x_y_ranges(x(from)..=x(to), bar.y_range())
    }));
    let scale = Scale::new(range.0, range.1, bar.left(), bar.right());
    let few = (bar.width() / 42.0).clamp(3.0, 6.0) as usize;
    let mut free_from = f32::NEG_INFINITY;
    for tick in bar_ticks(range, log, few) {
        let at = scale.at(tick.value);
        if at < bar.left() - 0.5 || at > bar.right() + 0.5 {
            continue;
        }
        let text = frame
            .outside
            .layout_no_wrap(tick.label, frame.font(), frame.text_color());
        let width = text.size().x;
        let left = (at - width / 2.0)
            .min(place.right() - width)
            .max(place.left());
        if left >= free_from {
            free_from = left + width + 6.0;
            let at = pos2(left, bar.bottom() + 2.0);
            frame.outside.galley(at, text, frame.text_color());
        }
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
            let (places, ..) = arrange(outer, count, CELLS);
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
