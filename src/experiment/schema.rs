//! The shape of a preset file as data: which fields and variants there are and what they take.
//!
//! It is the one list behind telling every structural mistake of a text, `--set` paths and what both say is accepted. A
//! test holds it against what serde reads and writes.

use super::validate::{MAX_ARMS, MAX_BATCH};
use crate::theory::{Metric, coverage::MOST_DRAWS};

/// What a value looks like.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    /// A floating-point number.
    Number,
    /// A number above zero that the type itself insists on.
    Beta,
    /// A whole number ≥ 0 up to this.
    Whole(u64),
    /// A whole number whose range is checked with the meaning of the preset; here it is only told.
    Count {
        /// The least one.
        least: u64,
        /// The most.
        most: u64,
    },
    /// A text in quotes.
    Text,
    /// `true` or `false`.
    Flag,
    /// The value, `Some(value)` or `None`.
    Maybe(&'static Shape),
    /// `[…]`.
    List(&'static Shape),
    /// `(…, …)`.
    Tuple(&'static [Shape]),
    /// `(field: …)`.
    Struct(&'static [Field]),
    /// One of some names, each with what it takes.
    Enum(&'static [Variant]),
    /// The name of a metric.
    Metric,
}

/// A field of a struct.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    pub(super) required: bool,
}

/// A variant of an enum.
#[derive(Debug, Clone, Copy)]
pub(super) struct Variant {
    pub(super) name: &'static str,
    pub(super) content: Content,
}

/// What a variant takes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Content {
    /// Nothing: `Exact`.
    Nothing,
    /// Values: `Constant(0.8)`.
    Values(&'static [Shape]),
    /// Fields: `Zipf(exponent: 1.0)`.
    Fields(&'static [Field]),
}

impl Shape {
    /// What it is called in messages.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Number => "a number".to_owned(),
            Self::Beta => "a finite number above 0".to_owned(),
            Self::Whole(limit) => format!("a whole number from 0 to {limit}"),
            Self::Count { least, most } => format!("a whole number from {least} to {most}"),
            Self::Text => "a text in quotes".to_owned(),
            Self::Flag => "true or false".to_owned(),
            Self::Maybe(inner) => format!("{} or None", inner.describe()),
            Self::List(inner) => format!("a list such as [{}]", inner.example()),
            Self::Tuple(_) => format!("a pair such as {}", self.example()),
            Self::Struct(fields) => match fields.first() {
                // Where nothing is needed, an example of what may be there.
                Some(first) if required(fields).is_empty() => {
                    format!(
                        "a struct such as ({}: {})",
                        first.name,
                        first.shape.example()
                    )
                }
                Some(_) | None => format!("a struct such as {}", self.example()),
            },
            Self::Enum(variants) => {
                let names: Vec<String> = variants.iter().map(Variant::outline).collect();
                format!("one of {}", names.join(", "))
            }
            Self::Metric => {
                let names: Vec<String> = metric_names().collect();
                format!("one of {}", names.join(", "))
            }
        }
    }

    /// The shortest value of this shape that is read.
    pub(super) fn example(&self) -> String {
        match self {
            Self::Number | Self::Beta => "1.0".to_owned(),
            Self::Whole(_) | Self::Count { .. } => "1".to_owned(),
            Self::Text => "\"…\"".to_owned(),
            Self::Flag => "true".to_owned(),
            Self::Maybe(_) => "None".to_owned(),
            Self::List(inner) => format!("[{}]", inner.example()),
            Self::Tuple(shapes) => format!("({})", values(shapes)),
            Self::Struct(fields) => format!("({})", required(fields)),
            Self::Enum(variants) => variants.first().map(Variant::example).unwrap_or_default(),
            Self::Metric => metric_names().next().unwrap_or_default(),
        }
    }
}

impl Variant {
    /// The shortest value of this variant that is read.
    pub(super) fn example(&self) -> String {
        match self.content {
            Content::Nothing => self.name.to_owned(),
            Content::Values(shapes) => format!("{}({})", self.name, values(shapes)),
            Content::Fields(fields) => format!("{}({})", self.name, required(fields)),
        }
    }

    /// Its name, with `(…)` if it takes anything.
    fn outline(&self) -> String {
        match self.content {
            Content::Nothing => self.name.to_owned(),
            Content::Values(_) | Content::Fields(_) => format!("{}(…)", self.name),
        }
    }
}

fn values(shapes: &[Shape]) -> String {
    let examples: Vec<String> = shapes.iter().map(Shape::example).collect();
    examples.join(", ")
}

fn required(fields: &[Field]) -> String {
    let fields: Vec<String> = fields
        .iter()
        .filter(|field| field.required)
        .map(|field| format!("{}: {}", field.name, field.shape.example()))
        .collect();
    fields.join(", ")
}

/// Names of the metrics as presets write them.
pub(super) fn metric_names() -> impl Iterator<Item = String> {
    Metric::ALL.iter().map(|metric| format!("{metric:?}"))
}

const fn need(name: &'static str, shape: Shape) -> Field {
    Field {
        name,
        shape,
        required: true,
    }
}

const fn may(name: &'static str, shape: Shape) -> Field {
    Field {
        name,
        shape,
        required: false,
    }
}

const fn bare(name: &'static str) -> Variant {
    Variant {
        name,
        content: Content::Nothing,
    }
}

const fn takes(name: &'static str, shapes: &'static [Shape]) -> Variant {
    Variant {
        name,
        content: Content::Values(shapes),
    }
}

const fn with(name: &'static str, fields: &'static [Field]) -> Variant {
    Variant {
        name,
        content: Content::Fields(fields),
    }
}

const fn count(most: u64) -> Shape {
    Shape::Count { least: 1, most }
}

const SEED: Shape = Shape::Whole(u64::MAX);
const STEPS: Shape = count(u64::MAX);
const ARMS_COUNT: Shape = count(MAX_ARMS as u64);
const BATCH: Shape = count(MAX_BATCH as u64);
const WIDTH: Shape = count(1024);
/// The index of an arm, whose range depends on the number of arms.
const ARM_AT: Shape = Shape::Count {
    least: 0,
    most: MAX_ARMS as u64 - 1,
};
const ARM: Shape = Shape::Whole(MAX_ARMS as u64);
const PAIR: Shape = Shape::Tuple(&[Shape::Number, Shape::Number]);
const ARM_VALUE: Shape = Shape::Tuple(&[ARM, Shape::Number]);
const ARM_RANGE: Shape = Shape::Tuple(&[ARM, ARM]);

/// A whole preset.
pub(super) const PRESET: Shape = Shape::Struct(&[
    need("format", Shape::Whole(u32::MAX as u64)),
    need("title", Shape::Text),
    may("summary", Shape::Text),
    may("look_for", Shape::Text),
    may("bandit", BANDIT),
    may("language", Shape::Maybe(&LANGUAGE)),
    need("objective", OBJECTIVE),
    may("training", TRAINING),
    may(
        "coverage",
        Shape::Struct(&[
            may("epsilon", Shape::Number),
            may("draws", count(MOST_DRAWS)),
        ]),
    ),
    may("expectations", Shape::List(&EXPECTATION)),
]);

const BANDIT: Shape = Shape::Struct(&[
    need("arms", ARMS),
    need("reference", SOURCE),
    need("rewards", SOURCE),
    may("modes", MODES),
    may("reward_edits", Shape::List(&ARM_VALUE)),
    may("reference_edits", Shape::List(&ARM_VALUE)),
]);

const LANGUAGE: Shape = Shape::Struct(&[
    need("model", Shape::Text),
    need(
        "prompts",
        Shape::List(&Shape::Struct(&[
            need("prompt", Shape::Text),
            may("raw", Shape::Flag),
            may("prefill", Shape::Text),
            need(
                "answers",
                Shape::List(&Shape::Struct(&[
                    need("text", Shape::Text),
                    may("reward", Shape::Number),
                    may("label", Shape::Maybe(&Shape::Text)),
                ])),
            ),
        ])),
    ),
    may(
        "matching",
        Shape::Enum(&[
            bare("Exact"),
            bare("FirstToken"),
            takes("Regex", &[Shape::Text]),
            with(
                "Tagged",
                &[need("open", Shape::Text), need("close", Shape::Text)],
            ),
        ]),
    ),
    may("failure_reward", Shape::Number),
    may(
        "program",
        Shape::Maybe(&Shape::Struct(&[
            need("command", Shape::List(&Shape::Text)),
            may("folder", Shape::Maybe(&Shape::Text)),
            may("timeout_secs", Shape::Number),
        ])),
    ),
    may("max_new_tokens", count(4096)),
    may("temperature", Shape::Number),
    may("top_p", Shape::Number),
    may("tune", TUNE),
    may("weight_decay", Shape::Number),
    may("clip", Shape::Maybe(&Shape::Number)),
    may("warm_up", SEED),
    may(
        "checkpoints",
        Shape::Struct(&[
            may("every", Shape::Maybe(&STEPS)),
            may("keep", count(1000)),
            may("best", Shape::Flag),
        ]),
    ),
]);

const TUNE: Shape = Shape::Enum(&[
    bare("Full"),
    with(
        "Lora",
        &[
            need("rank", count(256)),
            need("alpha", Shape::Number),
            need(
                "modules",
                Shape::List(&Shape::Enum(&[
                    bare("Q"),
                    bare("K"),
                    bare("V"),
                    bare("O"),
                    bare("Gate"),
                    bare("Up"),
                    bare("Down"),
                ])),
            ),
        ],
    ),
]);

const ARMS: Shape = Shape::Enum(&[
    with(
        "Line",
        &[need("count", ARMS_COUNT), may("range", Shape::Maybe(&PAIR))],
    ),
    with(
        "Grid",
        &[
            need("rows", ARMS_COUNT),
            need("columns", ARMS_COUNT),
            may("x_range", Shape::Maybe(&PAIR)),
            may("y_range", Shape::Maybe(&PAIR)),
        ],
    ),
    takes("Named", &[Shape::List(&Shape::Text)]),
]);

const SOURCE: Shape = Shape::Enum(&[
    takes("Constant", &[Shape::Number]),
    takes("List", &[Shape::List(&Shape::Number)]),
    takes("Weights", &[Shape::List(&Shape::Number)]),
    with(
        "Csv",
        &[
            need("path", Shape::Text),
            may("column", Shape::Maybe(&Shape::Text)),
        ],
    ),
    with(
        "Bumps",
        &[
            need(
                "bumps",
                Shape::List(&Shape::Struct(&[
                    need("x", Shape::Number),
                    may("y", Shape::Number),
                    need("width", Shape::Number),
                    need("height", Shape::Number),
                ])),
            ),
            may("floor", Shape::Number),
        ],
    ),
    with(
        "Blocks",
        &[
            need(
                "blocks",
                Shape::List(&Shape::Struct(&[
                    need("from", ARM),
                    need("to", ARM),
                    need("value", Shape::Number),
                ])),
            ),
            may("otherwise", Shape::Number),
        ],
    ),
    with("PowerLaw", &[need("exponent", Shape::Number)]),
    with("Zipf", &[need("exponent", Shape::Number)]),
    with("Random", &[need("seed", SEED), need("noise", NOISE)]),
    takes("Formula", &[Shape::Text]),
]);

const NOISE: Shape = Shape::Enum(&[
    with(
        "Uniform",
        &[need("low", Shape::Number), need("high", Shape::Number)],
    ),
    with(
        "Normal",
        &[need("mean", Shape::Number), need("std", Shape::Number)],
    ),
    with(
        "LogNormal",
        &[need("mean", Shape::Number), need("std", Shape::Number)],
    ),
]);

const MODES: Shape = Shape::Enum(&[
    with(
        "Detected",
        &[may("threshold", Shape::Maybe(&Shape::Number))],
    ),
    takes(
        "Labelled",
        &[Shape::List(&Shape::Struct(&[
            need("label", Shape::Text),
            need("ranges", Shape::List(&ARM_RANGE)),
        ]))],
    ),
    with("EachArm", &[need("threshold", Shape::Number)]),
]);

const OBJECTIVE: Shape = Shape::Struct(&[
    need("direction", DIRECTION),
    need("beta", Shape::Beta),
    may("reward_scale", Shape::Number),
    may("reward_offset", Shape::Number),
    may("entropy", Shape::Number),
    may("mara", Shape::Maybe(&MARA)),
]);

const DIRECTION: Shape = Shape::Enum(&[
    bare("Reverse"),
    bare("Forward"),
    takes("Alpha", &[Shape::Number]),
]);

const MARA: Shape = Shape::Struct(&[
    need(
        "threshold",
        Shape::Enum(&[
            takes("Constant", &[Shape::Number]),
            takes("Percentile", &[Shape::Number]),
        ]),
    ),
    may(
        "algorithm",
        Shape::Maybe(&Shape::Enum(&[
            bare("AugmentReward"),
            bare("SwapRewardAndReference"),
        ])),
    ),
    may(
        "anchor",
        Shape::Enum(&[bare("Batch"), bare("RunningMaximum"), bare("Exact")]),
    ),
    may("per_class", Shape::Flag),
]);

const TRAINING: Shape = Shape::Struct(&[
    may("policy", POLICY),
    may(
        "start",
        Shape::Enum(&[
            bare("Reference"),
            bare("Uniform"),
            takes("Given", &[Shape::List(&Shape::Number)]),
        ]),
    ),
    may("update", UPDATE),
    may("optimizer", OPTIMIZER),
    may("learning_rate", Shape::Number),
    may(
        "stop",
        Shape::Struct(&[
            may("steps", Shape::Maybe(&STEPS)),
            may("converged", Shape::Maybe(&Shape::Number)),
            may("seconds", Shape::Maybe(&Shape::Number)),
        ]),
    ),
    may("seed", SEED),
]);

const FEATURES: Shape = Shape::Enum(&[
    takes("Polynomial", &[count(16)]),
    takes("Fourier", &[count(64)]),
]);

const POLICY: Shape = Shape::Enum(&[
    bare("SoftmaxTable"),
    bare("Gaussian"),
    with("GaussianMixture", &[need("components", count(64))]),
    with("LinearSoftmax", &[need("features", FEATURES)]),
    with(
        "Mlp",
        &[
            need("features", FEATURES),
            need("hidden", Shape::List(&WIDTH)),
        ],
    ),
]);

const ESTIMATOR: Shape = Shape::Enum(&[
    bare("K1"),
    bare("K2"),
    bare("K3"),
    bare("K3Plus"),
    bare("RhoK3"),
]);

const UPDATE: Shape = Shape::Enum(&[
    bare("Exact"),
    bare("NaturalGradient"),
    with(
        "Sampled",
        &[
            need("batch", BATCH),
            need(
                "advantage",
                Shape::Enum(&[
                    bare("None"),
                    bare("MeanBaseline"),
                    bare("LeaveOneOut"),
                    bare("GroupNormalised"),
                ]),
            ),
            need(
                "kl",
                Shape::Enum(&[
                    bare("Matched"),
                    takes("InReward", &[ESTIMATOR]),
                    takes("Loss", &[ESTIMATOR]),
                    bare("ReferenceSamples"),
                    bare("Off"),
                ]),
            ),
        ],
    ),
    with("Dap", &[need("batch", BATCH)]),
]);

const OPTIMIZER: Shape = Shape::Enum(&[
    bare("Sgd"),
    with("Momentum", &[need("momentum", Shape::Number)]),
    with(
        "Adam",
        &[
            need("beta1", Shape::Number),
            need("beta2", Shape::Number),
            need("epsilon", Shape::Number),
        ],
    ),
]);

const EXPECTATION: Shape = Shape::Struct(&[
    need("says", Shape::Text),
    may("given", Shape::List(&Shape::Text)),
    need(
        "quantity",
        Shape::Enum(&[
            takes("TargetMass", &[ARM_AT]),
            bare("TargetPeak"),
            takes("Target", &[Shape::Metric]),
            takes("TieBeta", &[ARM_AT, ARM_AT]),
            takes("PolicyMass", &[ARM_AT]),
            bare("PolicyPeak"),
            takes("Policy", &[Shape::Metric]),
        ]),
    ),
    need("between", PAIR),
]);

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests may panic")]
    use std::collections::BTreeSet;

    use super::*;
    use crate::experiment::{preset::Preset, read::options, structure, tree::Tree};

    /// Writes complete presets, every field given, variants drawn by a simple generator.
    struct Writer {
        state: u64,
        /// Enums still to write before one gets a variant that does not exist.
        poison_in: Option<usize>,
        poisoned: Option<&'static [Variant]>,
    }

    impl Writer {
        fn draw(&mut self, below: usize) -> usize {
            self.state = self
                .state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (self.state >> 33) as usize % below
        }

        fn value(&mut self, shape: &Shape) -> String {
            match shape {
                Shape::Maybe(inner) if self.draw(3) > 0 => self.value(inner),
                Shape::List(inner) => {
                    let items: Vec<String> = (0..2).map(|_| self.value(inner)).collect();
                    format!("[{}]", items.join(", "))
                }
                Shape::Tuple(shapes) => format!("({})", self.values(shapes)),
                Shape::Struct(fields) => format!("({})", self.fields(fields)),
                Shape::Enum(variants) => self.variant(variants),
                Shape::Metric => {
                    let at = self.draw(Metric::ALL.len());
                    metric_names().nth(at).unwrap()
                }
                Shape::Number
                | Shape::Beta
                | Shape::Whole(_)
                | Shape::Count { .. }
                | Shape::Text
                | Shape::Flag
                | Shape::Maybe(_) => shape.example(),
            }
        }

        fn values(&mut self, shapes: &[Shape]) -> String {
            let values: Vec<String> = shapes.iter().map(|shape| self.value(shape)).collect();
            values.join(", ")
        }

        fn fields(&mut self, fields: &[Field]) -> String {
            let fields: Vec<String> = fields
                .iter()
                .map(|field| format!("{}: {}", field.name, self.value(&field.shape)))
                .collect();
            fields.join(", ")
        }

        fn variant(&mut self, variants: &'static [Variant]) -> String {
            if let Some(left) = &mut self.poison_in {
                if *left == 0 && self.poisoned.is_none() {
                    self.poisoned = Some(variants);
                    return "Zzz".to_owned();
                }
                *left = left.saturating_sub(1);
            }
            let variant = &variants[self.draw(variants.len())];
            match variant.content {
                Content::Nothing => variant.name.to_owned(),
                Content::Values(shapes) => format!("{}({})", variant.name, self.values(shapes)),
                Content::Fields(fields) => format!("{}({})", variant.name, self.fields(fields)),
            }
        }
    }

    #[test]
    fn what_the_schema_accepts_is_decoded_and_what_is_encoded_the_schema_accepts() {
        for seed in 0..2_000 {
            let mut writer = Writer {
                state: seed,
                poison_in: None,
                poisoned: None,
            };
            let text = writer.value(&PRESET);
            let preset: Preset = options()
                .from_str(&text)
                .unwrap_or_else(|error| panic!("{error}\n{text}"));
            let written = options().to_string(&preset).unwrap();
            let tree = Tree::parse(&written).unwrap();
            let findings = structure::check(&tree, &PRESET);
            assert!(
                findings.mistakes.is_empty(),
                "{:#?}\n{written}",
                findings.mistakes
            );
        }
    }

    #[test]
    fn the_schema_knows_every_variant() {
        let mut seen = BTreeSet::new();
        for seed in 0..300 {
            for poison in 0..32 {
                let mut writer = Writer {
                    state: seed,
                    poison_in: Some(poison),
                    poisoned: None,
                };
                let text = writer.value(&PRESET);
                let Some(variants) = writer.poisoned else {
                    continue;
                };
                let error = options().from_str::<Preset>(&text).unwrap_err();
                let ron::Error::NoSuchEnumVariant { expected, .. } = error.code else {
                    panic!("{error}\n{text}");
                };
                let names: Vec<&str> = variants.iter().map(|variant| variant.name).collect();
                assert_eq!(names, expected, "{text}");
                seen.insert(names);
            }
        }
        // Arms, source, noise, modes, direction, threshold, algorithm, anchor, policy, features, start, update,
        // advantage, penalty, estimator, optimiser, quantity; matching, tune, module.
        assert_eq!(seen.len(), 20, "{seen:#?}");
    }
}
