//! `json.*`: JSON text.

use lota_script::{Args, Ctx, Error, Primitive, Registry, Result, Value, from_json, to_json};

pub(super) fn register(r: &mut Registry) {
    r.area("json", "JSON text.");
    r.add(
        Primitive::new("json.encode", "The JSON text of a value.")
            .details(
                "Names are written in the order of the alphabet, but those of a map that was read (`json.decode`, `data.read`) in \
                 the order they had there, with its nulls; names that were added to it come last. In Lua an empty table becomes [], \
                 unless it was read as {}. A number that JSON has no form for (not a number, infinite) becomes null.",
            )
            .arg("value", "any", "a boolean, number, string, list or map of these")
            .opt("indent", "boolean", false, "break lines and indent")
            .returns("string", "the text")
            .example("assert(lota.json.encode({a = {1, 2}}) == '{\"a\":[1,2]}')")
            .call(|ctx, args| {
                let value: Value = args.get("value")?;
                ctx.reserve(weight(&value))?;
                let json = to_json(&value)?;
                let indent: bool = args.get("indent")?;
                let text = if indent { serde_json::to_string_pretty(&json) } else { serde_json::to_string(&json) };
                text.map_err(|e| Error::runtime(e.to_string()))
            }),
    );
    r.add(
        Primitive::new("json.decode", "The value of a JSON text.")
            .details(
                "null becomes nothing: a table has no entry for it. A map remembers the order of its names and which were null, for \
                 `json.encode`, chat templates and whatever else takes it as a whole; a copy that a script makes name by name does \
                 not.",
            )
            .arg("text", "string", "the JSON text")
            .returns("any", "the value")
            .example(
                "assert(lota.json.decode('{\"a\": [1, 2.5]}').a[2] == 2.5)\n\
                 assert(lota.json.encode(lota.json.decode('{\"b\":1,\"a\":null}')) == '{\"b\":1,\"a\":null}')",
            )
            .call(decode),
    );
}

/// Bytes that a value's text and its form before that take, at most: a character can be written as six.
fn weight(value: &Value) -> usize {
    64 + match value {
        Value::Str(text) => 7 * text.len(),
        Value::List(items) => items.iter().map(weight).sum(),
        Value::Map(map) => map.iter().map(|(name, item)| 7 * name.len() + weight(item)).sum(),
        _ => 0,
    }
}

/// What a byte of text can become while it is read: a list of empty lists has three for each.
const READ: usize = 64;

fn decode(ctx: &Ctx, args: &mut Args) -> Result<Value> {
    let text: String = args.get("text")?;
    ctx.reserve(text.len().saturating_mul(READ))?;
    match serde_json::from_str(&text) {
        Ok(json) => Ok(from_json(json)),
        Err(e) => Err(args.wrong("text", format!("is not JSON: {e}"))),
    }
}
