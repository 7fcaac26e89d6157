//! `model.*` and `Model`.

mod generate;
mod make;
mod snapshot;
mod text;
mod weights;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::{DType, Tensor};
use lota_runtime::model::{Model, Params, Tokenizer, Universe};
use lota_runtime::ticket::Stack;
use lota_script::{Args, IntoValue, Object, Primitive, Registry, Result, Scripted, Value};

use crate::primitives::shared::Lota;

pub(crate) use generate::{generation, generation_options};
pub(crate) use snapshot::Snapshot;
pub(crate) use weights::shard_bytes;

/// A model that scripts hold, and the tickets that are applied to it. Its weights are only ever
/// changed in place, so a trainer, a ticket and the script all see the same ones.
pub struct ScriptModel(pub(crate) Arc<Model>, Mutex<Stack>);

/// What the names and shapes of a layer's parameters take, about.
const LAYER: usize = 8 << 10;

impl Scripted for ScriptModel {
    const TYPE: &'static str = "Model";

    fn show(&self) -> String {
        let m = &self.0;
        let (layers, entries) = (m.config.layers.len(), m.params.universe().entries());
        format!("Model({}, {layers} layers, {entries} entries)", m.source)
    }

    fn bytes(&self) -> u64 {
        // Of each layer there is a description, whatever is in it.
        let tokenizer = self.0.tokenizer.as_ref().map_or(0, |tokenizer| tokenizer.bytes());
        let layers = (self.0.config.layers.len() * LAYER) as u64;
        self.0.params.bytes().saturating_add(tokenizer).saturating_add(layers)
    }
}

impl ScriptModel {
    /// The tickets that are applied.
    pub(crate) fn stack(&self) -> MutexGuard<'_, Stack> {
        self.1.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its weights.
    pub fn params(&self) -> &Params {
        &self.0.params
    }

    pub(crate) fn tokenizer(&self) -> Result<&Arc<Tokenizer>> {
        Ok(self.0.tokenizer()?)
    }

    /// The token that ends a text: the tokenizer's, else the configuration's.
    pub(crate) fn eos(&self) -> Option<u32> {
        let named = self.0.tokenizer.as_ref().and_then(|t| t.specials().eos.as_ref());
        named.map(|s| s.id).or_else(|| self.0.generation.eos.first().copied())
    }

    /// The token that begins a text: the tokenizer's, else the configuration's.
    pub(crate) fn bos(&self) -> Option<u32> {
        let named = self.0.tokenizer.as_ref().and_then(|t| t.specials().bos.as_ref());
        named.map(|s| s.id).or(self.0.config.bos)
    }
}

impl IntoValue<Lota> for Model {
    fn into_value(self) -> Value {
        Value::object(ScriptModel(Arc::new(self), Mutex::default()))
    }
}

/// The universe of an object that is a model or a snapshot.
pub(crate) fn universe_of(object: &Object) -> Option<Arc<Universe>> {
    if let Some(model) = object.downcast_ref::<ScriptModel>() {
        return Some(model.params().universe().clone());
    }
    object.downcast_ref::<Snapshot>().map(|s| s.params().universe().clone())
}

/// Writes `values` over a parameter where it lies. The caller touches the params afterwards.
pub(crate) fn overwrite(params: &Params, index: usize, values: &Tensor) -> lota_runtime::Result<()> {
    let target = params.get(index);
    let values = values.detach().to_device(target.device())?.to_dtype(target.dtype())?.contiguous()?;
    Ok(target.slice_set(&values, 0, 0)?)
}

/// The type that the option `dtype` names.
pub(crate) fn dtype(args: &mut Args) -> Result<DType> {
    let name: String = args.get("dtype")?;
    match name.as_str() {
        "f32" => Ok(DType::F32),
        "bf16" => Ok(DType::BF16),
        other => Err(args.not_one_of("dtype", other, &["f32", "bf16"])),
    }
}

/// How examples get a model: two layers, random weights, bytes as tokens.
pub(crate) const TINY: &str = "local m = lota.model.init('tiny')\n";

pub(super) fn register(r: &mut Registry) {
    r.area("model", "Models: loading, making, running and writing them.");
    r.object("Model", "A decoder-only language model: its weights, configuration and tokenizer.");
    r.object("Snapshot", "The bits of a model's weights at one moment.");
    make::register(r);
    weights::register(r);
    snapshot::register(r);
    text::register(r);
    generate::register(r);
}

/// A method of models.
fn method(name: &str, doc: &'static str) -> Primitive {
    Primitive::method("Model", name, doc)
}
