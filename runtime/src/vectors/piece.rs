//! Tensors of the parameters' shapes, checked, and read a piece at a time.

use candle_core::{CpuStorage, DType, Storage, Tensor};
use half::slice::HalfFloatSliceExt;

use crate::model::{ParamSpec, Universe};
use crate::{Error, Result};

/// The tensors, contiguous, once their number, shapes and types are found right.
pub(super) fn checked(
    universe: &Universe,
    values: Vec<Option<Tensor>>,
    what: &str,
) -> Result<Vec<Option<Tensor>>> {
    if values.len() != universe.len() {
        return Err(Error::argument(format!(
            "{what}: the model has {} parameters, and {} were given",
            universe.len(),
            values.len()
        )));
    }
    let check = |(spec, tensor): (&ParamSpec, Option<Tensor>)| {
        tensor.map(|tensor| checked_tensor(spec, &spec.shape, &tensor, what)).transpose()
    };
    universe.specs().iter().zip(values).map(check).collect()
}

/// A tensor of a parameter, contiguous and constant, once its shape and type are found right.
pub(super) fn checked_tensor(
    spec: &ParamSpec,
    shape: &[usize],
    tensor: &Tensor,
    what: &str,
) -> Result<Tensor> {
    if tensor.dims() != shape {
        return Err(Error::argument(format!(
            "{what}: parameter {} needs shape {shape:?}, and its tensor has {:?}",
            spec.name,
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
    Ok(tensor.contiguous()?.detach())
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
