//! An engine at work on a thread of its own: to cancel, to wait for, or to await.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use lota_runtime::host::Cancel;
use lota_script::{Error, ErrorKind, Result, panic_text};

use crate::engine::Engine;

/// Work on another thread, started with [`Engine::spawn`]. It ends with the engine and what the work gave.
///
/// Waiting needs no runtime: [`Job::wait`] blocks, and a job is a [`Future`] for any executor. A job that is
/// dropped is cancelled.
pub struct Job<T> {
    shared: Arc<Shared<T>>,
    cancel: Cancel,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

enum State<T> {
    Running(Option<Waker>),
    Done(Box<(Engine, Result<T>)>),
    Taken,
}

impl<T> Shared<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine {
    /// Works on a thread of its own, and gives the handle to it. The engine comes back with the result.
    pub fn spawn<T: Send + 'static>(
        self,
        work: impl FnOnce(&Engine) -> Result<T> + Send + 'static,
    ) -> Result<Job<T>> {
        Job::start(self, work)
    }
}

impl<T: Send + 'static> Job<T> {
    fn start(engine: Engine, work: impl FnOnce(&Engine) -> Result<T> + Send + 'static) -> Result<Self> {
        let shared = Arc::new(Shared { state: Mutex::new(State::Running(None)), changed: Condvar::new() });
        let (cancel, theirs) = (engine.cancel_handle(), shared.clone());
        let thread = std::thread::Builder::new().name("lota script".into()).stack_size(8 << 20);
        let started = thread.spawn(move || {
            let result = catch_unwind(AssertUnwindSafe(|| work(&engine))).unwrap_or_else(|panic| {
                Err(Error::new(ErrorKind::Host, format!("the job panicked: {}", panic_text(&*panic))))
            });
            let done = State::Done(Box::new((engine, result)));
            let before = std::mem::replace(&mut *theirs.state(), done);
            theirs.changed.notify_all();
            if let State::Running(Some(waker)) = before {
                waker.wake();
            }
        });
        started.map_err(|e| Error::new(ErrorKind::Host, format!("no thread could be started: {e}")))?;
        Ok(Self { shared, cancel })
    }
}

impl<T> Job<T> {
    /// Asks the work to stop; it ends with an error of kind [`ErrorKind::Cancelled`] soon after.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// A switch that does the same, to be kept elsewhere.
    pub fn cancel_handle(&self) -> Cancel {
        self.cancel.clone()
    }

    /// Whether the work has ended.
    pub fn is_finished(&self) -> bool {
        !matches!(*self.shared.state(), State::Running(_))
    }

    /// Blocks until the work has ended. The engine comes back ready for more, cancelled or not.
    pub fn wait(self) -> (Engine, Result<T>) {
        let mut state = self.shared.state();
        loop {
            if let Some(done) = take(&mut state, &self.cancel) {
                return done;
            }
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn take<T>(state: &mut State<T>, cancel: &Cancel) -> Option<(Engine, Result<T>)> {
    if !matches!(state, State::Done(_)) {
        return None;
    }
    match std::mem::replace(state, State::Taken) {
        State::Done(done) => {
            cancel.reset();
            Some(*done)
        }
        State::Running(_) | State::Taken => None,
    }
}

impl<T> Future for Job<T> {
    type Output = (Engine, Result<T>);

    /// Must not be polled again after it was ready, as usual.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.shared.state();
        if let Some(done) = take(&mut state, &self.cancel) {
            return Poll::Ready(done);
        }
        if let State::Running(waker) = &mut *state {
            *waker = Some(context.waker().clone());
        }
        Poll::Pending
    }
}

impl<T> Drop for Job<T> {
    fn drop(&mut self) {
        if matches!(*self.shared.state(), State::Running(_)) {
            self.cancel.cancel();
        }
    }
}
