//! Measuring the window's own frames: CPU per frame, the time from an input to the frame that shows its effect, and
//! memory as it goes.

use std::time::Instant;

use egui::Context;
use serde::Serialize;

use super::app::Workbench;

/// Seconds between injected edits of β.
const INPUT_EVERY_SECS: f64 = 0.25;
/// Seconds between readings of memory.
const MEMORY_EVERY_SECS: f64 = 30.0;
/// Frames at the start that count towards start-up and not towards the steady state.
const WARM_UP_FRAMES: usize = 5;

/// A measurement going on.
pub(super) struct FrameStats {
    started: Instant,
    first_frame_ms: Option<f64>,
    frame_started: Option<(Instant, Option<f64>)>,
    cpu_ms: Vec<f64>,
    wall_ms: Vec<f64>,
    reported_ms: Vec<f64>,
    ui_ms: Vec<f64>,
    ui_cpu_ms: Vec<f64>,
    injected: Option<(Instant, f64)>,
    shown: Option<Instant>,
    last_input: Instant,
    latency_ms: Vec<f64>,
    memory: Vec<Memory>,
    frames: usize,
}

/// What the process held at one time.
#[derive(Serialize)]
struct Memory {
    seconds: f64,
    resident_mb: f64,
}

#[derive(Serialize)]
struct Percentiles {
    p50: f64,
    p90: f64,
    p99: f64,
    max: f64,
    count: usize,
}

#[derive(Serialize)]
struct Report {
    frames: usize,
    arms: usize,
    steps: u64,
    steps_per_second: f64,
    first_frame_ms: f64,
    /// CPU time of the window's thread from one frame's start to the next: ui, tessellation, painting, event loop.
    cpu_ms_per_frame: Percentiles,
    /// The part of the above that takes in news and builds the ui: no painting.
    ui_cpu_ms: Percentiles,
    /// Wall time of that part.
    ui_wall_ms: Percentiles,
    /// Wall time of ui, tessellation and painting without waiting for the screen, as eframe reports it.
    frame_wall_ms: Percentiles,
    /// Wall time from one frame's start to the next.
    frame_interval_ms: Percentiles,
    /// From an edit of β to the end of the frame whose target has it.
    input_to_redraw_ms: Percentiles,
    /// Resident memory of the whole process, a reading every half minute and one at the end; empty where the system does
    /// not tell.
    memory: Vec<Memory>,
}

impl FrameStats {
    /// Starts measuring; `started` is when the program began to open the window.
    pub(super) fn new(started: Instant) -> Self {
        Self {
            started,
            first_frame_ms: None,
            frame_started: None,
            cpu_ms: Vec::new(),
            wall_ms: Vec::new(),
            reported_ms: Vec::new(),
            ui_ms: Vec::new(),
            ui_cpu_ms: Vec::new(),
            injected: None,
            shown: None,
            last_input: started,
            latency_ms: Vec::new(),
            memory: Vec::new(),
            frames: 0,
        }
    }

    /// A frame begins, and with it the one before is on the screen.
    pub(super) fn frame_begins(&mut self, _ctx: &Context) {
        let now = (Instant::now(), thread_cpu_ms());
        if let Some((before, cpu)) = self.frame_started.replace(now) {
            self.frames += 1;
            if self.first_frame_ms.is_none() {
                self.first_frame_ms = Some(1e3 * self.started.elapsed().as_secs_f64());
            }
            if self.frames > WARM_UP_FRAMES {
                self.wall_ms.push(1e3 * (now.0 - before).as_secs_f64());
                if let (Some(cpu), Some(now)) = (cpu, now.1) {
                    self.cpu_ms.push(now - cpu);
                }
            }
        }
        if self.started.elapsed().as_secs_f64() > MEMORY_EVERY_SECS * self.readings_due() {
            self.read_memory();
        }
        if let (Some(_), Some((since, _))) = (self.shown.take(), self.injected) {
            self.latency_ms.push(1e3 * since.elapsed().as_secs_f64());
            self.injected = None;
        }
    }

    /// Changes β now and then, as a dragging hand does.
    pub(super) fn inject(
        &mut self,
        ctx: &Context,
        workbench: &mut Workbench,
        reported_secs: Option<f32>,
    ) {
        if self.frames > WARM_UP_FRAMES {
            self.reported_ms
                .extend(reported_secs.map(|secs| 1e3 * f64::from(secs)));
        }
        if self.injected.is_none() && self.last_input.elapsed().as_secs_f64() > INPUT_EVERY_SECS {
            self.last_input = Instant::now();
            if let Some(beta) = workbench.nudge_beta(ctx) {
                self.injected = Some((self.last_input, beta));
            }
        }
    }

    /// The ui of this frame is built.
    pub(super) fn ui_ended(&mut self, workbench: &Workbench) {
        if let Some((began, cpu)) = self.frame_started
            && self.frames > WARM_UP_FRAMES
        {
            self.ui_ms.push(1e3 * began.elapsed().as_secs_f64());
            if let (Some(cpu), Some(now)) = (cpu, thread_cpu_ms()) {
                self.ui_cpu_ms.push(now - cpu);
            }
        }
        if self.injected.is_some() && self.shown.is_none() && workbench.is_in_step() {
            self.shown = Some(Instant::now());
        }
    }

    fn readings_due(&self) -> f64 {
        self.memory.len() as f64 + 1.0
    }

    fn read_memory(&mut self) {
        if let Some(resident_mb) = resident_mb() {
            self.memory.push(Memory {
                seconds: self.started.elapsed().as_secs_f64(),
                resident_mb,
            });
        }
    }

    /// The report as JSON.
    pub(super) fn report(mut self, workbench: &Workbench) -> Result<String, String> {
        self.read_memory();
        let snapshot = workbench.snapshot();
        let report = Report {
            frames: self.frames,
            arms: snapshot.problem.arms(),
            steps: snapshot.step,
            steps_per_second: snapshot.steps_per_second,
            first_frame_ms: self.first_frame_ms.unwrap_or(f64::NAN),
            cpu_ms_per_frame: percentiles(&self.cpu_ms),
            ui_cpu_ms: percentiles(&self.ui_cpu_ms),
            ui_wall_ms: percentiles(&self.ui_ms),
            frame_wall_ms: percentiles(&self.reported_ms),
            frame_interval_ms: percentiles(&self.wall_ms),
            input_to_redraw_ms: percentiles(&self.latency_ms),
            memory: self.memory,
        };
        serde_json::to_string_pretty(&report)
            .map(|text| text + "\n")
            .map_err(|error| error.to_string())
    }
}

fn percentiles(values: &[f64]) -> Percentiles {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let index = (share * sorted.len() as f64).ceil() as usize;
        sorted
            .get(index.saturating_sub(1))
            .copied()
            .unwrap_or(f64::NAN)
    };
    Percentiles {
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        max: at(1.0),
        count: sorted.len(),
    }
}

/// CPU time this thread has used, in milliseconds; none where the system does not tell.
#[cfg(unix)]
fn thread_cpu_ms() -> Option<f64> {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: clock_gettime writes one timespec to the pointer, which points to a live local.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    (failed == 0).then(|| 1e3 * time.tv_sec as f64 + time.tv_nsec as f64 / 1e6)
}

#[cfg(not(unix))]
fn thread_cpu_ms() -> Option<f64> {
    None
}

/// Memory that this process holds, in MB; none where the system does not tell.
#[cfg(target_os = "linux")]
fn resident_mb() -> Option<f64> {
    // Kilobytes, whatever the size of a page.
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024.0 / 1e6)
}

#[cfg(not(target_os = "linux"))]
fn resident_mb() -> Option<f64> {
    None
}
