//! Which model, as a configuration writes it.

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};

/// Which model.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    /// A folder, a file, or the id of a model of the hub.
    pub model: String,
    /// Of the hub: a branch, tag or commit.
    pub revision: Option<String>,
    /// A LoRA adapter to apply to it: a folder, or an id of the hub.
    pub lora: Option<String>,
    /// Of the adapter, on the hub: a branch, tag or commit.
    pub lora_revision: Option<String>,
    /// The architecture to treat it as.
    pub architecture: Option<String>,
}

impl Reference {
    /// A model by its place.
    pub fn new(model: impl Into<String>) -> Self {
        Self { model: model.into(), revision: None, lora: None, lora_revision: None, architecture: None }
    }

    /// `path`, `path@revision`, either with `+adapter` or `+adapter@revision`.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let (model, lora) = match text.split_once('+') {
            Some((model, lora)) => (model, Some(Location::parse(lora))),
            None => (text, None),
        };
        let Location { path: model, revision } = Location::parse(model);
        if model.is_empty() {
            return Err("a model needs a path or an id");
        }
        if lora.as_ref().is_some_and(|lora| lora.path.is_empty()) {
            return Err("an adapter needs a path or an id after the +");
        }
        let (lora, lora_revision) = lora.map(|lora| (lora.path, lora.revision)).unzip();
        Ok(Self { model, revision, lora, lora_revision: lora_revision.flatten(), architecture: None })
    }
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.model)?;
        self.revision.iter().try_for_each(|r| write!(f, "@{r}"))?;
        self.lora.iter().try_for_each(|l| write!(f, "+{l}"))?;
        self.lora_revision.iter().try_for_each(|r| write!(f, "@{r}"))
    }
}

impl<'v> Deserialize<'v> for Reference {
    fn deserialize<D: Deserializer<'v>>(from: D) -> Result<Self, D::Error> {
        struct Written;
        impl<'v> Visitor<'v> for Written {
            type Value = Reference;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the path or the id of a model")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Reference, E> {
                Reference::parse(text).map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'v>>(self, map: A) -> Result<Reference, A::Error> {
                let parts = Parts::deserialize(MapAccessDeserializer::new(map))?;
                let model = parts.model.ok_or_else(|| A::Error::custom("says no model"))?;
                let (lora, lora_revision) = parts.lora.map(|lora| (lora.path, lora.revision)).unzip();
                Ok(Reference {
                    model: model.path,
                    revision: model.revision,
                    lora,
                    lora_revision: lora_revision.flatten(),
                    architecture: parts.override_architecture,
                })
            }
        }
        from.deserialize_any(Written)
    }
}

/// A reference as a map.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts {
    model: Option<Location>,
    lora: Option<Location>,
    override_architecture: Option<String>,
}

/// A path or an id, with a revision of the hub.
pub(super) struct Location {
    pub(super) path: String,
    pub(super) revision: Option<String>,
}

impl Location {
    fn parse(text: &str) -> Self {
        match text.rsplit_once('@') {
            Some((path, revision)) if !path.is_empty() => {
                Self { path: path.to_string(), revision: Some(revision.to_string()) }
            }
            _ => Self { path: text.to_string(), revision: None },
        }
    }
}

impl<'v> Deserialize<'v> for Location {
    fn deserialize<D: Deserializer<'v>>(from: D) -> Result<Self, D::Error> {
        struct Written;
        impl<'v> Visitor<'v> for Written {
            type Value = Location;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a path or an id")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Location, E> {
                if text.is_empty() {
                    return Err(E::custom("must be a path or an id, and is empty"));
                }
                Ok(Location::parse(text))
            }

            fn visit_map<A: MapAccess<'v>>(self, map: A) -> Result<Location, A::Error> {
                #[derive(Deserialize)]
                #[serde(deny_unknown_fields)]
                struct Both {
                    path: String,
                    revision: Option<String>,
                }
                let Both { path, revision } = Both::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Location { path, revision })
            }
        }
        from.deserialize_any(Written)
    }
}
