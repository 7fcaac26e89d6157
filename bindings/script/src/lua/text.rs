//! Text out of a script: `print` goes to where the engine's output goes.

use std::sync::Arc;

use mlua::{Lua, MultiValue, Table};

use super::{State, error};

pub(crate) fn install(lua: &Lua, state: &Arc<State>) -> mlua::Result<()> {
    let ctx = state.ctx.clone();
    let print = lua.create_function(move |_, args: MultiValue| {
        let mut line = String::new();
        for (i, value) in args.iter().enumerate() {
            if i > 0 {
                line.push('\t');
            }
            match value {
                // Bytes that are no text are shown as such, as the standard library's print does.
                mlua::Value::String(text) => line.push_str(&text.to_string_lossy()),
                other => line.push_str(&other.to_string()?),
            }
        }
        line.push('\n');
        ctx.print(&line).map_err(error::to_lua)
    })?;
    lua.globals().set("print", print)?;
    // The one part of the debug library that is harmless, for `xpcall(f, debug.traceback)`.
    let debug: Table = lua.create_table()?;
    debug.set(
        "traceback",
        lua.create_function(|lua, message: Option<mlua::Value>| {
            let message = message.map(|m| m.to_string()).transpose()?;
            lua.traceback(message.as_deref(), 1)
        })?,
    )?;
    lua.globals().set("debug", debug)
}
