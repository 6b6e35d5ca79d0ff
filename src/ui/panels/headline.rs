//! The answer at the top: what the target looks like and why, in a sentence, with the numbers that make it.

use std::sync::Arc;

use egui::{
    FontId, Galley, Label, RichText, Ui,
    text::{LayoutJob, TextFormat},
};

use crate::{
    bandit,
    engine::{Collapse, Keyframe, Status},
    experiment::{Edit, Training},
    theory::{Metric, Metrics},
    ui::{
        Action, Loading, ShellAction, View,
        theme::{SENTENCE_SIZE, Theme},
        widgets::number::{significant, without_noise},
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
    let sentence = &view.shown_analysis().sentence;
    let collapse = collapse_to_tell(ui, view);
    if !roomy {
        let (said, color) = match collapse {
            Some(collapse) => (collapse.says(), Theme::of(ui).error),
            None => (sentence.clone(), ui.visuals().strong_text_color()),
        };
        let text = RichText::new(said).size(SENTENCE_SIZE).color(color);
        ui.add(Label::new(text).truncate());
        return;
    }
    sentence_ui(ui, sentence);
    ui.horizontal(|ui| {
        ui.set_max_width(ui.available_width());
        ui.spacing_mut().item_spacing.x = WIDE_GAP;
        let theme = Theme::of(ui);
        if let Some(language) = &view.snapshot.language
            && language.spec.prompts.len() > 1
        {
            let (shown, count) = (language.shown_prompt + 1, language.spec.prompts.len());
            let text = format!("Prompt {shown} of {count}");
            ui.label(RichText::new(text).color(theme.muted).strong())
                .on_hover_text(
                    "Sentence, numbers and plot are of this prompt; the charts over time are means of all prompts",
                );
        }
        if let Some(frame) = view.scrub {
            let text = format!("At step {}", super::transport::grouped(frame.step));
            ui.label(RichText::new(text).color(theme.accent).strong())
                .on_hover_text("The timeline shows this earlier step; End follows the run again");
        }
        let metrics = &shown_metrics(view);
        let target = &view.shown_analysis().target_metrics;
        let pairs = KEY_NUMBERS.map(|(metric, compared)| {
            let of = match metric {
                Metric::Objective => view.shown_analysis().target.optimal_value,
                _ => target.get(metric),
            };
            (metric, metrics.get(metric), compared.then_some(of))
        });
        pairs_ui(ui, &theme, &pairs);
    });
    if let Some(collapse) = collapse {
        collapse_ui(ui, view, collapse, actions);
    } else if view.stopped && view.scrub.is_none() {
        failed_ui(ui, view, actions);
    }
}

/// Where the user has put a warning away: the run and the step it was of.
fn dismissed_id() -> egui::Id {
    egui::Id::unique("collapse put away")
}

/// How training has ruined the policy that is drawn, unless the user has put that away.
fn collapse_to_tell(ui: &Ui, view: &View) -> Option<Collapse> {
    let collapse = view.snapshot.collapse?;
    let known = (view.snapshot.epoch, collapse.step);
    let dismissed = ui.data(|data| data.get_temp::<(u64, u64)>(dismissed_id()));
    (view.scrub.is_none() && dismissed != Some(known)).then_some(collapse)
}

/// What happened, and what can be done about it.
fn collapse_ui(ui: &mut Ui, view: &View, collapse: Collapse, actions: &mut Vec<Action>) {
    let theme = Theme::of(ui);
    ui.horizontal_wrapped(|ui| {
        let text = format!(
            "{}. Most often the learning rate is too high.",
            collapse.says()
        );
        ui.label(RichText::new(text).color(theme.error));
        let rate = view.preset.training.learning_rate / 10.0;
        let shown = significant(rate, 3);
        if ui
            .button(format!("Begin anew at learning rate {shown}"))
            .on_hover_text("A tenth of the present one, from step 0 with the same seed")
            .clicked()
        {
            let training = Training {
                learning_rate: rate,
                ..view.preset.training.clone()
            };
            let edit = Edit::Training(Box::new(training));
            actions.push(Action::Edit { edit, done: true });
            actions.push(Action::Reset);
        }
        let what = "The step of the best objective before";
        go_back_ui(ui, collapse.sound_step, what, actions);
        if ui
            .button("Put away")
            .on_hover_text("Leave everything as it is and say no more of it")
            .clicked()
        {
            let known = (view.snapshot.epoch, collapse.step);
            ui.data_mut(|data| data.insert_temp(dismissed_id(), known));
        }
    });
}

/// The button that goes back to a step; `what` says which it is.
fn go_back_ui(ui: &mut Ui, step: u64, what: &str, actions: &mut Vec<Action>) {
    let shown = super::transport::grouped(step);
    if ui
        .button(format!("Go back to step {shown}"))
        .on_hover_text(format!("{what}; every setting as it was then"))
        .clicked()
    {
        actions.push(Action::Revert(step));
    }
}

/// That an error ended training, and the ways on.
fn failed_ui(ui: &mut Ui, view: &View, actions: &mut Vec<Action>) {
    let theme = Theme::of(ui);
    let now = view.snapshot.step;
    ui.horizontal_wrapped(|ui| {
        let step = super::transport::grouped(now);
        let text = format!("An error ended training; step {step} is the last good one.");
        ui.label(RichText::new(text).color(theme.error));
        let objective = |frame: &Keyframe| frame.metrics.get(Metric::Objective);
        let kept = view.snapshot.keyframes.iter();
        let kept = kept.filter(|frame| frame.step < now && objective(frame).is_finite());
        let best = kept.max_by(|a, b| objective(a).total_cmp(&objective(b)));
        if let Some(best) = best {
            let what = "The kept step of the best objective before";
            go_back_ui(ui, best.step, what, actions);
        }
        if ui
            .button("What happened")
            .on_hover_text("Show the log")
            .clicked()
        {
            actions.push(Action::Shell(ShellAction::Log));
        }
    });
}

/// The numbers under the sentence, and whether that of the target stands beside the policy's.
const KEY_NUMBERS: [(Metric, bool); 7] = [
    (Metric::ExpectedReward, true),
    (Metric::Objective, true),
    (Metric::EffectiveModes, true),
    (Metric::ModeMass, true),
    (Metric::TvToTarget, false),
    (Metric::KlToReference, true),
    (Metric::Entropy, true),
];
/// So many of them are fitted in, closer together or with fewer digits where they must be.
const FITTED: usize = 6;
/// Space between two of them where there is room.
const WIDE_GAP: f32 = 18.0;
/// See `WIDE_GAP`.
const NARROW_GAP: f32 = 9.0;

/// The sentence, over two lines at least, so that what lies below stays in place when it becomes shorter. While a button of
/// the pointer is down it also keeps the lines it had: a drag changes the sentence, and must not move what is dragged.
fn sentence_ui(ui: &mut Ui, sentence: &str) {
    let font = FontId::proportional(SENTENCE_SIZE);
    let color = ui.visuals().strong_text_color();
    let line = ui.fonts_mut(|fonts| fonts.row_height(&font));
    let width = ui.available_width();
    let id = ui.scope_id().with("lines of the sentence");
    let kept = ui
        .input(|input| input.pointer.any_down())
        .then(|| ui.data(|data| data.get_temp::<usize>(id)))
        .flatten();
    let lines = kept.unwrap_or_else(|| {
        let all = LayoutJob::simple(sentence.to_owned(), font.clone(), color, width);
        ui.fonts_mut(|fonts| fonts.layout_job(all))
            .rows
            .len()
            .max(2)
    });
    ui.data_mut(|data| data.insert_temp(id, lines));
    let mut job = LayoutJob::simple(sentence.to_owned(), font, color, width);
    job.wrap.max_rows = lines;
    ui.scope(|ui| {
        ui.set_min_height(line * lines as f32);
        ui.add(Label::new(job).wrap());
    });
}

/// One line of numbers, always: what has no room is left out, from the end on.
fn pairs_ui(ui: &mut Ui, theme: &Theme, pairs: &[(Metric, f64, Option<f64>)]) {
    let room = ui.available_width();
    let galleys = |ui: &Ui, digits: i32| -> Vec<Arc<Galley>> {
        pairs
            .iter()
            .map(|&(metric, policy, of)| pair_galley(ui, theme, metric, (policy, of), digits))
            .collect()
    };
    let width = |galleys: &[Arc<Galley>], gap: f32| {
        let fitted = galleys.iter().take(FITTED);
        fitted.map(|galley| galley.size().x + gap).sum::<f32>() - gap
    };
    let mut chosen = galleys(ui, 4);
    if width(&chosen, WIDE_GAP) > room {
        ui.spacing_mut().item_spacing.x = NARROW_GAP;
        if width(&chosen, NARROW_GAP) > room {
            chosen = galleys(ui, 3);
        }
    }
    for (galley, (metric, ..)) in chosen.into_iter().zip(pairs) {
        if galley.size().x > ui.available_width() {
            break;
        }
        ui.label(galley)
            .on_hover_text(format!("{}\nThe policy, of the target", metric.formula()));
    }
}

/// Metrics of the policy that is drawn. Those of a snapshot are means over all prompts, the target's are of one.
fn shown_metrics(view: &View) -> Metrics {
    let several = view
        .snapshot
        .language
        .as_ref()
        .is_some_and(|language| language.spec.prompts.len() > 1);
    let arms = view.problem.arms();
    let drawn = (view.scrub).map_or(view.snapshot.policy.len(), |frame| frame.policy.len());
    // A bandit of a million arms is not gone through in every frame.
    if !several || drawn != arms {
        return *view.metrics();
    }
    let logs: Vec<f64> = (0..arms).map(|arm| view.policy_mass(arm).ln()).collect();
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

/// "E[R] 0.998 of 1.000", policy and target in their colours.
fn pair_galley(
    ui: &Ui,
    theme: &Theme,
    metric: Metric,
    (policy, target): (f64, Option<f64>),
    digits: i32,
) -> Arc<Galley> {
    let font = egui::TextStyle::Body.resolve(ui.style());
    let mut job = LayoutJob::default();
    let mut add = |text: &str, color| {
        job.append(text, 0.0, TextFormat::simple(font.clone(), color));
    };
    let number = |value: f64| digits_of(metric_value(metric, value), digits);
    add(metric.label(), theme.muted);
    add(&format!(" {}", number(policy)), theme.ink(theme.policy));
    if let Some(target) = target {
        add(&format!(" of {}", number(target)), theme.ink(theme.target));
    }
    ui.fonts_mut(|fonts| fonts.layout_job(job))
}

/// A metric's value as it is shown: a distance, a share or an entropy of 1e−17 is what rounding left of 0; a reward can be
/// as small as that.
pub(crate) fn metric_value(metric: Metric, value: f64) -> f64 {
    match metric {
        Metric::ExpectedReward | Metric::Objective => value,
        _ => without_noise(value),
    }
}

/// Four significant digits, an en dash where there is no number.
pub(crate) fn number(value: f64) -> String {
    digits_of(value, 4)
}

/// This many significant digits, an en dash where there is no number.
fn digits_of(value: f64, digits: i32) -> String {
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
        let decimals = (digits - 1 - size.log10().floor() as i32).clamp(0, digits + 1) as usize;
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
