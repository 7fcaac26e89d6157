//! All primitives of an engine, by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::primitive::Primitive;

/// The primitives, and a line for each area and type.
#[derive(Default)]
pub struct Registry {
    primitives: BTreeMap<String, Arc<Primitive>>,
    areas: BTreeMap<&'static str, &'static str>,
    types: BTreeMap<&'static str, &'static str>,
}

impl Registry {
    /// Adds one. A second of the same name replaces the first.
    pub fn add(&mut self, primitive: Primitive) -> &mut Self {
        self.primitives.insert(primitive.name().to_string(), Arc::new(primitive));
        self
    }

    /// Describes an area (`mask`) in one line.
    pub fn area(&mut self, name: &'static str, doc: &'static str) -> &mut Self {
        self.areas.insert(name, doc);
        self
    }

    /// Describes a type of object in one line.
    pub fn object(&mut self, name: &'static str, doc: &'static str) -> &mut Self {
        self.types.insert(name, doc);
        self
    }

    /// The primitive called `mask.union` or `Mask:count`.
    pub fn get(&self, name: &str) -> Option<&Arc<Primitive>> {
        self.primitives.get(name)
    }

    /// All primitives in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Primitive>> {
        self.primitives.values()
    }

    /// The methods of a type.
    pub fn methods<'a>(&'a self, ty: &'a str) -> impl Iterator<Item = &'a Arc<Primitive>> + 'a {
        self.iter().filter(move |p| p.owner() == Some(ty))
    }

    /// The areas and their lines.
    pub fn areas(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.areas.iter().map(|(n, d)| (*n, *d))
    }

    /// The types of objects and their lines.
    pub fn types(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.types.iter().map(|(n, d)| (*n, *d))
    }
}
