//! A model whose head is its embedding, seen as one with a head of its own: for what changes one of the two alone.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use roaring::RoaringBitmap;
use serde_json::{Map, Value, json};

use super::input::{Info, Input, Reader};
use crate::Result;
use crate::model::Model;
use crate::model::tied::{EMBEDDING, HEAD};

/// The model, with a head that is a copy of the embedding.
pub(super) struct Untied {
    base: Arc<dyn Input>,
    config: Option<Map<String, Value>>,
}

impl Untied {
    /// `base` itself if it has a head.
    pub fn of(base: Arc<dyn Input>) -> Arc<dyn Input> {
        if base.info(HEAD).is_some() || base.info(EMBEDDING).is_none() {
            return base;
        }
        let config = base.config().cloned().map(|mut config| {
            config.insert("tie_word_embeddings".into(), json!(false));
            config
        });
        Arc::new(Self { base, config })
    }
}

fn stored(name: &str) -> &str {
    if name == HEAD { EMBEDDING } else { name }
}

impl Input for Untied {
    fn label(&self) -> &str {
        self.base.label()
    }

    fn names(&self) -> Vec<String> {
        let mut names = self.base.names();
        names.push(HEAD.to_string());
        names
    }

    fn info(&self, name: &str) -> Option<Info> {
        self.base.info(stored(name))
    }

    fn reader<'a>(&'a self, name: &str) -> Result<Box<dyn Reader + 'a>> {
        self.base.reader(stored(name))
    }

    fn raw(&self, name: &str) -> Option<&[u8]> {
        self.base.raw(stored(name))
    }

    fn config(&self) -> Option<&Map<String, Value>> {
        self.config.as_ref()
    }

    fn folder(&self) -> Option<&Path> {
        self.base.folder()
    }

    fn model(&self) -> Option<&Model> {
        self.base.model()
    }

    fn notice(&self) -> Option<String> {
        self.base.notice()
    }

    fn files(&self) -> Vec<PathBuf> {
        self.base.files()
    }

    fn identity(&self) -> Result<String> {
        Ok(format!("untied\n{}", self.base.identity()?))
    }

    fn claims(&self, name: &str) -> Option<&RoaringBitmap> {
        self.base.claims(stored(name))
    }
}
