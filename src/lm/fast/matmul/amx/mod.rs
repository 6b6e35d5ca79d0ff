//! Tiles of matrix products on the matrix unit (AMX), to the precision of `f32`.
//!
//! The unit multiplies bf16 numbers only, sixteen times as many a cycle as the vector registers multiply `f32`. A number
//! of 24 significant bits is the exact sum of three bf16 numbers of 8, high, middle and low: of the nine products of two
//! such sums, the six that reach 2⁻²⁴ of the whole are summed in `f32`. What is left out is smaller than the rounding of a
//! plain sum. Both operands are split while they are packed; products run over panels of two tiles by two.

#![expect(unsafe_code, reason = "tile and vector instructions, strided operands")]

use std::{
    arch::{asm, x86_64::*},
    cell::RefCell,
    mem::MaybeUninit,
    sync::OnceLock,
};

use super::{
    LANES, Line,
    operand::{Left, Out, Right},
};
use crate::lm::fast::registers::{mask, turn};
use packing::{PANEL, SIDE, STEP, STEP_LINES, Source, pack_left, pack_right};
pub(super) use packing::{pack, packed_len};

mod packing;
pub(super) mod thin;

/// Depth between two visits of sums.
const DEPTH: usize = 768;
/// The same where the right operand serves up to [`FEW`] rows.
const DEPTH_ONCE: usize = 128;
const FEW: usize = 160;
/// Numbers of the left operand packed at once: they stay in the second cache.
const LEFT: usize = 73_728;
/// Numbers of the right operand packed at once, which stay there too: where it serves many rows, and where few.
const RIGHT: usize = 200_000;
const RIGHT_ONCE: usize = 24_576;

/// Whether the processor has the unit and the system lets this process use it.
pub(super) fn available() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    *FOUND.get_or_init(|| {
        std::arch::is_x86_feature_detected!("avx512f")
            && std::arch::is_x86_feature_detected!("avx512bw")
            && has_unit()
            && is_allowed()
    })
}

/// CPUID leaf 7: AMX-BF16 is bit 22 and AMX-TILE bit 24 of EDX.
fn has_unit() -> bool {
    const BOTH: u32 = 1 << 22 | 1 << 24;
    __cpuid(0).eax >= 7 && __cpuid_count(7, 0).edx & BOTH == BOTH
}

/// Linux gives the tiles' state to processes that ask for it.
fn is_allowed() -> bool {
    #[cfg(target_os = "linux")]
    {
        const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
        const TILE_DATA: libc::c_long = 18;
        // SAFETY: asks for a permission; nothing in memory is read or written.
        unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, TILE_DATA) == 0 }
    }
    #[cfg(not(target_os = "linux"))]
    false
}

/// Eight tiles of 16 rows of 64 bytes.
#[repr(C, align(64))]
struct Configuration([u8; 64]);

static WHOLE_TILES: Configuration = {
    let mut bytes = [0; 64];
    bytes[0] = 1;
    let mut tile = 0;
    while tile < 8 {
        bytes[16 + 2 * tile] = 64;
        bytes[48 + tile] = SIDE as u8;
        tile += 1;
    }
    Configuration(bytes)
};

thread_local! {
    /// Packed blocks of the left and of the right operand.
    static PACKED: RefCell<[Vec<Line>; 2]> = const { RefCell::new([Vec::new(), Vec::new()]) };
}

/// c [m, n] (+)= factor·a·b, on this thread alone; returns Σ c² where that is streamed, else 0.
///
/// # Safety
/// [`available`] said yes, and every element that sizes and strides name lies inside its operand.
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) unsafe fn product((m, n, k): (usize, usize, usize), out: Out, a: Left, b: Right) -> f64 {
    let left = Source {
        data: a.data,
        lead: a.row,
        depth: a.column,
    };
    // Few rows leave a large right operand no second use: it is packed as it lies in memory, whole rows of it.
    let once = m <= FEW && matches!(b, Right::Strided { column: 1, .. });
    let blocks = k.div_ceil(if once { DEPTH_ONCE } else { DEPTH });
    let whole = k.div_ceil(STEP).div_ceil(blocks) * STEP;
    let leads = |numbers: usize| (numbers / whole / PANEL * PANEL).max(PANEL);
    let tall = leads(LEFT);
    let wide = match b {
        Right::Packed(_) => n,
        Right::Strided { .. } if m <= tall && !once => leads(RIGHT_ONCE),
        Right::Strided { .. } => leads(RIGHT),
    };
    let mut squares = 0.0;
    // SAFETY: the configuration is a whole one; it is given back below.
    unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const WHOLE_TILES) };
    PACKED.with_borrow_mut(|[packed_left, packed_right]| {
        fit(packed_left, packed_len(tall.min(m), whole));
        let left_to = packed_left.as_mut_ptr();
        for block in 0..blocks {
            // Borders lie on steps, so that packed weights can be entered there.
            let border = |i: usize| (k.div_ceil(STEP) * i / blocks * STEP).min(k);
            let depth = border(block)..border(block + 1);
            let steps = depth.len().div_ceil(STEP);
            let out = Out {
                add: out.add || block > 0,
                ..out
            };
            let mut left_holds = None;
            for first in (0..n).step_by(wide) {
                let columns = first..n.min(first + wide);
                let (right, panel_lines) = match b {
                    Right::Packed(data) => (
                        data.cast::<Line>()
                            .wrapping_add(depth.start / STEP * STEP_LINES),
                        k.div_ceil(STEP) * STEP_LINES,
                    ),
                    Right::Strided { data, row, column } => {
                        fit(packed_right, packed_len(columns.len(), depth.len()));
                        let source = Source {
                            data,
                            lead: column,
                            depth: row,
                        };
                        let to = packed_right.as_mut_ptr();
                        // SAFETY: promised by the caller; the room was just made.
                        unsafe { pack_right(to, source, columns.clone(), depth.clone()) };
                        (packed_right.as_ptr(), steps * STEP_LINES)
                    }
                };
                for top in (0..m).step_by(tall) {
                    let rows = top..m.min(top + tall);
                    if left_holds != Some(top) {
                        // SAFETY: as above.
                        unsafe { pack_left(left_to, left, rows.clone(), depth.clone()) };
                        left_holds = Some(top);
                    }
                    let mut total = _mm512_setzero_ps();
                    let panels = rows.len().div_ceil(PANEL);
                    // A panel of the right operand may come from far, and stays near for all rows.
                    for (j, column) in columns.clone().step_by(PANEL).enumerate() {
                        for (i, row) in rows.clone().step_by(PANEL).enumerate() {
                            let size = (
                                (rows.end - row).min(PANEL),
                                (columns.end - column).min(PANEL),
                            );
                            // SAFETY: panels lie inside what was packed, the part of the result inside the result.
                            unsafe {
                                let a = left_to.add(i * steps * STEP_LINES);
                                let b = right.add(j * panel_lines);
                                let next = b.wrapping_add(panel_lines);
                                let ahead = Ahead::of((b, next), steps, (i, panels));
                                let to = out.at(row, column);
                                part((a, b), steps, ahead, size, to, &mut total);
                            }
                        }
                    }
                    squares += f64::from(_mm512_reduce_add_ps(total));
                }
            }
        }
    });
    // SAFETY: as above; tiles that are given back need not be kept for this thread.
    unsafe { asm!("tilerelease") };
    if out.streamed {
        // What bypassed the caches is there for the other threads from here on.
        _mm_sfence();
    }
    squares
}

fn fit(lines: &mut Vec<Line>, len: usize) {
    if lines.len() < len {
        lines.resize(len, Line::default());
    }
}

/// The sums of one panel of rows with one of columns.
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn part(
    (a, b): (*const Line, *const Line),
    steps: usize,
    ahead: Ahead,
    (rows, columns): (usize, usize),
    out: Out,
    total: &mut __m512,
) {
    let plain = !out.turned && !out.streamed && out.factor == 1.0;
    // SAFETY: promised by the caller.
    unsafe {
        if plain && rows == PANEL && columns == PANEL {
            multiply_two((a, b), steps, ahead, (out.data, out.row), out.add);
            return;
        }
        let mut sums = [[Line::default(); 2]; PANEL];
        // A row's sums begin with what is there, as in a whole panel: they do not depend on the rows beside it.
        let begun = plain && out.add;
        if begun {
            load(&mut sums, (rows, columns), out);
        }
        let to = sums.as_mut_ptr().cast::<f32>();
        if rows > SIDE {
            multiply_two((a, b), steps, ahead, (to, PANEL), begun);
        } else {
            multiply_one(a, b, steps, to, begun);
        }
        if out.turned {
            store_turned(&sums, (rows, columns), out);
            return;
        }
        let out = Out {
            add: out.add && !begun,
            ..out
        };
        store(&sums, (rows, columns), out, total);
    }
}

/// One product of parts of two tiles of rows with two of columns; meanwhile some lines of `far` are fetched.
macro_rules! products {
    ($hint:literal, $lines:literal) => {
        concat!(
            "tdpbf16ps tmm0, tmm4, tmm6\n",
            "tdpbf16ps tmm1, tmm4, tmm7\n",
            "tdpbf16ps tmm2, tmm5, tmm6\n",
            "tdpbf16ps tmm3, tmm5, tmm7\n",
            ".irp i,",
            $lines,
            "\n",
            $hint,
            " [{far} + \\i*64]\n",
            ".endr\n",
            "add {far}, {sixth}"
        )
    };
}

/// The sums of two tiles of rows with two of columns, in tiles 0 to 3, which hold what they begin with; a step fetches six
/// times `lines` lines.
///
/// Products are ordered so that each needs one new pair of tiles at most; four sums hide each other's latency. After more
/// than five steps without a store of a tile the next one was measured to take as long as two steps: so one that nobody
/// needs is made after every fourth.
macro_rules! sum_two {
    ($hint:literal, $lines:literal, $a:ident, $b:ident, $steps:ident, $far:ident, $unneeded:ident) => {
        asm!(
            "2:",
            // high · low
            "tileloadd tmm4, [{a} + {line}*1]",
            "tileloadd tmm6, [{b} + {line}*1 + 4096]",
            "tileloadd tmm7, [{b} + {line}*1 + 5120]",
            "tileloadd tmm5, [{a} + {line}*1 + 1024]",
            products!($hint, $lines),
            // high · middle
            "tileloadd tmm6, [{b} + {line}*1 + 2048]",
            "tileloadd tmm7, [{b} + {line}*1 + 3072]",
            products!($hint, $lines),
            // middle · middle
            "tileloadd tmm4, [{a} + {line}*1 + 2048]",
            "tileloadd tmm5, [{a} + {line}*1 + 3072]",
            products!($hint, $lines),
            // middle · high
            "tileloadd tmm6, [{b} + {line}*1]",
            "tileloadd tmm7, [{b} + {line}*1 + 1024]",
            products!($hint, $lines),
            // low · high
            "tileloadd tmm4, [{a} + {line}*1 + 4096]",
            "tileloadd tmm5, [{a} + {line}*1 + 5120]",
            products!($hint, $lines),
            // high · high
            "tileloadd tmm4, [{a} + {line}*1]",
            "tileloadd tmm5, [{a} + {line}*1 + 1024]",
            products!($hint, $lines),
            "add {a}, 6144",
            "add {b}, 6144",
            "dec {steps}",
            "jz 3f",
            "test {steps}, 3",
            "jnz 2b",
            "tilestored [{unneeded} + {line}*1], tmm4",
            "jmp 2b",
            "3:",
            a = inout(reg) $a => _, b = inout(reg) $b => _, steps = inout(reg) $steps => _,
            far = inout(reg) $far.0 => _, unneeded = in(reg) $unneeded,
            line = in(reg) size_of::<Line>(), sixth = in(reg) $far.1,
            options(nostack),
        )
    };
}

/// Two tiles of rows with two of columns, into `to` (with the stride of its rows), which is added to where `add`.
unsafe fn multiply_two(
    (a, b): (*const Line, *const Line),
    steps: usize,
    ahead: Ahead,
    (to, stride): (*mut f32, usize),
    add: bool,
) {
    let below = to.wrapping_add(SIDE * stride);
    let stride = stride * size_of::<f32>();
    let mut unneeded = MaybeUninit::<[Line; SIDE]>::uninit();
    let unneeded = unneeded.as_mut_ptr();
    let far = (ahead.lines, ahead.sixth * size_of::<Line>());
    // SAFETY: promised by the caller: `steps` steps are packed on either side, 32 rows of 32 numbers lie at `to`; what is
    // fetched ahead may lie anywhere.
    unsafe {
        if add {
            asm!(
                "tileloadd tmm0, [{to} + {stride}*1]",
                "tileloadd tmm1, [{to} + {stride}*1 + 64]",
                "tileloadd tmm2, [{below} + {stride}*1]",
                "tileloadd tmm3, [{below} + {stride}*1 + 64]",
                to = in(reg) to, below = in(reg) below, stride = in(reg) stride,
            );
        } else {
            asm!(
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3"
            );
        }
        match ahead.sixth {
            ALONE => sum_two!(
                "prefetcht0",
                "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
                a,
                b,
                steps,
                far,
                unneeded
            ),
            8 => sum_two!("prefetcht1", "0,1,2,3,4,5,6,7", a, b, steps, far, unneeded),
            6 => sum_two!("prefetcht1", "0,1,2,3,4,5", a, b, steps, far, unneeded),
            _ => sum_two!("prefetcht1", "0,1,2,3", a, b, steps, far, unneeded),
        }
        asm!(
            "tilestored [{to} + {stride}*1], tmm0",
            "tilestored [{to} + {stride}*1 + 64], tmm1",
            "tilestored [{below} + {stride}*1], tmm2",
            "tilestored [{below} + {stride}*1 + 64], tmm3",
            to = in(reg) to, below = in(reg) below, stride = in(reg) stride,
            options(nostack),
        );
    }
}

/// Lines that a sixth of a step fetches for a single panel of rows.
const ALONE: usize = 16;

/// What is fetched during the products of one panel of rows with one of columns. A panel of columns may come from far, as
/// the weights of a model do: every panel of rows fetches its share of the next one into the second cache. A single panel
/// of rows has no time for that and fetches its own two steps ahead, into the first.
#[derive(Clone, Copy)]
struct Ahead {
    lines: *const Line,
    sixth: usize,
}

impl Ahead {
    /// For one of `parts` panels of rows, whose panel of columns is `own`; the one after that is `next`.
    fn of(
        (own, next): (*const Line, *const Line),
        steps: usize,
        (part, parts): (usize, usize),
    ) -> Self {
        let (from, sixth) = match parts {
            1 => (own.wrapping_add(2 * STEP_LINES), ALONE),
            2 => (next, 8),
            3 => (next, 6),
            _ => (next, 4),
        };
        Self {
            lines: from.wrapping_add(6 * sixth * steps * part),
            sixth,
        }
    }
}

/// One tile of rows with two of columns into 16 rows of 32 numbers at `to`, which are added to where `add`. Sums are made
/// in the order of [`multiply_two`].
unsafe fn multiply_one(a: *const Line, b: *const Line, steps: usize, to: *mut f32, add: bool) {
    // SAFETY: promised by the caller: `steps` steps are packed on either side, 16 rows of 32 numbers lie at `to`.
    unsafe {
        if add {
            asm!(
                "tileloadd tmm0, [{to} + {row}*1]",
                "tileloadd tmm1, [{to} + {row}*1 + 64]",
                to = in(reg) to, row = in(reg) 2 * size_of::<Line>(),
            );
        } else {
            asm!("tilezero tmm0", "tilezero tmm1");
        }
        asm!(
            "2:",
            "tileloadd tmm4, [{a} + {line}*1]",
            "tileloadd tmm6, [{b} + {line}*1 + 4096]",
            "tileloadd tmm7, [{b} + {line}*1 + 5120]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm6, [{b} + {line}*1 + 2048]",
            "tileloadd tmm7, [{b} + {line}*1 + 3072]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm4, [{a} + {line}*1 + 2048]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm6, [{b} + {line}*1]",
            "tileloadd tmm7, [{b} + {line}*1 + 1024]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm4, [{a} + {line}*1 + 4096]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm4, [{a} + {line}*1]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "add {a}, 6144",
            "add {b}, 6144",
            "dec {steps}",
            "jnz 2b",
            "tilestored [{to} + {row}*1], tmm0",
            "tilestored [{to} + {row}*1 + 64], tmm1",
            a = inout(reg) a => _, b = inout(reg) b => _, steps = inout(reg) steps => _,
            line = in(reg) size_of::<Line>(),
            to = in(reg) to, row = in(reg) 2 * size_of::<Line>(),
            options(nostack),
        );
    }
}

/// What is at the sums' place, zeros past its end.
#[target_feature(enable = "avx512f")]
unsafe fn load(sums: &mut [[Line; 2]; PANEL], (rows, columns): (usize, usize), out: Out) {
    for (r, lines) in sums.iter_mut().enumerate().take(rows) {
        for (v, line) in lines.iter_mut().enumerate().take(columns.div_ceil(LANES)) {
            // SAFETY: promised by the caller; the mask leaves out what is past the last column.
            unsafe {
                let c = out.data.add(r * out.row + v * LANES);
                let there = _mm512_maskz_loadu_ps(mask(columns - v * LANES), c);
                _mm512_store_ps(line.0.as_mut_ptr(), there);
            }
        }
    }
}

/// Sums to their place.
#[target_feature(enable = "avx512f")]
unsafe fn store(
    sums: &[[Line; 2]; PANEL],
    (rows, columns): (usize, usize),
    out: Out,
    total: &mut __m512,
) {
    let factor = _mm512_set1_ps(out.factor);
    for (r, lines) in sums.iter().enumerate().take(rows) {
        for (v, line) in lines.iter().enumerate().take(columns.div_ceil(LANES)) {
            let mask = mask(columns - v * LANES);
            // SAFETY: promised by the caller; the mask leaves out what is past the last column.
            unsafe {
                let c = out.data.add(r * out.row + v * LANES);
                let sum = _mm512_load_ps(line.0.as_ptr());
                let value = if out.add {
                    _mm512_fmadd_ps(sum, factor, _mm512_maskz_loadu_ps(mask, c))
                } else {
                    _mm512_mul_ps(sum, factor)
                };
                if out.streamed {
                    *total = _mm512_fmadd_ps(value, value, *total);
                    _mm512_stream_ps(c, value);
                } else {
                    _mm512_mask_storeu_ps(c, mask, value);
                }
            }
        }
    }
}

/// Sums to their place in a result whose rows and columns are exchanged.
#[target_feature(enable = "avx512f")]
unsafe fn store_turned(sums: &[[Line; 2]; PANEL], (rows, columns): (usize, usize), out: Out) {
    let factor = _mm512_set1_ps(out.factor);
    for top in (0..rows).step_by(SIDE) {
        let mask = mask(rows - top);
        for v in 0..columns.div_ceil(LANES) {
            let mut square = [_mm512_setzero_ps(); SIDE];
            for (line, lines) in square.iter_mut().zip(&sums[top..top + SIDE]) {
                // SAFETY: a line is a register's worth, aligned like it.
                *line = unsafe { _mm512_load_ps(lines[v].0.as_ptr()) };
            }
            let turned = turn(square);
            for (j, sum) in turned.into_iter().enumerate().take(columns - v * LANES) {
                // SAFETY: promised by the caller; the mask leaves out what is past the last row.
                unsafe {
                    let c = out.data.add((v * LANES + j) * out.row + top);
                    let value = if out.add {
                        _mm512_fmadd_ps(sum, factor, _mm512_maskz_loadu_ps(mask, c))
                    } else {
                        _mm512_mul_ps(sum, factor)
                    };
                    _mm512_mask_storeu_ps(c, mask, value);
                }
            }
        }
    }
}
