//! What computes for the scripts of an engine: its device, its threads, and where models of the hub are kept.

use std::sync::OnceLock;

use candle_core::Device;
use lota_runtime::host::Cancel;
use lota_runtime::model::HubOptions;
use lota_runtime::ops::{Compute, Exec, describe};
use lota_script::{Ctx, Error, Result, panic_text};

/// The machine of an engine. Primitives reach it through [`OnMachine`].
pub struct Machine {
    /// The device tensors live on: `cpu`, `cuda:N` or `metal`.
    pub device: String,
    /// The number of threads of CPU kernels; 0 leaves the choice to rayon.
    pub threads: usize,
    /// Whether every operation takes its reference path.
    pub reference: bool,
    /// What dense products multiply their operands as, where a script does not say.
    pub compute: Compute,
    /// Where models of the hub are kept, if they may be had at all.
    pub hub: HubOptions,
    /// The switch of its engine, which long operations look at.
    pub switch: Cancel,
    exec: OnceLock<Exec>,
}

impl Default for Machine {
    /// The CPU.
    fn default() -> Self {
        Self {
            device: "cpu".into(),
            threads: 0,
            reference: false,
            compute: Compute::default(),
            hub: HubOptions::default(),
            switch: Cancel::default(),
            exec: OnceLock::new(),
        }
    }
}

impl Machine {
    fn exec(&self) -> Result<&Exec> {
        if let Some(exec) = self.exec.get() {
            return Ok(exec);
        }
        let exec = self.exec_on(open_device(&self.device)?)?;
        Ok(self.exec.get_or_init(|| exec))
    }

    /// What computes on another device in the same way.
    pub fn exec_on(&self, device: Device) -> Result<Exec> {
        let exec = Exec::new(device, self.threads)?;
        Ok(exec.with_reference(self.reference).with_compute(self.compute).with_switch(self.switch.clone()))
    }
}

/// The machine of a call's surroundings.
pub trait OnMachine {
    /// The machine of the engine.
    fn machine(&self) -> Result<&Machine>;

    /// The path of every operation and the device of this run. Made at the first call.
    fn exec(&self) -> Result<&Exec> {
        self.machine()?.exec()
    }

    /// The device of this run.
    fn device(&self) -> Result<&Device> {
        self.exec().map(Exec::device)
    }

    /// The device of an optional `device` option: this run's device if it is not given.
    fn device_or_default(&self, name: Option<&str>) -> Result<Device> {
        match name {
            None => self.device().cloned(),
            Some(name) if name == self.machine()?.device => self.device().cloned(),
            Some(name) => open_device(name),
        }
    }
}

impl OnMachine for Ctx {
    fn machine(&self) -> Result<&Machine> {
        self.get()
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
            Ok(Err(e)) => {
                Err(Error::runtime(format!("device '{name}' cannot be opened ({lacking}): {}", describe(&e))))
            }
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
