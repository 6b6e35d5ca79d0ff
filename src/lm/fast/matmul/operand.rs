//! What the tiles of a product read and write.

use super::LANES;

/// The left operand, read number by number; one of the strides is 1.
#[derive(Clone, Copy)]
pub(super) struct Left {
    pub(super) data: *const f32,
    pub(super) row: usize,
    pub(super) column: usize,
}

/// The right operand [depth, columns].
#[derive(Clone, Copy)]
pub(super) enum Right {
    Strided {
        data: *const f32,
        row: usize,
        column: usize,
    },
    /// Panels as [`super::pack`] leaves them.
    Packed(*const f32),
}

/// Where sums go.
#[derive(Clone, Copy)]
pub(super) struct Out {
    pub(super) data: *mut f32,
    pub(super) row: usize,
    pub(super) add: bool,
    pub(super) factor: f32,
    /// Written past the caches, see [`streams`].
    pub(super) streamed: bool,
    /// Rows and columns of the result are exchanged: a row of the product lies across rows of memory.
    pub(super) turned: bool,
}

impl Out {
    /// The part of the result from a row and a column of the product on.
    pub(super) fn at(self, row: usize, column: usize) -> Self {
        let (row, column) = if self.turned {
            (column, row)
        } else {
            (row, column)
        };
        Self {
            data: self.data.wrapping_add(row * self.row + column),
            ..self
        }
    }
}

/// Depth up to which every sum is visited once.
pub(super) const ONE_VISIT: usize = 160;
/// Results of fewer numbers stay in the caches, where the next reader finds them.
const STREAMED: usize = 1 << 17;

/// Whether a result is written once, in whole cache lines, and too large to stay in the caches.
pub(super) fn streams(
    (m, n, k): (usize, usize, usize),
    c: *const f32,
    stride: usize,
    add: bool,
) -> bool {
    let whole = |x: usize| x.is_multiple_of(LANES);
    !add && k <= ONE_VISIT
        && m * n >= STREAMED
        && whole(n)
        && whole(stride)
        && (c as usize).is_multiple_of(64)
}
