//! One completion token by token: how much likelier training has made each token than it is under the reference.

use egui::{
    Align2, Color32, CornerRadius, FontId, Rect, RichText, ScrollArea, Sense, Stroke, Ui, pos2,
    vec2,
};

use super::{answer, fixed, visible};
use crate::{
    figure::{Figure, Look},
    lm::SampleRecord,
    ui::{
        Action, Theme, View,
        figures::{self, Group},
        widgets::{number::signed, plot_menu::plot_menu},
    },
};

/// Height of a token's box, in points.
const BOX: f32 = 20.0;
/// Least width of a token's bar.
const LEAST_BAR: f32 = 46.0;
/// Difference that has the full colour, in nats.
const STRONG: f64 = 2.0;

/// The colour of a log-ratio: the policy's where the token became likelier, the target's where it became less likely.
pub(super) fn color(ratio: f64, theme: &Theme) -> Color32 {
    if ratio >= 0.0 {
        theme.policy
    } else {
        theme.target
    }
}

/// What is shown of one token.
struct Token<'a> {
    text: &'a str,
    policy: f64,
    reference: f64,
}

impl Token<'_> {
    fn ratio(&self) -> f64 {
        self.policy - self.reference
    }
}

/// Draws a completion into the whole of `ui`; `present` says that it is in the batch shown.
pub(super) fn credit_ui(
    ui: &mut Ui,
    view: &View,
    sample: &SampleRecord,
    present: bool,
    actions: &mut Vec<Action>,
) {
    let theme = Theme::of(ui);
    let tokens: Vec<Token<'_>> = sample
        .tokens
        .iter()
        .zip(sample.token_log_probs.iter())
        .zip(sample.token_log_references.iter())
        .map(|((text, &policy), &reference)| Token {
            text,
            policy: f64::from(policy),
            reference: f64::from(reference),
        })
        .collect();
    ui.horizontal_wrapped(|ui| {
        let ratio = sample.log_prob - sample.log_reference;
        ui.label(RichText::new(format!("“{}”", visible(&sample.text))).strong());
        ui.label(format!("counts as {}", answer(sample, view)));
        ui.label(RichText::new(format!("{} nats", signed(ratio))).color(color(ratio, &theme)))
            .on_hover_text("log π − log π_ref of the whole completion: the sum over its tokens");
        ui.label(format!("advantage {}", fixed(sample.advantage)))
            .on_hover_text("Every token's log-probability is pushed by this much");
        if !present {
            ui.weak("not in this batch");
        }
        plot_menu(ui, "tokens", actions, |dark| {
            figure(&sample.text, &tokens, dark)
        });
    });
    ui.add_space(2.0);
    ScrollArea::both()
        .auto_shrink([false, false])
        .show(ui, |ui| {
            let height = ui.available_height();
            if height > 110.0 {
                bars_ui(ui, &tokens, &theme, height - 8.0);
            } else {
                ui.horizontal_wrapped(|ui| {
                    ui.spacing_mut().item_spacing = vec2(2.0, 3.0);
                    for token in &tokens {
                        box_ui(ui, token, &theme);
                    }
                });
            }
        });
}

/// The log-ratios as a figure: a bar per token, hatched where the token became less likely.
fn figure(text: &str, tokens: &[Token], dark: bool) -> Figure {
    let theme = figures::theme(dark);
    let heights = |likelier: bool| {
        let ratios = tokens.iter().map(Token::ratio);
        ratios
            .map(|ratio| {
                if (ratio >= 0.0) == likelier {
                    ratio
                } else {
                    f64::NAN
                }
            })
            .collect()
    };
    let mut shown = figures::grouped(
        &format!("“{}” token by token", visible(text)),
        "tokens",
        (
            "token",
            tokens.iter().map(|token| visible(token.text)).collect(),
        ),
        "log π − log π_ref (nats)",
        vec![
            Group {
                name: "likelier than under the reference",
                color: theme.policy,
                look: Look::Solid,
                heights: heights(true),
            },
            Group {
                name: "less likely",
                color: theme.target,
                look: Look::Hatched,
                heights: heights(false),
            },
        ],
        dark,
    );
    figures::one_bar_per_place(&mut shown);
    shown
}

/// The token on a background in the colour of its log-ratio.
fn box_ui(ui: &mut Ui, token: &Token, theme: &Theme) {
    let font = FontId::monospace(12.0);
    let ink = ui.visuals().strong_text_color();
    let galley = ui.painter().layout_no_wrap(visible(token.text), font, ink);
    let (rect, response) = ui.allocate_exact_size(vec2(galley.size().x + 8.0, BOX), Sense::hover());
    ui.painter()
        .rect_filled(rect, CornerRadius::same(3), background(token, theme));
    ui.painter().galley(rect.min + vec2(4.0, 2.5), galley, ink);
    describe(response, token);
}

fn background(token: &Token, theme: &Theme) -> Color32 {
    let strength = (token.ratio().abs() / STRONG).min(1.0) as f32;
    color(token.ratio(), theme).gamma_multiply(0.08 + 0.5 * strength)
}

/// A bar per token from a common zero line, up where it became likelier, the token below.
fn bars_ui(ui: &mut Ui, tokens: &[Token], theme: &Theme, height: f32) {
    let count = tokens.len().max(1) as f32;
    let each = ((ui.available_width() - 52.0) / count).clamp(LEAST_BAR, 120.0);
    let (rect, _) = ui.allocate_exact_size(vec2(52.0 + each * count, height), Sense::hover());
    let plot = Rect::from_min_max(
        pos2(rect.left() + 48.0, rect.top() + 14.0),
        pos2(
            rect.left() + 48.0 + each * count,
            rect.bottom() - BOX - 18.0,
        ),
    );
    let mut high = tokens.iter().map(Token::ratio).fold(0.0, f64::max);
    let mut low = tokens.iter().map(Token::ratio).fold(0.0, f64::min);
    if high - low < 0.02 {
        (high, low) = (0.02, -0.02);
    }
    let y = |value: f64| plot.bottom() - ((value - low) / (high - low)) as f32 * plot.height();
    let painter = ui.painter_at(rect);
    let muted = theme.muted;
    let small = FontId::proportional(10.5);
    let ends = [(high, Align2::RIGHT_TOP), (low, Align2::RIGHT_BOTTOM)];
    for (value, align) in ends.into_iter().filter(|(value, _)| *value != 0.0) {
        painter.text(
            pos2(plot.left() - 6.0, y(value)),
            align,
            signed_short(value),
            small.clone(),
            muted,
        );
    }
    painter.text(
        pos2(rect.left(), rect.top()),
        Align2::LEFT_TOP,
        "log π − log π_ref by token, nats",
        small.clone(),
        muted,
    );
    for (index, token) in tokens.iter().enumerate() {
        let left = plot.left() + each * index as f32;
        let slot = Rect::from_x_y_ranges(left..=left + each, rect.y_range());
        let response = ui.interact(slot, ui.scope_id().with(("token", index)), Sense::hover());
        let bar = Rect::from_two_pos(
            pos2(left + 0.14 * each, y(0.0)),
            pos2(left + 0.86 * each, y(token.ratio())),
        );
        painter.rect_filled(
            bar,
            CornerRadius::same(1),
            color(token.ratio(), theme).gamma_multiply(0.85),
        );
        let tag = Rect::from_center_size(
            pos2(slot.center().x, plot.bottom() + 4.0 + BOX / 2.0),
            vec2(each - 4.0, BOX),
        );
        painter.rect_filled(tag, CornerRadius::same(3), background(token, theme));
        let letters = ((each - 8.0) / 7.3).max(1.0) as usize;
        painter.text(
            tag.center(),
            Align2::CENTER_CENTER,
            crate::ui::chart::elide(&visible(token.text), letters),
            FontId::monospace(12.0),
            ui.visuals().strong_text_color(),
        );
        painter.text(
            pos2(slot.center().x, tag.bottom() + 2.0),
            Align2::CENTER_TOP,
            signed_short(token.ratio()),
            small.clone(),
            muted,
        );
        describe(response, token);
    }
    painter.hline(plot.x_range(), y(0.0), Stroke::new(1.0, muted));
}

fn describe(response: egui::Response, token: &Token) {
    response.widget_info(|| {
        egui::WidgetInfo::labeled(
            egui::Role::Label,
            true,
            format!(
                "Token “{}”, log ratio {}",
                token.text,
                signed(token.ratio())
            ),
        )
    });
    response.on_hover_ui_at_pointer(|ui| {
        ui.label(
            RichText::new(format!("“{}”", visible(token.text)))
                .monospace()
                .strong(),
        );
        egui::Grid::new("token").num_columns(3).show(ui, |ui| {
            for (name, log) in [("policy", token.policy), ("reference", token.reference)] {
                ui.label(name);
                ui.label(RichText::new(percent(log.exp())).monospace());
                ui.label(RichText::new(format!("{} nats", fixed(log))).monospace());
                ui.end_row();
            }
            ui.label("ratio");
            ui.label(RichText::new(format!("{:.3} ×", token.ratio().exp())).monospace());
            ui.label(RichText::new(format!("{} nats", signed(token.ratio()))).monospace());
            ui.end_row();
        });
    });
}

fn signed_short(value: f64) -> String {
    let text = fixed((value * 100.0).round() / 100.0);
    let text = text.trim_end_matches('0').trim_end_matches('.').to_owned();
    if value > 0.0 && text != "0" {
        format!("+{text}")
    } else {
        text
    }
}

/// A probability as a share of a hundred.
pub(in crate::ui::panels) fn percent(share: f64) -> String {
    let value = 100.0 * share;
    if value >= 10.0 {
        format!("{value:.1} %")
    } else if value >= 0.01 {
        format!("{value:.2} %")
    } else {
        format!("{value:.1e} %").replace('-', "−")
    }
}
