//! A script on a thread of its own, stopped from this one.

use std::time::{Duration, Instant};

use lota::api::Value;
use lota::{Engine, ErrorKind, Language, Result};

fn main() -> Result<()> {
    let engine = Engine::builder(Language::Lua).build()?;
    // It catches every error, and still stops.
    let job = engine.spawn(|engine| {
        engine.run("while true do pcall(function() while true do end end) end", "stubborn.lua")
    })?;
    std::thread::sleep(Duration::from_millis(100));
    let asked = Instant::now();
    job.cancel();
    let (engine, result) = job.wait();
    println!("stopped after {:?}", asked.elapsed());
    assert_eq!(result.expect_err("cancelled").kind(), ErrorKind::Cancelled);
    assert!(matches!(engine.run("return 'still here'", "next.lua")?, Value::Str(_)));
    Ok(())
}
