//! How failures of the tensor library and of the runtime become errors of scripts, and the other way.

use lota_script::{Error, ErrorKind, Result};

/// A result of the tensor library as one of a primitive.
pub trait Told<T> {
    /// The same, with a failure told in the words of scripts.
    fn told(self) -> Result<T>;
}

impl<T> Told<T> for candle_core::Result<T> {
    fn told(self) -> Result<T> {
        self.map_err(|error| lota_runtime::Error::from(error).into())
    }
}

/// The error of a function of a script as one of the runtime that called it. It comes back out as itself.
pub fn of_callback(error: Error) -> lota_runtime::Error {
    match error.kind() {
        ErrorKind::Cancelled => lota_runtime::host::Error::Cancelled.into(),
        _ => lota_runtime::host::Error::Callback(Box::new(error)).into(),
    }
}
