//! Whole policy-gradient steps of language models: `cargo bench --bench lm`, or `… -- tiny smol --lora 16 --peer PYTHON`.
//!
//! Each line is one configuration in a process of its own (so that peak memory is its own): medians in ms of sampling,
//! reference log-probabilities, forward/backward and AdamW, and their sum. Weights are random, as in
//! `peers/peer_lm.py`; with `--peer PYTHON` that script is run for the same configuration right after, by an interpreter
//! that has torch, transformers and peft, and the ratio is printed.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark may stop at the first error"
)]

use std::{collections::HashMap, process::Command, time::Instant};

use modescope::lm::{
    Family, ModelConfig, RopeScaling,
    fast::{
        AdamW, AdamWSettings, Backward, Buffer, Choice, Layout, LoraLayout, LoraModule, Network,
        Tape, Trie,
    },
};
use rand::Rng as _;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng as _};
use rand_distr::{Distribution as _, Normal};

const BETA: f32 = 0.05;

struct Shape {
    name: &'static str,
    config: ModelConfig,
    prompt: usize,
    new: usize,
    batch: usize,
    /// Chances of the first tokens of answers, the rest evenly on eight more; each answer then ends. Without it tokens
    /// come from the model, whose random weights make almost every sample different.
    answers: Option<[f32; 2]>,
    reps: usize,
    /// What the peer is asked for.
    peer: &'static [&'static str],
}

fn shape(name: &str) -> Option<Shape> {
    let model = |d, layers, heads, kv_heads, f, vocab, tied_embeddings| ModelConfig {
        family: Family::Llama,
        vocab_size: vocab,
        hidden_size: d,
        intermediate_size: f,
        layers,
        heads,
        kv_heads,
        head_dim: d / heads,
        context: 8192,
        norm_eps: 1e-5,
        rope_theta: 100_000.0,
        rope_scaling: RopeScaling::None,
        tied_embeddings,
        qkv_bias: false,
    };
    let smol = || model(576, 30, 9, 3, 1536, 49152, true);
    let shape = |name, config, prompt, new, batch, reps, peer| Shape {
        name,
        config,
        prompt,
        new,
        batch,
        answers: None,
        reps,
        peer,
    };
    Some(match name {
        // The model that the binary carries: characters, short prompts, short answers.
        "embedded" => shape(
            "embedded",
            model(96, 3, 4, 4, 288, 96, true),
            24,
            6,
            64,
            60,
            &["--config", "embedded", "--share"],
        ),
        "tiny" => shape(
            "tiny",
            model(128, 4, 4, 4, 384, 64, false),
            1,
            64,
            64,
            15,
            &["--config", "tiny"],
        ),
        "small" => shape(
            "small",
            model(256, 6, 8, 8, 768, 64, false),
            1,
            64,
            64,
            9,
            &["--config", "small"],
        ),
        "smol" => shape(
            "smol",
            smol(),
            40,
            4,
            32,
            7,
            &["--config", "smol", "--share"],
        ),
        // "Pick 1 or 2" on SmolLM2-135M-Instruct starts at P(1) = 0.62 and P(2) = 0.15.
        "answer" => Shape {
            answers: Some([0.62, 0.15]),
            ..shape(
                "answer",
                smol(),
                40,
                2,
                32,
                9,
                &["--config", "answer", "--share"],
            )
        },
        _ => return None,
    })
}

const ALL: [&str; 5] = ["embedded", "tiny", "small", "smol", "answer"];

fn main() {
    let (mut names, mut lora, mut peer, mut child) = (vec![], 0usize, None, false);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--bench" => {}
            "--child" => child = true,
            "--lora" => lora = words.next().unwrap().parse().unwrap(),
            "--peer" => peer = words.next(),
            name => names.push(name.to_owned()),
        }
    }
    if child {
        println!("{}", run(&shape(&names[0]).unwrap(), lora));
        return;
    }
    if names.is_empty() {
        names = ALL.map(str::to_owned).to_vec();
    }
    println!("{} threads, {}", rayon::current_num_threads(), processor());
    for name in names {
        let Some(shape) = shape(&name) else {
            println!("{name} is not one of {}", ALL.join(", "));
            continue;
        };
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--child", &name, "--lora", &lora.to_string()]);
        let own = said(&mut command);
        print!("{own}");
        let Some(python) = &peer else { continue };
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/peer_lm.py");
        let mut command = Command::new(python);
        command.arg(script).args(shape.peer).args(["--reps", "9"]);
        if lora > 0 {
            command.args(["--lora", &lora.to_string()]);
        }
        let other = said(&mut command);
        print!("  PyTorch {other}");
        println!(
            "  ratio {:.2}",
            field(&other, "step=") / field(&own, "step=")
        );
    }
}

fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn field(line: &str, name: &str) -> f64 {
    let words = line.split_whitespace();
    let mut values = words.filter_map(|word| word.strip_prefix(name));
    values.next().unwrap().parse().unwrap()
}

fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix("model name"));
    line.map_or_else(String::new, |l| {
        l.trim_start_matches([' ', '\t', ':']).to_owned()
    })
}

/// Peak memory in MB.
fn peak() -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|l| l.split_whitespace().next()?.parse::<f64>().ok());
    kilobytes.unwrap_or(f64::NAN) * 1024.0 / 1e6
}

fn random_weights(layout: &Layout, seed: u64) -> Buffer {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let normal = Normal::new(0.0, 0.02f32).unwrap();
    let mut weights = Buffer::zeros(layout.len());
    for (name, span) in layout.tensors() {
        for value in &mut weights[span.range()] {
            *value = if name.ends_with("norm.weight") {
                1.0
            } else {
                normal.sample(&mut rng)
            };
        }
    }
    weights
}

/// One drawn sequence: the nodes at which its tokens were chosen, the tokens, and their log-probabilities.
#[derive(Clone, Default)]
struct Sample {
    nodes: Vec<usize>,
    tokens: Vec<u32>,
    log_probs: Vec<f32>,
}

struct Bench<'a> {
    shape: &'a Shape,
    prompt: Vec<u32>,
    rng: ChaCha8Rng,
    trie: Trie,
    tape: Tape,
    reference_trie: Trie,
    reference_tape: Tape,
    samples: Vec<Sample>,
    /// log π_ref of (history, token) seen before: the reference never changes.
    known: HashMap<Vec<u32>, f32>,
    probabilities: Vec<f32>,
}

impl Bench<'_> {
    fn sample(&mut self, network: Network<'_>) {
        let v = self.shape.config.vocab_size;
        self.trie.truncate(0);
        self.tape.truncate(0);
        let last = self.trie.insert(None, &self.prompt).unwrap();
        self.tape.extend(network, &self.trie).unwrap();
        let mut at = vec![last; self.shape.batch];
        for sample in &mut self.samples {
            *sample = Sample::default();
        }
        for place in 0..self.shape.new {
            let first = at.iter().copied().min().unwrap();
            let nodes: Vec<usize> = if place == 0 {
                vec![last]
            } else {
                (first..self.trie.len()).collect()
            };
            let log_sums = self
                .tape
                .distributions(network, &nodes, &mut self.probabilities);
            assert_eq!(log_sums.len(), nodes.len());
            let level = self.trie.len();
            for (at, sample) in at.iter_mut().zip(&mut self.samples) {
                let row = &self.probabilities[(*at - nodes[0]) * v..][..v];
                let token = match self.shape.answers {
                    Some(chances) => answer(chances, place, &mut self.rng),
                    None => draw(row, &mut self.rng),
                };
                sample.nodes.push(*at);
                sample.tokens.push(token);
                sample.log_probs.push(row[token as usize].max(1e-30).ln());
                if place + 1 < self.shape.new {
                    let known = self.trie.len() > level;
                    let child = known.then(|| self.trie.child(Some(*at), token)).flatten();
                    *at = child.unwrap_or_else(|| self.trie.push(Some(*at), token).unwrap());
                }
            }
            if place + 1 < self.shape.new {
                self.tape.extend(network, &self.trie).unwrap();
            }
        }
    }

    /// log π_ref of every chosen token: what was seen before is looked up, the rest computed below the prompt, sequence
    /// after sequence as the trainer does, so that histories lie close together.
    fn reference(&mut self, network: Network<'_>) -> Vec<Vec<f32>> {
        let v = self.shape.config.vocab_size;
        let mut missing: Vec<&[u32]> = (self.samples.iter())
            .map(|sample| sample.tokens.as_slice())
            .filter(|tokens| (1..=tokens.len()).any(|i| !self.known.contains_key(&tokens[..i])))
            .collect();
        missing.sort_unstable();
        missing.dedup();
        if !missing.is_empty() {
            let (trie, tape) = (&mut self.reference_trie, &mut self.reference_tape);
            trie.truncate(0);
            tape.truncate(self.prompt.len());
            let last = trie.insert(None, &self.prompt).unwrap();
            let mut asked: Vec<(usize, &[u32])> = vec![];
            for tokens in missing {
                let mut at = last;
                for i in 0..tokens.len() {
                    if i > 0 {
                        at = trie.insert(Some(at), &tokens[i - 1..i]).unwrap();
                    }
                    asked.push((at, &tokens[..=i]));
                }
            }
            let mut nodes: Vec<usize> = asked.iter().map(|(node, _)| *node).collect();
            nodes.sort_unstable();
            nodes.dedup();
            tape.extend(network, trie).unwrap();
            let _ = tape.distributions(network, &nodes, &mut self.probabilities);
            for (node, tokens) in asked {
                let row = nodes.binary_search(&node).unwrap();
                let p = self.probabilities[row * v + tokens[tokens.len() - 1] as usize];
                self.known.insert(tokens.to_vec(), p.max(1e-30).ln());
            }
        }
        self.samples
            .iter()
            .map(|s| {
                (0..s.tokens.len())
                    .map(|i| self.known[&s.tokens[..=i]])
                    .collect()
            })
            .collect()
    }

    /// Weights of the log-probabilities in the loss of the peer: leave-one-out REINFORCE and the k3 estimate of the
    /// divergence.
    fn choices(&self, advantages: &[f32], reference: &[Vec<f32>]) -> Vec<Choice> {
        let (b, t) = (self.shape.batch as f32, self.shape.new as f32);
        let mut choices = vec![];
        for ((sample, advantage), reference) in self.samples.iter().zip(advantages).zip(reference) {
            for (i, &node) in sample.nodes.iter().enumerate() {
                let ratio = (reference[i] - sample.log_probs[i]).exp();
                choices.push(Choice {
                    node,
                    token: sample.tokens[i],
                    weight: -advantage / b + BETA * (1.0 - ratio) / (b * t),
                });
            }
        }
        choices.sort_by_key(|c| c.node);
        choices
    }
}

fn draw(row: &[f32], rng: &mut ChaCha8Rng) -> u32 {
    let mut left: f32 = rng.random();
    for (token, p) in row.iter().enumerate() {
        left -= p;
        if left < 0.0 {
            return token as u32;
        }
    }
    row.len() as u32 - 1
}

fn answer(chances: [f32; 2], place: usize, rng: &mut ChaCha8Rng) -> u32 {
    if place > 0 {
        return 2;
    }
    let u: f32 = rng.random();
    if u < chances[0] {
        33
    } else if u < chances[0] + chances[1] {
        34
    } else {
        rng.random_range(40..48)
    }
}

fn run(shape: &Shape, rank: usize) -> String {
    let layout = Layout::new(&shape.config).unwrap();
    let reference_weights = random_weights(&layout, 1);
    let lora = (rank > 0).then(|| {
        LoraLayout::new(
            &layout,
            rank,
            2.0 * rank as f64,
            &[LoraModule::Q, LoraModule::V],
        )
        .unwrap()
    });
    let mut trained = match &lora {
        Some(lora) => Buffer::from(lora.initial(0).as_slice()),
        None => random_weights(&layout, 0),
    };
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let rewards: Vec<f32> = (0..shape.batch)
        .map(|_| rng.random_range(-1.0..1.0))
        .collect();
    let total: f32 = rewards.iter().sum();
    let others = (shape.batch - 1) as f32;
    let advantages: Vec<f32> = rewards.iter().map(|r| r - (total - r) / others).collect();
    let mut gradient = Buffer::zeros(trained.len());
    let settings = AdamWSettings {
        weight_decay: 0.01,
        ..AdamWSettings::default()
    };
    let mut optimiser = AdamW::new(trained.len(), settings);
    let mut backward = Backward::default();
    let mut bench = Bench {
        shape,
        prompt: (0..shape.prompt)
            .map(|_| rng.random_range(1..shape.config.vocab_size as u32))
            .collect(),
        rng,
        trie: Trie::new(),
        tape: Tape::new(&layout),
        reference_trie: Trie::new(),
        reference_tape: Tape::inference(&layout),
        samples: vec![Sample::default(); shape.batch],
        known: HashMap::new(),
        probabilities: vec![],
    };
    let mut times: [Vec<f64>; 4] = Default::default();
    let mut nodes = vec![];
    let warm = 2;
    for rep in 0..shape.reps + warm {
        let mut clock = Instant::now();
        let mut parts = [0.0; 4];
        let mut lap = |part: usize| {
            parts[part] = clock.elapsed().as_secs_f64() * 1e3;
            clock = Instant::now();
        };
        let policy = match &lora {
            Some(lora) => Network::lora(&layout, &reference_weights, lora, &trained).unwrap(),
            None => Network::full(&layout, &trained).unwrap(),
        };
        bench.sample(policy);
        lap(0);
        let reference = bench.reference(Network::full(&layout, &reference_weights).unwrap());
        lap(1);
        let choices = bench.choices(&advantages, &reference);
        let (trie, tape) = (&bench.trie, &bench.tape);
        let norm = backward.run_unformed(policy, trie, tape, &choices, &mut gradient);
        lap(2);
        let outers = backward.outers(&layout, &bench.tape);
        optimiser.step_apart(&trained, (&mut gradient, &outers), norm, 1e-5);
        std::mem::swap(&mut trained, &mut gradient);
        lap(3);
        if rep >= warm {
            times
                .iter_mut()
                .zip(parts)
                .for_each(|(all, ms)| all.push(ms));
            nodes.push(bench.trie.len() as f64);
        }
    }
    let steps = times[0].len();
    let mut whole: Vec<f64> = (0..steps)
        .map(|i| times.iter().map(|t| t[i]).sum())
        .collect();
    let [sample, reference, gradient, optimiser] = times.each_mut().map(|t| median(t));
    format!(
        "config={} params={} trained={} nodes={:.0} sample={sample:.1} ref={reference:.1} fwd_bwd={gradient:.1} \
         adamw={optimiser:.1} step={:.1} steps_per_s={:.1} peak_mb={:.0}",
        shape.name,
        layout.len(),
        trained.len(),
        median(&mut nodes),
        sample + reference + gradient + optimiser,
        1e3 / median(&mut whole),
        peak()
    )
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    if values.len() % 2 == 1 {
        values[half]
    } else {
        0.5 * (values[half - 1] + values[half])
    }
}
