//! The Rhai frontend: builds Rhai values from the registry and carries calls, errors and callbacks
//! across.
//!
//! Functions are in the module `lota` (`lota::mask::union(a, b)`), methods and operators on objects,
//! options in an object map as the last argument, and positions count from 0.

mod call;
mod convert;
mod error;
mod errors;
mod format;
mod modules;
mod nesting;
mod object;
mod order;
mod primitives;
mod prompt;
mod setup;
mod sizes;
#[cfg(test)]
mod tally_tests;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use rhai::{AST, CallFnOptions, Dynamic, ImmutableString, Module, Scope, Shared};

use self::order::Orders;
use crate::counting::{self, Tally, outside};
use crate::error::{Error, ErrorKind, Result};
use crate::{Ctx, Modules, Registry, Value};

/// What the functions of one interpreter share.
pub(crate) struct State {
    pub(crate) ctx: Arc<Ctx>,
    pub(crate) registry: Arc<Registry>,
    modules: Modules,
    /// Set once the interpreter is built; weak, for the interpreter holds the state.
    engine: OnceLock<Weak<rhai::Engine>>,
    folder: Mutex<Option<PathBuf>>,
    /// Callbacks that are inside each other.
    nested: AtomicUsize,
    /// What the interpreter holds.
    tally: Arc<Tally>,
    orders: Mutex<Orders>,
}

/// What stays between the inputs of a prompt.
struct Prompt {
    scope: Scope<'static>,
    functions: AST,
    /// Imported modules under their names, in the order of the imports. Rhai forgets them at the end of a run.
    imports: Vec<(ImmutableString, Shared<Module>)>,
}

/// The functions of the scripts that ran, for a host that calls them by name, and the script of each.
struct Defined {
    functions: AST,
    scripts: HashMap<String, String>,
}

/// One Rhai interpreter with the primitives.
pub(crate) struct Frontend {
    engine: Arc<rhai::Engine>,
    state: Arc<State>,
    prompt: Mutex<Prompt>,
    defined: Mutex<Defined>,
}

impl Frontend {
    pub(crate) fn new(ctx: Arc<Ctx>, registry: Arc<Registry>, modules: Modules, open: bool) -> Result<Self> {
        if ctx.meter.limits().script_memory.is_some() && !counting::counts() {
            return Err(Error::new(
                ErrorKind::Host,
                "a limit on the memory of Rhai scripts needs an allocator that counts, and this program has another one; \
                 add `#[global_allocator] static ALLOCATOR: lota::Counting = lota::Counting::system();` to it (or \
                 Counting::around its own), or set script_memory to None",
            ));
        }
        let state = Arc::new(State {
            ctx,
            registry,
            modules,
            engine: OnceLock::new(),
            folder: Mutex::default(),
            nested: AtomicUsize::new(0),
            tally: Arc::default(),
            orders: Mutex::default(),
        });
        let engine = Arc::new(setup::engine(&state, open)?);
        state.engine.get_or_init(|| Arc::downgrade(&engine));
        let prompt = Prompt { scope: Scope::new(), functions: AST::empty(), imports: Vec::new() };
        let defined = Defined { functions: AST::empty(), scripts: HashMap::new() };
        Ok(Self { engine, state, prompt: Mutex::new(prompt), defined: Mutex::new(defined) })
    }

    fn define(&self, ast: &AST, name: &str) {
        let mut defined = lock(&self.defined);
        let mut functions = defined.functions.merge(ast);
        functions.clear_statements();
        defined.functions = functions;
        for function in ast.iter_functions() {
            defined.scripts.insert(function.name.to_string(), name.to_string());
        }
    }

    fn call_defined(&self, name: &str, arguments: &[Value]) -> Result<Value> {
        let (mut ast, script) = {
            let defined = lock(&self.defined);
            (defined.functions.clone(), defined.scripts.get(name).cloned().unwrap_or_default())
        };
        ast.set_source(script.as_str());
        let taken: Vec<usize> =
            ast.iter_functions().filter(|f| f.name == name).map(|f| f.params.len()).collect();
        if !taken.contains(&arguments.len()) {
            return Err(outside(|| {
                Error::argument(match taken.first() {
                    Some(n) => format!("'{name}' of the script takes {n} values, not {}", arguments.len()),
                    None => format!("the script has no function '{name}'"),
                })
            }));
        }
        let arguments: Vec<Dynamic> = arguments.iter().map(|v| convert::to_rhai(&self.state, v)).collect();
        let options = CallFnOptions::new().eval_ast(false);
        let result =
            self.engine.call_fn_with_options::<Dynamic>(options, &mut Scope::new(), &ast, name, arguments);
        let value = result.map_err(|e| error::from_rhai(&self.state, e, &script))?;
        outside(|| convert::from_rhai(&self.state, &value))
    }

    /// Bytes that the interpreter holds.
    #[cfg(test)]
    fn held(&self) -> u64 {
        self.state.tally.held()
    }

    fn compile(&self, source: &str, name: &str) -> Result<AST> {
        // The line end stays, so that line numbers do.
        let source = source.strip_prefix('\u{feff}').unwrap_or(source);
        let text = match source.strip_prefix("#!") {
            Some(rest) => &rest[rest.find('\n').unwrap_or(rest.len())..],
            None => source,
        };
        self.engine.compile(text).map_err(|e| {
            // What ended the parser may have been a limit.
            if let Err(ended) = outside(|| self.state.ctx.meter.check()) {
                return ended;
            }
            let incomplete = error::is_incomplete(&self.engine, text, &e);
            outside(|| error::syntax(&e, name, text).incomplete(incomplete))
        })
    }

    fn evaluate(&self, scope: &mut Scope<'static>, ast: &AST, name: &str) -> Result<Dynamic> {
        let result = self.engine.eval_ast_with_scope::<Dynamic>(scope, ast);
        result.map_err(|e| error::from_rhai(&self.state, e, name))
    }
}

impl crate::Frontend for Frontend {
    fn set_folder(&self, folder: Option<&Path>) {
        let folder = folder.map_or_else(|| PathBuf::from("."), Path::to_path_buf);
        *lock(&self.state.folder) = Some(folder);
    }

    /// The value is that of the last expression.
    fn run(&self, source: &str, name: &str) -> Result<Value> {
        self.state.tally.inside(|| {
            let mut ast = self.compile(source, name)?;
            ast.set_source(name);
            self.define(&ast, name);
            self.evaluate(&mut Scope::new(), &ast, name).map(|value| shown(&self.state, &value))
        })
    }

    /// A function that a script of this engine defined with `fn`.
    fn call_function(&self, name: &str, arguments: Vec<Value>) -> Result<Value> {
        self.state.tally.inside(|| self.call_defined(name, &arguments))
    }

    /// Nothing is left behind: a value of Rhai goes with its last holder.
    fn recover(&self) {}
}

/// A value as a host takes it. What cannot be a neutral value is text.
fn shown(state: &State, value: &Dynamic) -> Value {
    outside(|| convert::from_rhai(state, value).unwrap_or_else(|_| Value::Str(value.to_string())))
}

/// The data behind a lock. A panic elsewhere leaves it as whole as any error would.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
