//! Arithmetic on values, entry by entry, in f32.

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use super::values::{Part, Values};
use crate::model::ParamSpec;
use crate::{Error, Result};

impl Values {
    /// New values made from the tensor of each parameter, f32 in its shape or `[nnz]`; the result has its shape.
    pub fn map(&self, f: impl Fn(&ParamSpec, &Tensor) -> Result<Tensor> + Sync) -> Result<Self> {
        self.each(|_, spec, part| f(spec, &part.tensor().to_dtype(DType::F32)?))
    }

    /// New values made from the two tensors of each parameter, f32. Both must be of the same entries.
    ///
    /// # Errors
    /// When a parameter, or an entry of one, has a number in only one of the two.
    pub fn zip(
        &self,
        other: &Self,
        f: impl Fn(&ParamSpec, &Tensor, &Tensor) -> Result<Tensor> + Sync,
    ) -> Result<Self> {
        self.check_same_entries(other)?;
        self.each(|index, spec, part| {
            let Some(other) = other.part(index) else { return Ok(part.tensor().clone()) };
            let a = part.tensor().to_dtype(DType::F32)?;
            f(spec, &a, &other.tensor().to_dtype(DType::F32)?.to_device(a.device())?)
        })
    }

    /// An error that names the first parameter of which the two do not have the same entries.
    pub fn check_same_entries(&self, other: &Self) -> Result<()> {
        self.universe().check_same(other.universe())?;
        for (i, spec) in self.universe().specs().iter().enumerate() {
            match (self.part(i), other.part(i)) {
                (None, None) => {}
                (Some(a), Some(b)) if a.same_entries(b) => {}
                (a, b) => return Err(different(spec, a, b)),
            }
        }
        Ok(())
    }

    /// Whether both have the same numbers, compared as f32, for the same entries of the same model. NaN is no number's equal.
    pub fn equals(&self, other: &Self) -> Result<bool> {
        if self.universe().fingerprint() != other.universe().fingerprint() {
            return Ok(false);
        }
        let numbers = |part: &Part| -> Result<Vec<f32>> {
            Ok(part.tensor().flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>()?)
        };
        let same = |(a, b): (&Option<Part>, &Option<Part>)| -> Result<bool> {
            match (a, b) {
                (None, None) => Ok(true),
                (Some(a), Some(b)) if a.same_entries(b) => Ok(numbers(a)? == numbers(b)?),
                _ => Ok(false),
            }
        };
        let all = self.parts().par_iter().zip(other.parts()).map(same);
        all.try_reduce(|| true, |a, b| Ok(a && b))
    }

    /// Values of the same entries with other numbers, parameter by parameter; on the CPU side by side.
    fn each(&self, f: impl Fn(usize, &ParamSpec, &Part) -> Result<Tensor> + Sync) -> Result<Self> {
        let one = |(i, part): (usize, &Option<Part>)| -> Result<Option<Part>> {
            let Some(part) = part else { return Ok(None) };
            Ok(Some(part.with(f(i, self.universe().spec(i), part)?)))
        };
        let host = self.parts().iter().flatten().all(|p| matches!(p.tensor().device(), Device::Cpu));
        let parts = match host {
            true => self.parts().par_iter().enumerate().map(one).collect::<Result<Vec<_>>>()?,
            false => self.parts().iter().enumerate().map(one).collect::<Result<Vec<_>>>()?,
        };
        Self::of_parts(self.universe().clone(), parts)
    }
}

fn different(spec: &ParamSpec, a: Option<&Part>, b: Option<&Part>) -> Error {
    let describe = |part: Option<&Part>| match part {
        None => "no values".to_string(),
        Some(Part::Dense(_)) => "values of all entries".to_string(),
        Some(Part::At(index, _)) => format!("values of {} entries", index.nnz()),
    };
    let (a, b) = (describe(a), describe(b));
    let other = if a == b { " that are others" } else { "" };
    Error::argument(format!(
        "parameter {} has {a} in one and {b}{other} in the other; bring both to the same entries, as with \
         values:within(mask)",
        spec.name
    ))
}
