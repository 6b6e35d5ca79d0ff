//! The mode strip: how much mass each mode holds under reference, target, policy and samples, and what that means for
//! coverage. A click on a mode picks its best arm for the inspector.

use std::sync::Arc;

use egui::{
    Align, Align2, Color32, DragValue, Layout, Pos2, Rect, RichText, ScrollArea, Sense, Stroke, Ui,
    UiBuilder, pos2, vec2,
};

use super::main_plot::Series;
use crate::{
    bandit::Problem,
    theory::{Metric, coverage},
    ui::{
        Action, Theme, View,
        chart::{Held, Pen, Values, align, elide, hatched_rect, line, number},
        figures,
        widgets::plot_menu::{plot_context_menu, plot_menu},
    },
};

/// The rows of every mode, top to bottom.
const ROWS: [Series; 4] = [
    Series::Reference,
    Series::Target,
    Series::Policy,
    Series::Samples,
];
/// The columns of the table that are metrics of section 5; the others depend on n.
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
const TABLE: f32 = 510.0;
/// Least height of one bar, in points; where there is room bars grow up to `HIGHEST_BAR`.
const BAR: f32 = 5.0;
/// See `BAR`.
const HIGHEST_BAR: f32 = 16.0;

/// Height of one mode whose bars have this height.
fn mode_height(bar: f32) -> f32 {
    4.0 * bar + 7.0
}

/// State of the mode strip.
pub(crate) struct ModeStrip {
    /// The n of coverage@n.
    draws: u64,
    /// Largest modes first, instead of in order of their arms.
    sorted: bool,
    masses: ModeMasses,
}

impl Default for ModeStrip {
    fn default() -> Self {
        Self {
            draws: coverage::DRAWS,
            sorted: false,
            masses: ModeMasses::default(),
        }
    }
}

impl ModeStrip {
    /// Draws the strip into the whole of `ui`.
    pub(crate) fn ui(&mut self, ui: &mut Ui, view: &View, actions: &mut Vec<Action>) {
        let now = ui.input(|input| input.time);
        self.masses.update(view, self.draws, now);
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
        let mut draws = self.draws;
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
                for (name, metric) in COLUMNS {
                    right(ui, |ui| {
                        ui.label(RichText::new(name).small().color(theme.muted))
                            .on_hover_text(metric.formula());
                    });
                }
                ui.horizontal(|ui| {
                    ui.spacing_mut().item_spacing.x = 2.0;
                    ui.label(RichText::new("seen @").small().color(theme.muted))
                        .on_hover_text(format!("coverage@n = {}", Metric::Coverage.formula()));
                    ui.add(DragValue::new(&mut draws).range(1..=1_000_000).speed(0.2))
                        .on_hover_text("Draws n of coverage@n")
                        .accessible_name("Draws for coverage");
                });
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
            });
        if draws != self.draws {
            self.draws = draws;
            self.masses.forget();
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
                .num_columns(2)
                .show(ui, |ui| {
                    for (series, masses) in ROWS.into_iter().zip(&self.masses.rows) {
                        if let Some(mass) = masses.as_ref().and_then(|m| m.get(mode)) {
                            ui.colored_label(theme.ink(series.color(&theme)), series.label());
                            ui.label(RichText::new(align(&number(*mass), 11)).monospace());
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
        figures::mode_strip(view, &labels, &rows, dark)
    }
}

/// Mode masses of every row and what they measure, computed again only when what they come from changes.
#[derive(Default)]
struct ModeMasses {
    rows: [Option<Vec<f64>>; ROWS.len()],
    measured: [Option<Measured>; ROWS.len()],
    /// When coverage was last measured, in seconds of the window.
    measured_at: f64,
    /// Where each row came from.
    held: [Option<(Held, Arc<Problem>)>; ROWS.len()],
}

/// The coverage of one row.
#[derive(Debug, Clone, Copy)]
struct Measured {
    coverage: coverage::Coverage,
    seen: f64,
    /// n for 50 % and 95 %; not looked for where that takes too long.
    draws_for: Option<[Option<u64>; 2]>,
}

impl Measured {
    fn new(masses: &[f64], draws: u64) -> Option<Self> {
        Some(Self {
            coverage: coverage::measure(masses, coverage::EPSILON)?,
            seen: coverage::coverage_at(masses, draws),
            draws_for: (masses.len() <= MOST_MODES)
                .then(|| [0.5, 0.95].map(|share| coverage::draws_for(masses, share))),
        })
    }

    /// The cells of a row, in the order of the header.
    fn texts(&self, modes: usize) -> [String; 8] {
        let draws = |place: usize| match self.draws_for {
            Some(n) => n[place].map_or_else(|| "never".to_owned(), number_of_draws),
            None => "–".to_owned(),
        };
        [
            format!("{} of {modes}", self.coverage.covered),
            short(self.coverage.effective),
            short(self.coverage.balance),
            short(self.coverage.largest_share),
            short(self.coverage.mass),
            short(self.seen),
            draws(0),
            draws(1),
        ]
    }
}

impl ModeMasses {
    fn update(&mut self, view: &View, draws: u64, now: f64) {
        let fresh = now - self.measured_at >= PAUSE_SECS || view.problem.modes.len() <= FEW_MODES;
        if fresh {
            self.measured_at = now;
        }
        for (row, series) in ROWS.into_iter().enumerate() {
            let Some((held, values)) = series.values(view) else {
                self.rows[row] = None;
                self.measured[row] = None;
                self.held[row] = None;
                continue;
            };
            let known = self.held[row].as_ref().is_some_and(|(old, problem)| {
                old.same(&held) && Arc::ptr_eq(problem, view.problem)
            });
            if !known {
                let masses =
                    known_masses(view, series).unwrap_or_else(|| per_mode(view.problem, values));
                if fresh || self.measured[row].is_none() {
                    self.measured[row] = Measured::new(&masses, draws);
                }
                self.rows[row] = Some(masses);
                self.held[row] = Some((held, view.problem.clone()));
            }
        }
    }

    /// Another n: measure again.
    fn forget(&mut self) {
        self.held = Default::default();
    }
}

/// Mode masses that came with the analysis or the snapshot, used where summing them again would be felt.
fn known_masses(view: &View, series: Series) -> Option<Vec<f64>> {
    if view.problem.arms() <= FEW_ARMS {
        return None;
    }
    let known = match series {
        Series::Reference => &view.shown_analysis().reference_modes,
        Series::Target => &view.shown_analysis().target_modes,
        Series::Policy if view.scrub.is_none() => &*view.snapshot.policy_modes,
        Series::Policy | Series::Samples | Series::BestFit | Series::Reward | Series::Augmented => {
            return None;
        }
    };
    (known.len() == view.problem.modes.len()).then(|| known.to_vec())
}

/// A series summed over the arms of each mode.
fn per_mode(problem: &Problem, values: Values<'_>) -> Vec<f64> {
    let sums = |one: &dyn Fn(&[u32]) -> f64| problem.modes.iter().map(|m| one(&m.arms)).collect();
    match values {
        Values::Counts(counts, total) => sums(&|arms| {
            let sum: u64 = arms
                .iter()
                .filter_map(|&arm| counts.get(arm as usize))
                .map(|&count| u64::from(count))
                .sum();
            sum as f64 / total.max(1) as f64
        }),
        Values::Plain(_) | Values::Single(_) | Values::Log(_) => {
            sums(&|arms| arms.iter().map(|&arm| values.get(arm as usize)).sum())
        }
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
