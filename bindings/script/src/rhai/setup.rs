//! The interpreter: its limits, what stops it, where it prints, and the names it knows.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rhai::{Dynamic, Engine, EvalAltResult, LexError, Token};

use super::errors::Caught;
use super::{State, call, error, errors, format, modules, nesting, object, primitives, sizes};
use crate::Ctx;
use crate::counting::{Outside, outside};
use crate::error::{Error, Result};
use crate::limits::Limits;

/// With the depth of calls these bound the use of the stack.
const EXPRESSION_DEPTH: usize = 64;
const FUNCTION_EXPRESSION_DEPTH: usize = 32;
/// Words that Rhai keeps for itself, and frees with those that the registry uses as names.
const FREED: [&str; 3] = ["eval", "print", "shared"];
/// What `type_of` is turned into, since it cannot be replaced.
const TYPE_OF: &str = "type_of_value";

/// The interpreter of a state.
pub(crate) fn engine(state: &Arc<State>, open: bool) -> Result<Engine> {
    let mut engine = Engine::new();
    engine.set_max_expr_depths(EXPRESSION_DEPTH, FUNCTION_EXPRESSION_DEPTH);
    sizes::set(&mut engine, state.ctx.meter.limits());
    let named = state.registry.iter().flat_map(|p| p.name().split(['.', ':']));
    let freed: HashSet<String> = named.chain(FREED).map(String::from).collect();
    let shared = state.clone();
    #[expect(deprecated, reason = "it is marked so to say that it may change")]
    engine.on_parse_token(move |token, _, _| match token {
        // Parsing a text that a script made is work like any other; who began it asks the meter why it ended.
        _ if check(&shared, 0).is_some() => Token::LexError(LexError::Runtime("stopped".into()).into()),
        Token::Reserved(word) if freed.contains(word.as_str()) => Token::Identifier(word),
        Token::Reserved(word) if word.as_str() == "type_of" => Token::Identifier(Box::new(TYPE_OF.into())),
        other => other,
    });
    if *state.ctx.meter.limits() != Limits::none() {
        nesting::bound(&mut engine, state);
    }
    let shared = state.clone();
    engine.on_progress(move |_| check(&shared, 1).map(|e| Dynamic::from(Caught(e))));
    let ctx = state.ctx.clone();
    engine.on_print(move |text| print(&ctx, format_args!("{text}\n")));
    let ctx = state.ctx.clone();
    engine.on_debug(move |text, source, position| {
        let line = position.line().unwrap_or(0);
        print(&ctx, format_args!("{}:{line}: {text}\n", source.unwrap_or("script")));
    });
    engine.set_module_resolver(modules::Resolver::new(state));
    errors::register(&mut engine);
    format::register(&mut engine);
    engine.register_fn("bound", call::bound);
    object::register(&mut engine, state);
    primitives::register(&mut engine, state)?;
    helpers(&mut engine, state, open);
    Ok(engine)
}

/// Why the script must end, if it must: it may do so many operations, and hold so much.
fn check(state: &State, operations: u64) -> Option<Outside<Error>> {
    let meter = &state.ctx.meter;
    let most = meter.limits().script_memory.unwrap_or(u64::MAX);
    if state.tally.held() > most {
        return Some(outside(|| Outside::new(meter.out_of_memory())));
    }
    let error = meter.deep().and_then(|()| meter.spend(operations)).err()?;
    Some(outside(|| Outside::new(error.clone())))
}

/// Prints. What is too much is noted by the meter, which ends the script at its next step.
fn print(ctx: &Ctx, text: std::fmt::Arguments<'_>) {
    outside(|| {
        let _ = ctx.print(&text.to_string());
    });
}

type Raised<T = ()> = std::result::Result<T, Box<EvalAltResult>>;

fn helpers(engine: &mut Engine, state: &Arc<State>, open: bool) {
    engine
        .register_fn("assert", |holds: bool| hold(holds, "the assertion does not hold"))
        .register_fn("assert", |holds: bool, text: &str| hold(holds, text));
    engine.register_fn(TYPE_OF, |context: rhai::NativeCallContext<'_>, value: Dynamic| -> String {
        match value.read_lock::<object::Held>() {
            Some(held) => held.object().type_name().to_string(),
            None => context.engine().map_type_name(value.type_name()).to_string(),
        }
    });
    // Rhai's own sleep cannot be stopped.
    let shared = state.clone();
    engine.register_fn("sleep", move |seconds: i64| sleep(&shared, seconds as f64));
    let shared = state.clone();
    engine.register_fn("sleep", move |seconds: f64| sleep(&shared, seconds));
    if open {
        engine.register_fn("exit", |code: i64| -> Raised {
            Err(error::raise_with(|| Error::exit(i32::try_from(code).unwrap_or(1))))
        });
    }
}

fn hold(holds: bool, text: &str) -> Raised {
    if holds { Ok(()) } else { Err(error::raise_with(|| Error::runtime(text))) }
}

fn sleep(state: &State, seconds: f64) -> Raised {
    let began = Instant::now();
    let asked = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX);
    while let Some(left) = asked.checked_sub(began.elapsed()).filter(|left| !left.is_zero()) {
        outside(|| state.ctx.host.cancel.check()).map_err(|e| error::raise_with(|| e.into()))?;
        std::thread::sleep(left.min(Duration::from_millis(20)));
    }
    Ok(())
}
