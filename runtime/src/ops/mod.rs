//! Differentiable operations, one file each: a forward, and a backward that is written out.
//!
//! Every operation exists twice. The *fast* path is a CPU kernel over slices; the *reference* path
//! is plain candle operations (its backward is candle's own autograd over them), and is what CUDA
//! and Metal run. [`Exec`] says which. The two are compared in tests, values and gradients.
//!
//! There is no tape here: the decoder calls the backward of each operation itself, in reverse
//! order, and so decides what is kept, what is recomputed and what is never computed at all. An
//! operation knows nothing of models, parameters' names or optimizers.

mod exec;

pub use exec::Exec;
