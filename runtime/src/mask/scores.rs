//! Scores: a number for every entry of every parameter, and the ways to read them piece by piece.

use std::sync::Arc;

use candle_core::{CpuStorage, DType, Storage, Tensor};
use half::slice::HalfFloatSliceExt;

use crate::model::{ParamSpec, Universe};
use crate::{Error, Result};

/// Where selection reads its scores. It never sees them all at once: a piece at a time, several
/// times, in any order and from several threads.
pub trait Source: Sync {
    /// The parameters that the scores are about.
    fn universe(&self) -> &Arc<Universe>;

    /// Whether the parameter at this index has scores. One that has none cannot be selected.
    fn scored(&self, param: usize) -> bool;

    /// Calls `visit` once with the scores of the flat entries `start .. start + len`.
    fn read(&self, param: usize, start: usize, len: usize, visit: &mut dyn FnMut(&[f32])) -> Result<()>;
}

/// Scores held as tensors of the parameters' shapes, on any device and of any floating type.
#[derive(Clone, Debug)]
pub struct Scores {
    universe: Arc<Universe>,
    values: Vec<Option<Tensor>>,
}

impl Scores {
    /// Scores of these tensors, one for each parameter in order; `None` is not scored.
    pub fn new(universe: Arc<Universe>, values: Vec<Option<Tensor>>) -> Result<Self> {
        let values = checked(&universe, values, "scores")?;
        Ok(Self { universe, values })
    }

    /// Scores made by calling `score` once for each parameter.
    pub fn from_fn(
        universe: Arc<Universe>,
        mut score: impl FnMut(usize, &ParamSpec) -> Result<Option<Tensor>>,
    ) -> Result<Self> {
        let values =
            universe.specs().iter().enumerate().map(|(i, spec)| score(i, spec)).collect::<Result<_>>()?;
        Self::new(universe, values)
    }

    /// The scores of the parameter at `index`, if it has any.
    pub fn get(&self, index: usize) -> Option<&Tensor> {
        self.values.get(index).and_then(Option::as_ref)
    }

    /// The scores of all parameters, in order.
    pub fn values(&self) -> &[Option<Tensor>] {
        &self.values
    }

    /// New scores made from the tensor of each scored parameter.
    pub fn map(&self, mut f: impl FnMut(&ParamSpec, &Tensor) -> Result<Tensor>) -> Result<Self> {
        Self::from_fn(self.universe.clone(), |i, spec| self.get(i).map(|t| f(spec, t)).transpose())
    }

    /// New scores made from the two tensors of each parameter; one that only one of the two has
    /// scored is an error.
    pub fn zip(
        &self,
        other: &Self,
        mut f: impl FnMut(&ParamSpec, &Tensor, &Tensor) -> Result<Tensor>,
    ) -> Result<Self> {
        self.universe.check_same(&other.universe)?;
        Self::from_fn(self.universe.clone(), |i, spec| match (self.get(i), other.get(i)) {
            (Some(a), Some(b)) => f(spec, a, b).map(Some),
            (None, None) => Ok(None),
            _ => Err(Error::argument(format!("parameter {} is scored in only one of the two", spec.name))),
        })
    }
}

impl Source for Scores {
    fn universe(&self) -> &Arc<Universe> {
        &self.universe
    }

    fn scored(&self, param: usize) -> bool {
        self.values[param].is_some()
    }

    fn read(&self, param: usize, start: usize, len: usize, visit: &mut dyn FnMut(&[f32])) -> Result<()> {
        match &self.values[param] {
            Some(tensor) => read_tensor(tensor, start, len, visit),
            None => Ok(()),
        }
    }
}

/// The task vector `after - before` as scores, subtracted piece by piece and never held whole.
#[derive(Clone, Debug)]
pub struct Delta {
    universe: Arc<Universe>,
    pairs: Vec<Option<(Tensor, Tensor)>>,
}

impl Delta {
    /// The difference of two states of a model. A parameter is scored where both are given.
    pub fn new(
        universe: Arc<Universe>,
        after: Vec<Option<Tensor>>,
        before: Vec<Option<Tensor>>,
    ) -> Result<Self> {
        let after = checked(&universe, after, "the state after")?;
        let before = checked(&universe, before, "the state before")?;
        let pairs = after.into_iter().zip(before).map(|(a, b)| a.zip(b)).collect();
        Ok(Self { universe, pairs })
    }
}

impl Source for Delta {
    fn universe(&self) -> &Arc<Universe> {
        &self.universe
    }

    fn scored(&self, param: usize) -> bool {
        self.pairs[param].is_some()
    }

    fn read(&self, param: usize, start: usize, len: usize, visit: &mut dyn FnMut(&[f32])) -> Result<()> {
        let Some((after, before)) = &self.pairs[param] else { return Ok(()) };
        let mut delta = Vec::with_capacity(len);
        read_tensor(after, start, len, &mut |a| delta.extend_from_slice(a))?;
        read_tensor(before, start, len, &mut |b| delta.iter_mut().zip(b).for_each(|(d, b)| *d -= b))?;
        visit(&delta);
        Ok(())
    }
}

/// Scores that are computed when they are read, by a function of (parameter, first entry, output).
pub struct Generated<F> {
    universe: Arc<Universe>,
    scored: Vec<bool>,
    fill: F,
}

impl<F: Fn(usize, usize, &mut [f32]) + Sync> Generated<F> {
    /// Scores of the parameters in `params`, made by `fill`.
    pub fn new(universe: Arc<Universe>, params: &[usize], fill: F) -> Self {
        let mut scored = vec![false; universe.len()];
        params.iter().for_each(|&p| scored[p] = true);
        Self { universe, scored, fill }
    }
}

impl<F: Fn(usize, usize, &mut [f32]) + Sync> Source for Generated<F> {
    fn universe(&self) -> &Arc<Universe> {
        &self.universe
    }

    fn scored(&self, param: usize) -> bool {
        self.scored[param]
    }

    fn read(&self, param: usize, start: usize, len: usize, visit: &mut dyn FnMut(&[f32])) -> Result<()> {
        let mut piece = vec![0.0; len];
        (self.fill)(param, start, &mut piece);
        visit(&piece);
        Ok(())
    }
}

/// The tensors, contiguous, once their number, shapes and types are found right.
fn checked(universe: &Universe, values: Vec<Option<Tensor>>, what: &str) -> Result<Vec<Option<Tensor>>> {
    if values.len() != universe.len() {
        return Err(Error::argument(format!(
            "{what}: the model has {} parameters, and {} were given",
            universe.len(),
            values.len()
        )));
    }
    let check = |(spec, tensor): (&ParamSpec, Option<Tensor>)| -> Result<Option<Tensor>> {
        let Some(tensor) = tensor else { return Ok(None) };
        if tensor.dims() != spec.shape {
            return Err(Error::argument(format!(
                "{what}: parameter {} has shape {:?}, and its tensor has {:?}",
                spec.name,
                spec.shape,
                tensor.dims()
            )));
        }
        if !tensor.dtype().is_float() {
            return Err(Error::argument(format!(
                "{what}: the tensor of parameter {} holds {}, not floating-point numbers",
                spec.name,
                tensor.dtype().as_str()
            )));
        }
        Ok(Some(tensor.contiguous()?.detach()))
    };
    universe.specs().iter().zip(values).map(check).collect()
}

/// Reads a piece of a contiguous tensor: in place where it is f32 on the CPU, else through a copy
/// of that piece alone. Numbers of eight bytes are rounded to four.
pub(crate) fn read_tensor(
    tensor: &Tensor,
    start: usize,
    len: usize,
    visit: &mut dyn FnMut(&[f32]),
) -> Result<()> {
    let (storage, layout) = tensor.storage_and_layout();
    if let (Storage::Cpu(storage), Some((from, _))) = (&*storage, layout.contiguous_offsets()) {
        let piece = from + start..from + start + len;
        let wide = match storage {
            CpuStorage::F32(data) => {
                visit(&data[piece]);
                return Ok(());
            }
            CpuStorage::BF16(data) => Some(data[piece].iter().map(|v| v.to_f32()).collect::<Vec<f32>>()),
            CpuStorage::F16(data) => {
                let mut wide = vec![0.0; len];
                data[piece].convert_to_f32_slice(&mut wide);
                Some(wide)
            }
            _ => None,
        };
        if let Some(wide) = wide {
            visit(&wide);
            return Ok(());
        }
    }
    drop(storage);
    let piece = tensor.flatten_all()?.narrow(0, start, len)?.to_dtype(DType::F32)?.to_vec1::<f32>()?;
    visit(&piece);
    Ok(())
}
