//! Files of other programs for sparse changes of weights: tickets are written as them and, where a file holds a whole
//! change, made of them.
//!
//! What these formats are, and what they have no place for, is told in `docs/tickets.md`.

mod about;
mod peft;
mod shira;
mod supertuning;
mod tensors;
mod trl;

use std::fs::File;
use std::path::Path;

use super::codec::ValueType;
use super::file::Saved;
use super::{Meta, Ticket};
use crate::host::Host;
use crate::host::container::Header;
use crate::model::Params;
use crate::ops::Exec;
use crate::{Error, Result};

/// A format of another program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// The patches of TRL's asynchronous GRPO: a safetensors file of gaps and bf16 values.
    Trl,
    /// The arrays that vLLM's sparse update takes, in TRL's layout: int32 positions, f32 or bf16 values, and shapes. Nothing in
    /// vLLM reads a file: a program of the user's hands the arrays over.
    Vllm,
    /// The folder of a SHiRA adapter of peft: differences from the base, of linear layers.
    Shira,
    /// The folder of a Super-Tuning adapter of peft: the same, with another layout.
    Supertuning,
}

/// The model that a ticket belongs to, where one is needed.
#[derive(Clone, Copy)]
pub struct Base<'a> {
    /// How its operations are carried out.
    pub exec: &'a Exec,
    /// Its weights, with no tickets applied.
    pub params: &'a Params,
    /// What an adapter's configuration calls it.
    pub name: &'a str,
}

impl Foreign {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Trl, Self::Vllm, Self::Shira, Self::Supertuning];

    /// The word used in scripts and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trl => "trl",
            Self::Vllm => "vllm",
            Self::Shira => "shira",
            Self::Supertuning => "supertuning",
        }
    }

    /// The format of a word.
    pub fn parse(word: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == word).ok_or_else(|| {
            Error::argument(format!(
                "{word:?} is no format of sparse changes: use \"trl\", \"vllm\", \"shira\" or \"supertuning\""
            ))
        })
    }

    /// The format of what is at a path, told by the file's metadata or the adapter's configuration; `None` if it is none of
    /// these (a ticket, or something that the reader of tickets will name). An adapter of another kind is an error.
    pub fn of(path: &Path) -> Result<Option<Self>> {
        if path.is_dir() {
            return peft::kind(path).map(Some);
        }
        let metadata = metadata(path).ok().flatten();
        Ok(metadata.filter(|texts| texts.get("format").is_some_and(|f| f == trl::FORMAT)).map(|_| Self::Trl))
    }

    /// Makes a ticket of a file or folder in this format. `base` is the model it changes, with no tickets applied: these
    /// formats hold no shapes, and peft's only differences.
    ///
    /// # Errors
    ///
    /// The file is damaged, changes parameters or entries that the base does not have, holds something that is no sparse change
    /// (whole weights, factors of low rank), or says that it belongs to another base.
    pub fn read(self, path: &Path, base: Option<Base<'_>>, host: &Host) -> Result<Ticket> {
        let base = base.ok_or_else(|| {
            Error::format(
                path,
                format!(
                    "is in the format {}, which does not say what model it changes: give the base model",
                    self.as_str()
                ),
            )
        })?;
        let (mask, values, about) = match self {
            Self::Trl | Self::Vllm => trl::read(path, base, host)?,
            Self::Shira => peft::read(path, &shira::KIND, base, host)?,
            Self::Supertuning => peft::read(path, &supertuning::KIND, base, host)?,
        };
        let fingerprint = base.params.fingerprint(base.exec)?;
        let mut meta = match about {
            Some(about) => about,
            None => {
                host.events.notice(format!(
                    "{}: the file does not say which base it belongs to; the ticket is bound to the model that was given",
                    path.display()
                ));
                Meta::new(fingerprint, self.as_str())
            }
        };
        meta.settings.insert("read_from".into(), self.as_str().into());
        let ticket = Ticket::new(mask, values, meta)?;
        ticket
            .check(base.params, &base.params.fingerprint(base.exec)?)
            .map_err(|e| Error::format(path, e.to_string()))?;
        Ok(ticket)
    }

    /// The type of values that is written if none is asked for.
    fn usual(self) -> ValueType {
        if self == Self::Trl { ValueType::Bf16 } else { ValueType::F32 }
    }
}

impl Ticket {
    /// Writes the ticket in a format of another program: a file, or a folder for `shira` and `supertuning`, which need the
    /// base. `values` is the type of the values; `None` is the usual one of the format. What other programs pass over is told
    /// as a notice.
    ///
    /// In the result, the error of peft's formats is that of adding the differences to the base in f32.
    ///
    /// # Errors
    ///
    /// The format cannot hold the ticket (another type of values, parameters that are no linear layers, tensors of 2^31 entries
    /// or more), or the base is lacking or another.
    pub fn save_foreign(
        &self,
        path: &Path,
        to: Foreign,
        values: Option<ValueType>,
        base: Option<Base<'_>>,
        host: &Host,
    ) -> Result<Saved> {
        let values = values.unwrap_or(to.usual());
        let allowed: &[ValueType] = match to {
            Foreign::Trl => &[ValueType::Bf16],
            Foreign::Vllm => &[ValueType::F32, ValueType::Bf16],
            Foreign::Shira | Foreign::Supertuning => &[ValueType::F32],
        };
        if !allowed.contains(&values) {
            let words: Vec<&str> = allowed.iter().map(|kind| kind.as_str()).collect();
            return Err(Error::argument(format!(
                "the format {} holds values as {}, not as {}",
                to.as_str(),
                words.join(" or "),
                values.as_str()
            )));
        }
        if let Some((_, spec, _)) = self.mask.selected().find(|(_, spec, _)| spec.entries() >= 1 << 31) {
            return Err(Error::argument(format!(
                "parameter {} has shape {:?}: the format {} counts entries with 31 bits, which are too few for it",
                spec.name,
                spec.shape,
                to.as_str()
            )));
        }
        if self.mask.is_empty() {
            return Err(Error::argument(format!(
                "the ticket sets no entries, and the format {} has no place for that",
                to.as_str()
            )));
        }
        if let Some(base) = base {
            self.check(base.params, &base.params.fingerprint(base.exec)?)?;
        }
        let needed = || {
            base.ok_or_else(|| {
                Error::argument(format!(
                    "the format {} holds differences from the base: give the base model",
                    to.as_str()
                ))
            })
        };
        let saved = match to {
            Foreign::Trl => trl::save(self, path, &trl::PATCH, values, host),
            Foreign::Vllm => trl::save(self, path, &trl::ARRAYS, values, host),
            Foreign::Shira => shira::save(self, path, needed()?, host),
            Foreign::Supertuning => supertuning::save(self, path, needed()?, host),
        }?;
        host.events.notice(format!(
            "{}: where the ticket came from (base, method, settings, seed, data) is kept in the file's metadata under \
             \"lota\", which other programs pass over: none of them checks that it is applied to its base",
            path.display()
        ));
        Ok(saved)
    }
}

/// The texts that the header of a safetensors file holds; `None` if it is no such file.
fn metadata(path: &Path) -> Result<Option<std::collections::BTreeMap<String, String>>> {
    let mut file = File::open(path).map_err(|e| Error::io(path, e))?;
    let size = file.metadata().map_err(|e| Error::io(path, e))?.len();
    Ok(Header::read(&mut file, size).ok().map(|header| header.metadata))
}

#[cfg(test)]
mod tests;
