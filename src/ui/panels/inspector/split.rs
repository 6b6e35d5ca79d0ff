//! The log-ratio as signed bars: the reference part starts at zero, the reward part where it ends, the total below. To the right
//! favours the first arm, to the left the second.

use egui::{Align2, Color32, CornerRadius, FontId, Rect, Sense, Stroke, Ui, pos2, vec2};

use crate::{
    figure::{Axes, Axis, Dash, Figure, Layout, Mark, MarkKind},
    theory::LogRatio,
    ui::{Theme, figures, widgets::number::signed},
};

const ROW: f32 = 22.0;
const LABELS: f32 = 92.0;
const NUMBERS: f32 = 62.0;

/// One row: label, where the bar starts, where it ends, the number beside it, colour.
struct Bar {
    label: &'static str,
    from: f64,
    to: f64,
    color: Color32,
}

fn bars(now: LogRatio, plain: Option<LogRatio>, theme: &Theme) -> Vec<Bar> {
    let mut bars = Vec::new();
    if let Some(plain) = plain {
        bars.push(Bar {
            label: "without MARA",
            from: 0.0,
            to: plain.total,
            color: theme.muted,
        });
    }
    bars.push(Bar {
        label: "reference",
        from: 0.0,
        to: now.reference_part,
        color: theme.reference,
    });
    bars.push(Bar {
        label: "reward",
        from: now.reference_part,
        to: now.total,
        color: theme.reward,
    });
    bars.push(Bar {
        label: "together",
        from: 0.0,
        to: now.total,
        color: theme.target,
    });
    bars
}

/// How far the bars reach from zero, to either side.
fn largest(bars: &[Bar]) -> f64 {
    bars.iter()
        .flat_map(|bar| [bar.from.abs(), bar.to.abs()])
        .fold(1e-9, f64::max)
}

/// Zero for what is left only by rounding of numbers as large as `largest`.
fn without_rounding(value: f64, largest: f64) -> f64 {
    if value.abs() < 1e-12 * largest {
        0.0
    } else {
        value
    }
}

/// Draws the bars over the available width.
pub(super) fn split_ui(ui: &mut Ui, now: LogRatio, plain: Option<LogRatio>) {
    let theme = Theme::of(ui);
    let bars = bars(now, plain, &theme);
    let height = ROW * bars.len() as f32 + 18.0;
    let (rect, response) = ui.allocate_exact_size(
        vec2(
            ui.available_width().clamp(LABELS + NUMBERS + 40.0, 720.0),
            height,
        ),
        Sense::hover(),
    );
    response.widget_info(|| {
        egui::WidgetInfo::labeled(
            egui::Role::Image,
            true,
            format!(
                "log-ratio {}: reference part {}, reward part {}",
                signed(now.total),
                signed(now.reference_part),
                signed(now.reward_part)
            ),
        )
    });
    response.on_hover_text(
        "log of the ratio of target masses, first over second, in nats. To the right favours the first, to the left the second; \
         the reward part starts where the reference part ends.",
    );
    let painter = ui.painter_at(rect);
    let largest = largest(&bars);
    let plot = Rect::from_min_max(
        pos2(rect.left() + LABELS, rect.top()),
        pos2(rect.right() - NUMBERS, rect.bottom() - 18.0),
    );
    let x = |value: f64| plot.center().x + (value / largest) as f32 * plot.width() * 0.5;
    let text = FontId::proportional(12.0);
    let ink = ui.visuals().text_color();
    for (index, bar) in bars.iter().enumerate() {
        let y = rect.top() + ROW * (index as f32 + 0.5);
        painter.text(
            pos2(rect.left(), y),
            Align2::LEFT_CENTER,
            bar.label,
            text.clone(),
            ink,
        );
        let (left, right) = (x(bar.from.min(bar.to)), x(bar.from.max(bar.to)));
        painter.rect_filled(
            Rect::from_x_y_ranges(left..=right.max(left + 1.0), y - 7.0..=y + 7.0),
            CornerRadius::same(1),
            bar.color,
        );
        painter.text(
            pos2(rect.right(), y),
            Align2::RIGHT_CENTER,
            signed(without_rounding(bar.to - bar.from, largest)),
            FontId::monospace(12.0),
            ink,
        );
        // What the next row starts from.
        if bar.label == "reference" {
            painter.vline(
                x(bar.to),
                y + 7.0..=y + ROW - 7.0,
                Stroke::new(1.0, theme.muted),
            );
        }
    }
    painter.vline(
        plot.center().x,
        plot.y_range(),
        Stroke::new(1.0, theme.muted),
    );
    let small = FontId::proportional(10.5);
    let below = plot.bottom() + 9.0;
    for (at, align, words) in [
        (plot.left(), Align2::LEFT_CENTER, "favours second"),
        (plot.right(), Align2::RIGHT_CENTER, "favours first"),
    ] {
        if plot.width() > 170.0 {
            painter.text(pos2(at, below), align, words, small.clone(), theme.muted);
        }
    }
    painter.text(
        pos2(rect.right(), below),
        Align2::RIGHT_CENTER,
        "nats",
        small,
        theme.muted,
    );
}

/// The same as a figure.
pub(super) fn figure(
    (title, first): (&str, &str),
    now: Option<LogRatio>,
    plain: Option<LogRatio>,
    dark: bool,
) -> Figure {
    let theme = figures::theme(dark);
    let bars = now.map_or_else(Vec::new, |now| bars(now, plain, &theme));
    let largest = largest(&bars);
    let count = bars.len();
    let at = |index: usize| (count - 1 - index) as f64;
    let mut marks: Vec<Mark> = bars
        .iter()
        .enumerate()
        .map(|(index, bar)| {
            let kind = MarkKind::Line {
                points: vec![(bar.from, at(index)), (bar.to, at(index))],
                width: 14.0,
                dash: Dash::Solid,
            };
            Mark {
                // The axis names the bars.
                legend: Some(String::new()),
                ..figures::mark(bar.label, bar.color, 1.0, kind)
            }
        })
        .collect();
    let zero = MarkKind::VerticalLine {
        x: 0.0,
        dash: Dash::Solid,
    };
    marks.push(figures::mark("", theme.muted, 1.0, zero));
    let names = bars
        .iter()
        .enumerate()
        .map(|(index, bar)| {
            let value = signed(without_rounding(bar.to - bar.from, largest));
            (at(index), format!("{} {value}", bar.label))
        })
        .collect();
    Figure {
        title: title.to_owned(),
        file_stem: "log-ratio".to_owned(),
        size: (420.0, 180.0),
        dark,
        layout: Layout::Row,
        axes: vec![Axes {
            title: String::new(),
            aspect: None,
            x: figures::axis(
                &format!("log-ratio of target masses (nats), the right favours {first}"),
                false,
                Some((-1.05 * largest, 1.05 * largest)),
            ),
            y: Axis {
                label: String::new(),
                log10: false,
                bounds: Some((-0.6, count as f64 - 0.4)),
                names: Some(names),
            },
            marks,
            right: None,
        }],
    }
}
