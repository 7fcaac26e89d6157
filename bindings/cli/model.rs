//! `model info` and `model convert`, through the same primitives scripts use.

use std::fmt::Write as _;
use std::path::Path;

use super::Common;
use super::run::{builder, write_out};
use crate::api::{FromValue, Map, Value, show};
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};

/// Calls a primitive by its name.
pub(super) fn call(engine: &Engine, name: &str, values: Vec<Value>) -> Result<Value> {
    let primitive = engine.registry().get(name);
    let primitive =
        primitive.ok_or_else(|| Error::new(ErrorKind::Host, format!("there is no primitive '{name}'")))?;
    primitive.invoke(engine.ctx(), values)
}

/// An engine, and a model in it loaded with these options.
pub(super) fn load(common: &Common, source: &str, options: Map) -> Result<(Engine, Value)> {
    let engine = builder(common, "", Vec::new())?.build()?;
    let model = match source {
        "builtin" => call(&engine, "model.builtin", vec![options.into()])?,
        path => call(&engine, "model.load", vec![path.into(), options.into()])?,
    };
    Ok((engine, model))
}

pub(super) fn info(common: &Common, source: &str) -> Result<()> {
    let (engine, model) = load(common, source, Map::new())?;
    let info = call(&engine, "Model:info", vec![model])?;
    let mut out = String::new();
    let map = Map::from_value(info).map_err(|m| Error::new(ErrorKind::Host, m.expected))?;
    for (name, value) in map.iter().filter(|(_, value)| !value.is_nil()) {
        let _ = writeln!(out, "{name:<14} {}", show(value));
    }
    write_out(&out);
    Ok(())
}

pub(super) fn convert(common: &Common, source: &str, folder: &Path, dtype: &str, shard: &str) -> Result<()> {
    let (engine, model) = load(common, source, Map::new())?;
    let options = Map::new().with("dtype", dtype).with("shard", shard);
    let path = folder.display().to_string();
    call(&engine, "Model:save", vec![model, path.into(), options.into()])?;
    Ok(())
}
