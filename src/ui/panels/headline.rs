//! The answer at the top: what the target looks like and why, in a sentence, with the numbers that make it.

use egui::{
    Label, RichText, Ui,
    text::{LayoutJob, TextFormat},
};

use crate::{
    bandit,
    engine::Status,
    theory::{Metric, Metrics},
    ui::{
        Action, Loading, View,
        theme::{SENTENCE_SIZE, Theme},
    },
};

/// Below this height of the window, in points, the sentence keeps to one line and the numbers stay away.
const ROOMY: f32 = 480.0;

/// Draws sentence and key numbers, or what is being loaded in their place.
pub(crate) fn headline_ui(ui: &mut Ui, view: &View, actions: &mut Vec<Action>) {
    if let Some(loading) = view.loading {
        loading_ui(ui, loading, actions);
        return;
    }
    let roomy = ui.ctx().content_rect().height() >= ROOMY;
    let sentence = Label::new(
        RichText::new(&view.shown_analysis().sentence)
            .size(SENTENCE_SIZE)
            .color(ui.visuals().strong_text_color()),
    );
    if !roomy {
        ui.add(sentence.truncate());
        return;
    }
    ui.add(sentence.wrap());
    ui.horizontal(|ui| {
        ui.set_max_width(ui.available_width());
        ui.spacing_mut().item_spacing.x = 18.0;
        let theme = Theme::of(ui);
        if let Some(frame) = view.scrub {
            let text = format!("At step {}", super::transport::grouped(frame.step));
            ui.label(RichText::new(text).color(theme.accent).strong())
                .on_hover_text("The timeline shows this earlier step; End follows the run again");
        }
        let metrics = &shown_metrics(view);
        let target = &view.shown_analysis().target_metrics;
        let shown = [
            (Metric::ExpectedReward, true),
            (Metric::Objective, true),
            (Metric::EffectiveModes, true),
            (Metric::ModeMass, true),
            (Metric::TvToTarget, false),
            (Metric::KlToReference, true),
            (Metric::Entropy, true),
        ];
        for (metric, compared) in shown {
            let of = match metric {
                Metric::Objective => view.shown_analysis().target.optimal_value,
                _ => target.get(metric),
            };
            let of = compared.then_some(of);
            if !pair(ui, &theme, metric, metrics.get(metric), of) {
                // One line, always: what has no room is left out.
                break;
            }
        }
    });
}

/// Metrics of the policy that is drawn. Those of a snapshot are means over all prompts, the target's are of one.
fn shown_metrics(view: &View) -> Metrics {
    let several = view
        .snapshot
        .language
        .as_ref()
        .is_some_and(|language| language.spec.prompts.len() > 1);
    let logs: Vec<f64> = match view.scrub {
        Some(frame) => frame
            .policy
            .iter()
            .map(|mass| f64::from(*mass).ln())
            .collect(),
        None => view.snapshot.policy.iter().map(|mass| mass.ln()).collect(),
    };
    if !several || logs.len() != view.problem.arms() {
        return *view.metrics();
    }
    bandit::measure(
        view.problem,
        &view.shown_objective(),
        view.shown_analysis(),
        &logs,
    )
}

/// How far a load has come and how long it will take, or why it failed.
fn loading_ui(ui: &mut Ui, loading: &Loading, actions: &mut Vec<Action>) {
    let theme = Theme::of(ui);
    match loading {
        Loading::Going {
            what,
            share,
            since_secs,
        } => {
            let spent = ui.input(|input| input.time) - since_secs;
            ui.label(RichText::new(what).size(SENTENCE_SIZE));
            ui.horizontal(|ui| match share.filter(|share| *share > 0.0) {
                Some(share) => {
                    ui.add(
                        egui::ProgressBar::new(share)
                            .desired_width(220.0)
                            .desired_height(8.0),
                    );
                    let left = spent / f64::from(share) - spent;
                    let text = format!(
                        "{:.0} %, {} left",
                        100.0 * share,
                        super::transport::duration(left)
                    );
                    ui.label(RichText::new(text).color(theme.muted));
                }
                None => {
                    ui.spinner();
                    let text = format!("{} so far", super::transport::duration(spent));
                    ui.label(RichText::new(text).color(theme.muted));
                }
            });
        }
        Loading::Failed(reason) => {
            ui.add(
                Label::new(
                    RichText::new(format!("Not loaded: {reason}"))
                        .size(SENTENCE_SIZE)
                        .color(theme.error),
                )
                .wrap(),
            );
            ui.horizontal(|ui| {
                if ui.button("Try again").clicked() {
                    actions.push(Action::LoadAgain);
                }
                if ui.button("Presets").clicked() {
                    actions.push(Action::Shell(crate::ui::ShellAction::Gallery));
                }
            });
        }
    }
}

/// "E[R] 0.998 of 1.000", policy and target in their colours; false if there was no room for it.
fn pair(ui: &mut Ui, theme: &Theme, metric: Metric, policy: f64, target: Option<f64>) -> bool {
    let font = egui::TextStyle::Body.resolve(ui.style());
    let mut job = LayoutJob::default();
    let mut add = |text: &str, color| {
        job.append(text, 0.0, TextFormat::simple(font.clone(), color));
    };
    add(metric.label(), theme.muted);
    add(&format!(" {}", number(policy)), theme.policy);
    if let Some(target) = target {
        add(&format!(" of {}", number(target)), theme.target);
    }
    let galley = ui.fonts_mut(|fonts| fonts.layout_job(job));
    if galley.size().x > ui.available_width() {
        return false;
    }
    ui.label(galley)
        .on_hover_text(format!("{}\nThe policy, of the target", metric.formula()));
    true
}

/// Four significant digits, an en dash where there is no number.
pub(crate) fn number(value: f64) -> String {
    if !value.is_finite() {
        return if value == f64::INFINITY {
            "∞".to_owned()
        } else if value == f64::NEG_INFINITY {
            "−∞".to_owned()
        } else {
            "–".to_owned()
        };
    }
    let size = value.abs();
    let text = if size == 0.0 {
        "0".to_owned()
    } else if !(1e-4..1e6).contains(&size) {
        format!("{value:.2e}")
    } else {
        let decimals = (3 - size.log10().floor() as i32).clamp(0, 5) as usize;
        format!("{value:.decimals$}")
    };
    text.replace('-', "−")
}

/// A word for the status.
pub(crate) fn status_word(status: Status) -> &'static str {
    match status {
        Status::Running => "Training",
        Status::Paused => "Paused",
        Status::Finished => "Finished",
        Status::Failed => "Failed",
    }
}
