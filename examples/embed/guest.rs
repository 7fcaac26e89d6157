//! An engine in a process of its own: a script that takes its process down is an error of the call, and the host goes on.

use lota::api::Primitive;
use lota::isolation::{Isolation, Process, enter};
use lota::{Engine, ErrorKind, Language, Limits, Result};

fn engine() -> Result<Engine> {
    let price = Primitive::new("shop.price", "What a thing costs; the host knows.")
        .arg("thing", "string", "the thing")
        .returns("number", "its price")
        .call(|_, args| Ok(args.get::<String>("thing")?.len() as f64 * 1.5));
    Engine::builder(Language::Lua)
        .limits(Limits { instructions: None, ..Limits::untrusted() })
        .primitive(price)
        .isolation(Isolation::Process(Process::new().memory(512 << 20)))
        .build()
}

fn main() -> Result<()> {
    // This program is started again as the guest, which does not come back from here.
    enter();
    let guest = engine()?;
    guest.run(
        "function total(a, b) return lota.shop.price(a) + lota.shop.price(b) end lota = require 'lota'",
        "guest.lua",
    )?;
    let total: f64 = guest.call("total", ("pen", "paper"))?;
    println!("a call of the guest, which calls the host: {total}");
    if let Some(pid) = guest.process_id() {
        let killer = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(50));
            std::process::Command::new("kill").args(["-ABRT", &pid.to_string()]).status()
        });
        let error = guest.run("while true do end", "guest.lua").expect_err("its process ends");
        println!("{:8} {error}", error.kind().as_str());
        assert_eq!(error.kind(), ErrorKind::Crashed);
        drop(killer.join());
    }
    assert_eq!(engine()?.run("return 1", "guest.lua").map(|_| "as before")?, "as before");
    Ok(())
}
