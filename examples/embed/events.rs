//! Events that an engine sends while it trains: steps, epochs and saved files.

use std::sync::{Arc, Mutex};

use lota::api::Files;
use lota::runtime::host::Event;
use lota::{Engine, Language, Result};

const SCRIPT: &str = r#"
local lota = require("lota")
local model = lota.model.init("tiny", { seed = 1 })
local rows = { { prompt = "1+1=", target = "2" }, { prompt = "1+2=", target = "3" } }
local batches = lota.data.batches(lota.data.examples(model, rows), { size = 1 })
lota.train.new(model, { lr = 1e-2 }):fit(batches, { steps = 5 })
model:save("trained")
"#;

fn main() -> Result<()> {
    let folder = tempfile::tempdir().map_err(|e| lota::Error::runtime(e.to_string()))?;
    let losses = Arc::new(Mutex::new(Vec::new()));
    let kept = losses.clone();
    let engine = Engine::builder(Language::Lua)
        .files(Files::roots([folder.path().to_path_buf()]))
        .on_event(move |event| match event {
            Event::Step { step, loss, lr, .. } => {
                println!("step {step}: loss {loss:.3} at {lr:.0e}");
                kept.lock().expect("no other holder panics").push(*loss);
            }
            Event::Epoch(epoch) => println!("epoch {epoch}"),
            Event::Saved(path) => println!("saved {}", path.display()),
            Event::Progress { task, done, total, .. } => println!("{task} {done}/{total}"),
            _ => {}
        })
        .build()?;
    engine.run(SCRIPT, "train.lua")?;
    assert_eq!(losses.lock().expect("no other holder panics").len(), 5);
    Ok(())
}
