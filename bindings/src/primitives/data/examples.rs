//! Examples: prompts and targets as tokens.

use std::sync::Arc;

use lota_runtime::data::{
    Example, ExampleOptions, Examples, Keep, NO_LABEL, Padded, Pair, Truncation, examples,
};
use lota_runtime::model::Tokenizer;
use lota_script::{
    Args, Ctx, Error, FromValue, Map, Mismatch, Op, Primitive, Registry, Result, Scripted, Value, to_json,
};

use super::instruction;
use crate::primitives::model::ScriptModel;
use crate::primitives::shared::ScriptTokenizer;

/// Examples that a script holds.
pub(crate) struct ScriptExamples {
    pub(crate) items: Arc<Vec<Example>>,
    truncation: Truncation,
}

/// What an example takes beside its tokens and labels.
pub(super) const EXAMPLE: u64 = 64;

impl Scripted for ScriptExamples {
    const TYPE: &'static str = "Examples";

    fn show(&self) -> String {
        format!("Examples({})", self.items.len())
    }

    fn bytes(&self) -> u64 {
        self.items.iter().map(|e| EXAMPLE + 8 * e.len() as u64).sum()
    }
}

impl From<Examples> for ScriptExamples {
    fn from(examples: Examples) -> Self {
        Self { items: Arc::new(examples.items), truncation: examples.truncation }
    }
}

/// The first lines of every example.
const BEGIN: &str = "local m = lota.model.init('tiny')\n\
                     local e = lota.data.examples(m, {{prompt = '1+1=', target = '2'}, {prompt = '2+2=', target = '4'}})\n";

pub(super) fn register(r: &mut Registry) {
    r.object("Examples", "Token sequences with the targets to learn.");
    r.add(
        Primitive::new("data.examples", "Rows of text as training examples.")
            .details(
                "A row is {prompt =, target =} (only the target is learnt; `completion` is another name of it), {messages = \
                 {{role =, content =}, ...}} (by the model's chat template; the last message, the assistant's, is learnt), \
                 {text =} (all of it is learnt), or {tokens =, labels =} (labels as long as tokens, -100 where nothing is \
                 learnt; all of it without labels). {prompt = {...}, completion = {...}} of messages is such a conversation. {instruction =, input =, output =} is a prompt of the instruction, an \
                 empty line, the input if it is not empty and another empty line, with the output as its target. A task \
                 file of Super-NaturalInstructions, {Definition =, Instances = {{input =, output =}, ...}}, is such a row \
                 for each instance, with the first of its outputs. Other fields are ignored. Only an example longer than max_len is cut: first its prompt to max_prompt, then \
                 its target to what is left; how much was cut is reported and kept in e:truncation().",
            )
            .arg("model", "Model|Tokenizer", "whose tokenizer to use")
            .arg("rows", "list of map", "the rows")
            .opt("max_len", "integer", 512, "the most tokens of an example")
            .opt("max_prompt", "integer", (), "tokens kept of the prompt where an example exceeds max_len; if not given, 256, or half of max_len where that is less")
            .opt("keep", "string", "end", "which end of such a prompt is kept: start or end")
            .opt("bos", "boolean", false, "put the token that begins a text before the prompt")
            .opt("eos", "boolean", true, "put the token that ends a text after the target, and learn it")
            .returns("Examples", "the examples")
            .example(format!("{BEGIN}assert(#e == 2 and #e:get(1).tokens == 6)"))
            .call(make),
    );
    r.add(
        Primitive::new(
            "data.padded",
            "The examples of a file of padded batches, as other trainers write them.",
        )
        .details(
            "A safetensors file with input_ids, labels and attention_mask of shape [batches, size, length].",
        )
        .arg("path", "string", "the file")
        .returns("Examples", "the examples, batch by batch")
        .example("local e = lota.data.padded('batches.safetensors')\nassert(e:count() == 2 and #e:get(1).tokens == 3)")
        .call(|_, args| {
            let path = args.file("path")?;
            let items = Padded::read(path.path())?.examples()?;
            Ok(Value::object(ScriptExamples { items: Arc::new(items), truncation: Truncation::default() }))
        }),
    );
    r.add(
        Primitive::method("Examples", "count", "The number of examples.")
            .returns("integer", "how many")
            .operator(Op::Len)
            .example(format!("{BEGIN}assert(e:count() == 2)"))
            .call(|_, args| Ok(args.this::<ScriptExamples>()?.items.len())),
    );
    r.add(
        Primitive::method("Examples", "get", "One example.")
            .arg("i", "index", "which one")
            .returns("map", "tokens and labels (-100 where nothing is learnt)")
            .example(format!("{BEGIN}assert(e:get(-1).labels[1] == -100)"))
            .call(|_, args| {
                let all = args.this::<ScriptExamples>()?;
                let i: i64 = args.get("i")?;
                let at = if i < 0 { i + all.items.len() as i64 } else { i };
                let found = usize::try_from(at).ok().and_then(|at| all.items.get(at));
                let found = found.ok_or_else(|| {
                    args.wrong("i", format!("is outside of the {} examples", all.items.len()))
                })?;
                Ok(Map::new().with("tokens", found.tokens.clone()).with("labels", found.labels.clone()))
            }),
    );
    r.add(
        Primitive::method("Examples", "truncation", "What was cut to make the examples fit.")
            .returns("map", "examples, prompts, targets (counts), prompt_tokens, target_tokens (tokens lost)")
            .example(format!("{BEGIN}assert(e:truncation().examples == 0)"))
            .call(|_, args| {
                let t = args.this::<ScriptExamples>()?.truncation;
                Ok(Map::new()
                    .with("examples", t.examples)
                    .with("prompts", t.prompts)
                    .with("targets", t.targets)
                    .with("prompt_tokens", t.prompt_tokens)
                    .with("target_tokens", t.target_tokens))
            }),
    );
    r.add(
        Primitive::method("Examples", "tokens", "The number of tokens.")
            .returns("map", "total, targets (those to learn), longest")
            .example(format!("{BEGIN}assert(e:tokens().longest == 6)"))
            .call(|_, args| {
                let items = args.this::<ScriptExamples>()?.items.clone();
                Ok(Map::new()
                    .with("total", items.iter().map(Example::len).sum::<usize>())
                    .with("targets", items.iter().map(Example::targets).sum::<usize>())
                    .with("longest", items.iter().map(Example::len).max().unwrap_or(0)))
            }),
    );
}

/// A tokenizer, and the tokens that begin and end a text.
struct Encoder {
    tokenizer: Arc<Tokenizer>,
    /// The model whose chat template conversations go through.
    model: Option<Arc<ScriptModel>>,
    bos: Option<u32>,
    eos: Option<u32>,
}

/// Of an argument that is a model or a tokenizer.
fn encoder(args: &mut Args, name: &str) -> Result<Encoder> {
    let value: Value = args.get(name)?;
    if let Value::Object(object) = &value {
        if let Some(model) = object.downcast::<ScriptModel>() {
            let tokenizer = model.tokenizer()?.clone();
            return Ok(Encoder { tokenizer, bos: model.bos(), eos: model.eos(), model: Some(model) });
        }
        if let Some(tokenizer) = object.downcast_ref::<ScriptTokenizer>() {
            let id = |s: &Option<lota_runtime::model::Special>| s.as_ref().map(|s| s.id);
            let (bos, eos) = (id(&tokenizer.specials().bos), id(&tokenizer.specials().eos));
            return Ok(Encoder { tokenizer: tokenizer.0.clone(), model: None, bos, eos });
        }
    }
    Err(args.wrong(name, format!("must be a Model or a Tokenizer, got {}", value.describe())))
}

enum Row {
    Pairs(Vec<Pair>),
    Chat(serde_json::Value),
    Ready(Example),
}

fn row(value: Value) -> Result<Row, Mismatch> {
    let mut map = Map::from_value(value)?;
    let names = map.iter().map(|(name, _)| name).collect::<Vec<_>>().join(" and ");
    let had = if names.is_empty() { "an empty one".into() } else { format!("one with {names}") };
    let odd = |expected: &str| odd(expected, &had);
    if let Some(messages) = map.take("messages") {
        let given = messages.describe();
        return match to_json(&messages) {
            Ok(messages @ serde_json::Value::Array(_)) => Ok(Row::Chat(messages)),
            _ => Err(Mismatch {
                expected: "list of {role =, content =}".into(),
                given,
                at: ".messages".into(),
            }),
        };
    }
    if let (Some(Value::List(_)), Some(Value::List(_))) = (map.get("prompt"), map.get("completion")) {
        return conversation(&map, &had);
    }
    if let Some(pairs) = instruction::pairs(&mut map)? {
        return Ok(Row::Pairs(pairs));
    }
    let mut text = |name: &str| -> Result<Option<String>, Mismatch> {
        map.take(name).map(|v| String::from_value(v).map_err(|m| m.inside(&format!(".{name}")))).transpose()
    };
    let (prompt, target, completion, whole) =
        (text("prompt")?, text("target")?, text("completion")?, text("text")?);
    let target = match (target, completion) {
        (Some(_), Some(_)) => return Err(odd("either target or completion")),
        (target, completion) => target.or(completion),
    };
    match (prompt, target, whole) {
        (Some(prompt), Some(target), None) => return Ok(Row::Pairs(vec![Pair { prompt, target }])),
        (None, None, Some(target)) => return Ok(Row::Pairs(vec![Pair { prompt: String::new(), target }])),
        (None, None, None) => {}
        _ => return Err(odd("either prompt and target, or text")),
    }
    let Some(tokens) = map.take("tokens") else {
        return Err(odd("prompt and target, messages, instruction and output, text or tokens"));
    };
    let tokens = Vec::<u32>::from_value(tokens).map_err(|m| m.inside(".tokens"))?;
    let labels = match map.take("labels") {
        None => tokens.iter().map(|&t| t as i32).collect(),
        Some(labels) => Vec::<i32>::from_value(labels).map_err(|m| m.inside(".labels"))?,
    };
    if labels.len() != tokens.len() {
        return Err(odd("as many labels as tokens"));
    }
    if let Some((t, l)) =
        tokens.iter().zip(&labels).find(|(t, l)| **l != NO_LABEL && i64::from(**l) != i64::from(**t))
    {
        return Err(odd(&format!(
            "labels that are -100 or the token itself (one is {l} for token {t}: they are not shifted)"
        )));
    }
    Ok(Row::Ready(Example { tokens, labels }))
}

/// A prompt of messages and a completion of the one that follows.
fn conversation(map: &Map, had: &str) -> Result<Row, Mismatch> {
    let list = |name: &str| {
        let value = map.get(name).unwrap_or(&Value::Nil);
        match to_json(value) {
            Ok(serde_json::Value::Array(list)) => Ok(list),
            _ => Err(Mismatch::new("list of {role =, content =}", value).inside(&format!(".{name}"))),
        }
    };
    let (mut messages, completion) = (list("prompt")?, list("completion")?);
    if completion.len() != 1 {
        return Err(odd("one message in completion, which is learnt", had));
    }
    messages.extend(completion);
    Ok(Row::Chat(serde_json::Value::Array(messages)))
}

fn odd(expected: &str, had: &str) -> Mismatch {
    Mismatch { expected: format!("row with {expected}"), given: had.into(), at: String::new() }
}

fn make(ctx: &Ctx, args: &mut Args) -> Result<Value> {
    let encoder = encoder(args, "model")?;
    let rows: Vec<Value> = args.get("rows")?;
    let keep: String = args.get("keep")?;
    let max_len: usize = args.get("max_len")?;
    let max_prompt: Option<usize> = args.get("max_prompt")?;
    let (bos, eos): (bool, bool) = (args.get("bos")?, args.get("eos")?);
    let special =
        |wanted: bool, name: &str, found: Option<u32>| match (wanted, found) {
            (true, None) => Err(args
                .wrong(name, format!("is true, but the model names no {name} token; give {name} = false"))),
            (wanted, found) => Ok(found.filter(|_| wanted)),
        };
    let options = ExampleOptions {
        bos: special(bos, "bos", encoder.bos)?,
        eos: special(eos, "eos", encoder.eos)?,
        max_len,
        max_prompt: max_prompt.unwrap_or((max_len / 2).min(256)),
        keep: match keep.as_str() {
            "start" => Keep::Start,
            "end" => Keep::End,
            other => return Err(args.not_one_of("keep", other, &["start", "end"])),
        },
    };
    let mut pairs = Vec::new();
    let mut ready = Vec::new();
    for (i, value) in rows.into_iter().enumerate() {
        ctx.host.cancel.check()?;
        let row = row(value).map_err(|m| args.mismatched("rows", &m.inside(&format!("[{i}]"))))?;
        match row {
            Row::Pairs(some) => pairs.extend(some),
            Row::Chat(messages) => {
                let Some(model) = &encoder.model else {
                    let what =
                        "has messages, which need a chat template: give the Model instead of its Tokenizer";
                    return Err(args.wrong("rows", what));
                };
                let row = i as i64 + ctx.index_base();
                pairs.push(
                    model.0.chat_pair(&messages).map_err(|e| args.wrong("rows", format!("[{row}]: {e}")))?,
                );
            }
            Row::Ready(example) if example.len() > options.max_len => {
                let what = format!(
                    "has an example of {} tokens, more than max_len = {}",
                    example.len(),
                    options.max_len
                );
                return Err(args.wrong("rows", what));
            }
            Row::Ready(example) => ready.push(example),
        }
    }
    if !pairs.is_empty() && !ready.is_empty() {
        return Err(args.wrong("rows", "must all be text or all be tokens"));
    }
    if !ready.is_empty() {
        return Ok(Value::object(ScriptExamples {
            items: Arc::new(ready),
            truncation: Truncation::default(),
        }));
    }
    let encode = |text: &str| encoder.tokenizer.encode(text, false);
    Ok(Value::object(ScriptExamples::from(
        examples(&pairs, &encode, &options, &ctx.host).map_err(Error::from)?,
    )))
}
