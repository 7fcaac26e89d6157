//! Objects as Rhai values: methods, operators, positions, and the count of the memory they keep.

use std::any::TypeId;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rhai::{Array, Dynamic, Engine, EvalAltResult, ImmutableString, NativeCallContext};

use super::{State, call, error};
use crate::counting::{Outside, outside};
use crate::error::Error;
use crate::language::Language;
use crate::{Charge, Ctx, Object, Op, Primitive, nearest};

/// What a handle takes beside what it is charged for, about, in bytes.
const HANDLE: usize = 256;

/// A handle held by a script, with the charge for what it keeps alive. Copies share the charge.
#[derive(Clone)]
pub(crate) struct Held(Outside<Arc<(Object, Charge)>>);

impl Held {
    pub(crate) fn new(object: &Object, ctx: &Ctx) -> Self {
        let held = outside(|| {
            let charge = ctx.memory.charge(object.bytes() + ctx.meter.handle());
            Arc::new((object.clone(), charge))
        });
        Self(Outside::weighing(held, HANDLE))
    }

    pub(crate) fn object(&self) -> &Object {
        &self.0.0
    }
}

type Called = Result<Dynamic, Box<EvalAltResult>>;
type ByType = HashMap<String, Arc<Primitive>>;

/// The name Rhai knows the type of all objects by; `type_of` tells the object's own.
pub(crate) const TYPE: &str = "Object";

/// The text of an object, as the script's.
fn shown(held: &Held) -> ImmutableString {
    let text = outside(|| Outside::new(held.object().show()));
    text.as_str().into()
}

fn object_of(value: &Dynamic) -> Option<Object> {
    value.read_lock::<Held>().map(|held| held.object().clone())
}

fn held() -> TypeId {
    TypeId::of::<Held>()
}

fn any() -> TypeId {
    TypeId::of::<Dynamic>()
}

pub(crate) fn register(engine: &mut Engine, state: &Arc<State>) {
    engine
        .register_type_with_name::<Held>(TYPE)
        .register_fn("to_string", |held: &mut Held| shown(held))
        .register_fn("to_debug", |held: &mut Held| shown(held));
    methods(engine, state);
    operators(engine, state);
}

/// One function for each method name and number of arguments; the object's type says which primitive it is.
fn methods(engine: &mut Engine, state: &Arc<State>) {
    let mut names: BTreeMap<&str, (ByType, usize)> = BTreeMap::new();
    for p in state.registry.iter() {
        if let Some(owner) = p.owner() {
            let entry = names.entry(p.short_name()).or_default();
            entry.0.insert(owner.to_string(), p.clone());
            entry.1 = entry.1.max(super::primitives::most(p));
        }
    }
    for (name, (by_type, most)) in names {
        let by_type = Arc::new(by_type);
        for count in 1..=most {
            let mut types = vec![any(); count];
            types[0] = held();
            let (state, by_type, name) = (state.clone(), by_type.clone(), name.to_string());
            engine.register_raw_fn(name.clone(), types, move |context, args| -> Called {
                let ty = args.first().and_then(|this| object_of(this)).map_or(TYPE, |o| o.type_name());
                match by_type.get(ty) {
                    Some(primitive) => call::call(&state, primitive, &context, args),
                    None => Err(lacking(&state, ty, &name)),
                }
            });
        }
    }
    let shared = state.clone();
    // A property that is not there is asked for by index.
    engine.register_raw_fn(
        "index$get$",
        [held(), TypeId::of::<ImmutableString>()],
        move |_, args| -> Called {
            let ty = object_of(args[0]).map_or(TYPE, |o| o.type_name());
            let name = args[1].to_string();
            if shared.registry.get(&format!("{ty}:{name}")).is_some() {
                return Err(error::raise_with(|| {
                    Error::argument(format!(
                        "{ty} has no property '{name}': it is a method, write x.{name}(...)"
                    ))
                }));
            }
            Err(lacking(&shared, ty, &name))
        },
    );
}

/// The error for a method that a type does not have.
fn lacking(state: &State, ty: &str, name: &str) -> Box<EvalAltResult> {
    error::raise_with(|| {
        if let Some(instead) = state.registry.instead(ty, name, Language::Rhai) {
            return Error::argument(format!("{ty} has no method '{name}'; {instead}"));
        }
        let known: Vec<&str> = state.registry.methods(ty).map(|p| p.short_name()).collect();
        let hint = match nearest(name, known.iter().copied()) {
            Some(near) => format!("; did you mean '{near}'?"),
            None => format!("; its methods are {}", known.join(", ")),
        };
        Error::argument(format!("{ty} has no method '{name}'{hint}"))
    })
}

fn operators(engine: &mut Engine, state: &Arc<State>) {
    let mut known: HashMap<(String, Op), Arc<Primitive>> = HashMap::new();
    for p in state.registry.iter() {
        if let (Some(op), Some(first)) = (p.operator_tag(), p.params().first()) {
            let ty = first.ty.split('|').next().unwrap_or_default();
            known.insert((ty.to_string(), op), p.clone());
        }
    }
    let known = Arc::new(known);
    let operate = |op: Op, symbol: &'static str, swapped: bool| {
        let (state, known) = (state.clone(), known.clone());
        move |context: &NativeCallContext<'_>, args: &mut [&mut Dynamic]| -> Called {
            let mut types = args.iter().filter_map(|arg| object_of(arg));
            let found = types.find_map(|o| known.get(&(o.type_name().to_string(), op)));
            if let Some(primitive) = found {
                if swapped {
                    args.reverse();
                }
                return call::call(&state, primitive, context, args);
            }
            let ty = args.iter().find_map(|arg| object_of(arg)).map_or(TYPE, |o| o.type_name());
            let twin = match symbol {
                "<" => "lt",
                "<=" => "le",
                ">" => "gt",
                ">=" => "ge",
                _ => "",
            };
            Err(error::raise_with(|| {
                let hint = if state.registry.get(&format!("{ty}:{twin}")).is_some() {
                    format!("; a.{twin}(b) compares element by element")
                } else {
                    String::new()
                };
                Error::argument(format!("{ty} has no operator '{symbol}'{hint}"))
            }))
        }
    };
    let pairs = [[held(), held()], [held(), any()], [any(), held()]];
    for (symbol, op, swapped) in [
        ("+", Op::Add, false),
        ("-", Op::Sub, false),
        ("*", Op::Mul, false),
        ("/", Op::Div, false),
        ("%", Op::Mod, false),
        ("**", Op::Pow, false),
        ("&", Op::And, false),
        ("|", Op::Or, false),
        ("^", Op::Xor, false),
        ("<", Op::Lt, false),
        ("<=", Op::Le, false),
        (">", Op::Lt, true),
        (">=", Op::Le, true),
    ] {
        for types in pairs {
            let operate = operate(op, symbol, swapped);
            engine.register_raw_fn(symbol, types, move |context, args| operate(&context, args));
        }
    }
    for (symbol, op) in [("-", Op::Neg), ("!", Op::Not)] {
        let operate = operate(op, symbol, false);
        engine.register_raw_fn(symbol, [held()], move |context, args| operate(&context, args));
    }
    for index in [TypeId::of::<i64>(), TypeId::of::<Array>(), TypeId::of::<std::ops::Range<i64>>()] {
        let operate = operate(Op::Index, "[]", false);
        engine.register_raw_fn("index$get$", [held(), index], move |context, args| operate(&context, args));
    }
    for (symbol, equal) in [("==", true), ("!=", false)] {
        let (state, known) = (state.clone(), known.clone());
        engine.register_raw_fn(symbol, [held(), held()], move |context, args| -> Called {
            let same = same(&state, &known, &context, args)?;
            Ok((same == equal).into())
        });
    }
}

/// Whether two objects are one, or are equal as their type has it.
fn same(
    state: &Arc<State>,
    known: &HashMap<(String, Op), Arc<Primitive>>,
    context: &NativeCallContext<'_>,
    args: &mut [&mut Dynamic],
) -> Result<bool, Box<EvalAltResult>> {
    let (Some(x), Some(y)) = (object_of(args[0]), object_of(args[1])) else { return Ok(false) };
    match known.get(&(x.type_name().to_string(), Op::Eq)) {
        Some(primitive) if !x.same(&y) && x.type_name() == y.type_name() => {
            Ok(call::call(state, primitive, context, args)?.as_bool().unwrap_or(false))
        }
        _ => Ok(x.same(&y)),
    }
}
