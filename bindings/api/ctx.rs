//! What a primitive may use beyond its arguments: all of it given by the engine, none of it global.

use std::sync::{Arc, OnceLock};

use candle_core::Device;
use lota_runtime::host::Host;
use lota_runtime::model::HubOptions;
use lota_runtime::ops::{Compute, Exec};

use super::files::Files;
use super::memory::Memory;
use super::record::panic_text;
use super::registry::Registry;
use crate::error::{Error, Result};
use crate::language::Language;
use crate::limits::Meter;

/// Where printed text goes.
pub type Output = Arc<dyn Fn(&str) + Send + Sync>;

/// The surroundings of a call. One per engine.
pub struct Ctx {
    /// The switch that stops work, and where events go. Give it to every long operation.
    pub host: Host,
    /// Which files the script may reach. Every path goes through it.
    pub files: Files,
    /// The tensor memory that script values keep alive.
    pub memory: Memory,
    /// The primitives of this engine.
    pub registry: Arc<Registry>,
    /// The limits of the script and what it has used.
    pub meter: Arc<Meter>,
    /// The options given to the script on the command line.
    pub script_args: Vec<String>,
    /// The script's file name, or empty.
    pub script_name: String,
    /// Where models of the hub are kept, if they may be had at all.
    pub hub: HubOptions,
    pub(crate) output: Output,
    pub(crate) exec: OnceLock<Exec>,
    pub(crate) device: String,
    pub(crate) threads: usize,
    pub(crate) reference: bool,
    pub(crate) compute: Compute,
    pub(crate) language: Language,
}

impl Ctx {
    /// The path of every operation and the device of this run. Made at the first call.
    pub fn exec(&self) -> Result<&Exec> {
        if let Some(exec) = self.exec.get() {
            return Ok(exec);
        }
        let device = open_device(&self.device)?;
        let exec = Exec::new(device, self.threads)?.with_reference(self.reference).with_compute(self.compute);
        Ok(self.exec.get_or_init(|| exec))
    }

    /// The device of this run.
    pub fn device(&self) -> Result<&Device> {
        self.exec().map(Exec::device)
    }

    /// The device of an optional `device` option: this run's device if it is not given.
    pub fn device_or_default(&self, name: Option<&str>) -> Result<Device> {
        match name {
            None => self.device().cloned(),
            Some(name) if name == self.device => self.device().cloned(),
            Some(name) => open_device(name),
        }
    }

    /// Prints text to where this run's output goes, as far as it may print.
    pub fn print(&self, text: &str) -> Result<()> {
        self.meter.print(text.len())?;
        (self.output)(text);
        Ok(())
    }

    /// Refuses a new tensor of `bytes` that could not be allowed even if it were the only one. Ask before
    /// memory is taken in a size that a script gave.
    pub fn reserve(&self, bytes: usize) -> Result<()> {
        self.meter.tensors(bytes as u64)
    }

    /// The number the script's language counts positions from: 1 in Lua, 0 in Rhai. Positions inside tables
    /// must be shifted by it; parameters and results of type `index` or `dim` are shifted already.
    pub fn index_base(&self) -> i64 {
        self.language.index_base()
    }
}

/// Opens `cpu`, `cuda`, `cuda:N`, `metal` or `metal:N`.
pub fn open_device(name: &str) -> Result<Device> {
    let (kind, ordinal) = match name.split_once(':') {
        None => (name, Ok(0)),
        Some((kind, n)) => (kind, n.parse::<usize>()),
    };
    let unknown = || Error::argument(format!("unknown device '{name}'; known are cpu, cuda:N and metal"));
    let ordinal = ordinal.map_err(|_| unknown())?;
    // A driver library that is missing makes the CUDA bindings panic at the first call.
    let open = |make: fn(usize) -> candle_core::Result<Device>, lacking: &str, built: bool| {
        if !built {
            return Err(Error::argument(format!(
                "device '{name}': this lota was built without {kind}; build it with --features {kind}"
            )));
        }
        match std::panic::catch_unwind(|| make(ordinal)) {
            Ok(Ok(device)) => Ok(device),
            Ok(Err(e)) => Err(Error::runtime(format!(
                "device '{name}' cannot be opened ({lacking}): {}",
                lota_runtime::ops::describe(&e)
            ))),
            Err(panic) => Err(Error::runtime(format!(
                "device '{name}' cannot be opened ({lacking}): {}",
                panic_text(&*panic)
            ))),
        }
    };
    match kind {
        "cpu" => Ok(Device::Cpu),
        "cuda" => open(
            Device::new_cuda,
            "is the NVIDIA driver installed and a GPU visible?",
            cfg!(feature = "cuda"),
        ),
        "metal" => open(Device::new_metal, "is this a Mac with a Metal GPU?", cfg!(feature = "metal")),
        _ => Err(unknown()),
    }
}
