//! Asks a script that would never end to stop, and waits until it has.

use std::time::{Duration, Instant};

use lota::runtime::host::Cancel;
use lota::{Engine, ErrorKind, Language};

/// Runs an endless script on a thread of its own, cancels it, and gives the time until it had stopped.
pub fn stops(language: Language, name: &'static str, script: &'static str) -> Duration {
    let cancel = Cancel::default();
    let engine = Engine::builder(language).cancel(cancel.clone()).build().expect("an engine");
    let thread = std::thread::spawn(move || engine.run(script, name).map(|_| ()));
    std::thread::sleep(Duration::from_millis(50));
    let asked = Instant::now();
    cancel.cancel();
    wait(name, asked, || thread.is_finished());
    let error = thread.join().expect("no panic").expect_err("cancelled");
    assert_eq!(error.kind(), ErrorKind::Cancelled, "{name}: {error}");
    asked.elapsed()
}

/// The same with a job of an engine, which comes back. `begun` is how long it may take until the endless part is reached.
pub fn job_stops(engine: Engine, name: &'static str, source: String, begun: Duration) -> Engine {
    let job = engine.spawn(move |engine| engine.run(&source, name).map(drop)).expect("starts");
    std::thread::sleep(begun);
    let asked = Instant::now();
    job.cancel();
    wait(name, asked, || job.is_finished());
    println!("{name} stopped after {:?}", asked.elapsed());
    let (back, result) = job.wait();
    let error = result.expect_err("cancelled");
    assert_eq!(error.kind(), ErrorKind::Cancelled, "{name}: {error}");
    back
}

fn wait(name: &str, asked: Instant, is_finished: impl Fn() -> bool) {
    while !is_finished() && asked.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(is_finished(), "{name} does not stop");
}
