//! Opening the models that a configuration names.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use candle_core::DType;

use super::config::{Config, Reference};
use super::{Folder, Held, Input, Overlay};
use crate::host::Host;
use crate::lora::{Adapter, CONFIG, WEIGHTS};
use crate::model::{HubOptions, LoadOptions, Model, load};
use crate::ticket::Ticket;
use crate::{Error, Result};

/// What an adapter's folder must hold.
const ADAPTER: [&str; 2] = [CONFIG, WEIGHTS];

/// Where a model named by a configuration was found.
pub enum Found {
    /// It is loaded already.
    Model(Box<Model>),
    /// A folder, or a file of a model or a ticket.
    Path(PathBuf),
    /// The hub, by its id.
    Hub,
}

/// Opens all models of a configuration, each once: folders are only mapped, GGUF files are loaded,
/// ticket files are laid over the base, adapters over their model, ids are fetched from the hub. `find`
/// says where a path or an id is.
pub fn open_all(
    config: &Config,
    hub: &HubOptions,
    find: &dyn Fn(&str) -> Result<Found>,
    host: &Host,
) -> Result<Vec<Arc<dyn Input>>> {
    let opener = Opener { hub, find, host };
    // The model under an adapter is often the base, or under another adapter too.
    let mut models: HashMap<Reference, Arc<dyn Input>> = HashMap::new();
    let mut inputs: Vec<Arc<dyn Input>> = Vec::new();
    for reference in config.references() {
        host.cancel.check()?;
        let bare = Reference { lora: None, lora_revision: None, ..reference.clone() };
        let model = match models.get(&bare) {
            Some(model) => model.clone(),
            // The base is first among the references.
            None => opener.model(&bare, config.base.as_ref().and(inputs.first()))?,
        };
        models.insert(bare, model.clone());
        inputs.push(match &reference.lora {
            Some(lora) => opener.adapter(model, &reference, lora)?,
            None => model,
        });
    }
    Ok(inputs)
}

struct Opener<'a> {
    hub: &'a HubOptions,
    find: &'a dyn Fn(&str) -> Result<Found>,
    host: &'a Host,
}

impl Opener<'_> {
    /// A model without its adapter.
    fn model(&self, reference: &Reference, base: Option<&Arc<dyn Input>>) -> Result<Arc<dyn Input>> {
        let label = reference.to_string();
        let path = match (self.find)(&reference.model)? {
            Found::Model(model) => return Ok(Arc::new(Held::of(label, &model))),
            Found::Path(path) => path,
            Found::Hub => {
                let place =
                    from_hub(&reference.model, &reference.revision, &[], "a model", self.hub, self.host)?;
                return Ok(Arc::new(Folder::open(&place, label)?));
            }
        };
        if path.is_dir() {
            if path.join(ADAPTER[0]).exists() && !path.join("config.json").exists() {
                return Err(Error::argument(format!(
                    "{label} is an adapter, which is merged with the model it is of: write MODEL+{label}"
                )));
            }
            return Ok(Arc::new(Folder::open(&path, label)?));
        }
        if path.extension().is_some_and(|e| e == "safetensors" || e == "ticket") {
            let base = base
                .ok_or_else(|| Error::argument(format!("{label} is a ticket, which needs a base_model")))?;
            let ticket = Arc::new(Ticket::load(&path, None)?);
            return Ok(Arc::new(Overlay::ticket(label, base.clone(), ticket)?.read_from([path])));
        }
        let options = LoadOptions { dtype: DType::F32, hub: self.hub.clone(), ..LoadOptions::default() };
        let model = load(&path.to_string_lossy(), &options, self.host)?;
        Ok(Arc::new(Held::of(label, &model).read_from([path])))
    }

    /// An adapter over its model.
    fn adapter(&self, model: Arc<dyn Input>, reference: &Reference, lora: &str) -> Result<Arc<dyn Input>> {
        let folder = match (self.find)(lora)? {
            Found::Path(path) => path,
            Found::Hub => {
                from_hub(lora, &reference.lora_revision, &ADAPTER, "an adapter", self.hub, self.host)?
            }
            Found::Model(_) => return Err(Error::argument(format!("{lora} is a model, not an adapter"))),
        };
        let adapter = Arc::new(Adapter::load(&folder)?);
        let files = ADAPTER.map(|name| folder.join(name));
        let over = Overlay::adapter(reference.to_string(), model, adapter)?;
        Ok(Arc::new(over.read_from(files)))
    }
}

/// The folder of a model in the hub's cache, with all it needs or with these files.
#[cfg(feature = "hub")]
fn from_hub(
    id: &str,
    revision: &Option<String>,
    files: &[&str],
    what: &str,
    hub: &HubOptions,
    host: &Host,
) -> Result<PathBuf> {
    if id.split('/').count() != 2 || id.starts_with(['.', '/']) {
        return Err(not_there(id, what));
    }
    let hub = HubOptions { revision: revision.clone().or(hub.revision.clone()), ..hub.clone() };
    if files.is_empty() {
        return crate::model::fetch(id, &hub, host);
    }
    let mut folder = PathBuf::new();
    for file in files {
        let path = crate::model::fetch(&format!("{id}/{file}"), &hub, host)?;
        folder = path.parent().map(std::path::Path::to_path_buf).unwrap_or_default();
    }
    Ok(folder)
}

#[cfg(not(feature = "hub"))]
fn from_hub(
    id: &str,
    _: &Option<String>,
    _: &[&str],
    what: &str,
    _: &HubOptions,
    _: &Host,
) -> Result<PathBuf> {
    Err(not_there(id, what))
}

fn not_there(id: &str, what: &str) -> Error {
    Error::argument(format!(
        "{id:?} is not {what}: there is no such folder or file, and ids of the hub look like org/name"
    ))
}
