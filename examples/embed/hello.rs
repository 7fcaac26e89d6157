//! A value out of a script, and a function of it called by name.

use lota::{Engine, Language, Result};

fn main() -> Result<()> {
    let engine = Engine::builder(Language::Lua).output(|text| print!("script: {text}")).build()?;
    engine.run(
        "print('hello')\nfunction area(r, unit) return ('%.2f %s'):format(math.pi * r ^ 2, unit) end",
        "hello.lua",
    )?;
    let text: String = engine.call("area", (2.0, "m²"))?;
    assert_eq!(text, "12.57 m²");
    println!("the host got {text}");
    Ok(())
}
