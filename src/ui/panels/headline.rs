//! The answer at the top: what the target looks like and why, in a sentence, with the numbers that make it.

use egui::{Label, RichText, Ui};

use crate::{
    engine::Status,
    theory::Metric,
    ui::{
        View,
        theme::{SENTENCE_SIZE, Theme},
    },
};

/// Draws sentence and key numbers.
pub(crate) fn headline_ui(ui: &mut Ui, view: &View) {
    let theme = Theme::of(ui);
    ui.add(
        Label::new(
            RichText::new(&view.analysis.sentence)
                .size(SENTENCE_SIZE)
                .color(ui.visuals().strong_text_color()),
        )
        .wrap(),
    );
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 4.0;
        if let Some(frame) = view.scrub {
            let text = format!("At step {}", super::transport::grouped(frame.step));
            ui.label(RichText::new(text).color(theme.accent).strong())
                .on_hover_text("The timeline shows this earlier step; End follows the run again");
            ui.add_space(10.0);
        }
        let metrics = view.metrics();
        let target = &view.analysis.target_metrics;
        pair(
            ui,
            &theme,
            Metric::ExpectedReward,
            metrics.get(Metric::ExpectedReward),
            Some(target.get(Metric::ExpectedReward)),
        );
        pair(
            ui,
            &theme,
            Metric::Objective,
            metrics.get(Metric::Objective),
            Some(view.analysis.target.optimal_value),
        );
        pair(
            ui,
            &theme,
            Metric::EffectiveModes,
            metrics.get(Metric::EffectiveModes),
            Some(target.get(Metric::EffectiveModes)),
        );
        pair(
            ui,
            &theme,
            Metric::ModeMass,
            metrics.get(Metric::ModeMass),
            Some(target.get(Metric::ModeMass)),
        );
        pair(
            ui,
            &theme,
            Metric::TvToTarget,
            metrics.get(Metric::TvToTarget),
            None,
        );
        pair(
            ui,
            &theme,
            Metric::KlToReference,
            metrics.get(Metric::KlToReference),
            Some(target.get(Metric::KlToReference)),
        );
    });
}

fn pair(ui: &mut Ui, theme: &Theme, metric: Metric, policy: f64, target: Option<f64>) {
    ui.scope(|ui| {
        let tip = format!("{}\nPolicy in blue, target in orange", metric.formula());
        ui.label(RichText::new(metric.label()).color(theme.muted))
            .on_hover_text(&tip);
        ui.label(RichText::new(number(policy)).color(theme.policy).strong())
            .on_hover_text(&tip);
        if let Some(target) = target {
            ui.label(RichText::new(format!("of {}", number(target))).color(theme.target))
                .on_hover_text(&tip);
        }
        ui.add_space(10.0);
    });
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
