//! The thread that fills phase diagrams: one request at a time, coarse to fine, dropped at once when another arrives.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{SyncSender, sync_channel},
    },
    time::{Duration, Instant},
};

use super::{PhaseOf, PhaseRequest, PhaseTraining, Scratch, boundary::refined_boundary};
use crate::engine::{
    newest::{Desk, Newest, Turn},
    priority::stand_back,
};

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
pub struct PhaseWorker(Newest<PhaseRequest, PhaseMap>);

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
        let work = move |desk: &Desk<PhaseRequest, PhaseMap>| {
            while let Some((turn, request)) = desk.wait() {
                let mut map = PhaseMap::empty(turn.number(), request);
                let outcome =
                    catch_unwind(AssertUnwindSafe(|| fill(&mut map, (desk, turn), &wake)));
                if outcome.is_err() {
                    map.finished = true;
                    map.failed = true;
                    desk.publish(turn, map, &wake);
                }
            }
        };
        Newest::spawn("modescope-phase", work).map(Self)
    }

    /// Drops what is being computed and starts on this; returns the generation that its maps carry.
    pub fn start(&self, request: PhaseRequest) -> u64 {
        self.0.ask(request)
    }

    /// Drops what is being computed; what was published stays.
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// The latest map, of whatever request.
    #[must_use]
    pub fn latest(&self) -> Option<Arc<PhaseMap>> {
        self.0.latest()
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
    desk: &'a Desk<PhaseRequest, PhaseMap>,
    turn: Turn<'a>,
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

fn fill(
    map: &mut PhaseMap,
    (desk, turn): (&Desk<PhaseRequest, PhaseMap>, Turn<'_>),
    wake: &dyn Fn(),
) {
    let start = Instant::now();
    let mut filling = Filling {
        desk,
        turn,
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
        is_current = !turn.is_over();
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
        self.desk.publish(self.turn, map.clone(), self.wake);
    }

    fn publish_if_due(&mut self, map: &mut PhaseMap) {
        if self.published.elapsed() > PUBLISH_EVERY {
            self.publish(map);
        }
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
            if self.turn.is_over() {
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
        let (turn, start) = (self.turn, self.start);
        let next = AtomicUsize::new(0);
        let in_time = || start.elapsed().as_secs_f64() <= request.budget_secs;
        let (sender, found) = sync_channel(WAITING_CELLS);
        let work = |sender: SyncSender<(Cell, (f64, f64))>| {
            stand_back();
            let mut breath = Breath::new();
            let mut go_on = || {
                breath.take();
                !turn.is_over()
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
        if self.turn.is_over() {
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
