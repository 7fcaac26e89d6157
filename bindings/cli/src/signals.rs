//! Signals that ask the program to end: Ctrl-C (SIGINT), what a scheduler sends (SIGTERM) and what a closed terminal
//! sends (SIGHUP). The first asks what runs to stop, so that a training saves what it has; the next ends the program. A script
//! that waits for another program (`os.execute`, `io.popen`) stops when that program has ended, or at the second signal.

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use lota::runtime::host::Cancel;

use super::output::note;

const INTERRUPT: i32 = 2;

/// The last signal that came, or 0.
static RECEIVED: AtomicI32 = AtomicI32::new(0);
/// Whether the program waits for a line at the prompt: nothing runs that could be stopped.
static IDLE: AtomicBool = AtomicBool::new(false);

/// The exit code of a program that a signal ended: 130, 143 or 129; 130 as well where a host's switch stopped it.
pub(super) fn exit_code() -> u8 {
    match RECEIVED.load(Ordering::SeqCst) {
        0 => 130,
        signal => u8::try_from(128 + signal).unwrap_or(130),
    }
}

/// Whether a signal came that ends a prompt as well: any but Ctrl-C.
pub(crate) fn is_ending() -> bool {
    !matches!(RECEIVED.load(Ordering::SeqCst), 0 | INTERRUPT)
}

/// Waits for a line. A signal that comes meanwhile ends the program at once, and so does one that came just before.
pub(crate) fn idle<T>(wait: impl FnOnce() -> T) -> T {
    IDLE.store(true, Ordering::SeqCst);
    if is_ending() {
        std::process::exit(i32::from(exit_code()));
    }
    let result = wait();
    IDLE.store(false, Ordering::SeqCst);
    result
}

/// What the next signal does.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// Asks what runs to stop.
    Stop,
    /// The same, with a warning that the next one ends the program.
    Warn,
    /// Ends the program.
    End,
}

/// Counts the signals since what runs was first asked to stop.
struct Patience {
    /// How many times Ctrl-C only asks.
    most: usize,
    asked: usize,
}

impl Patience {
    /// The answer to a signal. `pending` says whether what runs was asked before and has not stopped yet.
    fn answer(&mut self, signal: i32, pending: bool, idle: bool) -> Answer {
        if !pending {
            self.asked = 0;
        }
        let most = if signal == INTERRUPT { self.most } else { 1 };
        self.asked += 1;
        match most + 1 - self.asked.min(most + 1) {
            _ if idle && signal != INTERRUPT => Answer::End,
            0 => Answer::End,
            1 if most > 1 => Answer::Warn,
            _ => Answer::Stop,
        }
    }
}

/// Lets signals ask what runs to stop. Ctrl-C that comes more than `patience` times for it, or another signal that comes
/// twice, ends the program.
pub(super) fn stop_on_signals(cancel: Cancel, patience: usize) {
    let mut patience = Patience { most: patience, asked: 0 };
    let terminal = system::terminal();
    let handle = move |signal: i32| {
        // Before looking whether the prompt waits: one that is about to wait looks for a signal after it has said so.
        RECEIVED.store(signal, Ordering::SeqCst);
        let answer = patience.answer(signal, cancel.is_cancelled(), IDLE.load(Ordering::SeqCst));
        match answer {
            Answer::End => {
                system::restore(terminal.as_ref());
                std::process::exit(i32::from(exit_code()));
            }
            Answer::Warn => note("\nstopping; once more ends the program, and its variables are lost\n"),
            Answer::Stop => {}
        }
        cancel.cancel();
    };
    if let Err(e) = system::listen(handle) {
        note(&format!("note: signals cannot be caught here and will end the program at once: {e}\n"));
    }
}

#[cfg(unix)]
mod system {
    use std::io::{Error, Result};
    use std::mem::zeroed;
    use std::ptr::null;

    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;

    /// Calls `handle` for each signal, on a thread of its own.
    pub(super) fn listen(mut handle: impl FnMut(i32) + Send + 'static) -> Result<()> {
        let mut wanted = vec![SIGINT, SIGTERM];
        if !is_ignored(SIGHUP) {
            wanted.push(SIGHUP);
        }
        let mut signals = Signals::new(wanted)?;
        std::thread::Builder::new()
            .name("signals".into())
            .spawn(move || signals.forever().for_each(&mut handle))?;
        Ok(())
    }

    /// Whether the program was started with a signal ignored, as `nohup` does with SIGHUP.
    fn is_ignored(signal: i32) -> bool {
        // SAFETY: all-zero bytes are a valid `sigaction`; without a new action the call only writes the old one there.
        unsafe {
            let mut old: libc::sigaction = zeroed();
            libc::sigaction(signal, null(), &raw mut old) == 0 && old.sa_sigaction == libc::SIG_IGN
        }
    }

    /// How the terminal of standard input is set, if it is one.
    pub(super) fn terminal() -> Option<libc::termios> {
        // SAFETY: all-zero bytes are a valid `termios`, which the call only writes.
        unsafe {
            let mut set: libc::termios = zeroed();
            (libc::tcgetattr(libc::STDIN_FILENO, &raw mut set) == 0).then_some(set)
        }
    }

    /// Sets the terminal as it was: a line editor that is ended would leave it without echo.
    pub(super) fn restore(terminal: Option<&libc::termios>) {
        if let Some(set) = terminal {
            // SAFETY: the call reads `set`, which `tcgetattr` wrote.
            if unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, set) } == 0 {
                super::note("\n");
            } else {
                super::note(&format!(
                    "note: the terminal could not be set back: {}\n",
                    Error::last_os_error()
                ));
            }
        }
    }
}

#[cfg(not(unix))]
mod system {
    use std::io::{Error, Result};

    /// Calls `handle` for each Ctrl-C.
    pub(super) fn listen(mut handle: impl FnMut(i32) + Send + 'static) -> Result<()> {
        ctrlc::set_handler(move || handle(super::INTERRUPT)).map_err(Error::other)
    }

    /// Nothing is kept of the terminal here.
    pub(super) fn terminal() -> Option<()> {
        None
    }

    /// Nothing was kept of the terminal here.
    pub(super) fn restore(_: Option<&()>) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMINATE: i32 = 15;

    #[test]
    fn a_script_is_asked_once_and_a_prompt_more_often() {
        let mut script = Patience { most: 1, asked: 0 };
        assert_eq!(script.answer(INTERRUPT, false, false), Answer::Stop);
        assert_eq!(script.answer(INTERRUPT, true, false), Answer::End);
        let mut prompt = Patience { most: 3, asked: 0 };
        let answers: Vec<Answer> = (0..4).map(|i| prompt.answer(INTERRUPT, i > 0, false)).collect();
        assert_eq!(answers, [Answer::Stop, Answer::Stop, Answer::Warn, Answer::End]);
        // What was stopped does not count for what comes after it.
        assert_eq!(prompt.answer(INTERRUPT, false, false), Answer::Stop);
    }

    #[test]
    fn any_other_signal_asks_once_and_ends_a_prompt_that_waits() {
        let mut prompt = Patience { most: 3, asked: 0 };
        assert_eq!(prompt.answer(TERMINATE, false, false), Answer::Stop);
        assert_eq!(prompt.answer(TERMINATE, true, false), Answer::End);
        let mut waiting = Patience { most: 3, asked: 0 };
        assert_eq!(waiting.answer(INTERRUPT, false, true), Answer::Stop);
        assert_eq!(waiting.answer(TERMINATE, false, true), Answer::End);
    }
}
