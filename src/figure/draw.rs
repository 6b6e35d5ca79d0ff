//! A figure to a scene: where title, legend and axes go. The legend sits above the axes, where it can never cover data.

use super::{
    Axes, Figure, Layout, Mark,
    axes::draw_axes,
    legend::{entries, legend, same, shared},
    scene::{Anchor, Item, Rect, Scene, Style},
    text,
};

/// Figures are drawn at least and at most this large, in points.
const SIDE: (f64, f64) = (24.0, 14_400.0);

/// Lays out a figure.
pub(super) fn scene(figure: &Figure) -> Scene {
    let side = |s: f64| {
        if s.is_finite() {
            s.clamp(SIDE.0, SIDE.1)
        } else {
            400.0
        }
    };
    let size = (side(figure.size.0), side(figure.size.1));
    let style = Style::new(figure.dark, size);
    let mut items = Vec::new();
    let margin = style.font * 0.8;
    let mut top = margin;
    let shared = shared(&figure.axes);
    let roomy = size.0 > 20.0 * style.font && size.1 > 14.0 * style.font;
    if roomy {
        top = title(figure, &style, size.0, margin, top, &mut items);
        let area = Rect {
            left: margin,
            top,
            right: size.0 - margin,
            bottom: top + size.1 * 0.3,
        };
        let common = match figure.layout {
            Layout::Row => entries(figure.axes.iter()),
            Layout::Grid { .. } => shared.clone(),
        };
        top = legend(&common, &style, area, &mut items);
    }
    let count = figure.axes.len().max(1);
    let columns = match figure.layout {
        Layout::Row => count,
        Layout::Grid { columns } => columns.clamp(1, count),
    };
    let rows = count.div_ceil(columns);
    let gap = style.font * 1.4;
    let room =
        |whole: f64, cells: usize| ((whole - gap * (cells as f64 - 1.0)) / cells as f64).max(1.0);
    let width = room(size.0 - 2.0 * margin, columns);
    let height = room(size.1 - margin - top, rows);
    for (i, axes) in figure.axes.iter().enumerate() {
        let left = margin + (i % columns) as f64 * (width + gap);
        let upper = top + (i / columns) as f64 * (height + gap);
        let cell = Rect {
            left,
            top: upper,
            right: left + width,
            bottom: upper + height,
        };
        let cell = headed(axes, (figure.layout, &shared), cell, &style, &mut items);
        draw_axes(axes, cell, &style, &mut items);
    }
    Scene {
        size,
        background: style.background,
        title: figure.title.clone(),
        id: figure.file_stem.clone(),
        items,
    }
}

fn title(
    figure: &Figure,
    style: &Style,
    width: f64,
    margin: f64,
    mut top: f64,
    items: &mut Vec<Item>,
) -> f64 {
    let size = style.font * 1.2;
    for line in text::wrapped(&figure.title, size, width - 2.0 * margin, 2) {
        top += size;
        items.push(Item::Text {
            at: (margin, top),
            text: line,
            size,
            anchor: Anchor::Start,
            angle: 0.0,
            color: style.text,
            halo: None,
        });
        top += size * 0.3;
    }
    if figure.title.is_empty() {
        top
    } else {
        top + style.font * 0.5
    }
}

/// Writes the title of one pair of axes and, in a grid, its legend where there is more than one series; the room left.
fn headed(
    axes: &Axes,
    (layout, shared): (Layout, &[&Mark]),
    mut cell: Rect,
    style: &Style,
    items: &mut Vec<Item>,
) -> Rect {
    if cell.width() < 9.0 * style.font || cell.height() < 7.0 * style.font {
        return cell;
    }
    if !axes.title.trim().is_empty() {
        let size = style.font * 1.05;
        items.push(Item::Text {
            at: (cell.left, cell.top + size),
            text: text::shortened(&axes.title, size, cell.width()),
            size,
            anchor: Anchor::Start,
            angle: 0.0,
            color: style.text,
            halo: None,
        });
        cell.top += size * 1.4;
    }
    match layout {
        Layout::Row => {}
        Layout::Grid { .. } => {
            let mut entries = entries(std::iter::once(axes));
            entries.retain(|entry| !shared.iter().any(|e| same(e, entry)));
            if entries.len() > 1 {
                // What the axes themselves cannot do without stays theirs.
                let area = Rect {
                    bottom: cell.bottom - 9.0 * style.font,
                    ..cell
                };
                cell.top = legend(&entries, style, area, items);
            }
        }
    }
    cell
}
