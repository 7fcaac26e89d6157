//! What a guest is told to begin with: the settings of its engine, the primitives of the host, and its limits.

use std::path::PathBuf;
use std::time::Duration;

use lota_runtime::ops::Compute;
use lota_script::{
    Error, Files, FromValue, Language, Limits, Map, Op, Place, Primitive, Record, Result, Value,
};

use super::confine::SystemLimits;
use crate::version::VERSION;

/// What a guest is told to begin with.
pub(crate) struct Settings {
    /// The language of its scripts.
    pub language: Language,
    /// The threads of CPU kernels.
    pub threads: usize,
    /// Whether every operation takes its reference path.
    pub reference: bool,
    /// What dense products multiply their operands as.
    pub compute: Compute,
    /// The folders granted; `None`: all files.
    pub roots: Option<Vec<PathBuf>>,
    /// Whether scripts have the `io` and `os` libraries.
    pub open: bool,
    /// The script's name and options.
    pub script: (String, Vec<String>),
    /// What the scripts may use.
    pub limits: Limits,
    /// The primitives of the host.
    pub primitives: Vec<Map>,
    /// The limits of the process.
    pub system: SystemLimits,
}

fn paths(paths: &[PathBuf]) -> Result<Value> {
    let text = |path: &PathBuf| {
        let text = path.to_str().ok_or_else(|| {
            Error::argument(format!(
                "{}: a folder whose name is not UTF-8 cannot be granted to a process",
                path.display()
            ))
        });
        text.map(|text| Value::Str(text.to_string()))
    };
    Ok(Value::List(paths.iter().map(text).collect::<Result<_>>()?))
}

fn count(number: Option<u64>) -> Value {
    number.map_or(Value::Nil, |number| Value::Int(i64::try_from(number).unwrap_or(i64::MAX)))
}

impl Settings {
    /// The granted folders, as paths that mean the same in another process.
    pub(crate) fn roots(files: &Files) -> Result<Option<Vec<PathBuf>>> {
        if files.are_everything() {
            return Ok(None);
        }
        let full = |root: &PathBuf| root.canonicalize().map_err(|e| lota_runtime::Error::io(root, e).into());
        files.granted().iter().map(full).collect::<Result<_>>().map(Some)
    }

    pub(crate) fn pack(self) -> Result<Map> {
        let limits = &self.limits;
        let limits = Map::new()
            .with("script_memory", count(limits.script_memory))
            .with("tensor_memory", count(limits.tensor_memory))
            .with("time", limits.time.map_or(Value::Nil, |time| Value::Float(time.as_secs_f64())))
            .with("instructions", count(limits.instructions))
            .with("output", count(limits.output))
            .with("call_depth", count(limits.call_depth.map(u64::from)))
            .with("open_files", count(limits.open_files.map(u64::from)));
        Ok(Map::new()
            .with("version", VERSION)
            .with("language", self.language.name())
            .with("threads", self.threads)
            .with("reference", self.reference)
            .with("compute", self.compute.as_str())
            .with("roots", self.roots.as_deref().map_or(Ok(Value::Nil), paths)?)
            .with("open", self.open)
            .with("name", self.script.0)
            .with("args", self.script.1)
            .with("limits", limits)
            .with("primitives", self.primitives.into_iter().map(Value::Map).collect::<Vec<_>>())
            .with("memory", count(Some(self.system.memory)))
            .with("file_size", count(Some(self.system.file_size)))
            .with("files", count(Some(self.system.open_files)))
            .with("processor", count(self.system.processor_seconds)))
    }

    pub(crate) fn unpack(mut map: Map) -> Result<Self> {
        let version: String = take(&mut map, "version")?;
        if version != VERSION {
            return Err(Error::argument(format!(
                "the guest's program is lota {VERSION}, and its host has {version}; they must be the same"
            )));
        }
        let language: String = take(&mut map, "language")?;
        let language = [Language::Lua, Language::Rhai]
            .into_iter()
            .find(|l| l.name() == language)
            .ok_or_else(|| missing("language"))?;
        let mut given: Map = take(&mut map, "limits")?;
        let small = |number: Option<u64>| number.map(|n| u32::try_from(n).unwrap_or(u32::MAX));
        let time: Option<f64> = take(&mut given, "time")?;
        let limits = Limits {
            script_memory: take(&mut given, "script_memory")?,
            tensor_memory: take(&mut given, "tensor_memory")?,
            time: time.map(|s| Duration::try_from_secs_f64(s).unwrap_or(Duration::MAX)),
            instructions: take(&mut given, "instructions")?,
            output: take(&mut given, "output")?,
            call_depth: small(take(&mut given, "call_depth")?),
            open_files: small(take(&mut given, "open_files")?),
        };
        let roots: Option<Vec<String>> = take(&mut map, "roots")?;
        let compute: String = take(&mut map, "compute")?;
        Ok(Self {
            language,
            threads: take(&mut map, "threads")?,
            reference: take(&mut map, "reference")?,
            compute: compute.parse()?,
            roots: roots.map(|roots| roots.into_iter().map(PathBuf::from).collect()),
            open: take(&mut map, "open")?,
            script: (take(&mut map, "name")?, take(&mut map, "args")?),
            limits,
            primitives: take(&mut map, "primitives")?,
            system: SystemLimits {
                memory: take(&mut map, "memory")?,
                file_size: take(&mut map, "file_size")?,
                open_files: take(&mut map, "files")?,
                processor_seconds: take(&mut map, "processor")?,
            },
        })
    }
}

fn missing(name: &str) -> Error {
    Error::argument(format!("the host's settings of this guest have no {name} that can be read"))
}

fn take<T: FromValue>(map: &mut Map, name: &str) -> Result<T> {
    T::from_value(map.take(name).unwrap_or_default()).map_err(|_| missing(name))
}

/// A record as a value, without its function and what only documents of the host say.
pub(crate) fn packed(record: &Record) -> Map {
    let param = |p: &lota_script::Param| {
        let place = match p.place {
            Place::Positional => "positional",
            Place::Rest => "rest",
            Place::Option => "option",
        };
        Map::new()
            .with("name", p.name.to_string())
            .with("type", p.ty.to_string())
            .with("default", p.default.clone())
            .with("required", p.required)
            .with("place", place)
            .with("doc", p.doc.to_string())
    };
    let (result, result_doc) = record.result();
    Map::new()
        .with("name", record.name())
        .with("doc", record.doc())
        .with("details", record.long_doc())
        .with("params", record.params().iter().map(|p| Value::Map(param(p))).collect::<Vec<_>>())
        .with("result", result)
        .with("result_doc", result_doc)
        .with(
            "operator",
            record
                .operator_tag()
                .and_then(|op| Op::ALL.iter().position(|o| *o == op))
                .map_or(Value::Nil, Value::from),
        )
        .with("open", record.open_doc().map_or(Value::Nil, Value::from))
        .with("constant", record.is_constant())
        .with("shows", record.is_shown_everything())
}

/// The primitive that a record in this form describes; it has no function yet.
pub(crate) fn unpacked(mut map: Map) -> Result<Primitive> {
    let mut text = |name: &str| take::<String>(&mut map, name);
    let mut primitive = Primitive::new(text("name")?, text("doc")?)
        .details(text("details")?)
        .returns(text("result")?, text("result_doc")?);
    for mut param in take::<Vec<Map>>(&mut map, "params")? {
        let place: String = take(&mut param, "place")?;
        let required: bool = take(&mut param, "required")?;
        let default = param.take("default").unwrap_or_default();
        let mut text = |name: &str| take::<String>(&mut param, name);
        let (name, ty, doc) = (text("name")?, text("type")?, text("doc")?);
        primitive = match (place.as_str(), required) {
            ("positional", true) => primitive.arg(name, ty, doc),
            ("positional", false) => primitive.arg_or(name, ty, default, doc),
            ("rest", _) => primitive.rest(name, ty, doc),
            (_, true) => primitive.need(name, ty, doc),
            (_, false) => primitive.opt(name, ty, default, doc),
        };
    }
    if let Some(op) = take::<Option<usize>>(&mut map, "operator")?.and_then(|at| Op::ALL.get(at)) {
        primitive = primitive.operator(*op);
    }
    if let Some(doc) = take::<Option<String>>(&mut map, "open")? {
        primitive = primitive.open(doc);
    }
    if take(&mut map, "constant")? {
        primitive = primitive.constant();
    }
    if take(&mut map, "shows")? {
        primitive = primitive.shows();
    }
    Ok(primitive)
}
