//! What is known of a primitive before it is called: its name, documentation, parameters, result and example.

use crate::language::Language;
use crate::op::Op;
use crate::param::{Param, Place, Text, literal_in};

/// All that a [`Primitive`](crate::Primitive) says of itself. Documentation, completion and the checks of arguments read it.
#[derive(Clone, Debug)]
pub struct Record {
    pub(crate) name: Text,
    pub(crate) doc: Text,
    pub(crate) details: Text,
    pub(crate) params: Vec<Param>,
    pub(crate) result: Text,
    pub(crate) result_doc: Text,
    pub(crate) example: Text,
    pub(crate) example_rhai: Option<Text>,
    pub(crate) operator: Option<Op>,
    pub(crate) open: Option<Text>,
    pub(crate) constant: bool,
    /// Names that other libraries have for options, and what to write instead.
    pub(crate) elsewhere: Vec<(&'static str, &'static str)>,
    pub(crate) plan: CallPlan,
}

/// What every call asks of the record, kept so that no call reads its texts.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallPlan {
    /// Whether the first parameter is the object of a method.
    pub method: bool,
    /// The number of parameters that are written by position.
    pub positional: usize,
    /// The parameter that takes all further values.
    pub rest: Option<usize>,
    /// Whether there can be an options table.
    pub options: bool,
    /// The parameters that count positions.
    pub positions: Vec<usize>,
    /// Whether the result does.
    pub result_positions: bool,
    /// Whether it takes what no value is made of, as a list with holes, to show it.
    pub shows: bool,
    /// Whether it makes something large, as a model.
    pub large: bool,
}

impl Record {
    /// `area.name` or `Type:name`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The type it is a method of.
    pub fn owner(&self) -> Option<&str> {
        self.name.split_once(':').map(|(owner, _)| owner)
    }

    /// The area (`mask` of `mask.union`; empty for the top table), where it is not a method.
    pub fn area(&self) -> Option<&str> {
        match self.owner() {
            Some(_) => None,
            None => Some(self.name.rsplit_once('.').map_or("", |(area, _)| area)),
        }
    }

    /// The last part of the name.
    pub fn short_name(&self) -> &str {
        self.name.rsplit(['.', ':']).next().unwrap_or(&self.name)
    }

    /// The one-line documentation.
    pub fn doc(&self) -> &str {
        &self.doc
    }

    /// The longer documentation, or empty.
    pub fn long_doc(&self) -> &str {
        &self.details
    }

    /// The parameters, with `self` first for a method.
    pub fn params(&self) -> &[Param] {
        &self.params
    }

    /// The type of the result and its line.
    pub fn result(&self) -> (&str, &str) {
        (&self.result, &self.result_doc)
    }

    /// The example in Lua, or empty.
    pub fn example_source(&self) -> &str {
        &self.example
    }

    /// The example in Rhai, where the record has one of its own.
    pub fn own_rhai_example(&self) -> Option<&str> {
        self.example_rhai.as_deref()
    }

    /// The operator, if any.
    pub fn operator_tag(&self) -> Option<Op> {
        self.operator
    }

    /// What options of any name mean, where they are allowed.
    pub fn open_doc(&self) -> Option<&str> {
        self.open.as_deref()
    }

    /// The number of positional parameters, `self` and the rest included.
    pub fn positional(&self) -> usize {
        self.plan.positional
    }

    /// What a call asks.
    pub(crate) fn plan(&self) -> &CallPlan {
        &self.plan
    }

    /// Whether it takes what no value is made of, as a list with holes, to show it.
    pub fn is_shown_everything(&self) -> bool {
        self.plan.shows
    }

    /// Whether the name is a value, not a function.
    pub fn is_constant(&self) -> bool {
        self.constant
    }

    /// The call as documentation writes it, in Lua.
    pub fn signature(&self) -> String {
        self.signature_in(Language::Lua)
    }

    /// The name as a script of a language writes it: `mask.union` or `mask::union`, `Mask:count` or
    /// `Mask.count`; without the `lota` before it.
    pub fn name_in(&self, language: Language) -> String {
        match language {
            Language::Lua => self.name.to_string(),
            Language::Rhai => {
                self.name.replace('.', "::").replacen(':', ".", usize::from(self.owner().is_some()))
            }
        }
    }

    /// The call as documentation writes it.
    pub fn signature_in(&self, language: Language) -> String {
        if self.constant {
            return self.name_in(language);
        }
        let (open, set) = match language {
            Language::Lua => ("{", " ="),
            Language::Rhai => ("#{", ":"),
        };
        let method = self.owner().is_some();
        let mut parts: Vec<String> = Vec::new();
        for p in self.params.iter().skip(usize::from(method)) {
            match p.place {
                Place::Positional if p.required => parts.push(p.name.to_string()),
                Place::Positional => parts.push(format!("{}?", p.name)),
                Place::Rest => parts.push("...".into()),
                Place::Option => {}
            }
        }
        let mut options: Vec<String> = self
            .params
            .iter()
            .filter(|p| p.place == Place::Option)
            .map(|p| {
                if p.default.is_nil() {
                    format!("{}{set}", p.name)
                } else {
                    format!("{}{set} {}", p.name, literal_in(&p.default, language))
                }
            })
            .collect();
        if self.open.is_some() {
            options.push("...".into());
        }
        if !options.is_empty() {
            parts.push(format!("{open}{}}}", options.join(", ")));
        }
        format!("{}({})", self.name_in(language), parts.join(", "))
    }
}
