//! Controls of what counts as a mode.

use egui::Ui;

use super::row::{Choice, combo, note, number};
use crate::{experiment::ModeSpec, ui::View};

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Detected,
    EachArm,
    Labelled,
}

/// Draws the controls into `modes`.
pub(super) fn modes_ui(ui: &mut Ui, view: &View, modes: &mut ModeSpec) {
    let mut kind = match modes {
        ModeSpec::Detected { .. } => Kind::Detected,
        ModeSpec::EachArm { .. } => Kind::EachArm,
        ModeSpec::Labelled(_) => Kind::Labelled,
    };
    let before = kind;
    combo(
        ui,
        "A mode is",
        "Which sets of arms count as one way to be right.",
        &mut kind,
        &[
            Choice::new(
                Kind::Detected,
                "A run of good arms",
                "Maximal runs (connected regions on a grid) of neighbouring arms with R ≥ the threshold",
            ),
            Choice::new(
                Kind::EachArm,
                "Every good arm",
                "Every arm with R ≥ the threshold is a mode of its own",
            ),
            Choice::new(
                Kind::Labelled,
                "As labelled",
                "Given by hand in the preset file",
            )
            .unless(
                before != Kind::Labelled,
                "This preset labels no modes; the file's field bandit.modes can",
            ),
        ],
    );
    let halfway = halfway(&view.analysis.rewards);
    if kind != before {
        match kind {
            Kind::Detected => *modes = ModeSpec::Detected { threshold: None },
            Kind::EachArm => *modes = ModeSpec::EachArm { threshold: halfway },
            Kind::Labelled => {}
        }
    }
    match modes {
        ModeSpec::Detected { threshold } => {
            let mut automatic = threshold.is_none();
            let tip = "Halfway between the smallest and the largest effective reward";
            if ui
                .checkbox(&mut automatic, "Automatic threshold")
                .on_hover_text(tip)
                .changed()
            {
                *threshold = (!automatic).then_some(halfway);
            }
            if let Some(threshold) = threshold {
                number(
                    ui,
                    "Threshold",
                    "Good is R ≥ this",
                    threshold,
                    -1e6..=1e6,
                    0.01,
                );
            }
        }
        ModeSpec::EachArm { threshold } => {
            number(
                ui,
                "Threshold",
                "Good is R ≥ this",
                threshold,
                -1e6..=1e6,
                0.01,
            );
        }
        ModeSpec::Labelled(_) => {}
    }
    let count = view.problem.modes.len();
    note(
        ui,
        &format!("{count} {} now", if count == 1 { "mode" } else { "modes" }),
    );
}

fn halfway(rewards: &[f64]) -> f64 {
    let high = rewards.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let low = rewards.iter().copied().fold(f64::INFINITY, f64::min);
    if (high + low).is_finite() {
        0.5 * (high + low)
    } else {
        0.0
    }
}
