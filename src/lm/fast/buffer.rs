//! Large buffers on large pages.
//!
//! A step goes through gigabytes of weights, gradients and moments; with the small pages that an ordinary allocation
//! gets, a good part of that time is spent on looking pages up.

use std::ops::{Deref, DerefMut};

use super::matmul::{LANES, Line};

/// The next `len` numbers of a slice that is handed out piece by piece.
pub(super) fn take<'a>(rest: &mut &'a mut [f32], len: usize) -> &'a mut [f32] {
    let (own, later) = std::mem::take(rest).split_at_mut(len);
    *rest = later;
    own
}

/// Zeros to begin with, aligned to cache lines: what a gradient is best written to, since whole lines that nobody reads
/// soon can then bypass the caches. Used as a slice.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Buffer {
    lines: Vec<Line>,
    len: usize,
}

impl Buffer {
    /// `len` zeros.
    #[must_use]
    pub fn zeros(len: usize) -> Self {
        let count = len.div_ceil(LANES);
        let mut lines = Vec::with_capacity(count);
        on_large_pages(&lines);
        lines.resize(count, Line::default());
        Self { lines, len }
    }
}

impl From<&[f32]> for Buffer {
    fn from(values: &[f32]) -> Self {
        let mut buffer = Self::zeros(values.len());
        buffer.copy_from_slice(values);
        buffer
    }
}

impl Deref for Buffer {
    type Target = [f32];

    #[expect(unsafe_code, reason = "lines are numbers side by side")]
    fn deref(&self) -> &[f32] {
        // SAFETY: the lines hold at least `len` numbers.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl DerefMut for Buffer {
    #[expect(unsafe_code, reason = "lines are numbers side by side")]
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: the lines hold at least `len` numbers.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

/// `len` zeros in a plain vector.
pub(in crate::lm) fn zeros(len: usize) -> Vec<f32> {
    let mut values = Vec::with_capacity(len);
    on_large_pages(&values);
    values.resize(len, 0.0);
    values
}

/// Asks for large pages under the capacity of a vector that nothing was written to yet; small ones are left alone.
pub(super) fn on_large_pages<T>(values: &Vec<T>) {
    #[cfg(target_os = "linux")]
    {
        /// A large page, and the least that is worth asking for.
        const LARGE: usize = 1 << 21;
        const PAGE: usize = 1 << 12;
        let bytes = values.capacity() * size_of::<T>();
        if bytes < 2 * LARGE {
            return;
        }
        let start = (values.as_ptr() as usize).next_multiple_of(PAGE);
        let end = (values.as_ptr() as usize + bytes) / PAGE * PAGE;
        #[expect(unsafe_code, reason = "asks the system for large pages")]
        // SAFETY: whole pages inside an allocation; the advice changes no content, and it may be refused.
        unsafe {
            libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_HUGEPAGE);
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = values;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_an_aligned_slice_of_zeros_of_its_length() {
        for len in [0, 1, 16, 17, 3_000_001] {
            let mut buffer = Buffer::zeros(len);
            assert_eq!(buffer.len(), len);
            assert!(buffer.iter().all(|v| *v == 0.0));
            assert!((buffer.as_ptr() as usize).is_multiple_of(64));
            buffer.fill(2.0);
            assert_eq!(buffer.iter().sum::<f32>(), 2.0 * len as f32);
        }
    }
}
