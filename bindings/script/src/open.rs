//! From a language to its interpreter.

use std::sync::Arc;

use crate::ctx::Ctx;
#[cfg(not(all(feature = "lua", feature = "rhai")))]
use crate::error::Error;
use crate::error::Result;
use crate::frontend::Frontend;
use crate::language::Language;
use crate::modules::Modules;
use crate::registry::Registry;

/// The interpreter of the language of `ctx`. `system` grants scripts what a program of that language may do: the `io` and
/// `os` libraries of Lua, the clock of Rhai.
pub fn open(
    ctx: Arc<Ctx>,
    registry: Arc<Registry>,
    modules: Modules,
    system: bool,
) -> Result<Box<dyn Frontend>> {
    match ctx.language {
        #[cfg(feature = "lua")]
        Language::Lua => Ok(Box::new(crate::lua::Frontend::new(ctx, registry, modules, system)?)),
        #[cfg(feature = "rhai")]
        Language::Rhai => Ok(Box::new(crate::rhai::Frontend::new(ctx, registry, modules, system)?)),
        #[cfg(not(all(feature = "lua", feature = "rhai")))]
        absent => {
            let _ = (registry, modules, system);
            let name = absent.name();
            let text = format!("this lota was built without {name}; build it with --features {name}");
            Err(Error::argument(text))
        }
    }
}
