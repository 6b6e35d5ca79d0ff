//! The transport: run, pause, step, reset, reseed; how fast; how far; and the timeline to go back on.

use egui::{Align, Layout, RichText, Ui};

use super::{
    headline::{number, status_word},
    timeline::Timeline,
};
use crate::{
    engine::{Snapshot, Speed, Status},
    experiment::StopRule,
    ui::{
        Action, View,
        commands::UiCommand,
        theme::Theme,
        widgets::icon::{Icon, icon_button},
    },
};

/// State of the transport.
pub(crate) struct Transport {
    /// Limit that comes back when the speed is limited again, in steps per second.
    limit: f64,
    limited: bool,
    timeline: Timeline,
}

impl Default for Transport {
    fn default() -> Self {
        Self::new(Speed::Full)
    }
}

/// Limit offered where none was set, in steps per second.
const OFFERED_LIMIT: f64 = 300.0;

impl Transport {
    /// A transport that shows the speed at which training begins.
    pub(crate) fn new(speed: Speed) -> Self {
        let (limit, limited) = match speed {
            Speed::Full => (OFFERED_LIMIT, false),
            Speed::StepsPerSecond(limit) => (limit, true),
        };
        Self {
            limit,
            limited,
            timeline: Timeline::default(),
        }
    }

    /// Draws the transport as one bar.
    pub(crate) fn ui(&mut self, ui: &mut Ui, view: &View, actions: &mut Vec<Action>) {
        ui.horizontal_centered(|ui| {
            // What matters least goes first where the bar is short, so that the timeline keeps its place.
            let width = ui.available_width();
            self.buttons(ui, view, actions);
            ui.separator();
            if width > 520.0 {
                self.speed(ui, actions);
                ui.separator();
            }
            progress(ui, view.snapshot, width > 680.0);
            ui.separator();
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                self.timeline.ui(ui, view, actions)
            });
        });
    }

    fn buttons(&self, ui: &mut Ui, view: &View, actions: &mut Vec<Action>) {
        let running = view.snapshot.status == Status::Running;
        let (icon, name) = if running {
            (Icon::Pause, "Pause training")
        } else {
            (Icon::Run, "Start training")
        };
        let mut button = |icon, name: &str, command: UiCommand| {
            let tip = format!("{}  {}", command.tip(), command.shortcut_text(ui.ctx()));
            if icon_button(ui, icon, name, &tip, true).clicked() {
                actions.push(command.action());
            }
        };
        button(icon, name, UiCommand::ToggleRun);
        button(Icon::Step, "One step", UiCommand::Step);
        button(Icon::Reset, "Reset", UiCommand::Reset);
        button(Icon::Dice, "Reseed", UiCommand::Reseed);
        button(Icon::Pin, "Pin this run", UiCommand::Pin);
    }

    fn speed(&mut self, ui: &mut Ui, actions: &mut Vec<Action>) {
        let mut changed = false;
        let label = ui
            .checkbox(&mut self.limited, "Limit")
            .on_hover_text("Train at most this many steps per second, to watch what each does; off is as fast as the machine can");
        changed |= label.changed();
        let speed = self.limit * 0.02;
        let value = egui::DragValue::new(&mut self.limit)
            .range(0.2..=100_000.0)
            .speed(speed)
            .max_decimals(1)
            .suffix(" /s");
        let response = ui.add_enabled(self.limited, value).labelled_by(label.id);
        changed |= response.changed();
        if changed {
            actions.push(Action::SetSpeed(if self.limited {
                Speed::StepsPerSecond(self.limit)
            } else {
                Speed::Full
            }));
        }
    }
}

fn progress(ui: &mut Ui, snapshot: &Snapshot, roomy: bool) {
    let theme = Theme::of(ui);
    let color = match snapshot.status {
        Status::Running => theme.good,
        Status::Paused => theme.muted,
        Status::Finished => theme.accent,
        Status::Failed => theme.error,
    };
    let fixed = |ui: &mut Ui, width: f32, text: RichText, tip: &str| {
        ui.allocate_ui_with_layout(
            egui::vec2(width, ui.available_height()),
            Layout::left_to_right(Align::Center),
            |ui| {
                ui.set_width(width);
                ui.add(egui::Label::new(text).truncate()).on_hover_text(tip);
            },
        );
    };
    fixed(
        ui,
        54.0,
        RichText::new(status_word(snapshot.status))
            .color(color)
            .strong(),
        "What the trainer is doing",
    );
    fixed(
        ui,
        92.0,
        RichText::new(format!("step {}", grouped(snapshot.step))),
        "Steps done",
    );
    if !roomy {
        return;
    }
    let speed = match snapshot.status {
        Status::Running => format!("{} /s", rate(snapshot.steps_per_second)),
        Status::Paused | Status::Finished | Status::Failed => String::new(),
    };
    fixed(
        ui,
        70.0,
        RichText::new(speed).color(theme.muted),
        "Steps per second",
    );
    fixed(
        ui,
        66.0,
        RichText::new(duration(snapshot.elapsed_secs)).color(theme.muted),
        "Time spent training, pauses not counted",
    );
    if let Some(language) = &snapshot.language {
        let text = match snapshot.status {
            Status::Running if language.tokens_per_second >= 1e5 => {
                format!("{} k tokens/s", rate(language.tokens_per_second / 1e3))
            }
            Status::Running => format!("{} tokens/s", rate(language.tokens_per_second)),
            Status::Paused | Status::Finished | Status::Failed => String::new(),
        };
        fixed(
            ui,
            96.0,
            RichText::new(text).color(theme.muted),
            "Tokens sampled per second, recently",
        );
    }
    if let Some((fraction, eta)) = towards_end(&snapshot.training.stop, snapshot) {
        let eta = match (eta, snapshot.status) {
            (Some(secs), _) => format!("{} left", duration(secs)),
            (None, Status::Finished) => "the end".to_owned(),
            // Nothing can be told before the first step, or while nothing happens.
            (None, Status::Running | Status::Paused | Status::Failed) => String::new(),
        };
        ui.add(
            egui::ProgressBar::new(fraction as f32)
                .desired_width(70.0)
                .desired_height(6.0)
                .corner_radius(3),
        )
        .on_hover_text(format!("{:.0} % of the run {eta}", 100.0 * fraction));
        fixed(
            ui,
            62.0,
            RichText::new(eta).color(theme.muted),
            "Time left at the present speed",
        );
    }
}

/// How far a run is towards its stop rule (0 to 1), and the seconds left where that can be told.
pub(crate) fn towards_end(stop: &StopRule, snapshot: &Snapshot) -> Option<(f64, Option<f64>)> {
    let by_steps = stop.steps.filter(|&steps| steps > 0).map(|steps| {
        let left = steps.saturating_sub(snapshot.step) as f64;
        let eta = (snapshot.steps_per_second > 0.0).then(|| left / snapshot.steps_per_second);
        (snapshot.step as f64 / steps as f64, eta)
    });
    let by_time = stop.seconds.filter(|&secs| secs > 0.0).map(|secs| {
        (
            snapshot.elapsed_secs / secs,
            Some((secs - snapshot.elapsed_secs).max(0.0)),
        )
    });
    [by_steps, by_time]
        .into_iter()
        .flatten()
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(fraction, eta)| (fraction.clamp(0.0, 1.0), eta))
}

/// "12 345": groups of three, a thin space between.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{2009}');
        }
        text.push(digit);
    }
    text
}

/// Steps per second: whole and grouped, a decimal where slow.
fn rate(per_second: f64) -> String {
    if per_second >= 10.0 {
        grouped(per_second.round() as u64)
    } else {
        number(per_second)
    }
}

/// "8.2 s", "3 min 20 s", "2 h 05 min".
pub(crate) fn duration(secs: f64) -> String {
    if !secs.is_finite() || secs < 0.0 {
        "–".to_owned()
    } else if secs < 60.0 {
        format!("{secs:.1} s")
    } else if secs < 3600.0 {
        format!("{} min {:02} s", (secs / 60.0) as u64, secs as u64 % 60)
    } else {
        format!(
            "{} h {:02} min",
            (secs / 3600.0) as u64,
            (secs / 60.0) as u64 % 60
        )
    }
}
