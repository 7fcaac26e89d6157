//! Batches: an endless, seeded stream over examples.

use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

use lota_runtime::data::{BatchOptions, BatchState, Batches, Order};
use lota_runtime::host::Event;
use lota_script::{Args, Ctx, Error, Map, Op, Primitive, Registry, Result, Scripted, Value};

use super::batch::ScriptBatch;
use super::examples::{EXAMPLE, ScriptExamples};

/// A stream of batches that a script holds.
pub(crate) struct ScriptBatches(Mutex<Batches>);

impl Scripted for ScriptBatches {
    const TYPE: &'static str = "Batches";

    fn show(&self) -> String {
        match self.stream() {
            Ok(stream) => format!("Batches({} of {} examples)", stream.len(), stream.examples().len()),
            Err(_) => "Batches(in use)".into(),
        }
    }

    fn bytes(&self) -> u64 {
        // The examples it holds, and their order.
        let of = |stream: MutexGuard<'_, Batches>| {
            stream.examples().iter().map(|e| EXAMPLE + 8 * e.len() as u64).sum()
        };
        self.stream().map_or(0, of)
    }
}

impl ScriptBatches {
    /// The stream, for as long as the guard lives.
    pub(crate) fn stream(&self) -> Result<MutexGuard<'_, Batches>> {
        match self.0.try_lock() {
            Ok(guard) => Ok(guard),
            Err(TryLockError::Poisoned(guard)) => Ok(guard.into_inner()),
            Err(TryLockError::WouldBlock) => {
                Err(Error::argument("the batches are in use by a fit, and cannot be used from its on_step"))
            }
        }
    }
}

/// The first lines of every example.
const BEGIN: &str = "local m = lota.model.init('tiny')\n\
                     local rows = {}\n\
                     for i = 1, 10 do rows[i] = {prompt = i .. '+1=', target = tostring(i + 1)} end\n\
                     local b = lota.data.batches(lota.data.examples(m, rows), {size = 4, seed = 1})\n";

pub(super) fn register(r: &mut Registry) {
    r.object("Batches", "An endless stream of batches over a set of examples, epoch after epoch.");
    r.add(
        Primitive::new("data.batches", "A stream of batches over examples.")
            .details("Attention never crosses from one example to another, packed or not, and there is no padding.")
            .arg("examples", "Examples", "the examples")
            .opt("size", "integer", 4, "examples in a batch")
            .opt("order", "string", "shuffle", "shuffle (anew every epoch) or sequential")
            .opt("seed", "integer", 0, "the seed of the shuffle")
            .opt("bucket", "boolean", false, "put examples of similar length together")
            .opt("packed", "boolean", false, "fill every batch up to max_tokens, however many examples that takes")
            .opt("max_tokens", "integer", (), "the most tokens of a batch")
            .returns("Batches", "the stream")
            .example(format!("{BEGIN}assert(b:len() == 3)\nlocal batch = b:next()\nassert(#batch == 4)"))
            .call(make),
    );
    r.add(
        Primitive::method(
            "Batches",
            "next",
            "The next batch; after the last one of an epoch comes the first of the next.",
        )
        .returns("Batch", "the batch")
        .example(format!("{BEGIN}assert(b:next():tokens() ~= nil)"))
        .call(|ctx, args| {
            let batches = args.this::<ScriptBatches>()?;
            let mut stream = batches.stream()?;
            let before = stream.state().epoch;
            let batch = stream.next();
            if stream.state().epoch != before {
                ctx.host.events.emit(Event::Epoch(stream.state().epoch));
            }
            Ok(Value::object(ScriptBatch::new(batch)))
        }),
    );
    r.add(
        Primitive::method("Batches", "epoch", "All batches of the current epoch, without moving the stream.")
            .returns("list of Batch", "the batches")
            .example(format!("{BEGIN}assert(#b:epoch() == b:len())"))
            .call(|_, args| {
                let batches = args.this::<ScriptBatches>()?;
                let all =
                    batches.stream()?.epoch().map(|b| Value::object(ScriptBatch::new(b))).collect::<Vec<_>>();
                Ok(all)
            }),
    );
    r.add(
        Primitive::method("Batches", "len", "The number of batches in the current epoch.")
            .returns("integer", "how many")
            .operator(Op::Len)
            .example(format!("{BEGIN}assert(#b == b:len())"))
            .call(|_, args| Ok(args.this::<ScriptBatches>()?.stream()?.len())),
    );
    r.add(
        Primitive::method(
            "Batches",
            "fingerprint",
            "A hash of the examples and the options, to name the data in a ticket.",
        )
        .returns("string", "hexadecimal")
        .example(format!("{BEGIN}assert(#b:fingerprint() == 64)"))
        .call(|_, args| Ok(args.this::<ScriptBatches>()?.stream()?.fingerprint().to_string())),
    );
    r.add(
        Primitive::method("Batches", "state", "Where the stream stands, to be given to restore.")
            .returns("map", "epoch (from 0), position, fingerprint")
            .example(format!("{BEGIN}b:next()\nassert(b:state().position == 1)"))
            .call(|_, args| {
                let state = args.this::<ScriptBatches>()?.stream()?.state();
                Ok(Map::new()
                    .with("epoch", state.epoch)
                    .with("position", state.position)
                    .with("fingerprint", state.fingerprint))
            }),
    );
    r.add(
        Primitive::method("Batches", "restore", "Moves the stream to a saved place.")
            .arg("state", "map", "what state gave, of a stream over the same examples with the same options")
            .example(format!(
                "{BEGIN}local s = b:state()\nb:next()\nb:restore(s)\nassert(b:state().position == 0)"
            ))
            .call(restore),
    );
}

fn make(_: &Ctx, args: &mut Args) -> Result<Value> {
    let examples: Arc<ScriptExamples> = args.get("examples")?;
    let order: String = args.get("order")?;
    let options = BatchOptions {
        size: args.get("size")?,
        max_tokens: args.opt("max_tokens")?,
        order: match order.as_str() {
            "shuffle" => Order::Shuffle,
            "sequential" => Order::Sequential,
            other => return Err(args.not_one_of("order", other, &["shuffle", "sequential"])),
        },
        bucket: args.get("bucket")?,
        packed: args.get("packed")?,
        seed: args.get::<i64>("seed")? as u64,
    };
    Ok(Value::object(ScriptBatches(Mutex::new(Batches::new(examples.items.clone(), options)?))))
}

fn restore(_: &Ctx, args: &mut Args) -> Result<()> {
    let batches = args.this::<ScriptBatches>()?;
    let state: Map = args.get("state")?;
    let whole = |name: &str| match state.get(name) {
        Some(Value::Int(i)) if *i >= 0 => Ok(*i as u64),
        _ => Err(args.wrong("state", format!("must be what Batches:state gave, but has no {name}"))),
    };
    let fingerprint = match state.get("fingerprint") {
        Some(Value::Str(text)) => text.clone(),
        _ => return Err(args.wrong("state", "must be what Batches:state gave, but has no fingerprint")),
    };
    let state = BatchState { epoch: whole("epoch")?, position: whole("position")? as usize, fingerprint };
    Ok(batches.stream()?.restore(&state)?)
}
