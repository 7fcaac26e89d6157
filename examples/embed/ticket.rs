//! A script trains and saves a ticket; the host reads it with the runtime, without a script.

use lota::api::Files;
use lota::runtime::ticket::Ticket;
use lota::{Engine, Error, Language, Result};

const SCRIPT: &str = r#"
local lota = require("lota")
function train(density, path)
    local model = lota.model.init("tiny", { seed = 1 })
    local base = model:fingerprint()
    local rows = { { prompt = "1+1=", target = "2" }, { prompt = "1+2=", target = "3" } }
    local batches = lota.data.batches(lota.data.examples(model, rows), { size = 2 })
    local mask = lota.mask.random(model, { density = density, seed = 1 })
    local trainer = lota.train.new(model, { mask = mask, lr = 1e-2 })
    local losses = trainer:fit(batches, { steps = 10 }).losses
    lota.ticket.new(model, mask, { base = base }):save(path)
    return losses
end
"#;

fn main() -> Result<()> {
    let folder = tempfile::tempdir().map_err(|e| Error::runtime(e.to_string()))?;
    let files = Files::roots([folder.path().to_path_buf()]);
    let engine = Engine::builder(Language::Lua).files(files).build()?;
    engine.run(SCRIPT, "train.lua")?;
    let losses: Vec<f64> = engine.call("train", (0.05, "sum.lota"))?;
    println!("the loss fell from {:.3} to {:.3}", losses[0], losses[losses.len() - 1]);
    assert!(losses[losses.len() - 1] < losses[0]);
    let ticket = Ticket::load(&folder.path().join("sum.lota"), None)?;
    println!("the ticket holds {} of {} entries", ticket.mask().count(), ticket.mask().universe().entries());
    Ok(())
}
