//! How a guest's process ended, as an error of the call that it ended in.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use lota_script::{Error, ErrorKind};

/// Why the host ended a guest.
pub(crate) enum Killed {
    /// Its time was over.
    Time(Duration),
    /// It was cancelled and did not stop.
    Cancelled,
    /// It said what no guest says.
    Nonsense(String),
}

/// The error of a call to a guest that is there no longer.
pub(crate) fn ended() -> Error {
    Error::new(ErrorKind::Crashed, "the process of this engine has ended; build another engine")
}

impl Killed {
    /// The error of the call.
    pub(crate) fn error(self) -> Error {
        match self {
            Self::Time(time) => Error::new(
                ErrorKind::Limit,
                format!(
                    "the script ran longer than the {} s it may run, and its process was ended",
                    time.as_secs_f64()
                ),
            ),
            Self::Cancelled => Error::cancelled(),
            Self::Nonsense(what) => Error::new(
                ErrorKind::Crashed,
                format!("the process of the script was ended, because it sent {what}"),
            ),
        }
    }
}

/// The error of a call whose process ended by itself. `told` is the end of what it wrote to its standard error.
pub(crate) fn error(status: Option<ExitStatus>, told: &[u8], memory: u64) -> Error {
    let told = String::from_utf8_lossy(told);
    let limit = |text: String| Error::new(ErrorKind::Limit, text);
    let crashed = |text: String| {
        let last = told.lines().map(str::trim).rfind(|line| !line.is_empty());
        let last = last.map(|line| format!(": {}", line.chars().take(300).collect::<String>()));
        Error::new(ErrorKind::Crashed, format!("{text}{}", last.unwrap_or_default()))
    };
    let Some(status) = status else {
        return crashed("the process of the script closed its pipe and did not end".into());
    };
    let Some(signal) = status.signal() else {
        let code = status.code().unwrap_or_default();
        return crashed(format!("the process of the script ended by itself, with code {code}"));
    };
    match signal {
        // What the standard library says before it gives up.
        libc::SIGABRT if told.contains("memory allocation of ") => limit(format!(
            "the script needs more memory than the {:.1} MiB its process may use beyond what it starts with",
            memory as f64 / f64::from(1 << 20)
        )),
        libc::SIGABRT | libc::SIGSEGV if told.contains("has overflowed its stack") => {
            limit("the script needs more stack than its process has: its values or its calls nest too deep".into())
        }
        libc::SIGXCPU => limit("the script used more processor time than its process may use".into()),
        libc::SIGXFSZ => limit("the script wrote a larger file than its process may write".into()),
        libc::SIGSYS => crashed("the process of the script asked the system for what is not allowed".into()),
        libc::SIGKILL => crashed(
            "the process of the script was killed from outside (SIGKILL), as the system does where memory runs out".into(),
        ),
        _ => crashed(format!("the process of the script was ended by {}", name(signal))),
    }
}

fn name(signal: i32) -> String {
    let known = [
        (libc::SIGABRT, "SIGABRT"),
        (libc::SIGSEGV, "SIGSEGV"),
        (libc::SIGBUS, "SIGBUS"),
        (libc::SIGILL, "SIGILL"),
        (libc::SIGFPE, "SIGFPE"),
        (libc::SIGTERM, "SIGTERM"),
        (libc::SIGTRAP, "SIGTRAP"),
    ];
    let name = known.iter().find(|(number, _)| *number == signal);
    name.map_or_else(|| format!("signal {signal}"), |(_, name)| (*name).to_string())
}
