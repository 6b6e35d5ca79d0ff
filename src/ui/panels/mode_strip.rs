//! The mode strip: how much mass each mode holds under reference, target, policy and samples, and what that means for
//! coverage. A click on a mode picks its best arm for the inspector.

mod masses;
#[cfg(test)]
mod tests;

use egui::{
    Align, Align2, Color32, DragValue, Layout, Pos2, Rect, RichText, ScrollArea, Sense, Stroke, Ui,
    UiBuilder, pos2, vec2,
};

use self::masses::ModeMasses;
use super::main_plot::Series;
use crate::{
    experiment::Edit,
    theory::{CoverageRule, Metric, coverage::MOST_DRAWS, sampled::Estimate},
    ui::{
        Action, Theme, View,
        chart::{Pen, align, elide, hatched_rect, line, number},
        figures,
        widgets::{
            number::significant,
            plot_menu::{plot_context_menu, plot_menu},
        },
    },
};

/// The rows of every mode, top to bottom.
const ROWS: [Series; 4] = [
    Series::Reference,
    Series::Target,
    Series::Policy,
    Series::Samples,
];
/// The columns of the table that are metrics of section 5 but coverage@n.
const COLUMNS: [(&str, Metric); 5] = [
    ("covered", Metric::CoveredModes),
    ("effective", Metric::EffectiveModes),
    ("balance", Metric::Balance),
    ("largest", Metric::LargestShare),
    ("on modes", Metric::ModeMass),
];
/// Up to this many modes coverage is measured with every snapshot, above it every `PAUSE_SECS`.
const FEW_MODES: usize = 200;
/// See `FEW_MODES`.
const PAUSE_SECS: f64 = 0.25;
/// Above this many modes the number of draws for a wanted coverage is not looked for: it takes too long for a frame.
const MOST_MODES: usize = 2000;
/// Up to this many arms mode masses are summed here, so that they belong to the modes of this very frame.
const FEW_ARMS: usize = 10_000;
/// Width of the table beside the bars.
const TABLE: f32 = 580.0;
/// Least height of one bar, in points; where there is room bars grow up to `HIGHEST_BAR`.
const BAR: f32 = 5.0;
/// See `BAR`.
const HIGHEST_BAR: f32 = 16.0;

/// Height of one mode whose bars have this height.
fn mode_height(bar: f32) -> f32 {
    4.0 * bar + 7.0
}

/// State of the mode strip.
#[derive(Default)]
pub(crate) struct ModeStrip {
    /// Largest modes first, instead of in order of their arms.
    sorted: bool,
    masses: ModeMasses,
}

impl ModeStrip {
    /// Draws the strip into the whole of `ui`.
    pub(crate) fn ui(&mut self, ui: &mut Ui, view: &View, actions: &mut Vec<Action>) {
        let now = ui.input(|input| input.time);
        self.masses.update(view, now);
        if view.problem.modes.is_empty() {
            ui.weak("This problem has no modes: no arm reaches the reward threshold");
            return;
        }
        if view.waits_for_model() {
            ui.weak("The masses of the modes are not known until the model is loaded");
            return;
        }
        let outer = ui.available_rect_before_wrap();
        if !outer.is_finite() || outer.width() < 20.0 || outer.height() < 8.0 {
            return;
        }
        // Side by side, in a low pane also where the table must then be scrolled.
        let wide = outer.width() > TABLE + 200.0;
        if wide || outer.height() < 130.0 && outer.width() > 340.0 {
            let table = if wide { TABLE } else { outer.width() * 0.58 };
            let split = outer.right() - table;
            let left = Rect::from_min_max(outer.min, pos2(split - 18.0, outer.bottom()));
            let right =
                Rect::from_min_max(pos2(split - 8.0, outer.top()), outer.max - vec2(8.0, 0.0));
            ui.scope_builder(UiBuilder::new().max_rect(right).id_salt("table"), |ui| {
                ui.shrink_clip_rect(right);
                ScrollArea::both()
                    .auto_shrink(false)
                    .show(ui, |ui| self.table_ui(ui, view, actions));
            });
            ui.scope_builder(UiBuilder::new().max_rect(left).id_salt("bars"), |ui| {
                self.bars_ui(ui, view, actions);
            });
        } else {
            ScrollArea::horizontal()
                .id_salt("table")
                .show(ui, |ui| self.table_ui(ui, view, actions));
            self.bars_ui(ui, view, actions);
        }
    }

    fn bars_ui(&mut self, ui: &mut Ui, view: &View, actions: &mut Vec<Action>) {
        let order = self.order(view);
        let top = self.largest();
        ui.spacing_mut().item_spacing.y = 0.0;
        let each = ui.available_height() / order.len().max(1) as f32;
        let bar = ((each - 7.0) / 4.0).clamp(BAR, HIGHEST_BAR).floor();
        ScrollArea::vertical()
            .auto_shrink([false, false])
            .show_rows(ui, mode_height(bar), order.len(), |ui, rows| {
                for &mode in order.get(rows).unwrap_or(&[]) {
                    self.mode_ui(ui, (mode, bar), top, view, actions);
                }
            });
    }

    /// Coverage in numbers, one row per series; the swatches are the legend of the bars.
    fn table_ui(&mut self, ui: &mut Ui, view: &View, actions: &mut Vec<Action>) {
        let theme = Theme::of(ui);
        let count = view.problem.modes.len();
        let mut rule = view.preset.coverage;
        ui.spacing_mut().interact_size.y = 15.0;
        ui.spacing_mut().button_padding.y = 0.0;
        egui::Grid::new("coverage")
            // One more than there are, for a grid gives its last column all the room left.
            .num_columns(10)
            .spacing([8.0, 2.0])
            .min_col_width(0.0)
            .min_row_height(15.0)
            .show(ui, |ui| {
                ui.horizontal(|ui| {
                    plot_menu(ui, "mode strip", actions, |dark| self.figure(view, dark));
                    if count > 2 {
                        ui.toggle_value(&mut self.sorted, RichText::new("sort").small())
                            .on_hover_text("Modes with the most target mass first");
                    }
                });
                let heading = |ui: &mut Ui, name: &str, metric: Metric| {
                    ui.label(RichText::new(name).small().color(theme.muted))
                        .on_hover_text(format!(
                            "{} = {}",
                            metric.label_by(rule),
                            metric.formula_by(rule)
                        ));
                };
                let mut chosen = rule;
                for (name, metric) in COLUMNS {
                    if metric == Metric::CoveredModes {
                        ui.horizontal(|ui| {
                            ui.spacing_mut().item_spacing.x = 2.0;
                            heading(ui, "covered, ε", metric);
                            epsilon_ui(ui, &mut chosen);
                        });
                    } else {
                        right(ui, |ui| heading(ui, name, metric));
                    }
                }
                ui.horizontal(|ui| {
                    ui.spacing_mut().item_spacing.x = 2.0;
                    heading(ui, "seen @", Metric::Coverage);
                    ui.add(
                        DragValue::new(&mut chosen.draws)
                            .range(1..=MOST_DRAWS)
                            .speed(0.2),
                    )
                    .on_hover_text("Draws n of coverage@n, here and in charts, tables and files")
                    .accessible_name("Draws for coverage");
                });
                rule = chosen;
                for share in ["n for 50 %", "n for 95 %"] {
                    right(ui, |ui| {
                        ui.label(RichText::new(share).small().color(theme.muted))
                            .on_hover_text(
                                "Fewest draws whose expected coverage reaches this share of the modes",
                            );
                    });
                }
                ui.end_row();
                for (row, series) in ROWS.into_iter().enumerate() {
                    let Some(measured) = &self.masses.measured[row] else {
                        continue;
                    };
                    ui.horizontal(|ui| {
                        ui.spacing_mut().item_spacing.x = 5.0;
                        let (rect, _) = ui.allocate_exact_size(vec2(12.0, 9.0), Sense::hover());
                        bar(ui, rect, series, &theme);
                        ui.label(RichText::new(series.label()).small())
                            .on_hover_text(series.explanation());
                    });
                    for text in measured.texts(count) {
                        right(ui, |ui| {
                            ui.label(RichText::new(text).size(11.5));
                        });
                    }
                    ui.end_row();
                }
                if let Some(sampled) = &self.masses.sampled {
                    let quiet = |text: String| RichText::new(text).size(10.5).color(theme.muted);
                    ui.label(quiet("standard error".to_owned()))
                        .on_hover_text(format!(
                            "How far the row of samples may be off by chance: Monte-Carlo standard error of {} draws",
                            number_of_draws(sampled.draws)
                        ));
                    for text in sampled.texts() {
                        right(ui, |ui| {
                            ui.label(quiet(text));
                        });
                    }
                    ui.end_row();
                }
            });
        if rule != view.preset.coverage {
            let done = ui.input(|input| !input.pointer.any_down());
            actions.push(Action::Edit {
                edit: Edit::Coverage(rule),
                done,
            });
        }
    }

    fn mode_ui(
        &self,
        ui: &mut Ui,
        (mode, height): (usize, f32),
        top: f64,
        view: &View,
        actions: &mut Vec<Action>,
    ) {
        let Some(described) = view.problem.modes.get(mode) else {
            return;
        };
        let theme = Theme::of(ui);
        let (rect, response) = ui.allocate_exact_size(
            vec2(ui.available_width(), mode_height(height)),
            Sense::click(),
        );
        let enabled = ui.is_enabled();
        let text = self.spoken(&described.label, mode);
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, enabled, &text));
        let label_width = (0.28 * rect.width()).clamp(28.0, 110.0);
        let value_width = if rect.width() > 170.0 { 52.0 } else { 0.0 };
        if response.hovered() || response.has_focus() {
            ui.painter()
                .rect_filled(rect, 3.0, ui.visuals().widgets.hovered.weak_bg_fill);
        }
        let holds = |arm: Option<usize>| {
            arm.is_some_and(|arm| described.arms.binary_search(&(arm as u32)).is_ok())
        };
        if holds(view.selection.hovered) {
            ui.painter().rect_stroke(
                rect,
                3.0,
                Stroke::new(1.0, theme.accent),
                egui::StrokeKind::Inside,
            );
        }
        let painter = ui.painter_at(rect);
        let font = egui::FontId::proportional(11.0);
        let label = elide(&described.label, (label_width / 5.5) as usize);
        painter.text(
            pos2(rect.left() + 4.0, rect.center().y),
            Align2::LEFT_CENTER,
            label,
            font.clone(),
            ui.visuals().text_color(),
        );
        let left = rect.left() + label_width;
        let right = rect.right() - value_width - 4.0;
        for (place, (series, masses)) in ROWS.into_iter().zip(&self.masses.rows).enumerate() {
            let Some(mass) = masses.as_ref().and_then(|m| m.get(mode)) else {
                continue;
            };
            let share = (mass / top).clamp(0.0, 1.0) as f32;
            let y = rect.top() + 3.5 + height * place as f32;
            let place = Rect::from_min_max(
                pos2(left, y + 0.5),
                pos2(left + (right - left).max(0.0) * share, y + height - 0.5),
            );
            if place.width() > 0.0 {
                bar(ui, place, series, &theme);
            }
            if let Some(estimate) = self.masses.error(series, mode) {
                let at = |mass: f64| {
                    let share = (mass / top).clamp(0.0, 1.0) as f32;
                    left + (right - left).max(0.0) * share
                };
                let (value, error) = (estimate.value, estimate.standard_error);
                whisker(
                    &painter,
                    (at(value - error), at(value + error)),
                    place.y_range(),
                    ui.visuals().strong_text_color(),
                );
            }
        }
        if value_width > 0.0
            && let Some(mass) = self.masses.rows[2].as_ref().and_then(|m| m.get(mode))
        {
            painter.text(
                rect.right_center() - vec2(4.0, 0.0),
                Align2::RIGHT_CENTER,
                short(*mass),
                font,
                ui.visuals().text_color(),
            );
        }
        let best = best_arm(view, &described.arms);
        if response.clicked()
            && let Some(arm) = best
        {
            actions.push(Action::Pick(arm));
        }
        plot_context_menu(&response, actions, |dark| self.figure(view, dark));
        response.on_hover_ui_at_pointer(|ui| {
            ui.label(RichText::new(format!("Mode {}", described.label)).strong());
            let arms = described.arms.len();
            ui.label(
                RichText::new(format!(
                    "{arms} {}{}",
                    if arms == 1 { "arm" } else { "arms" },
                    best.map(|arm| format!(", the best is {}", view.problem.arm_label(arm)))
                        .unwrap_or_default()
                ))
                .small()
                .weak(),
            );
            egui::Grid::new("mode masses")
                .num_columns(3)
                .show(ui, |ui| {
                    for (series, masses) in ROWS.into_iter().zip(&self.masses.rows) {
                        if let Some(mass) = masses.as_ref().and_then(|m| m.get(mode)) {
                            ui.colored_label(theme.ink(series.color(&theme)), series.label());
                            ui.label(RichText::new(align(&number(*mass), 11)).monospace());
                            if let (Some(estimate), Some(sampled)) =
                                (self.masses.error(series, mode), &self.masses.sampled)
                            {
                                ui.label(RichText::new(doubt(estimate, sampled.draws)).monospace());
                            }
                            ui.end_row();
                        }
                    }
                });
            ui.label(
                RichText::new("Click to inspect its best arm")
                    .small()
                    .weak(),
            );
        });
    }

    /// The mode's masses as one phrase, for screen readers.
    fn spoken(&self, label: &str, mode: usize) -> String {
        let mut text = format!("Mode {label}");
        for (series, masses) in ROWS.into_iter().zip(&self.masses.rows) {
            if let Some(mass) = masses.as_ref().and_then(|m| m.get(mode)) {
                text.push_str(&format!(", {} {}", series.label(), short(*mass)));
                if let Some(estimate) = self.masses.error(series, mode) {
                    text.push_str(&format!(" ± {}", short(estimate.standard_error)));
                }
            }
        }
        text
    }

    /// Modes in the order shown.
    fn order(&self, view: &View) -> Vec<usize> {
        let mut order: Vec<usize> = (0..view.problem.modes.len()).collect();
        if self.sorted
            && let Some(target) = &self.masses.rows[1]
        {
            let mass = |mode: &usize| target.get(*mode).copied().unwrap_or(0.0);
            order.sort_by(|a, b| mass(b).total_cmp(&mass(a)));
        }
        order
    }

    /// The mass that fills the whole width.
    fn largest(&self) -> f64 {
        self.masses
            .rows
            .iter()
            .flatten()
            .flatten()
            .copied()
            .filter(|v| v.is_finite())
            .fold(1e-12, f64::max)
    }

    fn figure(&self, view: &View, dark: bool) -> crate::figure::Figure {
        let order = self.order(view);
        let rows: Vec<(Series, Vec<f64>)> = ROWS
            .into_iter()
            .zip(&self.masses.rows)
            .filter_map(|(series, masses)| {
                let masses = masses.as_ref()?;
                let values = order
                    .iter()
                    .map(|mode| masses.get(*mode).copied().unwrap_or(f64::NAN));
                Some((series, values.collect()))
            })
            .collect();
        let labels: Vec<String> = order
            .iter()
            .filter_map(|mode| view.problem.modes.get(*mode))
            .map(|mode| mode.label.clone())
            .collect();
        let errors = self.masses.sampled.as_ref().map(|sampled| {
            let of = |mode: &usize| sampled.masses.get(*mode);
            let errors = order.iter().map(of);
            let errors = errors.map(|one| one.map_or(f64::NAN, |one| one.standard_error));
            errors.collect::<Vec<f64>>()
        });
        figures::mode_strip(view, &labels, &rows, errors.as_deref(), dark)
    }
}

/// The mode's arm with the highest reward; among equals the one with the most target mass.
fn best_arm(view: &View, arms: &[u32]) -> Option<usize> {
    let rewards = &view.shown_analysis().rewards;
    let masses = &view.shown_analysis().target.masses;
    let key = |arm: usize| {
        (
            rewards.get(arm).copied().unwrap_or(f64::NEG_INFINITY),
            masses.get(arm).copied().unwrap_or(0.0),
        )
    };
    arms.iter().map(|arm| *arm as usize).max_by(|a, b| {
        let (a, b) = (key(*a), key(*b));
        a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1))
    })
}

/// One bar, drawn as its series is everywhere.
fn bar(ui: &Ui, rect: Rect, series: Series, theme: &Theme) {
    let color = series.color(theme);
    let painter = ui.painter();
    match series {
        Series::Reference => {
            painter.rect_filled(rect, 0.0, color.gamma_multiply(0.35));
            painter.rect_stroke(rect, 0.0, Stroke::new(1.0, color), egui::StrokeKind::Inside);
        }
        Series::Target => dashed_box(ui, rect, color),
        Series::Samples => hatched_rect(painter, rect, color),
        Series::Policy | Series::BestFit | Series::Reward | Series::Augmented => {
            painter.rect_filled(rect, 0.0, color);
        }
    }
}

fn dashed_box(ui: &Ui, rect: Rect, color: Color32) {
    let y = |share: f32| egui::lerp(rect.top()..=rect.bottom(), share);
    ui.painter()
        .rect_filled(rect, 0.0, color.gamma_multiply(0.25));
    let path: [Pos2; 4] = [
        pos2(rect.left(), y(0.0)),
        pos2(rect.right(), y(0.0)),
        pos2(rect.right(), y(1.0)),
        pos2(rect.left(), y(1.0)),
    ];
    line(ui.painter(), &path, Pen::Dashed, Stroke::new(1.5, color));
}

/// From where to where a value lies within its standard error.
fn whisker(painter: &egui::Painter, (from, to): (f32, f32), rows: egui::Rangef, color: Color32) {
    if to - from < 1.0 {
        return;
    }
    let stroke = Stroke::new(1.0, color);
    painter.hline(from..=to, rows.center(), stroke);
    for end in [from, to] {
        painter.vline(end, rows, stroke);
    }
}

/// The standard error of a sampled mass; of one that was never drawn, the largest that this is likely for.
fn doubt(estimate: Estimate, draws: u64) -> String {
    if estimate.value == 0.0 {
        // (1 − m)ⁿ = 5 %.
        let most = -(0.05_f64.ln() / draws.max(1) as f64).exp_m1();
        return format!("none drawn, below {} with 95 % confidence", number(most));
    }
    format!("± {}", number(estimate.standard_error))
}

fn epsilon_ui(ui: &mut Ui, rule: &mut CoverageRule) {
    ui.add(
        DragValue::new(&mut rule.epsilon)
            .range(0.001..=1.0)
            .speed(0.005)
            .max_decimals(3)
            .custom_formatter(|value, _| significant(value, 3)),
    )
    .on_hover_text(
        "A mode is covered that holds at least ε of an even split, ε/M of the mass; here and in charts, tables and files",
    )
    .accessible_name("ε of covered modes");
}

/// Right-aligned contents of a table cell.
fn right(ui: &mut Ui, add: impl FnOnce(&mut Ui)) {
    ui.with_layout(Layout::right_to_left(Align::Center), add);
}

fn short(value: f64) -> String {
    if value.is_finite() && (1e-3..1e4).contains(&value.abs()) {
        let decimals = if value.abs() >= 100.0 {
            1
        } else if value.abs() >= 10.0 {
            2
        } else {
            3
        };
        format!("{value:.decimals$}").replace('-', "−")
    } else if value.is_finite() && value != 0.0 {
        format!("{value:.1e}").replace('-', "−")
    } else {
        number(value)
    }
}

fn number_of_draws(n: u64) -> String {
    if n < 10_000_000 {
        crate::ui::chart::steps_label(n as f64)
    } else {
        number(n as f64)
    }
}
