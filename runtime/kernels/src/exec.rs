//! How operations are carried out: on which path, on how many threads.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use lota_host::Cancel;

use super::packs::Packs;
use crate::{Error, Result};

/// What the operands of products are multiplied as. Sums, norms, softmax and losses are f32 in either mode, and so are
/// products of a handful of tokens, where reading the weight is what takes time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compute {
    /// As f32.
    #[default]
    F32,
    /// Rounded to bf16: about twice as fast where the processor has instructions for it.
    BF16,
}

impl Compute {
    /// The word used in scripts: `f32` or `bf16`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::BF16 => "bf16",
        }
    }
}

impl std::str::FromStr for Compute {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        match word {
            "f32" => Ok(Self::F32),
            "bf16" => Ok(Self::BF16),
            other => Err(Error::argument(format!("compute must be \"f32\" or \"bf16\", not {other:?}"))),
        }
    }
}

/// Chooses the path of every operation. Cheap to clone; one per engine, never global.
#[derive(Clone)]
pub struct Exec {
    device: Device,
    reference: bool,
    compute: Compute,
    pool: Option<Arc<rayon::ThreadPool>>,
    threads: usize,
    packs: Option<Arc<Packs>>,
    switch: Cancel,
}

impl Exec {
    /// Operations on `device`, with CPU kernels on `threads` threads (0: rayon's own choice).
    pub fn new(device: Device, threads: usize) -> Result<Self> {
        let pool = if threads == 0 {
            None
        } else {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .thread_name(|i| format!("lota-{i}"))
                .build()
                .map_err(|e| Error::argument(format!("cannot start {threads} threads: {e}")))?;
            Some(Arc::new(pool))
        };
        let count = pool.as_ref().map_or_else(rayon::current_num_threads, |p| p.current_num_threads());
        Ok(Self {
            device,
            reference: false,
            compute: Compute::F32,
            pool,
            threads: count,
            packs: None,
            switch: Cancel::default(),
        })
    }

    /// The CPU with rayon's own number of threads.
    pub fn cpu() -> Self {
        Self {
            device: Device::Cpu,
            reference: false,
            compute: Compute::F32,
            pool: None,
            threads: rayon::current_num_threads(),
            packs: None,
            switch: Cancel::default(),
        }
    }

    /// The same, but every operation takes its reference path, on the CPU too.
    pub fn with_reference(mut self, reference: bool) -> Self {
        self.reference = reference;
        self
    }

    /// The same, with dense products in another numeric mode.
    pub fn with_compute(mut self, compute: Compute) -> Self {
        self.compute = compute;
        self
    }

    /// The numeric mode of dense products.
    pub fn compute(&self) -> Compute {
        self.compute
    }

    /// The same, with weights that are kept packed.
    pub fn with_packs(mut self, packs: Option<Arc<Packs>>) -> Self {
        self.packs = packs;
        self
    }

    /// The same, stopped by this switch within operations that take long.
    pub fn with_switch(mut self, switch: Cancel) -> Self {
        self.switch = switch;
        self
    }

    /// An error once the switch is thrown.
    pub(crate) fn check(&self) -> Result<()> {
        Ok(self.switch.check()?)
    }

    /// The weights that are kept packed.
    pub(crate) fn packs(&self) -> Option<&Packs> {
        self.packs.as_deref()
    }

    /// Where tensors of this run live.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The number of threads CPU kernels use.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Whether the CPU kernel is to be used for `x`: it lies on the CPU and the reference path is
    /// not forced.
    pub fn fast(&self, x: &Tensor) -> bool {
        !self.reference && x.device().is_cpu()
    }

    /// Runs `work` on this run's threads.
    pub fn run<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        match &self.pool {
            Some(pool) => pool.install(work),
            None => work(),
        }
    }
}
