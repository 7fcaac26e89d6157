//! What a script layer needs to know of an error to tell a script about it, whatever library the
//! error comes from.

/// The kinds of failure that a script layer tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// A function was called with a wrong argument.
    Argument,
    /// Something failed while it ran: a file, a tensor operation.
    Runtime,
    /// A limit set by the host was reached.
    Limit,
    /// Something was asked for that the host did not grant.
    Denied,
    /// The run was cancelled.
    Cancelled,
}

/// An error that can be told to a script. The script layer turns every `Fault` into its own error,
/// so it need not depend on the libraries it makes scriptable.
pub trait Fault: std::error::Error + Send + Sync + 'static {
    /// What kind of failure this is.
    fn kind(&self) -> FaultKind;

    /// The text for a person.
    fn text(&self) -> String {
        self.to_string()
    }

    /// The error that a callback of the script raised, where this error only carries it outward.
    /// Any other error is given back unchanged.
    fn into_callback(self) -> Result<Box<dyn std::error::Error + Send + Sync>, Self>
    where
        Self: Sized,
    {
        Err(self)
    }
}
