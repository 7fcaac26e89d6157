//! One batch: token sequences laid end to end.

use std::sync::Arc;

use candle_core::{DType, Tensor};
use lota_runtime::data::{Batch, Example, NO_LABEL, collate};
use lota_script::{Args, Ctx, FromValue, IntoValue, Op, Primitive, Registry, Result, Scripted, Value};

use crate::error::Told as _;
use crate::primitives::shared::Lota;
use crate::primitives::tensor::ScriptTensor;

/// A batch that a script holds.
pub(crate) struct ScriptBatch(pub(crate) Arc<Batch>);

impl ScriptBatch {
    pub(crate) fn new(batch: Batch) -> Self {
        Self(Arc::new(batch))
    }
}

impl IntoValue<Lota> for Batch {
    fn into_value(self) -> Value {
        Value::object(ScriptBatch::new(self))
    }
}

impl Scripted for ScriptBatch {
    const TYPE: &'static str = "Batch";

    fn show(&self) -> String {
        format!(
            "Batch({} sequences, {} tokens, {} labels)",
            self.0.sequences(),
            self.0.len(),
            self.0.labelled()
        )
    }

    fn bytes(&self) -> u64 {
        // A token, its label and its place, and the lists of sequences.
        16 * self.0.len() as u64 + 64 * self.0.sequences() as u64
    }
}

/// The first lines of every example.
const BEGIN: &str = "local m = lota.model.init('tiny')\n\
                     local e = lota.data.examples(m, {{prompt = '1+1=', target = '2'}, {prompt = '2+2=', target = '4'}})\n\
                     local b = lota.data.batches(e, {size = 2, order = 'sequential'}):next()\n";

pub(super) fn register(r: &mut Registry) {
    r.object("Batch", "Token sequences laid end to end, without padding, with the labels to learn.");
    type Count = fn(&Batch) -> usize;
    let counts: [(&str, &str, Option<Op>, Count, &str); 3] = [
        ("count", "The number of sequences.", Some(Op::Len), Batch::sequences, "assert(#b == 2)"),
        ("size", "The number of tokens.", None, Batch::len, "assert(b:size() == 12)"),
        (
            "labelled",
            "The number of positions with a label.",
            None,
            Batch::labelled,
            "assert(b:labelled() == 4)",
        ),
    ];
    for (name, doc, op, count, code) in counts {
        let mut record = Primitive::method("Batch", name, doc).returns("integer", "how many");
        if let Some(op) = op {
            record = record.operator(op);
        }
        r.add(
            record
                .example(format!("{BEGIN}{code}"))
                .call(move |_, args| Ok(count(&args.this::<ScriptBatch>()?.0))),
        );
    }
    r.add(
        Primitive::method("Batch", "tokens", "The tokens of each sequence.")
            .returns("list of list of integer", "token ids")
            .example(format!("{BEGIN}assert(#b:tokens()[1] == 6)"))
            .call(|_, args| {
                let batch = args.this::<ScriptBatch>()?.0.clone();
                Ok(split(&batch, &batch.tokens))
            }),
    );
    r.add(
        Primitive::method("Batch", "labels", "The token to be predicted at each position of each sequence.")
            .returns("list of list of integer", "token ids, -100 where nothing is to be predicted")
            .example(format!("{BEGIN}assert(b:labels()[1][1] == -100)"))
            .call(|_, args| {
                let batch = args.this::<ScriptBatch>()?.0.clone();
                Ok(split(&batch, &batch.labels))
            }),
    );
    r.add(
        Primitive::method("Batch", "examples", "For each sequence, the example it came from.")
            .returns("list of index", "positions in the examples")
            .example(format!("{BEGIN}assert(b:examples()[2] == 2)"))
            .call(|_, args| {
                let batch = args.this::<ScriptBatch>()?;
                Ok(batch.0.examples.clone())
            }),
    );
    r.add(
        Primitive::method("Batch", "sequence_of", "For each labelled position, the sequence it lies in.")
            .details("In the order of the log-probabilities that a loss function is given.")
            .returns("list of index", "positions among the sequences")
            .example(format!("{BEGIN}assert(#b:sequence_of() == b:labelled())"))
            .call(|_, args| Ok(args.this::<ScriptBatch>()?.0.labelled_sequences())),
    );
    r.add(
        Primitive::method(
            "Batch",
            "by_sequence",
            "Sums a value of each labelled position over each sequence.",
        )
        .details("Gradients flow through it, so that a loss function can use it on its log-probabilities.")
        .arg("values", "Tensor", "one number for each labelled position")
        .returns("Tensor", "one number for each sequence")
        .example(format!("{BEGIN}assert(b:by_sequence(lota.ones({{b:labelled()}})):shape()[1] == 2)"))
        .call(by_sequence),
    );
    r.add(
        Primitive::new("data.batch", "A batch of token sequences, to be read or scored.")
            .arg(
                "sequences",
                "list",
                "lists of token ids, or maps {tokens =, labels =} (not shifted, -100 for none)",
            )
            .returns("Batch", "the batch; without labels, every token but the first is to be predicted")
            .example("assert(lota.data.batch({{1, 2, 3}, {4, 5}}):labelled() == 3)")
            .call(batch),
    );
}

fn split<T: Copy + Into<Value>>(batch: &Batch, values: &[T]) -> Vec<Value> {
    let pieces = batch.segments.windows(2).map(|w| values[w[0] as usize..w[1] as usize].to_vec());
    pieces.map(IntoValue::into_value).collect()
}

fn by_sequence(_: &Ctx, args: &mut Args) -> Result<Tensor> {
    let batch = args.this::<ScriptBatch>()?.0.clone();
    let values = args.get::<Arc<ScriptTensor>>("values")?.get();
    let owners = batch.labelled_sequences();
    if values.dims() != [owners.len()] {
        let what = format!(
            "must have one number for each of the {} labelled positions, got shape {:?}",
            owners.len(),
            values.dims()
        );
        return Err(args.wrong("values", what));
    }
    // A product with a matrix of ones and zeros: differentiable on every device.
    let mut indicator = vec![0f32; batch.sequences() * owners.len()];
    for (k, owner) in owners.iter().enumerate() {
        indicator[*owner as usize * owners.len() + k] = 1.0;
    }
    let indicator = Tensor::from_vec(indicator, (batch.sequences(), owners.len()), values.device()).told()?;
    let column = values.to_dtype(DType::F32).told()?.reshape((owners.len(), 1)).told()?;
    indicator.matmul(&column).told()?.reshape(batch.sequences()).told()
}

fn batch(_: &Ctx, args: &mut Args) -> Result<Value> {
    let sequences: Vec<Value> = args.get("sequences")?;
    let mut examples = Vec::with_capacity(sequences.len());
    for (i, value) in sequences.into_iter().enumerate() {
        let wrong = |m: lota_script::Mismatch| args.mismatched("sequences", &m.inside(&format!("[{i}]")));
        let (tokens, labels) = match value {
            Value::Map(mut map) => {
                let tokens = Vec::<u32>::from_value(map.take("tokens").unwrap_or_default()).map_err(wrong)?;
                let labels = map.take("labels").map(Vec::<i32>::from_value).transpose().map_err(wrong)?;
                (tokens, labels)
            }
            list => (Vec::<u32>::from_value(list).map_err(wrong)?, None),
        };
        if tokens.is_empty() {
            return Err(args.wrong("sequences", format!("has no tokens at {}", i + 1)));
        }
        let labels = labels.unwrap_or_else(|| tokens.iter().map(|&t| t as i32).collect());
        if labels.len() != tokens.len() || labels.iter().any(|l| *l < 0 && *l != NO_LABEL) {
            return Err(args.wrong(
                "sequences",
                format!("has a bad label list at {}: one label a token, -100 for none", i + 1),
            ));
        }
        examples.push(Example { tokens, labels });
    }
    Ok(Value::object(ScriptBatch::new(collate(examples.iter().enumerate().map(|(i, e)| (i as u32, e))))))
}
