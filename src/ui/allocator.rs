//! Freed memory is kept for the next frame.
//!
//! A frame builds a few megabytes of triangles and frees them again. The C library's allocator gives the top of the heap
//! back to the system each time, and the next frame pays for it in page faults: 3 to 4 ms of a frame's 10 ms where the
//! screen is drawn in software. Raising its thresholds keeps those pages.

/// Lets the allocator keep up to 256 MiB of freed memory; does nothing where there is no such setting.
pub(super) fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const MIB: libc::c_int = 1 << 20;
        for (setting, value) in [
            (libc::M_TRIM_THRESHOLD, 256 * MIB),
            (libc::M_MMAP_THRESHOLD, 32 * MIB),
            (libc::M_TOP_PAD, 16 * MIB),
            // One arena, whose pages stay: the others give theirs back, and an analysis of a million arms on a thread of
            // its own paid 10 ms for getting them again.
            (libc::M_ARENA_MAX, 1),
        ] {
            // A refused setting leaves the default, which only costs time.
            #[expect(unsafe_code, reason = "mallopt has no safe form")]
            // SAFETY: mallopt takes two numbers and may be called at any time.
            let _ = unsafe { libc::mallopt(setting, value) };
        }
    }
}
