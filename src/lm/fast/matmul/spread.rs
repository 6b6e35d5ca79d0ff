//! How a product is dealt over threads.

use std::ops::Range;

use rayon::prelude::*;

/// Multiply-adds below which a second thread costs more than it brings.
pub(super) const WORTH_A_THREAD: usize = 1 << 20;

/// How a product may spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::lm::fast) enum Spread {
    /// Over the threads of the pool, where it is large enough.
    Threads,
    /// Nowhere: the caller already runs on every thread.
    Alone,
}

/// Runs `run` on parts of `0..size` whose borders are multiples of `unit`, one part per thread where the work is worth it;
/// returns the sum of what it returns.
pub(super) fn split(
    size: usize,
    unit: usize,
    work: usize,
    spread: Spread,
    run: impl Fn(Range<usize>) -> f64 + Sync,
) -> f64 {
    let threads = match spread {
        Spread::Threads if work >= WORTH_A_THREAD => rayon::current_num_threads(),
        Spread::Threads | Spread::Alone => 1,
    };
    let units = size.div_ceil(unit);
    let threads = threads.min(units);
    if threads < 2 {
        return run(0..size);
    }
    let border = |i: usize| (units * i / threads * unit).min(size);
    // Two threads are the common case and need no list.
    if threads == 2 {
        let (first, second) = rayon::join(|| run(0..border(1)), || run(border(1)..size));
        return first + second;
    }
    let parts: Vec<f64> = (0..threads)
        .into_par_iter()
        .with_max_len(1)
        .map(|i| run(border(i)..border(i + 1)))
        .collect();
    parts.iter().sum()
}

/// A pointer that parts of one product share; each writes places of its own.
#[derive(Clone, Copy)]
pub(super) struct Shared(pub(super) *mut f32);
#[derive(Clone, Copy)]
pub(super) struct SharedConst(pub(super) *const f32);

#[expect(unsafe_code, reason = "threads write disjoint parts of one matrix")]
// SAFETY: every use writes parts that do not overlap, inside a slice that outlives it.
unsafe impl Sync for Shared {}
#[expect(unsafe_code, reason = "threads read one matrix")]
// SAFETY: only read, inside a slice that outlives it.
unsafe impl Sync for SharedConst {}

impl Shared {
    pub(super) fn at(&self, offset: usize) -> *mut f32 {
        self.0.wrapping_add(offset)
    }
}

impl SharedConst {
    pub(super) fn at(&self, offset: usize) -> *const f32 {
        self.0.wrapping_add(offset)
    }
}
