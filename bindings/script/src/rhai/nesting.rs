//! How deep the values of a script may be nested: lists in lists, maps in maps, closures in what closures hold.
//!
//! Rhai copies, measures and drops a value by going into it, level by level on the stack, and nothing in it can ask how much of
//! that is left. So a variable that holds something deeper is refused when it is read, since whatever is put around its
//! value reads it first. Of a long list or map both ends are looked at: looking at all would cost each read its length. What
//! is hidden in between meets the end of the stack that is kept for this (`lota_host::with_stack`), which lists of so many
//! levels reach in no time that a script is given.

use std::sync::Arc;

use rhai::{Array, Dynamic, Engine, FnPtr};

use super::{State, error};
use crate::counting::outside;

/// The most levels, as for what is handed to a primitive.
pub(crate) const DEPTH: usize = 64;
/// Values that one look visits.
const VISITED: usize = 4 * DEPTH;
/// Items at each end of a list or map that are looked at.
const ENDS: usize = 4;

pub(crate) fn bound(engine: &mut Engine, state: &Arc<State>) {
    let shared = state.clone();
    #[expect(deprecated, reason = "it is marked so to say that it may change")]
    engine.on_var(move |name, _, context| {
        let deep = context.scope().get(name).is_some_and(|value| is_deep(value, 0, &mut { VISITED }));
        if !deep {
            return Ok(None);
        }
        let text = format!("the value of `{name}` is nested more than {DEPTH} levels deep");
        Err(error::raise(outside(|| shared.ctx.meter.reach(text))))
    });
}

/// Whether a value is deeper than it may be, as far as so many visits find.
fn is_deep(value: &Dynamic, depth: usize, visits: &mut usize) -> bool {
    if depth > DEPTH {
        return true;
    }
    if let Some(items) = value.read_lock::<Array>() {
        return any_deep(ends(&items), depth, visits);
    }
    if let Some(map) = value.read_lock::<rhai::Map>() {
        return any_deep(map.values().take(ENDS).chain(map.values().rev().take(ENDS)), depth, visits);
    }
    if let Some(closure) = value.read_lock::<FnPtr>() {
        return any_deep(ends(closure.curry()), depth, visits);
    }
    false
}

fn any_deep<'a>(mut items: impl Iterator<Item = &'a Dynamic>, depth: usize, visits: &mut usize) -> bool {
    items.any(|item| {
        *visits = visits.saturating_sub(1);
        *visits > 0 && is_deep(item, depth + 1, visits)
    })
}

/// The items at both ends, each once.
fn ends(items: &[Dynamic]) -> impl Iterator<Item = &Dynamic> {
    let (first, rest) = items.split_at(ENDS.min(items.len()));
    first.iter().chain(&rest[rest.len().saturating_sub(ENDS)..])
}
