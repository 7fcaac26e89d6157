//! The `lota` program.

use lota::api::Files;
use lota::{Engine, Language};

fn main() {
    let mut args = std::env::args().skip(2);
    let file = args.next().unwrap_or_default();
    let engine = Engine::builder(Language::Lua)
        .files(Files::everything())
        .hub(lota::hub_from_environment())
        .open(true)
        .output(|text| print!("{text}"))
        .script(file.clone(), args)
        .build();
    if let Err(e) = engine.and_then(|engine| engine.run_file(&file)) {
        eprintln!("error: {e}\n{}", e.traceback().unwrap_or_default());
        std::process::exit(1);
    }
}
