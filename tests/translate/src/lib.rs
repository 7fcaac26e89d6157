//! Lua to Rhai, for the part of Lua that examples are written in, so that an example is written once.
//!
//! It knows the registry: positions that a record declares are counted from 0 instead of 1, options become object maps,
//! `#x` becomes the method of the type. What it does not know it refuses, and the record gives its own
//! ([`Primitive::example_rhai`](lota_script::Primitive::example_rhai)).

mod lex;
mod parse;
mod print;
mod syntax;
mod types;

use lota_script::{Primitive, Registry};

/// The Rhai form of a Lua chunk; the error says what has no translation.
pub fn lua_to_rhai(registry: &Registry, source: &str) -> Result<String, String> {
    let tokens = lex::tokens(source)?;
    let block = parse::chunk(&tokens)?;
    print::block(registry, &block)
}

/// The example of a record in Rhai: its own, or the translation of the Lua one.
pub fn example(registry: &Registry, primitive: &Primitive) -> Result<String, String> {
    match primitive.own_rhai_example() {
        Some(own) => Ok(own.to_string()),
        None => lua_to_rhai(registry, primitive.example_source()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_and_positions() {
        let registry = lota::api::standard();
        let rhai = |lua: &str| lua_to_rhai(&registry, lua).unwrap_or_else(|e| format!("error: {e}"));
        assert_eq!(rhai("local x = lota.zeros({2, 3})"), "let x = lota::zeros([2, 3]);");
        assert_eq!(rhai("local x = lota.zeros({2}):squeeze(1)"), "let x = lota::zeros([2]).squeeze(0);");
        assert_eq!(rhai("local a, b = 1, 'it'"), "let a = 1;\nlet b = \"it\";");
        assert_eq!(
            rhai("local x = lota.zeros({2, 3})\nassert(x:argmax(2, {keep = true})[1][1] == 0)"),
            "let x = lota::zeros([2, 3]);\nassert(x.argmax(1, #{keep: true})[0][0] == 0);"
        );
        assert_eq!(rhai("f(function(n) return n and 1 or 2 end)"), "f(|n| if n != () { 1 } else { 2 });");
        assert_eq!(
            rhai("for i = 1, 3 do rows[i] = 'a' .. i end"),
            "for i in 1..=3 { rows.push(\"a\" + i); }"
        );
        assert_eq!(rhai("-- a note"), "// a note");
        assert!(rhai("goto out").starts_with("error: "));
    }
}
