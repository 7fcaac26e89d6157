//! Ticket files: one safetensors file of positions, values and provenance.
//!
//! A ticket that the first version of the format can hold is written in it, so that older releases read it. The
//! second version names its codec.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::codec::{Codec, Loss, ValueType};
use super::form::Form;
use super::layout::{self, Written};
use super::{Meta, Ticket, short};
use crate::host::archive::{self, Archive, Kind};
use crate::mask::Mask;
use crate::mask::file::{read_universe, universe_json};
use crate::model::{Params, Universe};
use crate::ops::{Exec, scatter};
use crate::{Error, Result};

const KIND: Kind = Kind { format: "lota-ticket", noun: "ticket", version: 2 };
const FIRST: Kind = Kind { version: 1, ..KIND };
const DIFFERENCES: &str = "differences";

/// What a saved ticket takes, and what it lost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Saved {
    /// The size of the file.
    pub bytes: u64,
    /// Of that, what says which entries.
    pub index_bytes: u64,
    /// The fewest bytes for these positions, see [`super::entropy_bound`].
    pub bound_bytes: f64,
    /// Of the file, the values (with the sizes of their steps).
    pub value_bytes: u64,
    /// The number of entries.
    pub entries: u64,
    /// Values that were changed by being written; 0 in f32.
    pub rounded: u64,
    /// The largest difference between a number written and the one that was to be written.
    pub max_error: f64,
    /// The length of all these differences over the length of what was to be written (Euclidean).
    pub relative_error: f64,
}

/// The setting that says what was lost in forms that the ticket had before.
const ROUNDED: &str = "rounded_before";

impl Saved {
    /// Bytes of the file per entry.
    pub fn per_entry(&self) -> f64 {
        if self.entries == 0 { 0.0 } else { self.bytes as f64 / self.entries as f64 }
    }
}

impl Ticket {
    /// Writes the ticket beside `path` and renames it there.
    ///
    /// Plain: for each parameter with entries, `<name>.index` holds the portable roaring
    /// serialisation of the set and `<name>.values` the values in rising order of the entries (for
    /// int8 and ternary as steps, whose sizes are `<name>.scales`, one for each row with entries).
    /// Compact: `positions` holds the entropy code of all sets, `values` and `scales` the numbers of all
    /// parameters, in order.
    pub fn save<'a>(&self, path: &Path, form: impl Into<Form<'a>>) -> Result<Saved> {
        let mut form = form.into();
        // f32 and bf16 gain nothing from being written as differences.
        form.base = form.base.filter(|_| form.values.scaled());
        let (mut loss, mut rounded) = (Loss::default(), 0);
        let mut written = Vec::new();
        if let Some((exec, base)) = form.base {
            self.check(base, &base.fingerprint(exec)?)?;
        }
        for (i, spec, set) in self.mask.selected() {
            let differences = form.base.map(|base| self.differences(i, base)).transpose()?;
            let one = Written::new(spec, set, &self.values[i], differences, form.values)?;
            rounded += one.count_loss(&mut loss);
            written.push(one);
        }
        let plain = form.codec == Codec::Plain && !form.values.scaled() && form.base.is_none();
        let mut metadata = self.metadata()?;
        if !plain {
            metadata.push(("codec", form.codec.as_str().to_string()));
            metadata.push(("codec_version", form.codec.version().to_string()));
            metadata.push(("values", form.values.as_str().to_string()));
            let of = if form.base.is_some() { DIFFERENCES } else { "weights" };
            metadata.push(("values_of", of.to_string()));
        }
        if form.values != ValueType::F32 {
            metadata.push(("max_error", loss.max.to_string()));
            metadata.push(("relative_error", loss.relative().to_string()));
        }
        let (parts, index_bytes) = layout::parts(&self.mask, &written, form);
        let value_bytes = parts.iter().map(|part| part.bytes()).sum::<u64>() - index_bytes;
        let bytes = archive::save(path, if plain { &FIRST } else { &KIND }, &metadata, parts)?;
        Ok(Saved {
            bytes,
            index_bytes,
            bound_bytes: super::entropy_bound(&self.mask),
            value_bytes,
            entries: self.entries(),
            rounded,
            max_error: loss.max,
            relative_error: loss.relative(),
        })
    }

    /// The bytes that positions and values take in a file of this form, without its header.
    pub fn bytes(&self, codec: Codec, values: ValueType) -> u64 {
        let rows = |(_, spec, set)| super::codec::rows_of(spec, set).len() as u64;
        let scales = if values.scaled() { 4 * self.mask.selected().map(rows).sum::<u64>() } else { 0 };
        let own = |(_, _, set): (_, _, &RoaringBitmap)| values.bytes(set.len());
        match codec {
            Codec::Plain => self.mask.bytes() + scales + self.mask.selected().map(own).sum::<u64>(),
            Codec::Compact => {
                super::codec::encode(&self.mask).len() as u64 + scales + values.bytes(self.entries())
            }
        }
    }

    fn metadata(&self) -> Result<Vec<(&'static str, String)>> {
        let settings = serde_json::to_string(&self.meta.settings)
            .map_err(|e| Error::argument(format!("the settings of the ticket cannot be written: {e}")))?;
        let mut metadata = vec![
            ("base", self.meta.base.clone()),
            ("method", self.meta.method.clone()),
            ("settings", settings),
            ("made_by", self.meta.lota.clone()),
            ("universe", universe_json(self.mask.universe())?),
            ("entries", self.entries().to_string()),
        ];
        metadata.extend(self.meta.seed.map(|seed| ("seed", seed.to_string())));
        metadata.extend(self.meta.data.clone().map(|data| ("data", data)));
        Ok(metadata)
    }

    /// The differences of the values of a parameter from those of the base.
    pub(crate) fn differences(&self, param: usize, (exec, base): (&Exec, &Params)) -> Result<Vec<f32>> {
        let old: Vec<f32> = scatter::gather(exec, base.get(param), &self.mask.index(param)?)?.to_vec1()?;
        Ok(self.values[param].iter().zip(old).map(|(new, old)| new - old).collect())
    }

    /// Reads a ticket file. With `expected`, a ticket of another model is refused; without, the
    /// model is the one that the file describes. A file of differences is refused: see
    /// [`TicketFile::ticket`].
    pub fn load(path: &Path, expected: Option<&Arc<Universe>>) -> Result<Self> {
        TicketFile::read(path, expected)?.ticket(None)
    }
}

/// A ticket file that has been read: what a ticket is made from, and how it was written.
#[derive(Clone, Debug)]
pub struct TicketFile {
    path: PathBuf,
    mask: Mask,
    meta: Meta,
    numbers: Vec<Vec<f32>>,
    /// How positions are written.
    pub codec: Codec,
    /// How values are written.
    pub values: ValueType,
    /// Whether the values are differences from the base.
    pub differences: bool,
    /// The size of the file.
    pub bytes: u64,
    /// Of that, what says which entries.
    pub index_bytes: u64,
    /// The largest and the relative error of what was written, see [`Saved`]; `None` where they are
    /// not known (a file of an earlier lota, in bf16).
    pub error: Option<(f64, f64)>,
}

impl TicketFile {
    /// Reads a file. With `expected`, a ticket of another model is refused; without, the model is
    /// the one that the file describes.
    pub fn read(path: &Path, expected: Option<&Arc<Universe>>) -> Result<Self> {
        let mut archive = Archive::open(path, &KIND)?;
        let bytes = std::fs::metadata(path).map_err(|e| Error::io(path, e))?.len();
        let (codec, values, differences) = form_of(&archive)?;
        let universe = read_universe(&archive, expected)?;
        let meta = Meta {
            base: archive.meta("base")?.to_string(),
            method: archive.meta("method")?.to_string(),
            settings: archive.json("settings")?,
            seed: archive.optional("seed").map(|_| archive.parse("seed")).transpose()?,
            data: archive.optional("data").map(str::to_string),
            lota: archive.meta("made_by")?.to_string(),
        };
        let error = match (values, archive.optional("max_error")) {
            (ValueType::F32, _) => Some((0.0, 0.0)),
            (_, Some(_)) => Some((archive.parse("max_error")?, archive.parse("relative_error")?)),
            _ => None,
        };
        let contents = match codec {
            Codec::Plain => layout::read_plain(&mut archive, &universe, values)?,
            Codec::Compact => layout::read_compact(&mut archive, &universe, values)?,
        };
        let (mask, numbers) = (Mask::from_sets(universe, contents.sets), contents.numbers);
        let path = path.to_path_buf();
        let index_bytes = contents.index_bytes;
        Ok(Self { path, mask, meta, numbers, codec, values, differences, bytes, index_bytes, error })
    }

    /// The entries.
    pub fn mask(&self) -> &Mask {
        &self.mask
    }

    /// Where the ticket came from.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// The ticket. A file of differences takes the base model, without any tickets on it. What was lost by writing its values
    /// in fewer bits is added to the settings, as `rounded_before`: in whatever form it is written next, that stays lost.
    pub fn ticket(self, base: Option<(&Exec, &Params)>) -> Result<Ticket> {
        let mut values = self.numbers;
        let mut meta = self.meta;
        if let Some((largest, relative)) = self.error.filter(|(largest, _)| *largest > 0.0) {
            let percent = 100.0 * relative;
            let now = format!(
                "{}: at most by {largest:e}, together by {percent:.4} % (Euclidean)",
                self.values.as_str()
            );
            let before = meta.settings.get(ROUNDED).and_then(|value| value.as_str());
            let all = before.map_or_else(|| now.clone(), |before| format!("{before}; {now}"));
            meta.settings.insert(ROUNDED.to_string(), all.into());
        }
        if self.differences {
            let Some((exec, params)) = base else {
                return Err(Error::format(
                    &self.path,
                    "holds the differences of its values from its base, and is read with the base model at hand: \
                     give that model",
                ));
            };
            params.universe().check_same(self.mask.universe())?;
            let fingerprint = params.fingerprint(exec)?;
            if fingerprint != meta.base {
                return Err(Error::format(
                    &self.path,
                    format!(
                        "holds differences from the base {}, and the model given is {}: give the base, with no \
                         tickets applied",
                        short(&meta.base),
                        short(&fingerprint)
                    ),
                ));
            }
            for (i, ..) in self.mask.selected() {
                let old = scatter::gather(exec, params.get(i), &self.mask.index(i)?)?.to_vec1::<f32>()?;
                values[i].iter_mut().zip(old).for_each(|(value, old)| *value += old);
            }
        }
        Ticket::new(self.mask, values, meta)
            .map_err(|e| Error::format(&self.path, format!("is damaged: {e}")))
    }
}

/// How a file is written: codec, values, and whether these are differences.
fn form_of(archive: &Archive) -> Result<(Codec, ValueType, bool)> {
    let version: u32 = archive.parse("version")?;
    if version < 2 {
        let narrow = archive.types().any(|(name, dtype)| name.ends_with(layout::VALUES) && dtype == "BF16");
        return Ok((Codec::Plain, if narrow { ValueType::Bf16 } else { ValueType::F32 }, false));
    }
    let newer = "use a newer lota";
    let lota = env!("CARGO_PKG_VERSION");
    let (word, version): (_, u32) = (archive.meta("codec")?, archive.parse("codec_version")?);
    let codec = Codec::parse(word).map_err(|_| {
        archive.error(format!(
            "is written by the codec {word:?}, and this lota ({lota}) knows plain and compact: {newer}"
        ))
    })?;
    if version > codec.version() {
        return Err(archive.error(format!(
            "is written by version {version} of the codec {word:?}, and this lota ({lota}) reads up to version {}: \
             {newer}",
            codec.version()
        )).into());
    }
    let word = archive.meta("values")?;
    let values = ValueType::parse(word).map_err(|_| {
        archive.error(format!(
            "has values of type {word:?}, and this lota ({lota}) knows f32, bf16, int8 and ternary: {newer}"
        ))
    })?;
    match archive.meta("values_of")? {
        "weights" => Ok((codec, values, false)),
        DIFFERENCES => Ok((codec, values, true)),
        other => Err(archive
            .error(format!("has values of {other:?}, which this lota ({lota}) does not know: {newer}"))
            .into()),
    }
}
