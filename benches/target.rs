//! Targets at K = 10⁵ and 10⁶ against one pass of a vectorised exp over as much data. The exp has one thread, large targets two.
#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use divan::{Bencher, black_box};
use modescope::{
    bandit::{Analysis, Mode, Problem, Shape},
    theory::{
        Anchor, Beta, Direction, Distribution, Mara, Objective, Target, Threshold, TieProgress,
        Ties, kernels, solve, solve_into,
    },
};

fn main() {
    divan::main();
}

/// Rough rewards with two modes on a reference that falls off.
fn problem(count: usize) -> Problem {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut uniform = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let weights: Vec<f64> = (0..count)
        .map(|i| (1.0 - (i as f64 + 0.5) / count as f64).powi(4) * (0.5 + uniform()))
        .collect();
    let bump = |x: f64, centre: f64| (-0.5 * ((x - centre) / 0.03).powi(2)).exp();
    let rewards: Vec<f64> = (0..count)
        .map(|i| {
            let x = (i as f64 + 0.5) / count as f64;
            0.9 * bump(x, 0.2) + bump(x, 0.7) + 0.05 * uniform()
        })
        .collect();
    let mode = |label: &str, from: f64, to: f64| Mode {
        label: label.to_owned(),
        arms: ((from * count as f64) as u32..(to * count as f64) as u32).collect(),
    };
    Problem {
        shape: Shape::Line {
            count,
            range: (0.0, 1.0),
        },
        names: None,
        reference: Distribution::from_weights(&weights).unwrap(),
        rewards,
        modes: vec![mode("left", 0.15, 0.25), mode("right", 0.65, 0.75)],
        coverage: modescope::theory::CoverageRule::USUAL,
    }
}

const SIZES: [usize; 2] = [100_000, 1_000_000];

fn objective(direction: Direction) -> Objective {
    Objective::new(direction, Beta::new(0.05).unwrap())
}

/// Forward KL with an entropy bonus.
fn with_entropy() -> Objective {
    Objective {
        entropy: 0.01,
        ..objective(Direction::Forward)
    }
}

/// The yardstick.
#[divan::bench(args = SIZES)]
fn exp_pass(bencher: Bencher, count: usize) {
    let problem = problem(count);
    let mut output = vec![0.0; count];
    bencher.bench_local(|| {
        kernels::exp(black_box(problem.reference.log_masses()), &mut output);
        black_box(output[0])
    });
}

fn solve_again(bencher: Bencher, count: usize, objective: Objective) {
    let problem = problem(count);
    let mut target = Target::default();
    bencher.bench_local(|| {
        solve_into(
            black_box(problem.reference.log_masses()),
            &problem.rewards,
            &objective,
            &mut target,
        )
        .unwrap();
        black_box(target.masses[0])
    });
}

#[divan::bench(args = SIZES)]
fn reverse(bencher: Bencher, count: usize) {
    solve_again(bencher, count, objective(Direction::Reverse));
}

#[divan::bench(args = SIZES)]
fn forward(bencher: Bencher, count: usize) {
    solve_again(bencher, count, objective(Direction::Forward));
}

#[divan::bench(args = SIZES)]
fn alpha_half(bencher: Bencher, count: usize) {
    solve_again(bencher, count, objective(Direction::Alpha(0.5)));
}

#[divan::bench(args = SIZES)]
fn forward_with_entropy(bencher: Bencher, count: usize) {
    solve_again(bencher, count, with_entropy());
}

/// With fresh buffers each time.
#[divan::bench(args = SIZES)]
fn reverse_allocating(bencher: Bencher, count: usize) {
    let problem = problem(count);
    let objective = objective(Direction::Reverse);
    bencher.bench_local(|| solve(&problem.reference, &problem.rewards, &objective).unwrap());
}

/// Target, metrics of target and reference, ties and sentence, of a problem just opened.
#[divan::bench(args = SIZES)]
fn analysis(bencher: Bencher, count: usize) {
    let problem = problem(count);
    let objective = objective(Direction::Reverse);
    bencher.bench_local(|| Analysis::new(&problem, &objective).unwrap());
}

/// The same for a change of β alone, which is what a drag of its slider costs.
fn drag(bencher: Bencher, count: usize, objective: Objective) {
    let problem = problem(count);
    let before = Analysis::new(&problem, &objective).unwrap();
    let mut nudged = objective;
    nudged.beta = Beta::new(1.01 * objective.beta.get()).unwrap();
    bencher.bench_local(|| {
        Analysis::renewed(&problem, black_box(&nudged), (&before, &objective)).unwrap()
    });
}

#[divan::bench(args = SIZES)]
fn drag_reverse(bencher: Bencher, count: usize) {
    drag(bencher, count, objective(Direction::Reverse));
}

#[divan::bench(args = SIZES)]
fn drag_forward(bencher: Bencher, count: usize) {
    drag(bencher, count, objective(Direction::Forward));
}

#[divan::bench(args = SIZES)]
fn drag_alpha_half(bencher: Bencher, count: usize) {
    drag(bencher, count, objective(Direction::Alpha(0.5)));
}

#[divan::bench(args = SIZES)]
fn drag_alpha_two(bencher: Bencher, count: usize) {
    drag(bencher, count, objective(Direction::Alpha(2.0)));
}

#[divan::bench(args = SIZES)]
fn drag_alpha_three(bencher: Bencher, count: usize) {
    drag(bencher, count, objective(Direction::Alpha(3.0)));
}

#[divan::bench(args = SIZES)]
fn drag_forward_with_entropy(bencher: Bencher, count: usize) {
    drag(bencher, count, with_entropy());
}

/// MARA on the best tenth of the arms.
fn with_mara(objective: Objective) -> Objective {
    Objective {
        mara: Some(Mara {
            threshold: Threshold::Percentile(0.9),
            algorithm: None,
            anchor: Anchor::default(),
            per_class: false,
        }),
        ..objective
    }
}

#[divan::bench(args = SIZES)]
fn drag_mara(bencher: Bencher, count: usize) {
    drag(bencher, count, with_mara(objective(Direction::Reverse)));
}

#[divan::bench(args = SIZES)]
fn drag_mara_alpha_half(bencher: Bencher, count: usize) {
    drag(bencher, count, with_mara(objective(Direction::Alpha(0.5))));
}

#[divan::bench(args = SIZES)]
fn drag_mara_alpha_three(bencher: Bencher, count: usize) {
    drag(bencher, count, with_mara(objective(Direction::Alpha(3.0))));
}

#[divan::bench(args = SIZES)]
fn drag_mara_forward(bencher: Bencher, count: usize) {
    drag(bencher, count, with_mara(objective(Direction::Forward)));
}

#[divan::bench(args = SIZES)]
fn drag_mara_forward_with_entropy(bencher: Bencher, count: usize) {
    drag(bencher, count, with_mara(with_entropy()));
}

/// One tie of each column that the β slider divides into, found to the end: what a thread does beside the window.
fn tick_search(bencher: Bencher, count: usize, objective: Objective) {
    let problem = problem(count);
    bencher.bench_local(|| {
        let ties = Ties::of(problem.reference.log_masses(), &problem.rewards, &objective);
        let columns = ties.affordable_columns(2048);
        let edges: Vec<f64> = (0..=columns)
            .map(|edge| 10f64.powf(12.0 * edge as f64 / columns as f64 - 6.0))
            .collect();
        let mut search = ties.columns(&edges, 20_000);
        while search.advance(&|| false) == TieProgress::More {}
        black_box(search.list().ties.len())
    });
}

#[divan::bench(args = SIZES, sample_count = 1)]
fn ticks_reverse(bencher: Bencher, count: usize) {
    tick_search(bencher, count, objective(Direction::Reverse));
}

#[divan::bench(args = SIZES, sample_count = 1)]
fn ticks_forward(bencher: Bencher, count: usize) {
    tick_search(bencher, count, objective(Direction::Forward));
}

#[divan::bench(args = SIZES, sample_count = 1)]
fn ticks_alpha_half(bencher: Bencher, count: usize) {
    tick_search(bencher, count, objective(Direction::Alpha(0.5)));
}

#[divan::bench(args = SIZES, sample_count = 1)]
fn ticks_alpha_two(bencher: Bencher, count: usize) {
    tick_search(bencher, count, objective(Direction::Alpha(2.0)));
}

#[divan::bench(args = SIZES, sample_count = 1)]
fn ticks_forward_with_entropy(bencher: Bencher, count: usize) {
    tick_search(bencher, count, with_entropy());
}
