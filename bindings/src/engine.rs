//! What a host embeds: one interpreter with the primitives, a device and what was granted to it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use lota_runtime::host::{Cancel, Event, Events, Host};
use lota_runtime::model::HubOptions;
use lota_runtime::ops::Compute;
use lota_script::{
    Ctx, Error, ErrorKind, Files, FromValue, IntoArgs, Language, Limits, Memory, Meter, Name, Opened, Output,
    Primitive, Registry, Result, Things, Value, room,
};

#[cfg(unix)]
use crate::apart::{InForce, Isolation, Process, Remote, Settings, packed};
use crate::machine::Machine;
use crate::primitives::claims::Claims;
use crate::primitives::standard;
use crate::stdlib;

/// Collects what a host grants to an engine. Nothing is granted by default.
pub struct Builder {
    language: Language,
    machine: Machine,
    open: bool,
    files: Files,
    host: Host,
    output: Output,
    script_args: Vec<String>,
    script_name: String,
    registry: Registry,
    limits: Limits,
    own: BTreeSet<String>,
    #[cfg(unix)]
    isolation: Isolation,
    memory: Memory,
}

impl Builder {
    /// The device tensors live on: `cpu`, `cuda:N` or `metal`.
    pub fn device(mut self, name: impl Into<String>) -> Self {
        self.machine.device = name.into();
        self
    }

    /// The number of threads of CPU kernels; 0 leaves the choice to rayon.
    pub fn threads(mut self, threads: usize) -> Self {
        self.machine.threads = threads;
        self
    }

    /// Makes every operation take its reference path.
    pub fn reference(mut self, reference: bool) -> Self {
        self.machine.reference = reference;
        self
    }

    /// What dense products multiply their operands as, where a script does not say.
    pub fn compute(mut self, compute: Compute) -> Self {
        self.machine.compute = compute;
        self
    }

    /// Grants files.
    pub fn files(mut self, files: Files) -> Self {
        self.files = files;
        self
    }

    /// Grants models of the hub, kept in the cache folder that the options name. They are only to be
    /// had where all files are granted.
    pub fn hub(mut self, hub: HubOptions) -> Self {
        self.machine.hub = hub;
        self
    }

    /// How much the script may use. Without this there are no limits.
    ///
    /// The memory of a Rhai script is counted by the program's allocator, which is one static item of the program:
    ///
    /// ```standalone_crate
    /// #[global_allocator]
    /// static ALLOCATOR: lota::Counting = lota::Counting::system();
    ///
    /// # fn main() {
    /// # use lota::{Engine, Language, Limits};
    /// assert!(Engine::builder(Language::Rhai).limits(Limits::untrusted()).build().is_ok());
    /// # }
    /// ```
    ///
    /// A program without it is told so:
    ///
    /// ```
    /// # use lota::{Engine, Language, Limits};
    /// let refused = Engine::builder(Language::Rhai).limits(Limits::untrusted()).build().err().expect("a limit nobody keeps");
    /// assert!(refused.message().contains("lota::Counting"));
    /// ```
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Grants the script the `io` and `os` libraries, as a command-line program would.
    pub fn open(mut self, open: bool) -> Self {
        self.open = open;
        self
    }

    /// Where printed text goes. By default nowhere.
    pub fn output(mut self, output: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.output = Arc::new(output);
        self
    }

    /// Where events go: progress, notices and saved files.
    pub fn on_event(mut self, sink: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.host.events = Events::new(sink);
        self
    }

    /// The switch that stops the engine. One is made if none is given.
    pub fn cancel(mut self, cancel: Cancel) -> Self {
        self.host.cancel = cancel;
        self
    }

    /// Called on the engine's thread when much memory has become free, so that a program whose allocator keeps it can give it
    /// back to the system.
    pub fn on_freed(self, call: impl Fn() + Send + Sync + 'static) -> Self {
        self.memory.on_freed(call);
        self
    }

    /// The script's name and the options given to it, for `lota.args`.
    pub fn script(mut self, name: impl Into<String>, args: impl IntoIterator<Item = String>) -> Self {
        self.script_name = name.into();
        self.script_args = args.into_iter().collect();
        self
    }

    /// Where the interpreter lives; by default on the thread that calls it.
    #[cfg(unix)]
    pub fn isolation(mut self, isolation: Isolation) -> Self {
        self.isolation = isolation;
        self
    }

    /// Adds a primitive of the host. It works in the host's process also where the interpreter has one of its own.
    pub fn primitive(mut self, primitive: Primitive) -> Self {
        self.own.insert(primitive.name().to_string());
        self.registry.add(primitive);
        self
    }

    /// Builds the engine.
    pub fn build(self) -> Result<Engine> {
        #[cfg(unix)]
        if let Isolation::Process(process) = &self.isolation {
            let process = process.clone();
            return self.build_apart(process);
        }
        let registry = Arc::new(self.registry);
        let meter = Arc::new(Meter::new(self.limits, self.host.cancel.clone()));
        let mut things = Things::default();
        let mut machine = self.machine;
        machine.switch = self.host.cancel.clone();
        things.put(machine).put(registry.clone()).put(Claims::default());
        let memory = self.memory;
        let room = room(&memory, &meter);
        let ctx = Arc::new(Ctx {
            meter,
            host: Host { fixed: self.files.granted().into(), room, ..self.host },
            files: self.files,
            memory,
            script_args: self.script_args,
            script_name: self.script_name,
            language: self.language,
            output: self.output,
            things,
        });
        let frontend = lota_script::open(ctx.clone(), registry.clone(), stdlib::MODULES, self.open)?;
        let engine = Engine {
            ctx,
            registry,
            frontend,
            #[cfg(unix)]
            in_force: None,
            #[cfg(unix)]
            process_id: None,
        };
        Ok(engine)
    }

    /// An engine whose interpreter has a process of its own.
    #[cfg(unix)]
    fn build_apart(self, process: Process) -> Result<Engine> {
        if self.machine.device != "cpu" {
            let text = format!(
                "device '{}': an engine in a process of its own has only the CPU",
                self.machine.device
            );
            return Err(Error::argument(text));
        }
        let threads = match self.machine.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let registry = Arc::new(self.registry);
        let settings = Settings {
            language: self.language,
            threads,
            reference: self.machine.reference,
            compute: self.machine.compute,
            roots: Settings::roots(&self.files)?,
            open: self.open,
            script: (self.script_name.clone(), self.script_args.clone()),
            limits: self.limits.clone(),
            primitives: self.own.iter().filter_map(|name| registry.get(name)).map(|p| packed(p)).collect(),
            system: process.system_limits(),
        };
        let time = self.limits.time;
        let output = self.limits.output;
        let mut things = Things::default();
        things.put(self.machine).put(registry.clone()).put(Claims::default());
        let ctx = Arc::new(Ctx {
            // The guest keeps the limits; what it prints is counted here too.
            meter: Arc::new(Meter::new(Limits::none(), self.host.cancel.clone())),
            host: Host { fixed: self.files.granted().into(), ..self.host },
            files: self.files,
            memory: self.memory,
            script_args: self.script_args,
            script_name: self.script_name,
            language: self.language,
            output: self.output,
            things,
        });
        let remote = Remote::start(
            ctx.clone(),
            registry.clone(),
            self.own,
            process,
            (time, output),
            settings.pack()?,
        )?;
        let (in_force, process_id) = (Some(remote.in_force().clone()), Some(remote.process_id()));
        Ok(Engine { ctx, registry, frontend: Opened::new(remote), in_force, process_id })
    }
}

/// The folder of a script's file, where its path says one.
fn folder_of(path: &Path) -> Option<&Path> {
    path.parent().filter(|folder| !folder.as_os_str().is_empty())
}

/// One interpreter. Engines do not share anything; each may live on its own thread.
pub struct Engine {
    ctx: Arc<Ctx>,
    registry: Arc<Registry>,
    frontend: Opened,
    #[cfg(unix)]
    in_force: Option<InForce>,
    #[cfg(unix)]
    process_id: Option<u32>,
}

impl Engine {
    /// Starts describing an engine.
    pub fn builder(language: Language) -> Builder {
        Builder {
            language,
            machine: Machine::default(),
            open: false,
            files: Files::default(),
            host: Host::default(),
            output: Arc::new(|_| ()),
            script_args: Vec::new(),
            script_name: String::new(),
            memory: Memory::default(),
            registry: standard(),
            limits: Limits::none(),
            own: BTreeSet::new(),
            #[cfg(unix)]
            isolation: Isolation::default(),
        }
    }

    /// Runs a script file. Modules it requires are looked for beside it.
    pub fn run_file(&self, path: impl AsRef<Path>) -> Result<Value> {
        let path = path.as_ref();
        #[expect(clippy::disallowed_methods, reason = "the host names this file, not a script")]
        let source = std::fs::read(path).map_err(|e| lota_runtime::Error::io(path, e))?;
        let source = String::from_utf8(source)
            .map_err(|_| Error::new(ErrorKind::Syntax, format!("{}: not UTF-8 text", path.display())))?;
        self.run_in(&source, &path.display().to_string(), folder_of(path))
    }

    /// Runs a script text. Modules it requires are looked for in `folder`.
    pub(crate) fn run_in(&self, source: &str, name: &str, folder: Option<&Path>) -> Result<Value> {
        self.frontend.set_folder(folder);
        self.metered(|| self.frontend.run(source, name))
    }

    /// Runs a script text; `name` is shown in messages.
    pub fn run(&self, source: &str, name: &str) -> Result<Value> {
        self.metered(|| self.frontend.run(source, name))
    }

    /// Calls a function of the script by name, with typed values in and out: a global one, or one in a global
    /// table (`task.step`); in Rhai one that a script of this engine defined with `fn`. Only its first result is
    /// given.
    ///
    /// ```
    /// # #[cfg(feature = "lua")] {
    /// use lota::{Engine, Language};
    /// let engine = Engine::builder(Language::Lua).build().unwrap();
    /// engine.run("function twice(x, unit) return x * 2 .. unit end", "host.lua").unwrap();
    /// let text: String = engine.call("twice", (21, " m")).unwrap();
    /// assert_eq!(text, "42 m");
    /// # }
    /// ```
    pub fn call<R: FromValue>(&self, name: &str, arguments: impl IntoArgs) -> Result<R> {
        let value = self.metered(|| self.frontend.call_function(name, arguments.into_args()))?;
        R::from_value(value).map_err(|m| {
            Error::runtime(format!("{name}{} must give {}, but gave {}", m.at, m.expected, m.given))
        })
    }

    /// Runs one input of a prompt: an expression is evaluated without `return`, and variables
    /// declared at its start stay.
    pub fn eval(&self, input: &str) -> Result<Vec<Value>> {
        self.metered(|| self.frontend.eval(input))
    }

    /// Works under the limits. A script that was ended by one leaves nothing behind but its globals.
    pub(crate) fn metered<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let result = self.ctx.meter.run(work);
        if result.as_ref().is_err_and(|e| e.kind() == ErrorKind::Limit) {
            self.frontend.recover();
        }
        result
    }

    /// Makes `lota` a global of the prompt, where the language does not have it without.
    pub fn open_prompt(&self) -> Result<()> {
        match self.language() {
            Language::Lua => self.eval("lota = require 'lota'").map(drop),
            Language::Rhai => Ok(()),
        }
    }

    /// The same; what the input gives first, unless it is nothing, is kept in the variables `names`.
    pub fn eval_keeping(&self, input: &str, names: &[String]) -> Result<Vec<Value>> {
        self.metered(|| self.frontend.eval_keeping(input, names))
    }

    /// Runs the text of a script file as if it were an input of a prompt: its variables stay where the
    /// language can keep them. Modules it requires are looked for beside it.
    pub fn load(&self, source: &str, path: &Path) -> Result<()> {
        self.load_in(source, &path.display().to_string(), folder_of(path))
    }

    /// The same. Modules are looked for in `folder`.
    pub(crate) fn load_in(&self, source: &str, name: &str, folder: Option<&Path>) -> Result<()> {
        self.frontend.set_folder(folder);
        self.metered(|| self.frontend.load(source, name))
    }

    /// What the names of a prompt's variables stand for; with a path, the names inside the table that it
    /// leads to. No code of the script is run for this.
    pub fn names(&self, path: &[&str]) -> Vec<Name> {
        self.frontend.names(path)
    }

    /// Removes variables of the prompt.
    pub fn forget(&self, names: &[String]) {
        self.frontend.forget(names);
    }

    /// The names of the modules that inputs of a prompt have imported, where these are no variables: in Rhai.
    pub fn imports(&self) -> Vec<String> {
        self.frontend.imports()
    }

    /// Whether a text parses: the error says whether more input could complete it.
    pub fn check(&self, input: &str) -> Result<()> {
        self.frontend.check(input)
    }

    /// The switch that stops what the engine is doing, from any thread.
    pub fn cancel_handle(&self) -> Cancel {
        self.ctx.host.cancel.clone()
    }

    /// The language of its scripts.
    pub fn language(&self) -> Language {
        self.ctx.language
    }

    /// The number of the engine's process, if it has one of its own.
    #[cfg(unix)]
    pub fn process_id(&self) -> Option<u32> {
        self.process_id
    }

    /// What the system does to hold the engine's process, if it has one of its own.
    #[cfg(unix)]
    pub fn in_force(&self) -> Option<&InForce> {
        self.in_force.as_ref()
    }

    /// The primitives.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// What primitives are given.
    pub fn ctx(&self) -> &Ctx {
        &self.ctx
    }
}
