//! `Rows`: what a loss over logits is told of the rows of a chunk.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use candle_core::{Device, Tensor};
use lota_runtime::data::Batch;
use lota_runtime::host::Host;
use lota_runtime::model::Model;
use lota_script::{Args, Ctx, Op, Primitive, Registry, Result, Scripted, Value};

use super::BEGIN;
use crate::error::Told as _;
use crate::primitives::data::ScriptBatch;
use crate::primitives::model::ScriptModel;
use crate::primitives::tensor::ScriptTensor;

/// One pass over a batch: what all of its chunks share.
pub(super) struct Pass {
    batch: Arc<Batch>,
    /// The places of the labelled positions among the tokens.
    places: Vec<u32>,
    sequences: Vec<u32>,
    /// The hidden states of other models at the labelled positions, and the version of the weights that they are of.
    hidden: Mutex<Vec<(Weak<Model>, u64, Tensor)>>,
}

impl Pass {
    pub(super) fn new(batch: Batch) -> Self {
        let labelled = batch.labels.iter().zip(0..).filter(|(label, _)| **label >= 0);
        let places = labelled.map(|(_, place)| place).collect();
        let sequences = batch.labelled_sequences();
        Self { batch: Arc::new(batch), places, sequences, hidden: Mutex::default() }
    }

    /// The hidden states of a model at the labelled positions; they are computed once.
    fn hidden(&self, model: &Arc<Model>, host: &Host) -> Result<Tensor> {
        let version = model.params.version();
        let known =
            |held: &&(Weak<Model>, u64, Tensor)| held.0.as_ptr() == Arc::as_ptr(model) && held.1 == version;
        let lock = || self.hidden.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, _, hidden)) = lock().iter().find(known) {
            return Ok(hidden.clone());
        }
        let hidden = model.decoder.labelled_hidden(&model.exec, host, &model.params, &self.batch)?;
        lock().push((Arc::downgrade(model), version, hidden.clone()));
        Ok(hidden)
    }
}

/// The rows of a chunk of logits, as scripts hold them.
pub(super) struct ScriptRows {
    pass: Arc<Pass>,
    labelled: Range<usize>,
    device: Device,
}

impl Scripted for ScriptRows {
    const TYPE: &'static str = "Rows";

    fn show(&self) -> String {
        let Range { start, end } = self.labelled;
        format!("Rows({} to {end} of {} labelled positions)", start + 1, self.pass.places.len())
    }
}

impl ScriptRows {
    pub(super) fn new(pass: Arc<Pass>, labelled: Range<usize>, device: Device) -> Self {
        Self { pass, labelled, device }
    }

    /// A whole number for each row.
    fn tensor(&self, number: impl Fn(usize) -> i64) -> Result<Tensor> {
        let numbers: Vec<i64> = self.labelled.clone().map(number).collect();
        Tensor::from_vec(numbers, self.labelled.len(), &self.device).told()
    }

    fn labels(&self) -> Result<Tensor> {
        let Pass { batch, places, .. } = &*self.pass;
        self.tensor(|row| i64::from(batch.labels[places[row] as usize]))
    }
}

/// An example: a loss over logits, whose body is `body`.
fn example(body: &str) -> String {
    format!(
        "{BEGIN}local t = lota.train.new(m, {{loss = {{on = 'logits', fn = function(logits, rows)\n\
         \x20 {body}\n\
         \x20 return -rows:pick(logits:log_softmax())\nend}}}})\n\
         assert(t:step(b:next()).loss > 0)"
    )
}

pub(super) fn register(r: &mut Registry) {
    r.object("Rows", "The labelled positions that a chunk of logits is of, for a loss over logits.");
    let method = |name: &str, doc: &'static str| Primitive::method("Rows", name, doc);
    r.add(
        method("labels", "The label of each row: the token to be predicted there.")
            .returns("Tensor", "token ids, from 0: one for each row, i64")
            .example(example("assert(rows:labels():shape()[1] == logits:shape()[1])"))
            .call(|_, args| args.this::<ScriptRows>()?.labels()),
    );
    r.add(
        method("positions", "The position of each row in its sequence.")
            .returns("Tensor", "positions stored from 0: one for each row, i64")
            .example(example("assert(rows:positions():min():item() > 0)"))
            .call(|_, args| {
                let rows = args.this::<ScriptRows>()?;
                let Pass { batch, places, .. } = &*rows.pass;
                rows.tensor(|row| i64::from(batch.positions[places[row] as usize]))
            }),
    );
    r.add(
        method("sequences", "The sequence of the batch that each row belongs to.")
            .returns("Tensor", "positions among the sequences stored from 0: one for each row, i64")
            .example(example("assert(rows:sequences():max():item() < rows:batch():count())"))
            .call(|_, args| {
                let rows = args.this::<ScriptRows>()?;
                rows.tensor(|row| i64::from(rows.pass.sequences[row]))
            }),
    );
    r.add(
        method("batch", "The batch that the rows are of.")
            .returns("Batch", "the batch, of which the rows may be a part")
            .example(example("assert(rows:batch():labelled() >= #rows)"))
            .call(|_, args| Ok(Value::object(ScriptBatch(args.this::<ScriptRows>()?.pass.batch.clone())))),
    );
    r.add(
        method("len", "How many rows there are.")
            .returns("integer", "the number of rows of the logits")
            .operator(Op::Len)
            .example(example("assert(#rows == rows:len())"))
            .call(|_, args| Ok(args.this::<ScriptRows>()?.labelled.len())),
    );
    r.add(
        method("pick", "The entry of each row at its label.")
            .details("Of log-softmax it is the log-probability of the label. Gradients flow through it.")
            .arg("x", "Tensor", "one row for each row, one column for each token of the vocabulary")
            .returns("Tensor", "one number for each row")
            .example(example("assert(rows:pick(logits):shape()[1] == #rows)"))
            .call(pick),
    );
    r.add(
        method("logits", "The logits of another model at the same positions.")
            .details(
                "Of a teacher or of a copy of the model from before: constants. Its hidden states are computed once for a \
                 batch, its logits for each chunk. The model being trained has to be detached: its logits are the argument \
                 of the loss.",
            )
            .arg("model", "Model", "the other model, which reads the same tokens")
            .returns("Tensor", "one row for each row, one column for each token of its vocabulary, f32")
            .example(format!(
                "{BEGIN}local teacher = m:clone()\n\
                 local t = lota.train.new(m, {{loss = {{on = 'logits', fn = function(logits, rows)\n\
                 \x20 return rows:logits(teacher):log_softmax():kl(logits:log_softmax())\nend}}}})\n\
                 assert(t:step(b:next()).loss < 1e-6)"
            ))
            .call(logits),
    );
}

fn pick(_: &Ctx, args: &mut Args) -> Result<Tensor> {
    let rows = args.this::<ScriptRows>()?;
    let x = args.get::<Arc<ScriptTensor>>("x")?.get();
    let labels = rows.labels()?;
    let most = labels.max(0).told()?.to_scalar::<i64>().told()?;
    match x.dims() {
        &[count, vocab] if count == rows.labelled.len() && most < vocab as i64 => {}
        dims => {
            let (count, least) = (rows.labelled.len(), most + 1);
            let what = format!("must have {count} rows and at least {least} columns, got shape {dims:?}");
            return Err(args.wrong("x", what));
        }
    }
    x.contiguous().told()?.gather(&labels.unsqueeze(1).told()?, 1).told()?.squeeze(1).told()
}

fn logits(ctx: &Ctx, args: &mut Args) -> Result<Value> {
    let rows = args.this::<ScriptRows>()?;
    let model = args.get::<Arc<ScriptModel>>("model")?;
    let m = &model.0;
    ctx.reserve(rows.labelled.len().saturating_mul(m.config.vocab_size).saturating_mul(size_of::<f32>()))?;
    let hidden = rows.pass.hidden(m, &ctx.host)?;
    let part = hidden.narrow(0, rows.labelled.start, rows.labelled.len()).told()?.contiguous().told()?;
    Ok(ScriptTensor::of_weights(m.decoder.logits_of(&m.exec, &m.params, &part)?, m))
}
