//! The CPU path that trains: a forward and backward of the Llama, Qwen2 and Qwen3 families written by hand on flat, preallocated buffers.
//!
//! Three ideas make it fast. All sequences of a step are merged into a prefix tree, so that a token that many samples
//! share is computed once, forward and backward, with its weights summed. Sampling extends that tree level by level and
//! leaves behind exactly the activations that the backward needs, so the policy's forward is paid once. And every buffer
//! lives outside the step. The composed forward in [`super::Model`] is the oracle for its gradients.

mod adamw;
mod asked;
mod attention;
mod backward;
mod buffer;
mod forward;
mod gram;
mod kernels;
mod layout;
mod lora;
mod matmul;
mod network;
mod outer;
mod pool;
#[cfg(target_arch = "x86_64")]
mod registers;
mod trie;

pub use adamw::{AdamW, AdamWSettings, AdamWState};
pub use backward::{Backward, Choice};
pub use buffer::Buffer;
pub(super) use buffer::zeros;
pub use forward::Tape;
pub use layout::{Layout, Span};
pub use lora::{LoraLayout, LoraModule};
pub use matmul::training_rate;
pub use network::Network;
pub use outer::Outer;
pub use trie::Trie;
