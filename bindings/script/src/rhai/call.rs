//! Calls: Rhai into a primitive, and Rust into a Rhai function.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use rhai::{Dynamic, EvalAltResult, FnPtr, NativeCallContext};

use super::{State, convert, error, sizes};
use crate::counting::{Inside, Outside, outside};
use crate::error::{Error, ErrorKind, Result};
use crate::{Primitive, ScriptFn, Value};

/// A callback inside a callback goes through frames of Rust, which the count of Rhai's calls does not see.
const NESTED: usize = 4;

/// Calls a primitive with Rhai values.
pub(crate) fn call(
    state: &Arc<State>,
    primitive: &Primitive,
    context: &NativeCallContext<'_>,
    args: &mut [&mut Dynamic],
) -> Result<Dynamic, Box<EvalAltResult>> {
    let result = outside(|| {
        let values =
            args.iter().map(|arg| convert::argument(arg, state, context)).collect::<Result<Vec<_>>>();
        values
            .map_err(|e| e.in_primitive(primitive.name()))
            .and_then(|values| primitive.invoke(&state.ctx, values))
            .and_then(|value| sizes::fits(state, &value).map(|()| Outside::new(value)))
    });
    let result = result.map(|value| convert::to_rhai(state, &value));
    // A value that is too much has been charged by now, and is let go with the error.
    let charged = outside(|| state.ctx.meter.tensors(state.ctx.memory.live()));
    result.and_then(|value| charged.map(|()| value)).map_err(|e| {
        let mut raised = error::raise(e);
        raised.set_position(context.call_position());
        raised
    })
}

/// A function of the script, held by Rust.
pub(crate) struct RhaiFn {
    held: Inside<Callee>,
    state: Weak<State>,
}

struct Callee {
    pointer: FnPtr,
    /// Where it was handed over: the imports and functions it may use, and how deep the calls are.
    #[expect(deprecated, reason = "it is marked so to say that it may change")]
    context: rhai::NativeCallContextStore,
}

impl RhaiFn {
    #[expect(deprecated, reason = "it is marked so to say that it may change")]
    pub(crate) fn new(pointer: &FnPtr, state: &Arc<State>, context: &NativeCallContext<'_>) -> Self {
        let make = || Callee { pointer: pointer.clone(), context: context.store_data() };
        Self { held: Inside::new(&state.tally, make), state: Arc::downgrade(state) }
    }

    pub(crate) fn pointer(&self) -> &FnPtr {
        &self.held.pointer
    }
}

impl ScriptFn for RhaiFn {
    fn call(&self, arguments: &[Value]) -> Result<Value> {
        let ended = || Error::new(ErrorKind::Host, "the script of this function has ended");
        let state = self.state.upgrade().ok_or_else(ended)?;
        let engine = state.engine.get().and_then(Weak::upgrade).ok_or_else(ended)?;
        if state.nested.fetch_add(1, Ordering::Relaxed) >= NESTED {
            state.nested.fetch_sub(1, Ordering::Relaxed);
            let text = format!("more than {NESTED} callbacks inside each other");
            return Err(Error::new(ErrorKind::Limit, text));
        }
        let result = state.tally.inside(|| self.call_inside(&state, &engine, arguments));
        state.nested.fetch_sub(1, Ordering::Relaxed);
        result
    }
}

impl RhaiFn {
    fn call_inside(&self, state: &Arc<State>, engine: &rhai::Engine, arguments: &[Value]) -> Result<Value> {
        let Callee { pointer, context } = &*self.held;
        #[expect(deprecated, reason = "it is marked so to say that it may change")]
        let context = context.create_context(engine);
        // A closure may take fewer values than it is offered, as in Lua and JavaScript.
        let mut taken = arguments.len();
        let result = loop {
            let args: Vec<Dynamic> = arguments[..taken].iter().map(|v| convert::to_rhai(state, v)).collect();
            match pointer.call_within_context::<Dynamic>(&context, args) {
                Err(e) if taken > 0 && error::is_missing(&e, pointer.fn_name()) => taken -= 1,
                other => break other,
            }
        };
        let name = context.call_source().unwrap_or("script");
        let value = result.map_err(|e| error::from_rhai(state, e, name))?;
        outside(|| convert::argument(&value, state, &context))
    }
}

/// Values that a bound closure takes beyond those it is called with.
const MISSING: usize = 3;

/// `bound(f)`: the closure with the functions, imports and constants of the module that it was made in. A closure of a module
/// finds those only while a function of the module runs; one that is returned, or kept in a map, is bound first.
///
/// It takes fewer or more values than it is given: what there is no room for is left out, what is missing is `()`.
pub(crate) fn bound(context: NativeCallContext<'_>, pointer: FnPtr) -> Result<FnPtr, Box<EvalAltResult>> {
    #[expect(deprecated, reason = "it is marked so to say that it may change")]
    let stored = context.store_data();
    let body = move |at: NativeCallContext<'_>, args: &mut [&mut Dynamic]| {
        let mut stored = stored.clone();
        // The depth of calls is that of the call, or a closure that calls itself would have no end.
        #[expect(deprecated, reason = "it is marked so to say that it may change")]
        let level = &mut stored.global.level;
        *level = at.call_level();
        #[expect(deprecated, reason = "it is marked so to say that it may change")]
        let context = stored.create_context(at.engine());
        let given: Vec<Dynamic> = args.iter().map(|arg| (**arg).clone()).collect();
        let mut last = None;
        for taken in (0..=given.len()).rev().chain(given.len() + 1..=given.len() + MISSING) {
            let mut values = given.clone();
            values.resize(taken, Dynamic::UNIT);
            match pointer.call_within_context::<Dynamic>(&context, values) {
                Err(e) if error::is_missing(&e, pointer.fn_name()) => last = last.or(Some(e)),
                other => return other,
            }
        }
        Err(last.unwrap_or_else(|| error::raise_with(|| Error::argument("bound: the function is gone"))))
    };
    #[expect(deprecated, reason = "it is marked so to say that it may change")]
    FnPtr::from_fn("bound_function", body)
}
