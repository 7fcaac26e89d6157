//! Templates in bounds. A template comes from a file or a script, and may be made to grow: each of its operations can double a
//! text, its loops have no end but that of their lists, and the compiler goes as deep as an expression is long.
//!
//! So a source is looked at before it is compiled. Then the operations that make texts and lists, or go over them, are replaced
//! in the compiled template by functions of the same meaning that count what they do, look at the switch, and refuse what
//! would become too large before it is made. All other instructions are counted by the engine's own count.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use minijinja::machinery::{
    CodeGenerator, Instruction, Instructions, Token, Vm, WhitespaceConfig, make_string_output, parse,
    tokenize,
};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Rest, ValueKind};
use minijinja::{AutoEscape, Environment, Error as JinjaError, ErrorKind, State, Value};

use crate::host::Cancel;

/// Bytes of a template's source.
const SOURCE: usize = 1 << 20;
/// Operators, brackets and words of an expression that each may take the compiler one level deeper.
const DEEP: usize = 1000;
/// Instructions of one rendering.
const FUEL: u64 = 2_000_000;
/// Bytes of one text that is made, and items of a list.
pub(super) const LONGEST: usize = 4 << 20;
const ITEMS: usize = 200_000;
/// Bytes that all operations of a rendering may go over.
const WORK: u64 = 256 << 20;
/// What an item of a list counts as, in bytes, and how deep lists and maps are nested at most.
const ITEM: usize = 32;
const DEPTH: usize = 100;
/// The largest number that says how often or how wide something becomes.
const WIDEST: i64 = 10_000;

pub(super) fn refused(what: impl Into<String>) -> JinjaError {
    JinjaError::new(ErrorKind::InvalidOperation, what.into())
}

fn whitespace() -> WhitespaceConfig {
    WhitespaceConfig { trim_blocks: true, lstrip_blocks: true, ..WhitespaceConfig::default() }
}

/// Refuses a source that would take the compiler deep or long.
pub(super) fn check_source(source: &str) -> Result<(), JinjaError> {
    let deep = |what: String| Err(JinjaError::new(ErrorKind::SyntaxError, what));
    if source.len() > SOURCE {
        return deep(format!("it is {} bytes long; {SOURCE} are the most", source.len()));
    }
    let (mut count, mut branches, mut constants) = (0, 0, Constants::default());
    for token in tokenize(source, false, SyntaxConfig, whitespace()) {
        let (token, span) = token?;
        constants.see(&token);
        if constants.size() > LONGEST {
            return deep(format!(
                "line {}: a constant would be longer than {} MiB",
                span.start_line,
                LONGEST >> 20
            ));
        }
        match token {
            Token::TemplateData(_) | Token::VariableStart | Token::BlockStart => count = 0,
            Token::Comma
            | Token::Colon
            | Token::Assign
            | Token::Str(_)
            | Token::String(_)
            | Token::Int(_) => {}
            Token::Ident(word) => {
                branches += usize::from(word == "elif");
                count += usize::from(matches!(word, "not" | "and" | "or" | "if" | "else" | "in" | "is"));
            }
            _ => count += 1,
        }
        if count > DEEP || branches > DEEP {
            return deep(format!("line {}: an expression is longer than {DEEP} operations", span.start_line));
        }
    }
    Ok(())
}

/// What the texts and numbers of an expression could become at most: the compiler works out what is constant in it.
#[derive(Default)]
struct Constants {
    texts: usize,
    product: usize,
    multiplies: bool,
}

impl Constants {
    fn see(&mut self, token: &Token<'_>) {
        match token {
            Token::TemplateData(_) | Token::VariableStart | Token::BlockStart => {
                *self = Self { product: 1, ..Self::default() }
            }
            Token::Str(text) => self.texts = self.texts.saturating_add(text.len()),
            Token::String(text) => self.texts = self.texts.saturating_add(text.len()),
            Token::Int(n) => {
                self.product =
                    self.product.saturating_mul(usize::try_from(*n).unwrap_or(usize::MAX).saturating_add(1))
            }
            Token::Int128(_) => self.product = usize::MAX,
            Token::Mul => self.multiplies = true,
            _ => {}
        }
    }

    fn size(&self) -> usize {
        if self.multiplies { self.texts.saturating_mul(self.product) } else { self.texts }
    }
}

/// What a rendering may still do.
pub(super) struct Bounds {
    cancel: Cancel,
    work: AtomicU64,
}

impl Bounds {
    pub(super) fn new(cancel: Cancel) -> Arc<Self> {
        Arc::new(Self { cancel, work: AtomicU64::new(0) })
    }

    /// Counts bytes that an operation goes over.
    pub(super) fn spend(&self, bytes: usize) -> Result<(), JinjaError> {
        if self.cancel.is_cancelled() {
            return Err(refused("cancelled"));
        }
        let done = self.work.fetch_add(bytes as u64 + 1, Relaxed);
        if done > WORK {
            Err(refused(format!("it goes over more than {} MiB of text", WORK >> 20)))
        } else {
            Ok(())
        }
    }

    /// Counts the values an operation is given, none of which may be too large.
    pub(super) fn spend_on(&self, values: &[Value]) -> Result<usize, JinjaError> {
        let mut left = LONGEST;
        for value in values {
            weigh(value, 0, &mut left)?;
        }
        self.spend(LONGEST - left)?;
        Ok(LONGEST - left)
    }
}

/// Takes what a value weighs from what is left.
fn weigh(value: &Value, depth: usize, left: &mut usize) -> Result<(), JinjaError> {
    let mut take = |bytes: usize| {
        *left = left
            .checked_sub(bytes)
            .ok_or_else(|| refused(format!("a value of more than {} MiB is made or used", LONGEST >> 20)))?;
        Ok::<_, JinjaError>(())
    };
    if let Some(text) = value.as_str() {
        return take(text.len());
    }
    take(ITEM)?;
    if depth > DEPTH {
        return Err(refused("values are nested too deeply"));
    }
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => {
            for item in value.try_iter()? {
                weigh(&item, depth + 1, left)?;
            }
            Ok(())
        }
        ValueKind::Map => {
            for key in value.try_iter()? {
                weigh(&value.get_item(&key)?, depth + 1, left)?;
                weigh(&key, depth + 1, left)?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn too_long() -> JinjaError {
    refused(format!("a text or list would be longer than {} MiB", LONGEST >> 20))
}

fn is_list(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable)
}

fn unsupported(operator: &str, a: &Value, b: &Value) -> JinjaError {
    refused(format!("tried to use {operator} operator on unsupported types {} and {}", a.kind(), b.kind()))
}

fn add(a: &Value, b: &Value) -> Result<Value, JinjaError> {
    if let (Some(a), Some(b)) = (a.as_str(), b.as_str()) {
        return Ok(Value::from([a, b].concat()));
    }
    if is_list(a) && is_list(b) {
        return Ok(a.try_iter()?.chain(b.try_iter()?).collect::<Vec<_>>().into());
    }
    numbers("+", a, b, i128::checked_add, |a, b| a + b)
}

fn multiply(a: &Value, b: &Value) -> Result<Value, JinjaError> {
    let times = |n: &Value| {
        n.as_usize().ok_or_else(|| refused("texts and lists can only be multiplied with whole numbers"))
    };
    for (value, n) in [(a, b), (b, a)] {
        if let Some(text) = value.as_str() {
            let n = times(n)?;
            return match text.len().checked_mul(n) {
                Some(len) if len <= LONGEST => Ok(Value::from(text.repeat(n))),
                _ => Err(too_long()),
            };
        }
        if is_list(value) {
            let (items, n) = (value.try_iter()?.collect::<Vec<_>>(), times(n)?);
            return match items.len().checked_mul(n) {
                Some(len) if len <= ITEMS => {
                    Ok(std::iter::repeat_n(items, n).flatten().collect::<Vec<_>>().into())
                }
                _ => Err(too_long()),
            };
        }
    }
    numbers("*", a, b, i128::checked_mul, |a, b| a * b)
}

fn numbers(
    operator: &str,
    a: &Value,
    b: &Value,
    whole: fn(i128, i128) -> Option<i128>,
    float: fn(f64, f64) -> f64,
) -> Result<Value, JinjaError> {
    let is_float = |x: &Value| x.kind() == ValueKind::Number && !x.is_integer();
    if !is_float(a)
        && !is_float(b)
        && let (Ok(x), Ok(y)) = (i128::try_from(a.clone()), i128::try_from(b.clone()))
    {
        let result = whole(x, y).ok_or_else(|| refused(format!("unable to calculate {a} {operator} {b}")))?;
        return Ok(i64::try_from(result).map_or_else(|_| Value::from(result), Value::from));
    }
    let number = |x: &Value| f64::try_from(x.clone()).map_err(|_| unsupported(operator, a, b));
    Ok(Value::from(float(number(a)?, number(b)?)))
}

/// What Python's `value[start:stop:step]` gives.
fn slice(value: &Value, [start, stop, step]: [&Value; 3]) -> Result<Value, JinjaError> {
    let number = |v: &Value| {
        if v.is_none() || v.is_undefined() { Ok(None) } else { i64::try_from(v.clone()).map(Some) }
    };
    let (start, stop, step) = (number(start)?, number(stop)?, number(step)?.unwrap_or(1));
    if step == 0 {
        return Err(refused("cannot slice by step size of 0"));
    }
    let items: Vec<Value> = match value.as_str() {
        Some(text) => text.chars().map(Value::from).collect(),
        None if value.is_none() || value.is_undefined() => Vec::new(),
        None if is_list(value) => value.try_iter()?.collect(),
        None => return Err(refused(format!("value of type {} cannot be sliced", value.kind()))),
    };
    let len = items.len() as i64;
    let (least, most) = if step > 0 { (0, len) } else { (-1, len - 1) };
    let place = |at: Option<i64>, other: i64| match at {
        None => other,
        Some(at) if at < 0 => (at + len).clamp(least, most),
        Some(at) => at.clamp(least, most),
    };
    let (mut at, end) =
        if step > 0 { (place(start, 0), place(stop, len)) } else { (place(start, len - 1), place(stop, -1)) };
    let mut taken = Vec::new();
    while if step > 0 { at < end } else { at > end } {
        taken.push(items[at as usize].clone());
        at = at.saturating_add(step);
    }
    Ok(match value.as_str() {
        Some(_) => taken.iter().filter_map(Value::as_str).collect::<String>().into(),
        None => taken.into(),
    })
}

/// Refuses a filter or method whose result would be too large.
fn foresee(name: &str, args: &[Value], weight: usize) -> Result<(), JinjaError> {
    let wide = args.iter().skip(1).any(|arg| {
        let number = |v: &Value| v.is_integer() && i64::try_from(v.clone()).is_ok_and(|n| n.abs() > WIDEST);
        number(arg)
            || arg.kind() == ValueKind::Map
                && arg
                    .try_iter()
                    .is_ok_and(|mut keys| keys.any(|key| arg.get_item(&key).is_ok_and(|v| number(&v))))
    });
    let counts = [
        "slice",
        "batch",
        "indent",
        "center",
        "ljust",
        "rjust",
        "zfill",
        "expandtabs",
        "round",
        "truncate",
        "wordwrap",
    ];
    if wide && counts.contains(&name) {
        return Err(refused(format!("{name}: a number above {WIDEST} is too large")));
    }
    let text = |at: usize| args.get(at).and_then(Value::as_str).unwrap_or_default();
    let result = match name {
        "replace" => {
            let (s, from, to) = (text(0), text(1), text(2));
            let found = if from.is_empty() { s.chars().count() + 1 } else { s.matches(from).count() };
            found.saturating_mul(to.len()).saturating_add(s.len())
        }
        "join" => {
            let (list, glue) =
                if args.first().is_some_and(|v| v.as_str().is_some() && !text(0).is_empty() || !is_list(v)) {
                    (args.get(1), text(0))
                } else {
                    (args.first(), text(1))
                };
            let glued = list.and_then(Value::len).unwrap_or(weight / ITEM + 1).max(1);
            glued.saturating_mul(glue.len()).saturating_add(weight)
        }
        "indent" => {
            let widths = args.iter().skip(1).filter_map(Value::as_usize);
            text(0).lines().count().saturating_mul(widths.max().unwrap_or(0)).saturating_add(weight)
        }
        "format" => {
            let pattern = text(0);
            let digits = pattern.split(|c: char| !c.is_ascii_digit()).map(str::len).max().unwrap_or(0);
            if digits > 4 || pattern.contains("%*") {
                return Err(refused("format: a width is too large"));
            }
            pattern.matches(['%', '{']).count().saturating_mul(weight.max(WIDEST as usize))
        }
        _ => weight,
    };
    if result > LONGEST { Err(too_long()) } else { Ok(()) }
}

/// The functions that stand for operations; no name in a template can be one of theirs.
fn register(env: &mut Environment<'_>, bounds: &Arc<Bounds>) {
    type Binary = fn(&State<'_, '_>, &Value, &Value) -> Result<Value, JinjaError>;
    let binary: [(&'static str, Binary); 10] = [
        ("~", |_, a, b| Ok(Value::from(format!("{a}{b}")))),
        ("+", |_, a, b| add(a, b)),
        ("*", |_, a, b| multiply(a, b)),
        ("==", |_, a, b| Ok((a == b).into())),
        ("!=", |_, a, b| Ok((a != b).into())),
        ("<", |_, a, b| Ok((a < b).into())),
        ("<=", |_, a, b| Ok((a <= b).into())),
        (">", |_, a, b| Ok((a > b).into())),
        (">=", |_, a, b| Ok((a >= b).into())),
        ("in", |state, a, b| state.perform_test("in", &[a.clone(), b.clone()]).map(Value::from)),
    ];
    for (name, f) in binary {
        let bounds = bounds.clone();
        env.add_function(format!("{name} "), move |state: &State<'_, '_>, args: Rest<Value>| {
            bounds.spend_on(&args)?;
            match &args[..] {
                [a, b] => f(state, a, b),
                _ => Err(refused("an operator needs two values")),
            }
        });
    }
    let shared = bounds.clone();
    env.add_function("[] ", move |_: &State<'_, '_>, args: Rest<Value>| match &args[..] {
        [value, key] => {
            shared.spend(value.as_str().map_or(0, str::len))?;
            value.get_item(key)
        }
        _ => Err(refused("an index needs two values")),
    });
    let shared = bounds.clone();
    env.add_function("[:] ", move |_: &State<'_, '_>, args: Rest<Value>| {
        // Each character becomes a value for a moment.
        let weight = shared.spend_on(&args)?;
        shared.spend(weight.saturating_mul(8))?;
        match &args[..] {
            [value, start, stop, step] => slice(value, [start, stop, step]),
            _ => Err(refused("a slice needs four values")),
        }
    });
}

/// The kinds of calls by name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Filter,
    Test,
    Method,
}

/// Filters and methods that look at no more of a value than its kind, its length or an item, and tests that look at more.
const SHALLOW: [&str; 10] =
    ["length", "count", "first", "last", "default", "d", "get", "items", "keys", "values"];
const DEEP_TESTS: [&str; 17] = [
    "eq",
    "equalto",
    "==",
    "ne",
    "!=",
    "lt",
    "lessthan",
    "<",
    "le",
    "<=",
    "gt",
    "greaterthan",
    ">",
    "ge",
    ">=",
    "in",
    "startingwith",
];

impl Kind {
    /// Whether a call goes over all of its values.
    fn looks_at_all(self, name: &str) -> bool {
        match self {
            Self::Filter | Self::Method => !SHALLOW.contains(&name),
            Self::Test => DEEP_TESTS.contains(&name),
        }
    }

    fn function(self, name: &str) -> String {
        match self {
            Self::Filter => format!("{name} |"),
            Self::Test => format!("{name} is"),
            Self::Method => format!("{name} ."),
        }
    }
}

fn register_call(env: &mut Environment<'_>, bounds: &Arc<Bounds>, kind: Kind, name: &str) {
    let (bounds, called) = (bounds.clone(), name.to_string());
    env.add_function(kind.function(name), move |state: &State<'_, '_>, args: Rest<Value>| {
        if kind.looks_at_all(&called) {
            let weight = bounds.spend_on(&args)?;
            foresee(&called, &args, weight)?;
        } else {
            bounds.spend(0)?;
        }
        let unknown =
            |kind: ErrorKind, what: &str| JinjaError::new(kind, format!("{what} {called} is unknown"));
        match (kind, args.split_first()) {
            (Kind::Filter, _) => state.apply_filter(&called, &args).map_err(|e| match e.kind() {
                ErrorKind::UnknownFilter => unknown(ErrorKind::UnknownFilter, "filter"),
                _ => e,
            }),
            (Kind::Test, _) => {
                state.perform_test(&called, &args).map(Value::from).map_err(|e| match e.kind() {
                    ErrorKind::UnknownTest => unknown(ErrorKind::UnknownTest, "test"),
                    _ => e,
                })
            }
            (Kind::Method, Some((this, rest))) => this.call_method(state, &called, rest),
            (Kind::Method, None) => Err(refused("a method needs a value")),
        }
    });
}

/// The calls of a template, by kind and name.
type Calls = BTreeSet<(Kind, String)>;

fn plain(name: &str) -> String {
    name.chars().filter(|c| !c.is_whitespace()).collect()
}

fn calls(instructions: &Instructions<'_>, found: &mut Calls) {
    for at in 0..instructions.len() as u32 {
        match instructions.get(at) {
            Some(Instruction::ApplyFilter(name, ..)) => drop(found.insert((Kind::Filter, plain(name)))),
            Some(Instruction::PerformTest(name, ..)) => drop(found.insert((Kind::Test, plain(name)))),
            Some(Instruction::CallMethod(name, _)) => drop(found.insert((Kind::Method, plain(name)))),
            _ => {}
        }
    }
}

fn rewrite<'s>(instructions: &mut Instructions<'s>, names: &'s [(Kind, String, String)]) {
    let named = |kind: Kind, name: &str| {
        let name = plain(name);
        names.iter().find(|(k, n, _)| *k == kind && *n == name).map(|(.., function)| function.as_str())
    };
    for at in 0..instructions.len() as u32 {
        let Some(instruction) = instructions.get_mut(at) else { continue };
        let call = match instruction {
            Instruction::StringConcat => Some(("~ ", Some(2))),
            Instruction::Add => Some(("+ ", Some(2))),
            Instruction::Mul => Some(("* ", Some(2))),
            Instruction::Eq => Some(("== ", Some(2))),
            Instruction::Ne => Some(("!= ", Some(2))),
            Instruction::Lt => Some(("< ", Some(2))),
            Instruction::Lte => Some(("<= ", Some(2))),
            Instruction::Gt => Some(("> ", Some(2))),
            Instruction::Gte => Some((">= ", Some(2))),
            Instruction::In => Some(("in ", Some(2))),
            Instruction::GetItem => Some(("[] ", Some(2))),
            Instruction::Slice => Some(("[:] ", Some(4))),
            Instruction::ApplyFilter(name, count, _) => named(Kind::Filter, name).map(|f| (f, *count)),
            Instruction::PerformTest(name, count, _) => named(Kind::Test, name).map(|f| (f, *count)),
            Instruction::CallMethod(name, count) => named(Kind::Method, name).map(|f| (f, *count)),
            _ => None,
        };
        if let Some((name, count)) = call {
            *instruction = Instruction::CallFunction(name, count);
        }
    }
}

/// The name of a template in messages.
const NAME: &str = "<string>";

/// Renders a source whose form has been checked.
pub(super) fn render(
    mut env: Environment<'_>,
    source: &str,
    root: Value,
    bounds: &Arc<Bounds>,
) -> Result<String, JinjaError> {
    let ast = parse(source, NAME, SyntaxConfig, whitespace())?;
    let compiled = || {
        let mut generator = CodeGenerator::new(NAME, source);
        generator.compile_stmt(&ast);
        generator.finish()
    };
    let mut found = Calls::new();
    let (instructions, blocks) = compiled();
    calls(&instructions, &mut found);
    blocks.values().for_each(|block| calls(block, &mut found));
    drop((instructions, blocks));

    env.set_fuel(Some(FUEL));
    register(&mut env, bounds);
    for (kind, name) in &found {
        register_call(&mut env, bounds, *kind, name);
    }
    let names: Vec<(Kind, String, String)> =
        found.into_iter().map(|(kind, name)| (kind, name.clone(), kind.function(&name))).collect();
    let (mut instructions, mut blocks) = compiled();
    rewrite(&mut instructions, &names);
    blocks.values_mut().for_each(|block| rewrite(block, &names));
    let mut out = String::new();
    Vm::new(&env).eval(&instructions, root, &blocks, &mut make_string_output(&mut out), AutoEscape::None)?;
    Ok(out)
}
