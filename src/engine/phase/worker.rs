//! The thread that fills phase diagrams: one request at a time, coarse to fine, dropped at once when another arrives.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;

use super::{PhaseRequest, Scratch, boundary::refined_boundary};

/// A phase diagram as far as it is computed.
#[derive(Debug, Clone)]
pub struct PhaseMap {
    /// What [`PhaseWorker::start`] returned for it.
    pub generation: u64,
    /// What was asked for.
    pub request: Arc<PhaseRequest>,
    /// The quantity, row by row, row 0 at the bottom; coarse cells fill their whole block, NaN where nothing is known or
    /// defined.
    pub values: Vec<f32>,
    /// The pair's natural-log ratio, likewise.
    pub log_ratios: Vec<f32>,
    /// The pair's tie boundary with its crossings solved for, where there is no closed form and was time.
    pub boundary: Option<Vec<[(f64, f64); 2]>>,
    /// Edge of the blocks that are complete; 1 is full resolution.
    pub stride: usize,
    /// Cells computed.
    pub done: usize,
    /// Cells in all.
    pub total: usize,
    /// Nothing more will come: complete, or out of its budget.
    pub finished: bool,
    /// It ended because of a defect; what is there may be drawn.
    pub failed: bool,
    /// Seconds spent.
    pub elapsed_secs: f64,
}

impl PhaseMap {
    /// Smallest and largest finite value, if there is any.
    #[must_use]
    pub fn range(&self) -> Option<(f64, f64)> {
        let finite = self.values.iter().filter(|value| value.is_finite());
        let range = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &value| {
            (low.min(f64::from(value)), high.max(f64::from(value)))
        });
        (range.0 <= range.1).then_some(range)
    }
}

/// The background thread; dropping it ends the thread within one cell.
#[derive(Debug)]
pub struct PhaseWorker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    /// The next request, if it was not taken yet.
    next: Mutex<Option<Arc<PhaseRequest>>>,
    arrived: Condvar,
    /// Number of the latest request; 0 is none, STOP ends the thread.
    generation: AtomicU64,
    latest: ArcSwapOption<PhaseMap>,
}

const STOP: u64 = u64::MAX;
/// Shortest time between two publications within one level.
const PUBLISH_EVERY: Duration = Duration::from_millis(80);
/// The thread works this long, then leaves the processor to trainer and window for a moment.
const WORK: Duration = Duration::from_millis(4);
const REST: Duration = Duration::from_micros(700);

impl PhaseWorker {
    /// Starts the thread. `wake` is called, from that thread, whenever there is more to draw.
    ///
    /// # Errors
    /// When the system refuses another thread.
    pub fn spawn(wake: impl Fn() + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let inside = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("modescope-phase".to_owned())
            .spawn(move || serve(&inside, &wake))?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Drops what is being computed and starts on this; returns the generation that its maps carry.
    pub fn start(&self, request: PhaseRequest) -> u64 {
        let mut next = lock(&self.shared.next);
        let generation = self.shared.generation.fetch_add(1, Ordering::Relaxed) + 1;
        *next = Some(Arc::new(request));
        self.shared.arrived.notify_one();
        generation
    }

    /// Drops what is being computed; what was published stays.
    pub fn cancel(&self) {
        let mut next = lock(&self.shared.next);
        self.shared.generation.fetch_add(1, Ordering::Relaxed);
        *next = None;
    }

    /// The latest map, of whatever request.
    #[must_use]
    pub fn latest(&self) -> Option<Arc<PhaseMap>> {
        self.shared.latest.load_full()
    }
}

impl Drop for PhaseWorker {
    fn drop(&mut self) {
        {
            let mut next = lock(&self.shared.next);
            self.shared.generation.store(STOP, Ordering::Relaxed);
            *next = None;
            self.shared.arrived.notify_one();
        }
        if let Some(thread) = self.thread.take() {
            // A panic there was caught and told already.
            let _ = thread.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(shared: &Shared, wake: &dyn Fn()) {
    while let Some((generation, request)) = wait(shared) {
        let mut map = PhaseMap::empty(generation, request);
        let outcome = catch_unwind(AssertUnwindSafe(|| fill(&mut map, shared, wake)));
        if outcome.is_err() {
            map.finished = true;
            map.failed = true;
            publish(&map, shared, wake);
        }
    }
}

/// The next request and its generation; none when the thread must end.
fn wait(shared: &Shared) -> Option<(u64, Arc<PhaseRequest>)> {
    let mut next = lock(&shared.next);
    loop {
        let generation = shared.generation.load(Ordering::Relaxed);
        if generation == STOP {
            return None;
        }
        if let Some(request) = next.take() {
            return Some((generation, request));
        }
        next = shared
            .arrived
            .wait(next)
            .unwrap_or_else(PoisonError::into_inner);
    }
}

fn publish(map: &PhaseMap, shared: &Shared, wake: &dyn Fn()) {
    if shared.generation.load(Ordering::Relaxed) == map.generation {
        shared.latest.store(Some(Arc::new(map.clone())));
        wake();
    }
}

impl PhaseMap {
    fn empty(generation: u64, request: Arc<PhaseRequest>) -> Self {
        let total = request.columns * request.rows;
        Self {
            generation,
            values: vec![f32::NAN; total],
            log_ratios: vec![f32::NAN; total],
            boundary: None,
            stride: usize::MAX,
            done: 0,
            total,
            finished: false,
            failed: false,
            elapsed_secs: 0.0,
            request,
        }
    }

    /// Computes one cell and paints its block.
    fn compute(&mut self, column: usize, row: usize, stride: usize, scratch: &mut Scratch) {
        let request = Arc::clone(&self.request);
        let fraction = |cell: usize, cells: usize| (cell as f64 + 0.5) / cells as f64;
        let x = request.x.value_at(fraction(column, request.columns));
        let y = request.y.value_at(fraction(row, request.rows));
        let (value, ratio) = request.evaluate(x, y, scratch);
        for block_row in row..(row + stride).min(request.rows) {
            for block_column in column..(column + stride).min(request.columns) {
                let cell = block_row * request.columns + block_column;
                self.values[cell] = value as f32;
                self.log_ratios[cell] = ratio as f32;
            }
        }
        self.done += 1;
    }
}

fn fill(map: &mut PhaseMap, shared: &Shared, wake: &dyn Fn()) {
    let start = Instant::now();
    let (mut worked_from, mut published) = (start, start);
    let (columns, rows) = (map.request.columns, map.request.rows);
    let mut coarser = usize::MAX;
    let mut scratch = Scratch::default();
    for stride in [16, 8, 4, 2, 1] {
        for row in (0..rows).step_by(stride) {
            for column in (0..columns).step_by(stride) {
                if coarser != usize::MAX && row % coarser == 0 && column % coarser == 0 {
                    continue;
                }
                if shared.generation.load(Ordering::Relaxed) != map.generation {
                    return;
                }
                if start.elapsed().as_secs_f64() > map.request.budget_secs {
                    finish(map, start, shared, wake);
                    return;
                }
                map.compute(column, row, stride, &mut scratch);
                if worked_from.elapsed() > WORK {
                    std::thread::sleep(REST);
                    worked_from = Instant::now();
                }
                if published.elapsed() > PUBLISH_EVERY {
                    published = Instant::now();
                    map.elapsed_secs = start.elapsed().as_secs_f64();
                    publish(map, shared, wake);
                }
            }
        }
        map.stride = stride;
        coarser = stride;
        if published.elapsed() > PUBLISH_EVERY / 4 {
            published = Instant::now();
            map.elapsed_secs = start.elapsed().as_secs_f64();
            publish(map, shared, wake);
        }
    }
    publish(map, shared, wake);
    let mut is_current = true;
    map.boundary = refined_boundary(map, &mut || {
        if worked_from.elapsed() > WORK {
            std::thread::sleep(REST);
            worked_from = Instant::now();
        }
        is_current = shared.generation.load(Ordering::Relaxed) == map.generation;
        is_current && start.elapsed().as_secs_f64() <= map.request.budget_secs
    });
    if is_current {
        finish(map, start, shared, wake);
    }
}

fn finish(map: &mut PhaseMap, start: Instant, shared: &Shared, wake: &dyn Fn()) {
    map.finished = true;
    map.elapsed_secs = start.elapsed().as_secs_f64();
    publish(map, shared, wake);
}
