//! A primitive of the host: documented, checked and completed as lota's own are.

use lota::api::Primitive;
use lota::{Engine, Language, Result};

fn main() -> Result<()> {
    let celsius = Primitive::new("shop.celsius", "A temperature in degrees Celsius.")
        .arg("fahrenheit", "number", "the temperature in degrees Fahrenheit")
        .opt("digits", "integer", 1, "digits after the point")
        .returns("string", "the temperature as text")
        .example("assert(lota.shop.celsius(212) == '100.0 °C')")
        .call(|_ctx, args| {
            let (fahrenheit, digits): (f64, usize) = (args.get("fahrenheit")?, args.get("digits")?);
            Ok(format!("{:.digits$} °C", (fahrenheit - 32.0) / 1.8))
        });
    let engine = Engine::builder(Language::Lua).primitive(celsius).build()?;
    let value = engine.run("return require('lota').shop.celsius(100, {digits = 2})", "shop.lua")?;
    println!("{value:?}");
    // Mistakes of the script are told in the words of the record.
    let error = engine.run("require('lota').shop.celsius('hot')", "shop.lua").expect_err("not a number");
    println!("{error}");
    assert_eq!(error.place(), Some("shop.lua:1"));
    Ok(())
}
