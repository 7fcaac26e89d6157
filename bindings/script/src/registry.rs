//! All primitives of an engine, by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::language::Language;
use crate::primitive::{Primitive, Wrapper};

/// The primitives, and a line for each area and type.
#[derive(Default)]
pub struct Registry {
    primitives: BTreeMap<String, Arc<Primitive>>,
    areas: BTreeMap<&'static str, &'static str>,
    types: BTreeMap<&'static str, &'static str>,
    elsewhere: BTreeMap<(&'static str, &'static str), &'static str>,
}

impl Registry {
    /// Adds one. A second of the same name replaces the first.
    pub fn add(&mut self, primitive: Primitive) -> &mut Self {
        self.primitives.insert(primitive.name().to_string(), Arc::new(primitive));
        self
    }

    /// Puts `wrapper` around the functions of the primitives that `choose` picks, of those added so far.
    pub fn wrap(&mut self, choose: impl Fn(&Primitive) -> bool, wrapper: Wrapper) {
        for primitive in self.primitives.values_mut().filter(|p| choose(p)) {
            *primitive = Arc::new(Primitive::clone(primitive).wrapped(wrapper));
        }
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

    /// Says what to write instead of a name that other libraries have. `place` is where it is looked for: a type, an area,
    /// or empty for the top table. Names of primitives stand between backquotes in `instead`.
    pub fn elsewhere(&mut self, place: &'static str, name: &'static str, instead: &'static str) -> &mut Self {
        self.elsewhere.insert((place, name), instead);
        self
    }

    /// What to write instead of a name that is not there but that other libraries have, in the words of a language.
    pub fn instead(&self, place: &str, name: &str, language: Language) -> Option<String> {
        let instead = self.elsewhere.iter().find(|((p, n), _)| *p == place && *n == name).map(|(_, i)| *i)?;
        let mut text = String::new();
        for (i, part) in instead.split('`').enumerate() {
            match self.get(part).filter(|_| i % 2 == 1) {
                Some(primitive) => {
                    let library = if primitive.owner().is_some() { "" } else { language.library() };
                    text += library;
                    text += &primitive.name_in(language);
                }
                None => text += part,
            }
        }
        Some(text)
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
