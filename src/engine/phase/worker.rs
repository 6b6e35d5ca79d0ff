//! The thread that fills phase diagrams: one request at a time, coarse to fine, dropped at once when another arrives.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc::{SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;

use super::{PhaseOf, PhaseRequest, PhaseTraining, Scratch, boundary::refined_boundary};
use crate::engine::priority::stand_back;

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
    /// Seconds until it is complete, judged by the cells so far; none before the first.
    #[must_use]
    pub fn seconds_left(&self) -> Option<f64> {
        let left = self.total.saturating_sub(self.done) as f64;
        (self.done > 0).then(|| self.elapsed_secs / self.done as f64 * left)
    }

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

/// The background thread; dropping it ends the thread within one cell, or one step of the training in it.
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
/// Trained cells that wait to be painted.
const WAITING_CELLS: usize = 64;
/// Policies of more arms are trained one after the other.
const LARGE_ARMS: usize = 50_000;
/// Most policies that are trained at once.
const MOST_THREADS: usize = 8;
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

    /// The values of the parameters at the centre of a cell.
    fn place(&self, (column, row): Cell) -> (f64, f64) {
        let request = &self.request;
        let fraction = |cell: usize, cells: usize| (cell as f64 + 0.5) / cells as f64;
        (
            request.x.value_at(fraction(column, request.columns)),
            request.y.value_at(fraction(row, request.rows)),
        )
    }

    /// Paints the block of a cell that is computed.
    fn paint(&mut self, (column, row): Cell, stride: usize, (value, ratio): (f64, f64)) {
        let (columns, rows) = (self.request.columns, self.request.rows);
        for block_row in row..(row + stride).min(rows) {
            for block_column in column..(column + stride).min(columns) {
                let cell = block_row * columns + block_column;
                self.values[cell] = value as f32;
                self.log_ratios[cell] = ratio as f32;
            }
        }
        self.done += 1;
    }

    /// Cells of this stride that a coarser one has not computed.
    fn cells(&self, stride: usize, coarser: usize) -> impl Iterator<Item = Cell> + use<> {
        let (columns, rows) = (self.request.columns, self.request.rows);
        let known = move |cell: usize| coarser != usize::MAX && cell.is_multiple_of(coarser);
        (0..rows).step_by(stride).flat_map(move |row| {
            let across = (0..columns).step_by(stride);
            across
                .filter(move |&column| !(known(row) && known(column)))
                .map(move |column| (column, row))
        })
    }
}

/// Column and row.
type Cell = (usize, usize);

/// Where a filling thread stands in time: when it may publish, and when it is over.
struct Filling<'a> {
    shared: &'a Shared,
    wake: &'a dyn Fn(),
    start: Instant,
    published: Instant,
}

/// What became of the cells of one stride.
#[derive(PartialEq)]
enum Level {
    Done,
    /// Another request arrived.
    Dropped,
    /// The time is over.
    OutOfTime,
}

fn fill(map: &mut PhaseMap, shared: &Shared, wake: &dyn Fn()) {
    let start = Instant::now();
    let mut filling = Filling {
        shared,
        wake,
        start,
        published: start,
    };
    let mut scratch = Scratch::default();
    let of = map.request.of.clone();
    if let PhaseOf::Policy(_) = of {
        // A first training may take its time, and can be stopped before it is done.
        filling.publish(map);
    }
    let mut coarser = usize::MAX;
    for stride in [16, 8, 4, 2, 1] {
        let level = match &of {
            PhaseOf::Target => filling.solve(map, stride, coarser, &mut scratch),
            PhaseOf::Policy(training) => filling.train(map, stride, coarser, training),
        };
        match level {
            Level::Dropped => return,
            Level::OutOfTime => break,
            Level::Done => {}
        }
        map.stride = stride;
        coarser = stride;
        if filling.published.elapsed() > PUBLISH_EVERY / 4 {
            filling.publish(map);
        }
    }
    filling.publish(map);
    let mut breath = Breath::new();
    let mut is_current = true;
    map.boundary = refined_boundary(map, &mut || {
        breath.take();
        is_current = !filling.is_dropped(map);
        is_current && start.elapsed().as_secs_f64() <= map.request.budget_secs
    });
    if is_current {
        map.finished = true;
        filling.publish(map);
    }
}

impl Filling<'_> {
    fn publish(&mut self, map: &mut PhaseMap) {
        self.published = Instant::now();
        map.elapsed_secs = self.start.elapsed().as_secs_f64();
        publish(map, self.shared, self.wake);
    }

    fn publish_if_due(&mut self, map: &mut PhaseMap) {
        if self.published.elapsed() > PUBLISH_EVERY {
            self.publish(map);
        }
    }

    fn is_dropped(&self, map: &PhaseMap) -> bool {
        self.shared.generation.load(Ordering::Relaxed) != map.generation
    }

    /// Targets, in this thread.
    fn solve(
        &mut self,
        map: &mut PhaseMap,
        stride: usize,
        coarser: usize,
        scratch: &mut Scratch,
    ) -> Level {
        let mut breath = Breath::new();
        for cell in map.cells(stride, coarser) {
            if self.is_dropped(map) {
                return Level::Dropped;
            }
            if self.start.elapsed().as_secs_f64() > map.request.budget_secs {
                return Level::OutOfTime;
            }
            let (x, y) = map.place(cell);
            let found = map.request.evaluate(x, y, scratch);
            map.paint(cell, stride, found);
            breath.take();
            self.publish_if_due(map);
        }
        Level::Done
    }

    /// Trained policies, in threads of their own that stand back behind the window; each cell depends on its place alone,
    /// so that it does not matter which thread comes to it when.
    fn train(
        &mut self,
        map: &mut PhaseMap,
        stride: usize,
        coarser: usize,
        training: &PhaseTraining,
    ) -> Level {
        let cells: Vec<(Cell, (f64, f64))> = map
            .cells(stride, coarser)
            .map(|cell| (cell, map.place(cell)))
            .collect();
        let request = Arc::clone(&map.request);
        let (generation, start) = (map.generation, self.start);
        let shared = self.shared;
        let next = AtomicUsize::new(0);
        let in_time = || start.elapsed().as_secs_f64() <= request.budget_secs;
        let (sender, found) = sync_channel(WAITING_CELLS);
        let work = |sender: SyncSender<(Cell, (f64, f64))>| {
            stand_back();
            let mut breath = Breath::new();
            let mut go_on = || {
                breath.take();
                shared.generation.load(Ordering::Relaxed) == generation
            };
            while let Some((cell, place)) = cells.get(next.fetch_add(1, Ordering::Relaxed)) {
                if !in_time() {
                    break;
                }
                let Some(value) = request.evaluate_trained(*place, training, &mut go_on) else {
                    break;
                };
                if sender.send((*cell, value)).is_err() {
                    break;
                }
            }
        };
        let painted = std::thread::scope(|scope| {
            for number in 0..training_threads(request.problem.arms()).min(cells.len()) {
                let (work, sender) = (&work, sender.clone());
                let spawned = std::thread::Builder::new()
                    .name(format!("modescope-phase-{number}"))
                    .spawn_scoped(scope, move || work(sender));
                if let Err(error) = spawned {
                    tracing::warn!("the phase diagram has one thread less: {error}");
                }
            }
            drop(sender);
            let mut painted = 0;
            for (cell, value) in found {
                map.paint(cell, stride, value);
                painted += 1;
                self.publish_if_due(map);
            }
            painted
        });
        if self.is_dropped(map) {
            Level::Dropped
        } else if painted < cells.len() {
            Level::OutOfTime
        } else {
            Level::Done
        }
    }
}

/// How many policies of so many arms are trained at once: two cores stay with the window and the run, where there are as
/// many, and large policies come one at a time for the sake of memory.
fn training_threads(arms: usize) -> usize {
    if arms > LARGE_ARMS {
        return 1;
    }
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    cores.saturating_sub(2).clamp(1, MOST_THREADS)
}

/// Leaves the processor to trainer and window for a moment, now and then.
struct Breath {
    worked_from: Instant,
}

impl Breath {
    fn new() -> Self {
        Self {
            worked_from: Instant::now(),
        }
    }

    fn take(&mut self) {
        if self.worked_from.elapsed() > WORK {
            std::thread::sleep(REST);
            self.worked_from = Instant::now();
        }
    }
}
