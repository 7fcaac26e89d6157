//! Calls: Rhai into a primitive, and Rust into a Rhai function.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use rhai::{Dynamic, EvalAltResult, FnPtr, NativeCallContext};

use super::{State, convert, error, lock};
use crate::api::{Primitive, ScriptFn, Value};
use crate::error::{Error, ErrorKind, Result};

#[expect(deprecated, reason = "it is marked so to say that it may change")]
type Given = rhai::NativeCallContextStore;

/// A callback counts its calls from the start, so this many inside each other bound the stack.
const NESTED: usize = 4;

/// Calls a primitive with Rhai values.
pub(crate) fn call(
    state: &Arc<State>,
    primitive: &Primitive,
    context: Option<&NativeCallContext<'_>>,
    args: &mut [&mut Dynamic],
) -> Result<Dynamic, Box<EvalAltResult>> {
    let values = args.iter().map(|arg| convert::argument(arg, state, context)).collect::<Result<Vec<_>>>();
    let result = values
        .map_err(|e| e.in_primitive(primitive.name()))
        .and_then(|values| primitive.invoke(&state.ctx, values));
    let result = result.map(|value| convert::to_rhai(state, value));
    // A value that is too much has been charged by now, and is let go with the error.
    let result = result.and_then(|value| state.ctx.meter.tensors(state.ctx.memory.live()).map(|()| value));
    result.map_err(error::raise)
}

/// A function of the script, held by Rust.
pub(crate) struct RhaiFn {
    pointer: FnPtr,
    state: Weak<State>,
    /// Where the script gave it away: what it had imported by then.
    given: Option<Given>,
}

impl RhaiFn {
    pub(crate) fn new(pointer: FnPtr, state: &Arc<State>, context: Option<&NativeCallContext<'_>>) -> Self {
        #[expect(deprecated, reason = "it is marked so to say that it may change")]
        let given = context.map(NativeCallContext::store_data);
        Self { pointer, state: Arc::downgrade(state), given }
    }

    pub(crate) fn pointer(&self) -> &FnPtr {
        &self.pointer
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
        let ast = lock(&state.running).clone();
        // A closure may take fewer values than it is offered, as in Lua and JavaScript.
        let mut taken = arguments.len();
        let result = loop {
            let args: Vec<Dynamic> =
                arguments[..taken].iter().map(|v| convert::to_rhai(&state, v.clone())).collect();
            let called = match &self.given {
                Some(given) => {
                    #[expect(deprecated, reason = "it is marked so to say that it may change")]
                    let context = given.create_context(&engine);
                    self.pointer.call_within_context::<Dynamic>(&context, args)
                }
                None => self.pointer.call::<Dynamic>(&engine, &ast, args),
            };
            match called {
                Err(e) if taken > 0 && error::is_missing(&e, self.pointer.fn_name()) => taken -= 1,
                other => break other,
            }
        };
        state.nested.fetch_sub(1, Ordering::Relaxed);
        let name = ast.source().unwrap_or("script");
        let value = result.map_err(|e| error::from_rhai(&state.registry, *e, name))?;
        convert::argument(&value, &state, None)
    }
}
