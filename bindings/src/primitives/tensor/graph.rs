//! What a recorded tensor keeps alive, and how deep its record goes.
//!
//! A tensor computed from variables holds all that it was computed from, whether a script still holds that or not. For a
//! script with limits it is counted here, and may not be deeper than what follows it (a backward pass, letting go of it)
//! has stack for. A backward pass is the tensor library's, which looks at no switch: so operations that take long are
//! followed by one that looks when the pass comes through it.

use std::sync::Arc;

use candle_core::{CpuStorage, Layout, Shape, Tensor};
use lota_runtime::host::Cancel;
use lota_script::{Args, Charge, Ctx, Error, ErrorKind, Inner, Limits, Registry, Result, Value};

use super::ScriptTensor;
use crate::error::Told as _;

/// Operations after each other that a script with limits may have recorded.
const DEEPEST: u32 = 10_000;
/// Bytes of a result whose backward takes long enough to look at the switch.
const LONG: u64 = 1 << 20;

/// One recorded operation.
pub(super) struct Node {
    depth: u32,
    _charge: Charge,
    _from: Vec<Arc<Node>>,
}

/// Counts what primitives record for scripts with limits.
pub(crate) fn count_graphs(r: &mut Registry) {
    r.wrap(|p| p.result().0.contains("Tensor"), counted);
}

fn counted(ctx: &Ctx, args: &mut Args, inner: &Inner<'_>) -> Result<Value> {
    if *ctx.meter.limits() == Limits::none() {
        return inner(ctx, args);
    }
    let mut from = Vec::new();
    args.given().for_each(|value| tensors(value, &mut |held| from.extend(held.node())));
    let long = args.primitive() == "Tensor:matmul";
    let value = inner(ctx, args)?;
    let mut failed = Ok(());
    tensors(&value, &mut |held| {
        if failed.is_ok() {
            failed = record(ctx, held, &from, long);
        }
    });
    failed.map(|()| value)
}

fn record(ctx: &Ctx, held: &ScriptTensor, from: &[Arc<Node>], long: bool) -> Result<()> {
    let tensor = held.get();
    if !tensor.track_op() || tensor.is_variable() {
        return Ok(());
    }
    let depth = 1 + from.iter().map(|node| node.depth).max().unwrap_or(0);
    if depth > DEEPEST {
        return Err(Error::new(
            ErrorKind::Limit,
            format!(
                "more than {DEEPEST} operations are recorded after each other; detach() what needs no gradient"
            ),
        ));
    }
    let bytes = (tensor.elem_count() * tensor.dtype().size_in_bytes()) as u64;
    let looks = tensor.device().is_cpu() && (long || bytes >= LONG);
    if looks {
        held.replace(tensor.contiguous().and_then(|t| t.apply_op1(Look(ctx.host.cancel.clone()))).told()?);
    }
    // The result, what it was made of on the way, and its copy.
    let kept = bytes * if looks { 3 } else { 2 };
    held.set_node(Arc::new(Node { depth, _charge: ctx.memory.charge(kept), _from: from.to_vec() }));
    Ok(())
}

/// Gives each tensor in a value to `visit`.
pub(super) fn tensors(value: &Value, visit: &mut dyn FnMut(&ScriptTensor)) {
    match value {
        Value::List(items) => items.iter().for_each(|item| tensors(item, visit)),
        Value::Object(object) => {
            if let Some(tensor) = object.downcast_ref::<ScriptTensor>() {
                visit(tensor);
            }
        }
        _ => {}
    }
}

/// The same numbers; a backward pass that comes through looks at the switch.
struct Look(Cancel);

impl candle_core::CustomOp1 for Look {
    fn name(&self) -> &'static str {
        "look"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let Some((from, to)) = layout.contiguous_offsets() else {
            candle_core::bail!("the numbers to record are not contiguous");
        };
        let copy = match storage {
            CpuStorage::F32(x) => CpuStorage::F32(x[from..to].to_vec()),
            CpuStorage::F64(x) => CpuStorage::F64(x[from..to].to_vec()),
            CpuStorage::F16(x) => CpuStorage::F16(x[from..to].to_vec()),
            CpuStorage::BF16(x) => CpuStorage::BF16(x[from..to].to_vec()),
            _ => candle_core::bail!("no gradient goes through numbers that are not floating-point"),
        };
        Ok((copy, layout.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, grad: &Tensor) -> candle_core::Result<Option<Tensor>> {
        match self.0.is_cancelled() {
            true => candle_core::bail!("cancelled"),
            false => Ok(Some(grad.clone())),
        }
    }
}
