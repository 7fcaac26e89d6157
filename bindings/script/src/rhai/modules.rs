//! `import`: the modules built in, and files beside the script.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, Weak};

use rhai::{AST, Engine, EvalAltResult, Module, ModuleResolver, Position, Scope, Shared};

use super::{State, error, lock};
use crate::counting::{Outside, outside};
use crate::error::{Error, Result};
use crate::{modules, nearest};

/// Finds, compiles and keeps modules.
pub(crate) struct Resolver {
    // The interpreter holds the resolver and the state's functions; a strong handle would be as good,
    // but this one cannot make a cycle.
    state: Weak<State>,
    loaded: Mutex<HashMap<String, Option<Shared<Module>>>>,
}

impl Resolver {
    pub(crate) fn new(state: &Arc<State>) -> Self {
        Self { state: Arc::downgrade(state), loaded: Mutex::default() }
    }

    fn find(&self, name: &str) -> Result<(String, String)> {
        let Some(state) = self.state.upgrade() else {
            return Err(Error::new(crate::ErrorKind::Host, "the script of this import has ended"));
        };
        if let Some(source) = modules::source(state.modules.rhai, name) {
            return Ok((source.to_string(), format!("{name}.rhai")));
        }
        let sound = name.split('/').all(|part| {
            !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')
        });
        if !sound {
            let text =
                format!("import: '{name}' is not the name of a module; write folder/file without .rhai");
            return Err(Error::argument(text));
        }
        let mut looked = String::new();
        if !name.starts_with("lota/") {
            let folder = lock(&state.folder).clone().unwrap_or_else(|| PathBuf::from("."));
            let path = folder.join(name).with_extension("rhai");
            let file = state.ctx.files.grant(&path)?;
            if file.exists() {
                let source = file.read_to_string().map_err(|e| Error::runtime(format!("import: {e}")))?;
                return Ok((source, path.display().to_string()));
            }
            looked = path.display().to_string();
        }
        let known: Vec<&str> = state.modules.rhai.iter().map(|(name, _)| *name).collect();
        let hint = match nearest(name, known.iter().copied()) {
            Some(near) => format!("; did you mean '{near}'?"),
            None if looked.is_empty() => format!("; built in are {}", known.join(", ")),
            None => format!("; looked for {looked}"),
        };
        Err(Error::argument(format!("import: no module '{name}'{hint}")))
    }

    fn load(&self, engine: &Engine, name: &str) -> Result<Shared<Module>, Box<EvalAltResult>> {
        let found = outside(|| self.find(name).map(Outside::new)).map_err(error::raise)?;
        let (source, file) = &*found;
        let compiled = engine.compile(source);
        let mut ast: AST = compiled.map_err(|e| error::raise_with(|| error::syntax(&e, file, source)))?;
        ast.set_source(file.as_str());
        let mut module = Module::eval_ast_as_new(Scope::new(), &ast, engine)?;
        module.build_index();
        Ok(module.into())
    }
}

impl ModuleResolver for Resolver {
    fn resolve(
        &self,
        engine: &Engine,
        _: Option<&str>,
        path: &str,
        position: Position,
    ) -> Result<Shared<Module>, Box<EvalAltResult>> {
        match lock(&self.loaded).get(path) {
            Some(Some(module)) => return Ok(module.clone()),
            Some(None) => {
                return Err(error::raise_with(|| {
                    Error::runtime(format!(
                        "import: module '{path}' imports itself, directly or through others"
                    ))
                })
                .with_position(position));
            }
            None => {}
        }
        lock(&self.loaded).insert(path.to_string(), None);
        let result = self.load(engine, path);
        let mut loaded = lock(&self.loaded);
        match result {
            Ok(module) => {
                loaded.insert(path.to_string(), Some(module.clone()));
                Ok(module)
            }
            Err(e) => {
                loaded.remove(path);
                Err(e.with_position(position))
            }
        }
    }
}

/// Sets the position of an error that has none.
trait WithPosition {
    fn with_position(self, position: Position) -> Self;
}

impl WithPosition for Box<EvalAltResult> {
    fn with_position(mut self, position: Position) -> Self {
        if self.position().is_none() {
            self.set_position(position);
        }
        self
    }
}
