//! The error a script, a prompt or an embedding host sees: what was wrong, in which primitive, at
//! which line, and what to do.

use std::fmt;
use std::sync::Arc;

use lota_host::{Fault, FaultKind};

/// The result of every fallible function of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of thing went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The script does not parse.
    Syntax,
    /// Something failed while the script ran.
    Runtime,
    /// A primitive was called with the wrong arguments.
    Argument,
    /// The options on the command line are not those the script declares.
    Usage,
    /// A limit set by the host was reached.
    Limit,
    /// The script asked for something the host did not grant.
    Denied,
    /// The run was cancelled.
    Cancelled,
    /// A fault of the engine itself, such as a panic inside a primitive.
    Host,
    /// Not an error: the script asked to end with this exit code.
    Exit(i32),
    /// The process that an engine had to itself ended, and not by one of its limits.
    Crashed,
}

impl ErrorKind {
    /// The stable number of the kind, as the C interface gives it; 0 is left for success.
    pub fn code(self) -> i32 {
        match self {
            Self::Syntax => 1,
            Self::Runtime => 2,
            Self::Argument => 3,
            Self::Usage => 4,
            Self::Limit => 5,
            Self::Denied => 6,
            Self::Cancelled => 7,
            Self::Host => 8,
            Self::Exit(_) => 9,
            Self::Crashed => 10,
        }
    }

    /// The stable name of the kind.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::Runtime => "runtime",
            Self::Argument => "argument",
            Self::Usage => "usage",
            Self::Limit => "limit",
            Self::Denied => "denied",
            Self::Cancelled => "cancelled",
            Self::Host => "host",
            Self::Exit(_) => "exit",
            Self::Crashed => "crashed",
        }
    }
}

/// One failure. Displayed as `script.lua:12: mask.from_scores: what was wrong`.
#[derive(Clone)]
pub struct Error(Box<Parts>);

#[derive(Clone)]
struct Parts {
    kind: ErrorKind,
    message: String,
    primitive: Option<String>,
    place: Option<String>,
    traceback: Option<String>,
    incomplete: bool,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of a kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            kind,
            message: message.into(),
            primitive: None,
            place: None,
            traceback: None,
            incomplete: false,
            source: None,
        }))
    }

    /// A wrong argument.
    pub fn argument(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Argument, message)
    }

    /// A failure while running.
    pub fn runtime(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Runtime, message)
    }

    /// An error as it was told by another process.
    pub fn told(
        kind: ErrorKind,
        message: String,
        primitive: Option<String>,
        place: Option<String>,
        traceback: Option<String>,
        incomplete: bool,
    ) -> Self {
        Self(Box::new(Parts { kind, message, primitive, place, traceback, incomplete, source: None }))
    }

    /// Something the host did not grant.
    pub fn denied(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Denied, message)
    }

    /// The run was cancelled.
    pub fn cancelled() -> Self {
        Self::new(ErrorKind::Cancelled, "cancelled")
    }

    /// The script asks to end.
    pub fn exit(code: i32) -> Self {
        Self::new(ErrorKind::Exit(code), format!("exit with code {code}"))
    }

    /// The kind.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The text without place and primitive.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The primitive that failed, if one did.
    pub fn primitive(&self) -> Option<&str> {
        self.0.primitive.as_deref()
    }

    /// About what it takes in memory, in bytes.
    #[cfg(feature = "rhai")]
    pub(crate) fn weight(&self) -> usize {
        let texts = [&self.0.primitive, &self.0.place, &self.0.traceback];
        let texts: usize = texts.iter().filter_map(|text| text.as_ref().map(String::len)).sum();
        2 * size_of::<Parts>() + self.0.message.len() + texts
    }

    /// `file:line` of the script, where known.
    pub fn place(&self) -> Option<&str> {
        self.0.place.as_deref()
    }

    /// The script's call stack, where known.
    pub fn traceback(&self) -> Option<&str> {
        self.0.traceback.as_deref()
    }

    /// Whether more input could make a script that does not parse, parse.
    pub fn is_incomplete(&self) -> bool {
        self.0.incomplete
    }

    /// Names the primitive, unless one is named already or the error is a callback's own.
    pub fn in_primitive(mut self, name: &str) -> Self {
        if self.0.primitive.is_none() && self.0.source.is_none() && self.is_of_code() {
            self.0.primitive = Some(name.to_string());
        }
        self
    }

    /// Whether this is a failure, not a cancellation or an exit.
    pub fn is_failure(&self) -> bool {
        !matches!(self.0.kind, ErrorKind::Cancelled | ErrorKind::Exit(_))
    }

    /// Whether it belongs to a place of the script; a wrong command line does not.
    pub(crate) fn is_of_code(&self) -> bool {
        self.is_failure() && self.0.kind != ErrorKind::Usage
    }

    pub(crate) fn at(mut self, place: Option<String>) -> Self {
        if self.0.place.is_none() && self.is_of_code() {
            self.0.place = place;
        }
        self
    }

    pub(crate) fn with_traceback(mut self, traceback: impl Into<String>) -> Self {
        if self.0.traceback.is_none() && self.is_of_code() {
            self.0.traceback = Some(traceback.into());
        }
        self
    }

    pub(crate) fn incomplete(mut self, incomplete: bool) -> Self {
        self.0.incomplete = incomplete;
        self
    }

    pub(crate) fn caused_by(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.0.source = Some(Arc::new(source));
        self
    }

    pub(crate) fn cause<E: std::error::Error + 'static>(&self) -> Option<&E> {
        self.0.source.as_ref().and_then(|s| s.downcast_ref())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.0.place {
            write!(f, "{place}: ")?;
        }
        if let Some(primitive) = &self.0.primitive {
            write!(f, "{primitive}: ")?;
        }
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {self}", self.0.kind.as_str())
    }
}

impl std::error::Error for Error {}

impl<E: Fault> From<E> for Error {
    fn from(fault: E) -> Self {
        let kind = match fault.kind() {
            FaultKind::Argument => ErrorKind::Argument,
            FaultKind::Limit => ErrorKind::Limit,
            FaultKind::Denied => ErrorKind::Denied,
            FaultKind::Cancelled => ErrorKind::Cancelled,
            FaultKind::Runtime => ErrorKind::Runtime,
        };
        match fault.into_callback() {
            // A script's own error that went through a library comes back as itself.
            Ok(inner) => match inner.downcast::<Self>() {
                Ok(own) => *own,
                Err(other) => Self::runtime(other.to_string()),
            },
            Err(fault) => Self::new(kind, fault.text()),
        }
    }
}
