//! What the session around the trainer costs, how soon an edit takes effect, and whether memory stays flat:
//! `cargo bench --bench engine`, or with `memory SECONDS` for the last part alone.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark may stop at the first error"
)]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use modescope::{
    bandit::{Analysis, ProblemSource, Trainer},
    engine::{Budget, Command, Engine, Session, Snapshot, Speed, Status},
    experiment::{Arms, Block, Edit, Preset, Source, StopRule, Training, Update, builtin_preset},
    theory::Beta,
};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "memory") {
        let seconds = arguments
            .get(at + 1)
            .and_then(|s| s.parse().ok())
            .unwrap_or(60);
        return memory(Duration::from_secs(seconds));
    }
    for arms in [100, 10_000, 100_000] {
        for (name, update) in [
            ("exact", Update::Exact),
            ("sampled", Training::default().update),
        ] {
            overhead(arms, name, update);
        }
    }
    for arms in [100, 100_000, 1_000_000] {
        latency(arms);
    }
    memory(Duration::from_secs(10));
}

/// Figure 5 with more arms.
fn preset(arms: usize, update: Update) -> Preset {
    let mut preset = builtin_preset("figure-5").unwrap();
    preset.bandit.arms = Arms::Line {
        count: arms,
        range: None,
    };
    let good = |from: usize, to: usize| Block {
        from: from * arms / 4,
        to: to * arms / 4,
        value: 1.0,
    };
    preset.bandit.rewards = Source::Blocks {
        blocks: vec![good(0, 1), good(2, 3)],
        otherwise: 0.0,
    };
    preset.training = Training {
        update,
        stop: StopRule::default(),
        ..preset.training
    };
    preset
}

/// Steps per second of processor time of the bare trainer, of a session, and of the trainer thread with a reader at 60 Hz,
/// taking turns. Processor time, so that other programs on the machine do not count.
fn overhead(arms: usize, name: &str, update: Update) {
    let preset = preset(arms, update);
    let source = ProblemSource::evaluate(&preset.bandit, None).unwrap();
    let problem = Arc::new(source.problem(&preset.bandit, &preset.objective).unwrap());
    let analysis = Arc::new(Analysis::new(&problem, &preset.objective).unwrap());
    let training = Arc::new(preset.training.clone());
    let mut trainer = Trainer::new(problem, preset.objective, analysis, training).unwrap();
    let mut session = Session::new(preset.clone(), None).unwrap();
    let engine = Engine::spawn(|| {}).unwrap();
    load(&engine, preset);

    let slice = Duration::from_millis(500);
    let (mut bare, mut within, mut thread) = (Tally::default(), Tally::default(), Tally::default());
    for _ in 0..8 {
        let (begun, cpu) = (Instant::now(), processor_secs());
        let mut steps = 0u64;
        while begun.elapsed() < slice {
            for _ in 0..(100_000 / arms).max(1) {
                trainer.step().unwrap();
                steps += 1;
            }
        }
        bare.add(steps, cpu);

        let (until, cpu, from) = (Instant::now() + slice, processor_secs(), session.step());
        session.advance(Budget::until(until), &|| false).unwrap();
        within.add(session.step() - from, cpu);

        let from = engine.snapshot().unwrap().step;
        let (begun, cpu) = (Instant::now(), processor_secs());
        engine.send(Command::Run).unwrap();
        while begun.elapsed() < slice {
            std::thread::sleep(Duration::from_millis(16));
            let _ = engine.snapshot();
        }
        engine.send(Command::Pause).unwrap();
        let last = wait(&engine, |s| s.status == Status::Paused && s.step > from);
        thread.add(last.step - from, cpu);
    }
    let [bare, within, thread] = [bare, within, thread].map(|tally| tally.steps / tally.secs);
    let begun = processor_secs();
    for _ in 0..20 {
        std::hint::black_box(trainer.measure());
    }
    let measure = (processor_secs() - begun) / 20.0 * 1e6;
    println!(
        "K={arms} {name}: bare {bare:.0} steps/s, session {within:.0} ({:+.1} %), thread read at 60 Hz {thread:.0} \
         ({:+.1} %); all metrics once {measure:.0} µs",
        100.0 * (within / bare - 1.0),
        100.0 * (thread / bare - 1.0),
    );
}

#[derive(Default)]
struct Tally {
    steps: f64,
    secs: f64,
}

impl Tally {
    fn add(&mut self, steps: u64, cpu_before: f64) {
        self.steps += steps as f64;
        self.secs += processor_secs() - cpu_before;
    }
}

/// From sending an edit to the snapshot that shows it, while training at full speed.
fn latency(arms: usize) {
    let preset = preset(arms, Training::default().update);
    let engine = Engine::spawn(|| {}).unwrap();
    let begun = Instant::now();
    load(&engine, preset.clone());
    let loaded = begun.elapsed();
    engine.send(Command::Speed(Speed::Full)).unwrap();
    engine.send(Command::Run).unwrap();
    let mut times = Vec::new();
    for i in 1..=40 {
        std::thread::sleep(Duration::from_millis(40));
        let mut objective = preset.objective;
        objective.beta = Beta::new(0.01 + 0.001 * f64::from(i)).unwrap();
        let begun = Instant::now();
        engine
            .send(Command::Edit(Edit::Objective(objective)))
            .unwrap();
        wait(&engine, |s| s.objective == objective);
        times.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    println!(
        "K={arms}: loaded in {:.0} ms; an edit is shown after {:.2} ms (median), {:.2} ms (worst of {})",
        loaded.as_secs_f64() * 1e3,
        times[times.len() / 2],
        times[times.len() - 1],
        times.len()
    );
}

/// Resident memory while training at full speed, with an edit every 50 ms.
fn memory(time: Duration) {
    let preset = preset(100, Training::default().update);
    let engine = Engine::spawn(|| {}).unwrap();
    load(&engine, preset.clone());
    engine.send(Command::Run).unwrap();
    let begun = Instant::now();
    let mut next = Duration::ZERO;
    let mut edits = 0u32;
    while begun.elapsed() < time {
        std::thread::sleep(Duration::from_millis(16));
        let snapshot = engine.snapshot().unwrap();
        while engine.try_event().is_some() {}
        edits += 1;
        if edits.is_multiple_of(3) {
            let mut objective = preset.objective;
            objective.beta = Beta::new(0.01 + 1e-5 * f64::from(edits % 1000)).unwrap();
            engine
                .send(Command::Edit(Edit::Objective(objective)))
                .unwrap();
        }
        if begun.elapsed() >= next {
            println!(
                "{:4.0} s  step {:>12}  {:.1} MiB resident  {} keyframes  {} marks",
                begun.elapsed().as_secs_f64(),
                snapshot.step,
                resident_mib(),
                snapshot.keyframes.len(),
                snapshot.marks.len(),
            );
            next += time / 10;
        }
    }
}

fn load(engine: &Engine, preset: Preset) {
    let load = Command::Load {
        preset: Arc::new(preset),
        base_dir: None,
        run: false,
    };
    engine.send(load).unwrap();
    wait(engine, |_| true);
}

fn wait(engine: &Engine, wanted: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
    loop {
        if let Some(snapshot) = engine.snapshot().filter(|s| wanted(s)) {
            return snapshot;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Processor time of this process; Linux only.
fn processor_secs() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields = text.rsplit(')').next().unwrap().split_whitespace();
    let ticks: Vec<f64> = fields
        .skip(11)
        .take(2)
        .map(|t| t.parse().unwrap())
        .collect();
    (ticks[0] + ticks[1]) / 100.0
}

/// Linux only; 0 elsewhere.
fn resident_mib() -> f64 {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let resident = pages.and_then(|text| text.split(' ').nth(1)?.parse::<f64>().ok());
    resident.unwrap_or(0.0) * 4096.0 / f64::from(1 << 20)
}
