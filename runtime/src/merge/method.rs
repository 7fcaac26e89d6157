//! Merge methods: their parameters, the inputs they take, and how they merge one tensor.

use std::borrow::Cow;

use super::settings::{ANY, Kind, Param, Scalar, Scope};
use super::{Group, Sink};
use crate::{Error, Result};

/// What a method does with a base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// It needs one.
    Required,
    /// It uses one that is given.
    Optional,
    /// It treats a base like any other input.
    Ignored,
}

/// The least and the most allowed number; `None`: no limit.
pub type Count = (usize, Option<usize>);

/// The description of a method.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Its name.
    pub name: Cow<'static, str>,
    /// One line.
    pub doc: Cow<'static, str>,
    /// Where it comes from.
    pub source: &'static str,
    /// Its parameters.
    pub params: Vec<Param>,
    /// What it does with a base.
    pub base: Base,
    /// How many inputs it takes, the base counted.
    pub inputs: Count,
    /// How many it takes besides the base.
    pub others: Count,
    /// Whether the method is given infinities and NaN that an input holds, and what counts is that its result has none;
    /// otherwise such inputs are an error before it begins.
    pub any_values: bool,
    /// Whether it draws random numbers.
    pub random: bool,
}

impl Spec {
    /// A method with no parameters that takes one input or more.
    pub fn new(name: &'static str, doc: &'static str, source: &'static str) -> Self {
        Self {
            name: name.into(),
            doc: doc.into(),
            source,
            params: Vec::new(),
            base: Base::Ignored,
            inputs: (1, None),
            others: (0, None),
            any_values: false,
            random: false,
        }
    }

    /// Says what it does with a base.
    pub fn base(mut self, base: Base) -> Self {
        self.base = base;
        self
    }

    /// Says how many inputs it takes, the base counted.
    pub fn inputs(mut self, least: usize, most: Option<usize>) -> Self {
        self.inputs = (least, most);
        self
    }

    /// Says how many it takes besides the base.
    pub fn others(mut self, least: usize, most: Option<usize>) -> Self {
        self.others = (least, most);
        self
    }

    /// Says that it draws random numbers.
    pub fn random(mut self) -> Self {
        self.random = true;
        self
    }

    /// Says that the method is given infinities and NaN that an input holds.
    pub fn any_values(mut self) -> Self {
        self.any_values = true;
        self
    }

    /// Adds a parameter.
    pub fn param(
        mut self,
        name: impl Into<Cow<'static, str>>,
        kind: Kind,
        scope: Scope,
        default: Option<Scalar>,
        doc: &'static str,
    ) -> Self {
        self.params.push(Param { name: name.into(), kind, scope, default, range: ANY, doc });
        self
    }

    /// Says the least and the most that the parameter added last may be.
    pub fn between(mut self, least: f64, most: f64) -> Self {
        if let Some(param) = self.params.last_mut() {
            param.range = (least, most);
        }
        self
    }

    /// Adds a number with a default, of the merge.
    pub fn number(self, name: &'static str, default: f64, doc: &'static str) -> Self {
        self.param(name, Kind::Number, Scope::Shared, Some(Scalar::Number(default)), doc)
    }

    /// Adds a number with a default, of each input besides the base.
    pub fn each(self, name: &'static str, default: f64, doc: &'static str) -> Self {
        self.param(name, Kind::Number, Scope::Other, Some(Scalar::Number(default)), doc)
    }

    /// Adds a truth value of the merge.
    pub fn flag(self, name: &'static str, default: bool, doc: &'static str) -> Self {
        self.param(name, Kind::Flag, Scope::Shared, Some(Scalar::Flag(default)), doc)
    }

    /// Adds the weight that every input besides the base must have.
    pub fn weights(self) -> Self {
        self.param("weight", Kind::Number, Scope::Other, None, "how much of the model goes in")
    }

    /// The position of the base among the inputs with these labels; `None` for a method that ignores bases. An error if
    /// the number of inputs or the missing base does not suit the method.
    pub fn check(&self, labels: &[&str], base: Option<&str>, place: &str) -> Result<Option<usize>> {
        let at = if place.is_empty() { String::new() } else { format!(" ({place})") };
        let refused = |what: String| Error::argument(format!("{}{at} {what}", self.name));
        for (i, label) in labels.iter().enumerate() {
            if labels[..i].contains(label) {
                return Err(refused(format!("is given {label} twice")));
            }
        }
        let found = base.and_then(|base| labels.iter().position(|l| *l == base));
        let found = match self.base {
            Base::Ignored => None,
            Base::Required if found.is_none() => {
                return Err(refused(match base {
                    None => "needs a base model: say base_model".to_string(),
                    Some(base) => format!(
                        "needs {base}, the base_model, among its sources: add it there, or name another base_model in this slice"
                    ),
                }));
            }
            Base::Optional | Base::Required => found,
        };
        let count = |given: usize, (least, most): Count, [one, many]: [&str; 2]| {
            let models = |n: usize| format!("{n} {}", if n == 1 { one } else { many });
            let wanted = match most {
                Some(most) if given > most && most > least => format!("at most {}", models(most)),
                Some(most) if given > most || given < least && most == least => {
                    format!("exactly {}", models(most))
                }
                _ if given < least => format!("at least {}", models(least)),
                _ => return Ok(()),
            };
            Err(refused(format!("takes {wanted}, and is given {given}")))
        };
        count(labels.len(), self.inputs, ["model", "models"])?;
        let others = labels.len() - usize::from(found.is_some());
        count(others, self.others, ["model besides the base", "models besides the base"])?;
        Ok(found)
    }
}

/// A way to make one tensor of several.
pub trait Method: Send + Sync {
    /// Its description.
    fn spec(&self) -> &Spec;

    /// Merges the tensors of a group and writes every entry of the result. The inputs have been checked against the
    /// description.
    fn merge(&self, group: &Group<'_>, sink: &dyn Sink) -> Result<()>;

    /// Whether the same inputs and parameters always give the same result. A function of a script may not, and may differ
    /// in the next run, so that a merge with it is never resumed.
    fn repeatable(&self) -> bool {
        true
    }

    /// Whether it must run on the thread that asked for the merge, one tensor after the other.
    fn sequential(&self) -> bool {
        false
    }
}
