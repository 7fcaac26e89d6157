//! The tensors of a model, in the order of its universe.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use candle_core::{DType, Device, Tensor};

use super::hold::{Hold, Holds, InLoss};
use super::{Role, Universe};
use crate::{Error, Result};

/// A model's tensors. Cloning shares them: what is changed in place is changed for all clones, see
/// [`Params::copy`].
#[derive(Debug)]
pub struct Params {
    universe: Arc<Universe>,
    tensors: Vec<Tensor>,
    /// Counts changes; shared by clones, as the tensors are.
    version: Arc<AtomicU64>,
    /// What is at work with the tensors; shared by clones.
    holds: Holds,
    /// What the products of attached factors are multiplied by, in their order: as much a part of the model as the factors.
    scales: Vec<f32>,
    /// The last fingerprint, and the version it belongs to.
    pub(super) known: Mutex<Option<(u64, String)>>,
}

impl Clone for Params {
    fn clone(&self) -> Self {
        Self {
            universe: self.universe.clone(),
            tensors: self.tensors.clone(),
            version: self.version.clone(),
            holds: self.holds.clone(),
            scales: self.scales.clone(),
            known: Mutex::new(None),
        }
    }
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
        let params = Self {
            universe,
            tensors,
            version: Arc::default(),
            holds: Holds::default(),
            scales: Vec::new(),
            known: Mutex::new(None),
        };
        for (i, tensor) in params.tensors.iter().enumerate() {
            params.check(i, tensor)?;
        }
        Ok(params)
    }

    /// These tensors and factors after them, whose products are multiplied by `scales`, under a universe that begins with
    /// this one's. The tensors are shared, and so is who holds them and what counts their changes.
    pub(super) fn extended(
        &self,
        universe: Arc<Universe>,
        factors: Vec<Tensor>,
        scales: Vec<f32>,
    ) -> Result<Self> {
        let tensors = self.tensors.iter().cloned().chain(factors).collect();
        let mut all = Self::new(universe, tensors)?;
        (all.version, all.holds, all.scales) = (self.version.clone(), self.holds.clone(), scales);
        Ok(all)
    }

    /// What the products of attached factors are multiplied by, in their order; nothing in a model without factors.
    pub(crate) fn scales(&self) -> &[f32] {
        &self.scales
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

    /// The type a parameter has in a model whose weights are held in `dtype`.
    pub fn dtype_of(role: Role, dtype: DType) -> DType {
        if matches!(role, Role::Norm | Role::Bias) { DType::F32 } else { dtype }
    }

    /// The names and shapes.
    pub fn universe(&self) -> &Arc<Universe> {
        &self.universe
    }

    /// The tensor at an index of the universe. Whoever writes into it in place calls
    /// [`Params::touch`] afterwards.
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
        self.check_free()?;
        self.check(index, &tensor)?;
        self.tensors[index] = tensor;
        self.touch();
        Ok(())
    }

    /// Says that tensors were written to in place, so that what was derived from them is derived
    /// again.
    pub fn touch(&self) {
        self.version.fetch_add(1, Ordering::SeqCst);
    }

    /// A number that changes whenever the parameters do.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::SeqCst)
    }

    /// Keeps the weights as they are until the result is dropped: whatever asks by [`Params::check_free`] before it changes
    /// them is refused meanwhile. `work` is what an error calls the work that needs them: "a training step".
    pub fn hold(&self, work: &'static str) -> Hold {
        self.holds.hold(work)
    }

    /// An error if work goes on that needs the weights as they are. Whoever writes into them in place asks first.
    pub fn check_free(&self) -> Result<()> {
        self.holds.check_free()
    }

    /// Says that a function computes a loss of these weights, until the result is dropped.
    pub fn begin_loss(&self) -> InLoss {
        self.holds.begin_loss()
    }

    /// Whether a loss of these weights is being computed. What is read from the weights meanwhile is a constant in it.
    pub fn in_loss(&self) -> bool {
        self.holds.in_loss()
    }

    /// The type of the matrices: f32 or bf16.
    pub fn dtype(&self) -> DType {
        let matrix = self.universe.specs().iter().position(|s| !matches!(s.role, Role::Norm | Role::Bias));
        matrix.map_or(DType::F32, |i| self.tensors[i].dtype())
    }

    /// The bytes all tensors take.
    pub fn bytes(&self) -> u64 {
        self.tensors.iter().map(|t| (t.elem_count() * t.dtype().size_in_bytes()) as u64).sum()
    }

    /// Where the tensors lie.
    pub fn device(&self) -> &Device {
        self.tensors.first().map_or(&Device::Cpu, Tensor::device)
    }

    /// The same values in memory of their own.
    pub fn copy(&self) -> Result<Self> {
        let tensors: candle_core::Result<Vec<Tensor>> = self.tensors.iter().map(Tensor::copy).collect();
        Ok(Self { scales: self.scales.clone(), ..Self::new(self.universe.clone(), tensors?)? })
    }
}
