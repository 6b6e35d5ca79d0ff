//! A figure to a scene: where title, legend and axes go. The legend sits above the axes, where it can never cover data.

use super::{
    Figure,
    axes::draw_axes,
    legend::legend,
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
    let roomy = size.0 > 20.0 * style.font && size.1 > 14.0 * style.font;
    if roomy {
        top = title(figure, &style, size.0, margin, top, &mut items);
        top = legend(figure, &style, size, margin, top, &mut items);
    }
    let count = figure.axes.len().max(1) as f64;
    let gap = style.font * 1.4;
    let width = (size.0 - 2.0 * margin - gap * (count - 1.0)) / count;
    for (i, axes) in figure.axes.iter().enumerate() {
        let left = margin + i as f64 * (width + gap);
        let cell = Rect {
            left,
            top,
            right: left + width.max(1.0),
            bottom: (size.1 - margin).max(top + 1.0),
        };
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
