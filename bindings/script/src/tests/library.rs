//! A small library to test the frontends with: a counter, a vector, and functions that call back.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use lota_host::{Cancel, Host};

use crate::{
    Args, Ctx, Error, Files, Language, Limits, Map, Memory, Meter, Modules, Op, Opened, Primitive, Registry,
    Result, ScriptFn, Scripted, Things, Value, open,
};

/// A number that methods change.
struct Counter(AtomicI64);

impl Scripted for Counter {
    const TYPE: &'static str = "Counter";

    fn show(&self) -> String {
        format!("Counter({})", self.0.load(Relaxed))
    }
}

/// Numbers that operators work on.
#[derive(Clone, PartialEq)]
pub(super) struct Vector(pub(super) Vec<f64>);

impl Scripted for Vector {
    const TYPE: &'static str = "Vector";

    fn show(&self) -> String {
        format!("Vector({:?})", self.0)
    }

    fn bytes(&self) -> u64 {
        8 * self.0.len() as u64
    }
}

fn counters(r: &mut Registry) {
    r.object("Counter", "A number that can be raised.");
    r.add(
        Primitive::new("counter", "A counter.")
            .arg_or("start", "integer", 0, "its number")
            .opt("step", "integer", 1, "what is added to it at once")
            .returns("Counter", "the counter")
            .call(|_, args| {
                let (start, step): (i64, i64) = (args.get("start")?, args.get("step")?);
                Ok(Counter(AtomicI64::new(start + step - 1)))
            }),
    );
    r.add(
        Primitive::method("Counter", "add", "Raises it.")
            .arg_or("by", "integer", 1, "by how much")
            .returns("Counter", "this counter")
            .call(|_, args| {
                let counter = args.this::<Counter>()?;
                counter.0.fetch_add(args.get("by")?, Relaxed);
                Ok(counter)
            }),
    );
    r.add(
        Primitive::method("Counter", "value", "Its number.")
            .returns("integer", "the number")
            .call(|_, args| Ok(args.this::<Counter>()?.0.load(Relaxed))),
    );
}

fn vectors(r: &mut Registry) {
    r.area("vector", "Vectors.");
    r.object("Vector", "Numbers in a row.");
    r.add(
        Primitive::new("vector.of", "A vector of numbers.")
            .arg("numbers", "list of number", "the numbers")
            .returns("Vector", "the vector")
            .call(|ctx, args| {
                let numbers: Vec<f64> = args.get("numbers")?;
                ctx.reserve(8 * numbers.len())?;
                Ok(Vector(numbers))
            }),
    );
    r.add(
        Primitive::new("vector.zeros", "A vector of zeros.")
            .arg("length", "integer", "how many")
            .returns("Vector", "the vector")
            .call(|ctx, args| {
                let length: usize = args.get("length")?;
                ctx.reserve(length.saturating_mul(8))?;
                Ok(Vector(vec![0.0; length]))
            }),
    );
    r.add(
        Primitive::method("Vector", "plus", "The sum of two vectors of one length.")
            .arg("other", "Vector|number", "the other, or a number to add to each")
            .returns("Vector", "the sum")
            .operator(Op::Add)
            .call(plus),
    );
    r.add(
        Primitive::method("Vector", "equals", "Whether two vectors hold the same numbers.")
            .arg("other", "Vector", "the other")
            .returns("boolean", "whether they do")
            .operator(Op::Eq)
            .call(|_, args| Ok(*args.this::<Vector>()? == *args.get::<Arc<Vector>>("other")?)),
    );
    r.add(
        Primitive::method("Vector", "at", "The number at a position.")
            .arg("i", "index", "the position")
            .returns("number", "the number")
            .operator(Op::Index)
            .call(|_, args| {
                let (vector, i) = (args.this::<Vector>()?, args.get::<i64>("i")?);
                let at = if i < 0 { i + vector.0.len() as i64 } else { i };
                let found = usize::try_from(at).ok().and_then(|at| vector.0.get(at)).copied();
                found.ok_or_else(|| args.wrong("i", format!("is outside a vector of {}", vector.0.len())))
            }),
    );
    r.add(
        Primitive::method("Vector", "largest", "The position of the largest number.")
            .returns("index", "the position")
            .call(|_, args| {
                let vector = args.this::<Vector>()?;
                let best = vector.0.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
                Ok(best.map(|(i, _)| i))
            }),
    );
    r.add(
        Primitive::method("Vector", "len", "How many numbers it holds.")
            .returns("integer", "how many")
            .operator(Op::Len)
            .call(|_, args| Ok(args.this::<Vector>()?.0.len())),
    );
    r.add(
        Primitive::method("Vector", "totable", "Its numbers as a list.")
            .returns("list of number", "the numbers")
            .call(|_, args| Ok(args.this::<Vector>()?.0.clone())),
    );
}

fn plus(_: &Ctx, args: &mut Args) -> Result<Vector> {
    let vector = args.this::<Vector>()?;
    match args.get::<Value>("other")? {
        Value::Int(n) => Ok(Vector(vector.0.iter().map(|x| x + n as f64).collect())),
        Value::Float(n) => Ok(Vector(vector.0.iter().map(|x| x + n).collect())),
        Value::Object(other) => match other.downcast_ref::<Vector>() {
            Some(other) if other.0.len() == vector.0.len() => {
                Ok(Vector(vector.0.iter().zip(&other.0).map(|(x, y)| x + y).collect()))
            }
            _ => Err(args.wrong("other", "must be a Vector of the same length")),
        },
        other => Err(args.wrong("other", format!("must be a Vector or a number, got {}", other.describe()))),
    }
}

fn calls(r: &mut Registry) {
    r.add(
        Primitive::new("each", "The results of a function for some names.")
            .arg("names", "list of string", "the names")
            .arg("change", "function", "function(name, place)")
            .returns("list", "what it gave for each")
            .call(|ctx, args| {
                let names: Vec<String> = args.get("names")?;
                let change: Arc<dyn ScriptFn> = args.get("change")?;
                let mut made = Vec::new();
                for (i, name) in names.into_iter().enumerate() {
                    ctx.host.cancel.check()?;
                    made.push(change.call(&[name.into(), Value::Int(i as i64 + ctx.index_base())])?);
                }
                Ok(made)
            }),
    );
    r.add(
        Primitive::new("options", "The options it was given.")
            .open("any")
            .returns("map", "the same")
            .call(|_, args| Ok(args.extra())),
    );
    r.add(Primitive::new("fault", "Panics.").call(|_, _| -> Result<()> { panic!("on purpose") }));
    r.add(
        Primitive::new("refuse", "Fails.")
            .arg("why", "string", "the reason")
            .call(|_, args| -> Result<()> { Err(Error::runtime(args.get::<String>("why")?)) }),
    );
    r.add(
        Primitive::new("read", "The value of a JSON text.")
            .arg("text", "string", "the text")
            .returns("any", "the value")
            .call(|_, args| {
                let json = serde_json::from_str(&args.get::<String>("text")?);
                json.map(crate::from_json).map_err(|e| Error::runtime(e.to_string()))
            }),
    );
    r.add(
        Primitive::new("json", "The JSON text of a value.")
            .arg("value", "any", "the value")
            .returns("string", "the text")
            .call(|_, args| Ok(crate::to_json(&args.get::<Value>("value")?)?.to_string())),
    );
    r.add(
        Primitive::new("shown", "Values as a person reads them.")
            .rest("values", "any", "what to show")
            .returns("string", "the text")
            .shows()
            .call(|_, args| {
                let values: Vec<Value> = args.get("values")?;
                Ok(values.iter().map(crate::show).collect::<Vec<_>>().join(" "))
            }),
    );
    r.add(
        Primitive::new("print", "Prints a text.")
            .arg("text", "string", "the text")
            .call(|ctx, args| ctx.print(&args.get::<String>("text")?)),
    );
}

pub(crate) fn registry() -> Registry {
    let mut registry = Registry::default();
    counters(&mut registry);
    vectors(&mut registry);
    calls(&mut registry);
    registry
}

/// Modules that the library brings along.
const MODULES: Modules = Modules {
    lua: &[("lota.twice", "return function(x) return 2 * x end")],
    rhai: &[("lota/twice", "fn twice(x) { 2 * x }")],
};

/// An interpreter with the library.
pub(super) struct Script {
    pub(super) ctx: Arc<Ctx>,
    pub(super) frontend: Opened,
    pub(super) cancel: Cancel,
    printed: Arc<Mutex<String>>,
}

impl Script {
    pub(super) fn new(language: Language) -> Self {
        Self::bounded(language, Limits::none(), Files::default())
    }

    pub(super) fn bounded(language: Language, limits: Limits, files: Files) -> Self {
        let (ctx, printed) = surroundings(language, limits, files);
        let cancel = ctx.host.cancel.clone();
        let frontend = open(ctx.clone(), Arc::new(registry()), MODULES, false).expect("an interpreter");
        Self { ctx, frontend, cancel, printed }
    }

    /// Runs a script under the limits.
    pub(super) fn run(&self, source: &str) -> Result<Value> {
        let result = self.ctx.meter.run(|| self.frontend.run(source, "test"));
        if result.is_err() {
            self.frontend.recover();
        }
        result
    }

    /// The error of a script that must fail.
    pub(super) fn fails(&self, source: &str) -> Error {
        match self.run(source) {
            Err(error) => error,
            Ok(value) => panic!("it gave {value:?}"),
        }
    }

    pub(super) fn printed(&self) -> String {
        self.printed.lock().expect("no panic before").clone()
    }
}

pub(crate) fn surroundings(
    language: Language,
    limits: Limits,
    files: Files,
) -> (Arc<Ctx>, Arc<Mutex<String>>) {
    let host = Host::default();
    let printed = Arc::new(Mutex::new(String::new()));
    let sink = printed.clone();
    let ctx = Ctx {
        meter: Arc::new(Meter::new(limits, host.cancel.clone())),
        host,
        files,
        memory: Memory::default(),
        script_args: Vec::new(),
        script_name: String::new(),
        language,
        output: Arc::new(move |text| sink.lock().expect("no panic before").push_str(text)),
        things: Things::default(),
    };
    (Arc::new(ctx), printed)
}

/// A map as text, so that two can be compared.
pub(super) fn text(value: &Value) -> String {
    crate::to_json(value).expect("a plain value").to_string()
}

/// A map of one entry.
pub(super) fn entry(name: &str, value: impl Into<Value>) -> Map {
    Map::new().with(name, value)
}
