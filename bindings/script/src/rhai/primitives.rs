//! The module `lota`: a function for each primitive, a module for each area.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::sync::Arc;

use rhai::{Dynamic, Engine, FuncRegistration, Module, NativeCallContext, RhaiFunc, Shared};

use super::{State, call, convert, error};
use crate::error::{Error, ErrorKind, Result};
use crate::{Place, Primitive};

/// How many values a primitive with any number of them takes by position. Rhai resolves a function by
/// the number of its arguments, so the number must be bounded.
const REST: usize = 8;

/// The most arguments a function is made for: one more than it takes, so that the message about too
/// many is ours.
pub(crate) fn most(p: &Primitive) -> usize {
    let rest = if p.params().iter().any(|q| q.place == Place::Rest) { REST } else { 0 };
    p.positional() + rest + 2
}

pub(crate) fn register(engine: &mut Engine, state: &Arc<State>) -> Result<()> {
    let mut areas: BTreeMap<String, Module> = BTreeMap::new();
    areas.insert(String::new(), Module::new());
    for p in state.registry.iter() {
        let Some(area) = p.area() else { continue };
        let module = areas.entry(area.to_string()).or_default();
        if p.is_constant() {
            let value = convert::to_rhai(state, &p.invoke(&state.ctx, Vec::new())?);
            module.set_var(p.short_name(), value);
            continue;
        }
        for count in 0..=most(p) {
            let (shared, primitive) = (state.clone(), p.clone());
            let body = move |context: Option<NativeCallContext<'_>>, args: &mut [&mut Dynamic]| match context
            {
                Some(context) => call::call(&shared, &primitive, &context, args),
                None => Err(error::raise_with(|| {
                    Error::new(ErrorKind::Host, format!("{} was called from nowhere", primitive.name()))
                })),
            };
            FuncRegistration::new(p.short_name()).in_internal_namespace().set_into_module_raw(
                module,
                vec![TypeId::of::<Dynamic>(); count],
                RhaiFunc::Method {
                    func: Shared::new(body),
                    has_context: true,
                    is_pure: true,
                    is_volatile: true,
                },
            );
        }
    }
    // Deep areas first, so that each is whole when it is put into the one above it.
    while let Some((area, module)) = areas.pop_last() {
        if area.is_empty() {
            engine.register_static_module("lota", module.into());
            break;
        }
        let (above, name) = area.rsplit_once('.').unwrap_or(("", &area));
        areas.entry(above.to_string()).or_default().set_sub_module(name, module);
    }
    Ok(())
}
