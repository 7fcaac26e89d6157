//! The Lua frontend: builds Lua values from the registry and carries calls, errors and callbacks
//! across.

mod call;
mod convert;
mod error;
mod guard;
mod module;
mod object;
mod order;
mod pattern;
mod prompt;
mod source;
mod strings;
mod text;

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use mlua::chunk::ChunkMode;
use mlua::{Function, Lua, LuaOptions, MultiValue, StdLib, Table};

use self::convert::Border;
use crate::error::{Error, ErrorKind, Result};
use crate::limits::Limits;
use crate::{Ctx, Modules, Op, Primitive, Registry, Value};

/// What the callbacks of one interpreter share.
pub(crate) struct State {
    pub(crate) ctx: Arc<Ctx>,
    pub(crate) registry: Arc<Registry>,
    modules: Modules,
    operators: HashMap<(String, Op), Arc<Primitive>>,
    methods: Mutex<HashMap<&'static str, Table>>,
    loaded: Mutex<HashMap<String, mlua::Value>>,
    folder: Mutex<Option<PathBuf>>,
    trampoline: Mutex<Option<Function>>,
}

/// One Lua interpreter with the primitives.
pub(crate) struct Frontend {
    lua: Lua,
    state: Arc<State>,
}

impl Frontend {
    pub(crate) fn new(ctx: Arc<Ctx>, registry: Arc<Registry>, modules: Modules, open: bool) -> Result<Self> {
        let mut libraries = StdLib::COROUTINE | StdLib::TABLE | StdLib::STRING | StdLib::UTF8 | StdLib::MATH;
        if open {
            libraries |= StdLib::IO | StdLib::OS;
        }
        let build = || -> mlua::Result<Self> {
            let lua = Lua::new_with(libraries, LuaOptions::new())?;
            let mut operators = HashMap::new();
            for p in registry.iter() {
                if let (Some(op), Some(first)) = (p.operator_tag(), p.params().first()) {
                    let ty = first.ty.split('|').next().unwrap_or_default();
                    operators.insert((ty.to_string(), op), p.clone());
                }
            }
            let state = Arc::new(State {
                ctx,
                registry,
                modules,
                operators,
                methods: Mutex::default(),
                loaded: Mutex::default(),
                folder: Mutex::default(),
                trampoline: Mutex::default(),
            });
            lua.set_app_data(state.clone());
            guard::install(&lua, &state, open)?;
            strings::install(&lua, &state)?;
            module::install(&lua, &state)?;
            text::install(&lua, &state)?;
            order::install(&lua)?;
            // The address alone is compared, and that of a state which is gone is no other's while its interpreter lives.
            let (weak, address) = (lua.weak(), Arc::as_ptr(&state) as usize);
            state.ctx.memory.collect_by(move || {
                if call::is_at_work(address as *const State)
                    && let Some(lua) = weak.try_upgrade()
                {
                    // A finalizer can only be Rust's own. What it could not free stays counted.
                    let _ = lua.gc_collect();
                }
            });
            if let Some(most) = state.ctx.meter.limits().script_memory {
                lua.set_memory_limit(usize::try_from(most).unwrap_or(usize::MAX))?;
            }
            Ok(Self { lua, state })
        };
        build().map_err(|e| error::from_lua(&e))
    }

    fn compile(&self, input: &str) -> Result<Function> {
        match load(&self.lua, &format!("return {input}"), "=input") {
            Ok(chunk) => Ok(chunk),
            Err(expression) => load(&self.lua, &without_local(input), "=input").map_err(|statement| {
                // `1 +` is an open expression, and as a statement just wrong.
                let [expression, statement] = [expression, statement].map(|e| error::from_lua(&e));
                if expression.is_incomplete() { expression } else { statement }
            }),
        }
    }

    fn call(&self, function: &Function) -> Result<MultiValue> {
        let results = call::call_guarded(&self.lua, &self.state, function, MultiValue::new());
        results.map_err(|e| error::of_script(&self.state, &e))
    }

    /// Results as a host takes them. What cannot be a neutral value (a thread, a table that is a graph) is text.
    fn neutral(&self, results: MultiValue) -> Result<Vec<Value>> {
        let mut border = Border::of(&self.state.ctx.meter);
        let shown = |value: mlua::Value| -> Result<Value> {
            let text = match value.to_string() {
                Ok(text) => text,
                Err(_) => {
                    // The script's own `__tostring` may have been what a limit ended.
                    self.state.ctx.meter.check()?;
                    value.type_name().into()
                }
            };
            match border.bring(value) {
                Err(e) if e.kind() == ErrorKind::Limit => Err(e),
                other => Ok(other.unwrap_or(Value::Str(text))),
            }
        };
        results.into_iter().map(shown).collect()
    }
}

impl crate::Frontend for Frontend {
    fn set_folder(&self, folder: Option<&Path>) {
        let folder = folder.map_or_else(|| PathBuf::from("."), Path::to_path_buf);
        *self.state.folder.lock().unwrap_or_else(PoisonError::into_inner) = Some(folder);
    }

    fn run(&self, source: &str, name: &str) -> Result<Value> {
        let chunk =
            load(&self.lua, source, &format!("@{name}")).map_err(|e| error::of_script(&self.state, &e))?;
        let values = self.call(&chunk)?;
        Ok(self.neutral(values)?.into_iter().next().unwrap_or_default())
    }

    /// A global function, or one in a global table (`model.step`).
    fn call_function(&self, name: &str, arguments: Vec<Value>) -> Result<Value> {
        let call = || -> mlua::Result<Result<MultiValue>> {
            let mut found = mlua::Value::Table(self.lua.globals());
            for part in name.split('.') {
                found = match found {
                    mlua::Value::Table(table) => table.get(part)?,
                    _ => mlua::Value::Nil,
                };
            }
            let mlua::Value::Function(function) = found else {
                let text = format!("the script has no function '{name}', but {}", found.type_name());
                return Ok(Err(Error::argument(text)));
            };
            let args = arguments.into_iter().map(|v| convert::to_lua(&self.lua, v));
            let args = args.collect::<mlua::Result<MultiValue>>()?;
            call::call_guarded(&self.lua, &self.state, &function, args).map(Ok)
        };
        let results = call().map_err(|e| error::of_script(&self.state, &e))??;
        results
            .into_iter()
            .next()
            .map_or(Ok(Value::Nil), |value| Border::of(&self.state.ctx.meter).bring(value))
    }

    fn recover(&self) {
        for _ in 0..2 {
            // A finalizer can only be Rust's own, and fails where there is no memory at all.
            let _ = self.lua.gc_collect();
        }
    }
}

/// How the names of the frontend's own chunks and of the modules built in begin.
const OWN: &str = "=lota/";

/// The state of an interpreter whose scripts have limits.
fn limited(lua: &Lua) -> Option<Arc<State>> {
    state(lua).ok().filter(|state| *state.ctx.meter.limits() != Limits::none())
}

/// Compiles text, never bytecode. A `#!` line is skipped.
pub(crate) fn load(lua: &Lua, source: &str, name: &str) -> mlua::Result<Function> {
    let source = source.strip_prefix('\u{feff}').unwrap_or(source);
    let text = match source.strip_prefix("#!") {
        // The line end stays, so that line numbers do.
        Some(rest) => &rest[rest.find('\n').unwrap_or(rest.len())..],
        None => source,
    };
    if let Some(meter) = limited(lua)
        && !name.starts_with(OWN)
    {
        source::check(&meter.ctx.meter, text.as_bytes()).map_err(error::to_lua)?;
    }
    let chunk = lua.load(text).set_name(name).set_mode(ChunkMode::Text);
    chunk.into_function().map_err(|e| error::with_slip(e, text))
}

/// At a prompt each input is a chunk of its own, so its locals would be gone at the next one.
fn without_local(input: &str) -> Cow<'_, str> {
    let text = input.trim_start();
    match text.strip_prefix("local ") {
        // The line ends before it stay, so that line numbers do.
        Some(rest) if rest.contains('=') || rest.trim_start().starts_with("function") => {
            Cow::Owned(format!("{}{rest}", &input[..input.len() - text.len()]))
        }
        _ => Cow::Borrowed(input),
    }
}

pub(crate) fn state(lua: &Lua) -> mlua::Result<Arc<State>> {
    match lua.app_data_ref::<Arc<State>>() {
        Some(state) => Ok(state.clone()),
        None => Err(error::to_lua(Error::new(crate::ErrorKind::Host, "the interpreter has no state"))),
    }
}
