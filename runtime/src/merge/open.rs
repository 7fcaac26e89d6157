//! From the name of a model to something that can be merged.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::DType;

use super::config::{Config, Reference};
use super::{Folder, Held, Input, Overlay};
use crate::host::Host;
use crate::model::{HubOptions, LoadOptions, Model, load};
use crate::ticket::Ticket;
use crate::{Error, Result};

/// Where a model that a configuration names is to be had.
pub enum Found {
    /// It is open already.
    Input(Arc<dyn Input>),
    /// A folder, or a file of a model or a ticket.
    Path(PathBuf),
    /// The hub, by its id.
    Hub,
}

/// Opens all models of a configuration, each once: folders are only mapped, GGUF files are loaded,
/// ticket files are laid over the base, ids are had from the hub. `find` says where each is.
pub fn open_all(
    config: &Config,
    hub: &HubOptions,
    find: &dyn Fn(&Reference) -> Result<Found>,
    host: &Host,
) -> Result<Vec<Arc<dyn Input>>> {
    let mut inputs: Vec<Arc<dyn Input>> = Vec::new();
    for reference in config.references() {
        host.cancel.check()?;
        let label = reference.to_string();
        if reference.lora.is_some() {
            return Err(Error::argument(format!(
                "{label}: adapters are not applied here; merge a model that has it in"
            )));
        }
        // The base is first among the references.
        let base = config.base.as_ref().and(inputs.first());
        let input = match find(&reference)? {
            Found::Input(input) => input,
            Found::Path(path) => open(&path, label, base, hub, host)?,
            Found::Hub => from_hub(&reference, label, hub, host)?,
        };
        inputs.push(input);
    }
    Ok(inputs)
}

fn open(
    path: &Path,
    label: String,
    base: Option<&Arc<dyn Input>>,
    hub: &HubOptions,
    host: &Host,
) -> Result<Arc<dyn Input>> {
    if path.is_dir() {
        return Ok(Arc::new(Folder::open(path, label)?));
    }
    if path.extension().is_some_and(|e| e == "safetensors" || e == "ticket") {
        let base =
            base.ok_or_else(|| Error::argument(format!("{label} is a ticket, which needs a base_model")))?;
        return Ok(Arc::new(Overlay::ticket(label, base.clone(), Arc::new(Ticket::load(path, None)?))?));
    }
    let options = LoadOptions { dtype: DType::F32, hub: hub.clone(), ..LoadOptions::default() };
    Ok(Arc::new(held(label, &load(&path.to_string_lossy(), &options, host)?)))
}

/// A loaded model as an input.
pub fn held(label: impl Into<String>, model: &Model) -> Held {
    let dtype = if model.params.dtype() == DType::BF16 { "bfloat16" } else { "float32" };
    let config = model.config.to_json(dtype).as_object().cloned();
    Held::new(label, model.params.clone(), config)
}

#[cfg(feature = "hub")]
fn from_hub(reference: &Reference, label: String, hub: &HubOptions, host: &Host) -> Result<Arc<dyn Input>> {
    if reference.model.split('/').count() != 2 || reference.model.starts_with(['.', '/']) {
        return Err(not_there(reference));
    }
    let hub = HubOptions { revision: reference.revision.clone().or(hub.revision.clone()), ..hub.clone() };
    let path = crate::model::fetch(&reference.model, &hub, host)?;
    Ok(Arc::new(Folder::open(&path, label)?))
}

#[cfg(not(feature = "hub"))]
fn from_hub(reference: &Reference, _: String, _: &HubOptions, _: &Host) -> Result<Arc<dyn Input>> {
    Err(not_there(reference))
}

fn not_there(reference: &Reference) -> Error {
    Error::argument(format!(
        "{:?} is not a model: there is no such folder or file, and ids of the hub look like org/name",
        reference.model
    ))
}
