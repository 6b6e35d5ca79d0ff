//! The run: one trainer thread owns the policy; commands go in through a bounded channel, events and a latest-value
//! snapshot come out. The window and the command line drive the same `Session`.

mod message;
mod phase;
mod snapshot;

pub use message::{Command, Event, Speed, StopReason};
pub use phase::{
    Item, Parameter, PhaseAxis, PhaseMap, PhaseQuantity, PhaseRequest, PhaseWorker, contour,
    tie_boundary,
};
pub use snapshot::{EditMark, History, Keyframe, Series, Snapshot, Status};
