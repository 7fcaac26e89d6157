//! The interpreter: its limits, what stops it, where it prints, and the names it knows.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rhai::{Dynamic, Engine, EvalAltResult, Token};

use super::errors::Caught;
use super::{State, error, errors, modules, object, primitives};
use crate::api::{Ctx, nearest};
use crate::error::{Error, Result};
use crate::limits::Limits;

/// Calls inside each other; with the depth of expressions it bounds the use of the stack.
const CALL_LEVELS: usize = 64;
const EXPRESSION_DEPTH: usize = 64;
const FUNCTION_EXPRESSION_DEPTH: usize = 32;
const MAX_STRING: usize = 256 << 20;
/// Items of a list.
pub(crate) const MAX_ARRAY: usize = 10_000_000;
const MAX_MAP: usize = 1_000_000;
/// One value may take this part of the memory a script may use.
const VALUES: usize = 8;
/// Variables of a script whose memory is limited.
const VARIABLES: usize = 1000;
/// Words that Rhai keeps for itself, and frees with those that the registry uses as names.
const FREED: [&str; 3] = ["eval", "print", "shared"];
/// What `type_of` is turned into, since it cannot be replaced.
const TYPE_OF: &str = "type_of_value";

/// The interpreter of a state.
pub(crate) fn engine(state: &Arc<State>, open: bool) -> Result<Engine> {
    let mut engine = Engine::new();
    engine.set_max_expr_depths(EXPRESSION_DEPTH, FUNCTION_EXPRESSION_DEPTH);
    sizes(&mut engine, state.ctx.meter.limits());
    let named = state.registry.iter().flat_map(|p| p.name().split(['.', ':']));
    let freed: HashSet<String> = named.chain(FREED).map(String::from).collect();
    #[expect(deprecated, reason = "it is marked so to say that it may change")]
    engine.on_parse_token(move |token, _, _| match token {
        Token::Reserved(word) if freed.contains(word.as_str()) => Token::Identifier(word),
        Token::Reserved(word) if word.as_str() == "type_of" => Token::Identifier(Box::new(TYPE_OF.into())),
        other => other,
    });
    let meter = state.ctx.meter.clone();
    engine.on_progress(move |_| meter.spend(1).err().map(|e| Dynamic::from(Caught(e))));
    let ctx = state.ctx.clone();
    engine.on_print(move |text| print(&ctx, &format!("{text}\n")));
    let ctx = state.ctx.clone();
    engine.on_debug(move |text, source, position| {
        print(&ctx, &format!("{}:{}: {text}\n", source.unwrap_or("script"), position.line().unwrap_or(0)));
    });
    engine.set_module_resolver(modules::Resolver::new(state));
    errors::register(&mut engine);
    object::register(&mut engine, state);
    primitives::register(&mut engine, state)?;
    helpers(&mut engine, state, open);
    Ok(engine)
}

/// How large values may be. Rhai asks no allocator, so a limit on its memory bounds each value (a list with all that is
/// in it, too) and how many variables there are, not the sum.
fn sizes(engine: &mut Engine, limits: &Limits) {
    let depth = limits.call_depth.map_or(CALL_LEVELS, |most| CALL_LEVELS.min(most as usize));
    engine.set_max_call_levels(depth);
    let memory = limits.script_memory.map_or(usize::MAX, |m| usize::try_from(m).unwrap_or(usize::MAX));
    let (value, item) = (memory / VALUES, size_of::<Dynamic>());
    engine
        .set_max_string_size(MAX_STRING.min(value).max(1))
        .set_max_array_size(MAX_ARRAY.min(value / item).max(1))
        // An entry of a map has a name, too.
        .set_max_map_size(MAX_MAP.min(value / (8 * item)).max(1));
    if limits.script_memory.is_some() {
        engine.set_max_variables(VARIABLES);
    }
}

/// Prints. What is too much is noted by the meter, which ends the script at its next step.
fn print(ctx: &Ctx, text: &str) {
    let _ = ctx.print(text);
}

type Raised<T = ()> = std::result::Result<T, Box<EvalAltResult>>;

fn helpers(engine: &mut Engine, state: &Arc<State>, open: bool) {
    engine
        .register_fn("assert", |holds: bool| check(holds, "the assertion does not hold"))
        .register_fn("assert", |holds: bool, text: &str| check(holds, text));
    engine.register_fn(TYPE_OF, |context: rhai::NativeCallContext<'_>, value: Dynamic| -> String {
        match value.read_lock::<object::Held>() {
            Some(held) => held.object().type_name().to_string(),
            None => context.engine().map_type_name(value.type_name()).to_string(),
        }
    });
    engine.register_fn("nearest", |name: &str, known: rhai::Array| -> String {
        let known: Vec<String> = known.iter().map(ToString::to_string).collect();
        nearest(name, known.iter().map(String::as_str)).unwrap_or_default().to_string()
    });
    // Rhai's own sleep cannot be stopped.
    let shared = state.clone();
    engine.register_fn("sleep", move |seconds: i64| sleep(&shared, seconds as f64));
    let shared = state.clone();
    engine.register_fn("sleep", move |seconds: f64| sleep(&shared, seconds));
    if open {
        engine.register_fn("exit", |code: i64| -> Raised {
            Err(error::raise(Error::exit(i32::try_from(code).unwrap_or(1))))
        });
    }
}

fn check(holds: bool, text: &str) -> Raised {
    if holds { Ok(()) } else { Err(error::raise(Error::runtime(text))) }
}

fn sleep(state: &State, seconds: f64) -> Raised {
    let began = Instant::now();
    let asked = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX);
    while let Some(left) = asked.checked_sub(began.elapsed()).filter(|left| !left.is_zero()) {
        state.ctx.host.cancel.check().map_err(|e| error::raise(e.into()))?;
        std::thread::sleep(left.min(Duration::from_millis(20)));
    }
    Ok(())
}
