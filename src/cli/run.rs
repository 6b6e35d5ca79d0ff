//! `modescope run PRESET`: training without a window, by the same engine.

use std::{
    io::{self, BufWriter, IsTerminal as _, Write as _},
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{
    open::{Opened, open_changed, placed},
    values::whole,
};
use crate::{
    engine::{Budget, Ended, Outcome, RunFolder, Session, SessionError, StopReason, Summary},
    experiment::{Journal, StopRule},
    lm::{Ground, LmTrainError, LmTrainer},
    theory::{Metric, sampled::Estimate},
};

/// What a run without any stop rule does.
const DEFAULT_STEPS: u64 = 10_000;
/// Exit code after Ctrl-C, as shells have it.
const INTERRUPTED: u8 = 130;
/// How often the run folder and the progress get what is new.
const REPORT_PERIOD: Duration = Duration::from_millis(200);
/// How often progress is printed when standard error is not a terminal.
const LINE_PERIOD: Duration = Duration::from_secs(5);
/// Problems of up to this many arms are shown arm by arm.
const SHOWN_ARMS: usize = 16;

/// Train a preset without a window.
///
/// Trains until the preset's stop rule holds (without one, 10,000 steps) and prints what came out. The same preset,
/// seed and edits give the same run, bit for bit, here and in the window.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  modescope run figure-3                              train, then print a table
  modescope run figure-5 --steps 2000 --seed 1 --json     everything as JSON
  modescope run figure-5 --set objective.beta=0.1 --set training.learning_rate=0.02
  modescope run my.ron --out runs/a        keep metrics, policy and target
  modescope run runs/a/preset.ron --journal runs/a/journal.jsonl
                                           repeat a run with its edits

Ctrl-C ends the run and prints what there is; the exit code is then 130. A
second Ctrl-C ends it at once.")]
pub(super) struct Args {
    /// A built-in preset (`modescope presets` lists them) or a preset file
    #[arg(value_name = "PRESET|FILE")]
    preset: String,
    /// Train exactly this many steps, whatever the preset's stop rule says
    #[arg(long, value_name = "N", value_parser = whole, allow_hyphen_values = true)]
    steps: Option<u64>,
    /// Seed of the random streams, in place of the preset's
    #[arg(long, value_name = "S", value_parser = whole, allow_hyphen_values = true)]
    seed: Option<u64>,
    /// Change a value of the preset, for example objective.beta=0.1; may be repeated
    #[arg(long = "set", value_name = "PATH=VALUE")]
    sets: Vec<String>,
    /// Repeat the edits of a run folder's journal at their steps
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    /// Go on exactly where a checkpoint of the same language preset stopped (a `step-…` folder); with --journal, the edits
    /// up to there are made first
    #[arg(long, value_name = "CHECKPOINT")]
    from: Option<PathBuf>,
    /// Write a run folder: preset, journal, metrics over time, policy, target, summary
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Replace a run that is in the folder already
    #[arg(long, requires = "out")]
    overwrite: bool,
    /// Print the summary as JSON: steps, steps_per_second, every metric, what samples say with standard errors, policy, target
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    // From the very start: a reward program is asked before the first step, and must not outlive this process.
    let interrupted = watch_for_interrupt()?;
    let mut session = match session(args, &interrupted) {
        Err(error) if interrupted.load(Ordering::Relaxed) && is_stopped(&error) => {
            note("stopped before the first step");
            return Ok(ExitCode::from(INTERRUPTED));
        }
        session => session?,
    };
    let mut folder = match &args.out {
        Some(path) => Some(RunFolder::create(path, &mut session, args.overwrite)?),
        None => None,
    };
    if let Some(warning) = session.language().and_then(off_policy) {
        note(&warning);
    }
    let ended = match train(&mut session, folder.as_mut(), &interrupted, args.json) {
        Ok(ended) => ended,
        Err(error) => {
            if let Some(folder) = &mut folder {
                let summary = Summary::of(&mut session, Ended::Failed, false);
                folder.finish(&mut session, &summary);
                warn_of(folder);
            }
            return Err(error);
        }
    };
    if let Some((count, first)) = session.edits_ahead() {
        let (edits, are) = if count == 1 {
            ("edit", "was")
        } else {
            ("edits", "were")
        };
        note(&format!(
            "{count} {edits} of the journal {are} not made: the run ended at step {}, the next one belongs to step {first}",
            session.step()
        ));
    }
    let summary = Summary::of(&mut session, ended, true);
    if let Some(folder) = &mut folder {
        folder.finish(&mut session, &summary);
        warn_of(folder);
    }
    let mut out = BufWriter::new(io::stdout().lock());
    if args.json {
        serde_json::to_writer(&mut out, &summary)?;
        writeln!(out)?;
    } else {
        write_table(&mut out, &session, &summary)?;
    }
    out.flush()?;
    let is_incomplete = folder.is_some_and(|folder| folder.is_incomplete());
    Ok(match ended {
        Ended::Interrupted => ExitCode::from(INTERRUPTED),
        Ended::Failed => ExitCode::FAILURE,
        Ended::Running | Ended::Steps | Ended::Converged | Ended::Seconds if is_incomplete => {
            ExitCode::FAILURE
        }
        Ended::Running | Ended::Steps | Ended::Converged | Ended::Seconds => ExitCode::SUCCESS,
    })
}

/// Says what of a run folder could not be written.
fn warn_of(folder: &mut RunFolder) {
    for warning in folder.take_warnings() {
        note(&format!("modescope: {}", super::one_line(&warning)));
    }
}

/// What to know of samples that do not come from the policy that is trained.
fn off_policy(trainer: &LmTrainer) -> Option<String> {
    let spec = trainer.spec();
    let samples = !trainer.samples_per_step().is_empty();
    (samples && (spec.temperature != 1.0 || spec.top_p != 1.0)).then(|| {
        format!(
            "off-policy: language.temperature = {} and language.top_p = {} draw samples from another distribution than the \
             one that is trained, so the gradient is biased; 1 for both is on-policy",
            spec.temperature, spec.top_p
        )
    })
}

/// Whether a session was not started because somebody stopped it.
fn is_stopped(error: &anyhow::Error) -> bool {
    matches!(
        error.downcast_ref(),
        Some(SessionError::Language(LmTrainError::Stopped))
    )
}

/// The run at step 0, as preset and options want it.
fn session(args: &Args, stop: &Arc<AtomicBool>) -> anyhow::Result<Session> {
    let Opened {
        mut preset,
        base_dir,
        file,
    } = open_changed(&args.preset, &args.sets)?;
    if let Some(seed) = args.seed {
        preset.training.seed = seed;
    }
    if let Some(steps) = args.steps {
        preset.training.stop = StopRule {
            steps: Some(steps),
            ..StopRule::default()
        };
    } else if preset.training.stop == StopRule::default() {
        preset.training.stop.steps = Some(DEFAULT_STEPS);
        note(&format!(
            "the preset has no stop rule; training {DEFAULT_STEPS} steps (--steps N for another number)"
        ));
    }
    let journal = match &args.journal {
        Some(path) => {
            let file = || path.display().to_string();
            let text = std::fs::read_to_string(path).with_context(file)?;
            Journal::parse(&text).with_context(file)?
        }
        None => Journal::default(),
    };
    let session = Session::replay_unless(preset, base_dir.as_deref(), &journal, stop);
    let mut session = session.map_err(anyhow::Error::from).map_err(|error| {
        if is_stopped(&error) {
            error
        } else {
            placed(file.as_deref(), error)
        }
    })?;
    if let Some(checkpoint) = &args.from {
        session.go_on_from(checkpoint)?;
    }
    Ok(session)
}

/// A flag that Ctrl-C and a polite kill set, so that a run ends with what there is. The second of them ends the process at
/// once: a model that takes minutes to load, or a long step, need not be waited for.
#[cfg(unix)]
fn watch_for_interrupt() -> anyhow::Result<Arc<AtomicBool>> {
    const SIGINT: i32 = 2;
    const SIGTERM: i32 = 15;
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        let flag = Arc::clone(&interrupted);
        let set = move || {
            if flag.swap(true, Ordering::Relaxed) {
                // SAFETY: ends the process without running anything, which is safe in a signal handler.
                #[expect(unsafe_code, reason = "the only way out of a signal handler")]
                unsafe {
                    libc::_exit(INTERRUPTED.into())
                }
            }
        };
        // SAFETY: the handler sets an atomic flag or ends the process, and both are safe in a signal handler.
        #[expect(
            unsafe_code,
            reason = "a signal handler; the only way to hear of Ctrl-C"
        )]
        unsafe { signal_hook_registry::register(signal, set) }
            .context("Ctrl-C cannot be watched for")?;
    }
    Ok(interrupted)
}

/// Without signals Ctrl-C ends the program at once.
#[cfg(not(unix))]
fn watch_for_interrupt() -> anyhow::Result<Arc<AtomicBool>> {
    Ok(Arc::new(AtomicBool::new(false)))
}

fn train(
    session: &mut Session,
    mut folder: Option<&mut RunFolder>,
    interrupted: &Arc<AtomicBool>,
    quiet: bool,
) -> anyhow::Result<Ended> {
    let mut progress = Progress::new(session, quiet);
    tell(session);
    loop {
        let mut budget = Budget::until(Instant::now() + REPORT_PERIOD);
        if let Some(due) = folder
            .as_ref()
            .and_then(|folder| folder.next_checkpoint(session))
        {
            budget.steps = due.saturating_sub(session.step()).max(1);
        }
        let stopped = session.advance(budget, &|| interrupted.load(Ordering::Relaxed));
        // What was recorded until a failure is worth keeping, too.
        if let Some(folder) = &mut folder {
            folder.append(session);
            warn_of(folder);
        }
        tell(session);
        let ended = match stopped? {
            Some(StopReason::Steps) => Some(Ended::Steps),
            Some(StopReason::Converged) => Some(Ended::Converged),
            Some(StopReason::Seconds) => Some(Ended::Seconds),
            None => interrupted
                .load(Ordering::Relaxed)
                .then_some(Ended::Interrupted),
        };
        if let Some(ended) = ended {
            progress.finish();
            return Ok(ended);
        }
        progress.show(session);
    }
}

/// Says what there is to know of a run and was not told yet.
fn tell(session: &mut Session) {
    while let Some(message) = session.take_notice() {
        note(&message);
    }
}

/// Progress with the time left on standard error: a bar on a terminal, otherwise a line now and then.
enum Progress {
    Bar(ProgressBar),
    Lines { last: Instant },
    Quiet,
}

impl Progress {
    fn new(session: &Session, quiet: bool) -> Self {
        if !io::stderr().is_terminal() {
            return if quiet {
                Self::Quiet
            } else {
                Self::Lines {
                    last: Instant::now(),
                }
            };
        }
        let steps = session.preset().training.stop.steps;
        let template = match steps {
            Some(_) => "{bar:30} {human_pos} of {human_len} steps  {msg}",
            None => "{spinner} {human_pos} steps  {msg}",
        };
        let bar = match steps {
            Some(steps) => ProgressBar::new(steps),
            None => ProgressBar::new_spinner(),
        };
        bar.set_draw_target(ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self::Bar(bar)
    }

    fn show(&mut self, session: &mut Session) {
        match self {
            Self::Quiet => {}
            Self::Bar(bar) => {
                bar.set_position(session.step());
                bar.set_message(state(session));
            }
            Self::Lines { last } => {
                if last.elapsed() >= LINE_PERIOD {
                    *last = Instant::now();
                    note(&format!("step {}  {}", session.step(), state(session)));
                }
            }
        }
    }

    fn finish(&mut self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// Speed, time left and how training goes, in one line.
fn state(session: &mut Session) -> String {
    let elapsed = session.elapsed().as_secs_f64();
    let speed = session.steps_per_second();
    let metrics = session.metrics();
    let stop = session.preset().training.stop;
    let by_steps = stop
        .steps
        .map(|steps| steps.saturating_sub(session.step()) as f64 / speed.max(1e-9));
    let by_time = stop.seconds.map(|seconds| (seconds - elapsed).max(0.0));
    let left = match (by_steps, by_time) {
        (Some(a), Some(b)) => format!("  {} left", duration(a.min(b))),
        (Some(left), None) | (None, Some(left)) => format!("  {} left", duration(left)),
        (None, None) => String::new(),
    };
    format!(
        "{speed:.0} steps/s  E[R] {:.4}  TV(π, G) {:.4}{left}",
        metrics.get(Metric::ExpectedReward),
        metrics.get(Metric::TvToTarget),
    )
}

fn duration(seconds: f64) -> String {
    if seconds < 100.0 {
        format!("{seconds:.0} s")
    } else if seconds < 6000.0 {
        format!("{:.0} min", seconds / 60.0)
    } else {
        format!("{:.1} h", seconds / 3600.0)
    }
}

/// The summary for a reader.
fn write_table(out: &mut impl io::Write, session: &Session, summary: &Summary) -> io::Result<()> {
    let ended = match summary.ended {
        Ended::Running | Ended::Steps => "all steps done",
        Ended::Converged => "converged",
        Ended::Seconds => "time is over",
        Ended::Interrupted => "interrupted",
        Ended::Failed => "failed",
    };
    writeln!(out, "{}", summary.title)?;
    let now = if summary.steps_now == summary.steps {
        String::new()
    } else {
        format!(", {} of them now,", summary.steps_now)
    };
    writeln!(
        out,
        "{} steps{now} in {:.2} s ({:.0} steps/s), {ended}, seed {}\n",
        summary.steps, summary.seconds, summary.steps_per_second, summary.seed
    )?;
    let sampled = (summary.outcome.as_ref()).and_then(|outcome| outcome.sampled.as_ref());
    let columns = ["", "policy", "target"].into_iter();
    let columns = columns.chain(sampled.map(|_| "recent samples"));
    let mut rows: Vec<Vec<String>> = vec![columns.map(str::to_owned).collect()];
    for &metric in Metric::ALL {
        let of_policy = match summary.standard_errors.get(metric.key()) {
            Some(error) => format!("{} ± {}", number(summary.metric(metric)), number(*error)),
            None => number(summary.metric(metric)),
        };
        let mut row = vec![
            metric.label_by(summary.coverage).into_owned(),
            of_policy,
            number(summary.target_metric(metric)),
        ];
        if let Some(sampled) = sampled {
            row.push(sampled.metric(metric).map_or_else(String::new, estimate));
        }
        rows.push(row);
    }
    if let Some(outcome) = &summary.outcome {
        let draws = |count: Option<u64>| count.map_or_else(|| "–".to_owned(), |n| n.to_string());
        let (policy, target) = (outcome.draws, outcome.target_draws);
        for (share, policy, target) in [
            ("50 %", policy.for_50_percent, target.for_50_percent),
            ("95 %", policy.for_95_percent, target.for_95_percent),
        ] {
            rows.push(vec![
                format!("draws for {share} coverage"),
                draws(policy),
                draws(target),
            ]);
        }
    }
    write_columns(out, &rows)?;
    if let Some(step) = summary.causes_at_step.filter(|step| *step < summary.steps) {
        writeln!(
            out,
            "causes dynamics and sampling and the estimator bias as of step {step}, the last one compared"
        )?;
    }
    let grounds = session.grounds();
    if let (Some(outcome), Some(ground)) = (&summary.outcome, grounds.first()) {
        write_outcome(out, ground, outcome)?;
    }
    for (index, (prompt, ground)) in summary.prompts.iter().zip(grounds).enumerate() {
        let prefill = match prompt.prefill.as_str() {
            "" => String::new(),
            prefill => format!(", answered from {prefill:?} on"),
        };
        writeln!(out, "\nprompt {index}: {:?}{prefill}", prompt.prompt)?;
        write_outcome(out, ground, &prompt.outcome)?;
    }
    Ok(())
}

/// Modes, arms and the sentence of a bandit or of one prompt.
fn write_outcome(out: &mut impl io::Write, ground: &Ground, outcome: &Outcome) -> io::Result<()> {
    let Ground { problem, analysis } = ground;
    if !outcome.modes.is_empty() {
        writeln!(out)?;
        let columns = ["mode", "reference", "target", "policy"].into_iter();
        let columns = columns.chain(outcome.sampled.as_ref().map(|_| "recent samples"));
        let mut rows: Vec<Vec<String>> = vec![columns.map(str::to_owned).collect()];
        for mode in outcome.modes.iter().take(SHOWN_ARMS) {
            let numbers = [mode.reference, mode.target, mode.policy].map(number);
            let mut row = vec![mode.label.clone()];
            row.extend(numbers);
            row.extend(mode.samples.map(estimate));
            rows.push(row);
        }
        write_columns(out, &rows)?;
        if let Some(more) = (outcome.modes.len().checked_sub(SHOWN_ARMS)).filter(|&n| n > 0) {
            writeln!(out, "and {more} more modes")?;
        }
    }
    if outcome.arms <= SHOWN_ARMS {
        writeln!(out)?;
        let reference = problem.reference.masses();
        let mut rows = vec![["arm", "reward", "reference", "target", "policy"].map(str::to_owned)];
        for (arm, reference) in reference.into_iter().enumerate() {
            let at = |masses: &Option<Vec<f64>>| {
                (masses.as_ref().and_then(|m| m.get(arm).copied())).map_or_else(String::new, number)
            };
            let reward = analysis.rewards.get(arm).copied();
            rows.push([
                problem.arm_label(arm),
                reward.map_or_else(String::new, number),
                number(reference),
                at(&outcome.target),
                at(&outcome.policy),
            ]);
        }
        write_columns(out, &rows)?;
    }
    if !outcome.sentence.is_empty() {
        writeln!(out, "\n{}", outcome.sentence)?;
    }
    Ok(())
}

/// First column to the left, the others to the right.
fn write_columns(out: &mut impl io::Write, rows: &[impl AsRef<[String]>]) -> io::Result<()> {
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.as_ref().get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    for row in rows {
        let row = row.as_ref();
        // What is empty at the end needs no blanks.
        let filled = row.iter().rposition(|cell| !cell.is_empty());
        let cells = row.get(..=filled.unwrap_or(0)).unwrap_or(row);
        for (column, cell) in cells.iter().enumerate() {
            let width = width(column);
            if column == 0 {
                write!(out, "{cell:<width$}")?;
            } else {
                write!(out, "  {cell:>width$}")?;
            }
        }
        writeln!(out)?;
    }
    Ok(())
}

/// An estimate with its standard error.
fn estimate(estimate: Estimate) -> String {
    format!(
        "{} ± {}",
        number(estimate.value),
        number(estimate.standard_error)
    )
}

/// Four decimals, or an exponent where those would say nothing.
fn number(value: f64) -> String {
    if value == 0.0 {
        "0".to_owned()
    } else if value.is_nan() {
        "–".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "∞" } else { "−∞" }.to_owned()
    } else if (1e-3..1e5).contains(&value.abs()) {
        format!("{value:.4}")
    } else {
        format!("{value:.2e}")
    }
}

/// One line on standard error; nothing can be done when that is closed.
fn note(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
