//! The interpreter of an engine, whatever its language.

use std::path::Path;

use crate::error::Result;
use crate::value::Value;

/// A name that a script knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The name.
    pub name: String,
    /// The type of its value: that of an object, or the language's word for it.
    pub ty: String,
    /// The primitive that it is, if it is one.
    pub primitive: Option<String>,
}

/// One interpreter with the primitives of a registry.
pub trait Frontend: Prompt + Send + Sync {
    /// Says in which folder modules beside the script are looked for; by default the working one.
    fn set_folder(&self, folder: Option<&Path>);

    /// Runs a script and gives its value; `name` is shown in messages.
    fn run(&self, source: &str, name: &str) -> Result<Value>;

    /// Calls a function of the script by its name.
    fn call_function(&self, name: &str, arguments: Vec<Value>) -> Result<Value>;

    /// Lets go of what a script that was ended left behind.
    fn recover(&self);
}

/// What a prompt asks of an interpreter beyond running scripts.
pub trait Prompt {
    /// Runs one input and gives its values.
    fn eval(&self, input: &str) -> Result<Vec<Value>> {
        self.eval_keeping(input, &[])
    }

    /// The same; the first value, unless it is nothing, is kept in the variables `names`.
    fn eval_keeping(&self, input: &str, names: &[String]) -> Result<Vec<Value>>;

    /// Runs the text of a file as if it were an input.
    fn load(&self, source: &str, name: &str) -> Result<()>;

    /// Whether an input parses. The error says whether more input could complete it.
    fn check(&self, input: &str) -> Result<()>;

    /// The names of the variables; with a path, the names inside the table that it leads to.
    fn names(&self, path: &[&str]) -> Vec<Name>;

    /// The names of imported modules, where these are no variables.
    fn imports(&self) -> Vec<String> {
        Vec::new()
    }

    /// Removes variables.
    fn forget(&self, names: &[String]);
}
