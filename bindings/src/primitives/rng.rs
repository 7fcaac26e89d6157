//! `rng` and `Rng`: seeded random generators.

use std::sync::Mutex;

use lota_runtime::host::Rng;
use lota_script::{IntoValue, Primitive, Registry, Scripted, Value};

use crate::primitives::shared::Lota;

/// A seeded generator that scripts hold.
pub struct ScriptRng(pub Mutex<Rng>);

impl Scripted for ScriptRng {
    const TYPE: &'static str = "Rng";
}

impl ScriptRng {
    /// Runs `work` with the generator.
    pub fn with<R>(&self, work: impl FnOnce(&mut Rng) -> R) -> R {
        work(&mut self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

impl IntoValue<Lota> for Rng {
    fn into_value(self) -> Value {
        Value::object(ScriptRng(Mutex::new(self)))
    }
}

pub(super) fn register(r: &mut Registry) {
    r.object("Rng", "A seeded random generator; the same seed gives the same numbers everywhere.");
    r.add(
        Primitive::new("rng", "A random generator.")
            .arg("seed", "integer", "the seed")
            .returns("Rng", "the generator")
            .example("assert(lota.rng(7):uniform() == lota.rng(7):uniform())")
            .call(|_, args| {
                let seed: i64 = args.get("seed")?;
                Ok(Rng::new(seed as u64))
            }),
    );
    r.add(
        Primitive::method("Rng", "uniform", "A number in [0, 1).")
            .returns("number", "uniform")
            .example("local x = lota.rng(1):uniform()\nassert(x >= 0 and x < 1)")
            .call(|_, args| Ok(args.this::<ScriptRng>()?.with(Rng::uniform))),
    );
    r.add(
        Primitive::method("Rng", "normal", "A number with mean 0 and deviation 1.")
            .returns("number", "normally distributed")
            .example("assert(type(lota.rng(1):normal()) == 'number')")
            .call(|_, args| Ok(args.this::<ScriptRng>()?.with(Rng::normal))),
    );
    r.add(
        Primitive::method("Rng", "below", "A whole number from 0 to n - 1.")
            .arg("n", "integer", "how many values are possible, at least 1")
            .returns("integer", "uniform")
            .example("assert(lota.rng(1):below(6) < 6)")
            .call(|_, args| {
                let rng = args.this::<ScriptRng>()?;
                match args.get::<u64>("n")? {
                    0 => Err(args.wrong("n", "must be at least 1, got 0")),
                    n => Ok(rng.with(|r| r.below(n))),
                }
            }),
    );
    r.add(
        Primitive::method("Rng", "shuffle", "The values of a list in a random order.")
            .arg("list", "list", "the values; the list itself stays as it is")
            .returns("list", "the same values, every order as likely as another")
            .example("local drawn = lota.rng(1):shuffle({1, 2, 3})\nassert(#drawn == 3)")
            .call(|_, args| {
                let rng = args.this::<ScriptRng>()?;
                let mut list: Vec<Value> = args.get("list")?;
                rng.with(|r| r.shuffle(&mut list));
                Ok(list)
            }),
    );
    r.add(
        Primitive::method("Rng", "fork", "An independent generator for a named purpose.")
            .details("Adding a consumer of randomness does not shift the numbers another one sees.")
            .arg("purpose", "string", "what it is for")
            .returns("Rng", "the new generator; this one does not move")
            .example(
                "local r = lota.rng(1)\nassert(r:fork('data'):below(1000) ~= r:fork('mask'):below(1000))",
            )
            .call(|_, args| {
                let rng = args.this::<ScriptRng>()?;
                let purpose: String = args.get("purpose")?;
                Ok(rng.with(|r| r.fork(&purpose)))
            }),
    );
}
