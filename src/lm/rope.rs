//! Rotary positions: how far each pair of a head's coordinates turns per token, and how `config.json` scales that for longer
//! contexts.
//!
//! The formulas are those of `modeling_rope_utils.py` in Hugging Face transformers. Both forwards take cos and sin from
//! [`Rotary`], so that a scaling is understood in one place.

use std::{f64::consts::PI, ops::Range, path::Path};

use serde_json::{Value, json};

use super::{
    config::{Fields, ModelConfig, unsupported},
    error::LmError,
};

/// How rotary frequencies depart from `theta^(−2i/d)`.
#[derive(Debug, Clone, PartialEq)]
pub enum RopeScaling {
    /// They do not.
    None,
    /// Positions divided by a factor.
    Linear {
        /// The factor, > 0.
        factor: f64,
    },
    /// A base that grows with sequences beyond `max_position_embeddings`. Such sequences are refused, and up to there the
    /// frequencies are the plain ones: the factor is kept for the model that is written.
    Dynamic {
        /// The factor, > 0.
        factor: f64,
    },
    /// `YaRN`: slow frequencies divided by a factor, a linear passage to fast ones, sharper attention.
    Yarn(Yarn),
    /// Llama 3: low frequencies divided by a factor, a smooth passage between two wavelengths.
    Llama3 {
        /// The factor, > 0.
        factor: f64,
        /// Wavelengths above `original_context / low_freq_factor` are scaled fully.
        low_freq_factor: f64,
        /// Wavelengths below `original_context / high_freq_factor` are not scaled.
        high_freq_factor: f64,
        /// Context the base model was trained on, tokens.
        original_context: f64,
    },
    /// A divisor per frequency, as GGUF's `rope_freqs.weight` stores it.
    Divisors(Vec<f32>),
}

/// The settings of `YaRN` scaling, named as in `config.json`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Yarn {
    /// What slow frequencies are divided by, > 0.
    pub factor: f64,
    /// Context the base model was trained on, tokens.
    pub original_context: usize,
    /// Frequencies that turn more often than this within `original_context` are not scaled.
    pub beta_fast: f64,
    /// Frequencies that turn less often than this within `original_context` are scaled fully; at most `beta_fast`.
    pub beta_slow: f64,
    /// What cos and sin are multiplied with, > 0; derived from the factor where none is given.
    pub attention_factor: Option<f64>,
    /// Weight of ln `factor` in the derived attention factor, > 0; of use only together with `mscale_all_dim`.
    pub mscale: Option<f64>,
    /// The same in what the derived attention factor is divided by.
    pub mscale_all_dim: Option<f64>,
    /// Whether the passage between slow and fast begins and ends at whole frequencies.
    pub truncate: bool,
}

/// Scalings that `config.json` may name.
const ACCEPTED: &str = "default, linear, dynamic, yarn or llama3";
const ABOVE_ZERO: &str = "a finite number above 0";

impl Yarn {
    /// The settings that transformers takes where a file gives these two only.
    #[must_use]
    pub fn new(factor: f64, original_context: usize) -> Self {
        Self {
            factor,
            original_context,
            beta_fast: 32.0,
            beta_slow: 1.0,
            attention_factor: None,
            mscale: None,
            mscale_all_dim: None,
            truncate: true,
        }
    }

    /// What cos and sin are multiplied with, given or derived.
    #[must_use]
    pub fn attention_factor(&self) -> f64 {
        // 1 + 0.1 m ln s, from the YaRN paper's fit for m = 1.
        let of = |weight: f64| {
            if self.factor <= 1.0 {
                1.0
            } else {
                0.1 * weight * self.factor.ln() + 1.0
            }
        };
        match (self.attention_factor, self.mscale, self.mscale_all_dim) {
            (Some(given), _, _) => given,
            (None, Some(mscale), Some(all)) => of(mscale) / of(all),
            (None, ..) => of(1.0),
        }
    }

    /// Scaled frequencies from the plain ones of a head of `dim` coordinates.
    fn scaled(&self, plain: &[f64], dim: usize, theta: f64) -> Vec<f64> {
        let dim = dim as f64;
        // The index, not yet whole, of the frequency that makes so many turns within the original context.
        let index = |turns: f64| {
            dim * (self.original_context as f64 / (turns * 2.0 * PI)).ln() / (2.0 * theta.ln())
        };
        let (mut low, mut high) = (index(self.beta_fast), index(self.beta_slow));
        if self.truncate {
            (low, high) = (low.floor(), high.ceil());
        }
        (low, high) = (low.max(0.0), high.min(dim - 1.0));
        if low == high {
            high += 0.001;
        }
        (plain.iter().enumerate())
            .map(|(i, plain)| {
                let slow = ((i as f64 - low) / (high - low)).clamp(0.0, 1.0);
                plain / self.factor * slow + plain * (1.0 - slow)
            })
            .collect()
    }

    fn check(&self, theta: f64) -> Result<(), LmError> {
        for (field, value) in [
            ("factor", Some(self.factor)),
            ("beta_fast", Some(self.beta_fast)),
            ("beta_slow", Some(self.beta_slow)),
            ("attention_factor", self.attention_factor),
            ("mscale", self.mscale),
            ("mscale_all_dim", self.mscale_all_dim),
        ] {
            if let Some(value) = value {
                above_zero(field, value)?;
            }
        }
        if self.original_context == 0 {
            let field = "original_max_position_embeddings";
            return Err(unsupported(field, "0", "a whole number above 0"));
        }
        if self.beta_fast < self.beta_slow {
            return Err(unsupported(
                "beta_fast",
                &self.beta_fast.to_string(),
                &format!("at least beta_slow = {}", self.beta_slow),
            ));
        }
        if theta <= 1.0 {
            let accepted = "a number above 1 with yarn";
            return Err(unsupported("rope_theta", &theta.to_string(), accepted));
        }
        Ok(())
    }
}

impl RopeScaling {
    /// Reads what a `config.json` says: `rope` is its `rope_scaling` or `rope_parameters`, `context` its
    /// `max_position_embeddings`.
    ///
    /// # Errors
    /// Names the field that is missing, malformed or unsupported.
    pub(super) fn from_json(
        path: &Path,
        root: &Value,
        rope: &Value,
        context: usize,
    ) -> Result<Self, LmError> {
        let fields = Fields { path, root: rope };
        let kind = rope
            .get("rope_type")
            .or_else(|| rope.get("type"))
            .and_then(Value::as_str)
            .unwrap_or("default");
        match kind {
            "default" => Ok(Self::None),
            "linear" => Ok(Self::Linear {
                factor: fields.positive("factor")?,
            }),
            "dynamic" => Ok(Self::Dynamic {
                factor: fields.positive("factor")?,
            }),
            "yarn" => {
                let original = "original_max_position_embeddings";
                // transformers gives the one beside the scaling priority over the one in it.
                let original_context = Fields { path, root }
                    .count_or(original, fields.count_or(original, context)?)?;
                let ratio = context as f64 / original_context as f64;
                let plain = Yarn::new(fields.number_or("factor", ratio)?, original_context);
                Ok(Self::Yarn(Yarn {
                    beta_fast: fields.above_zero("beta_fast")?.unwrap_or(plain.beta_fast),
                    beta_slow: fields.above_zero("beta_slow")?.unwrap_or(plain.beta_slow),
                    attention_factor: match rope.get("attention_factor") {
                        None | Some(Value::Null) => None,
                        Some(_) => Some(fields.positive("attention_factor")?),
                    },
                    mscale: fields.above_zero("mscale")?,
                    mscale_all_dim: fields.above_zero("mscale_all_dim")?,
                    truncate: fields.flag_or("truncate", plain.truncate)?,
                    ..plain
                }))
            }
            "llama3" => Ok(Self::Llama3 {
                factor: fields.positive("factor")?,
                low_freq_factor: fields.positive("low_freq_factor")?,
                high_freq_factor: fields.positive("high_freq_factor")?,
                original_context: fields.positive("original_max_position_embeddings")?,
            }),
            other => Err(unsupported("rope_type", other, ACCEPTED)),
        }
    }

    /// As `rope_scaling` of a `config.json`; none for a list of divisors, which that has no words for.
    pub(super) fn to_json(&self) -> Option<Value> {
        Some(match self {
            Self::None => Value::Null,
            Self::Linear { factor } => json!({"rope_type": "linear", "factor": factor}),
            Self::Dynamic { factor } => json!({"rope_type": "dynamic", "factor": factor}),
            Self::Yarn(yarn) => {
                let mut value = json!({
                    "rope_type": "yarn", "factor": yarn.factor,
                    "original_max_position_embeddings": yarn.original_context,
                    "beta_fast": yarn.beta_fast, "beta_slow": yarn.beta_slow, "truncate": yarn.truncate,
                });
                for (field, number) in [
                    ("attention_factor", yarn.attention_factor),
                    ("mscale", yarn.mscale),
                    ("mscale_all_dim", yarn.mscale_all_dim),
                ] {
                    if let Some(number) = number {
                        value[field] = json!(number);
                    }
                }
                value
            }
            Self::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_context,
            } => json!({
                "rope_type": "llama3", "factor": factor, "low_freq_factor": low_freq_factor,
                "high_freq_factor": high_freq_factor,
                "original_max_position_embeddings": *original_context as u64,
            }),
            Self::Divisors(_) => return None,
        })
    }

    /// Refuses settings that have no frequencies.
    ///
    /// # Errors
    /// Names the field and its value.
    pub(super) fn check(&self, theta: f64) -> Result<(), LmError> {
        match self {
            Self::None | Self::Divisors(_) => Ok(()),
            Self::Linear { factor } | Self::Dynamic { factor } => above_zero("factor", *factor),
            Self::Yarn(yarn) => yarn.check(theta),
            &Self::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_context,
            } => {
                for (field, value) in [
                    ("factor", factor),
                    ("low_freq_factor", low_freq_factor),
                    ("high_freq_factor", high_freq_factor),
                    ("original_max_position_embeddings", original_context),
                ] {
                    above_zero(field, value)?;
                }
                if high_freq_factor <= low_freq_factor {
                    return Err(unsupported(
                        "high_freq_factor",
                        &high_freq_factor.to_string(),
                        &format!("a number above low_freq_factor = {low_freq_factor}"),
                    ));
                }
                Ok(())
            }
        }
    }
}

fn above_zero(field: &str, value: f64) -> Result<(), LmError> {
    if value.is_finite() && value > 0.0 {
        Ok(())
    } else {
        Err(unsupported(field, &value.to_string(), ABOVE_ZERO))
    }
}

impl ModelConfig {
    /// Inverse rotary frequencies, one per pair of head coordinates, scaling included (radians per token).
    #[must_use]
    pub fn rope_frequencies(&self) -> Vec<f64> {
        let exponent = |i: usize| -(2.0 * i as f64) / self.head_dim as f64;
        let mut plain = (0..self.head_dim / 2).map(|i| self.rope_theta.powf(exponent(i)));
        match &self.rope_scaling {
            RopeScaling::None | RopeScaling::Dynamic { .. } => plain.collect(),
            RopeScaling::Linear { factor } => plain.map(|plain| plain / factor).collect(),
            RopeScaling::Yarn(yarn) => {
                let plain: Vec<f64> = plain.collect();
                yarn.scaled(&plain, self.head_dim, self.rope_theta)
            }
            RopeScaling::Divisors(divisors) => {
                let mut divisors = divisors.iter().copied().map(f64::from);
                std::iter::from_fn(|| Some(plain.next()? / divisors.next().unwrap_or(1.0)))
                    .collect()
            }
            &RopeScaling::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_context,
            } => plain
                .map(|plain| {
                    let wavelength = 2.0 * PI / plain;
                    let turns = original_context / wavelength;
                    let share = ((turns - low_freq_factor) / (high_freq_factor - low_freq_factor))
                        .clamp(0.0, 1.0);
                    (1.0 - share) * plain / factor + share * plain
                })
                .collect(),
        }
    }

    /// What cos and sin of the rotary positions are multiplied with: 1 but for `YaRN`.
    #[must_use]
    pub fn rope_attention_factor(&self) -> f64 {
        match &self.rope_scaling {
            RopeScaling::Yarn(yarn) => yarn.attention_factor(),
            RopeScaling::None
            | RopeScaling::Linear { .. }
            | RopeScaling::Dynamic { .. }
            | RopeScaling::Llama3 { .. }
            | RopeScaling::Divisors(_) => 1.0,
        }
    }
}

/// Where cos and sin of positions come from.
#[derive(Debug, Clone)]
pub(super) struct Rotary {
    frequencies: Vec<f64>,
    attention_factor: f64,
}

impl Rotary {
    pub(super) fn new(config: &ModelConfig) -> Self {
        Self {
            frequencies: config.rope_frequencies(),
            attention_factor: config.rope_attention_factor(),
        }
    }

    /// Appends cos and sin of these positions, [positions, head_dim / 2], the attention factor in both.
    pub(super) fn extend(&self, positions: Range<usize>, cos: &mut Vec<f32>, sin: &mut Vec<f32>) {
        for position in positions {
            for frequency in &self.frequencies {
                let angle = position as f64 * frequency;
                cos.push((self.attention_factor * angle.cos()) as f32);
                sin.push((self.attention_factor * angle.sin()) as f32);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    const LLAMA: &str = r#"{"model_type":"llama","vocab_size":64,"hidden_size":32,"intermediate_size":48,
        "num_hidden_layers":2,"num_attention_heads":4,"head_dim":64,"max_position_embeddings":4096,"hidden_act":"silu",
        "rope_theta":10000.0}"#;

    fn parse(text: &str) -> Result<ModelConfig, LmError> {
        ModelConfig::from_json(Path::new("config.json"), text)
    }

    fn with(rope: &str) -> Result<ModelConfig, LmError> {
        parse(&LLAMA.replace(
            "\"rope_theta\":10000.0",
            &format!("\"rope_theta\":10000.0,\"rope_scaling\":{{{rope}}}"),
        ))
    }

    /// `tests/vectors/rope.json` says where its numbers come from.
    #[test]
    fn frequencies_and_attention_factors_are_those_of_transformers() {
        let vectors: Value =
            serde_json::from_str(include_str!("../../tests/vectors/rope.json")).unwrap();
        let cases = vectors["cases"].as_array().unwrap();
        assert_eq!(cases.len(), 19, "the vectors are complete");
        for case in cases {
            let name = &case["name"];
            let config = parse(&case["config"].to_string()).unwrap();
            let ours = config.rope_frequencies();
            let theirs = case["inv_freq"].as_array().unwrap();
            assert_eq!(ours.len(), theirs.len(), "{name}");
            for (i, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
                let theirs = theirs.as_f64().unwrap();
                // Single precision there: a power of a base up to a million is good to some 10⁻⁶.
                assert!(
                    (ours - theirs).abs() <= 3e-6 * theirs,
                    "{name}: {i}: {ours} against {theirs}"
                );
            }
            let theirs = case["attention_factor"].as_f64().unwrap();
            let ours = config.rope_attention_factor();
            assert!((ours - theirs).abs() <= 1e-12, "{name}: {ours}, {theirs}");
            // The model that is written has the same positions.
            let text = crate::lm::export::config_json(&config, None, None).unwrap();
            let read = parse(&text.to_string()).unwrap();
            assert_eq!(read.rope_scaling, config.rope_scaling, "{name}");
        }
    }

    #[test]
    fn a_scaling_that_has_no_frequencies_is_refused_with_field_value_and_what_is_accepted() {
        const YARN: &str = "\"rope_type\":\"yarn\",\"factor\":4.0";
        for (rope, words) in [
            ("\"rope_type\":\"longrope\"", "rope_type = longrope"),
            (
                "\"type\":\"longrope\"",
                "default, linear, dynamic, yarn or llama3",
            ),
            ("\"type\":\"linear\"", "factor is missing"),
            ("\"type\":\"dynamic\",\"factor\":0", "factor = 0 is not"),
            ("\"type\":\"dynamic\",\"factor\":\"4\"", "a number above 0"),
            ("\"type\":\"yarn\",\"factor\":-4.0", "factor = -4.0 is not"),
            (
                &format!("{YARN},\"attention_factor\":0.0"),
                "attention_factor = 0.0",
            ),
            (&format!("{YARN},\"beta_fast\":true"), "beta_fast = true"),
            (
                &format!("{YARN},\"beta_fast\":2.0,\"beta_slow\":3.0"),
                "beta_fast = 2 is not supported",
            ),
            (
                &format!("{YARN},\"beta_fast\":2.0,\"beta_slow\":3.0"),
                "at least beta_slow = 3",
            ),
            (&format!("{YARN},\"mscale\":-1"), "mscale = -1"),
            (
                &format!("{YARN},\"truncate\":1"),
                "it must be true or false",
            ),
            (
                &format!("{YARN},\"original_max_position_embeddings\":0"),
                "original_max_position_embeddings = 0",
            ),
            (
                &format!("{YARN},\"partial_rotary_factor\":0.5"),
                "partial_rotary_factor = 0.5",
            ),
            (
                "\"type\":\"llama3\",\"factor\":8,\"low_freq_factor\":4,\"high_freq_factor\":4,\
                 \"original_max_position_embeddings\":8192",
                "high_freq_factor = 4",
            ),
        ] {
            let message = with(rope).unwrap_err().to_string();
            assert!(message.contains(words), "{message} should contain {words}");
            assert!(!message.contains('\n'), "{message}");
        }
        let flat = LLAMA.replace("10000.0", "1.0,\"rope_scaling\":{\"type\":\"yarn\"}");
        let message = parse(&flat).unwrap_err().to_string();
        assert!(
            message.contains("rope_theta = 1 is not supported"),
            "{message}"
        );
    }

    #[test]
    fn both_spellings_are_read_and_null_is_none() {
        let old = with("\"type\":\"dynamic\",\"factor\":2.0").unwrap();
        assert_eq!(old.rope_scaling, RopeScaling::Dynamic { factor: 2.0 });
        let new = LLAMA.replace(
            "\"rope_theta\":10000.0",
            "\"rope_scaling\":null,\"rope_parameters\":{\"rope_type\":\"yarn\",\"rope_theta\":5000.0,\"factor\":2}",
        );
        let new = parse(&new).unwrap();
        assert_eq!(new.rope_theta, 5000.0);
        assert_eq!(new.rope_scaling, RopeScaling::Yarn(Yarn::new(2.0, 4096)));
        let none = parse(&LLAMA.replace("10000.0", "10000.0,\"rope_parameters\":null")).unwrap();
        assert_eq!(none.rope_scaling, RopeScaling::None);
    }

    #[test]
    fn cos_and_sin_carry_the_attention_factor() {
        let yarn = Yarn {
            attention_factor: Some(0.5),
            ..Yarn::new(4.0, 1024)
        };
        let mut config = parse(LLAMA).unwrap();
        config.rope_scaling = RopeScaling::Yarn(yarn);
        let (mut cos, mut sin) = (Vec::new(), Vec::new());
        Rotary::new(&config).extend(0..3, &mut cos, &mut sin);
        assert_eq!((cos.len(), sin.len()), (96, 96));
        for (cos, sin) in cos.iter().zip(&sin) {
            assert!((cos * cos + sin * sin - 0.25).abs() < 1e-6);
        }
        // The fastest pair turns by one radian per token.
        assert!((f64::from(cos[64]) - 0.5 * 2f64.cos()).abs() < 1e-7);
    }

    #[test]
    fn llama3_scaling_keeps_fast_frequencies_and_divides_slow_ones() {
        let text = LLAMA.replace(
            "\"rope_theta\":10000.0",
            "\"rope_parameters\":{\"rope_type\":\"llama3\",\"rope_theta\":500000.0,\"factor\":8.0,\
             \"low_freq_factor\":1.0,\"high_freq_factor\":4.0,\"original_max_position_embeddings\":8192}",
        );
        let config = parse(&text).unwrap();
        let frequencies = config.rope_frequencies();
        assert!((frequencies[0] - 1.0).abs() < 1e-12);
        let slowest = 500_000f64.powf(-62.0 / 64.0);
        assert!((frequencies[31] - slowest / 8.0).abs() < 1e-15);
    }
}
