//! The β slider: logarithmic from 1e-6 to 1e6, the decades that matter take most of the width, and every tie point of the
//! target is a tick on it, so that a user sees before dragging where the winner changes. Of ties that share a column of
//! pixels one is known at the least.

mod words;

use egui::{
    DragValue, EventFilter, FontId, Key, Rect, Response, Sense, Stroke, Ui, WidgetInfo, accesskit,
    pos2, vec2,
};

use words::{counted, scope_text, tie_text};

use crate::{
    bandit::{Analysis, Problem},
    theory::{Beta, Tie, TieList},
    ui::{
        Theme,
        widgets::number::{grouped, number},
    },
};

/// Smallest and largest β the slider reaches.
const RANGE: (f64, f64) = (1e-6, 1e6);
/// log₁₀ β at fractions of the rail: linear between, steep where nobody works.
const STOPS: [(f32, f64); 4] = [(0.0, -6.0), (0.1, -4.0), (0.84, 1.0), (1.0, 6.0)];
/// Ticks that carry a number.
const LABELS: [(f64, &str); 8] = [
    (1e-6, "1e-6"),
    (1e-4, "1e-4"),
    (1e-3, "0.001"),
    (1e-2, "0.01"),
    (0.1, "0.1"),
    (1.0, "1"),
    (10.0, "10"),
    (1e6, "1e6"),
];
/// Ticks within this many points of the pointer answer a hover and attract with Alt.
const REACH: f32 = 5.0;

/// What the slider draws its ticks from: problem, target and the ties that are known.
pub(crate) type Ground<'a> = (&'a Problem, &'a Analysis, &'a TieList);

/// What the user did with the slider in this frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct BetaChange {
    /// The β to use from now on.
    pub(crate) beta: Beta,
    /// It differs from what came in, or a gesture ended.
    pub(crate) changed: bool,
    /// The gesture is over, so that a drag is one step of undo. False while nothing changes.
    pub(crate) done: bool,
}

/// Draws the slider over the available width with a field for typing at its right. Alt snaps to tie points; arrow keys step
/// (Shift: larger steps, Alt: from tie to tie), Page Up and Page Down go by decades. Without problem and analysis, which a
/// model that is not there yet leaves unknown, there are no ties.
pub(crate) fn beta_slider(ui: &mut Ui, beta: Beta, ground: Option<Ground>) -> BetaChange {
    let before = beta.get();
    let mut after = before;
    let mut done = false;
    ui.horizontal(|ui| {
        let field_width = 76.0;
        let rail_width =
            (ui.available_width() - field_width - ui.spacing().item_spacing.x).clamp(60.0, 900.0);
        let (rect, response) =
            ui.allocate_exact_size(vec2(rail_width, 40.0), Sense::click_and_drag());
        let rail = Rail::new(rect);
        let ties = ground.map_or_else(Vec::new, |(_, analysis, ties)| ticks(analysis, ties));
        if let Some(value) = pointed_at(ui, &response, &rail, &ties) {
            after = value;
        }
        done |= response.drag_stopped() || response.clicked();
        if let Some(value) = keyed(ui, &response, before, &ties) {
            after = value;
            done = true;
        }
        paint(ui, &response, &rail, after, &ties);
        declare(ui, &response, after);
        explain(ui, response, &rail, &ties, ground);

        let speed = after * 0.01;
        let field = ui.add_sized(
            vec2(field_width, ui.spacing().interact_size.y),
            DragValue::new(&mut after)
                .range(RANGE.0..=RANGE.1)
                .speed(speed)
                .update_while_editing(false)
                .custom_formatter(|value, _| number(value)),
        );
        done |= field.drag_stopped() || (field.changed() && !field.dragged());
        field
            .accessible_name("β value")
            .on_hover_text("Type a number, or drag");
    });
    let beta = Beta::new(after.clamp(RANGE.0, RANGE.1)).unwrap_or(beta);
    BetaChange {
        beta,
        changed: after != before || done,
        done,
    }
}

/// The rail within the widget: a horizontal line between two x positions.
struct Rail {
    left: f32,
    right: f32,
    y: f32,
}

impl Rail {
    fn new(rect: Rect) -> Self {
        Self {
            left: rect.left() + 8.0,
            right: rect.right() - 8.0,
            y: rect.top() + 16.0,
        }
    }

    fn x_of(&self, beta: f64) -> f32 {
        let log = beta.log10().clamp(-6.0, 6.0);
        let fraction = STOPS
            .windows(2)
            .find(|pair| log <= pair[1].1)
            .map_or(1.0, |pair| {
                let (low, high) = (pair[0], pair[1]);
                low.0 + (high.0 - low.0) * ((log - low.1) / (high.1 - low.1)) as f32
            });
        self.left + fraction * (self.right - self.left)
    }

    fn beta_at(&self, x: f32) -> f64 {
        let fraction = ((x - self.left) / (self.right - self.left)).clamp(0.0, 1.0);
        // Three significant digits: what a pointer can mean.
        let value = 10f64.powf(log_at(fraction));
        let unit = 10f64.powf(value.log10().floor() - 2.0);
        ((value / unit).round() * unit).clamp(RANGE.0, RANGE.1)
    }
}

/// log₁₀ β at a fraction of the rail.
fn log_at(fraction: f32) -> f64 {
    STOPS
        .windows(2)
        .find(|pair| fraction <= pair[1].0)
        .map_or(6.0, |pair| {
            let (low, high) = (pair[0], pair[1]);
            low.1 + (high.1 - low.1) * f64::from((fraction - low.0) / (high.0 - low.0))
        })
}

/// Edges in β of so many equal columns of the rail.
pub(crate) fn column_edges(columns: usize) -> Vec<f64> {
    (0..=columns)
        .map(|edge| 10f64.powf(log_at(edge as f32 / columns.max(1) as f32)))
        .collect()
}

/// What a tie decides, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    /// The order of two arms of which neither leads.
    Order,
    /// Which arm is the likeliest.
    Winner,
    /// Which of two modes is the larger; the indices are modes.
    Modes,
}

/// A tie and what it decides.
struct Tick {
    tie: Tie,
    weight: Weight,
}

fn ticks(analysis: &Analysis, ties: &TieList) -> Vec<Tick> {
    let arms = ties.ties.iter().map(|listed| Tick {
        tie: listed.tie,
        weight: if listed.changes_winner {
            Weight::Winner
        } else {
            Weight::Order
        },
    });
    let modes = analysis.mode_ties.iter().map(|&tie| Tick {
        tie,
        weight: Weight::Modes,
    });
    arms.chain(modes)
        .filter(|tick| (RANGE.0..=RANGE.1).contains(&tick.tie.beta))
        .collect()
}

/// The ticks that attract: those that decide a winner, or all if none does.
fn attracting(ties: &[Tick]) -> impl Iterator<Item = &Tick> {
    let strong = ties.iter().any(|tick| tick.weight > Weight::Order);
    ties.iter()
        .filter(move |tick| !strong || tick.weight > Weight::Order)
}

fn nearest<'a>(rail: &Rail, ties: &'a [Tick], x: f32) -> Option<&'a Tick> {
    // Modes first where both lie on the same spot.
    let distance = |tick: &Tick| {
        let of_modes = tick.weight == Weight::Modes;
        (rail.x_of(tick.tie.beta) - x).abs() - f32::from(of_modes)
    };
    attracting(ties).min_by(|a, b| distance(a).total_cmp(&distance(b)))
}

fn pointed_at(ui: &Ui, response: &Response, rail: &Rail, ties: &[Tick]) -> Option<f64> {
    if !(response.dragged() || response.clicked() || response.drag_started()) {
        return None;
    }
    let x = response.interact_pointer_pos()?.x;
    if ui.input(|input| input.modifiers.alt)
        && let Some(tick) = nearest(rail, ties, x)
    {
        return Some(tick.tie.beta);
    }
    Some(rail.beta_at(x))
}

fn keyed(ui: &Ui, response: &Response, beta: f64, ties: &[Tick]) -> Option<f64> {
    let mut steps = 0.0;
    let mut to_tie = 0;
    if response.has_focus() {
        ui.memory_mut(|memory| {
            memory.set_focus_lock_filter(
                response.id,
                EventFilter {
                    horizontal_arrows: true,
                    ..EventFilter::default()
                },
            );
        });
        ui.input(|input| {
            let size = if input.modifiers.shift { 10.0 } else { 1.0 };
            let right = input.num_presses(Key::ArrowRight) as i32;
            let left = input.num_presses(Key::ArrowLeft) as i32;
            if input.modifiers.alt {
                to_tie = right - left;
            } else {
                steps += size * f64::from(right - left);
            }
            let pages =
                input.num_presses(Key::PageUp) as i32 - input.num_presses(Key::PageDown) as i32;
            steps += 40.0 * f64::from(pages);
        });
    }
    ui.input(|input| {
        steps +=
            input.num_accesskit_action_requests(response.id, accesskit::Action::Increment) as f64;
        steps -=
            input.num_accesskit_action_requests(response.id, accesskit::Action::Decrement) as f64;
    });
    let set = ui.input(|input| {
        input
            .accesskit_action_requests(response.id, accesskit::Action::SetValue)
            .filter_map(|request| match request.data {
                Some(accesskit::ActionData::NumericValue(value)) => Some(value),
                _ => None,
            })
            .last()
    });
    if let Some(value) = set.filter(|value| value.is_finite()) {
        return Some(value.clamp(RANGE.0, RANGE.1));
    }
    if to_tie != 0 {
        let betas = attracting(ties).map(|tick| tick.tie.beta);
        return if to_tie > 0 {
            betas
                .filter(|&b| b > beta * (1.0 + 1e-9))
                .min_by(f64::total_cmp)
        } else {
            betas
                .filter(|&b| b < beta * (1.0 - 1e-9))
                .max_by(f64::total_cmp)
        };
    }
    // Forty steps to the decade.
    (steps != 0.0).then(|| (beta * 10f64.powf(steps / 40.0)).clamp(RANGE.0, RANGE.1))
}

fn paint(ui: &Ui, response: &Response, rail: &Rail, beta: f64, ties: &[Tick]) {
    if !ui.is_rect_visible(response.rect) {
        return;
    }
    let theme = Theme::of(ui);
    let painter = ui.painter();
    let visuals = ui.style().interact(response);
    painter.hline(
        rail.left..=rail.right,
        rail.y,
        Stroke::new(3.0, ui.visuals().widgets.inactive.bg_fill),
    );
    painter.hline(
        rail.left..=rail.x_of(beta),
        rail.y,
        Stroke::new(3.0, theme.accent.gamma_multiply(0.5)),
    );
    let font = FontId::proportional(9.5);
    let mut free_from = f32::NEG_INFINITY;
    for (value, text) in LABELS {
        let x = rail.x_of(value);
        painter.vline(
            x,
            rail.y + 3.0..=rail.y + 7.0,
            Stroke::new(1.0, theme.muted),
        );
        let galley = painter.layout_no_wrap(text.to_owned(), font.clone(), theme.muted);
        let left = (x - galley.size().x / 2.0).clamp(
            response.rect.left(),
            (response.rect.right() - galley.size().x).max(response.rect.left()),
        );
        if left >= free_from {
            free_from = left + galley.size().x + 4.0;
            painter.galley(pos2(left, rail.y + 8.0), galley, theme.muted);
        }
    }
    // One line per pixel column, however many ties fall on it.
    let columns = (rail.right - rail.left).max(1.0) as usize + 1;
    let mut drawn: Vec<Option<Weight>> = vec![None; columns];
    for tick in ties {
        let column = ((rail.x_of(tick.tie.beta) - rail.left) as usize).min(columns - 1);
        drawn[column] = drawn[column].max(Some(tick.weight));
    }
    for (column, weight) in drawn.into_iter().enumerate() {
        let Some(weight) = weight else { continue };
        let x = rail.left + column as f32 + 0.5;
        let (height, width, color) = match weight {
            Weight::Modes => (11.0, 1.5, theme.target),
            Weight::Winner => (7.0, 1.0, theme.target.gamma_multiply(0.85)),
            Weight::Order => (4.0, 1.0, theme.target.gamma_multiply(0.3)),
        };
        painter.vline(
            x,
            rail.y - 3.0 - height..=rail.y - 3.0,
            Stroke::new(width, color),
        );
    }
    painter.circle(
        pos2(rail.x_of(beta), rail.y),
        if response.hovered() || response.dragged() {
            7.0
        } else {
            6.0
        },
        theme.accent,
        Stroke::new(1.5, visuals.fg_stroke.color),
    );
    if response.has_focus() {
        painter.rect_stroke(
            response.rect,
            3.0,
            ui.visuals().selection.stroke,
            egui::StrokeKind::Inside,
        );
    }
}

fn declare(ui: &Ui, response: &Response, beta: f64) {
    response.widget_info(|| WidgetInfo::slider(ui.is_enabled(), beta, "β"));
    ui.ctx().accesskit_node_builder(response.id, |node| {
        node.set_min_numeric_value(RANGE.0);
        node.set_max_numeric_value(RANGE.1);
        node.add_action(accesskit::Action::SetValue);
        node.add_action(accesskit::Action::Increment);
        node.add_action(accesskit::Action::Decrement);
    });
}

fn explain(ui: &Ui, response: Response, rail: &Rail, ties: &[Tick], ground: Option<Ground>) {
    let Some(pointer) = response.hover_pos() else {
        return;
    };
    let Some((problem, _, known)) = ground else {
        response.on_hover_text(
            "β, the weight of the divergence to the reference. Where answers tie is known when the model is loaded.",
        );
        return;
    };
    let scope = known.scope;
    let mut reach: Vec<&Tick> = ties
        .iter()
        .filter(|tick| (rail.x_of(tick.tie.beta) - pointer.x).abs() <= REACH)
        .collect();
    if ui.input(|input| input.modifiers.alt) && nearest(rail, ties, pointer.x).is_some() {
        ui.ctx().set_cursor_icon(egui::CursorIcon::ResizeColumn);
    }
    if reach.is_empty() {
        response.on_hover_text(format!(
            "β, the weight of the divergence to the reference. Marks above the rail are tie points, at which two arms or modes \
             have the same target mass; the tall ones change the winner. Alt snaps to those; arrow keys step.{}",
            scope_text(scope)
        ));
        return;
    }
    reach.sort_by_key(|tick| std::cmp::Reverse(tick.weight));
    response.on_hover_ui_at_pointer(|ui| {
        for tick in reach.iter().take(6) {
            ui.label(tie_text(&tick.tie, tick.weight == Weight::Modes, problem));
        }
        let pairs = counted(&known.counts, |beta| {
            (rail.x_of(beta) - pointer.x).abs() <= REACH
        });
        if pairs > 6 {
            ui.weak(format!("of {} pairs that tie here", grouped(pairs)));
        } else if reach.len() > 6 {
            ui.weak(format!("and {} more here", reach.len() - 6));
        }
        let scope = scope_text(scope);
        if !scope.is_empty() {
            ui.weak(scope.trim_start());
        }
    });
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use egui::{Modifiers, vec2};
    use egui_kittest::{Harness, kittest::Queryable};

    use super::*;
    use crate::theory::TieScope;
    use crate::ui::{
        Loading,
        panels::stage::{Played, Stage, play},
    };

    type Changes = Vec<BetaChange>;

    /// The slider on Figure 2 at β = 0.1, remembering what it returned.
    fn slider(width: f32) -> Harness<'static, Played<Changes>> {
        play(
            Stage::of("figure-2"),
            (width, 60.0),
            Changes::new(),
            |changes, ui, view, _| {
                let beta = changes
                    .last()
                    .map_or(view.preset.objective.beta, |c| c.beta);
                let change = beta_slider(ui, beta, view.known());
                if change.changed {
                    changes.push(change);
                }
            },
        )
    }

    fn known_ticks(stage: &Stage) -> Vec<Tick> {
        let view = stage.view();
        let (_, analysis, ties) = view.known().unwrap();
        ticks(analysis, ties)
    }

    #[test]
    fn columns_are_equal_parts_of_the_rail() {
        let rail = Rail {
            left: 10.0,
            right: 410.0,
            y: 0.0,
        };
        let edges = column_edges(200);
        assert_eq!((edges[0], edges[200]), (1e-6, 1e6));
        for (edge, beta) in edges.iter().enumerate() {
            let off = rail.x_of(*beta) - (10.0 + 2.0 * edge as f32);
            assert!(off.abs() < 1e-3, "edge {edge} is {off} off");
        }
    }

    /// What a search found takes the place of what the frame knew.
    #[test]
    fn found_ties_are_marked() {
        let mut stage = Stage::of("many-arms");
        let before = known_ticks(&stage).len();
        let mut list = TieList {
            scope: TieScope::Columns {
                columns: 9,
                pairs: Some(3),
            },
            ..stage.analysis.ties.clone()
        };
        for beta in [1e-3, 2.0] {
            list.ties.push(crate::theory::ListedTie {
                tie: Tie {
                    beta,
                    better_reward: 1,
                    better_support: 2,
                },
                changes_winner: false,
            });
        }
        stage.ties = Some(std::sync::Arc::new(list));
        let ticks = known_ticks(&stage);
        assert_eq!(ticks.len(), before + 2);
        let orders = ticks.iter().filter(|tick| tick.weight == Weight::Order);
        assert_eq!(orders.count(), 2);
    }

    #[test]
    fn rail_and_value_are_inverse() {
        let rail = Rail {
            left: 10.0,
            right: 410.0,
            y: 0.0,
        };
        for beta in [1e-6, 3e-5, 1e-4, 0.0123, 0.132, 1.0, 10.0, 5e3, 1e6] {
            let back = rail.beta_at(rail.x_of(beta));
            assert!(
                (back / beta - 1.0).abs() < 0.02,
                "{beta} comes back as {back}"
            );
        }
        assert_eq!(rail.beta_at(-50.0), 1e-6);
        assert_eq!(rail.beta_at(900.0), 1e6);
    }

    #[test]
    fn a_drag_is_one_gesture() {
        let mut harness = slider(400.0);
        harness.run();
        let from = harness.get_by_label("β").rect().left_center();
        harness.drag_at(from + vec2(60.0, 0.0));
        harness.step();
        harness.hover_at(from + vec2(120.0, 0.0));
        harness.step();
        harness.hover_at(from + vec2(150.0, 0.0));
        harness.step();
        harness.drop_at(from + vec2(150.0, 0.0));
        harness.step();
        let changes = &harness.state().panel;
        assert!(changes.len() >= 2, "{changes:?}");
        let done: Vec<bool> = changes.iter().map(|change| change.done).collect();
        assert!(done[..done.len() - 1].iter().all(|done| !done), "{done:?}");
        assert!(done[done.len() - 1]);
    }

    #[test]
    fn keys_step_and_alt_goes_to_the_tie() {
        let mut harness = slider(400.0);
        harness.run();
        harness.get_by_label("β").focus();
        harness.run();
        harness.key_press(Key::ArrowRight);
        harness.run();
        let stepped = harness.state().panel.last().unwrap().beta.get();
        assert!((stepped / 0.1 - 10f64.powf(1.0 / 40.0)).abs() < 1e-9);
        harness.key_press_modifiers(Modifiers::ALT, Key::ArrowRight);
        harness.run();
        let ties = known_ticks(&harness.state().stage);
        let at = harness.state().panel.last().unwrap().beta.get();
        assert!(
            ties.iter().any(|tick| tick.tie.beta == at),
            "{at} is no tie"
        );
    }

    #[test]
    fn while_a_model_loads_there_are_no_ties_to_go_to() {
        let mut harness = slider(400.0);
        harness.state_mut().stage.loading = Some(Loading::Failed("no model".to_owned()));
        harness.run();
        harness.get_by_label("β").focus();
        harness.run();
        harness.key_press_modifiers(Modifiers::ALT, Key::ArrowRight);
        harness.run();
        assert_eq!(harness.state().panel, [], "a placeholder's tie");
    }

    #[test]
    fn the_tooltip_says_which_ties_are_missing() {
        for (name, said) in [("figure-5", false), ("many-arms", true)] {
            let scope = Stage::of(name).analysis.ties.scope;
            assert_eq!(
                scope_text(scope).contains("being looked for"),
                said,
                "{name}"
            );
        }
        let columns = TieScope::Columns {
            columns: 9,
            pairs: Some(12_345_678),
        };
        let text = scope_text(columns);
        assert!(
            text.contains("12\u{2009}345\u{2009}678 pairs tie; of 9 columns"),
            "{text}"
        );
        let ties = known_ticks(&Stage::of("step-reference"));
        assert!(ties.iter().any(|tick| tick.weight == Weight::Order));
        assert!(attracting(&ties).all(|tick| tick.weight > Weight::Order));
    }

    #[test]
    fn a_screen_reader_can_set_it() {
        let mut harness = slider(400.0);
        harness.run();
        harness.get_by_label("β").set_value_accesskit(0.5);
        harness.run();
        assert_eq!(harness.state().panel.last().unwrap().beta.get(), 0.5);
    }

    #[test]
    fn narrow_and_wide_places_draw() {
        for width in [20.0, 120.0, 2000.0] {
            slider(width).run();
        }
    }
}
