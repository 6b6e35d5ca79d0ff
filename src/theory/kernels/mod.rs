//! Vectorised passes over slices of `f64`: exp, ln, sums and what is built from them.
//!
//! Each kernel is written once as plain element-wise code, compiled three times (AVX-512, AVX2 with FMA, baseline) and
//! chosen at run time by `vectorised!`. Sums use a fixed number of lanes and fixed blocks, so a result depends on the
//! data alone, never on threads. One pass is bound by memory beyond a few hundred thousand elements, by exp below; the
//! passes of a solution then use two cores.

mod arith;
mod exponential;
mod family;
mod halves;
mod logarithm;
mod measuring;
mod ordering;
mod passes;
mod prefetch;
mod solving;
mod tilting;

pub(crate) use arith::vectorised;
pub use arith::{Arith, InstructionSet, instruction_set};
#[doc(hidden)]
pub use arith::{Fused, Separate};
use exponential::expm1_near;
pub use exponential::{exp_bounded, exp_one, expm1_one};
pub use family::{
    Entropic, EntropicSums, EntropicValue, NEAR, Power, PowerSums, farthest_below, omega_one,
};
pub use halves::{
    alone, alpha_divergence, below, below_pivot, distances, entropic_masses, entropic_sums,
    entropic_value, face, forward_gap, lowest_within, pole_sums, poles, power_sums, powers,
    powers_and_cost, powers_from_pivot, settle, survey, survey_tilted, tilt, tilted_sum,
};
pub use logarithm::{ln_and_inverse, ln_one};
pub use measuring::{Compared, Comparison, Faced, Facing, compare};
pub use ordering::{entropic_keys, line_keys, power_keys};
pub use passes::{
    BLOCK, Compensated, LANES, add_lanes, block_sum, deviation, dot, dot_exp, exp, exp_in_place,
    exp_shifted, fold, ln, log_sum_exp, max, normalise_log, scale, softmax, subtract, sum,
    sum_exp_above,
};
use prefetch::{announce_read, announce_write};
pub use solving::{
    Distances, PoleSums, Poles, Survey, cross_divergence, excess, pole_sum_at, position_above,
};
pub use tilting::{Tilt, Tilted, heaviest};
