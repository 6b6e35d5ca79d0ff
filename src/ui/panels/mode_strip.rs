//! The mode strip: how much mass each mode holds under reference, target, policy and samples, and what that means for
//! coverage. A click on a mode picks its best arm for the inspector.

use std::sync::Arc;

use egui::{
    Align, Align2, Color32, DragValue, Layout, Pos2, Rect, RichText, ScrollArea, Sense, Stroke, Ui,
    pos2, vec2,
};

use super::main_plot::{Series, analysis};
use crate::{
    bandit::Problem,
    theory::{Metric, coverage},
    ui::{
        Action, Theme, View,
        chart::{Pen, elide, hatched_rect, line, number},
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
/// Height of one bar, in points.
const BAR: f32 = 5.0;
/// Height of one mode.
const MODE: f32 = 4.0 * BAR + 7.0;

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
        self.masses.update(view, self.draws);
        self.header_ui(ui, view, actions);
        if view.problem.modes.is_empty() {
            ui.weak("This problem has no modes: no arm reaches the reward threshold");
            return;
        }
        self.numbers_ui(ui, view);
        let outer = ui.available_rect_before_wrap();
        if !outer.is_finite() || outer.width() < 20.0 || outer.height() < 8.0 {
            return;
        }
        let order = self.order(view);
        let top = self.largest();
        ScrollArea::vertical()
            .auto_shrink([false, false])
            .show_rows(ui, MODE, order.len(), |ui, rows| {
                ui.spacing_mut().item_spacing.y = 0.0;
                for &mode in order.get(rows).unwrap_or(&[]) {
                    self.mode_ui(ui, mode, top, view, actions);
                }
            });
    }

    fn header_ui(&mut self, ui: &mut Ui, view: &View, actions: &mut Vec<Action>) {
        let theme = Theme::of(ui);
        ui.horizontal_wrapped(|ui| {
            for (series, masses) in ROWS.into_iter().zip(&self.masses.rows) {
                if masses.is_some() {
                    let (rect, response) = ui.allocate_exact_size(vec2(14.0, 10.0), Sense::hover());
                    bar(ui, rect, series, &theme);
                    response.on_hover_text(series.explanation());
                    ui.label(RichText::new(series.label()).small());
                }
            }
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let dark = ui.visuals().dark_mode;
                plot_menu(ui, "mode strip", actions, || self.figure(view, dark));
                if view.problem.modes.len() > 2 {
                    ui.toggle_value(&mut self.sorted, "largest first")
                        .on_hover_text("Sort modes by their target mass");
                }
            });
        });
    }

    /// Coverage in numbers, policy beside target.
    fn numbers_ui(&mut self, ui: &mut Ui, view: &View) {
        let count = view.problem.modes.len();
        let policy = view.metrics();
        let target = &analysis(view).target_metrics;
        let both = |metric: Metric| (policy.get(metric), target.get(metric));
        let changed = ui
            .horizontal_wrapped(|ui| {
                ui.spacing_mut().item_spacing.x = 4.0;
                let covered = both(Metric::CoveredModes);
                pair_ui(
                    ui,
                    "covered",
                    (&whole(covered.0), &whole(covered.1)),
                    &format!("of {count}"),
                    Metric::CoveredModes.formula(),
                );
                for (name, metric) in [
                    ("effective", Metric::EffectiveModes),
                    ("balance", Metric::Balance),
                    ("largest share", Metric::LargestShare),
                    ("mass on modes", Metric::ModeMass),
                ] {
                    let (p, t) = both(metric);
                    pair_ui(ui, name, (&short(p), &short(t)), "", metric.formula());
                }
                ui.label(RichText::new("coverage@").small().weak());
                let changed = ui
                    .add(
                        DragValue::new(&mut self.draws)
                            .range(1..=1_000_000)
                            .speed(0.2),
                    )
                    .on_hover_text("Draws n of coverage@n")
                    .accessible_name("Draws for coverage")
                    .changed();
                let (p, t) = (self.masses.coverage[0], self.masses.coverage[1]);
                pair_ui(
                    ui,
                    "",
                    (&short(p), &short(t)),
                    "",
                    Metric::Coverage.formula(),
                );
                for (place, share) in ["50 %", "95 %"].into_iter().enumerate() {
                    let n = |row: usize| {
                        self.masses.draws_for[row][place]
                            .map_or_else(|| "never".to_owned(), number_of_draws)
                    };
                    pair_ui(
                        ui,
                        &format!("n for {share}"),
                        (&n(0), &n(1)),
                        "",
                        "Fewest draws whose expected coverage reaches this share of the modes",
                    );
                }
                changed
            })
            .inner;
        if changed {
            self.masses.forget_coverage();
        }
    }

    fn mode_ui(&self, ui: &mut Ui, mode: usize, top: f64, view: &View, actions: &mut Vec<Action>) {
        let Some(described) = view.problem.modes.get(mode) else {
            return;
        };
        let theme = Theme::of(ui);
        let (rect, response) =
            ui.allocate_exact_size(vec2(ui.available_width(), MODE), Sense::click());
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
            let y = rect.top() + 3.5 + BAR * place as f32;
            let place = Rect::from_min_max(
                pos2(left, y + 0.5),
                pos2(left + (right - left).max(0.0) * share, y + BAR - 0.5),
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
        let dark = theme.dark;
        plot_context_menu(&response, actions, || self.figure(view, dark));
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
                            ui.colored_label(series.color(&theme), series.label());
                            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                                ui.label(RichText::new(number(*mass)).monospace());
                            });
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

/// Mode masses of every row, computed again only when what they come from changes.
#[derive(Default)]
struct ModeMasses {
    rows: [Option<Vec<f64>>; ROWS.len()],
    /// Problem that the rows belong to.
    problem: Option<Arc<Problem>>,
    /// Step and epoch of the policy and samples counted.
    step: Option<(u64, u64, Option<u64>)>,
    /// coverage@n of policy and target.
    coverage: [f64; 2],
    /// n for 50 % and 95 %, of policy and target.
    draws_for: [[Option<u64>; 2]; 2],
    policy_seen: Option<Vec<f64>>,
    target_seen: Option<Vec<f64>>,
}

impl ModeMasses {
    fn update(&mut self, view: &View, draws: u64) {
        let problem = view.problem;
        let modes = problem.modes.len();
        let analysis = analysis(view);
        let fitting = |masses: &[f64]| (masses.len() == modes).then(|| masses.to_vec());
        self.rows[0] = fitting(&view.analysis.reference_modes);
        self.rows[1] = fitting(&analysis.target_modes);
        let same_problem = self
            .problem
            .as_ref()
            .is_some_and(|known| Arc::ptr_eq(known, problem));
        let step = (
            view.snapshot.epoch,
            view.snapshot.step,
            view.scrub.map(|frame| frame.step),
        );
        if !same_problem || self.step != Some(step) {
            self.problem = Some(problem.clone());
            self.step = Some(step);
            self.rows[2] = per_mode(problem, Series::Policy, view);
            self.rows[3] = per_mode(problem, Series::Samples, view);
        }
        let (policy, target) = (self.rows[2].clone(), self.rows[1].clone());
        if policy != self.policy_seen {
            self.measure(0, policy.as_deref(), draws);
            self.policy_seen = policy;
        }
        if target != self.target_seen {
            self.measure(1, target.as_deref(), draws);
            self.target_seen = target;
        }
    }

    fn measure(&mut self, row: usize, masses: Option<&[f64]>, draws: u64) {
        let masses = masses.unwrap_or(&[]);
        if masses.is_empty() {
            self.coverage[row] = f64::NAN;
            self.draws_for[row] = [None; 2];
        } else {
            self.coverage[row] = coverage::coverage_at(masses, draws);
            self.draws_for[row] = [0.5, 0.95].map(|share| coverage::draws_for(masses, share));
        }
    }

    /// Another n: measure again.
    fn forget_coverage(&mut self) {
        self.policy_seen = None;
        self.target_seen = None;
    }
}

/// A series summed over the arms of each mode; none where it does not exist.
fn per_mode(problem: &Problem, series: Series, view: &View) -> Option<Vec<f64>> {
    let (_, values) = series.values(view)?;
    Some(
        problem
            .modes
            .iter()
            .map(|mode| mode.arms.iter().map(|arm| values.get(*arm as usize)).sum())
            .collect(),
    )
}

/// The mode's arm with the highest reward; among equals the one with the most target mass.
fn best_arm(view: &View, arms: &[u32]) -> Option<usize> {
    let rewards = &view.analysis.rewards;
    let masses = &view.analysis.target.masses;
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

/// A name, the policy's value, and the target's in brackets.
fn pair_ui(ui: &mut Ui, name: &str, (policy, target): (&str, &str), of: &str, formula: &str) {
    let theme = Theme::of(ui);
    let mut job = egui::text::LayoutJob::default();
    let font = egui::FontId::proportional(11.0);
    let mut add = |text: &str, color: Color32| {
        job.append(text, 0.0, egui::TextFormat::simple(font.clone(), color));
    };
    if !name.is_empty() {
        add(name, theme.muted);
        add(" ", theme.muted);
    }
    add(policy, ui.visuals().strong_text_color());
    if !of.is_empty() {
        add(" ", theme.muted);
        add(of, theme.muted);
    }
    add(&format!(" (target {target})  "), theme.muted);
    ui.label(job).on_hover_text(formula);
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
    } else {
        number(value)
    }
}

fn whole(value: f64) -> String {
    if value.is_finite() {
        format!("{value:.0}")
    } else {
        "–".to_owned()
    }
}

fn number_of_draws(n: u64) -> String {
    if n < 10_000_000 {
        crate::ui::chart::steps_label(n as f64)
    } else {
        number(n as f64)
    }
}
