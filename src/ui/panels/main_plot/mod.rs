//! The main plot: reference, reward, target, policy and samples over the arms in one picture, and the place where reward
//! and reference are drawn by hand. Two-dimensional problems are shown as linked heat maps instead.

mod draw;
mod edit;
mod layout;
mod marks;
mod readout;
mod series;
mod shading;

use egui::{Align, CursorIcon, Layout, PointerButton, Pos2, Response, Sense, Stroke, Ui, pos2};

#[cfg(test)]
pub(crate) use self::readout::lines as readout_lines;
pub(crate) use self::{
    draw::pin_color,
    edit::{Bar, edit, stroke},
    layout::{Plot, axis_name},
    readout::tooltip,
    series::{Prepared, Series, sample_error},
    shading::{every_mode_is_an_arm, runs as mode_runs},
};
use self::{layout::Bounds, shading::Shading};
use super::heat_map::HeatMaps;
use crate::{
    bandit::Shape,
    experiment::Edit,
    ui::{
        Action, Theme, View,
        chart::{Window, legend_toggle},
        figures,
        widgets::plot_menu::{plot_context_menu, plot_menu},
    },
};

/// What dragging in the plot does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum DragMode {
    /// Changes reward or reference where the pointer is on one, else moves the view.
    #[default]
    Nearest,
    /// Draws the reward.
    Reward,
    /// Draws the reference.
    Reference,
    /// Moves the view.
    Pan,
}

impl DragMode {
    const ALL: [Self; 4] = [Self::Nearest, Self::Reward, Self::Reference, Self::Pan];

    fn label(self) -> &'static str {
        match self {
            Self::Nearest => "nearest curve",
            Self::Reward => "reward",
            Self::Reference => "reference",
            Self::Pan => "view only",
        }
    }
}

/// A drag in progress.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Grab {
    /// What it changes.
    pub(crate) bar: Bar,
    /// Where the stroke was last.
    pub(crate) last: (usize, f64),
    /// The last edit sent, to be sent again as the final one.
    pub(crate) sent: Option<Edit>,
}

/// State of the main plot: zoom, what is shown, what a drag edits.
#[derive(Default)]
pub(crate) struct MainPlot {
    hidden: [bool; Series::ALL.len()],
    log: bool,
    drag: DragMode,
    /// Arms shown; all if none.
    zoom: Option<(f64, f64)>,
    /// Number of arms that `zoom` belongs to.
    arms: usize,
    bounds: Bounds,
    grab: Option<Grab>,
    hovering: bool,
    prepared: Prepared,
    shading: Shading,
    maps: HeatMaps,
}

impl MainPlot {
    /// Draws the plot into the whole of `ui`.
    pub(crate) fn ui(&mut self, ui: &mut Ui, view: &View, actions: &mut Vec<Action>) {
        if let Shape::Grid { rows, columns, .. } = view.problem.shape
            && rows > 1
            && columns > 1
        {
            self.maps.ui(ui, view, actions);
            return;
        }
        self.header_ui(ui, view, actions);
        self.plot_ui(ui, view, actions);
    }

    fn header_ui(&mut self, ui: &mut Ui, view: &View, actions: &mut Vec<Action>) {
        let menu = |plot: &mut Self, ui: &mut Ui, actions: &mut Vec<Action>| {
            plot_menu(ui, "main plot", actions, |dark| plot.figure(view, dark));
        };
        let log = |plot: &mut Self, ui: &mut Ui| {
            ui.toggle_value(&mut plot.log, "log₁₀")
                .on_hover_text("Masses on a log₁₀ axis");
        };
        let wide = ui.available_width() > 520.0;
        if wide {
            ui.with_layout(Layout::right_to_left(Align::TOP), |ui| {
                menu(self, ui, actions);
                log(self, ui);
                drag_mode_ui(ui, &mut self.drag);
                ui.with_layout(
                    Layout::left_to_right(Align::TOP).with_main_wrap(true),
                    |ui| self.legend_ui(ui, view, actions),
                );
            });
        } else {
            let legend = ui.available_height() > 130.0;
            ui.horizontal_wrapped(|ui| {
                if legend {
                    self.legend_ui(ui, view, actions);
                }
                drag_mode_ui(ui, &mut self.drag);
                log(self, ui);
                menu(self, ui, actions);
            });
        }
    }

    fn legend_ui(&mut self, ui: &mut Ui, view: &View, actions: &mut Vec<Action>) {
        ui.spacing_mut().item_spacing.x = 6.0;
        let theme = Theme::of(ui);
        let bars = view.problem.arms() <= layout::MOST_BARS;
        for series in Series::ALL {
            if series.values(view).is_none() {
                continue;
            }
            let mut on = !self.hidden[series as usize];
            legend_toggle(
                ui,
                series.label(),
                series.color(&theme),
                series.swatch(bars),
                &mut on,
            )
            .on_hover_text(series.explanation());
            self.hidden[series as usize] = !on;
        }
        for (index, pin) in view.pins.iter().enumerate() {
            let fits = view.has_arms_of(pin);
            let mut on = pin.visible && fits;
            let label = view.pin_label(pin);
            let mut name = crate::ui::chart::elide(&label, 48);
            if !fits {
                name.push_str(" (other arms)");
            }
            let swatch = crate::ui::chart::Swatch::Line(crate::ui::chart::Pen::DashDot);
            let response = ui
                .add_enabled_ui(fits, |ui| {
                    legend_toggle(ui, &name, draw::pin_color(index), swatch, &mut on)
                })
                .inner;
            let response = response
                .on_hover_text(format!("Policy of a pinned run\n{label}"))
                .on_disabled_hover_text(format!(
                    "{label}\nIts policy is over other arms and cannot be drawn here; the charts over time show it"
                ));
            if response.changed() {
                actions.push(Action::TogglePin(index));
            }
        }
    }

    fn plot_ui(&mut self, ui: &mut Ui, view: &View, actions: &mut Vec<Action>) {
        let outer = ui.available_rect_before_wrap();
        if !outer.is_finite() || outer.width() < 2.0 || outer.height() < 2.0 {
            return;
        }
        let response = ui.allocate_rect(outer, Sense::click_and_drag());
        let enabled = ui.is_enabled();
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Image, enabled, "Main plot"));
        let arms = view.problem.arms();
        if self.arms != arms {
            self.arms = arms;
            self.zoom = None;
            self.bounds = Bounds::default();
            self.grab = None;
        }
        let shown = self.zoom.unwrap_or((0.0, arms as f64));
        let first = (shown.0.floor().max(0.0) as usize).min(arms.saturating_sub(1));
        let end = (shown.1.ceil().max(1.0) as usize).clamp(first + 1, arms.max(first + 1));
        let pixels = (outer.width() * ui.pixels_per_point()) as usize;
        let window = Window::new(first, end, pixels);
        let hidden = self.hidden;
        self.prepared
            .update(view, window, |series| !hidden[series as usize]);
        self.bounds
            .fit(&self.prepared, self.grab.as_ref().map(|grab| grab.bar));
        let Some(plot) = Plot::new(ui, outer, shown, self.bounds, (window, self.log)) else {
            return;
        };
        let theme = Theme::of(ui);
        self.shading.draw(ui, &plot, view.problem);
        marks::axes(&plot, view, &theme);
        draw::series(&plot, &self.prepared, view, &theme);
        marks::marks(ui, &plot, view, &theme);
        self.edit_by_pointer(ui, &response, &plot, view, actions);
        self.view_by_pointer(ui, &response, &plot);
        self.hover(ui, &response, &plot, view, actions);
        if response.clicked()
            && !response.double_clicked()
            && let Some(at) = response.interact_pointer_pos().filter(|at| plot.holds(*at))
        {
            actions.push(Action::Pick(self.pointed(&plot, view, at)));
        }
        plot_context_menu(&response, actions, |dark| self.figure(view, dark));
    }

    /// Wheel zooms, Shift and wheel or a horizontal wheel moves, a double click shows all; a drag with the middle button
    /// or Ctrl, or one that edits nothing, moves too.
    fn view_by_pointer(&mut self, ui: &Ui, response: &Response, plot: &Plot) {
        let arms = self.arms as f64;
        let (mut low, mut high) = (plot.x.low, plot.x.high);
        let per_pixel = (high - low) / f64::from(plot.frame.rect.width());
        if response.hovered()
            && let Some(at) = response.hover_pos()
        {
            let scroll = ui.input(egui::InputState::smooth_scroll_delta);
            let pinch = f64::from(ui.input(egui::InputState::zoom_delta));
            let factor = (-f64::from(scroll.y) * 0.004).exp() / pinch.max(1e-3);
            if (factor - 1.0).abs() > 1e-6 {
                let centre = plot.x.value(at.x).clamp(low, high);
                low = centre - (centre - low) * factor;
                high = centre + (high - centre) * factor;
            }
            low -= f64::from(scroll.x) * per_pixel;
            high -= f64::from(scroll.x) * per_pixel;
            if scroll != egui::Vec2::ZERO {
                ui.input_mut(|input| input.smooth_scroll_delta = egui::Vec2::ZERO);
            }
        }
        if self.grab.is_none()
            && response.dragged()
            && !response.dragged_by(PointerButton::Secondary)
        {
            let moved = f64::from(response.drag_delta().x) * per_pixel;
            low -= moved;
            high -= moved;
        }
        if response.double_clicked() {
            self.zoom = None;
        } else if (low, high) != (plot.x.low, plot.x.high) {
            let span = (high - low).clamp(3.0_f64.min(arms), arms);
            let low = ((low + high - span) / 2.0).clamp(0.0, arms - span);
            self.zoom = (span < arms).then_some((low, low + span));
        }
    }

    fn edit_by_pointer(
        &mut self,
        ui: &Ui,
        response: &Response,
        plot: &Plot,
        view: &View,
        actions: &mut Vec<Action>,
    ) {
        let ctrl = ui.input(|input| input.modifiers.command);
        if response.drag_started_by(PointerButton::Primary)
            && !ctrl
            && view.scrub.is_none()
            && let Some(origin) = ui.input(|input| input.pointer.press_origin())
            && plot.holds(origin)
            && let Some(bar) = self.bar_at(plot, view, origin)
        {
            self.grab = Some(Grab {
                bar,
                last: (plot.arm_at(origin.x), value_at(plot, bar, origin.y)),
                sent: None,
            });
        }
        let Some(mut grab) = self.grab.take() else {
            return;
        };
        ui.set_cursor_icon(CursorIcon::ResizeVertical);
        // Where the button was let go counts, not where the pointer went on to within the same frame.
        if let Some(at) = released_at(ui).or_else(|| response.interact_pointer_pos()) {
            let value = value_at(plot, grab.bar, at.y);
            // A bar once taken stays in the hand; a curve is drawn across the arms passed.
            let now = if plot.bars {
                (grab.last.0, value)
            } else {
                (plot.arm_at(at.x), value)
            };
            let mut changes = stroke(grab.last, now);
            if grab.sent.is_none() && now.0 != grab.last.0 {
                changes.push(grab.last);
            }
            if now != grab.last || grab.sent.is_none() {
                grab.last = now;
                if let Some(edit) = edit(view, grab.bar, &changes) {
                    grab.sent = Some(edit.clone());
                    if !response.drag_stopped() {
                        actions.push(Action::Edit { edit, done: false });
                    }
                }
            }
        }
        if response.drag_stopped() || !response.dragged() {
            if let Some(edit) = grab.sent.take() {
                actions.push(Action::Edit { edit, done: true });
            }
        } else {
            self.grab = Some(grab);
        }
    }

    /// What a drag that starts here would edit.
    fn bar_at(&self, plot: &Plot, view: &View, at: Pos2) -> Option<Bar> {
        let can_reward = view.preset.objective.reward_scale != 0.0 && plot.reward.is_some();
        let shows_reference = self.prepared.get(Series::Reference).is_some();
        match self.drag {
            DragMode::Pan => None,
            DragMode::Reward => can_reward.then_some(Bar::Reward),
            DragMode::Reference => (!view.waits_for_model()).then_some(Bar::Reference),
            DragMode::Nearest => {
                let arm = plot.arm_at(at.x);
                let column = plot.column_of(arm);
                let high = |series: Series| self.prepared.get(series)?.high.get(column).copied();
                let reward = high(Series::Reward)
                    .filter(|_| can_reward)
                    .map_or(f32::INFINITY, |r| (plot.reward_at(r) - at.y).abs());
                let reference = match high(Series::Reference).filter(|_| shows_reference) {
                    Some(mass) if plot.bars => {
                        draw::bar_rect(plot, &self.prepared, Series::Reference, arm, mass)
                            .filter(|bar| bar.expand(3.0).x_range().contains(at.x))
                            .map_or(f32::INFINITY, |bar| (bar.top() - at.y).abs())
                    }
                    Some(mass) => (plot.mass.at(mass) - at.y).abs(),
                    None => f32::INFINITY,
                };
                let reach = if plot.bars { 12.0 } else { 8.0 };
                if reward.min(reference) > reach || reward.min(reference).is_nan() {
                    None
                } else if reference < reward {
                    Some(Bar::Reference)
                } else {
                    Some(Bar::Reward)
                }
            }
        }
    }

    fn hover(
        &mut self,
        ui: &Ui,
        response: &Response,
        plot: &Plot,
        view: &View,
        actions: &mut Vec<Action>,
    ) {
        let pointer = response
            .hover_pos()
            .filter(|at| response.hovered() && plot.holds(*at));
        let Some(at) = pointer else {
            if std::mem::take(&mut self.hovering) {
                actions.push(Action::Hover(None));
            }
            return;
        };
        let arm = self.pointed(plot, view, at);
        self.hovering = true;
        if view.selection.hovered != Some(arm) {
            actions.push(Action::Hover(Some(arm)));
        }
        let theme = Theme::of(ui);
        if self.grab.is_none() && view.scrub.is_none() {
            self.handles(ui, plot, arm, at, view, &theme);
        }
        if !response.context_menu_opened() {
            tooltip(ui, response.id, view, arm);
        }
    }

    /// Knobs on what can be dragged at this arm.
    fn handles(&self, ui: &Ui, plot: &Plot, arm: usize, at: Pos2, view: &View, theme: &Theme) {
        if self.drag == DragMode::Pan {
            return;
        }
        let taken = self.bar_at(plot, view, at);
        if taken.is_some() {
            ui.set_cursor_icon(CursorIcon::ResizeVertical);
        }
        let column = plot.column_of(arm);
        let high = |series: Series| self.prepared.get(series)?.high.get(column).copied();
        let x = plot.centre(arm);
        let knob = |centre: Pos2, color: egui::Color32, strong: bool| {
            if centre.y.is_finite() {
                let radius = if strong { 5.5 } else { 4.0 };
                plot.frame.inside.circle(
                    centre,
                    radius,
                    ui.visuals().extreme_bg_color,
                    Stroke::new(if strong { 2.5 } else { 1.5 }, color),
                );
            }
        };
        if let Some(reward) = high(Series::Reward)
            && self.drag != DragMode::Reference
        {
            let y = plot.reward_at(reward);
            knob(pos2(x, y), theme.reward, taken == Some(Bar::Reward));
        }
        if let Some(mass) = high(Series::Reference)
            && self.drag != DragMode::Reward
        {
            let centre = if plot.bars {
                draw::bar_rect(plot, &self.prepared, Series::Reference, arm, mass)
                    .map(|bar| bar.center_top())
            } else {
                Some(pos2(x, plot.mass.at(mass)))
            };
            if let Some(centre) = centre {
                knob(centre, theme.reference, taken == Some(Bar::Reference));
            }
        }
    }

    /// The arm meant by a position: where a pixel column holds several, the one with the most target mass.
    fn pointed(&self, plot: &Plot, view: &View, at: Pos2) -> usize {
        let arm = plot.arm_at(at.x);
        if !plot.window.aggregates() {
            return arm;
        }
        let column = plot.column_of(arm);
        let range = plot.window.start(column)..plot.window.start(column + 1);
        let masses = &view.shown_analysis().target.masses;
        let best = range
            .filter(|arm| *arm < masses.len())
            .max_by(|a, b| masses[*a].total_cmp(&masses[*b]));
        best.unwrap_or(arm)
    }

    /// The plot as it is on screen.
    fn figure(&self, view: &View, dark: bool) -> crate::figure::Figure {
        figures::main_plot(
            view,
            &self.prepared,
            figures::MainPlotState {
                shown: self.zoom.unwrap_or((0.0, view.problem.arms() as f64)),
                mass: if self.log {
                    self.bounds.log_ends()
                } else {
                    self.bounds.linear_ends()
                },
                log: self.log,
                reward: self.bounds.reward_ends(),
                bars: self
                    .prepared
                    .window
                    .is_some_and(|w| w.end - w.first <= layout::MOST_BARS),
                dark,
            },
        )
    }
}

/// A choice of what a drag edits.
pub(crate) fn drag_mode_ui(ui: &mut Ui, mode: &mut DragMode) {
    let response = egui::ComboBox::from_id_salt("drag edits")
        .selected_text(format!("Drag {}", mode.label()))
        .show_ui(ui, |ui| {
            for choice in DragMode::ALL {
                ui.selectable_value(mode, choice, choice.label());
            }
        })
        .response;
    response
        .accessible_name("What dragging edits")
        .on_hover_text(
            "What dragging in the plot edits. Ctrl and drag or the middle button moves the view, the wheel zooms, a double \
             click shows everything",
        );
}

/// Where the primary button was let go in this frame.
fn released_at(ui: &Ui) -> Option<Pos2> {
    ui.input(|input| {
        input.events.iter().find_map(|event| match event {
            egui::Event::PointerButton {
                pos,
                button: PointerButton::Primary,
                pressed: false,
                ..
            } => Some(*pos),
            _ => None,
        })
    })
}

fn value_at(plot: &Plot, bar: Bar, y: f32) -> f64 {
    match bar {
        Bar::Reward => plot.reward.map_or(f64::NAN, |scale| scale.value(y)),
        Bar::Reference => {
            if y >= plot.mass.base() && !plot.mass.log {
                0.0
            } else {
                plot.mass.mass(y.min(plot.mass.base()))
            }
        }
    }
}
