//! Asking for data before a pass comes to it, where the processor's own guess does not reach.

/// Asks for the cache line `ahead` numbers after `value`, in the same slice or not.
#[inline(always)]
pub(super) fn announce_read(value: &f64, ahead: isize) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing, whatever the address, and every x86-64 processor has it.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).wrapping_offset(ahead).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (value, ahead);
}

/// As [`announce_read`], for a line to be written.
#[inline(always)]
pub(super) fn announce_write(value: &f64, ahead: isize) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch changes nothing, whatever the address; processors without this one take it for a no-op.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_ET0>(std::ptr::from_ref(value).wrapping_offset(ahead).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (value, ahead);
}
