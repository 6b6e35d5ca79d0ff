//! The learner.

use super::{Check, Learns, MAX_BATCH, Sign};
use crate::{
    experiment::training::{
        Features, MAX_ACTIVATIONS, Optimizer, PolicyFamily, Start, StopRule, Training, Update,
    },
    theory::Written,
};

impl Check {
    pub(super) fn training(&mut self, training: &Training, on: Learns) {
        match on.prompts {
            Some(prompts) => self.language_training(training, prompts),
            None => {
                self.policy(&training.policy, on);
                self.start(&training.start, on.arms);
                if training.update == Update::NaturalGradient
                    && training.policy != PolicyFamily::SoftmaxTable
                {
                    self.refuse(
                        "training.update",
                        format_args!("NaturalGradient beside policy: {}", training.policy.name()),
                        "it is beside SoftmaxTable; Exact, Sampled(…) and Dap(…) are beside every policy",
                    );
                }
            }
        }
        match training.update {
            Update::Sampled { batch, .. } | Update::Dap { batch } => {
                let least = training.update.least_batch();
                if batch == 1 && least > 1 {
                    self.refuse(
                        "training.update.batch",
                        batch,
                        format_args!(
                            "2 to {MAX_BATCH} are, as this advantage compares a sample with others of its batch"
                        ),
                    );
                } else {
                    self.whole("training.update.batch", batch, least, MAX_BATCH);
                }
            }
            Update::Exact | Update::NaturalGradient => {}
        }
        self.optimizer(&training.optimizer);
        self.number(
            "training.learning_rate",
            training.learning_rate,
            Sign::Positive,
        );
        self.stop(&training.stop);
    }

    fn start(&mut self, start: &Start, arms: Option<usize>) {
        let Start::Given(masses) = start else {
            return;
        };
        if let Some(arms) = arms
            && masses.len() != arms
        {
            self.refuse(
                "training.start",
                format_args!("a list of {} masses", masses.len()),
                format_args!("one mass for each of the {arms} arms is"),
            );
        }
        self.list("training.start", masses, Sign::NotNegative);
    }

    /// A language model is the policy, starts as it is and is trained by Adam.
    fn language_training(&mut self, training: &Training, prompts: usize) {
        if training.policy != PolicyFamily::SoftmaxTable {
            self.refuse(
                "training.policy",
                training.policy.name(),
                "the language model is the policy: leave it out",
            );
        }
        let start = match training.start {
            Start::Reference => None,
            Start::Uniform => Some("Uniform"),
            Start::Given(_) => Some("Given(…)"),
        };
        if let Some(start) = start {
            self.refuse(
                "training.start",
                start,
                "Reference is: a fine-tune starts at its model",
            );
        }
        let optimizer = match training.optimizer {
            Optimizer::Adam { .. } => None,
            Optimizer::Sgd => Some("Sgd"),
            Optimizer::Momentum { .. } => Some("Momentum(…)"),
        };
        if let Some(optimizer) = optimizer {
            self.refuse(
                "training.optimizer",
                optimizer,
                "Adam(…) is, which trains language models",
            );
        }
        match training.update {
            Update::NaturalGradient => self.refuse(
                "training.update",
                "NaturalGradient, which needs the softmax table of a bandit,",
                "Exact, Sampled(…) and Dap(…) are",
            ),
            Update::Sampled { batch, .. } | Update::Dap { batch }
                if batch < prompts && batch >= training.update.least_batch() =>
            {
                self.refuse(
                    "training.update.batch",
                    batch,
                    format_args!(
                        "{prompts} to {MAX_BATCH} are, one sample or more for each prompt"
                    ),
                );
            }
            Update::Exact | Update::Sampled { .. } | Update::Dap { .. } => {}
        }
    }

    fn policy(&mut self, policy: &PolicyFamily, on: Learns) {
        let before = self.mistakes.len();
        match policy {
            PolicyFamily::SoftmaxTable | PolicyFamily::Gaussian => {}
            PolicyFamily::GaussianMixture { components } => {
                self.whole("training.policy.components", *components, 1, 64);
            }
            PolicyFamily::LinearSoftmax { features } => self.features(features),
            PolicyFamily::Mlp { features, hidden } => {
                self.features(features);
                if !(1..=4).contains(&hidden.len()) {
                    self.refuse(
                        "training.policy.hidden",
                        format_args!("a list of {} layers", hidden.len()),
                        "1 to 4 hidden layers are",
                    );
                }
                for (layer, width) in hidden.iter().enumerate().take(4) {
                    self.whole(&format!("training.policy.hidden.{layer}"), *width, 1, 1024);
                }
            }
        }
        // Sizes that are mistakes by themselves are not held against the arms.
        let is_sound = self.mistakes.len() == before;
        if let (true, Some(arms), Some(width)) = (is_sound, on.arms, policy.width(on.axes))
            && arms.saturating_mul(width) > MAX_ACTIVATIONS
        {
            self.refuse(
                "training.policy",
                format_args!(
                    "{} of {width} features and units on {arms} arms",
                    policy.name()
                ),
                format_args!(
                    "at most {} are, as arms times features and units may be {MAX_ACTIVATIONS} at most",
                    MAX_ACTIVATIONS / arms.max(1)
                ),
            );
        }
    }

    fn features(&mut self, features: &Features) {
        let field = "training.policy.features";
        match *features {
            Features::Polynomial(degree) => self.whole(field, degree, 1, 16),
            Features::Fourier(frequency) => self.whole(field, frequency, 1, 64),
        }
    }

    fn optimizer(&mut self, optimizer: &Optimizer) {
        let mut decay = |name: &str, value: f64| {
            if !(0.0..1.0).contains(&value) {
                self.refuse(
                    format!("training.optimizer.{name}"),
                    Written(value),
                    "a number ≥ 0 and below 1 is",
                );
            }
        };
        match *optimizer {
            Optimizer::Sgd => {}
            Optimizer::Momentum { momentum } => decay("momentum", momentum),
            Optimizer::Adam {
                beta1,
                beta2,
                epsilon,
            } => {
                decay("beta1", beta1);
                decay("beta2", beta2);
                self.number("training.optimizer.epsilon", epsilon, Sign::Positive);
            }
        }
    }

    pub(super) fn stop(&mut self, stop: &StopRule) {
        if stop.steps == Some(0) {
            self.refuse("training.stop.steps", 0, "a whole number from 1 is");
        }
        if let Some(converged) = stop.converged {
            self.between("training.stop.converged", converged, 0.0, 1.0);
        }
        if let Some(seconds) = stop.seconds {
            self.number("training.stop.seconds", seconds, Sign::Positive);
        }
    }
}
