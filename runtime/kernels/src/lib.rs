//! `lota-kernels`: differentiable operations, one file each: a forward, and a backward that is written out.
//!
//! Every operation exists twice. The *fast* path is a CPU kernel over slices; the *reference* path
//! is plain candle operations (its backward is candle's own autograd over them), and is what CUDA
//! and Metal run. [`Exec`] says which. The two are compared in tests, values and gradients.
//!
//! There is no tape here: the decoder calls the backward of each operation itself, in reverse
//! order, and so decides what is kept, what is recomputed and what is never computed at all. An
//! operation knows nothing of models, parameters' names or optimizers.
//!
//! Conventions: activations are f32 `[T, features]`, where `T` counts the tokens of all sequences
//! of a batch laid end to end; weights are f32 or bf16, in Hugging Face's `[out, in]` order; biases
//! and norm weights are f32. Results of the fast path do not depend on the number of threads.

pub mod attention;
mod check;
pub mod dropout;
pub mod elementwise;
pub mod embedding;
mod error;
mod exec;
mod gemm;
pub mod glu;
pub mod head;
pub mod index;
pub mod linear;
pub mod low_rank;
pub mod packs;
#[cfg(target_arch = "x86_64")]
mod pairs;
mod par;
mod reference;
pub mod rms_norm;
pub mod rope;
mod sampled;
#[cfg(target_arch = "x86_64")]
mod sampled_avx512;
pub mod scatter;
pub mod simd;
mod skinny;
#[cfg(target_arch = "x86_64")]
mod skinny_avx512;
pub mod slice;
#[cfg(test)]
mod testing;
mod transpose;
mod want;

pub use error::{Error, Result, describe};
pub use exec::{Compute, Exec};
pub use index::SparseIndex;
pub use want::Want;
