//! From a language to its interpreter.

use std::ops::Deref;
use std::sync::Arc;

use lota_host::with_stack;

use crate::ctx::Ctx;
#[cfg(not(all(feature = "lua", feature = "rhai")))]
use crate::error::Error;
use crate::error::Result;
use crate::frontend::Frontend;
use crate::language::Language;
use crate::modules::Modules;
use crate::registry::Registry;

/// An interpreter. What its scripts left behind may be nested as deep as they could go, so letting go of it takes as much
/// stack as running them.
pub struct Opened(Option<Box<dyn Frontend>>);

impl Opened {
    /// An interpreter, whoever made it.
    pub fn new(frontend: impl Frontend + 'static) -> Self {
        Self(Some(Box::new(frontend)))
    }
}

impl Deref for Opened {
    type Target = dyn Frontend;

    fn deref(&self) -> &Self::Target {
        match &self.0 {
            Some(frontend) => &**frontend,
            None => unreachable!("it is there until it is dropped"),
        }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let frontend = self.0.take();
        with_stack(|| drop(frontend));
    }
}

/// The interpreter of the language of `ctx`. `system` grants scripts what a program of that language may do: the `io` and
/// `os` libraries of Lua, the clock of Rhai.
pub fn open(ctx: Arc<Ctx>, registry: Arc<Registry>, modules: Modules, system: bool) -> Result<Opened> {
    match ctx.language {
        #[cfg(feature = "lua")]
        Language::Lua => Ok(Opened::new(crate::lua::Frontend::new(ctx, registry, modules, system)?)),
        #[cfg(feature = "rhai")]
        Language::Rhai => Ok(Opened::new(crate::rhai::Frontend::new(ctx, registry, modules, system)?)),
        #[cfg(not(all(feature = "lua", feature = "rhai")))]
        absent => {
            let _ = (registry, modules, system);
            let name = absent.name();
            let text = format!("this lota was built without {name}; build it with --features {name}");
            Err(Error::argument(text))
        }
    }
}
