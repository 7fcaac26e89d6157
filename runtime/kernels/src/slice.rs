//! Reading and writing the memory of CPU tensors as slices, without copies.

use std::cell::RefCell;

use candle_core::{CpuStorage, DType, InplaceOp1, Layout, Storage, StorageRef, Tensor};
use half::bf16;

use crate::{Error, Result};

/// A contiguous CPU tensor held for reading.
pub struct Read {
    tensor: Tensor,
}

/// Holds `x` for reading; it is copied only if it is not contiguous.
pub fn read(x: &Tensor) -> Result<Read> {
    if !x.device().is_cpu() {
        return Err(Error::argument("a CPU kernel was given a tensor of another device"));
    }
    Ok(Read { tensor: x.contiguous()? })
}

/// The values of a weight in the dtype it is stored in.
#[derive(Clone, Copy)]
pub enum Weight<'a> {
    /// Stored as f32.
    F32(&'a [f32]),
    /// Stored as bf16.
    BF16(&'a [bf16]),
}

impl<'a> Weight<'a> {
    /// The number of values.
    pub fn len(self) -> usize {
        match self {
            Self::F32(data) => data.len(),
            Self::BF16(data) => data.len(),
        }
    }

    /// Whether there are no values.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// `len` values from `start`.
    pub fn part(self, start: usize, len: usize) -> Self {
        match self {
            Self::F32(data) => Self::F32(&data[start..start + len]),
            Self::BF16(data) => Self::BF16(&data[start..start + len]),
        }
    }
}

/// A lock on a tensor's storage together with the part of it that the tensor covers.
pub struct Guard<'a> {
    storage: StorageRef<'a>,
    start: usize,
    end: usize,
}

impl Read {
    /// Locks the storage. The guard must outlive the slices taken from it.
    pub fn lock(&self) -> Guard<'_> {
        let (storage, layout) = self.tensor.storage_and_layout();
        let start = layout.start_offset();
        Guard { storage, start, end: start + self.tensor.elem_count() }
    }
}

impl Guard<'_> {
    fn cpu(&self) -> Result<&CpuStorage> {
        match &*self.storage {
            Storage::Cpu(storage) => Ok(storage),
            _ => Err(Error::argument("a CPU kernel was given a tensor of another device")),
        }
    }

    /// The values, if they are f32.
    pub fn f32(&self) -> Result<&[f32]> {
        Ok(&self.cpu()?.as_slice::<f32>()?[self.start..self.end])
    }

    /// The values, f32 or bf16.
    pub fn weight(&self) -> Result<Weight<'_>> {
        match self.cpu()? {
            CpuStorage::F32(data) => Ok(Weight::F32(&data[self.start..self.end])),
            CpuStorage::BF16(data) => Ok(Weight::BF16(&data[self.start..self.end])),
            _ => Err(Error::argument("a weight must be f32 or bf16")),
        }
    }
}

/// The memory of a weight, for writing.
pub enum WeightMut<'a> {
    /// Stored as f32.
    F32(&'a mut [f32]),
    /// Stored as bf16.
    BF16(&'a mut [bf16]),
}

struct Mutate<F>(RefCell<Option<F>>);

impl<F: FnOnce(WeightMut<'_>)> InplaceOp1 for Mutate<F> {
    fn name(&self) -> &'static str {
        "mutate"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let Some((start, end)) = layout.contiguous_offsets() else {
            candle_core::bail!("a tensor written in place must be contiguous")
        };
        let Some(work) = self.0.borrow_mut().take() else {
            candle_core::bail!("an in-place change ran twice")
        };
        match storage {
            CpuStorage::F32(data) => work(WeightMut::F32(&mut data[start..end])),
            CpuStorage::BF16(data) => work(WeightMut::BF16(&mut data[start..end])),
            _ => candle_core::bail!("a tensor written in place must be f32 or bf16"),
        }
        Ok(())
    }
}

/// Writes the memory of a contiguous CPU tensor in place. `work` must not lock the same tensor.
pub fn write(x: &Tensor, work: impl FnOnce(WeightMut<'_>)) -> Result<()> {
    Ok(x.inplace_op1(&Mutate(RefCell::new(Some(work))))?)
}

/// Writes the memory of a contiguous f32 CPU tensor in place.
pub fn write_f32(x: &Tensor, work: impl FnOnce(&mut [f32])) -> Result<()> {
    if x.dtype() != DType::F32 {
        return Err(Error::argument(format!("a tensor written as f32 is {:?}", x.dtype())));
    }
    write(x, |data| {
        if let WeightMut::F32(data) = data {
            work(data);
        }
    })
}

/// A CPU tensor from values.
pub fn tensor(values: Vec<f32>, shape: &[usize]) -> Result<Tensor> {
    Ok(Tensor::from_vec(values, shape, &candle_core::Device::Cpu)?)
}

/// Memory for `len` values, not yet written.
///
/// # Safety
///
/// Every value must be written before it is read.
pub(crate) unsafe fn uninit(len: usize) -> Vec<f32> {
    let mut values = Vec::with_capacity(len);
    // SAFETY: the capacity was just reserved, and the caller writes every value before reading it.
    #[allow(clippy::uninit_vec)]
    unsafe {
        values.set_len(len);
    }
    values
}
