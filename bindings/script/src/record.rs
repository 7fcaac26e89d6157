//! One primitive: its name, documentation, parameters, result, example and function.
//!
//! A record is built like this:
//!
//! ```
//! use lota::api::{Args, Ctx, Primitive};
//!
//! let record = Primitive::new("text.repeat", "A text, several times over.")
//!     .arg("text", "string", "what to repeat")
//!     .opt("times", "integer", 2, "how often")
//!     .returns("string", "the long text")
//!     .example(r#"assert(lota.text.repeat("ab", {times = 3}) == "ababab")"#)
//!     .call(|_ctx: &Ctx, args: &mut Args| {
//!         let text: String = args.get("text")?;
//!         let times: usize = args.get("times")?;
//!         Ok(text.repeat(times))
//!     });
//! assert_eq!(record.signature(), "text.repeat(text, {times = 2})");
//! ```

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::args::Args;
use super::ctx::Ctx;
use super::value::Value;
use crate::error::{Error, ErrorKind, Result};
use crate::language::Language;

type Text = Cow<'static, str>;
type Body = dyn Fn(&Ctx, &mut Args) -> Result<Value> + Send + Sync;

/// Where a parameter is written in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// By position.
    Positional,
    /// By position, and every further value too; arrives as a list.
    Rest,
    /// By name in the options table.
    Option,
}

/// One parameter.
#[derive(Clone, Debug)]
pub struct Param {
    /// Its name.
    pub name: Text,
    /// Its type, in the words of messages and editor definitions: `number`, `Mask`, `list of
    /// string`, `string|function`. `index` and `dim` are whole numbers that count positions: a
    /// frontend that counts from 1 shifts them, so the primitive always sees them from 0 (and
    /// negative from the end).
    pub ty: Text,
    /// Used when it is not given.
    pub default: Value,
    /// Whether it must be given.
    pub required: bool,
    /// Where it is written.
    pub place: Place,
    /// One line, with the unit.
    pub doc: Text,
}

impl Param {
    pub(crate) fn counts_positions(&self) -> bool {
        counts_positions(&self.ty)
    }
}

pub(crate) fn counts_positions(ty: &str) -> bool {
    ty.split(['|', ' ']).any(|word| word == "index" || word == "dim")
}

/// The operator a primitive is the named twin of. It applies to values of the type of the
/// primitive's first parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Op {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Neg,
    And,
    Or,
    Xor,
    Not,
    Eq,
    Lt,
    Le,
    Len,
    /// `x[i]` with a number (or a list of them); names are looked up as methods first.
    Index,
    Call,
}

impl Op {
    /// The operator as Lua writes it.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub | Self::Neg => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Mod => "%",
            Self::Pow => "^",
            Self::And => "&",
            Self::Or => "|",
            Self::Xor | Self::Not => "~",
            Self::Eq => "==",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Len => "#",
            Self::Index => "[]",
            Self::Call => "()",
        }
    }

    /// The operator as a language writes it, if it has it.
    pub fn symbol_in(self, language: Language) -> Option<&'static str> {
        match (language, self) {
            (Language::Lua, _) => Some(self.symbol()),
            (Language::Rhai, Self::Pow) => Some("**"),
            (Language::Rhai, Self::Xor) => Some("^"),
            (Language::Rhai, Self::Not) => Some("!"),
            (Language::Rhai, Self::Len | Self::Call) => None,
            (Language::Rhai, _) => Some(self.symbol()),
        }
    }
}

/// One record of the registry.
pub struct Primitive {
    name: Text,
    doc: Text,
    details: Text,
    params: Vec<Param>,
    result: Text,
    result_doc: Text,
    example: Text,
    example_rhai: Option<Text>,
    operator: Option<Op>,
    open: Option<Text>,
    constant: bool,
    body: Arc<Body>,
    plan: CallPlan,
}

/// What every call asks of the record, kept so that no call reads its texts.
#[derive(Debug, Default)]
pub(crate) struct CallPlan {
    /// Whether the first parameter is the object of a method.
    pub method: bool,
    /// The number of parameters that are written by position.
    pub positional: usize,
    /// The parameter that takes all further values.
    pub rest: Option<usize>,
    /// Whether there can be an options table.
    pub options: bool,
    /// The parameters that count positions.
    pub positions: Vec<usize>,
    /// Whether the result does.
    pub result_positions: bool,
}

impl Primitive {
    /// A function, `area.name`, or `name` for the top table.
    pub fn new(name: impl Into<Text>, doc: impl Into<Text>) -> Self {
        let name = name.into();
        Self {
            plan: CallPlan { method: name.contains(':'), ..CallPlan::default() },
            name,
            doc: doc.into(),
            details: "".into(),
            params: Vec::new(),
            result: "nil".into(),
            result_doc: "".into(),
            example: "".into(),
            example_rhai: None,
            operator: None,
            open: None,
            constant: false,
            body: Arc::new(|_, _| Err(Error::new(ErrorKind::Host, "this primitive has no body"))),
        }
    }

    /// A method `Type:name`. Its first parameter, `self`, is the object.
    pub fn method(ty: &'static str, name: &str, doc: impl Into<Text>) -> Self {
        Self::new(format!("{ty}:{name}"), doc).arg("self", ty, "the object")
    }

    fn param(
        mut self,
        name: impl Into<Text>,
        ty: impl Into<Text>,
        default: Option<Value>,
        place: Place,
        doc: impl Into<Text>,
    ) -> Self {
        let (at, ty) = (self.params.len(), ty.into());
        match place {
            Place::Option => self.plan.options = true,
            Place::Rest => self.plan.rest = Some(at),
            Place::Positional => {}
        }
        self.plan.positional += usize::from(place != Place::Option);
        if counts_positions(&ty) {
            self.plan.positions.push(at);
        }
        self.params.push(Param {
            name: name.into(),
            ty,
            required: default.is_none(),
            default: default.unwrap_or_default(),
            place,
            doc: doc.into(),
        });
        self
    }

    /// A positional parameter that must be given.
    pub fn arg(self, name: impl Into<Text>, ty: impl Into<Text>, doc: impl Into<Text>) -> Self {
        self.param(name, ty, None, Place::Positional, doc)
    }

    /// A positional parameter with a default (`()` for none).
    pub fn arg_or(
        self,
        name: impl Into<Text>,
        ty: impl Into<Text>,
        default: impl Into<Value>,
        doc: impl Into<Text>,
    ) -> Self {
        self.param(name, ty, Some(default.into()), Place::Positional, doc)
    }

    /// Any number of further positional values; they arrive as a list.
    pub fn rest(self, name: impl Into<Text>, ty: impl Into<Text>, doc: impl Into<Text>) -> Self {
        self.param(name, ty, Some(Value::List(Vec::new())), Place::Rest, doc)
    }

    /// An option with a default (`()` for none).
    pub fn opt(
        self,
        name: impl Into<Text>,
        ty: impl Into<Text>,
        default: impl Into<Value>,
        doc: impl Into<Text>,
    ) -> Self {
        self.param(name, ty, Some(default.into()), Place::Option, doc)
    }

    /// An option that must be given.
    pub fn need(self, name: impl Into<Text>, ty: impl Into<Text>, doc: impl Into<Text>) -> Self {
        self.param(name, ty, None, Place::Option, doc)
    }

    /// Allows options of any name; the body gets them from [`Args::extra`].
    pub fn open(mut self, doc: impl Into<Text>) -> Self {
        self.open = Some(doc.into());
        self.plan.options = true;
        self
    }

    /// More than one line of documentation.
    pub fn details(mut self, text: impl Into<Text>) -> Self {
        self.details = text.into();
        self
    }

    /// The result: its type (`nil` if this is never called) and one line.
    pub fn returns(mut self, ty: impl Into<Text>, doc: impl Into<Text>) -> Self {
        self.result = ty.into();
        self.plan.result_positions = counts_positions(&self.result);
        self.result_doc = doc.into();
        self
    }

    /// A Lua example. It is run as a test, with `lota` in scope.
    pub fn example(mut self, lua: impl Into<Text>) -> Self {
        self.example = lua.into();
        self
    }

    /// The example in Rhai, where it cannot be translated from the Lua one.
    pub fn example_rhai(mut self, rhai: impl Into<Text>) -> Self {
        self.example_rhai = Some(rhai.into());
        self
    }

    /// The operator this is the named twin of.
    pub fn operator(mut self, op: Op) -> Self {
        self.operator = Some(op);
        self
    }

    /// Makes the result of calling it without arguments the value of the name itself.
    pub fn constant(mut self) -> Self {
        self.constant = true;
        self
    }

    /// The function.
    pub fn call<R: Into<Value>>(
        mut self,
        body: impl Fn(&Ctx, &mut Args) -> Result<R> + Send + Sync + 'static,
    ) -> Self {
        self.body = Arc::new(move |ctx, args| body(ctx, args).map(Into::into));
        self
    }

    /// `area.name` or `Type:name`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The type it is a method of.
    pub fn owner(&self) -> Option<&str> {
        self.name.split_once(':').map(|(owner, _)| owner)
    }

    /// The area (`mask` of `mask.union`; empty for the top table), where it is not a method.
    pub fn area(&self) -> Option<&str> {
        match self.owner() {
            Some(_) => None,
            None => Some(self.name.rsplit_once('.').map_or("", |(area, _)| area)),
        }
    }

    /// The last part of the name.
    pub fn short_name(&self) -> &str {
        self.name.rsplit(['.', ':']).next().unwrap_or(&self.name)
    }

    /// The one-line documentation.
    pub fn doc(&self) -> &str {
        &self.doc
    }

    /// The longer documentation, or empty.
    pub fn long_doc(&self) -> &str {
        &self.details
    }

    /// The parameters, with `self` first for a method.
    pub fn params(&self) -> &[Param] {
        &self.params
    }

    /// The type of the result and its line.
    pub fn result(&self) -> (&str, &str) {
        (&self.result, &self.result_doc)
    }

    /// The example in Lua, or empty.
    pub fn example_source(&self) -> &str {
        &self.example
    }

    /// The example in Rhai, where the record has one of its own.
    pub fn own_rhai_example(&self) -> Option<&str> {
        self.example_rhai.as_deref()
    }

    /// The operator, if any.
    pub fn operator_tag(&self) -> Option<Op> {
        self.operator
    }

    /// What options of any name mean, where they are allowed.
    pub fn open_doc(&self) -> Option<&str> {
        self.open.as_deref()
    }

    /// The number of positional parameters, `self` and the rest included.
    pub fn positional(&self) -> usize {
        self.plan.positional
    }

    /// What a call asks.
    pub(crate) fn plan(&self) -> &CallPlan {
        &self.plan
    }

    /// Whether the name is a value, not a function.
    pub fn is_constant(&self) -> bool {
        self.constant
    }

    /// The call as documentation writes it, in Lua.
    pub fn signature(&self) -> String {
        self.signature_in(Language::Lua)
    }

    /// The name as a script of a language writes it: `mask.union` or `mask::union`, `Mask:count` or
    /// `Mask.count`; without the `lota` before it.
    pub fn name_in(&self, language: Language) -> String {
        match language {
            Language::Lua => self.name.to_string(),
            Language::Rhai => {
                self.name.replace('.', "::").replacen(':', ".", usize::from(self.owner().is_some()))
            }
        }
    }

    /// The call as documentation writes it.
    pub fn signature_in(&self, language: Language) -> String {
        if self.constant {
            return self.name_in(language);
        }
        let (open, set) = match language {
            Language::Lua => ("{", " ="),
            Language::Rhai => ("#{", ":"),
        };
        let method = self.owner().is_some();
        let mut parts: Vec<String> = Vec::new();
        for p in self.params.iter().skip(usize::from(method)) {
            match p.place {
                Place::Positional if p.required => parts.push(p.name.to_string()),
                Place::Positional => parts.push(format!("{}?", p.name)),
                Place::Rest => parts.push("...".into()),
                Place::Option => {}
            }
        }
        let mut options: Vec<String> = self
            .params
            .iter()
            .filter(|p| p.place == Place::Option)
            .map(|p| {
                if p.default.is_nil() {
                    format!("{}{set}", p.name)
                } else {
                    format!("{}{set} {}", p.name, literal_in(&p.default, language))
                }
            })
            .collect();
        if self.open.is_some() {
            options.push("...".into());
        }
        if !options.is_empty() {
            parts.push(format!("{open}{}}}", options.join(", ")));
        }
        format!("{}({})", self.name_in(language), parts.join(", "))
    }

    /// Calls it with values as a frontend got them: positions counted from `ctx.index_base()`.
    /// A panic inside becomes an error.
    pub fn invoke(&self, ctx: &Ctx, values: Vec<Value>) -> Result<Value> {
        let called = catch_unwind(AssertUnwindSafe(|| {
            ctx.host.cancel.check()?;
            let mut args = Args::arrange(self, ctx, values)?;
            (self.body)(ctx, &mut args)
        }));
        let result = match called {
            Ok(result) => result,
            Err(panic) => Err(Error::new(
                ErrorKind::Host,
                format!("a fault of lota itself, please report it: {}", panic_text(&*panic)),
            )),
        };
        match result {
            Ok(value) if self.plan.result_positions => Ok(shift(value, ctx.index_base())),
            Ok(value) => Ok(value),
            Err(error) => Err(error.in_primitive(&self.name)),
        }
    }
}

/// The text of a panic.
pub fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    match (panic.downcast_ref::<String>(), panic.downcast_ref::<&str>()) {
        (Some(text), _) => text.clone(),
        (_, Some(text)) => (*text).to_string(),
        _ => "a panic without a text".into(),
    }
}

fn shift(value: Value, base: i64) -> Value {
    match value {
        Value::Int(i) => Value::Int(i + base),
        Value::List(items) => Value::List(items.into_iter().map(|v| shift(v, base)).collect()),
        other => other,
    }
}

/// A default value as documentation of Lua writes it.
pub(crate) fn literal(value: &Value) -> String {
    literal_in(value, Language::Lua)
}

/// A default value as documentation writes it.
pub(crate) fn literal_in(value: &Value, language: Language) -> String {
    let lua = language == Language::Lua;
    let list = |items: Vec<String>, open: &str, close: &str| format!("{open}{}{close}", items.join(", "));
    match value {
        Value::Nil => if lua { "nil" } else { "()" }.into(),
        Value::Bool(b) => b.to_string(),
        Value::Int(i) => i.to_string(),
        Value::Float(x) => format!("{x:?}"),
        Value::Str(s) => format!("{s:?}"),
        Value::List(l) => {
            let (open, close) = if lua { ("{", "}") } else { ("[", "]") };
            list(l.iter().map(|v| literal_in(v, language)).collect(), open, close)
        }
        Value::Map(m) => {
            let (open, set) = if lua { ("{", " =") } else { ("#{", ":") };
            list(m.iter().map(|(k, v)| format!("{k}{set} {}", literal_in(v, language))).collect(), open, "}")
        }
        other => other.type_name().into(),
    }
}
