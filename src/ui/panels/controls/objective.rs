//! Controls of the objective: direction, β, reward scale and offset, entropy bonus, MARA, and β from a wanted validity.

use std::sync::Arc;

use egui::Ui;

use super::super::tour::{Spot, spot};
use super::row::{self, Choice, combo, log_slider, note, number, row, segments, slider};
use crate::{
    bandit::Analysis,
    experiment::Update,
    theory::{Anchor, Beta, Direction, Mara, MaraAlgorithm, Objective, Threshold},
    ui::{
        View,
        widgets::{beta_slider::beta_slider, number::number as short},
    },
};

/// What the helper "β from validity" was asked last, and what it knows of the problem it was asked about.
pub(super) struct Validity {
    wanted: f64,
    known: Option<(Arc<Analysis>, Result<RightAndWrong, &'static str>)>,
}

/// Rewards of two values: how much the right ones are worth more, and how often the reference is right.
#[derive(Debug, Clone, Copy)]
struct RightAndWrong {
    gap: f64,
    right: f64,
}

impl Default for Validity {
    fn default() -> Self {
        Self {
            wanted: 0.95,
            known: None,
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Reverse,
    Forward,
    Alpha,
}

/// Draws the objective's controls into `objective`; `Some(done)` if the β slider changed it.
pub(super) fn objective_ui(
    ui: &mut Ui,
    view: &View,
    objective: &mut Objective,
    validity: &mut Validity,
) -> Option<bool> {
    let shown = ui.scope(|ui| direction_ui(ui, objective)).response;
    spot(ui, Spot::Direction, shown.rect);
    let tip = "Coefficient of the divergence to the reference.\nReverse target G = π_ref exp(R/β) / Z; forward target G = β π_ref / (Λ − R).\nSmall β makes any difference in reward decisive. Ticks are ties; Alt snaps to them.";
    let shown = ui.scope(|ui| {
        ui.horizontal(|ui| {
            ui.label("β").on_hover_text(tip);
            beta_slider(ui, objective.beta, view.known())
        })
        .inner
    });
    spot(ui, Spot::Beta, shown.response.rect);
    let change = shown.inner;
    objective.beta = change.beta;
    log_slider(
        ui,
        "Reward scale",
        "R = scale · r + offset. Multiplying the reward is the same as dividing β by as much.",
        &mut objective.reward_scale,
        0.01..=100.0,
    );
    number(
        ui,
        "Reward offset",
        "R = scale · r + offset. A constant changes no target, but it moves J and the thresholds of modes and MARA.",
        &mut objective.reward_offset,
        -1e6..=1e6,
        0.01,
    );
    let mut eta = objective.entropy;
    log_slider(
        ui,
        "Entropy bonus",
        "η H(π) is added to the objective. With reverse KL the target becomes G ∝ π_ref^(β/(β+η)) exp(R/(β+η)): flatter, and equal rewards still do not get equal mass unless β = 0.",
        &mut eta,
        0.0..=10.0,
    );
    objective.entropy = eta;
    validity_ui(ui, view, objective, validity);
    change.changed.then_some(change.done)
}

fn direction_ui(ui: &mut Ui, objective: &mut Objective) {
    let mut kind = match objective.direction {
        Direction::Reverse => Kind::Reverse,
        Direction::Forward => Kind::Forward,
        Direction::Alpha(_) => Kind::Alpha,
    };
    let before = kind;
    segments(
        ui,
        &mut kind,
        &[
            Choice::new(
                Kind::Reverse,
                "Reverse KL",
                "The usual penalty in RL fine-tuning\nJ = E_π[R] − β KL(π‖π_ref), target G = π_ref exp(R/β) / Z",
            ),
            Choice::new(
                Kind::Forward,
                "Forward KL",
                "J = E_π[R] − β KL(π_ref‖π), target G = β π_ref / (Λ − R)\nGRPO's k3 as a loss pulls here",
            ),
            Choice::new(
                Kind::Alpha,
                "α dial",
                "Everything between and beyond: α-divergence Σ π_ref f_α(π/π_ref); 1 is reverse, 0 is forward, ½ is Hellinger, 2 is χ²",
            ),
        ],
    );
    if kind != before {
        objective.direction = match (kind, before) {
            (Kind::Reverse, _) => Direction::Reverse,
            (Kind::Forward, _) => Direction::Forward,
            (Kind::Alpha, Kind::Forward) => Direction::Alpha(0.0),
            (Kind::Alpha, _) => Direction::Alpha(1.0),
        };
    }
    if let Direction::Alpha(alpha) = &mut objective.direction {
        slider(
            ui,
            "α",
            "f_α(t) = (t^α − αt − (1−α)) / (α(α−1)). 1 is reverse KL, 0 is forward KL, ½ is four times squared Hellinger, 2 is half χ². Above 1 arms can be cut to exactly zero.",
            alpha,
            -1.0..=3.0,
        );
    }
}

fn validity_ui(ui: &mut Ui, view: &View, objective: &mut Objective, validity: &mut Validity) {
    let tip = "With rewards of two values (right or wrong) and a = π_ref(right), the reverse target is right with probability μ at β = ΔR / ln( μ(1−a) / (a(1−μ)) ).";
    let found = wanted_beta(view, objective, validity);
    row(ui, "β for validity", tip, |ui| {
        let field = ui.add(
            egui::DragValue::new(&mut validity.wanted)
                .range(0.001..=0.999_999)
                .speed(0.005)
                .custom_formatter(|value, _| format!("{} %", row::compact(100.0 * value)))
                .custom_parser(|text| {
                    text.trim()
                        .trim_end_matches('%')
                        .trim()
                        .parse::<f64>()
                        .ok()
                        .map(|percent| percent / 100.0)
                }),
        );
        let (text, why_not) = match &found {
            Ok(beta) => (format!("Set β {}", row::compact(beta.get())), ""),
            Err(why) => ("Set β".to_owned(), *why),
        };
        let set = ui
            .add_enabled(found.is_ok(), egui::Button::new(text))
            .on_hover_text("Use this β")
            .on_disabled_hover_text(why_not);
        if set.clicked()
            && let Ok(beta) = found
        {
            objective.beta = beta;
        }
        field
    });
}

/// The β at which the reverse target is right as often as wanted, or why there is none.
fn wanted_beta(
    view: &View,
    objective: &Objective,
    validity: &mut Validity,
) -> Result<Beta, &'static str> {
    if objective.direction != Direction::Reverse
        || objective.entropy != 0.0
        || objective.mara.is_some()
    {
        return Err("The formula is for reverse KL without entropy bonus and MARA");
    }
    if view.waits_for_model() {
        return Err("How often the reference is right is not known until the model is loaded");
    }
    let known = match &validity.known {
        Some((of, known)) if Arc::ptr_eq(of, view.analysis) => *known,
        _ => {
            let known = right_and_wrong(view);
            validity.known = Some((view.analysis.clone(), known));
            known
        }
    }?;
    let wanted = validity.wanted;
    let odds = (wanted * (1.0 - known.right)) / (known.right * (1.0 - wanted));
    Beta::new(known.gap / odds.ln())
        .map_err(|_| "The reference is right that often already; no β > 0 lowers it")
}

fn right_and_wrong(view: &View) -> Result<RightAndWrong, &'static str> {
    let rewards = &view.analysis.rewards;
    let high = rewards.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let low = rewards.iter().copied().fold(f64::INFINITY, f64::min);
    if high <= low
        || rewards
            .iter()
            .any(|&reward| reward != high && reward != low)
    {
        return Err("The formula needs rewards of exactly two values, right and wrong");
    }
    let right = rewards
        .iter()
        .zip(view.problem.reference.log_masses())
        .filter(|(reward, _)| **reward == high)
        .map(|(_, log)| log.exp())
        .sum();
    Ok(RightAndWrong {
        gap: high - low,
        right,
    })
}

/// Draws the controls of MARA into `objective`.
pub(super) fn mara_ui(ui: &mut Ui, view: &View, objective: &mut Objective) {
    let mut on = objective.mara.is_some();
    let tip = "Mode-anchored reward augmentation. Among good answers, R ≥ τ, the anchor z is the best supported. Each good answer gets R̄ = R(z) + β (log π_ref(z) − log π_ref(y)), so all of them end up with the same mass.";
    let switch = ui
        .checkbox(&mut on, "Give every good answer the anchor's mass")
        .on_hover_text(tip);
    spot(ui, Spot::Mara, switch.rect);
    if switch.changed() {
        objective.mara = on.then(|| default_mara(&view.analysis.rewards));
    }
    let direction = objective.direction;
    let Some(mara) = &mut objective.mara else {
        return;
    };
    threshold_ui(ui, &mut mara.threshold);
    let auto = match direction {
        Direction::Reverse => "Automatic (1)",
        Direction::Forward | Direction::Alpha(_) => "Automatic (2)",
    };
    combo(
        ui,
        "Algorithm",
        "The two published forms; automatic takes the right one for the direction.",
        &mut mara.algorithm,
        &[
            Choice::new(None, auto, "1 for reverse KL, 2 otherwise"),
            Choice::new(
                Some(MaraAlgorithm::AugmentReward),
                "1, augment the reward",
                "R̄ = R(z) + β (log π_ref(z) − log π_ref(y)) for good y",
            ),
            Choice::new(
                Some(MaraAlgorithm::SwapRewardAndReference),
                "2, swap reward and reference",
                "R(z) in place of R(y) and π_ref(z) in place of π_ref(y) for good y",
            ),
        ],
    );
    if mara.algorithm == Some(MaraAlgorithm::AugmentReward) && direction != Direction::Reverse {
        note(
            ui,
            "Algorithm 1 is not uniform under this direction: most of the mass goes to the rarest good answer. For comparison only.",
        );
    }
    combo(
        ui,
        "Anchor",
        "Which answers compete to be the anchor while training from samples; the exact target always uses the exact anchor.",
        &mut mara.anchor,
        &[
            Choice::new(Anchor::Batch, "Best of the batch", "As in the paper"),
            Choice::new(
                Anchor::RunningMaximum,
                "Best so far",
                "The best supported good answer of any batch",
            ),
            Choice::new(
                Anchor::Exact,
                "Exact",
                "The best supported good answer of the whole problem",
            ),
        ],
    );
    if matches!(
        view.preset.training.update,
        Update::Exact | Update::NaturalGradient
    ) && mara.anchor != Anchor::Exact
    {
        note(ui, "Exact updates always use the exact anchor.");
    } else if let (Threshold::Percentile(_), false, Some(found)) = (
        mara.threshold,
        mara.anchor == Anchor::Exact,
        &view.analysis.mara,
    ) {
        note(
            ui,
            &format!(
                "While training, τ is this percentile of a batch's samples, so it follows the policy. The target drawn takes it \
                 over the arms, each once: τ = {}. For training towards what is drawn, take the exact anchor or a constant τ.",
                short(found.anchored.threshold)
            ),
        );
    }
    ui.checkbox(&mut mara.per_class, "Uniform over modes, not arms")
        .on_hover_text("Per-class form: log Σ_{y in class} π_ref(y) in place of log π_ref(y), so that a mode of many arms gets no more than a mode of few.");
}

/// MARA as it is when switched on: a constant τ that suits the rewards, everything else as in the paper.
pub(crate) fn default_mara(rewards: &[f64]) -> Mara {
    Mara {
        threshold: Threshold::Constant(default_threshold(rewards)),
        algorithm: None,
        anchor: Anchor::Batch,
        per_class: false,
    }
}

fn threshold_ui(ui: &mut Ui, threshold: &mut Threshold) {
    #[derive(Clone, Copy, PartialEq)]
    enum Kind {
        Constant,
        Percentile,
    }
    let mut kind = match threshold {
        Threshold::Constant(_) => Kind::Constant,
        Threshold::Percentile(_) => Kind::Percentile,
    };
    let before = kind;
    combo(
        ui,
        "Threshold τ",
        "From which effective reward on an answer is good.",
        &mut kind,
        &[
            Choice::new(Kind::Constant, "Constant", "Good is R ≥ τ"),
            Choice::new(
                Kind::Percentile,
                "Percentile",
                "Good is the upper part of the rewards; 0.9 keeps the best tenth",
            ),
        ],
    );
    if kind != before {
        *threshold = match kind {
            Kind::Constant => Threshold::Constant(0.8),
            Kind::Percentile => Threshold::Percentile(0.9),
        };
    }
    match threshold {
        Threshold::Constant(tau) => {
            number(ui, "τ", "Good is R ≥ τ", tau, -1e6..=1e6, 0.01);
        }
        Threshold::Percentile(share) => {
            slider(
                ui,
                "Percentile",
                "Good is the upper part of the rewards; 0.9 keeps the best tenth",
                share,
                0.0..=0.999,
            );
        }
    }
}

/// 80 % of the way from the smallest to the largest reward: the paper's 0.8 for rewards of 0 and 1.
fn default_threshold(rewards: &[f64]) -> f64 {
    let high = rewards.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let low = rewards.iter().copied().fold(f64::INFINITY, f64::min);
    if high > low {
        low + 0.8 * (high - low)
    } else {
        high.min(0.8)
    }
}
