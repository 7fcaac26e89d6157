//! What a prompt asks of the interpreter: to keep values under names, to run a file among them, and
//! which names there are.

use mlua::Table;

use super::object::LuaObject;
use super::{Frontend, call, error, load};
use crate::error::Result;
use crate::{Name, Value};

impl crate::Prompt for Frontend {
    /// One input of a prompt. What it gives first, unless it is nil, becomes the value of globals.
    fn eval_keeping(&self, input: &str, names: &[String]) -> Result<Vec<Value>> {
        let chunk = self.compile(input)?;
        let results = self.call(&chunk)?;
        if let Some(first) = results.front().filter(|v| !v.is_nil()) {
            let globals = self.lua.globals();
            for name in names {
                globals.raw_set(name.as_str(), first).map_err(|e| error::of_script(&self.state, &e))?;
            }
        }
        self.neutral(results)
    }

    /// Runs a file's text as a chunk of its own: its globals stay.
    fn load(&self, source: &str, name: &str) -> Result<()> {
        let chunk =
            load(&self.lua, source, &format!("@{name}")).map_err(|e| error::of_script(&self.state, &e))?;
        self.call(&chunk).map(drop)
    }

    fn check(&self, input: &str) -> Result<()> {
        self.compile(input).map(drop)
    }

    /// Removes globals.
    fn forget(&self, names: &[String]) {
        for name in names {
            // Only a table that is full can fail, and this one gets emptier.
            let _ = self.lua.globals().raw_set(name.as_str(), mlua::Value::Nil);
        }
    }

    /// The names in the globals, or in the table that a path leads to. Metamethods are not called.
    fn names(&self, path: &[&str]) -> Vec<Name> {
        let mut table: Table = self.lua.globals();
        for part in path {
            match table.raw_get::<mlua::Value>(*part) {
                Ok(mlua::Value::Table(next)) => table = next,
                _ => return Vec::new(),
            }
        }
        let mut names = Vec::new();
        // An error ends the listing: it is for looking only.
        for (key, value) in table.pairs::<mlua::Value, mlua::Value>().flatten() {
            let mlua::Value::String(key) = key else { continue };
            names.push(self.name(key.to_string_lossy(), &value));
        }
        names.sort_by(|a, b| a.name.cmp(&b.name));
        names
    }
}

impl Frontend {
    fn name(&self, name: String, value: &mlua::Value) -> Name {
        let (ty, primitive) = match value {
            mlua::Value::UserData(data) => {
                let object = data.borrow::<LuaObject>();
                (object.map_or("userdata", |o| o.object.type_name()), None)
            }
            mlua::Value::Function(function) => ("function", call::primitive_name(&self.lua, function)),
            other => (other.type_name(), None),
        };
        Name { name, ty: ty.to_string(), primitive }
    }
}
