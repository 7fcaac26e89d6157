//! What a host embeds: one interpreter with the primitives, a device and what was granted to it.

use std::path::Path;
use std::sync::Arc;

use lota_runtime::host::{Cancel, Event, Events, Host};
use lota_runtime::model::HubOptions;
use lota_runtime::ops::Compute;
use lota_script::{
    Ctx, Error, ErrorKind, Files, FromValue, Frontend, IntoArgs, Language, Limits, Memory, Meter, Name,
    Output, Primitive, Registry, Result, Things, Value,
};

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

    /// Adds a primitive of the host.
    pub fn primitive(mut self, primitive: Primitive) -> Self {
        self.registry.add(primitive);
        self
    }

    /// Builds the engine.
    pub fn build(self) -> Result<Engine> {
        let registry = Arc::new(self.registry);
        let meter = Arc::new(Meter::new(self.limits, self.host.cancel.clone()));
        let mut things = Things::default();
        things.put(self.machine).put(registry.clone()).put(Claims::default());
        let ctx = Arc::new(Ctx {
            meter,
            host: Host { fixed: self.files.granted().into(), ..self.host },
            files: self.files,
            memory: self.memory,
            script_args: self.script_args,
            script_name: self.script_name,
            language: self.language,
            output: self.output,
            things,
        });
        let frontend = lota_script::open(ctx.clone(), registry.clone(), stdlib::MODULES, self.open)?;
        Ok(Engine { ctx, registry, frontend })
    }
}

/// One interpreter. Engines do not share anything; each may live on its own thread.
pub struct Engine {
    ctx: Arc<Ctx>,
    registry: Arc<Registry>,
    frontend: Box<dyn Frontend>,
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
        }
    }

    /// Runs a script file. Modules it requires are looked for beside it.
    pub fn run_file(&self, path: impl AsRef<Path>) -> Result<Value> {
        let path = path.as_ref();
        #[expect(clippy::disallowed_methods, reason = "the host names this file, not a script")]
        let source = std::fs::read(path).map_err(|e| lota_runtime::Error::io(path, e))?;
        let source = String::from_utf8(source)
            .map_err(|_| Error::new(ErrorKind::Syntax, format!("{}: not UTF-8 text", path.display())))?;
        self.frontend.set_folder(path.parent().filter(|p| !p.as_os_str().is_empty()));
        self.metered(|| self.frontend.run(&source, &path.display().to_string()))
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
    fn metered<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
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
        self.frontend.set_folder(path.parent().filter(|p| !p.as_os_str().is_empty()));
        self.metered(|| self.frontend.load(source, &path.display().to_string()))
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

    /// The primitives.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// What primitives are given.
    pub fn ctx(&self) -> &Ctx {
        &self.ctx
    }
}
