//! What a host and its guest say to each other, as values. Every message begins with the numbers of things that the sender
//! needs no longer.

use std::path::PathBuf;

use lota_runtime::host::Event;
use lota_script::{Error, ErrorKind, Map, Name, Result, Value};

use super::wire::Fault;

/// What a host asks of its guest. Each is answered by one [`Said::Done`]; in between the guest may say other things.
pub(crate) enum Ask {
    /// Makes the engine of these settings.
    Start(Map),
    /// Runs a script text.
    Run { source: String, name: String, folder: Option<String> },
    /// Calls a function by its name.
    Call { name: String, arguments: Vec<Value> },
    /// Calls a function of the guest that the host was shown.
    Invoke { id: u64, arguments: Vec<Value> },
    /// Runs an input of a prompt, and keeps its first value in variables.
    Eval { input: String, keep: Vec<String> },
    /// Runs the text of a file as an input of a prompt.
    Load { source: String, name: String, folder: Option<String> },
    /// Whether an input parses.
    Check(String),
    /// The names inside a table.
    Names(Vec<String>),
    /// The names of imported modules.
    Imports,
    /// Removes variables.
    Forget(Vec<String>),
    /// No question: the answer to [`Said::Primitive`] or [`Said::Invoke`].
    Answer(Result<Value>),
}

/// What a guest says.
pub(crate) enum Said {
    /// The answer to what was asked last.
    Done(Result<Value>),
    /// Printed text.
    Print(String),
    /// Something happened.
    Event(Event),
    /// Calls a primitive of the host.
    Primitive { name: String, arguments: Vec<Value> },
    /// Calls a function of the host that the guest was shown.
    Invoke { id: u64, arguments: Vec<Value> },
}

/// One message: what is no longer needed, and what is said.
pub(crate) fn list(gone: Vec<u64>, kind: i64, parts: impl IntoIterator<Item = Value>) -> Value {
    let gone = Value::List(gone.into_iter().map(id_value).collect());
    Value::List([gone, Value::Int(kind)].into_iter().chain(parts).collect())
}

fn id_value(id: u64) -> Value {
    Value::Int(id as i64)
}

/// The parts of a message, taken one by one.
pub(crate) struct Parts(std::vec::IntoIter<Value>);

fn wrong() -> Fault {
    "a message that means nothing".into()
}

impl Parts {
    /// What is no longer needed, the kind of the message, and the rest of it.
    pub(crate) fn open(message: Value) -> Result<(Vec<u64>, i64, Self), Fault> {
        let Value::List(parts) = message else { return Err(wrong()) };
        let mut parts = Self(parts.into_iter());
        let gone = parts
            .list()?
            .into_iter()
            .map(|id| if let Value::Int(id) = id { Ok(id as u64) } else { Err(wrong()) });
        let gone = gone.collect::<Result<_, _>>()?;
        let kind = parts.int()?;
        Ok((gone, kind, parts))
    }

    fn next(&mut self) -> Result<Value, Fault> {
        self.0.next().ok_or_else(wrong)
    }

    fn int(&mut self) -> Result<i64, Fault> {
        if let Value::Int(number) = self.next()? { Ok(number) } else { Err(wrong()) }
    }

    fn count(&mut self) -> Result<u64, Fault> {
        self.int().map(|number| number as u64)
    }

    fn float(&mut self) -> Result<f64, Fault> {
        if let Value::Float(number) = self.next()? { Ok(number) } else { Err(wrong()) }
    }

    fn text(&mut self) -> Result<String, Fault> {
        if let Value::Str(text) = self.next()? { Ok(text) } else { Err(wrong()) }
    }

    fn maybe(&mut self) -> Result<Option<String>, Fault> {
        match self.next()? {
            Value::Nil => Ok(None),
            Value::Str(text) => Ok(Some(text)),
            _ => Err(wrong()),
        }
    }

    fn list(&mut self) -> Result<Vec<Value>, Fault> {
        if let Value::List(items) = self.next()? { Ok(items) } else { Err(wrong()) }
    }

    fn texts(&mut self) -> Result<Vec<String>, Fault> {
        let text = |item| if let Value::Str(text) = item { Ok(text) } else { Err(wrong()) };
        self.list()?.into_iter().map(text).collect()
    }

    fn map(&mut self) -> Result<Map, Fault> {
        if let Value::Map(map) = self.next()? { Ok(map) } else { Err(wrong()) }
    }

    fn result(&mut self) -> Result<Result<Value>, Fault> {
        Ok(match self.next()? {
            Value::Bool(true) => Ok(self.next()?),
            Value::Bool(false) => {
                let (code, exit) = (self.int()?, self.int()?);
                let kind = kind(code, exit).ok_or_else(wrong)?;
                let (message, primitive) = (self.text()?, self.maybe()?);
                let (place, traceback) = (self.maybe()?, self.maybe()?);
                let Value::Bool(incomplete) = self.next()? else { return Err(wrong()) };
                Err(Error::told(kind, message, primitive, place, traceback, incomplete))
            }
            _ => return Err(wrong()),
        })
    }
}

fn kind(code: i64, exit: i64) -> Option<ErrorKind> {
    let plain = [
        ErrorKind::Syntax,
        ErrorKind::Runtime,
        ErrorKind::Argument,
        ErrorKind::Usage,
        ErrorKind::Limit,
        ErrorKind::Denied,
        ErrorKind::Cancelled,
        ErrorKind::Host,
        ErrorKind::Exit(i32::try_from(exit).ok()?),
        ErrorKind::Crashed,
    ];
    plain.into_iter().find(|kind| i64::from(kind.code()) == code)
}

fn maybe(text: Option<&str>) -> Value {
    text.map_or(Value::Nil, |text| Value::Str(text.to_string()))
}

fn texts(texts: Vec<String>) -> Value {
    Value::List(texts.into_iter().map(Value::Str).collect())
}

fn result(result: Result<Value>) -> Vec<Value> {
    match result {
        Ok(value) => vec![Value::Bool(true), value],
        Err(error) => {
            let exit = if let ErrorKind::Exit(code) = error.kind() { code } else { 0 };
            vec![
                Value::Bool(false),
                Value::Int(error.kind().code().into()),
                Value::Int(exit.into()),
                Value::Str(error.message().to_string()),
                maybe(error.primitive()),
                maybe(error.place()),
                maybe(error.traceback()),
                Value::Bool(error.is_incomplete()),
            ]
        }
    }
}

impl Ask {
    /// The message.
    pub(crate) fn pack(self, gone: Vec<u64>) -> Value {
        use Value::{List, Str};
        let folder = |folder: Option<String>| folder.map_or(Value::Nil, Str);
        match self {
            Self::Start(settings) => list(gone, 0, [Value::Map(settings)]),
            Self::Run { source, name, folder: at } => list(gone, 1, [Str(source), Str(name), folder(at)]),
            Self::Call { name, arguments } => list(gone, 2, [Str(name), List(arguments)]),
            Self::Invoke { id, arguments } => list(gone, 3, [id_value(id), List(arguments)]),
            Self::Eval { input, keep } => list(gone, 4, [Str(input), texts(keep)]),
            Self::Load { source, name, folder: at } => list(gone, 5, [Str(source), Str(name), folder(at)]),
            Self::Check(input) => list(gone, 6, [Str(input)]),
            Self::Names(path) => list(gone, 7, [texts(path)]),
            Self::Imports => list(gone, 8, []),
            Self::Forget(names) => list(gone, 9, [texts(names)]),
            Self::Answer(answer) => list(gone, 10, result(answer)),
        }
    }

    /// What a message asks.
    pub(crate) fn unpack(kind: i64, mut parts: Parts) -> Result<Self, Fault> {
        Ok(match kind {
            0 => Self::Start(parts.map()?),
            1 => Self::Run { source: parts.text()?, name: parts.text()?, folder: parts.maybe()? },
            2 => Self::Call { name: parts.text()?, arguments: parts.list()? },
            3 => Self::Invoke { id: parts.count()?, arguments: parts.list()? },
            4 => Self::Eval { input: parts.text()?, keep: parts.texts()? },
            5 => Self::Load { source: parts.text()?, name: parts.text()?, folder: parts.maybe()? },
            6 => Self::Check(parts.text()?),
            7 => Self::Names(parts.texts()?),
            8 => Self::Imports,
            9 => Self::Forget(parts.texts()?),
            10 => Self::Answer(parts.result()?),
            _ => return Err(wrong()),
        })
    }
}

impl Said {
    /// The message.
    pub(crate) fn pack(self, gone: Vec<u64>) -> Value {
        use Value::{List, Str};
        match self {
            Self::Done(answer) => list(gone, 0, result(answer)),
            Self::Print(text) => list(gone, 1, [Str(text)]),
            Self::Event(event) => list(gone, 2, packed_event(event)),
            Self::Primitive { name, arguments } => list(gone, 3, [Str(name), List(arguments)]),
            Self::Invoke { id, arguments } => list(gone, 4, [id_value(id), List(arguments)]),
        }
    }

    /// What a message says.
    pub(crate) fn unpack(kind: i64, mut parts: Parts) -> Result<Self, Fault> {
        Ok(match kind {
            0 => Self::Done(parts.result()?),
            1 => Self::Print(parts.text()?),
            2 => Self::Event(event(&mut parts)?),
            3 => Self::Primitive { name: parts.text()?, arguments: parts.list()? },
            4 => Self::Invoke { id: parts.count()?, arguments: parts.list()? },
            _ => return Err(wrong()),
        })
    }
}

fn packed_event(event: Event) -> Vec<Value> {
    use Value::{Float, Int, Str};
    match event {
        Event::Progress { task, done, total, note } => {
            vec![Int(0), Str(task), Int(done as i64), Int(total as i64), Str(note)]
        }
        Event::Step { step, loss, lr, tokens } => {
            vec![Int(1), Int(step as i64), Float(loss), Float(lr), Int(tokens as i64)]
        }
        Event::Epoch(epoch) => vec![Int(2), Int(epoch as i64)],
        Event::Notice(text) => vec![Int(3), Str(text)],
        Event::Saved(path) => vec![Int(4), Str(path.to_string_lossy().into_owned())],
        // What a later version adds is at least seen.
        other => vec![Int(3), Str(format!("{other:?}"))],
    }
}

fn event(parts: &mut Parts) -> Result<Event, Fault> {
    Ok(match parts.int()? {
        0 => {
            let (task, done) = (parts.text()?, parts.count()?);
            Event::Progress { task, done, total: parts.count()?, note: parts.text()? }
        }
        1 => {
            let (step, loss) = (parts.count()?, parts.float()?);
            Event::Step { step, loss, lr: parts.float()?, tokens: parts.count()? }
        }
        2 => Event::Epoch(parts.count()?),
        3 => Event::Notice(parts.text()?),
        4 => Event::Saved(PathBuf::from(parts.text()?)),
        _ => return Err(wrong()),
    })
}

/// Names as a value.
pub(crate) fn packed_names(names: Vec<Name>) -> Value {
    let one = |name: Name| {
        Value::List(vec![Value::Str(name.name), Value::Str(name.ty), maybe(name.primitive.as_deref())])
    };
    Value::List(names.into_iter().map(one).collect())
}

/// Names from a value; none where it holds none.
pub(crate) fn names(value: Value) -> Vec<Name> {
    let Value::List(items) = value else { return Vec::new() };
    let one = |item: Value| {
        let Value::List(parts) = item else { return None };
        let mut parts = Parts(parts.into_iter());
        Some(Name { name: parts.text().ok()?, ty: parts.text().ok()?, primitive: parts.maybe().ok()? })
    };
    items.into_iter().filter_map(one).collect()
}

/// Texts from a value; none where it holds none.
pub(crate) fn texts_of(value: Value) -> Vec<String> {
    let Value::List(items) = value else { return Vec::new() };
    items.into_iter().filter_map(|item| if let Value::Str(text) = item { Some(text) } else { None }).collect()
}
