//! Waiting for a pipe whose reads and writes do not wait by themselves.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};

/// How long a side that waits for the other looks again and again before it sleeps: to be woken takes longer than most answers.
const AWAKE: Duration = Duration::from_micros(50);

/// Looks until `ready` says yes or it is time to sleep; whether it said yes.
pub(crate) fn awake<E>(mut ready: impl FnMut() -> Result<bool, E>) -> Result<bool, E> {
    let begin = Instant::now();
    loop {
        if ready()? {
            return Ok(true);
        }
        if begin.elapsed() > AWAKE {
            return Ok(false);
        }
        // Where there is one processor, the other side needs it.
        std::thread::yield_now();
    }
}

/// Sleeps until a pipe can be read from or written to.
pub(crate) fn sleep(pipe: &impl AsFd, what: PollFlags) -> std::io::Result<()> {
    match poll(&mut [PollFd::from_borrowed_fd(pipe.as_fd(), what)], None) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(e) => Err(e.into()),
    }
}
