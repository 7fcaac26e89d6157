//! Making masks: from scores, by chance, from parameters and their parts.

use std::sync::Arc;

use lota_runtime::host::Rng;
use lota_runtime::mask::{self, Mask, Unit};
use lota_runtime::vectors::Source as _;
use lota_script::{Args, Ctx, FromValue, Primitive, Registry, Result, Value};

use super::bounds::{Bounds, bounded, clipped};
use super::budget::{budget, budgeted};
use super::parts::pieces;
use crate::primitives::params::{PARAMS, PARAMS_DOC, chosen};
use crate::primitives::rng::ScriptRng;
use crate::primitives::shared::ScriptValues;
use crate::primitives::universe::of_model;

pub(super) fn register(r: &mut Registry) {
    from_scores(r);
    random(r);
    whole(r);
}

fn from_scores(r: &mut Registry) {
    r.add(
        bounded(budgeted(Primitive::new(
            "mask.from_scores",
            "The entries with the largest scores by magnitude: exactly as many as asked for.",
        )
        .details(
            "Ties go to the entry that comes first. Asking for more entries than have a score that is not zero is an \
             error that says how many there are, unless all that may be picked are asked for.",
        )
        .arg("scores", "Values", "the scores")))
        .opt("largest", "boolean", true, "false takes the smallest")
        .returns("Mask", "the mask")
        .example(
            "local m = lota.model.init('tiny')\n\
             local weights = lota.values.new(m, function(name, w) return w end)\n\
             local mask = lota.mask.from_scores(weights, {density = 0.1})\n\
             assert(mask:count() == math.floor(m:entries() * 0.1 + 0.5))",
        )
        .call(|ctx, args| {
            let scores = args.get::<Arc<ScriptValues>>("scores")?.get();
            let bounds = Bounds::of_values(args, &scores)?;
            let (budget, scope) = budget(args, scores.universe(), |p| scores.has(p) && bounds.reaches(p))?;
            let largest = args.get("largest")?;
            Ok(mask::top(&*scores, budget, scope, bounds.within(), bounds.avoid(), largest, &ctx.host)?)
        }),
    );
    r.add(
        clipped(
            Primitive::new(
                "mask.threshold",
                "The entries whose score is greater than a threshold in magnitude.",
            )
            .arg("scores", "Values", "the scores")
            .opt("above", "number", 0.0, "the threshold"),
        )
        .returns("Mask", "the mask")
        .example(
            "local m = lota.model.init('tiny')\n\
             local weights = lota.values.new(m, function(name, w) return w end)\n\
             local mask = lota.mask.threshold(weights, {above = 0.03})",
        )
        .call(|ctx, args| {
            let scores = args.get::<Arc<ScriptValues>>("scores")?.get();
            let above = args.get("above")?;
            let bounds = Bounds::of_values(args, &scores)?;
            Ok(mask::threshold(&*scores, above, bounds.within(), bounds.avoid(), &ctx.host)?)
        }),
    );
    r.add(
        clipped(
            Primitive::new("mask.nm", "In every m neighbours of a row, the n with the largest scores by magnitude.")
                .details("Of neighbours of which fewer than n may be taken, all that may be are.")
                .arg("scores", "Values", "the scores; parameters without scores stay out")
                .opt("n", "integer", 2, "how many to keep")
                .opt("m", "integer", 4, "of how many neighbours"),
        )
            .returns("Mask", "the mask")
            .example(
                "local m = lota.model.init('tiny')\n\
                 local weights = lota.values.new(m, function(name, w) return name:find('mlp') and w or nil end)\n\
                 local mask = lota.mask.nm(weights, {n = 2, m = 4})",
            )
            .call(|ctx, args| {
                let scores = args.get::<Arc<ScriptValues>>("scores")?.get();
                let (n, m) = (args.get("n")?, args.get("m")?);
                let bounds = Bounds::of_values(args, &scores)?;
                Ok(mask::nm(&*scores, n, m, bounds.within(), bounds.avoid(), &ctx.host)?)
            }),
    );
    r.add(
        bounded(budgeted(
            Primitive::new("mask.units", "The whole rows, columns or blocks with the largest scores on average.")
                .details(
                    "A density is a fraction of the number of units. Magnitudes are averaged; ties go to the unit that comes \
                     first. A unit that does not lie within as a whole, or of which an entry is to be avoided, stays out.",
                )
                .arg("scores", "Values", "the scores; parameters without scores stay out")
                .need("unit", "string|list of integer", "row, column, or {height, width} of a block"),
        ))
        .opt("largest", "boolean", true, "false takes the smallest")
        .returns("Mask", "the mask")
        .example(
            "local m = lota.model.init('tiny')\n\
             local weights = lota.values.new(m, function(name, w) return name:find('up_proj') and w or nil end)\n\
             assert(lota.mask.units(weights, {unit = 'row', count = 3}):count() == 3 * 32)",
        )
        .call(units),
    );
    r.add(
        clipped(
            Primitive::new(
                "mask.support",
                "Where something is not zero: of scores or a task vector, or the mask of a ticket.",
            )
            .arg("of", "Values|Ticket", "the scores or the ticket"),
        )
        .returns("Mask", "the mask")
        .example(
            "local m = lota.model.init('tiny')\n\
                 local before = m:snapshot()\n\
                 assert(lota.mask.support(m:delta(before)):count() == 0)",
        )
        .call(support),
    );
}

fn support(ctx: &Ctx, args: &mut Args) -> Result<Mask> {
    let of: Value = args.get("of")?;
    let bounds = Bounds::of(args)?;
    let Value::Object(object) = of else {
        return Err(args.wrong("of", format!("must be Values or a Ticket, got {}", of.describe())));
    };
    if let Some(values) = object.downcast_ref::<ScriptValues>() {
        return bounds.clip(mask::support(&*values.get(), &ctx.host)?);
    }
    match crate::primitives::shared::mask_of(&object) {
        Some(mask) => bounds.clip(mask),
        None => Err(args.wrong("of", format!("must be Values or a Ticket, got {}", object.type_name()))),
    }
}

fn units(ctx: &Ctx, args: &mut Args) -> Result<Mask> {
    let scores = args.get::<Arc<ScriptValues>>("scores")?.get();
    let unit = match args.get::<Value>("unit")? {
        Value::Str(word) if word == "row" => Unit::Row,
        Value::Str(word) if word == "column" => Unit::Column,
        Value::Str(word) => return Err(args.not_one_of("unit", &word, &["row", "column"])),
        list => match Vec::<usize>::from_value(list).map_err(|m| args.mismatched("unit", &m))?[..] {
            [height, width] => Unit::Block(height, width),
            ref other => {
                return Err(args.wrong("unit", format!("must be a height and a width, got {}", other.len())));
            }
        },
    };
    let bounds = Bounds::of_values(args, &scores)?;
    let (budget, scope) = budget(args, scores.universe(), |p| scores.has(p) && bounds.reaches(p))?;
    let (within, avoid) = (bounds.within(), bounds.avoid());
    Ok(mask::top_units(&*scores, unit, budget, scope, within, avoid, args.get("largest")?, &ctx.host)?)
}

fn random(r: &mut Registry) {
    r.add(
        bounded(budgeted(
            Primitive::new(
                "mask.random",
                "Entries drawn blindly: exactly as many as asked for, every choice equally likely.",
            )
            .arg("model", "Model", "the model (or a mask, scores or ticket of it)")
            .opt("params", PARAMS, "adaptable", PARAMS_DOC)
            .opt("seed", "integer", (), "the seed; 0 if neither seed nor rng is given")
            .opt("rng", "Rng", (), "a generator to draw from instead"),
        ))
        .returns("Mask", "the mask")
        .example(
            "local m = lota.model.init('tiny')\n\
             local a = lota.mask.random(m, {density = 0.1, seed = 1})\n\
             assert(a == lota.mask.random(m, {density = 0.1, seed = 1}))",
        )
        .call(drawn),
    );
}

fn drawn(ctx: &Ctx, args: &mut Args) -> Result<Mask> {
    let (universe, params) = pieces(args)?;
    let bounds = Bounds::of(args)?;
    let within = mask::bounded(Mask::of_indices(universe.clone(), &params), bounds.within(), None)?;
    let (budget, scope) = budget(args, &universe, |p| !within.set(p).is_empty())?;
    let (seed, rng): (Option<i64>, Option<Arc<ScriptRng>>) = (args.opt("seed")?, args.opt("rng")?);
    let draw = |rng: &mut Rng| mask::random(&within, bounds.avoid(), budget, scope, rng, &ctx.host);
    match (seed, rng) {
        (Some(_), Some(_)) => Err(args.wrong("seed", "and option 'rng' exclude each other")),
        (seed, None) => Ok(draw(&mut Rng::new(seed.unwrap_or(0) as u64))?),
        (None, Some(rng)) => Ok(rng.with(draw)?),
    }
}

fn whole(r: &mut Registry) {
    r.add(
        clipped(
            Primitive::new("mask.all", "Every entry of some parameters.")
                .arg("model", "Model", "the model (or a mask, scores or ticket of it)")
                .opt("params", PARAMS, "all", PARAMS_DOC),
        )
        .returns("Mask", "the mask")
        .example(
            "local m = lota.model.init('tiny')\n\
                 assert(lota.mask.all(m):count() == m:entries())\n\
                 assert(lota.mask.all(m, {params = 'adaptable'}):count() < m:entries())",
        )
        .call(|_, args| {
            let universe = of_model(args)?;
            let params = chosen(args, &universe)?;
            Bounds::of(args)?.clip(Mask::of_indices(universe, &params))
        }),
    );
    r.add(
        Primitive::new("mask.none", "A mask without entries.")
            .arg("model", "Model", "the model (or a mask, scores or ticket of it)")
            .returns("Mask", "the mask")
            .example("assert(lota.mask.none(lota.model.init('tiny')):count() == 0)")
            .call(|_, args| Ok(Mask::none(of_model(args)?))),
    );
    r.add(
        clipped(
            Primitive::new("mask.match", "Every entry of the parameters whose names match a pattern.")
                .arg("model", "Model", "the model (or a mask, scores or ticket of it)")
                .arg(
                    "patterns",
                    "string|list of string",
                    "patterns: * is any run of characters, {a,b} one of several",
                ),
        )
        .returns("Mask", "the mask")
        .example(
            "local m = lota.model.init('tiny')\n\
                 local mask = lota.mask.match(m, {'*.mlp.{up,down}_proj.weight'})\n\
                 assert(mask:by('role').attention == 0)",
        )
        .call(|_, args| {
            let universe = of_model(args)?;
            let patterns = match args.get::<Value>("patterns")? {
                Value::Str(pattern) => vec![pattern],
                other => Vec::from_value(other).map_err(|m| args.mismatched("patterns", &m))?,
            };
            Bounds::of(args)?.clip(Mask::matching::<String>(universe, &patterns)?)
        }),
    );
}
