//! The guided tour: six steps that drive the real controls and point at them. It can be left at any time.

use egui::{Area, Button, Context, Frame, Id, Key, Order, Rect, RichText, Stroke, Ui, pos2, vec2};

use crate::{
    experiment::{self, Edit},
    theory::{Beta, Direction, Objective},
    ui::{Action, ShellAction, View, theme::Theme},
};

/// A place that the tour can point at; whoever draws it says where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Spot {
    /// Sentence and numbers.
    Headline,
    /// The β slider.
    Beta,
    /// Reverse, forward, α.
    Direction,
    /// MARA's switch.
    Mara,
    /// The timeline.
    Timeline,
    /// The pane of the phase diagram.
    Phase,
}

/// Says where a spot is in this frame.
pub(crate) fn spot(ui: &Ui, spot: Spot, rect: Rect) {
    let visible = rect.intersect(ui.clip_rect());
    let frame = ui.ctx().cumulative_frame_nr();
    ui.data_mut(|data| data.insert_temp(Id::unique(("tour spot", spot)), (frame, visible)));
}

struct Step {
    title: &'static str,
    text: &'static str,
    spot: Spot,
}

const STEPS: [Step; 6] = [
    Step {
        title: "What does the objective ask for?",
        text: "This is the paper's Figure 5. A hundred answers, two regions of right ones, and a reference that hardly ever says the second. The dashed line is the target, the distribution that the objective asks for; the policy moves there while you watch. The sentence at the top says what the target looks like and why.",
        spot: Spot::Headline,
    },
    Step {
        title: "Raise β",
        text: "β went from 0.01 to 1, so the reference counts a hundred times as much. The target moves towards it, yet the ratio of the two good regions is as before: equal rewards never change the reference's ratio, whatever β is.",
        spot: Spot::Beta,
    },
    Step {
        title: "Turn the divergence round",
        text: "Now the penalty is forward KL, the direction that is called mass covering. The target has another shape, and still it is the reference that decides between equally good answers.",
        spot: Spot::Direction,
    },
    Step {
        title: "Switch MARA on",
        text: "Back at reverse KL and β = 0.01, MARA gives each good answer the mass of the best supported one. The target is flat over both regions, and training follows. The Inspector shows how, arm by arm.",
        spot: Spot::Mara,
    },
    Step {
        title: "Go back in time",
        text: "The run is pinned, so its policy stays to compare with. Drag the timeline to see earlier steps; the marks are the edits of this tour. Ctrl+Z takes any of them back.",
        spot: Spot::Timeline,
    },
    Step {
        title: "See all of it at once",
        text: "The phase diagram computes a metric over two parameters in the background and draws the tie boundary over it. Click in it to set both. G opens more experiments, Ctrl+K finds any command. Enjoy.",
        spot: Spot::Phase,
    },
];

/// State of the tour.
#[derive(Default)]
pub(crate) struct Tour {
    step: Option<usize>,
    /// The step whose actions are still to be carried out.
    entering: bool,
    offered: bool,
}

impl Tour {
    /// Begins at the first step.
    pub(crate) fn start(&mut self) {
        self.offered = false;
        self.go_to(0);
    }

    /// Shows the invitation.
    pub(crate) fn offer(&mut self) {
        self.offered = true;
    }

    fn go_to(&mut self, step: usize) {
        self.step = (step < STEPS.len()).then_some(step);
        self.entering = self.step.is_some();
    }

    /// Draws the present step, or the invitation.
    pub(crate) fn ui(&mut self, ctx: &Context, view: &View, actions: &mut Vec<Action>) {
        if self.offered {
            self.offer_ui(ctx, actions);
        }
        let Some(index) = self.step else { return };
        let Some(step) = STEPS.get(index) else { return };
        if std::mem::take(&mut self.entering) {
            enter(index, view, actions);
        }
        let place = place_of(ctx, step.spot);
        let escape = ctx.input_mut(|input| input.consume_key(egui::Modifiers::NONE, Key::Escape));
        let mut next = escape.then_some(usize::MAX);
        card(ctx, Order::Foreground, place, |ui| {
            ui.horizontal(|ui| {
                ui.label(RichText::new(step.title).heading());
                ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                    ui.weak(format!("{} of {}", index + 1, STEPS.len()));
                });
            });
            ui.label(step.text);
            ui.add_space(6.0);
            ui.horizontal(|ui| {
                let last = index + 1 == STEPS.len();
                let theme = Theme::of(ui);
                let word = if last { "Finish" } else { "Next" };
                let on_accent = if theme.dark {
                    egui::Color32::BLACK
                } else {
                    egui::Color32::WHITE
                };
                if ui
                    .add(Button::new(RichText::new(word).color(on_accent)).fill(theme.accent))
                    .clicked()
                {
                    next = Some(index + 1);
                }
                if ui.add_enabled(index > 0, Button::new("Back")).clicked() {
                    next = Some(index.saturating_sub(1));
                }
                if !last && ui.button("Leave the tour").clicked() {
                    next = Some(usize::MAX);
                }
            });
        });
        if let Some(next) = next {
            self.go_to(next);
        }
        if let Some(place) = place {
            let theme = if ctx.global_style().visuals.dark_mode {
                Theme::DARK
            } else {
                Theme::LIGHT
            };
            let layer = egui::LayerId::new(Order::Foreground, Id::unique("tour highlight"));
            ctx.layer_painter(layer).rect_stroke(
                place.expand(3.0).intersect(ctx.content_rect().shrink(2.0)),
                5.0,
                Stroke::new(2.0, theme.reward),
                egui::StrokeKind::Outside,
            );
        }
    }

    fn offer_ui(&mut self, ctx: &Context, actions: &mut Vec<Action>) {
        card(ctx, Order::Middle, None, |ui| {
            ui.label(RichText::new("New here?").heading());
            ui.label(
                "A tour of six short steps shows what Modescope is for, on the real controls.",
            );
            ui.add_space(6.0);
            ui.horizontal(|ui| {
                if ui.button("Take the tour").clicked() {
                    actions.push(Action::Shell(ShellAction::Tour));
                }
                if ui
                    .button("Not now")
                    .on_hover_text("Help, Guided tour has it at any time")
                    .clicked()
                {
                    self.offered = false;
                }
            });
        });
    }
}

/// A small card near `place` that leaves the distributions in view, or at the lower right.
fn card(ctx: &Context, order: Order, place: Option<Rect>, add: impl FnOnce(&mut Ui)) {
    let screen = ctx.content_rect();
    let mut size = vec2(360.0_f32.min(screen.width() - 20.0), 190.0);
    let corner = |size: egui::Vec2| screen.right_bottom() - size - vec2(24.0, 60.0);
    let at = match place {
        // The controls: below the one it is about, over the rest of them.
        Some(place)
            if place.right() < 0.45 * screen.right()
                && place.width() > 200.0
                && place.bottom() + 280.0 < screen.bottom() =>
        {
            size.x = size.x.min(place.width() + 6.0).max(250.0);
            pos2(place.left() - 3.0, place.bottom() + 12.0)
        }
        Some(place) if place.bottom() < 0.3 * screen.bottom() && screen.height() > 500.0 => {
            corner(size)
        }
        // Above what is low: as far to the right as it is.
        Some(place) if place.top() - size.y > screen.top() => pos2(
            (place.center().x - size.x * 0.5).max(place.right() - size.x),
            place.top() - size.y - 14.0,
        ),
        Some(place) => pos2(place.center().x - size.x * 0.5, place.bottom() + 14.0),
        None => corner(size),
    };
    let most = (screen.right_bottom() - size - vec2(8.0, 8.0)).max(screen.min);
    let at = at.clamp(
        screen.min + vec2(8.0, 8.0),
        most.max(screen.min + vec2(8.0, 8.0)),
    );
    Area::new(Id::unique("tour card"))
        .order(order)
        .fixed_pos(at)
        .constrain(true)
        .show(ctx, |ui| {
            Frame::window(ui.style()).show(ui, |ui| {
                ui.set_width((size.x - 26.0).max(40.0));
                add(ui);
            });
        });
}

/// Where a spot was drawn in this or the last frame.
fn place_of(ctx: &Context, spot: Spot) -> Option<Rect> {
    let now = ctx.cumulative_frame_nr();
    let (frame, rect): (u64, Rect) =
        ctx.data(|data| data.get_temp(Id::unique(("tour spot", spot))))?;
    (frame + 1 >= now && rect.is_positive()).then_some(rect)
}

/// What a step does to the real controls.
fn enter(index: usize, view: &View, actions: &mut Vec<Action>) {
    let set = |objective: Objective| Action::Edit {
        edit: Edit::Objective(objective),
        done: true,
    };
    // From Figure 5's own objective, wherever the user has dragged it meanwhile.
    let base = experiment::builtin_preset(crate::ui::app::DEFAULT_PRESET)
        .map_or(view.preset.objective, |preset| preset.objective);
    let with_beta = |beta: f64, direction: Direction| Objective {
        beta: Beta::new(beta).unwrap_or(base.beta),
        direction,
        mara: None,
        ..base
    };
    match index {
        0 => {
            actions.push(Action::OpenPreset(
                crate::ui::app::DEFAULT_PRESET.to_owned(),
            ));
            actions.push(Action::Start);
        }
        1 => actions.push(set(with_beta(1.0, Direction::Reverse))),
        2 => actions.push(set(with_beta(1.0, Direction::Forward))),
        3 => {
            let mut objective = with_beta(0.01, Direction::Reverse);
            objective.mara = Some(super::controls::default_mara(&view.analysis.rewards));
            actions.push(set(objective));
        }
        4 => actions.push(Action::Pin),
        _ => actions.push(Action::Shell(ShellAction::Phase)),
    }
}

#[cfg(test)]
mod tests {
    use super::STEPS;

    #[test]
    fn every_step_fits_its_card() {
        for step in &STEPS {
            assert!(
                step.text.len() < 420,
                "{} is too long for a glance",
                step.title
            );
        }
    }
}
