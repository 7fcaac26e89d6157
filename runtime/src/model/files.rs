//! The weights of a model on disk: read a piece at a time, never held.
//!
//! For work that goes once over models which may not fit in memory. It runs nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use super::decoder::Decoder;
use super::fingerprint::{combine, hash_values};
use super::load::locate;
use super::weights::{Shards, Source as _};
use super::{Config, HubOptions, ParamSpec, Universe, tied};
use crate::host::Host;
use crate::ops::Exec;
use crate::{Error, Result};

/// Entries read at a time.
const PIECE: usize = 1 << 18;

/// A model's folder, its weights memory-mapped.
pub struct WeightFiles {
    folder: PathBuf,
    source: String,
    shards: Shards,
    config: Config,
    universe: Arc<Universe>,
}

impl WeightFiles {
    /// Opens a folder as Hugging Face lays it out, or a model of the hub by its id. A GGUF file is
    /// refused.
    pub fn open(source: &str, hub: &HubOptions, host: &Host) -> Result<Self> {
        let folder = locate(source, hub, host)?;
        if !folder.is_dir() {
            return Err(Error::format(
                &folder,
                "is read in pieces, which takes a folder with config.json and safetensors: `lota model convert` \
                 makes one",
            ));
        }
        let config = Config::read(&folder.join("config.json"))?;
        let shards = Shards::open(&folder, config.json())?;
        let config = tied::as_stored(config, &shards, host)?;
        let universe = Decoder::new(&config)?.universe().clone();
        Ok(Self { folder, source: source.to_string(), shards, config, universe })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where it is from, as it was asked for.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The description of the decoder.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The parameters that the configuration asks for. Whether they are there is known when they
    /// are read, or asked for with [`WeightFiles::shape`].
    pub fn universe(&self) -> &Arc<Universe> {
        &self.universe
    }

    /// The name under which a parameter is stored: a head that is the embedding is stored as that.
    fn stored<'n>(&self, name: &'n str) -> &'n str {
        if self.config.tied && name == tied::HEAD { tied::EMBEDDING } else { name }
    }

    /// The shape of a tensor in the files, if it is there.
    pub fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.shards.shape(self.stored(name))
    }

    /// The file that a tensor lies in, or would.
    pub fn file(&self, name: &str) -> &Path {
        self.shards.file(self.stored(name))
    }

    /// The names of all tensors, sorted.
    pub fn names(&self) -> Vec<String> {
        self.shards.names()
    }

    /// An error naming the file, the parameter and both shapes unless the files have this parameter.
    pub fn check(&self, spec: &ParamSpec) -> Result<()> {
        super::weights::check(&self.shards, spec)
    }

    /// Appends the flat entries `start .. start + len` of a tensor to `out`, as f32.
    pub fn read(&self, name: &str, start: usize, len: usize, out: &mut Vec<f32>) -> Result<()> {
        self.shards.piece(self.stored(name), start, len, out)
    }

    /// The fingerprint that the model has when it is loaded in f32, see
    /// [`super::Params::fingerprint`].
    pub fn fingerprint(&self, exec: &Exec, host: &Host) -> Result<String> {
        let count = host.events.count("fingerprint", 0, self.universe.len() as u64);
        let hash = |spec: &ParamSpec| {
            self.check(spec)?;
            let entries = spec.entries() as usize;
            let hash = hash_values(spec, |visit| {
                let mut piece = Vec::with_capacity(PIECE.min(entries));
                for start in (0..entries).step_by(PIECE) {
                    host.cancel.check()?;
                    piece.clear();
                    self.read(&spec.name, start, PIECE.min(entries - start), &mut piece)?;
                    visit(&piece);
                }
                Ok(())
            });
            count.one("");
            hash
        };
        let hashes = exec.run(|| self.universe.specs().par_iter().map(hash).collect::<Result<Vec<_>>>())?;
        Ok(combine(&hashes, &[]))
    }
}
