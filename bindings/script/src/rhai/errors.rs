//! What `catch (e)` binds when a primitive failed: a value with `e.message`, `e.kind` and `e.primitive`, which prints as
//! the whole message and can be thrown again as it is.

use rhai::Engine;

use crate::counting::Outside;
use crate::error::Error;

/// An error of ours on its way through a script.
#[derive(Clone)]
pub(crate) struct Caught(pub(crate) Outside<Error>);

pub(crate) fn register(engine: &mut Engine) {
    engine
        .register_type_with_name::<Caught>("Error")
        .register_get("message", |e: &mut Caught| e.0.message().to_string())
        .register_get("kind", |e: &mut Caught| e.0.kind().as_str().to_string())
        .register_get("primitive", |e: &mut Caught| e.0.primitive().unwrap_or_default().to_string())
        .register_fn("to_string", |e: &mut Caught| e.0.to_string())
        .register_fn("to_debug", |e: &mut Caught| e.0.to_string());
}
