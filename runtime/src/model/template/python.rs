//! What Python's values can do in a template and minijinja's cannot: methods, and how values are printed.
//!
//! minijinja-contrib has most methods; here is what it lacks, or does otherwise than Python. What no template
//! that is known here uses stays minijinja's: tuples are lists, `~` writes lists in its own way, the keys of an object
//! written in a template are sorted, and texts have no operator `%` (which is an error that says so).

use minijinja::value::{Kwargs, ValueKind, from_args};
use minijinja::{Error as JinjaError, ErrorKind, State, Value};

/// A method that minijinja does not know.
pub(super) fn method(state: &State, value: &Value, name: &str, args: &[Value]) -> Result<Value, JinjaError> {
    let found = match value.as_str() {
        Some(text) => text_method(text, name, args)?,
        None if name == "index" && value.kind() == ValueKind::Seq => {
            let (what,): (&Value,) = from_args(args)?;
            let at = value.try_iter()?.position(|item| item == *what);
            Some(at.map(Value::from).ok_or_else(|| refused(format!("{what} is not in list")))?)
        }
        None => None,
    };
    match found {
        Some(value) => Ok(value),
        None => minijinja_contrib::pycompat::unknown_method_callback(state, value, name, args),
    }
}

fn refused(what: impl Into<String>) -> JinjaError {
    JinjaError::new(ErrorKind::InvalidOperation, what.into())
}

fn text_method(s: &str, name: &str, args: &[Value]) -> Result<Option<Value>, JinjaError> {
    // Python counts characters where Rust counts bytes.
    let place = |at: Option<usize>| at.map(|at| s[..at].chars().count() as i64);
    let cut = |at: Option<usize>, what: &str| {
        at.map_or_else(Vec::new, |at| [&s[..at], what, &s[at + what.len()..]].map(Value::from).to_vec())
    };
    let or = |parts: Vec<Value>, other: [&str; 3]| {
        Value::from(if parts.is_empty() { other.map(Value::from).to_vec() } else { parts })
    };
    Ok(Some(match name {
        "find" | "rfind" | "index" | "rindex" => {
            let (what,): (&str,) = from_args(args)?;
            let at = place(if name.starts_with('r') { s.rfind(what) } else { s.find(what) });
            match at {
                Some(at) => Value::from(at),
                None if name.ends_with("find") => Value::from(-1),
                None => return Err(refused("substring not found")),
            }
        }
        "count" => {
            let (what,): (&str,) = from_args(args)?;
            Value::from(s.matches(what).count())
        }
        "partition" => {
            let (what,): (&str,) = from_args(args)?;
            or(cut(s.find(what), what), [s, "", ""])
        }
        "rpartition" => {
            let (what,): (&str,) = from_args(args)?;
            or(cut(s.rfind(what), what), ["", "", s])
        }
        "rsplit" => {
            let (what, most): (Option<&str>, Option<i64>) = from_args(args)?;
            let most = usize::try_from(most.unwrap_or(-1)).map_or(usize::MAX, |n| n.saturating_add(1));
            let mut parts: Vec<&str> = match what {
                Some("") => return Err(refused("empty separator")),
                Some(what) => s.rsplitn(most, what).collect(),
                None if most == usize::MAX => s.split_whitespace().rev().collect(),
                None => return Err(refused("rsplit with a limit needs a separator")),
            };
            parts.reverse();
            Value::from(parts.into_iter().map(Value::from).collect::<Vec<_>>())
        }
        "removeprefix" => {
            let (what,): (&str,) = from_args(args)?;
            Value::from(s.strip_prefix(what).unwrap_or(s))
        }
        "removesuffix" => {
            let (what,): (&str,) = from_args(args)?;
            Value::from(s.strip_suffix(what).unwrap_or(s))
        }
        "swapcase" => {
            let () = from_args(args)?;
            let swap = |c: char| match c.is_uppercase() {
                true => c.to_lowercase().collect::<String>(),
                false => c.to_uppercase().collect(),
            };
            Value::from(s.chars().map(swap).collect::<String>())
        }
        "casefold" => {
            let () = from_args(args)?;
            Value::from(s.to_lowercase().replace('ß', "ss"))
        }
        "zfill" => {
            let (width,): (usize,) = from_args(args)?;
            let (sign, digits) = s.split_at(usize::from(s.starts_with(['+', '-'])));
            Value::from(format!(
                "{sign}{}",
                padded(digits, width.saturating_sub(sign.len()), '0', true, false)?
            ))
        }
        "ljust" | "rjust" | "center" => {
            let (width, fill): (usize, Option<char>) = from_args(args)?;
            Value::from(padded(s, width, fill.unwrap_or(' '), name != "ljust", name != "rjust")?)
        }
        "isdigit" | "isnumeric" | "isalnum" | "isalpha" | "isspace" if s.is_empty() => Value::from(false),
        "islower" | "isupper" => {
            let () = from_args(args)?;
            let (lower, upper) = (s.chars().any(char::is_lowercase), s.chars().any(char::is_uppercase));
            Value::from(if name == "islower" { lower && !upper } else { upper && !lower })
        }
        "startswith" | "endswith" if args.len() > 1 => {
            return Err(refused(format!("{name} with a position is not supported: slice the text instead")));
        }
        _ => return Ok(None),
    }))
}

/// `s` made `width` characters wide.
fn padded(s: &str, width: usize, fill: char, left: bool, right: bool) -> Result<String, JinjaError> {
    let missing = width.saturating_sub(s.chars().count());
    if missing > 10_000 {
        return Err(refused(format!("a text cannot be made {width} characters wide here")));
    }
    // CPython puts the odd one on the left only where the width is odd.
    let before = match (left, right) {
        (true, true) => missing / 2 + (missing & width & 1),
        (true, false) => missing,
        _ => 0,
    };
    let fill = |n: usize| fill.to_string().repeat(n);
    Ok(format!("{}{s}{}", fill(before), fill(missing - before)))
}

/// `str(value)`.
pub(super) fn text(value: &Value) -> String {
    let mut out = String::new();
    match value.as_str() {
        Some(text) => out.push_str(text),
        None => repr(&mut out, value, 0),
    }
    out
}

/// `repr(value)`.
fn repr(out: &mut String, value: &Value, depth: usize) {
    // Deeper than anything is nested; a value cannot contain itself.
    if depth > 100 {
        return out.push('…');
    }
    let items = |value: &Value| value.try_iter().map(Iterator::collect::<Vec<_>>).unwrap_or_default();
    match value.kind() {
        ValueKind::Undefined => {}
        ValueKind::None => out.push_str("None"),
        ValueKind::Bool => out.push_str(if value.is_true() { "True" } else { "False" }),
        ValueKind::Number => match f64::try_from(value.clone()) {
            Ok(number) if !value.is_integer() => out.push_str(&float(number)),
            _ => out.push_str(&value.to_string()),
        },
        ValueKind::String => quoted(out, value.as_str().unwrap_or_default()),
        ValueKind::Seq => {
            out.push('[');
            for (i, item) in items(value).iter().enumerate() {
                out.push_str(if i > 0 { ", " } else { "" });
                repr(out, item, depth + 1);
            }
            out.push(']');
        }
        ValueKind::Map => {
            out.push('{');
            for (i, key) in items(value).iter().enumerate() {
                out.push_str(if i > 0 { ", " } else { "" });
                repr(out, key, depth + 1);
                out.push_str(": ");
                repr(out, &value.get_item(key).unwrap_or_default(), depth + 1);
            }
            out.push('}');
        }
        _ => out.push_str(&value.to_string()),
    }
}

/// A text in quotes.
fn quoted(out: &mut String, text: &str) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\x{:02x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push(quote);
}

/// `repr` of a float: the shortest digits that mean it, with an exponent from 1e16 and below 1e-4.
pub(super) fn float(number: f64) -> String {
    if !number.is_finite() {
        let sign = if number < 0.0 { "-" } else { "" };
        return if number.is_nan() { "nan".to_string() } else { format!("{sign}inf") };
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if number != 0.0 && !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    let plain = number.to_string();
    if plain.contains('.') { plain } else { format!("{plain}.0") }
}

/// The filter `join`, over what Python's `str` makes of each item.
pub(super) fn join(value: &Value, glue: Option<String>, options: Kwargs) -> Result<String, JinjaError> {
    let by_name: Option<String> = options.get("d")?;
    let attribute: Option<String> = options.get("attribute")?;
    options.assert_all_used()?;
    let glue = glue.or(by_name).unwrap_or_default();
    let item = |item: Value| match &attribute {
        Some(name) => item.get_attr(name).map(|v| text(&v)),
        None => Ok(text(&item)),
    };
    Ok(value.try_iter()?.map(item).collect::<Result<Vec<_>, _>>()?.join(&glue))
}

/// The filter `trim`, of whatever `str` makes of the value.
pub(super) fn trim(value: &Value, characters: Option<String>) -> String {
    let text = text(value);
    match characters {
        Some(some) => text.trim_matches(|c| some.contains(c)).to_string(),
        None => text.trim().to_string(),
    }
}

/// The filter `length`; what is not defined has none.
pub(super) fn length(value: &Value) -> Result<usize, JinjaError> {
    match value.kind() {
        ValueKind::Undefined => Ok(0),
        kind => value.len().ok_or_else(|| refused(format!("a {kind} has no length"))),
    }
}
