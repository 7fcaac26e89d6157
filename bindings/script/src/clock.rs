//! A clock that rings when a call has taken too long.
//!
//! Its thread is started by the first call and sleeps until that call's time would be over, also when the call has ended long before: a
//! call that begins meanwhile only leaves its own time behind, and costs no wake-up. A thread that wakes and finds no call ends.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// What is to happen when the time is over. It runs on the clock's thread, while no call can end.
type Ring = Box<dyn FnOnce() + Send>;

#[derive(Default)]
pub(crate) struct Clock(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// When the call that is under way is to end, and what happens then.
    call: Option<(Instant, Ring)>,
    /// Until when the thread sleeps, if there is one.
    sleeps: Option<Instant>,
    /// Whether the clock is there no longer.
    closed: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock {
    /// Rings at `end`, unless it is stopped before. The error is that of a thread that could not be started.
    pub(crate) fn start(&self, end: Instant, ring: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
        let mut state = self.0.state();
        state.call = Some((end, Box::new(ring)));
        match state.sleeps {
            Some(until) if until <= end => {}
            Some(_) => self.0.changed.notify_one(),
            None => {
                let shared = self.0.clone();
                let thread = std::thread::Builder::new().name("lota clock".into()).stack_size(128 << 10);
                thread.spawn(move || watch(&shared))?;
                state.sleeps = Some(end);
            }
        }
        Ok(())
    }

    /// Ends the call; false if the clock has rung. It does not ring afterwards.
    pub(crate) fn stop(&self) -> bool {
        self.0.state().call.take().is_some()
    }
}

fn watch(shared: &Shared) {
    let mut state = shared.state();
    loop {
        let now = Instant::now();
        if state.closed {
            return;
        }
        match state.call.take() {
            Some((end, ring)) if now >= end => {
                ring();
                state.sleeps = None;
                return;
            }
            Some((end, ring)) => {
                state.call = Some((end, ring));
                state.sleeps = Some(end);
                let waited = shared.changed.wait_timeout(state, end - now);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
            None => {
                state.sleeps = None;
                return;
            }
        }
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.0.state().closed = true;
        self.0.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use super::*;

    fn counted(rung: &Arc<AtomicU32>) -> impl FnOnce() + Send + 'static {
        let rung = rung.clone();
        move || {
            rung.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn it_rings_once_for_a_call_that_takes_too_long() {
        let (clock, rung) = (Clock::default(), Arc::default());
        clock.start(Instant::now() + Duration::from_millis(10), counted(&rung)).expect("a thread");
        while rung.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        assert!(!clock.stop(), "it has rung");
        // The next call has its own.
        clock.start(Instant::now() + Duration::from_millis(10), counted(&rung)).expect("a thread");
        while rung.load(Ordering::SeqCst) == 1 {
            std::thread::yield_now();
        }
        assert!(!clock.stop());
    }

    #[test]
    fn a_call_that_ends_in_time_is_not_rung_for() {
        let (clock, rung) = (Clock::default(), Arc::default());
        let soon = Duration::from_millis(20);
        for _ in 0..1000 {
            clock.start(Instant::now() + Duration::from_secs(1000), counted(&rung)).expect("a thread");
            assert!(clock.stop());
        }
        // A shorter time than the one the thread sleeps for wakes it.
        clock.start(Instant::now() + soon, counted(&rung)).expect("a thread");
        while rung.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        assert!(!clock.stop());
        assert_eq!(rung.load(Ordering::SeqCst), 1);
    }
}
