//! What a primitive may use beyond its arguments: all of it given by the engine, none of it global.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::Arc;

use lota_host::{Files, Host, Room};

use crate::error::{Error, ErrorKind, Result};
use crate::language::Language;
use crate::limits::Meter;
use crate::memory::Memory;

/// Where printed text goes.
pub type Output = Arc<dyn Fn(&str) + Send + Sync>;

/// What a host's own primitives need beyond what every script has: at most one value of each type.
#[derive(Default)]
pub struct Things(HashMap<TypeId, Box<dyn Any + Send + Sync>>);

impl Things {
    /// Keeps a thing. Another of its type goes.
    pub fn put<T: Any + Send + Sync>(&mut self, thing: T) -> &mut Self {
        self.0.insert(TypeId::of::<T>(), Box::new(thing));
        self
    }

    /// The thing of a type.
    pub fn get<T: Any + Send + Sync>(&self) -> Option<&T> {
        self.0.get(&TypeId::of::<T>())?.downcast_ref()
    }
}

/// The surroundings of a call. One per engine.
pub struct Ctx {
    /// The switch that stops work, and where events go. Give it to every long operation.
    pub host: Host,
    /// Which files the script may reach. Every path goes through it.
    pub files: Files,
    /// The tensor memory that script values keep alive.
    pub memory: Memory,
    /// The limits of the script and what it has used.
    pub meter: Arc<Meter>,
    /// The options given to the script on the command line.
    pub script_args: Vec<String>,
    /// The script's file name, or empty.
    pub script_name: String,
    /// The language of the script.
    pub language: Language,
    /// Where printed text goes; [`Ctx::print`] counts it.
    pub output: Output,
    /// What the host's own primitives need.
    pub things: Things,
}

impl Ctx {
    /// The thing of a type that the host gave to the engine.
    pub fn get<T: Any + Send + Sync>(&self) -> Result<&T> {
        self.things.get().ok_or_else(|| {
            let name = std::any::type_name::<T>();
            Error::new(ErrorKind::Host, format!("the host of this engine gave it no {name}"))
        })
    }

    /// Prints text to where this run's output goes, as far as it may print.
    pub fn print(&self, text: &str) -> Result<()> {
        self.meter.print(text.len())?;
        (self.output)(text);
        Ok(())
    }

    /// Refuses `bytes` that are more than there is room for beside what the script's values keep alive. Ask before memory is
    /// taken in a size that a script gave.
    pub fn reserve(&self, bytes: usize) -> Result<()> {
        room_for(&self.memory, &self.meter, bytes as u64)
    }

    /// The number the script's language counts positions from: 1 in Lua, 0 in Rhai. Positions inside tables
    /// must be shifted by it; parameters and results of type `index` or `dim` are shifted already.
    pub fn index_base(&self) -> i64 {
        self.language.index_base()
    }
}

/// Refuses `bytes` that are more than a script may use beside what its values keep alive.
fn room_for(memory: &Memory, meter: &Meter, bytes: u64) -> Result<()> {
    match meter.limits().tensor_memory {
        Some(most) => meter.tensors(memory.with(bytes, most)),
        None => Ok(()),
    }
}

/// What the runtime asks for memory where these limits hold.
pub fn room(memory: &Memory, meter: &Arc<Meter>) -> Room {
    if meter.limits().tensor_memory.is_none() {
        return Room::default();
    }
    let (memory, meter) = (memory.clone(), meter.clone());
    Room::new(move |bytes| {
        room_for(&memory, &meter, bytes).map_err(|e| lota_host::Error::limit(e.message().to_string()))
    })
}
