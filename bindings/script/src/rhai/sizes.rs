//! How large one value of a script may be, and that nothing makes a larger one at a stroke.
//!
//! What a script holds altogether is counted (`counting.rs`) and looked at with each operation. An operation is not
//! interrupted, so each must be bounded by itself: Rhai looks at most results only once they are there, and the functions
//! of its library whose result may be many times their arguments are replaced here by ones that look first.

use rhai::{Array, Dynamic, Engine, EvalAltResult, ImmutableString, NativeCallContext, Position};

use super::State;
use crate::Value;
use crate::error::Result;
use crate::limits::Limits;

/// Calls inside each other; with the depth of expressions it bounds the use of the stack.
const CALL_LEVELS: usize = 64;
const MAX_STRING: usize = 256 << 20;
/// Items of a list.
pub(crate) const MAX_ARRAY: usize = 10_000_000;
const MAX_MAP: usize = 1_000_000;
/// One value may take this part of the memory a script may use.
const VALUES: usize = 4;
/// What a byte of JSON may become while it is parsed: a list of empty lists has three for each.
const PARSED: usize = 64;

type Raised<T> = std::result::Result<T, Box<EvalAltResult>>;

/// Bounds each value and the depth of calls.
pub(crate) fn set(engine: &mut Engine, limits: &Limits) {
    let depth = limits.call_depth.map_or(CALL_LEVELS, |most| CALL_LEVELS.min(most as usize));
    engine.set_max_call_levels(depth);
    let memory = limits.script_memory.map_or(usize::MAX, |m| usize::try_from(m).unwrap_or(usize::MAX));
    let (value, item) = (memory / VALUES, size_of::<Dynamic>());
    engine
        .set_max_string_size(MAX_STRING.min(value).max(1))
        .set_max_array_size(MAX_ARRAY.min(value / item).max(1))
        // An entry of a map has a name, too.
        .set_max_map_size(MAX_MAP.min(value / (8 * item)).max(1));
    replacing(engine);
    splitting(engine);
    engine.register_fn("parse_json", |context: NativeCallContext<'_>, text: &str| -> Raised<Dynamic> {
        let engine = context.engine();
        if text.len() > engine.max_string_size() / PARSED {
            return Err(too_large("Length of JSON"));
        }
        engine.parse_json(text, true).map(Dynamic::from)
    });
}

/// Whether a value of a primitive may become one of the script: refused before it is copied.
pub(crate) fn fits(state: &State, value: &Value) -> Result<()> {
    let meter = &state.ctx.meter;
    match meter.limits().script_memory {
        Some(most) if state.tally.held().saturating_add(weight(value)) > most => Err(meter.out_of_memory()),
        _ => Ok(()),
    }
}

/// About what a value takes in the interpreter, in bytes.
fn weight(value: &Value) -> u64 {
    let item = size_of::<Dynamic>() as u64;
    item + match value {
        Value::Str(text) => text.len() as u64,
        Value::List(items) => items.iter().map(weight).sum(),
        Value::Map(map) => map.iter().map(|(name, value)| 4 * item + name.len() as u64 + weight(value)).sum(),
        _ => 0,
    }
}

fn too_large(what: &str) -> Box<EvalAltResult> {
    EvalAltResult::ErrorDataTooLarge(what.to_string(), Position::NONE).into()
}

fn replacing(engine: &mut Engine) {
    fn replace(
        context: &NativeCallContext<'_>,
        text: &mut ImmutableString,
        find: &str,
        with: &str,
    ) -> Raised<()> {
        if text.is_empty() {
            return Ok(());
        }
        let found = text.matches(find).count();
        let length = (text.len() - found * find.len()).checked_add(found.saturating_mul(with.len()));
        if length.is_none_or(|length| length > context.engine().max_string_size()) {
            return Err(too_large("Length of string"));
        }
        *text = text.replace(find, with).into();
        Ok(())
    }
    type Context<'a> = NativeCallContext<'a>;
    type Text = ImmutableString;
    engine
        .register_fn("replace", |c: Context<'_>, text: &mut Text, find: &str, with: &str| {
            replace(&c, text, find, with)
        })
        .register_fn("replace", |c: Context<'_>, text: &mut Text, find: &str, with: char| {
            replace(&c, text, find, with.encode_utf8(&mut [0; 4]))
        })
        .register_fn("replace", |c: Context<'_>, text: &mut Text, find: char, with: &str| {
            replace(&c, text, find.encode_utf8(&mut [0; 4]), with)
        })
        .register_fn("replace", |c: Context<'_>, text: &mut Text, find: char, with: char| {
            replace(&c, text, find.encode_utf8(&mut [0; 4]), with.encode_utf8(&mut [0; 4]))
        });
}

fn splitting(engine: &mut Engine) {
    /// The pieces of a text; none has one piece.
    fn pieces<T: Into<Dynamic>>(
        context: &NativeCallContext<'_>,
        pieces: impl Iterator<Item = T>,
    ) -> Raised<Array> {
        let most = context.engine().max_array_size();
        let array: Array = pieces.take(most.saturating_add(1)).map(Into::into).collect();
        if array.len() > most { Err(too_large("Size of array")) } else { Ok(array) }
    }
    /// At most `n` pieces, from the front or from behind; fewer than one is one, and so is an empty text.
    fn cut(c: &Context<'_>, s: &str, at: &str, n: i64, behind: bool) -> Raised<Array> {
        let n = usize::try_from(n.max(1)).unwrap_or(usize::MAX);
        match (s, behind) {
            ("", _) => pieces(c, std::iter::once(s)),
            (s, false) => pieces(c, s.splitn(n, at)),
            (s, true) => pieces(c, s.rsplitn(n, at)),
        }
    }
    type Context<'a> = NativeCallContext<'a>;
    const ALL: i64 = i64::MAX;
    engine.register_fn("to_chars", |c: Context<'_>, s: &str| pieces(&c, s.chars()));
    engine.register_fn("split", |c: Context<'_>, s: &str| match s {
        "" => pieces(&c, std::iter::once("")),
        s => pieces(&c, s.split_whitespace()),
    });
    for (name, behind) in [("split", false), ("split_rev", true)] {
        engine
            .register_fn(name, move |c: Context<'_>, s: &str, at: &str| cut(&c, s, at, ALL, behind))
            .register_fn(name, move |c: Context<'_>, s: &str, at: &str, n: i64| cut(&c, s, at, n, behind))
            .register_fn(name, move |c: Context<'_>, s: &str, at: char| {
                cut(&c, s, at.encode_utf8(&mut [0; 4]), ALL, behind)
            })
            .register_fn(name, move |c: Context<'_>, s: &str, at: char, n: i64| {
                cut(&c, s, at.encode_utf8(&mut [0; 4]), n, behind)
            });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_replaced_does_what_rhai_s_own_does() {
        let own = Engine::new();
        let mut ours = Engine::new();
        set(&mut ours, &Limits::none());
        let mut texts = Vec::new();
        for text in ["", " ", "a", "a,b,,c", ",a,b,", " two  words ", "äöä,ß", "aaaa"] {
            for at in ["\",\"", "\"\"", "\"a\"", "\"aa\"", "','", "'ä'"] {
                texts.push(format!("`{text}`.split({at})"));
                texts.push(format!("`{text}`.split_rev({at})"));
                texts.extend((-1..4).map(|n| format!("`{text}`.split({at}, {n})")));
                texts.extend((-1..4).map(|n| format!("`{text}`.split_rev({at}, {n})")));
                for with in ["\"\"", "\"xyz\"", "'x'", "'ß'"] {
                    texts.push(format!("let t = `{text}`; t.replace({at}, {with}); t"));
                }
            }
            texts.push(format!("`{text}`.split()"));
            texts.push(format!("`{text}`.split(1)"));
            texts.push(format!("`{text}`.to_chars()"));
        }
        texts.push(r#"parse_json(`{"a": [1, 2.5, null], "b": {"c": "d"}}`)"#.into());
        for text in texts {
            let of = |engine: &Engine| {
                engine.eval::<Dynamic>(&text).map(|v| format!("{v:?}")).map_err(|e| e.to_string())
            };
            assert_eq!(of(&ours), of(&own), "{text}");
        }
    }
}
