//! Keeps the threads of the pool awake during one pass.
//!
//! A pass is hundreds of short products, each dealt over the threads. A thread that falls asleep between two of them has
//! to be woken by the system, which costs more than many of these products; so the others look for work until the pass
//! ends.

use std::{
    cell::Cell,
    hint, mem,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

thread_local! {
    /// Whether this thread runs a pass: it must never wait for another one's end.
    static IN_PASS: Cell<bool> = const { Cell::new(false) };
}

/// Looks without finding work before the processor is offered to others.
const PATIENCE: u32 = 4096;

/// Says that the pass is over, also when it panics.
struct Over<'a> {
    over: &'a AtomicBool,
    outer: bool,
}

impl Drop for Over<'_> {
    fn drop(&mut self) {
        IN_PASS.set(self.outer);
        self.over.store(true, Ordering::Release);
    }
}

/// Runs a pass inside the pool, the other threads awake.
pub(super) fn pass<R: Send>(run: impl FnOnce() -> R + Send) -> R {
    let over = AtomicBool::new(false);
    rayon::scope(|scope| {
        let outer = IN_PASS.replace(true);
        let guard = Over { over: &over, outer };
        if !outer {
            for _ in 1..rayon::current_num_threads() {
                scope.spawn(|_| stay_awake(&over));
            }
        }
        let result = run();
        mem::drop(guard);
        result
    })
}

fn stay_awake(over: &AtomicBool) {
    // This thread waits inside a pass of its own: that one must not hang on another.
    if IN_PASS.get() {
        return;
    }
    let mut idle = 0u32;
    while !over.load(Ordering::Acquire) {
        if rayon::yield_now() == Some(rayon::Yield::Executed) {
            idle = 0;
            continue;
        }
        idle += 1;
        if idle.is_multiple_of(PATIENCE) {
            thread::yield_now();
        } else {
            hint::spin_loop();
        }
    }
}
