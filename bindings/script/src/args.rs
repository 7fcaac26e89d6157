//! The arguments of one call: arranged by the record, checked, read by name.

use std::sync::Arc;

use lota_host::{Files, Granted, did_you_mean};

use crate::convert::{FromValue, Mismatch};
use crate::error::{Error, ErrorKind, Result};
use crate::language::Language;
use crate::param::{Param, Place};
use crate::record::Record;
use crate::value::{Map, Scripted, Value};

/// The arguments of one call. Each is read once, by name, with its type.
pub struct Args<'a> {
    record: &'a Record,
    files: &'a Files,
    language: Language,
    slots: Vec<Slot>,
    extra: Map,
}

enum Slot {
    Given(Value),
    Default,
    Taken,
}

impl<'a> Args<'a> {
    /// Puts the values of a call where the record says they belong. The last value is the options
    /// table if it stands after the positional parameters, or on an optional one that is no map.
    pub(crate) fn arrange(
        record: &'a Record,
        language: Language,
        files: &'a Files,
        mut values: Vec<Value>,
    ) -> Result<Self> {
        let (params, plan) = (record.params(), record.plan());
        let (positional, rest) = (plan.positional, plan.rest);
        if plan.method {
            check_self(record, values.first())?;
        }
        let options = if plan.options { take_options(params, positional, rest, &mut values) } else { None };

        let mut slots: Vec<Slot> = params.iter().map(|_| Slot::Default).collect();
        if let Some(at) = rest {
            let tail: Vec<Value> = if values.len() > at { values.split_off(at) } else { Vec::new() };
            slots[at] = Slot::Given(Value::List(tail));
        }
        let fixed = rest.unwrap_or(positional);
        while values.len() > fixed && values.last().is_some_and(Value::is_nil) {
            values.pop();
        }
        if values.len() > fixed {
            let method = usize::from(plan.method);
            let what = if plan.options && values.len() == fixed + 1 {
                let table = if language == Language::Rhai { "map #{...}" } else { "table" };
                format!("the options must be a {table}, got {}", values[fixed].describe())
            } else {
                format!("takes {} by position, got {}", count(fixed - method, "value"), values.len() - method)
            };
            return Err(Error::argument(format!("{what}; usage: {}", record.signature_in(language))));
        }
        let places = params.iter().enumerate().filter(|(_, p)| p.place == Place::Positional).map(|(i, _)| i);
        for (slot, value) in places.zip(values) {
            if !value.is_nil() {
                slots[slot] = Slot::Given(value);
            }
        }
        let mut args = Self { record, files, language, slots, extra: Map::new() };
        if let Some(options) = options {
            args.put_options(options)?;
        }
        args.check_required()?;
        args.shift_positions()?;
        Ok(args)
    }

    fn put_options(&mut self, options: Map) -> Result<()> {
        let params = self.record.params();
        for (name, value) in options {
            match params.iter().position(|p| p.place == Place::Option && p.name == name) {
                Some(_) if value.is_nil() => {}
                Some(at) => self.slots[at] = Slot::Given(value),
                // A table of Lua cannot hold nil; a map of Rhai can hold (), which means the same here.
                None if self.record.open_doc().is_some() && value.is_nil() => {}
                None if self.record.open_doc().is_some() => {
                    self.extra.set(name, value);
                }
                None => {
                    let known: Vec<&str> =
                        params.iter().filter(|p| p.place == Place::Option).map(|p| &*p.name).collect();
                    let elsewhere = self.record.elsewhere.iter().find(|(theirs, _)| *theirs == name);
                    let hint = elsewhere
                        .map(|(_, instead)| format!("; {instead}"))
                        .or_else(|| did_you_mean(&name, known.iter().copied()))
                        .unwrap_or_else(|| format!("; known are {}", known.join(", ")));
                    return Err(Error::argument(format!("unknown option '{name}'{hint}")));
                }
            }
        }
        Ok(())
    }

    fn check_required(&self) -> Result<()> {
        for (param, slot) in self.record.params().iter().zip(&self.slots) {
            if param.required && matches!(slot, Slot::Default) {
                return Err(Error::argument(format!(
                    "{} is missing: {} ({}); usage: {}",
                    label(param.place, &param.name),
                    param.doc,
                    param.ty,
                    self.record.signature_in(self.language)
                )));
            }
        }
        Ok(())
    }

    fn shift_positions(&mut self) -> Result<()> {
        let base = self.language.index_base();
        for &at in &self.record.plan().positions {
            if let Slot::Given(value) = &mut self.slots[at]
                && let Err(bad) = shift(value, base)
            {
                let param = &self.record.params()[at];
                return Err(Error::argument(format!(
                    "{}: positions count from {base}, got {bad}",
                    label(param.place, &param.name),
                )));
            }
        }
        Ok(())
    }

    fn slot(&self, name: &str) -> Result<usize> {
        let found = self.record.params().iter().position(|p| p.name == name);
        found.ok_or_else(|| Error::new(ErrorKind::Host, format!("the record declares no parameter '{name}'")))
    }

    /// The argument `name`, or its default. Reading one twice is an error: bind it to a variable.
    pub fn get<T: FromValue>(&mut self, name: &str) -> Result<T> {
        let at = self.slot(name)?;
        let param = &self.record.params()[at];
        let value = match std::mem::replace(&mut self.slots[at], Slot::Taken) {
            Slot::Given(value) => value,
            Slot::Default => param.default.clone(),
            Slot::Taken => {
                let text = format!("the primitive reads its argument '{name}' twice");
                return Err(Error::new(ErrorKind::Host, text));
            }
        };
        T::from_value(value).map_err(|mismatch| self.mismatch(at, &mismatch))
    }

    /// The argument `name`, or `None` if it was not given and has no default.
    pub fn opt<T: FromValue>(&mut self, name: &str) -> Result<Option<T>> {
        self.get(name)
    }

    /// The argument `name` as the path of a file or folder, if the script may reach it.
    pub fn file(&mut self, name: &str) -> Result<Granted> {
        let path: String = self.get(name)?;
        self.granted(name, path)
    }

    fn granted(&self, name: &str, path: String) -> Result<Granted> {
        if path.is_empty() {
            return Err(self.wrong(name, "is empty: a path was expected"));
        }
        Ok(self.files.grant(path)?)
    }

    /// The same, or `None` if it was not given.
    pub fn opt_file(&mut self, name: &str) -> Result<Option<Granted>> {
        let path: Option<String> = self.opt(name)?;
        path.map(|path| self.granted(name, path)).transpose()
    }

    /// The name of the primitive that was called.
    pub fn primitive(&self) -> &str {
        self.record.name()
    }

    /// The object of a method call.
    pub fn this<T: Scripted>(&mut self) -> Result<Arc<T>> {
        self.get("self")
    }

    /// Whether `name` was given (and not read yet).
    pub fn is_given(&self, name: &str) -> bool {
        self.slot(name).is_ok_and(|at| matches!(self.slots[at], Slot::Given(_)))
    }

    /// The values that were given and have not been read yet.
    pub fn given(&self) -> impl Iterator<Item = &Value> {
        self.slots.iter().filter_map(|slot| match slot {
            Slot::Given(value) => Some(value),
            _ => None,
        })
    }

    /// The options of undeclared names, for records that allow them.
    pub fn extra(&mut self) -> Map {
        std::mem::take(&mut self.extra)
    }

    /// A position that was counted from 0 as the script counts it.
    pub fn counted(&self, position: i64) -> i64 {
        if position < 0 { position } else { position + self.language.index_base() }
    }

    /// The error for an argument whose value is not possible: `option 'density' <what>`.
    pub fn wrong(&self, name: &str, what: impl std::fmt::Display) -> Error {
        let place = self.slot(name).map_or(Place::Option, |at| self.record.params()[at].place);
        Error::argument(format!("{} {what}", label(place, name)))
    }

    /// The error for an option that must be one of a few words.
    pub fn not_one_of(&self, name: &str, given: &str, known: &[&str]) -> Error {
        let hint = did_you_mean(given, known.iter().copied()).unwrap_or_default();
        self.wrong(name, format!("must be one of {}, got '{given}'{hint}", known.join(", ")))
    }

    /// The error for a value inside an argument that is not what it must be.
    pub fn mismatched(&self, name: &str, mismatch: &Mismatch) -> Error {
        self.slot(name).map_or_else(|error| error, |at| self.mismatch(at, mismatch))
    }

    fn mismatch(&self, at: usize, mismatch: &Mismatch) -> Error {
        let param = &self.record.params()[at];
        let inner = &mismatch.at;
        let inner = shift_places(inner, self.language.index_base());
        let expected = if inner.is_empty() { &*param.ty } else { &mismatch.expected };
        let finer = if inner.is_empty() && mismatch.expected.contains(',') {
            format!(" ({})", mismatch.expected)
        } else {
            String::new()
        };
        let quoted = label(param.place, &param.name);
        Error::argument(format!("{quoted}{inner} must be {}{finer}, got {}", a(expected), mismatch.given))
    }
}

/// A method called with a dot has its first argument where the object belongs.
fn check_self(record: &Record, first: Option<&Value>) -> Result<()> {
    let (Some(ty), Some(this)) = (record.owner(), record.params().first()) else { return Ok(()) };
    // Operators take a number before them too.
    if this.name != "self" || this.ty != ty || matches!(first, Some(Value::Object(o)) if o.type_name() == ty)
    {
        return Ok(());
    }
    let (name, given) = (record.short_name(), first.map_or("nothing".into(), Value::describe));
    Err(Error::argument(format!(
        "needs a {ty} before the colon, got {given}; write object:{name}(...), not object.{name}(...)"
    )))
}

fn take_options(
    params: &[Param],
    positional: usize,
    rest: Option<usize>,
    values: &mut Vec<Value>,
) -> Option<Map> {
    let table = |v: &Value| match v {
        Value::Map(_) => true,
        Value::List(l) => l.is_empty(),
        _ => false,
    };
    let last = values.last()?;
    let at = values.len() - 1;
    let here = match rest {
        Some(rest) => at >= rest && matches!(last, Value::Map(_)),
        None if at == positional => table(last),
        None => {
            let mut places = params.iter().filter(|p| p.place == Place::Positional);
            let param = places.nth(at)?;
            let takes_table =
                param.ty.split(['|', ' ']).any(|w| matches!(w, "map" | "table" | "any" | "list"));
            !param.required && !takes_table && table(last)
        }
    };
    if !here {
        return None;
    }
    match values.pop() {
        Some(Value::Map(map)) => Some(map),
        _ => Some(Map::new()),
    }
}

fn label(place: Place, name: &str) -> String {
    match place {
        Place::Option => format!("option '{name}'"),
        _ => format!("argument '{name}'"),
    }
}

fn count(n: usize, what: &str) -> String {
    match n {
        0 => format!("no {what}"),
        1 => format!("1 {what}"),
        _ => format!("{n} {what}s"),
    }
}

fn a(expected: &str) -> String {
    let alternatives = expected.replace('|', " or ");
    let article = match alternatives.chars().next() {
        Some('a' | 'e' | 'i' | 'o' | 'A' | 'E' | 'I' | 'O') => "an",
        _ => "a",
    };
    format!("{article} {alternatives}")
}

/// From the script's counting to counting from 0; negative numbers count from the end in both.
fn shift(value: &mut Value, base: i64) -> Result<(), i64> {
    match value {
        Value::Int(i) if *i >= base => *i -= base,
        Value::Int(i) if *i >= 0 => return Err(*i),
        Value::Float(x) if x.fract() == 0.0 => {
            *value = Value::Int(*x as i64);
            return shift(value, base);
        }
        Value::List(items) => return items.iter_mut().try_for_each(|item| shift(item, base)),
        _ => {}
    }
    Ok(())
}

/// `[2].prompt` counted from 0 as the script counts it.
fn shift_places(at: &str, base: i64) -> String {
    let mut out = String::new();
    for (i, part) in at.split('[').enumerate() {
        match part.split_once(']') {
            Some((number, tail)) if i > 0 => match number.parse::<i64>() {
                Ok(n) => out.push_str(&format!("[{}]{tail}", n + base)),
                Err(_) => out.push_str(&format!("[{part}")),
            },
            _ => out.push_str(part),
        }
    }
    out
}
