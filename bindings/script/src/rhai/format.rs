//! `format(template, values)`: numbers and texts written as Lua's `string.format` writes them, so that both languages print
//! the same.

use std::fmt::Write as _;

use rhai::{Array, Dynamic, Engine, EvalAltResult, NativeCallContext, Position};

use super::error;
use crate::error::Error;

type Raised<T> = Result<T, Box<EvalAltResult>>;

pub(crate) fn register(engine: &mut Engine) {
    engine
        .register_fn("format", |c: NativeCallContext<'_>, template: &str, values: Array| {
            filled(&c, template, &values)
        })
        .register_fn("format", |c: NativeCallContext<'_>, template: &str, value: Dynamic| {
            filled(&c, template, &[value])
        });
}

/// How one value is written.
#[derive(Default)]
struct Spec {
    left: bool,
    zeros: bool,
    plus: bool,
    width: usize,
    precision: Option<usize>,
}

fn refused(text: String) -> Box<EvalAltResult> {
    error::raise_with(|| Error::argument(format!("format: {text}")))
}

fn filled(context: &NativeCallContext<'_>, template: &str, values: &[Dynamic]) -> Raised<String> {
    // 0 is Rhai's word for no limit.
    let most = match context.engine().max_string_size() {
        0 => usize::MAX,
        most => most,
    };
    let mut out = String::new();
    let mut values = values.iter();
    let mut rest = template.chars().peekable();
    while let Some(c) = rest.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut spec = Spec::default();
        while let Some(flag) = rest.next_if(|c| "-0+".contains(*c)) {
            match flag {
                '-' => spec.left = true,
                '0' => spec.zeros = true,
                _ => spec.plus = true,
            }
        }
        spec.width = digits(&mut rest)?.unwrap_or(0);
        if rest.next_if_eq(&'.').is_some() {
            spec.precision = Some(digits(&mut rest)?.unwrap_or(0));
        }
        let kind = rest.next().ok_or_else(|| refused("the template ends in a %".into()))?;
        if kind == '%' {
            out.push('%');
            continue;
        }
        let value = values.next().ok_or_else(|| refused(format!("there is no value for %{kind}")))?;
        let text = written(&spec, kind, value)?;
        // Each value may be long, and there may be many: looked at before they are together.
        if out.len().saturating_add(text.len()) > most {
            return Err(EvalAltResult::ErrorDataTooLarge("Length of string".into(), Position::NONE).into());
        }
        pad(&mut out, &spec, &text, kind != 's');
    }
    Ok(out)
}

/// A width or a precision: two digits at most, as in Lua.
fn digits(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Raised<Option<usize>> {
    let mut number = None;
    while let Some(digit) = rest.peek().and_then(|c| c.to_digit(10)) {
        rest.next();
        let more = number.unwrap_or(0) * 10 + digit as usize;
        if more > 99 {
            return Err(refused("a width or a precision is 99 at most".into()));
        }
        number = Some(more);
    }
    Ok(number)
}

fn written(spec: &Spec, kind: char, value: &Dynamic) -> Raised<String> {
    let float = value.as_float().ok().or_else(|| value.as_int().ok().map(|i| i as f64));
    let wrong = |wanted: &str| refused(format!("%{kind} is for {wanted}, got a {}", value.type_name()));
    let text = match kind {
        's' => {
            let text = match value.as_float() {
                Ok(x) => plain(x),
                Err(_) => value.to_string(),
            };
            return Ok(match spec.precision {
                Some(most) => text.chars().take(most).collect(),
                None => text,
            });
        }
        'd' => match (value.as_int(), float) {
            (Ok(i), _) => i.to_string(),
            (_, Some(x)) if x.fract() == 0.0 && x.abs() < 9.2e18 => format!("{}", x as i64),
            _ => return Err(wrong("whole numbers")),
        },
        'f' | 'e' | 'g' => {
            let x = float.ok_or_else(|| wrong("numbers"))?;
            let precision = spec.precision.unwrap_or(6);
            match kind {
                _ if !x.is_finite() => special(x).to_string(),
                'f' => format!("{x:.precision$}"),
                'e' => exponential(x, precision),
                _ => general(x, precision),
            }
        }
        _ => return Err(refused(format!("%{kind} is not known: %d, %f, %e, %g, %s or %%"))),
    };
    Ok(if spec.plus && !text.starts_with('-') { format!("+{text}") } else { text })
}

fn special(x: f64) -> &'static str {
    match x {
        x if x.is_nan() => "nan",
        x if x > 0.0 => "inf",
        _ => "-inf",
    }
}

/// A float as `%s` and `tostring` write it.
fn plain(x: f64) -> String {
    if !x.is_finite() {
        return special(x).to_string();
    }
    let text = general(x, 14);
    if text.chars().all(|c| c.is_ascii_digit() || c == '-') { text + ".0" } else { text }
}

fn exponential(x: f64, precision: usize) -> String {
    let text = format!("{x:.precision$e}");
    let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, power) = power.strip_prefix('-').map_or(('+', power), |power| ('-', power));
    format!("{digits}e{sign}{power:0>2}")
}

/// `%g`: as many digits as `precision` says, without zeros at the end.
fn general(x: f64, precision: usize) -> String {
    let precision = precision.max(1);
    let rounded = format!("{x:.*e}", precision - 1);
    let power: i32 = rounded.split_once('e').and_then(|(_, power)| power.parse().ok()).unwrap_or(0);
    let short = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_string(),
        false => text.to_string(),
    };
    if (-4..precision as i32).contains(&power) {
        return short(&format!("{x:.*}", (precision as i32 - 1 - power) as usize));
    }
    let text = exponential(x, precision - 1);
    let (digits, power) = text.split_once('e').unwrap_or((&text, "+00"));
    format!("{}e{power}", short(digits))
}

/// Adds a text, as wide as it is to be at least.
fn pad(out: &mut String, spec: &Spec, text: &str, number: bool) {
    let missing = spec.width.saturating_sub(text.chars().count());
    let finite = text.ends_with(|c: char| c.is_ascii_digit());
    if spec.left {
        let _ = write!(out, "{text}{:missing$}", "");
    } else if spec.zeros && number && finite {
        let signed = usize::from(text.starts_with(['-', '+']));
        let _ = write!(out, "{}{}{}", &text[..signed], "0".repeat(missing), &text[signed..]);
    } else {
        let _ = write!(out, "{:missing$}{text}", "");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values are those of Lua 5.4.
    #[test]
    fn values_are_written_as_lua_writes_them() {
        let mut engine = Engine::new();
        register(&mut engine);
        for (call, wanted) in [
            ("format(\"%.3f\", 0.0625)", "0.062"),
            ("format(\"%.3f\", 2)", "2.000"),
            ("format(\"%d of %d\", [3, 4.0])", "3 of 4"),
            ("format(\"%s\", 0.1)", "0.1"),
            ("format(\"%s\", 3.0)", "3.0"),
            ("format(\"%s\", 1e15)", "1e+15"),
            ("format(\"%s\", 0.00001)", "1e-05"),
            ("format(\"%s %s\", [true, \"x\"])", "true x"),
            ("format(\"%g|%g|%g\", [100000.0, 1000000.0, 0.0001])", "100000|1e+06|0.0001"),
            ("format(\"%.17g\", 0.1)", "0.10000000000000001"),
            ("format(\"%.2e\", 12345)", "1.23e+04"),
            ("format(\"%5d|%-5d|%05d|%+d\", [7, 7, -7, 7])", "    7|7    |-0007|+7"),
            ("format(\"%6.2f|%-4s|%4s\", [3.14159, \"ab\", \"ab\"])", "  3.14|ab  |  ab"),
            ("format(\"%.1s|100%%\", \"abc\")", "a|100%"),
            ("format(\"%f %5.1f\", [1.0 / 0.0, -1.0 / 0.0])", "inf  -inf"),
        ] {
            assert_eq!(engine.eval::<String>(call).expect(call), wanted, "{call}");
        }
        for call in [
            "format(\"%d\", 1.5)",
            "format(\"%d\", \"x\")",
            "format(\"%d\", [])",
            "format(\"%q\", 1)",
            "format(\"%100d\", 1)",
            "format(\"%\", 1)",
        ] {
            assert!(engine.eval::<String>(call).is_err(), "{call}");
        }
        engine.set_max_string_size(1000);
        let long = "let t = \"x\"; t.pad(900, 'x'); format(\"%s%s\", [t, t])";
        assert!(
            engine.eval::<String>(long).expect_err("is too long").to_string().contains("Length of string")
        );
    }
}
