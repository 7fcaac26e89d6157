//! An untrusted script: it reaches one folder only, and its limits end it with an error that it cannot catch.

use std::time::Duration;

use lota::api::{Files, Value};
use lota::{Engine, ErrorKind, Language, Limits, Result};

fn main() -> Result<()> {
    let limits =
        Limits { time: Some(Duration::from_secs(5)), instructions: Some(1_000_000), ..Limits::untrusted() };
    let folder = std::env::temp_dir();
    let engine = Engine::builder(Language::Lua).limits(limits).files(Files::roots([folder])).build()?;
    for (script, kind) in [
        ("while true do pcall(function() while true do end end) end", ErrorKind::Limit),
        ("return ('x'):rep(1e9)", ErrorKind::Limit),
        ("return require('lota').zeros({1000, 1000, 1000})", ErrorKind::Limit),
        ("return require('lota').data.read('../etc/passwd')", ErrorKind::Denied),
        ("return os.execute('ls')", ErrorKind::Runtime),
    ] {
        let error = engine.run(script, "guest.lua").expect_err("refused");
        println!("{:8} {error}", error.kind().as_str());
        assert_eq!(error.kind(), kind);
    }
    // The engine is as good as before.
    assert!(matches!(engine.run("return 1 + 1", "guest.lua")?, Value::Int(2)));
    Ok(())
}
