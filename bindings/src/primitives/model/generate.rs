//! Generation.

use std::sync::Arc;

use lota_runtime::model::{Finish, GenerateOptions, Generated, Sampling};
use lota_script::{Args, Ctx, FromValue, Map, Primitive, Registry, Result, ScriptFn, Value};

use super::{ScriptModel, TINY, method};
use crate::error::of_callback;

/// The options of everything that generates.
pub(crate) fn generation_options(record: Primitive) -> Primitive {
    record
        .opt("max_tokens", "integer", 128, "the most new tokens")
        .opt("temperature", "number", 0.0, "divides the logits; 0 takes the likeliest token")
        .opt("top_k", "integer", (), "consider only so many of the likeliest tokens")
        .opt("top_p", "number", (), "consider only the fewest tokens that are this probable together")
        .opt("min_p", "number", (), "consider only tokens this probable, relative to the likeliest")
        .opt("repetition_penalty", "number", 1.0, "above 1, makes tokens that occurred less likely")
        .opt("stop", "string|list of string", (), "texts that end it; what is returned ends before them")
        .opt("seed", "integer", 0, "where randomness begins")
        .opt("batch", "integer", 8, "how many prompts are run together")
        .opt("special", "boolean", false, "write special tokens out instead of leaving them away")
}

/// Reads them.
pub(crate) fn generation(args: &mut Args) -> Result<GenerateOptions> {
    let stop = match args.get::<Value>("stop")? {
        Value::Nil => Vec::new(),
        Value::Str(text) => vec![text],
        list => Vec::from_value(list).map_err(|m| args.mismatched("stop", &m))?,
    };
    let special: bool = args.get("special")?;
    let options = GenerateOptions {
        max_tokens: args.get("max_tokens")?,
        sampling: Sampling {
            temperature: args.get("temperature")?,
            top_k: args.opt("top_k")?,
            top_p: args.opt("top_p")?,
            min_p: args.opt("min_p")?,
            repetition_penalty: args.get("repetition_penalty")?,
        },
        seed: args.get::<i64>("seed")? as u64,
        stop,
        eos: None,
        skip_special: !special,
        batch: args.get("batch")?,
    };
    options.check()?;
    Ok(options)
}

pub(super) fn register(r: &mut Registry) {
    r.add(
        generation_options(
            method("generate", "Continues a text, or several.")
                .details("What the tokenizer puts before every text is added. Each text is continued as it would be alone. A text ends at the \
                     longest sequence that the model was made for; a notice says so.")
                .arg("prompt", "string|list of string|list of integer", "the text, the texts, or token ids"),
        )
        .opt("on_text", "function", (), "function(piece, i) called as text comes; false ends everything")
        .opt("details", "boolean", false, "return {text =, tokens =, finish = 'eos', 'stop' or 'length'} instead of text")
        .returns("string|list of string", "what was generated, without the prompt; a list if the prompt was a list of texts")
        .example(format!(
            "{TINY}assert(type(m:generate('hello', {{max_tokens = 3}})) == 'string')\n\
             assert(#m:generate({{'a', 'b'}}, {{max_tokens = 3}}) == 2)"
        ))
        .call(generate),
    );
}

fn generate(ctx: &Ctx, args: &mut Args) -> Result<Value> {
    let model = args.this::<ScriptModel>()?;
    let _hold = model.params().hold("Model:generate");
    let options = generation(args)?;
    let details: bool = args.get("details")?;
    let given: Value = args.get("prompt")?;
    let on_text: Option<Arc<dyn ScriptFn>> = args.opt("on_text")?;
    let base = ctx.index_base();
    let mut each = |i: usize, piece: &str| -> lota_runtime::Result<bool> {
        let Some(on_text) = &on_text else { return Ok(true) };
        let answer = on_text.call(&[Value::from(piece), Value::Int(i as i64 + base)]).map_err(of_callback)?;
        Ok(!matches!(answer, Value::Bool(false)))
    };
    let m = &model.0;
    let (made, many) = match given {
        Value::Str(text) => (m.generate_text(&[text], &options, &ctx.host, Some(&mut each))?, false),
        Value::List(items) if matches!(items.first(), Some(Value::Int(_))) => {
            let ids =
                Vec::<u32>::from_value(Value::List(items)).map_err(|e| args.mismatched("prompt", &e))?;
            (m.generate(&[ids], &options, &ctx.host, Some(&mut each))?, false)
        }
        list @ Value::List(_) => {
            let texts = Vec::<String>::from_value(list).map_err(|e| args.mismatched("prompt", &e))?;
            (m.generate_text(&texts, &options, &ctx.host, Some(&mut each))?, true)
        }
        other => {
            return Err(
                args.wrong("prompt", format!("must be a text, texts or token ids, got {}", other.describe()))
            );
        }
    };
    let show = |g: Generated| -> Value {
        if !details {
            return g.text.into();
        }
        let finish = match g.finish {
            Finish::Eos => "eos",
            Finish::Stop => "stop",
            Finish::Length => "length",
        };
        Map::new().with("text", g.text).with("tokens", g.tokens).with("finish", finish).into()
    };
    let mut made = made.into_iter().map(show);
    Ok(if many { Value::List(made.collect()) } else { made.next().unwrap_or_default() })
}
