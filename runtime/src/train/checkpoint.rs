//! The state of a training in one safetensors file: what must be known to go on with the same bits.
//!
//! `values.<parameter>` are the trained entries in f32 (all of a parameter, or those of its mask in
//! rising order), `<state>.<parameter>` what the optimizer remembers of them, by the names of its state (`exp_avg`, …).
//! The rest is JSON in the header. Frozen weights are not stored; their hash is. A hash of everything ends the file.

use std::collections::HashMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::accumulate::Accumulation;
use super::frozen::frozen_fingerprint;
use super::gradient::Clip;
use super::group::Group;
use super::optimizer::Optimizer;
use super::penalty::Pull;
use super::slot::Slot;
use super::subject::Subject;
use super::trainer::Trainer;
use crate::data::BatchState;
use crate::host::archive::{self, Archive, Kind, Part};
use crate::host::{Event, Host};
use crate::ops::Exec;
use crate::{Error, Result};

/// Version 1 had no hash.
const KIND: Kind = Kind { format: "lota-training", noun: "training", version: 2 };

/// What a training file carries for whoever runs the training, besides the trainer itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Companions {
    /// Where the stream of batches stood.
    pub data: Option<BatchState>,
    /// What each step was made of. It is compared on resuming.
    #[serde(default)]
    pub passes: Option<Passes>,
    /// A generator's state, see [`crate::host::Rng::state`].
    pub rng: Option<(u64, u128)>,
    /// Anything else.
    #[serde(default)]
    pub extra: Value,
}

/// The JSON part of the file.
#[derive(Debug, Serialize, Deserialize)]
struct Info {
    step: u64,
    tokens: u64,
    optimizer: Optimizer,
    settings: Settings,
    model: String,
    selection: String,
    frozen: String,
    /// The rates, where they were set after the trainer was made: of all parameters, and of some by index.
    #[serde(default)]
    rates: Option<(f64, Vec<(usize, f64)>)>,
    companions: Companions,
}

/// A group's name, rate and decay.
type OfGroup = (String, Option<f64>, Option<f64>);

/// Settings that may be changed on purpose between two runs, so a difference is told and no error.
#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct Settings {
    lr: f64,
    schedule: String,
    warmup: u64,
    total: Option<u64>,
    clip: Clip,
    reduction: String,
    #[serde(default)]
    label_smoothing: f32,
    #[serde(default)]
    z_loss: f32,
    /// What follows is unknown of a file of an earlier version, and then nothing is said of it.
    accumulation: Option<Accumulation>,
    /// The fingerprint of the penalty, or that there was none.
    penalty: Option<String>,
    groups: Option<Vec<OfGroup>>,
    /// What dense products multiply as.
    compute: Option<String>,
}

/// What a step is made of, where [`super::fit()`] takes the steps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Passes {
    /// Batches whose gradients make one step.
    pub accumulate: usize,
    /// What the loss is computed over.
    pub loss: String,
}

impl Passes {
    /// The names of what differs.
    fn differences(&self, other: &Self) -> Vec<&'static str> {
        differing(&[("accumulate", self.accumulate == other.accumulate), ("loss", self.loss == other.loss)])
    }
}

impl Settings {
    fn of(trainer: &Trainer, exec: &Exec) -> Self {
        let o = &trainer.options;
        let group = |g: &Group| (g.name.clone(), g.lr, g.weight_decay);
        let penalty = trainer.penalty.as_ref().map_or_else(|| "none".to_string(), Pull::fingerprint);
        Self {
            lr: o.lr,
            schedule: o.schedule.name().to_string(),
            warmup: o.warmup,
            total: o.total,
            clip: o.clip,
            reduction: format!("{:?}", o.reduction).to_lowercase(),
            label_smoothing: o.terms.smoothing,
            z_loss: o.terms.z,
            accumulation: Some(o.accumulation),
            penalty: Some(penalty),
            groups: Some(o.groups.iter().map(group).collect()),
            compute: Some(exec.compute().as_str().to_string()),
        }
    }

    /// The names of the fields that differ, of those that both know.
    fn differences(&self, other: &Self) -> Vec<&'static str> {
        let pairs = [
            ("lr", self.lr == other.lr),
            ("schedule", self.schedule == other.schedule),
            ("warmup", self.warmup == other.warmup),
            ("steps", self.total == other.total),
            ("clipping", self.clip == other.clip),
            ("reduction", self.reduction == other.reduction),
            ("label_smoothing", self.label_smoothing == other.label_smoothing),
            ("z_loss", self.z_loss == other.z_loss),
            ("accumulation", same(self.accumulation, other.accumulation)),
            ("penalty", same(self.penalty.as_ref(), other.penalty.as_ref())),
            ("groups", same(self.groups.as_ref(), other.groups.as_ref())),
            ("compute", same(self.compute.as_ref(), other.compute.as_ref())),
        ];
        differing(&pairs)
    }
}

/// Whether two things are the same, as far as is known.
fn same<T: PartialEq>(one: Option<T>, other: Option<T>) -> bool {
    one.zip(other).is_none_or(|(one, other)| one == other)
}

/// The names of those that are not the same.
fn differing(pairs: &[(&'static str, bool)]) -> Vec<&'static str> {
    pairs.iter().filter(|(_, same)| !same).map(|(name, _)| *name).collect()
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
            optimizer: self.options.optimizer.clone(),
            settings: Settings::of(self, exec),
            model: self.selection.universe().fingerprint().to_string(),
            selection: self.selection.fingerprint().to_string(),
            frozen: frozen_fingerprint(params, &self.selection)?,
            rates: self.rates_set.then(|| {
                let own = self.slots.iter().filter_map(|slot| slot.lr.map(|lr| (slot.param, lr)));
                (self.options.lr, own.collect())
            }),
            companions: companions.clone(),
        };
        let info = serde_json::to_string(&info)
            .map_err(|e| Error::format(path, format!("cannot be written: {e}")))?;
        let mut parts = Vec::new();
        for slot in &self.slots {
            let w = params.get(slot.param);
            let mut names = names(self, slot).into_iter();
            let mut part = |write| {
                let name = names.next().unwrap_or_default();
                parts.push(Part { name, dtype: "F32", len: slot.len(w), write });
            };
            part(Box::new(move |out| {
                let written = slot.values(exec, w, |values| out.write_all(bytemuck::cast_slice(values)));
                written.map_err(std::io::Error::other)?
            }));
            for state in slot.states() {
                part(Box::new(move |out| {
                    let written = state.with(|values| out.write_all(bytemuck::cast_slice(values)));
                    written.map_err(std::io::Error::other)?
                }));
            }
        }
        archive::save(path, &KIND, &[("info", info)], parts)?;
        host.events.emit(Event::Saved(path.to_path_buf()));
        Ok(())
    }

    /// Reads the training in `path`, and checks that it can go on here: the model, the selection, the optimizer and
    /// every frozen weight must be the same. Other settings may differ, `passes` with them, which is told as a notice.
    /// Nothing is changed; [`Trainer::resume`] does that.
    pub fn read(
        &self,
        subject: Subject<'_>,
        host: &Host,
        path: &Path,
        passes: Option<&Passes>,
    ) -> Result<Saved> {
        let Subject { params, .. } = subject;
        let mut file = Archive::open(path, &KIND)?;
        let info: Info = file.json("info")?;
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
            return refuse(format!(
                "its optimizer was {}, this one is {}",
                told(&info.optimizer),
                told(&self.options.optimizer)
            ));
        }
        if info.frozen != frozen_fingerprint(params, &self.selection)? {
            let factors = if params.scales().is_empty() { "" } else { ", or the scales of its factors," };
            return refuse(format!(
                "the frozen weights of this model{factors} are not those it was trained with (entries that were trained \
                 before Trainer:select chose others are frozen too, and are in the model alone)"
            ));
        }
        let mut expected: HashMap<String, (usize, usize)> = HashMap::new();
        let mut slots = Vec::new();
        for slot in &self.slots {
            let names = names(self, slot);
            slots.push(vec![Vec::new(); names.len()]);
            for (part, name) in names.into_iter().enumerate() {
                expected.insert(name, (slots.len() - 1, part));
            }
        }
        file.read(|file, name, dtype, len, bytes| {
            let Some((slot, part)) = expected.remove(name) else {
                return Err(file.damaged(&format!("it has a tensor {name} that this training has not")));
            };
            let should = self.slots[slot].len(params.get(self.slots[slot].param));
            if dtype != "F32" || len != should {
                return Err(file.damaged(&format!("{name} is {len} numbers of {dtype}, not {should} of F32")));
            }
            slots[slot][part] =
                bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
            Ok(())
        })?;
        if let Some(name) = expected.keys().min() {
            return Err(file.damaged(&format!("{name} is missing")).into());
        }
        let mut differences = info.settings.differences(&Settings::of(self, subject.exec));
        if let Some((was, is)) = info.companions.passes.as_ref().zip(passes) {
            differences.extend(was.differences(is));
        }
        if !differences.is_empty() {
            host.events.notice(format!(
                "{}: training goes on with settings that differ from the saved ones: {}",
                path.display(),
                differences.join(", ")
            ));
        }
        Ok(Saved { info, slots })
    }

    /// Goes on where a training that [`Trainer::read`] has read here stood: weights, optimizer and step become what they
    /// were.
    pub fn resume(&mut self, subject: Subject<'_>, saved: Saved) -> Result<()> {
        let Subject { exec, params, .. } = subject;
        params.check_free()?;
        for (slot, mut parts) in self.slots.iter_mut().zip(saved.slots) {
            let values = parts.remove(0);
            slot.restore(exec, params.get(slot.param), values, parts)?;
        }
        params.touch();
        if let Some((lr, own)) = saved.info.rates {
            self.options.lr = lr;
            for (param, lr) in own {
                self.slots.iter_mut().filter(|slot| slot.param == param).for_each(|slot| slot.lr = Some(lr));
            }
            self.rates_set = true;
        }
        self.step = saved.info.step;
        self.tokens = saved.info.tokens;
        Ok(())
    }

    /// [`Trainer::read`] and [`Trainer::resume`], for who needs nothing between them. Nothing is changed unless the file
    /// fits. Its companions are returned.
    pub fn load(&mut self, subject: Subject<'_>, host: &Host, path: &Path) -> Result<Companions> {
        let saved = self.read(subject, host, path, None)?;
        let companions = saved.companions().clone();
        self.resume(subject, saved)?;
        Ok(companions)
    }
}

/// A training that was read from a file and fits.
#[derive(Debug)]
pub struct Saved {
    info: Info,
    /// Of each slot its values and states.
    slots: Vec<Vec<Vec<f32>>>,
}

impl Saved {
    /// What was saved beside the trainer.
    pub fn companions(&self) -> &Companions {
        &self.info.companions
    }
}

/// An optimizer as a script names it: `adamw (betas [0.9,0.999], eps 1e-8, weight_decay 0.01)`.
fn told(optimizer: &Optimizer) -> String {
    let settings: Vec<String> =
        optimizer.settings().iter().map(|setting| format!("{} {}", setting.name, setting.value)).collect();
    format!("{} ({})", optimizer.name(), settings.join(", "))
}

/// The tensors of a slot in the file: values first, then states.
fn names(trainer: &Trainer, slot: &Slot) -> Vec<String> {
    let name = &trainer.selection.universe().spec(slot.param).name;
    let states = trainer.options.optimizer.states().iter().map(|state| format!("{state}.{name}"));
    std::iter::once(format!("values.{name}")).chain(states).collect()
}
