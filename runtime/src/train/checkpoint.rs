//! The state of a training in one safetensors file: what must be known to go on with the same bits.
//!
//! `values.<parameter>` are the trained entries in f32 (all of a parameter, or those of its mask in
//! rising order), `state1.<parameter>` and `state2.<parameter>` what the optimizer remembers of
//! them. The rest is JSON in the header. Frozen weights are not stored; their hash is.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::Metadata;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::frozen::frozen_fingerprint;
use super::gradient::Clip;
use super::optimizer::Optimizer;
use super::slot::Slot;
use super::trainer::{Subject, Trainer};
use crate::data::BatchState;
use crate::host::{Event, Host, write_atomic};
use crate::{Error, Result};

const FORMAT: &str = "lota-training";
const VERSION: u32 = 1;

/// What a training file carries for whoever runs the training, besides the trainer itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Companions {
    /// Where the stream of batches stood.
    pub data: Option<BatchState>,
    /// A generator's state, see [`crate::host::Rng::state`].
    pub rng: Option<(u64, u128)>,
    /// Anything else.
    #[serde(default)]
    pub extra: Value,
}

/// The JSON part of the file.
#[derive(Serialize, Deserialize)]
struct Info {
    step: u64,
    tokens: u64,
    optimizer: Optimizer,
    settings: Settings,
    model: String,
    selection: String,
    frozen: String,
    companions: Companions,
}

/// Settings that may be changed on purpose between two runs, so a difference is told and no error.
#[derive(Serialize, Deserialize, PartialEq)]
struct Settings {
    lr: f64,
    schedule: String,
    warmup: u64,
    total: Option<u64>,
    clip: Clip,
    reduction: String,
}

impl Settings {
    fn of(trainer: &Trainer) -> Self {
        let o = &trainer.options;
        Self {
            lr: o.lr,
            schedule: o.schedule.name().to_string(),
            warmup: o.warmup,
            total: o.total,
            clip: o.clip,
            reduction: format!("{:?}", o.reduction).to_lowercase(),
        }
    }

    /// The names of the fields that differ.
    fn differences(&self, other: &Self) -> String {
        let pairs = [
            ("lr", self.lr == other.lr),
            ("schedule", self.schedule == other.schedule),
            ("warmup", self.warmup == other.warmup),
            ("steps", self.total == other.total),
            ("clipping", self.clip == other.clip),
            ("reduction", self.reduction == other.reduction),
        ];
        pairs.iter().filter(|(_, same)| !same).map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }
}

impl Trainer {
    /// Writes the training to `path`, beside and renamed.
    pub fn save(
        &self,
        subject: Subject<'_>,
        host: &Host,
        path: &Path,
        companions: &Companions,
    ) -> Result<()> {
        let Subject { exec, params, .. } = subject;
        let info = Info {
            step: self.step,
            tokens: self.tokens,
            optimizer: self.options.optimizer,
            settings: Settings::of(self),
            model: self.selection.universe().fingerprint().to_string(),
            selection: self.selection.fingerprint().to_string(),
            frozen: frozen_fingerprint(params, &self.selection)?,
            companions: companions.clone(),
        };
        let text = |e: serde_json::Error| Error::format(path, format!("cannot be written: {e}"));
        let mut header = serde_json::Map::new();
        let info = serde_json::to_string(&info).map_err(text)?;
        header.insert(
            "__metadata__".to_string(),
            json!({"format": FORMAT, "version": VERSION.to_string(), "info": info}),
        );
        let mut offset = 0;
        for slot in &self.slots {
            let len = slot.len(params.get(slot.param));
            for name in names(self, slot) {
                let end = offset + 4 * len;
                header.insert(name, json!({"dtype": "F32", "shape": [len], "data_offsets": [offset, end]}));
                offset = end;
            }
        }
        let mut header = serde_json::to_vec(&header).map_err(text)?;
        header.resize(header.len().next_multiple_of(8), b' ');
        write_atomic(path, |out| -> Result<()> {
            let mut put = |bytes: &[u8]| out.write_all(bytes).map_err(|e| Error::io(path, e));
            put(&(header.len() as u64).to_le_bytes())?;
            put(&header)?;
            for slot in &self.slots {
                let w = params.get(slot.param);
                slot.values(exec, w, |values| put(bytemuck::cast_slice(values)))??;
                for state in slot.states() {
                    state.with(|values| put(bytemuck::cast_slice(values)))??;
                }
            }
            Ok(())
        })?;
        host.events.emit(Event::Saved(path.to_path_buf()));
        Ok(())
    }

    /// Goes on where the training in `path` stood: weights, optimizer and step become what they
    /// were, and its companions are returned. The model, the selection, the optimizer and every
    /// frozen weight must be the same; other settings may differ, which is told as a notice.
    /// Nothing is changed unless the file fits.
    pub fn load(&mut self, subject: Subject<'_>, host: &Host, path: &Path) -> Result<Companions> {
        let Subject { exec, params, .. } = subject;
        let mut file = Stored::open(path)?;
        let info = &file.info;
        let refuse = |what: String| Err(Error::format(path, what));
        if info.model != self.selection.universe().fingerprint() {
            return refuse("it belongs to a model with other parameters".to_string());
        }
        if info.selection != self.selection.fingerprint() {
            return refuse(
                "other entries were trained in it (another mask, or other parameters)".to_string(),
            );
        }
        if info.optimizer != self.options.optimizer {
            let (was, is) = (info.optimizer, self.options.optimizer);
            return refuse(format!("its optimizer was {was:?}, this one is {is:?}"));
        }
        if info.frozen != frozen_fingerprint(params, &self.selection)? {
            return refuse("the frozen weights of this model are not those it was trained with".to_string());
        }
        let differences = info.settings.differences(&Settings::of(self));
        if !differences.is_empty() {
            host.events.notice(format!(
                "{}: training goes on with settings that differ from the saved ones: {differences}",
                path.display()
            ));
        }
        for slot in &self.slots {
            for name in names(self, slot) {
                file.check(&name, slot.len(params.get(slot.param)))?;
            }
        }
        let all: Vec<Vec<String>> = self.slots.iter().map(|slot| names(self, slot)).collect();
        for (slot, names) in self.slots.iter_mut().zip(all) {
            let mut parts = names.iter().map(|name| file.read(name)).collect::<Result<Vec<_>>>()?;
            let values = parts.remove(0);
            slot.restore(exec, params.get(slot.param), values, parts)?;
        }
        params.touch();
        self.step = file.info.step;
        self.tokens = file.info.tokens;
        Ok(file.info.companions)
    }
}

/// The tensors of a slot in the file: values first, then states.
fn names(trainer: &Trainer, slot: &Slot) -> Vec<String> {
    let name = &trainer.selection.universe().spec(slot.param).name;
    let states = (1..=slot.states().len()).map(|i| format!("state{i}.{name}"));
    std::iter::once(format!("values.{name}")).chain(states).collect()
}

/// An opened training file, read a tensor at a time.
struct Stored<'a> {
    path: &'a Path,
    file: File,
    info: Info,
    tensors: Metadata,
    start: u64,
}

impl<'a> Stored<'a> {
    fn open(path: &'a Path) -> Result<Self> {
        let io = |e| Error::io(path, e);
        let mut file = File::open(path).map_err(io)?;
        let size = file.metadata().map_err(io)?.len();
        let damaged =
            |what: &str| Error::format(path, format!("not a training file, or a damaged one: {what}"));
        let mut length = [0; 8];
        file.read_exact(&mut length).map_err(|_| damaged("it is too short"))?;
        let header_len = u64::from_le_bytes(length);
        if header_len > size.saturating_sub(8) {
            return Err(damaged("its header is cut off"));
        }
        let mut header = vec![0; header_len as usize];
        file.read_exact(&mut header).map_err(io)?;
        // `SafeTensors::read_metadata` wants the whole file in memory.
        let tensors: Metadata = serde_json::from_slice(&header).map_err(|e| damaged(&e.to_string()))?;
        let start = 8 + header_len;
        if start + tensors.data_len() as u64 != size {
            return Err(damaged("its size is not what its header says"));
        }
        let field = |name: &str| tensors.metadata().as_ref().and_then(|m| m.get(name)).map(String::as_str);
        if field("format") != Some(FORMAT) {
            return Err(damaged("its header does not name the format"));
        }
        let version = field("version").unwrap_or("");
        if version != VERSION.to_string() {
            return Err(Error::format(
                path,
                format!("version {version} of the training file; this lota reads version {VERSION}"),
            ));
        }
        let info = serde_json::from_str(field("info").unwrap_or("")).map_err(|e| damaged(&e.to_string()))?;
        Ok(Self { path, file, info, tensors, start })
    }

    fn check(&self, name: &str, len: usize) -> Result<()> {
        let fits = |(from, to): (usize, usize)| to.checked_sub(from) == Some(4 * len);
        match self.tensors.info(name) {
            Some(t) if t.shape == [len] && t.dtype == Dtype::F32 && fits(t.data_offsets) => Ok(()),
            Some(t) => Err(Error::format(
                self.path,
                format!("{name} is {:?} of shape {:?}; it must be F32 of shape [{len}]", t.dtype, t.shape),
            )),
            None => Err(Error::format(self.path, format!("{name} is missing"))),
        }
    }

    fn read(&mut self, name: &str) -> Result<Vec<f32>> {
        let Some(info) = self.tensors.info(name) else {
            return Err(Error::format(self.path, format!("{name} is missing")));
        };
        let (from, to) = info.data_offsets;
        let mut values = vec![0f32; (to - from) / 4];
        self.file
            .seek(SeekFrom::Start(self.start + from as u64))
            .and_then(|_| self.file.read_exact(bytemuck::cast_slice_mut(&mut values)))
            .map_err(|e| Error::io(self.path, e))?;
        Ok(values)
    }
}
