//! The interpreter of an engine: that of its language.

use std::path::Path;
use std::sync::Arc;

use crate::api::{Ctx, Registry, Value};
use crate::engine::{Language, Name};
#[cfg(not(all(feature = "lua", feature = "rhai")))]
use crate::error::Error;
use crate::error::Result;

/// One interpreter. A language that was not built in has no variant.
pub(crate) enum Frontend {
    #[cfg(feature = "lua")]
    Lua(crate::lua::Frontend),
    #[cfg(feature = "rhai")]
    Rhai(crate::rhai::Frontend),
}

/// The same call on whichever interpreter there is.
macro_rules! each {
    ($self:ident, $frontend:ident => $call:expr) => {
        match *$self {
            #[cfg(feature = "lua")]
            Self::Lua(ref $frontend) => $call,
            #[cfg(feature = "rhai")]
            Self::Rhai(ref $frontend) => $call,
        }
    };
}

impl Frontend {
    pub(crate) fn new(
        language: Language,
        ctx: Arc<Ctx>,
        registry: Arc<Registry>,
        open: bool,
    ) -> Result<Self> {
        let _ = (&ctx, &registry, open);
        match language {
            #[cfg(feature = "lua")]
            Language::Lua => crate::lua::Frontend::new(ctx, registry, open).map(Self::Lua),
            #[cfg(feature = "rhai")]
            Language::Rhai => crate::rhai::Frontend::new(ctx, registry, open).map(Self::Rhai),
            #[cfg(not(all(feature = "lua", feature = "rhai")))]
            absent => {
                let name = absent.name();
                let text = format!("this lota was built without {name}; build it with --features {name}");
                Err(Error::argument(text))
            }
        }
    }

    pub(crate) fn set_folder(&self, folder: Option<&Path>) {
        let _ = folder;
        each!(self, frontend => frontend.set_folder(folder));
    }

    pub(crate) fn run(&self, source: &str, name: &str) -> Result<Value> {
        let _ = (source, name);
        each!(self, frontend => frontend.run(source, name))
    }

    pub(crate) fn eval(&self, input: &str) -> Result<Vec<Value>> {
        let _ = input;
        each!(self, frontend => frontend.eval(input))
    }

    pub(crate) fn call_function(&self, name: &str, arguments: Vec<Value>) -> Result<Value> {
        let _ = (name, &arguments);
        each!(self, frontend => frontend.call_function(name, arguments))
    }

    /// Lets go of what a script that was ended left behind.
    pub(crate) fn recover(&self) {
        each!(self, frontend => frontend.recover());
    }

    pub(crate) fn check(&self, input: &str) -> Result<()> {
        let _ = input;
        each!(self, frontend => frontend.check(input))
    }

    pub(crate) fn eval_keeping(&self, input: &str, names: &[String]) -> Result<Vec<Value>> {
        let _ = (input, names);
        each!(self, frontend => frontend.eval_keeping(input, names))
    }

    pub(crate) fn load(&self, source: &str, name: &str) -> Result<()> {
        let _ = (source, name);
        each!(self, frontend => frontend.load(source, name))
    }

    pub(crate) fn names(&self, path: &[&str]) -> Vec<Name> {
        let _ = path;
        each!(self, frontend => frontend.names(path))
    }

    pub(crate) fn forget(&self, names: &[String]) {
        let _ = names;
        each!(self, frontend => frontend.forget(names));
    }
}
