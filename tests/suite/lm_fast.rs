//! The hand-written forward and backward against the composed path, flat batches against trees, and the speed-relevant
//! promises (sampling leaves the activations that the backward needs).
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor, Var};
use modescope::lm::{
    Family, Model, ModelConfig, RopeScaling, Yarn,
    fast::{
        AdamW, AdamWSettings, Backward, Buffer, Choice, Layout, LoraLayout, LoraModule, Network,
        Tape, Trie,
    },
};
use rand::Rng as _;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng as _};
use rayon::prelude::*;

fn config(family: Family, tied: bool, kv_heads: usize) -> ModelConfig {
    ModelConfig {
        family,
        vocab_size: 37,
        hidden_size: 32,
        intermediate_size: 40,
        layers: 3,
        heads: 4,
        kv_heads,
        // Wider than hidden / heads, as Qwen3 has it.
        head_dim: if family == Family::Qwen3 { 12 } else { 8 },
        context: 64,
        norm_eps: 1e-5,
        rope_theta: 10_000.0,
        rope_scaling: RopeScaling::None,
        tied_embeddings: tied,
        qkv_bias: family == Family::Qwen2,
    }
}

fn llama(tied: bool, kv_heads: usize) -> ModelConfig {
    config(Family::Llama, tied, kv_heads)
}

/// The same with slow, fast and middling frequencies and an attention factor that is not 1.
fn yarn(config: ModelConfig) -> ModelConfig {
    let scaling = Yarn {
        beta_fast: 2.0,
        beta_slow: 0.05,
        attention_factor: Some(1.3),
        truncate: false,
        ..Yarn::new(4.0, 32)
    };
    ModelConfig {
        rope_scaling: RopeScaling::Yarn(scaling),
        ..config
    }
}

fn random_weights(config: &ModelConfig, seed: u64) -> HashMap<String, Tensor> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    config
        .tensor_shapes()
        .into_iter()
        .map(|(name, shape)| {
            let middle = if name.ends_with("norm.weight") {
                1.0
            } else {
                0.0
            };
            let values: Vec<f32> = (0..shape.iter().product())
                .map(|_| middle + rng.random_range(-0.3..0.3))
                .collect();
            (name, Tensor::from_vec(values, shape, &Device::Cpu).unwrap())
        })
        .collect()
}

/// What is trained in a case: everything, or adapters with random factors (zero ones would hide half of the gradient).
enum Tuned {
    Full,
    Lora(LoraLayout, Vec<f32>),
}

impl Tuned {
    fn lora(layout: &Layout, rank: usize, modules: &[LoraModule]) -> Self {
        let lora = LoraLayout::new(layout, rank, 1.5 * rank as f64, modules).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let factors = (0..lora.len())
            .map(|_| rng.random_range(-0.4..0.4))
            .collect();
        Self::Lora(lora, factors)
    }

    fn network<'a>(&'a self, layout: &'a Layout, parameters: &'a [f32]) -> Network<'a> {
        match self {
            Self::Full => Network::full(layout, parameters).unwrap(),
            Self::Lora(lora, factors) => Network::lora(layout, parameters, lora, factors).unwrap(),
        }
    }
}

/// A name, a shape, and rank and modules where adapters are trained.
type Case = (String, ModelConfig, Option<(usize, Vec<LoraModule>)>);

/// Every family, tied and untied, several groupings of heads, full and with adapters on all and on some modules.
fn cases() -> Vec<Case> {
    let mut cases = vec![];
    for family in [Family::Llama, Family::Qwen2, Family::Qwen3] {
        for (tied, kv_heads) in [(true, 4), (false, 2), (true, 1)] {
            for lora in [
                None,
                Some((3, LoraModule::ALL.to_vec())),
                Some((2, vec![LoraModule::V, LoraModule::Q])),
                Some((1, vec![LoraModule::Up, LoraModule::K])),
            ] {
                let name = format!("{family:?}, tied {tied}, {kv_heads} kv heads, {lora:?}");
                cases.push((name, config(family, tied, kv_heads), lora));
            }
        }
    }
    for family in [Family::Llama, Family::Qwen3] {
        let name = format!("{family:?}, yarn");
        cases.push((name, yarn(config(family, true, 2)), None));
    }
    cases
}

fn tuned(layout: &Layout, lora: Option<(usize, Vec<LoraModule>)>) -> Tuned {
    lora.map_or(Tuned::Full, |(rank, modules)| {
        Tuned::lora(layout, rank, &modules)
    })
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

fn fast_gradient(network: Network<'_>, share: bool) -> Vec<f32> {
    let (trie, choices) = plant(share);
    let mut tape = Tape::new(network.layout());
    tape.extend(network, &trie).unwrap();
    let mut gradient = vec![f32::NAN; network.trained()];
    let norm = Backward::default().run(network, &trie, &tape, &choices, &mut gradient);
    let exact = gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>();
    assert!((norm / exact.sqrt() - 1.0).abs() < 1e-5);
    gradient
}

fn relative_difference(a: &[f32], b: &[f32]) -> f64 {
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|v| v * v).sum::<f64>().sqrt();
    norm(&mut a.iter().zip(b).map(|(a, b)| f64::from(*a) - f64::from(*b)))
        / norm(&mut b.iter().map(|b| f64::from(*b)))
}

/// Names and values (double precision) of what is trained.
type Named = Vec<(String, Tensor)>;

fn doubles(values: &[f32], rows: usize, columns: usize) -> Tensor {
    let values: Vec<f64> = values.iter().copied().map(f64::from).collect();
    let shape = if columns == 1 {
        vec![rows]
    } else {
        vec![rows, columns]
    };
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn trained(layout: &Layout, parameters: &[f32], tuned: &Tuned) -> Named {
    match tuned {
        Tuned::Full => (layout.tensors().iter())
            .map(|(name, span)| {
                let values = doubles(&parameters[span.range()], span.rows, span.columns);
                (name.clone(), values)
            })
            .collect(),
        Tuned::Lora(lora, factors) => lora
            .tensors()
            .map(|(name, span)| {
                // A matrix of one column stays a matrix.
                let values = doubles(&factors[span.range()], span.rows * span.columns, 1)
                    .reshape((span.rows, span.columns))
                    .unwrap();
                (name.to_owned(), values)
            })
            .collect(),
    }
}

/// The loss of the composed path in double precision, with the trained tensors under their names.
fn composed_loss(
    config: &ModelConfig,
    weights: &HashMap<String, Tensor>,
    lora: Option<&LoraLayout>,
    trained: &HashMap<String, Tensor>,
) -> Tensor {
    let mut weights: HashMap<String, Tensor> = weights
        .iter()
        .map(|(name, w)| (name.clone(), w.to_dtype(DType::F64).unwrap()))
        .collect();
    match lora {
        None => weights.extend(trained.iter().map(|(n, t)| (n.clone(), t.clone()))),
        Some(lora) => {
            let scale = lora.alpha() / lora.rank() as f64;
            for (name, a) in trained {
                let Some(part) = name.strip_suffix(".lora_A.weight") else {
                    continue;
                };
                let b = &trained[&format!("{part}.lora_B.weight")];
                let base = format!("{}.weight", part.strip_prefix("base_model.model.").unwrap());
                let delta = (b.matmul(a).unwrap() * scale).unwrap();
                let adapted = (&weights[&base] + delta).unwrap();
                weights.insert(base, adapted);
            }
        }
    }
    let model = Model::new(config, &weights).unwrap();
    // One batch, padded at the end, where causal attention does not look.
    let longest = SAMPLES.map(|(sample, _)| sample.len() - 1)[0];
    let sequences = SAMPLES.map(|(sample, _)| {
        let mut sequence = [&PROMPT, &sample[..sample.len() - 1]].concat();
        sequence.resize(PROMPT.len() + longest, 0);
        sequence
    });
    let hidden = model
        .hidden(&sequences.each_ref().map(Vec::as_slice))
        .unwrap()
        .flatten(0, 1)
        .unwrap();
    let mut rows = vec![];
    let (mut ids, mut weighted) = (vec![], vec![]);
    for (index, (sample, weight)) in SAMPLES.iter().enumerate() {
        for (place, &token) in sample.iter().enumerate() {
            rows.push((index * (PROMPT.len() + longest) + PROMPT.len() - 1 + place) as u32);
            ids.push(token);
            weighted.push(f64::from(*weight));
        }
    }
    let count = rows.len();
    let rows = Tensor::from_vec(rows, count, &Device::Cpu).unwrap();
    let ids = Tensor::from_vec(ids, (count, 1), &Device::Cpu).unwrap();
    let weighted = Tensor::from_vec(weighted, (count, 1), &Device::Cpu).unwrap();
    let log_probs = model
        .log_probs(&hidden.index_select(&rows, 0).unwrap())
        .unwrap();
    (log_probs.gather(&ids, 1).unwrap() * weighted)
        .unwrap()
        .sum_all()
        .unwrap()
}

/// The gradient of the composed path by candle's autograd, by name.
fn composed_gradient(
    config: &ModelConfig,
    weights: &HashMap<String, Tensor>,
    lora: Option<&LoraLayout>,
    trained: &Named,
) -> HashMap<String, Vec<f32>> {
    let variables: HashMap<String, Var> = trained
        .iter()
        .map(|(name, t)| (name.clone(), Var::from_tensor(t).unwrap()))
        .collect();
    let tensors = variables
        .iter()
        .map(|(name, v)| (name.clone(), v.as_tensor().clone()))
        .collect();
    let gradients = composed_loss(config, weights, lora, &tensors)
        .backward()
        .unwrap();
    variables
        .iter()
        .map(|(name, variable)| {
            let values = gradients
                .get(variable)
                .unwrap_or_else(|| panic!("{name} has no gradient"))
                .to_dtype(DType::F32)
                .unwrap();
            let values = values.flatten_all().unwrap().to_vec1().unwrap();
            (name.clone(), values)
        })
        .collect()
}

/// The fast gradient by name.
fn by_name(layout: &Layout, tuned: &Tuned, gradient: &[f32]) -> HashMap<String, Vec<f32>> {
    match tuned {
        Tuned::Full => (layout.tensors().iter())
            .map(|(name, span)| (name.clone(), gradient[span.range()].to_vec()))
            .collect(),
        Tuned::Lora(lora, _) => lora
            .tensors()
            .map(|(name, span)| (name.to_owned(), gradient[span.range()].to_vec()))
            .collect(),
    }
}

#[test]
fn gradients_equal_the_composed_path_for_every_tensor() {
    cases().into_par_iter().for_each(|(case, config, lora)| {
        let weights = random_weights(&config, 11);
        let layout = Layout::new(&config).unwrap();
        let parameters = layout.flatten(&weights).unwrap();
        let tuned = tuned(&layout, lora);
        let gradient = fast_gradient(tuned.network(&layout, &parameters), true);
        let ours = by_name(&layout, &tuned, &gradient);
        let lora = match &tuned {
            Tuned::Full => None,
            Tuned::Lora(lora, _) => Some(lora),
        };
        let trained = trained(&layout, &parameters, &tuned);
        let theirs = composed_gradient(&config, &weights, lora, &trained);
        assert_eq!(ours.len(), theirs.len(), "{case}");
        for (name, theirs) in theirs {
            let difference = relative_difference(&ours[&name], &theirs);
            // Rounding of the fast path; a bias of keys moves nothing but rotated positions, so little is left of it.
            assert!(difference < 3e-5, "{case}: {name} differs by {difference}");
        }
    });
}

#[test]
fn gradients_equal_finite_differences_for_every_single_parameter() {
    for family in [Family::Llama, Family::Qwen2, Family::Qwen3] {
        for (tied, adapted, scaled) in [
            (true, false, false),
            (false, false, false),
            (true, true, false),
            (true, false, true),
        ] {
            let config = ModelConfig {
                hidden_size: 8,
                intermediate_size: 6,
                layers: 2,
                heads: 2,
                head_dim: 4,
                ..config(family, tied, 1)
            };
            let config = if scaled { yarn(config) } else { config };
            let weights = random_weights(&config, 12);
            let layout = Layout::new(&config).unwrap();
            let parameters = layout.flatten(&weights).unwrap();
            let tuned = tuned(&layout, adapted.then(|| (2, LoraModule::ALL.to_vec())));
            let gradient = fast_gradient(tuned.network(&layout, &parameters), true);
            let ours = by_name(&layout, &tuned, &gradient);
            let lora = match &tuned {
                Tuned::Full => None,
                Tuned::Lora(lora, _) => Some(lora),
            };
            let trained = trained(&layout, &parameters, &tuned);
            let size = f64::from(gradient.iter().fold(0f32, |m, g| m.max(g.abs())));
            let numbers: Vec<(usize, usize)> = (trained.iter().enumerate())
                .flat_map(|(at, (_, t))| (0..t.elem_count()).map(move |i| (at, i)))
                .collect();
            assert_eq!(numbers.len(), gradient.len());
            numbers.into_par_iter().for_each(|(at, index)| {
                let (name, tensor) = &trained[at];
                let moved = |by: f64| {
                    let mut values: Vec<f64> = tensor.flatten_all().unwrap().to_vec1().unwrap();
                    values[index] += by;
                    let moved = Tensor::from_vec(values, tensor.shape(), &Device::Cpu).unwrap();
                    let mut tensors: HashMap<String, Tensor> = trained.iter().cloned().collect();
                    tensors.insert(name.clone(), moved);
                    composed_loss(&config, &weights, lora, &tensors)
                        .to_scalar::<f64>()
                        .unwrap()
                };
                let step = 1e-4;
                let slope = (moved(step) - moved(-step)) / (2.0 * step);
                let own = f64::from(ours[name][index]);
                assert!(
                    (own - slope).abs() < 1e-5 * size,
                    "{family:?}, tied {tied}, adapted {adapted}, yarn {scaled}: {name}[{index}] is {own}, the slope {slope}"
                );
            });
        }
    }
}

#[test]
fn a_tree_has_exactly_the_gradient_of_the_flat_batch() {
    assert!(
        plant(true).0.len() * 3 < plant(false).0.len(),
        "the tree should be much smaller"
    );
    for (case, config, lora) in cases() {
        let layout = Layout::new(&config).unwrap();
        let parameters = layout.flatten(&random_weights(&config, 5)).unwrap();
        let tuned = tuned(&layout, lora);
        let network = tuned.network(&layout, &parameters);
        let difference = relative_difference(
            &fast_gradient(network, true),
            &fast_gradient(network, false),
        );
        assert!(difference <= 1e-5, "{case}: {difference}");
    }
}

#[test]
fn adapters_start_as_the_base_and_merge_into_what_they_compute() {
    for family in [Family::Llama, Family::Qwen2, Family::Qwen3] {
        let layout = Layout::new(&config(family, true, 2)).unwrap();
        let parameters = layout.flatten(&random_weights(layout.config(), 9)).unwrap();
        let (trie, _) = plant(true);
        let nodes: Vec<usize> = (0..trie.len()).collect();
        let logits = |network: Network<'_>| {
            let mut tape = Tape::new(&layout);
            tape.extend(network, &trie).unwrap();
            let mut logits = vec![];
            tape.logits(network, &nodes, &mut logits);
            logits
        };
        let base = logits(Network::full(&layout, &parameters).unwrap());
        let Tuned::Lora(lora, factors) = Tuned::lora(&layout, 3, &LoraModule::ALL) else {
            unreachable!()
        };
        let start = lora.initial(17);
        assert_eq!(start, lora.initial(17));
        assert_ne!(start, lora.initial(18));
        assert!(start.iter().any(|a| *a != 0.0));
        let started = logits(Network::lora(&layout, &parameters, &lora, &start).unwrap());
        assert!(relative_difference(&started, &base) < 1e-6);
        let adapted = logits(Network::lora(&layout, &parameters, &lora, &factors).unwrap());
        assert!(relative_difference(&adapted, &base) > 0.1);
        let merged = lora.merge(&layout, &parameters, &factors).unwrap();
        let merged = logits(Network::full(&layout, &merged).unwrap());
        assert!(relative_difference(&adapted, &merged) < 1e-5);
    }
}

#[test]
fn adapter_names_and_shapes_are_those_of_peft() {
    let layout = Layout::new(&config(Family::Llama, true, 2)).unwrap();
    let lora = LoraLayout::new(&layout, 5, 10.0, &[LoraModule::Down, LoraModule::K]).unwrap();
    let all: Vec<(&str, [usize; 2])> = lora
        .tensors()
        .map(|(name, span)| (name, [span.rows, span.columns]))
        .collect();
    let at = "base_model.model.model.layers.";
    assert_eq!(all.len(), 3 * 2 * 2);
    for (name, shape) in [
        ("0.self_attn.k_proj.lora_A.weight", [5, 32]),
        ("0.self_attn.k_proj.lora_B.weight", [16, 5]),
        ("2.mlp.down_proj.lora_A.weight", [5, 40]),
        ("2.mlp.down_proj.lora_B.weight", [32, 5]),
    ] {
        let name = format!("{at}{name}");
        assert!(all.contains(&(&name, shape)), "{name} in {all:?}");
    }
    // The spans tile the buffer.
    let mut spans: Vec<_> = lora.tensors().map(|(_, span)| span.range()).collect();
    spans.sort_by_key(|r| r.start);
    assert_eq!(spans[0].start, 0);
    assert!(spans.windows(2).all(|w| w[0].end == w[1].start));
    assert_eq!(spans.last().unwrap().end, lora.len());
}

#[test]
fn extending_level_by_level_leaves_the_same_tape_as_all_at_once() {
    let config = llama(false, 2);
    let layout = Layout::new(&config).unwrap();
    let parameters = layout.flatten(&random_weights(&config, 6)).unwrap();
    let network = Network::full(&layout, &parameters).unwrap();
    let (whole, choices) = plant(true);
    let mut at_once = Tape::new(&layout);
    at_once.extend(network, &whole).unwrap();
    let mut trie = Trie::new();
    let mut tape = Tape::new(&layout);
    let mut at = trie.insert(None, &PROMPT).unwrap();
    tape.extend(network, &trie).unwrap();
    // A detour that is taken back must leave no trace.
    trie.push(Some(at), 30).unwrap();
    tape.extend(network, &trie).unwrap();
    trie.truncate(PROMPT.len());
    tape.truncate(PROMPT.len());
    for token in [5, 9] {
        at = trie.push(Some(at), token).unwrap();
        tape.extend(network, &trie).unwrap();
    }
    assert_eq!(tape.nodes(), at_once.nodes());
    let gradient = |trie: &Trie, tape: &Tape| {
        let mut gradient = vec![0.0; layout.len()];
        Backward::default().run(network, trie, tape, &choices, &mut gradient);
        gradient
    };
    assert!(relative_difference(&gradient(&trie, &tape), &gradient(&whole, &at_once)) < 1e-5);
}

#[test]
fn distributions_of_a_large_head_that_were_asked_for_leave_the_gradient_as_it_is() {
    // 2²⁰ numbers in the head are worth remembering what came out of it.
    let config = ModelConfig {
        vocab_size: 1 << 15,
        ..llama(true, 2)
    };
    let layout = Layout::new(&config).unwrap();
    let (trie, choices) = plant(true);
    let nodes: Vec<usize> = choices.iter().map(|choice| choice.node).collect();
    let mut tape = Tape::new(&layout);
    let mut asked = Vec::new();
    for seed in [3, 4] {
        let parameters = layout.flatten(&random_weights(&config, seed)).unwrap();
        let network = Network::full(&layout, &parameters).unwrap();
        // What was asked of other parameters is forgotten.
        tape.truncate(0);
        tape.extend(network, &trie).unwrap();
        for nodes in [&nodes[..2], &nodes[..]] {
            let log_sums = tape.distributions(network, nodes, &mut asked);
            assert_eq!(log_sums.len(), nodes.len());
            let rows = asked.chunks_exact(config.vocab_size);
            assert!(
                rows.map(|row| row.iter().sum::<f32>())
                    .all(|sum| (sum - 1.0).abs() < 1e-3)
            );
        }
        let mut gradient = vec![f32::NAN; network.trained()];
        Backward::default().run(network, &trie, &tape, &choices, &mut gradient);
        let difference = relative_difference(&gradient, &fast_gradient(network, true));
        assert!(difference < 1e-5, "{difference:e}");
    }
}

#[test]
fn ascent_on_chosen_tokens_raises_their_log_probability() {
    let config = llama(true, 2);
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
        let network = Network::full(&layout, &parameters).unwrap();
        let mut tape = Tape::new(&layout);
        tape.extend(network, &trie).unwrap();
        let _ = tape.distributions(network, &[3], &mut probabilities);
        first.get_or_insert(probabilities[5]);
        backward.run(network, &trie, &tape, &choices, &mut gradient);
        optimiser.step(&mut parameters, &gradient, 3e-3);
    }
    assert!(
        first.unwrap() < 0.2 && probabilities[5] > 0.8,
        "{first:?} to {}",
        probabilities[5]
    );
}

#[test]
fn a_restored_optimiser_goes_on_bit_for_bit() {
    let gradient = |t: usize| [0.3f32, -2.0, 0.01].map(|g| g * (t as f32 * 1.3).sin());
    let settings = AdamWSettings {
        weight_decay: 0.01,
        ..AdamWSettings::default()
    };
    let (mut whole, mut p) = (AdamW::new(3, settings), [1.0f32, 2.0, 3.0]);
    let (mut first, mut q) = (AdamW::new(3, settings), p);
    for t in 1..=10 {
        whole.step(&mut p, &gradient(t), 0.01);
    }
    for t in 1..=4 {
        first.step(&mut q, &gradient(t), 0.01);
    }
    let mut second = AdamW::from_state(first.state().clone(), settings).unwrap();
    for t in 5..=10 {
        second.step(&mut q, &gradient(t), 0.01);
    }
    assert_eq!(p, q);
    assert_eq!(whole.state(), second.state());
    let mut broken = first.state().clone();
    broken.second[1] = -1.0;
    assert!(AdamW::from_state(broken.clone(), settings).is_err());
    broken.second.pop();
    let error = AdamW::from_state(broken, settings).unwrap_err().to_string();
    assert!(error.contains("3 first moments"), "{error}");
}

/// Steps of one model along its own gradient, which is formed or left unformed: norms, parameters and optimiser.
fn stepped(config: &ModelConfig, unformed: bool) -> (Vec<f64>, Vec<f32>, AdamW) {
    let layout = Layout::new(config).unwrap();
    let mut parameters = Buffer::from(
        layout
            .flatten(&random_weights(config, 1))
            .unwrap()
            .as_slice(),
    );
    let settings = AdamWSettings {
        // Smooth where gradients are nearly nothing, so that rounding stays rounding.
        epsilon: 1e-3,
        weight_decay: 0.1,
        max_norm: Some(0.5),
        ..AdamWSettings::default()
    };
    let mut optimiser = AdamW::new(layout.len(), settings);
    let (mut backward, mut tape) = (Backward::default(), Tape::new(&layout));
    let (trie, choices) = plant(true);
    let mut gradient = Buffer::from(vec![f32::NAN; layout.len()].as_slice());
    let mut norms = Vec::new();
    for _ in 0..3 {
        tape.truncate(0);
        let network = Network::full(&layout, &parameters).unwrap();
        tape.extend(network, &trie).unwrap();
        let norm = if unformed {
            backward.run_unformed(network, &trie, &tape, &choices, &mut gradient)
        } else {
            backward.run(network, &trie, &tape, &choices, &mut gradient)
        };
        let outers = backward.outers(&layout, &tape);
        let matrices = 4 * config.layers + if config.tied_embeddings { 1 } else { 2 };
        assert_eq!(outers.len(), if unformed { matrices } else { 0 });
        optimiser.step_apart(&parameters, (&mut gradient, &outers), norm, 0.01);
        std::mem::swap(&mut parameters, &mut gradient);
        norms.push(norm);
    }
    (norms, parameters.to_vec(), optimiser)
}

#[test]
fn a_step_along_gradients_that_stay_unformed_is_the_same_step() {
    for family in [Family::Llama, Family::Qwen2, Family::Qwen3] {
        for tied in [true, false] {
            let small = config(family, tied, 2);
            // More rows than are updated together, in whole and in broken registers.
            let wide = ModelConfig {
                vocab_size: 401,
                hidden_size: 64,
                intermediate_size: 330,
                ..small.clone()
            };
            for config in [small, wide] {
                let (norms, parameters, optimiser) = stepped(&config, false);
                let (own_norms, own_parameters, own) = stepped(&config, true);
                for (norm, own) in norms.iter().zip(own_norms) {
                    assert!((own / norm - 1.0).abs() < 1e-6, "{own} against {norm}");
                }
                let start = Layout::new(&config).unwrap();
                let start = start.flatten(&random_weights(&config, 1)).unwrap();
                let moved = |to: &[f32]| -> Vec<f32> {
                    to.iter().zip(&start).map(|(to, from)| to - from).collect()
                };
                let (state, own) = (optimiser.state(), own.state());
                assert_eq!(state.steps, own.steps);
                // Sums of some thousand roundings; a change is besides the difference of two f32 a hundred times larger.
                for (what, ours, theirs, most) in [
                    ("change", &moved(&own_parameters), &moved(&parameters), 1e-5),
                    ("first moment", &own.first, &state.first, 5e-6),
                    ("second moment", &own.second, &state.second, 5e-6),
                ] {
                    let difference = relative_difference(ours, theirs);
                    assert!(difference < most, "{what} of {config:?}: {difference}");
                    // Also where little happens: no row may be left out.
                    let largest = theirs.iter().fold(0.0f32, |most, v| most.max(v.abs()));
                    for (at, (own, other)) in ours.iter().zip(theirs).enumerate() {
                        let apart = (own - other).abs() / largest;
                        assert!(apart < 1e-4, "{what} [{at}] of {config:?}: {own}, {other}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_broken_gradient_that_stays_unformed_moves_nothing() {
    let layout = Layout::new(&llama(true, 2)).unwrap();
    let parameters = layout.flatten(&random_weights(layout.config(), 1)).unwrap();
    let network = Network::full(&layout, &parameters).unwrap();
    let (trie, choices) = plant(true);
    let mut tape = Tape::new(&layout);
    tape.extend(network, &trie).unwrap();
    let mut optimiser = AdamW::new(layout.len(), AdamWSettings::default());
    let fresh = optimiser.state().clone();
    // What f32 cannot square is as broken as what is no number.
    for weight in [f32::NAN, f32::INFINITY, 1e30] {
        let mut choices = choices.clone();
        choices[0].weight = weight;
        let mut gradient = vec![0.0; layout.len()];
        let mut backward = Backward::default();
        let norm = backward.run_unformed(network, &trie, &tape, &choices, &mut gradient);
        assert!(!norm.is_finite(), "{weight}: {norm}");
        let outers = backward.outers(&layout, &tape);
        optimiser.step_apart(&parameters, (&mut gradient, &outers), norm, 0.01);
        assert_eq!(optimiser.state(), &fresh);
    }
    // Nothing chosen: the gradient is zero everywhere, and formed.
    let mut gradient = vec![f32::NAN; layout.len()];
    let mut backward = Backward::default();
    let norm = backward.run_unformed(network, &trie, &tape, &[], &mut gradient);
    assert!(norm == 0.0 && gradient.iter().all(|g| *g == 0.0));
    assert!(backward.outers(&layout, &tape).is_empty());
}

#[test]
fn what_the_fast_path_cannot_run_is_said() {
    let layout = Layout::new(&llama(true, 2)).unwrap();
    let parameters = vec![0.0; layout.len()];
    let network = Network::full(&layout, &parameters).unwrap();
    let mut trie = Trie::new();
    trie.insert(None, &[37]).unwrap();
    let error = Tape::new(&layout)
        .extend(network, &trie)
        .unwrap_err()
        .to_string();
    assert!(error.contains("token 37"), "{error}");
    assert!(trie.push(Some(9), 0).is_err());
    // A gradient that is broken has no norm, so that nobody steps along it.
    let (trie, mut choices) = plant(true);
    choices[0].weight = f32::NAN;
    let mut tape = Tape::new(&layout);
    tape.extend(network, &trie).unwrap();
    let mut gradient = vec![0.0; layout.len()];
    let norm = Backward::default().run(network, &trie, &tape, &choices, &mut gradient);
    assert!(norm.is_nan());
    assert!(Network::full(&layout, &parameters[1..]).is_err());
    let adapters = |rank, alpha, modules: &[LoraModule]| {
        LoraLayout::new(&layout, rank, alpha, modules)
            .unwrap_err()
            .to_string()
    };
    assert!(adapters(0, 1.0, &[LoraModule::Q]).contains("LoRA rank = 0"));
    assert!(adapters(33, 1.0, &[LoraModule::Q]).contains("1 to 32"));
    assert!(adapters(4, f64::NAN, &[LoraModule::Q]).contains("LoRA alpha = NaN"));
    assert!(adapters(4, 1.0, &[]).contains("q_proj"));
    let other = Layout::new(&llama(true, 4)).unwrap();
    let foreign = LoraLayout::new(&other, 4, 8.0, &[LoraModule::K]).unwrap();
    let factors = foreign.initial(0);
    let error = Network::lora(&layout, &parameters, &foreign, &factors).unwrap_err();
    assert!(error.to_string().contains("another shape"), "{error}");
}
