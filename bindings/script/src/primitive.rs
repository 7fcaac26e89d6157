//! One primitive: its name, documentation, parameters, result, example and function.
//!
//! A record is built like this:
//!
//! ```
//! use lota_script::{Args, Ctx, Primitive};
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

use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::args::Args;
use crate::convert::IntoValue;
use crate::ctx::Ctx;
use crate::error::{Error, ErrorKind, Result};
use crate::op::Op;
use crate::param::{Param, Place, Text, counts_positions};
use crate::record::{CallPlan, Record};
use crate::value::Value;

type Body = dyn Fn(&Ctx, &mut Args) -> Result<Value> + Send + Sync;
type Forward = dyn Fn(&Ctx, Vec<Value>) -> Result<Value> + Send + Sync;

/// A primitive's own function, as one that is put around it sees it.
pub type Inner<'a> = dyn Fn(&Ctx, &mut Args) -> Result<Value> + 'a;

/// A function that is called in the place of a primitive's own, which it is given.
pub type Wrapper = fn(&Ctx, &mut Args, &Inner<'_>) -> Result<Value>;

/// One primitive: its [`Record`], which it can be read as, and its function.
#[derive(Clone)]
pub struct Primitive {
    record: Record,
    body: Arc<Body>,
    forward: Option<Arc<Forward>>,
}

impl Deref for Primitive {
    type Target = Record;

    fn deref(&self) -> &Record {
        &self.record
    }
}

impl Primitive {
    /// A function, `area.name`, or `name` for the top table.
    pub fn new(name: impl Into<Text>, doc: impl Into<Text>) -> Self {
        let name = name.into();
        let record = Record {
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
            elsewhere: Vec::new(),
        };
        let body = Arc::new(|_: &Ctx, _: &mut Args<'_>| {
            Err(Error::new(ErrorKind::Host, "this primitive has no body"))
        });
        Self { record, body, forward: None }
    }

    /// Puts `wrapper` around the function.
    pub fn wrapped(mut self, wrapper: Wrapper) -> Self {
        let inner = self.body.clone();
        self.body = Arc::new(move |ctx, args| wrapper(ctx, args, &|ctx, args| inner(ctx, args)));
        self
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
        let (at, ty) = (self.record.params.len(), ty.into());
        match place {
            Place::Option => self.record.plan.options = true,
            Place::Rest => self.record.plan.rest = Some(at),
            Place::Positional => {}
        }
        self.record.plan.positional += usize::from(place != Place::Option);
        if counts_positions(&ty) {
            self.record.plan.positions.push(at);
        }
        self.record.params.push(Param {
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
        self.record.open = Some(doc.into());
        self.record.plan.options = true;
        self
    }

    /// A name that other libraries have for an option, and what to write instead; told in the error about it.
    pub fn instead_of(mut self, name: &'static str, instead: &'static str) -> Self {
        self.record.elsewhere.push((name, instead));
        self
    }

    /// More than one line of documentation.
    pub fn details(mut self, text: impl Into<Text>) -> Self {
        self.record.details = text.into();
        self
    }

    /// The result: its type (`nil` if this is never called) and one line.
    pub fn returns(mut self, ty: impl Into<Text>, doc: impl Into<Text>) -> Self {
        self.record.result = ty.into();
        self.record.plan.result_positions = counts_positions(&self.record.result);
        self.record.result_doc = doc.into();
        self
    }

    /// A Lua example. It is run as a test, with `lota` in scope.
    pub fn example(mut self, lua: impl Into<Text>) -> Self {
        self.record.example = lua.into();
        self
    }

    /// The example in Rhai, where it cannot be translated from the Lua one.
    pub fn example_rhai(mut self, rhai: impl Into<Text>) -> Self {
        self.record.example_rhai = Some(rhai.into());
        self
    }

    /// The operator this is the named twin of.
    pub fn operator(mut self, op: Op) -> Self {
        self.record.operator = Some(op);
        self
    }

    /// Says that it only shows what it is given: a table that is neither a list nor a map is no error then.
    pub fn shows(mut self) -> Self {
        self.record.plan.shows = true;
        self
    }

    /// Says that it makes something large, as a model: garbage is collected before, which would lie beside it.
    pub fn large(mut self) -> Self {
        self.record.plan.large = true;
        self
    }

    /// Makes the result of calling it without arguments the value of the name itself.
    pub fn constant(mut self) -> Self {
        self.record.constant = true;
        self
    }

    /// The function.
    pub fn call<R: IntoValue<Home>, Home>(
        mut self,
        body: impl Fn(&Ctx, &mut Args) -> Result<R> + Send + Sync + 'static,
    ) -> Self {
        self.body = Arc::new(move |ctx, args| body(ctx, args).map(IntoValue::into_value));
        self
    }

    /// Instead of a function: where calls go, with their values as they come. Whoever they go to arranges and checks them.
    pub fn forward(mut self, to: impl Fn(&Ctx, Vec<Value>) -> Result<Value> + Send + Sync + 'static) -> Self {
        self.forward = Some(Arc::new(to));
        self
    }

    /// Calls it with values as a frontend got them: positions counted from `ctx.index_base()`.
    /// A panic inside becomes an error.
    pub fn invoke(&self, ctx: &Ctx, values: Vec<Value>) -> Result<Value> {
        let called = catch_unwind(AssertUnwindSafe(|| {
            ctx.host.cancel.check()?;
            if let Some(forward) = &self.forward {
                return forward(ctx, values);
            }
            let mut args = Args::arrange(&self.record, ctx.language, &ctx.files, values)?;
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
            Ok(value) if self.record.plan.result_positions && self.forward.is_none() => {
                Ok(shift(value, ctx.index_base()))
            }
            Ok(value) => Ok(value),
            Err(error) => Err(error.in_primitive(self.name())),
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
