//! Controls of the learner: policy family, start, update, estimator, optimiser, learning rate, batch, seed.

use egui::{DragValue, TextEdit, Ui};

use super::row::{Choice, combo, count_slider, log_slider, note, row, slider, wide};
use crate::{
    experiment::{
        Advantage, Features, KlEstimator, KlPenalty, MAX_BATCH, Optimizer, PolicyFamily, Start,
        Training, Update,
    },
    ui::View,
};

/// Draws the learner's controls into `training`. `hidden_text` is what is being typed as hidden layers.
pub(super) fn training_ui(
    ui: &mut Ui,
    view: &View,
    training: &mut Training,
    hidden_text: &mut Option<String>,
) {
    let language = view.preset.language.is_some();
    if !language {
        family_ui(ui, view, &mut training.policy, hidden_text);
        start_ui(ui, view, training);
    }
    update_ui(ui, training, language);
    if !language {
        optimizer_ui(
            ui,
            &mut training.optimizer,
            matches!(training.update, Update::NaturalGradient),
        );
    }
    log_slider(
        ui,
        "Learning rate",
        if language {
            "Size of a step of AdamW, which trains language models."
        } else {
            "Size of a step: θ ← θ + lr · g for plain ascent."
        },
        &mut training.learning_rate,
        if language { 1e-7..=1.0 } else { 1e-5..=100.0 },
    );
    row(
        ui,
        "Seed",
        "Seed of every random stream; the same seed gives the same run, bit for bit. R resets with it, Shift+R takes the next.",
        |ui| {
            wide(
                ui,
                DragValue::new(&mut training.seed).update_while_editing(false),
            )
        },
    );
}

#[derive(Clone, Copy, PartialEq)]
enum Family {
    Table,
    Gaussian,
    Mixture,
    Linear,
    Mlp,
}

fn family_ui(
    ui: &mut Ui,
    view: &View,
    policy: &mut PolicyFamily,
    hidden_text: &mut Option<String>,
) {
    let mut family = match policy {
        PolicyFamily::SoftmaxTable => Family::Table,
        PolicyFamily::Gaussian => Family::Gaussian,
        PolicyFamily::GaussianMixture { .. } => Family::Mixture,
        PolicyFamily::LinearSoftmax { .. } => Family::Linear,
        PolicyFamily::Mlp { .. } => Family::Mlp,
    };
    let before = family;
    let natural = matches!(view.preset.training.update, Update::NaturalGradient);
    let why = "The natural gradient is for the table; take another update first";
    combo(
        ui,
        "Policy",
        "What the policy can express. The mode-seeking and mass-covering picture of textbooks belongs to restricted families; a table reaches every target. Another family starts the policy anew.",
        &mut family,
        &[
            Choice::new(
                Family::Table,
                "Softmax table",
                "One logit per arm: can express every distribution",
            ),
            Choice::new(
                Family::Gaussian,
                "Gaussian",
                "Mean and log standard deviation per axis, discretised on the arms",
            )
            .unless(natural, why),
            Choice::new(
                Family::Mixture,
                "Gaussian mixture",
                "Weights, means and widths of several Gaussians, discretised on the arms",
            )
            .unless(natural, why),
            Choice::new(
                Family::Linear,
                "Linear softmax",
                "Logits linear in features of the arm's place",
            )
            .unless(natural, why),
            Choice::new(
                Family::Mlp,
                "Small network",
                "Logits from a multi-layer perceptron on features of the arm's place",
            )
            .unless(natural, why),
        ],
    );
    if family != before {
        *hidden_text = None;
        *policy = match family {
            Family::Table => PolicyFamily::SoftmaxTable,
            Family::Gaussian => PolicyFamily::Gaussian,
            Family::Mixture => PolicyFamily::GaussianMixture { components: 2 },
            Family::Linear => PolicyFamily::LinearSoftmax {
                features: Features::Polynomial(3),
            },
            Family::Mlp => PolicyFamily::Mlp {
                features: Features::Fourier(4),
                hidden: vec![32, 32],
            },
        };
    }
    match policy {
        PolicyFamily::SoftmaxTable | PolicyFamily::Gaussian => {}
        PolicyFamily::GaussianMixture { components } => {
            count_slider(
                ui,
                "Components",
                "How many Gaussians, 1 to 64",
                components,
                1..=64,
            );
        }
        PolicyFamily::LinearSoftmax { features } => features_ui(ui, features),
        PolicyFamily::Mlp { features, hidden } => {
            features_ui(ui, features);
            hidden_ui(ui, hidden, hidden_text);
        }
    }
}

fn features_ui(ui: &mut Ui, features: &mut Features) {
    #[derive(Clone, Copy, PartialEq)]
    enum Kind {
        Polynomial,
        Fourier,
    }
    let (mut kind, size) = match *features {
        Features::Polynomial(degree) => (Kind::Polynomial, degree),
        Features::Fourier(frequency) => (Kind::Fourier, frequency),
    };
    let mut size = size;
    combo(
        ui,
        "Features",
        "Functions of the arm's coordinates, scaled to [−1, 1].",
        &mut kind,
        &[
            Choice::new(
                Kind::Polynomial,
                "Polynomial",
                "Powers of the coordinates up to a total degree",
            ),
            Choice::new(
                Kind::Fourier,
                "Fourier",
                "Sines and cosines up to a frequency",
            ),
        ],
    );
    let (label, most) = match kind {
        Kind::Polynomial => ("Degree", 16),
        Kind::Fourier => ("Frequency", 64),
    };
    size = size.min(most);
    count_slider(
        ui,
        label,
        "How fine the features are; more can express more",
        &mut size,
        1..=most,
    );
    *features = match kind {
        Kind::Polynomial => Features::Polynomial(size),
        Kind::Fourier => Features::Fourier(size),
    };
}

fn hidden_ui(ui: &mut Ui, hidden: &mut Vec<usize>, typed: &mut Option<String>) {
    let shown = hidden
        .iter()
        .map(usize::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    let mut text = typed.clone().unwrap_or(shown);
    let field = row(
        ui,
        "Hidden layers",
        "Width of each hidden layer, 1 to 4 layers of 1 to 1024, for example 32, 32",
        |ui| ui.add(TextEdit::singleline(&mut text).desired_width(ui.available_width())),
    );
    if field.changed() {
        *typed = Some(text.clone());
    }
    if !field.lost_focus() {
        return;
    }
    let layers: Option<Vec<usize>> = text
        .split([',', ' '])
        .filter(|part| !part.is_empty())
        .map(|part| {
            part.parse::<usize>()
                .ok()
                .filter(|width| (1..=1024).contains(width))
        })
        .collect();
    // Text that does not read as layers goes back to what was there.
    *typed = None;
    if let Some(layers) = layers.filter(|layers| (1..=4).contains(&layers.len())) {
        *hidden = layers;
    }
}

/// Masses of larger problems are not written into a preset.
const GIVEN_UP_TO: usize = 100_000;

fn start_ui(ui: &mut Ui, view: &View, training: &mut Training) {
    #[derive(Clone, Copy, PartialEq)]
    enum From {
        Reference,
        Uniform,
        Given,
        Policy,
        Target,
    }
    let mut from = match training.start {
        Start::Reference => From::Reference,
        Start::Uniform => From::Uniform,
        Start::Given(_) => From::Given,
    };
    let before = from;
    let arms = view.problem.arms();
    let mut choices = vec![
        Choice::new(From::Reference, "Reference", "As fine-tuning does"),
        Choice::new(From::Uniform, "Uniform", "Every arm alike"),
    ];
    if from == From::Given {
        choices.push(Choice::new(
            From::Given,
            "Given masses",
            "The masses in the preset's field training.start",
        ));
    }
    for (from, name, tip) in [
        (
            From::Policy,
            "The policy shown",
            "Takes the policy as it is drawn now, a step scrubbed to included, as given masses, and begins anew from them",
        ),
        (
            From::Target,
            "The target shown",
            "Takes the present target as given masses: does training stay where the objective wants it?",
        ),
    ] {
        let choice = Choice::new(from, name, tip);
        choices.push(choice.unless(arms > GIVEN_UP_TO, "For up to 100 000 arms"));
    }
    combo(
        ui,
        "Start",
        "Where the policy starts; a family that cannot express it starts at its best fit. Another start begins anew.",
        &mut from,
        &choices,
    );
    if from == before {
        return;
    }
    training.start = match from {
        From::Reference => Start::Reference,
        From::Uniform => Start::Uniform,
        From::Given => return,
        From::Policy => Start::Given((0..arms).map(|arm| view.policy_mass(arm)).collect()),
        From::Target => Start::Given(view.shown_analysis().target.masses.clone()),
    };
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Exact,
    Natural,
    Sampled,
    Dap,
}

fn update_ui(ui: &mut Ui, training: &mut Training, language: bool) {
    let (mut kind, mut batch) = match training.update {
        Update::Exact => (Kind::Exact, 256),
        Update::NaturalGradient => (Kind::Natural, 256),
        Update::Sampled { batch, .. } => (Kind::Sampled, batch),
        Update::Dap { batch } => (Kind::Dap, batch),
    };
    let before = kind;
    let mut choices = vec![
        Choice::new(
            Kind::Sampled,
            "Policy gradient, samples",
            "REINFORCE on samples of the policy: E[(A − baseline) ∇log π]",
        ),
        Choice::new(
            Kind::Exact,
            "Policy gradient, exact",
            "The exact gradient of J in the policy's parameters",
        ),
        Choice::new(
            Kind::Natural,
            "Natural gradient",
            "Mirror descent: π ← π exp(lr · A) / Z, free of softmax dynamics",
        )
        .unless(
            training.policy != PolicyFamily::SoftmaxTable,
            "The natural gradient is for the softmax table",
        ),
        Choice::new(
            Kind::Dap,
            "DAP (REINVENT)",
            "(log π_ref + R/β − log π)² on samples of the policy: pulls towards the reverse target",
        ),
    ];
    if language {
        // The natural gradient needs the table.
        choices.retain(|choice| choice.value != Kind::Natural);
    }
    combo(
        ui,
        "Update",
        "Where the gradient comes from.",
        &mut kind,
        &choices,
    );
    let (mut advantage, mut kl) = match training.update {
        Update::Sampled { advantage, kl, .. } => (advantage, kl),
        Update::Exact | Update::NaturalGradient | Update::Dap { .. } => {
            (Advantage::MeanBaseline, KlPenalty::Matched)
        }
    };
    match kind {
        Kind::Exact | Kind::Natural => {}
        Kind::Sampled | Kind::Dap => {
            count_slider(
                ui,
                "Batch",
                "Samples per step, up to 65,536; advantages that compare a sample with the others need 2",
                &mut batch,
                training.update.least_batch()..=MAX_BATCH,
            );
        }
    }
    if kind == Kind::Sampled {
        advantage_ui(ui, &mut advantage);
        kl_ui(ui, &mut kl);
    }
    let sampled = Update::Sampled {
        batch,
        advantage,
        kl,
    };
    // Another advantage may need a second sample.
    let sampled = Update::Sampled {
        batch: batch.max(sampled.least_batch()),
        advantage,
        kl,
    };
    if kind != before || kind == Kind::Sampled || kind == Kind::Dap {
        training.update = match kind {
            Kind::Exact => Update::Exact,
            Kind::Natural => Update::NaturalGradient,
            Kind::Sampled => sampled,
            Kind::Dap => Update::Dap { batch },
        };
    }
}

fn advantage_ui(ui: &mut Ui, advantage: &mut Advantage) {
    combo(
        ui,
        "Advantage",
        "What is subtracted from, and divides, a sample's reward.",
        advantage,
        &[
            Choice::new(Advantage::None, "Plain REINFORCE", "A = R"),
            Choice::new(
                Advantage::MeanBaseline,
                "Mean baseline",
                "A = R − mean of the batch",
            ),
            Choice::new(
                Advantage::LeaveOneOut,
                "Leave one out",
                "A = R − mean of the other samples",
            ),
            Choice::new(
                Advantage::GroupNormalised,
                "Group normalised",
                "A = (R − mean) / std, as GRPO does: the effective β is β·σ, which falls to 0 as all succeed",
            ),
        ],
    );
}

fn kl_ui(ui: &mut Ui, kl: &mut KlPenalty) {
    #[derive(Clone, Copy, PartialEq)]
    enum Place {
        Matched,
        Reward,
        Loss,
        Reference,
        Off,
    }
    let (mut place, mut estimator) = match *kl {
        KlPenalty::Matched => (Place::Matched, KlEstimator::K3),
        KlPenalty::InReward(estimator) => (Place::Reward, estimator),
        KlPenalty::Loss(estimator) => (Place::Loss, estimator),
        KlPenalty::ReferenceSamples => (Place::Reference, KlEstimator::K3),
        KlPenalty::Off => (Place::Off, KlEstimator::K3),
    };
    combo(
        ui,
        "KL penalty",
        "How the divergence to the reference enters the update; this decides which target training really pulls towards.",
        &mut place,
        &[
            Choice::new(
                Place::Matched,
                "Matches the objective",
                "The estimator whose expected gradient is the objective's own",
            ),
            Choice::new(
                Place::Reward,
                "In the reward",
                "R − β k(π/π_ref), without gradient through k",
            ),
            Choice::new(
                Place::Loss,
                "As a loss",
                "+ β k(π/π_ref) as a differentiable term, outside the advantage",
            ),
            Choice::new(
                Place::Reference,
                "Reference samples",
                "−log π on samples of the reference: ∇KL(π_ref‖π)",
            ),
            Choice::new(Place::Off, "Off", "No penalty: argmax R"),
        ],
    );
    if matches!(place, Place::Reward | Place::Loss) {
        combo(
            ui,
            "Estimator",
            "Per-sample estimators of KL(π‖π_ref), w = π_ref/π.",
            &mut estimator,
            &[
                Choice::new(KlEstimator::K1, "k1", "−log w"),
                Choice::new(KlEstimator::K2, "k2", "½ log² w"),
                Choice::new(KlEstimator::K3, "k3", "w − 1 − log w, GRPO's default"),
                Choice::new(
                    KlEstimator::K3Plus,
                    "k3+",
                    "k3's value with k2's gradient, as verl's straight-through form",
                ),
                Choice::new(
                    KlEstimator::RhoK3,
                    "ρ·k3",
                    "k3 times the differentiable ratio ρ = π/π_old",
                ),
            ],
        );
    }
    *kl = match place {
        Place::Matched => KlPenalty::Matched,
        Place::Reward => KlPenalty::InReward(estimator),
        Place::Loss => KlPenalty::Loss(estimator),
        Place::Reference => KlPenalty::ReferenceSamples,
        Place::Off => KlPenalty::Off,
    };
    if let Some(warning) = pulls_elsewhere(*kl) {
        note(ui, warning);
    }
}

/// What a user should know about where a penalty really pulls (docs/math.md section 4).
fn pulls_elsewhere(kl: KlPenalty) -> Option<&'static str> {
    match kl {
        KlPenalty::Matched => None,
        KlPenalty::InReward(KlEstimator::K1) => Some("Pulls towards the reverse target."),
        KlPenalty::InReward(_) => Some(
            "The value of the estimator as a reward: its gradient is not that of the divergence; see Estimators.",
        ),
        KlPenalty::Loss(KlEstimator::K1) => {
            Some("Expected gradient 0: no penalty at all, only noise.")
        }
        KlPenalty::Loss(KlEstimator::K2 | KlEstimator::K3Plus | KlEstimator::RhoK3) => {
            Some("Pulls towards the reverse target.")
        }
        KlPenalty::Loss(KlEstimator::K3) => {
            Some("∇KL(π_ref‖π) in expectation: pulls towards the forward target.")
        }
        KlPenalty::ReferenceSamples => Some("∇KL(π_ref‖π): pulls towards the forward target."),
        KlPenalty::Off => Some(
            "Nothing holds the policy near the reference: it goes to argmax R, or with an entropy bonus η to e^(R/η).",
        ),
    }
}

fn optimizer_ui(ui: &mut Ui, optimizer: &mut Optimizer, unused: bool) {
    #[derive(Clone, Copy, PartialEq)]
    enum Kind {
        Sgd,
        Momentum,
        Adam,
    }
    let mut kind = match optimizer {
        Optimizer::Sgd => Kind::Sgd,
        Optimizer::Momentum { .. } => Kind::Momentum,
        Optimizer::Adam { .. } => Kind::Adam,
    };
    let before = kind;
    combo(
        ui,
        "Optimiser",
        "What turns a gradient into a step.",
        &mut kind,
        &[
            Choice::new(Kind::Sgd, "Plain ascent", "θ ← θ + lr · g"),
            Choice::new(Kind::Momentum, "Momentum", "v ← μ v + g, θ ← θ + lr · v"),
            Choice::new(Kind::Adam, "Adam", "θ ← θ + lr · m̂ / (√v̂ + ε)"),
        ],
    );
    if kind != before {
        *optimizer = match kind {
            Kind::Sgd => Optimizer::Sgd,
            Kind::Momentum => Optimizer::Momentum { momentum: 0.9 },
            Kind::Adam => Optimizer::default(),
        };
    }
    let details = match optimizer {
        Optimizer::Sgd => "",
        Optimizer::Momentum { .. } => "Momentum",
        Optimizer::Adam { .. } => "Adam's decays",
    };
    if !details.is_empty() {
        egui::CollapsingHeader::new(details).show_unindented(ui, |ui| details_ui(ui, optimizer));
    }
    if unused {
        note(
            ui,
            "The natural gradient takes its step itself; the optimiser is not used.",
        );
    }
}

fn details_ui(ui: &mut Ui, optimizer: &mut Optimizer) {
    match optimizer {
        Optimizer::Sgd => {}
        Optimizer::Momentum { momentum } => {
            slider(
                ui,
                "Momentum μ",
                "Decay of the velocity, from 0 to below 1",
                momentum,
                0.0..=0.999,
            );
        }
        Optimizer::Adam {
            beta1,
            beta2,
            epsilon,
        } => {
            slider(
                ui,
                "Adam β₁",
                "Decay of the first moment, from 0 to below 1",
                beta1,
                0.0..=0.999,
            );
            slider(
                ui,
                "Adam β₂",
                "Decay of the second moment, from 0 to below 1",
                beta2,
                0.0..=0.9999,
            );
            log_slider(
                ui,
                "Adam ε",
                "Added to the denominator",
                epsilon,
                1e-12..=1.0,
            );
        }
    }
}
