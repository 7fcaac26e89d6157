//! The adapters of peft that add single entries to linear layers: what their folders share.

use std::io::Write as _;
use std::path::Path;

use half::bf16;
use roaring::RoaringBitmap;
use serde_json::{Map, Value, json};

use super::super::codec::{Loss, entropy_bound};
use super::super::file::Saved;
use super::tensors::{Tensor, save as save_tensors, write_chunks};
use super::{Base, Foreign, Meta, Ticket, about, metadata};
use crate::host::{Event, Host, finish_folder, write_atomic, write_folder};
use crate::mask::{Mask, whole};
use crate::model::Role;
use crate::model::weights::{Raw, Shards, Source as _, canonical};
use crate::ops::{SparseIndex, scatter};
use crate::{Error, Result};

const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";
/// The files of an adapter. `adapter_model.bin` is what peft wrote earlier.
const FILES: [&str; 3] = [CONFIG, WEIGHTS, "adapter_model.bin"];
const PREFIX: &str = "base_model.model.";

/// The positions of a layer as they are stored.
pub(super) struct Index<'a>(Raw<'a>);

impl Index<'_> {
    /// Its shape.
    pub fn shape(&self) -> &[usize] {
        self.0.shape
    }

    /// The whole number at a place; `None` if there is none. peft on Windows writes them as f32.
    pub fn number(&self, at: usize) -> Option<u64> {
        match self.0.dtype {
            "I32" => self.0.bytes.as_chunks::<4>().0.get(at).map(|&b| i64::from(i32::from_le_bytes(b))),
            "I64" => self.0.bytes.as_chunks::<8>().0.get(at).map(|&b| i64::from_le_bytes(b)),
            "F32" => {
                let number = self.0.bytes.as_chunks::<4>().0.get(at).map(|&b| f32::from_le_bytes(b));
                // Above this, neighbours have no number of their own.
                number.filter(|n| n.fract() == 0.0 && *n <= 16_777_216.0).map(|n| n as i64)
            }
            _ => None,
        }
        .and_then(|number| u64::try_from(number).ok())
    }
}

/// What one kind of these adapters is.
pub(super) struct Kind {
    pub format: Foreign,
    /// The end of the names of positions.
    pub index: &'static str,
    /// The end of the names of differences.
    pub values: &'static str,
    /// The settings of its own that change nothing in what a stored adapter means.
    pub settings: &'static [&'static str],
    /// What is wrong with a configuration.
    pub check: fn(&Map<String, Value>) -> std::result::Result<(), String>,
    /// The flat position of difference `i` in a matrix of this shape; `None` if it lies outside or makes no sense.
    pub place: fn(&Index<'_>, usize, [usize; 2]) -> Option<u64>,
    /// The shape of the positions of so many differences.
    pub index_shape: fn(usize) -> Vec<usize>,
}

/// What changes nothing in what these adapters mean.
const HARMLESS: &[&str] = &[
    "auto_mapping",
    "base_model_name_or_path",
    "exclude_modules",
    "inference_mode",
    "init_weights",
    "modules_to_save",
    "peft_type",
    "peft_version",
    "revision",
    "target_modules",
    "task_type",
];

/// The configuration of an adapter.
fn config(folder: &Path) -> Result<Map<String, Value>> {
    finish_folder(folder)?;
    let path = folder.join(CONFIG);
    let text = std::fs::read(&path).map_err(|e| Error::io(&path, e))?;
    match serde_json::from_slice(&text) {
        Ok(Value::Object(config)) => Ok(config),
        Ok(_) => Err(Error::format(&path, "is not a JSON object")),
        Err(e) => Err(Error::format(&path, format!("not JSON: {e}"))),
    }
}

/// The kind of the adapter in a folder.
pub(super) fn kind(folder: &Path) -> Result<Foreign> {
    let config = config(folder)?;
    match config.get("peft_type").and_then(Value::as_str) {
        Some("SHIRA") => Ok(Foreign::Shira),
        Some("SUPERTUNING") => Ok(Foreign::Supertuning),
        other => Err(Error::format(
            folder.join(CONFIG),
            format!(
                "is of an adapter of type {}, which is no sparse change: SHIRA and SUPERTUNING are",
                other.unwrap_or("(none)")
            ),
        )),
    }
}

/// Reads an adapter: the entries it changes, the values they get, and where it came from if it was once a ticket.
pub(super) fn read(
    folder: &Path,
    of: &Kind,
    base: Base<'_>,
    host: &Host,
) -> Result<(Mask, Vec<Vec<f32>>, Option<Meta>)> {
    if kind(folder)? != of.format {
        return Err(Error::format(
            folder.join(CONFIG),
            format!("is of an adapter of another kind than {}", of.format.as_str()),
        ));
    }
    check(&config(folder)?, of).map_err(|what| Error::format(folder.join(CONFIG), what))?;
    let path = folder.join(WEIGHTS);
    let bad = |what: String| Error::format(&path, what);
    let shards = Shards::file_alone(&path)?;
    let universe = base.params.universe();
    let mut sets = vec![RoaringBitmap::new(); universe.len()];
    let mut values = vec![Vec::new(); universe.len()];
    let (index_end, values_end) = (format!(".{}", of.index), format!(".{}", of.values));
    let mut held = 0usize;
    for name in shards.names() {
        host.cancel.check()?;
        let inner = name
            .strip_prefix(PREFIX)
            .ok_or_else(|| bad(format!("tensor {name} does not begin with {PREFIX}, as adapters' do")))?;
        let find = |param: &str| universe.get(param).map_err(|e| bad(format!("does not fit the base: {e}")));
        let shape = shards.shape(&name).unwrap_or_default();
        let count = shape.iter().product::<usize>();
        held = held.saturating_add(count);
        host.room.ask_for(held, 8)?;
        if let Some(module) = inner.strip_suffix(&values_end) {
            let index_name = format!("{PREFIX}{module}{index_end}");
            let index = shards.raw(&index_name).ok_or_else(|| {
                bad(format!(
                    "has no {index_name}: the positions were not saved, and are not known without it. Save the adapter with \
                     save_precomputed_indices"
                ))
            })?;
            let at = find(&canonical(&format!("{module}.weight")))?;
            if shape.len() != 1 || index.shape != (of.index_shape)(count) {
                return Err(bad(format!(
                    "layer {module} has positions of shape {:?} and differences of shape {shape:?}",
                    index.shape
                )));
            }
            host.room.ask_for(count, 24)?;
            let mut differences = Vec::with_capacity(count);
            shards.piece(&name, 0, count, &mut differences)?;
            let (rows, cols) = universe.spec(at).rows_cols();
            let index = Index(index);
            let mut entries = Vec::with_capacity(count);
            for (i, difference) in differences.into_iter().enumerate() {
                let place = (of.place)(&index, i, [rows, cols]);
                let place = place.and_then(|place| u32::try_from(place).ok()).ok_or_else(|| {
                    bad(format!(
                        "position {i} of layer {module} is not one of the {rows} x {cols} entries of its weight"
                    ))
                })?;
                entries.push((place, difference));
            }
            if !sets[at].is_empty() {
                return Err(bad(format!("has two changes of the weight of layer {module}")));
            }
            (sets[at], values[at]) = added(entries, [rows, cols], base, at)?;
        } else if inner.ends_with(&index_end) {
            let of_values = format!("{}{values_end}", &name[..name.len() - index_end.len()]);
            if shards.raw(&of_values).is_none() {
                return Err(bad(format!("has a tensor {name} and no {of_values}")));
            }
        } else if inner.contains("shira_") || inner.contains("supertuning_") {
            return Err(bad(format!("tensor {name} is of a kind that is not read")));
        } else {
            // A module that was trained in full.
            let param = canonical(&inner.replace(".modules_to_save.", ".").replace(".base_layer.", "."));
            let at = find(&param)?;
            let spec = universe.spec(at);
            if shape != spec.shape || !sets[at].is_empty() {
                return Err(bad(format!(
                    "tensor {name} has shape {shape:?}, and parameter {param} of the base {:?}",
                    spec.shape
                )));
            }
            sets[at] = whole(spec);
            shards.piece(&name, 0, count, &mut values[at])?;
        }
    }
    let about = metadata(&path)?.unwrap_or_default().remove(about::KEY);
    let about = about.map(|text| about::read(&path, &text)).transpose()?;
    Ok((Mask::new(universe.clone(), sets)?, values, about))
}

/// What is wrong with a configuration.
fn check(config: &Map<String, Value>, of: &Kind) -> std::result::Result<(), String> {
    if config.get("fan_in_fan_out") == Some(&Value::Bool(true)) {
        return Err("fan_in_fan_out: its positions are those of transposed weights, which is not read".into());
    }
    (of.check)(config)?;
    let asks = |value: &Value| ![json!(null), json!(false), json!(""), json!([]), json!({})].contains(value);
    let known = |key: &str| HARMLESS.contains(&key) || of.settings.contains(&key);
    match config.iter().find(|(key, value)| !known(key) && asks(value)) {
        Some((key, value)) => {
            Err(format!("{key}: is a setting that this lota does not know, and it is set to {value}"))
        }
        None => Ok(()),
    }
}

/// The set of positions and, for each, the base's value with the differences added, in the order of the file.
fn added(
    mut entries: Vec<(u32, f32)>,
    [rows, cols]: [usize; 2],
    base: Base<'_>,
    param: usize,
) -> Result<(RoaringBitmap, Vec<f32>)> {
    entries.sort_by_key(|&(at, _)| at);
    let set: RoaringBitmap = entries.iter().map(|&(at, _)| at).collect();
    let index = SparseIndex::from_sorted(rows, cols, &set)?;
    let mut values: Vec<f32> = scatter::gather(base.exec, base.params.get(param), &index)?.to_vec1()?;
    let mut groups = entries.chunk_by(|a, b| a.0 == b.0);
    for value in &mut values {
        for &(_, difference) in groups.next().unwrap_or_default() {
            *value += difference;
        }
    }
    Ok((set, values))
}

/// A linear layer and what is added to its weight.
pub(super) struct Linear<'a> {
    /// Its name.
    pub module: &'a str,
    /// The shape of its weight, `[out, in]`.
    pub shape: [usize; 2],
    set: &'a RoaringBitmap,
    /// What the base has at its entries.
    old: Vec<f32>,
    /// What is added to it.
    pub deltas: Vec<f32>,
}

impl<'a> Linear<'a> {
    /// The name of its tensor with this end.
    pub fn tensor(&self, end: &str) -> String {
        format!("{PREFIX}{}.{end}", self.module)
    }

    /// Its positions, the last one again until they are `n`.
    pub fn filled(&self, n: usize) -> impl Iterator<Item = u32> + use<'a> {
        let last = self.set.max().unwrap_or_default();
        self.set.iter().chain(std::iter::repeat(last)).take(n)
    }

    /// The tensor of its differences, filled up with zeros.
    pub fn values(&self, end: &str, n: usize) -> Tensor<'_> {
        let numbers = move || self.deltas.iter().copied().chain(std::iter::repeat(0.0)).take(n);
        Tensor {
            name: self.tensor(end),
            dtype: "F32",
            shape: vec![n],
            write: Box::new(move |out| write_chunks(out, numbers().map(f32::to_le_bytes))),
        }
    }
}

/// The layers that a ticket changes and what it adds to them; an error if it changes anything else.
pub(super) fn linear<'a>(
    ticket: &'a Ticket,
    base: Base<'_>,
    to: Foreign,
    host: &Host,
) -> Result<Vec<Linear<'a>>> {
    let linear = |role: Role| matches!(role, Role::Attention | Role::Mlp | Role::Head);
    let module = |name: &'a str, shape: &[usize], role| {
        let module = name.strip_suffix(".weight").filter(|_| linear(role) && shape.len() == 2)?;
        Some((module, [shape[0], shape[1]]))
    };
    let others: Vec<&str> = ticket
        .mask()
        .selected()
        .filter(|(_, spec, _)| module(&spec.name, &spec.shape, spec.role).is_none())
        .map(|(_, spec, _)| spec.name.as_str())
        .collect();
    if let Some(first) = others.first() {
        return Err(Error::argument(format!(
            "the format {} holds changes of linear layers alone, and the ticket changes {first}{}: make a ticket of the \
             entries of linear layers",
            to.as_str(),
            if others.len() > 1 {
                format!(" and {} more parameters", others.len() - 1)
            } else {
                String::new()
            }
        )));
    }
    host.room.ask(8 * ticket.entries())?;
    let mut layers = Vec::new();
    for (i, spec, set) in ticket.mask().selected() {
        host.cancel.check()?;
        let Some((module, shape)) = module(&spec.name, &spec.shape, spec.role) else { continue };
        let old: Vec<f32> =
            scatter::gather(base.exec, base.params.get(i), &ticket.mask().index(i)?)?.to_vec1()?;
        let deltas: Vec<f32> = ticket.values(i).iter().zip(&old).map(|(new, old)| new - old).collect();
        if let Some(at) = deltas.iter().position(|d| !d.is_finite()) {
            return Err(Error::argument(format!(
                "the difference of entry {} of parameter {} from its base is {}, which cannot be added",
                set.select(at as u32).unwrap_or_default(),
                spec.name,
                deltas[at]
            )));
        }
        layers.push(Linear { module, shape, set, old, deltas });
    }
    Ok(layers)
}

/// What adding the differences loses: in f32, and in a model that is held in bf16 the largest error.
fn lost(ticket: &Ticket, layers: &[Linear<'_>]) -> (Loss, u64, f64) {
    let (mut loss, mut changed, mut narrow) = (Loss::default(), 0, 0f64);
    for ((i, ..), layer) in ticket.mask().selected().zip(layers) {
        let exact = ticket.values(i);
        let sum: Vec<f32> = layer.old.iter().zip(&layer.deltas).map(|(old, delta)| old + delta).collect();
        loss.add(exact, &sum);
        changed += exact.iter().zip(&sum).filter(|(a, b)| a != b).count() as u64;
        for ((value, old), delta) in exact.iter().zip(&layer.old).zip(&layer.deltas) {
            let short = |v: f32| bf16::from_f32(v).to_f32();
            let sum = short(short(*old) + short(*delta));
            narrow = narrow.max(f64::from((sum - short(*value)).abs()));
        }
    }
    (loss, changed, narrow)
}

/// Writes the folder of an adapter. `own` are the settings of its kind.
#[expect(clippy::too_many_arguments, reason = "called by two kinds, with what each of them has")]
pub(super) fn save(
    ticket: &Ticket,
    folder: &Path,
    base: Base<'_>,
    to: Foreign,
    layers: &[Linear<'_>],
    tensors: Vec<Tensor<'_>>,
    own: Value,
    host: &Host,
) -> Result<Saved> {
    let (loss, rounded, narrow) = lost(ticket, layers);
    let filled = tensors.iter().filter(|t| t.dtype == "F32").map(|t| t.shape[0] as u64).sum::<u64>();
    let bytes = |dtype: &str| tensors.iter().filter(|t| t.dtype == dtype).map(Tensor::bytes).sum::<u64>();
    let (index_bytes, value_bytes) = (bytes("I32"), bytes("F32"));
    let mut config = json!({
        "peft_type": to.as_str().to_uppercase(),
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base.name,
        "revision": null,
        "auto_mapping": null,
        "inference_mode": true,
        "modules_to_save": null,
        "target_modules": layers.iter().map(|layer| layer.module).collect::<Vec<_>>(),
    });
    if let (Value::Object(config), Value::Object(own)) = (&mut config, own) {
        config.extend(own);
    }
    let text = format!("{config:#}\n");
    let about = about::text(ticket.meta())?;
    let written = write_folder(folder, &|name| FILES.contains(&name), host, |new| {
        let size =
            save_tensors(&new.join(WEIGHTS), &[("format", "pt"), (about::KEY, &about)], tensors, host)?;
        let path = new.join(CONFIG);
        write_atomic(&path, |out| out.write_all(text.as_bytes()).map_err(|e| Error::io(&path, e)))?;
        Ok::<_, Error>(size)
    })?;
    host.events.emit(Event::Saved(folder.to_path_buf()));
    host.events.notice(format!(
        "{}: peft adds differences to the base: in a model held in f32 a weight is then off by {:e} at most, in bf16 by \
         {narrow:e} from the ticket's own rounding",
        folder.display(),
        loss.max
    ));
    if filled > ticket.entries() {
        host.events.notice(format!(
            "{}: filled up with {} differences of 0, since peft demands as many of each layer as its settings say",
            folder.display(),
            filled - ticket.entries()
        ));
    }
    Ok(Saved {
        bytes: written + text.len() as u64,
        index_bytes,
        bound_bytes: entropy_bound(ticket.mask()),
        value_bytes,
        entries: ticket.entries(),
        rounded,
        max_error: loss.max,
        relative_error: loss.relative(),
    })
}
