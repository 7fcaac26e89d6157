//! A job as a future: any executor can await it. The one here is the smallest there is.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use lota::{Engine, Language, Result};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}

async fn sum_of(engine: Engine, n: i64) -> Result<(Engine, i64)> {
    engine.run("function sum(n) local s = 0 for i = 1, n do s = s + i end return s end", "sum.lua")?;
    let (engine, sum) = engine.spawn(move |engine| engine.call("sum", (n,)))?.await;
    Ok((engine, sum?))
}

fn main() -> Result<()> {
    let sum = block_on(async {
        let (engine, first) = sum_of(Engine::builder(Language::Lua).build()?, 1000).await?;
        let (_, second) = sum_of(engine, first).await?;
        Ok::<_, lota::Error>(second)
    })?;
    println!("{sum}");
    assert_eq!(sum, 500_500 * 500_501 / 2);
    Ok(())
}
