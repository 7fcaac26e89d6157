//! A Rhai script with a limit on its memory, which the program's allocator counts.
//!
//! cargo run -p lota-embed --bin embed-rhai

use lota::{Engine, ErrorKind, Language, Limits, Result};

/// Rhai has no allocator of its own to bound. `Counting::around` takes another one than the system's.
#[global_allocator]
static ALLOCATOR: lota::Counting = lota::Counting::system();

const GUEST: &str = "
fn greedy(size) {
  let list = [];
  list.pad(size, 0);
  greedy(size) + list.len()
}
fn modest(x) { lota::tensor([x, 2.0 * x]).sum().item() }
";

fn main() -> Result<()> {
    let limits = Limits { script_memory: Some(8 << 20), ..Limits::untrusted() };
    let engine = Engine::builder(Language::Rhai).limits(limits).build()?;
    engine.run(GUEST, "guest.rhai")?;
    match engine.call::<i64>("greedy", (50_000,)) {
        Err(error) if error.kind() == ErrorKind::Limit => println!("ended: {error}"),
        other => panic!("it should have met the limit, and gave {other:?}"),
    }
    let sum: f64 = engine.call("modest", (1.5,))?;
    println!("and the engine goes on: {sum}");
    Ok(())
}
