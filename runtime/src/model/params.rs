//! The tensors of a model, in the order of its universe.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use super::{Role, Universe};
use crate::{Error, Result};

/// A model's tensors. Cloning shares them: what is changed in place is changed for all clones, see
/// [`Params::copy`].
#[derive(Clone, Debug)]
pub struct Params {
    universe: Arc<Universe>,
    tensors: Vec<Tensor>,
}

impl Params {
    /// Tensors in the order of `universe`: of its shapes, contiguous, all on one device, matrices in
    /// f32 or bf16, norms and biases in f32.
    pub fn new(universe: Arc<Universe>, tensors: Vec<Tensor>) -> Result<Self> {
        if tensors.len() != universe.len() {
            return Err(Error::mismatch(format!(
                "{} tensors were given for the {} parameters of the model",
                tensors.len(),
                universe.len()
            )));
        }
        let params = Self { universe, tensors };
        for (i, tensor) in params.tensors.iter().enumerate() {
            params.check(i, tensor)?;
        }
        Ok(params)
    }

    fn check(&self, index: usize, tensor: &Tensor) -> Result<()> {
        let spec = self.universe.spec(index);
        if tensor.dims() != spec.shape {
            return Err(Error::mismatch(format!(
                "parameter {} has shape {:?}, but the tensor given for it has {:?}",
                spec.name,
                spec.shape,
                tensor.dims()
            )));
        }
        let small = matches!(spec.role, Role::Norm | Role::Bias);
        match tensor.dtype() {
            DType::F32 => {}
            DType::BF16 if !small => {}
            other => {
                let wanted = if small { "f32" } else { "f32 or bf16" };
                return Err(Error::argument(format!(
                    "parameter {} must be held in {wanted}, not {}",
                    spec.name,
                    other.as_str()
                )));
            }
        }
        if !tensor.is_contiguous() {
            return Err(Error::argument(format!("parameter {} must be contiguous in memory", spec.name)));
        }
        if !tensor.device().same_device(self.tensors[0].device()) {
            return Err(Error::argument(format!("parameter {} lies on another device", spec.name)));
        }
        Ok(())
    }

    /// The names and shapes.
    pub fn universe(&self) -> &Arc<Universe> {
        &self.universe
    }

    /// The tensor at an index of the universe.
    ///
    /// # Panics
    /// When `index` is outside the universe.
    pub fn get(&self, index: usize) -> &Tensor {
        &self.tensors[index]
    }

    /// The tensor of a name; an error that offers the nearest name if there is none.
    pub fn by_name(&self, name: &str) -> Result<&Tensor> {
        Ok(&self.tensors[self.universe.get(name)?])
    }

    /// All tensors in order.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// Puts another tensor in the place of one. Clones keep the old one.
    pub fn set(&mut self, index: usize, tensor: Tensor) -> Result<()> {
        self.check(index, &tensor)?;
        self.tensors[index] = tensor;
        Ok(())
    }

    /// Where the tensors lie.
    pub fn device(&self) -> &Device {
        self.tensors.first().map_or(&Device::Cpu, Tensor::device)
    }

    /// The same values in memory of their own.
    pub fn copy(&self) -> Result<Self> {
        let tensors: candle_core::Result<Vec<Tensor>> = self.tensors.iter().map(Tensor::copy).collect();
        Ok(Self { universe: self.universe.clone(), tensors: tensors? })
    }
}
