//! Scripts of somebody unknown, and merges that a script is told to look at.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use lota::api::Files;
use lota::{Engine, Language, Limits};
use lota_runtime::model::SaveOptions;
use lota_runtime::ticket::ValueType;

use crate::{model, place, ticket};

fn limits() -> Limits {
    Limits {
        tensor_memory: Some(64 << 20),
        time: Some(Duration::from_secs(1)),
        instructions: Some(1_000_000),
        output: Some(1 << 16),
        ..Limits::untrusted()
    }
}

/// How much longer than its limit a script may take: a machine has other things to do.
const LATE: Duration = Duration::from_secs(2);

/// Runs a source, which may not take or print more than its limits say.
fn script(bytes: &[u8], language: Language) -> bool {
    let Ok(source) = std::str::from_utf8(bytes) else { return false };
    let printed = Arc::new(AtomicUsize::new(0));
    let count = printed.clone();
    let engine = Engine::builder(language)
        .limits(limits())
        .files(Files::roots([place::empty("granted")]))
        .output(move |text| {
            count.fetch_add(text.len(), Relaxed);
        })
        .build()
        .expect("an engine");
    let start = Instant::now();
    let ran = engine.run(source, "fuzz");
    let took = start.elapsed();
    assert!(took < Duration::from_secs(1) + LATE, "it ran for {took:?}");
    let printed = printed.load(Relaxed);
    assert!(printed <= 1 << 16, "it printed {printed} bytes");
    ran.is_ok()
}

/// A Lua source.
pub fn lua(bytes: &[u8]) -> bool {
    script(bytes, Language::Lua)
}

/// A Rhai source.
pub fn rhai(bytes: &[u8]) -> bool {
    script(bytes, Language::Rhai)
}

thread_local! {
    static MERGING: Engine = merging();
}

/// An engine whose `check` looks at the merge of a file, beside which lie two models and a ticket.
fn merging() -> Engine {
    let folder = place::empty("merge");
    for (name, seed) in [("a", 1), ("b", 2)] {
        model(seed).save(&folder.join(name), &SaveOptions::default(), &place::host()).expect("writes");
    }
    let written = ticket(&model(2), &model(1)).save(&folder.join("t.ticket"), ValueType::F32);
    written.expect("writes");
    let engine = Engine::builder(Language::Lua)
        .limits(Limits { time: Some(Duration::from_secs(2)), ..limits() })
        .files(Files::roots([folder.clone()]))
        .build()
        .expect("an engine");
    let source = format!(
        "local lota = require 'lota'\n\
         function check() return #lota.merge.check('{}/merge.yml') end",
        folder.display()
    );
    engine.run(&source, "merging").expect("defines a function");
    engine
}

/// A merge, as a file of mergekit's configuration says it.
pub fn merge(bytes: &[u8]) -> bool {
    MERGING.with(|engine| {
        place::file("merge/merge.yml", bytes);
        engine.call::<i64>("check", ()).is_ok()
    })
}
