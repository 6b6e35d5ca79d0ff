//! Training speed against what a researcher would write in NumPy: `cargo bench --bench bandit`.
//!
//! Runs both on this machine within the same minute, with E[R], KL(π‖G) and the entropy computed at every step on both
//! sides, and prints steps per second and the ratio.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark may stop at the first error"
)]

use std::{process::Command, sync::Arc, time::Instant};

use modescope::{
    bandit::{Analysis, Problem, Shape, Trainer},
    experiment::{Start, Training, Update},
    theory::{Beta, Direction, Distribution, Objective},
};

fn main() {
    let seconds = 2.0;
    for arms in [100, 100_000] {
        let peer = peer(arms, 256, seconds);
        let sampled = Training::default().update;
        for (name, update, peer) in [
            ("exact", Update::Exact, peer.0),
            ("reinforce", sampled, peer.1),
        ] {
            let speed = speed(arms, update, seconds);
            println!(
                "K={arms} {name} {speed:.0} steps/s, NumPy {peer:.0}, ratio {:.1}",
                speed / peer
            );
        }
    }
}

/// Steps per second of the problem of the peer script.
fn speed(arms: usize, update: Update, seconds: f64) -> f64 {
    let weights: Vec<f64> = (0..arms)
        .map(|i| (1.0 - (i as f64 + 0.5) / arms as f64).powi(4))
        .collect();
    let good = |i: usize| i < arms / 4 || (arms / 2..3 * arms / 4).contains(&i);
    let rewards: Vec<f64> = (0..arms).map(|i| f64::from(u8::from(good(i)))).collect();
    let reference = Distribution::from_weights(&weights).unwrap();
    let problem = Problem {
        shape: Shape::Line {
            count: arms,
            range: (0.0, 1.0),
        },
        names: None,
        reference,
        rewards,
        modes: vec![],
        coverage: modescope::theory::CoverageRule::USUAL,
    };
    let objective = Objective::new(Direction::Reverse, Beta::new(0.1).unwrap());
    let analysis = Analysis::new(&problem, &objective).unwrap();
    let training = Training {
        start: Start::Uniform,
        update,
        ..Training::default()
    };
    let mut trainer = Trainer::new(
        Arc::new(problem),
        objective,
        Arc::new(analysis),
        Arc::new(training),
    )
    .unwrap();
    let start = Instant::now();
    let mut steps = 0u64;
    let mut report = trainer.report();
    while start.elapsed().as_secs_f64() < seconds {
        for _ in 0..50 {
            report = trainer.step().unwrap();
        }
        steps += 50;
    }
    assert!(
        report.kl_to_target.is_finite() && report.kl_to_target < 10.0,
        "{report:?}"
    );
    steps as f64 / start.elapsed().as_secs_f64()
}

/// The peer's steps per second, exact and sampled; NaN where there is no Python with NumPy.
fn peer(arms: usize, batch: usize, seconds: f64) -> (f64, f64) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/peer_bandit.py");
    let output = Command::new("python3")
        .args([
            script,
            &arms.to_string(),
            &batch.to_string(),
            &seconds.to_string(),
        ])
        .output();
    let text = output.map_or(String::new(), |o| {
        String::from_utf8_lossy(&o.stdout).into_owned()
    });
    let numpy = text
        .lines()
        .find(|line| line.starts_with("peer=numpy"))
        .unwrap_or("");
    let field = |name: &str| {
        numpy
            .split_whitespace()
            .find_map(|word| word.strip_prefix(name))
            .and_then(|value| value.parse().ok())
            .unwrap_or(f64::NAN)
    };
    (field("exact_steps_per_s="), field("reinforce_steps_per_s="))
}
