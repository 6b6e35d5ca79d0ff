//! The hand-written forward and backward against the composed path, flat batches against trees, and the speed-relevant
//! promises (sampling leaves the activations that the backward needs).
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor, Var};
use modescope::lm::{
    Family, Model, ModelConfig, RopeScaling,
    fast::{AdamW, AdamWSettings, Backward, Choice, Layout, Tape, Trie},
};
use rand::Rng as _;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng as _};

fn config(tied: bool, kv_heads: usize) -> ModelConfig {
    ModelConfig {
        family: Family::Llama,
        vocab_size: 37,
        hidden_size: 32,
        intermediate_size: 40,
        layers: 3,
        heads: 4,
        kv_heads,
        head_dim: 8,
        context: 64,
        norm_eps: 1e-5,
        rope_theta: 10_000.0,
        rope_scaling: RopeScaling::None,
        tied_embeddings: tied,
        qkv_bias: false,
    }
}

fn random_weights(config: &ModelConfig, seed: u64) -> HashMap<String, Tensor> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    config
        .tensor_shapes()
        .into_iter()
        .map(|(name, shape)| {
            let middle = if shape.len() == 1 { 1.0 } else { 0.0 };
            let values: Vec<f32> = (0..shape.iter().product())
                .map(|_| middle + rng.random_range(-0.3..0.3))
                .collect();
            (name, Tensor::from_vec(values, shape, &Device::Cpu).unwrap())
        })
        .collect()
}

/// Sequences that share a prompt and partly each other's beginnings; the weights of their tokens after the prompt.
const PROMPT: [u32; 4] = [3, 1, 4, 1];
const SAMPLES: [(&[u32], f32); 5] = [
    (&[5, 9, 2], 0.7),
    (&[5, 9, 6], -1.3),
    (&[5, 3], 0.25),
    (&[36], 2.0),
    (&[5, 9, 2], -0.4),
];

/// A tree (or, with `share` off, one chain per sample) with its choices.
fn plant(share: bool) -> (Trie, Vec<Choice>) {
    let mut trie = Trie::new();
    let mut choices = Vec::new();
    for (sample, weight) in SAMPLES {
        let mut at = if share {
            trie.insert(None, &PROMPT).unwrap()
        } else {
            PROMPT
                .iter()
                .fold(None, |parent, &t| Some(trie.push(parent, t).unwrap()))
                .unwrap()
        };
        for (i, &token) in sample.iter().enumerate() {
            choices.push(Choice {
                node: at,
                token,
                weight,
            });
            if i + 1 < sample.len() {
                at = if share {
                    trie.insert(Some(at), &[token]).unwrap()
                } else {
                    trie.push(Some(at), token).unwrap()
                };
            }
        }
    }
    choices.sort_by_key(|c| c.node);
    (trie, choices)
}

fn fast_gradient(layout: &Layout, parameters: &[f32], share: bool) -> Vec<f32> {
    let (trie, choices) = plant(share);
    let mut tape = Tape::new(layout);
    tape.extend(layout, parameters, &trie).unwrap();
    let mut gradient = vec![f32::NAN; layout.len()];
    Backward::default().run(layout, parameters, &trie, &tape, &choices, &mut gradient);
    gradient
}

fn relative_difference(a: &[f32], b: &[f32]) -> f64 {
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|v| v * v).sum::<f64>().sqrt();
    norm(&mut a.iter().zip(b).map(|(a, b)| f64::from(*a) - f64::from(*b)))
        / norm(&mut b.iter().map(|b| f64::from(*b)))
}

#[test]
fn gradients_equal_the_composed_path_for_every_tensor() {
    for (tied, kv_heads) in [(true, 4), (false, 2), (true, 1)] {
        let config = config(tied, kv_heads);
        let weights = random_weights(&config, 11);
        let layout = Layout::new(&config).unwrap();
        let ours = layout
            .unflatten(&fast_gradient(
                &layout,
                &layout.flatten(&weights).unwrap(),
                true,
            ))
            .unwrap();

        let variables: HashMap<String, Var> = weights
            .iter()
            .map(|(n, w)| {
                (
                    n.clone(),
                    Var::from_tensor(&w.to_dtype(DType::F64).unwrap()).unwrap(),
                )
            })
            .collect();
        let tensors = variables
            .iter()
            .map(|(n, v)| (n.clone(), v.as_tensor().clone()))
            .collect();
        let model = Model::new(&config, &tensors).unwrap();
        let mut loss = Tensor::new(0f64, &Device::Cpu).unwrap();
        for (sample, weight) in SAMPLES {
            let sequence = [&PROMPT, &sample[..sample.len() - 1]].concat();
            let hidden = model.hidden(&[&sequence]).unwrap().squeeze(0).unwrap();
            let rows = hidden.narrow(0, PROMPT.len() - 1, sample.len()).unwrap();
            let ids = Tensor::new(sample, &Device::Cpu)
                .unwrap()
                .unsqueeze(1)
                .unwrap();
            let picked = model.log_probs(&rows).unwrap().gather(&ids, 1).unwrap();
            loss = (loss + (picked.sum_all().unwrap() * f64::from(weight)).unwrap()).unwrap();
        }
        let theirs = loss.backward().unwrap();
        for (name, variable) in &variables {
            let theirs: Vec<f32> = theirs
                .get(variable)
                .unwrap()
                .to_dtype(DType::F32)
                .unwrap()
                .flatten_all()
                .unwrap()
                .to_vec1()
                .unwrap();
            let ours: Vec<f32> = ours[name].flatten_all().unwrap().to_vec1().unwrap();
            let difference = relative_difference(&ours, &theirs);
            assert!(
                difference < 2e-5,
                "tied {tied}, {kv_heads} kv heads: {name} differs by {difference}"
            );
        }
    }
}

#[test]
fn a_tree_has_exactly_the_gradient_of_the_flat_batch() {
    let config = config(true, 2);
    let layout = Layout::new(&config).unwrap();
    let parameters = layout.flatten(&random_weights(&config, 5)).unwrap();
    assert!(
        plant(true).0.len() * 3 < plant(false).0.len(),
        "the tree should be much smaller"
    );
    let difference = relative_difference(
        &fast_gradient(&layout, &parameters, true),
        &fast_gradient(&layout, &parameters, false),
    );
    assert!(difference <= 1e-5, "{difference}");
}

#[test]
fn extending_level_by_level_leaves_the_same_tape_as_all_at_once() {
    let config = config(false, 2);
    let layout = Layout::new(&config).unwrap();
    let parameters = layout.flatten(&random_weights(&config, 6)).unwrap();
    let (whole, choices) = plant(true);
    let mut at_once = Tape::new(&layout);
    at_once.extend(&layout, &parameters, &whole).unwrap();
    let mut trie = Trie::new();
    let mut tape = Tape::new(&layout);
    let mut at = trie.insert(None, &PROMPT).unwrap();
    tape.extend(&layout, &parameters, &trie).unwrap();
    // A detour that is taken back must leave no trace.
    trie.push(Some(at), 30).unwrap();
    tape.extend(&layout, &parameters, &trie).unwrap();
    trie.truncate(PROMPT.len());
    tape.truncate(PROMPT.len());
    for token in [5, 9] {
        at = trie.push(Some(at), token).unwrap();
        tape.extend(&layout, &parameters, &trie).unwrap();
    }
    assert_eq!(tape.nodes(), at_once.nodes());
    let gradient = |trie: &Trie, tape: &Tape| {
        let mut gradient = vec![0.0; layout.len()];
        Backward::default().run(&layout, &parameters, trie, tape, &choices, &mut gradient);
        gradient
    };
    assert!(relative_difference(&gradient(&trie, &tape), &gradient(&whole, &at_once)) < 1e-5);
}

#[test]
fn ascent_on_chosen_tokens_raises_their_log_probability() {
    let config = config(true, 2);
    let layout = Layout::new(&config).unwrap();
    let mut parameters = layout.flatten(&random_weights(&config, 8)).unwrap();
    let (trie, _) = plant(true);
    let choices = [Choice {
        node: 3,
        token: 5,
        weight: -1.0,
    }];
    let mut optimiser = AdamW::new(layout.len(), AdamWSettings::default());
    let (mut backward, mut gradient, mut probabilities) =
        (Backward::default(), vec![0.0; layout.len()], Vec::new());
    let mut first = None;
    for _ in 0..30 {
        let mut tape = Tape::new(&layout);
        tape.extend(&layout, &parameters, &trie).unwrap();
        let _ = tape.distributions(&layout, &parameters, &[3], &mut probabilities);
        first.get_or_insert(probabilities[5]);
        backward.run(&layout, &parameters, &trie, &tape, &choices, &mut gradient);
        optimiser.step(&mut parameters, &gradient, 3e-3);
    }
    assert!(
        first.unwrap() < 0.2 && probabilities[5] > 0.8,
        "{first:?} to {}",
        probabilities[5]
    );
}

#[test]
fn what_the_fast_path_cannot_run_is_said() {
    let qwen = ModelConfig {
        family: Family::Qwen2,
        qkv_bias: true,
        ..config(true, 2)
    };
    assert!(
        Layout::new(&qwen)
            .unwrap_err()
            .to_string()
            .contains("qwen2")
    );
    let layout = Layout::new(&config(true, 2)).unwrap();
    let parameters = vec![0.0; layout.len()];
    let mut trie = Trie::new();
    trie.insert(None, &[37]).unwrap();
    let error = Tape::new(&layout)
        .extend(&layout, &parameters, &trie)
        .unwrap_err()
        .to_string();
    assert!(error.contains("token 37"), "{error}");
    assert!(trie.push(Some(9), 0).is_err());
}
