//! Several engines in one process, each on its own thread. They share nothing.

use lota::{Engine, Language, Result};

fn main() -> Result<()> {
    let jobs: Vec<_> = (1..=4)
        .map(|seed: i64| {
            let engine = Engine::builder(Language::Lua).threads(1).build()?;
            engine.spawn(move |engine| {
                engine.run(
                    "function draw(s) seed = s return require('lota').rng(s):uniform() end",
                    "draw.lua",
                )?;
                engine.call::<f64>("draw", (seed,))
            })
        })
        .collect::<Result<_>>()?;
    for (i, job) in jobs.into_iter().enumerate() {
        let (engine, drawn) = job.wait();
        let seed: i64 = engine.call("tonumber", (engine.run("return seed", "seed.lua")?,))?;
        println!("engine {seed} drew {:.3}", drawn?);
        assert_eq!(seed, i as i64 + 1);
    }
    Ok(())
}
