//! Making masks: from scores, by chance, from parameters and their parts.

use std::sync::Arc;

use lota_runtime::host::Rng;
use lota_runtime::mask::{self, Budget, Mask, Scope, Unit};
use lota_script::{Args, Ctx, FromValue, Primitive, Registry, Result, Value};

use super::parts::pieces;
use crate::primitives::params::{PARAMS, PARAMS_DOC, chosen};
use crate::primitives::rng::ScriptRng;
use crate::primitives::shared::{ScriptMask, ScriptScores};
use crate::primitives::universe::of_model;

const SCOPES: [&str; 4] = ["global", "parameter", "layer", "row"];

/// The options of a selection: `density` or `count`, and `scope`.
pub(crate) fn budgeted(record: Primitive) -> Primitive {
    record
        .opt("density", "number", (), "how much of the population to take, from 0 to 1")
        .opt("count", "integer", (), "how many entries to take (of each group, if the scope is not global)")
        .opt("scope", "string", "global", "where the budget holds: global, parameter, layer or row")
}

/// The budget that the options of [`budgeted`] ask for, and where it holds.
pub(crate) fn budget(args: &mut Args) -> Result<(Budget, Scope)> {
    let (density, count): (Option<f64>, Option<u64>) = (args.opt("density")?, args.opt("count")?);
    let budget = match (density, count) {
        (Some(d), None) if (0.0..=1.0).contains(&d) => Budget::Density(d),
        (Some(d), None) => return Err(args.wrong("density", format!("must be from 0 to 1, got {d}"))),
        (None, Some(n)) => Budget::Count(n),
        (None, None) => return Err(args.wrong("density", "is missing: give either density or count")),
        (Some(_), Some(_)) => return Err(args.wrong("density", "and option 'count' exclude each other")),
    };
    let scope: String = args.get("scope")?;
    let scope = Scope::parse(&scope).map_err(|_| args.not_one_of("scope", &scope, &SCOPES))?;
    Ok((budget, scope))
}

/// The options `within` and `avoid`.
fn bounded(record: Primitive) -> Primitive {
    record.opt("within", "Mask", (), "only entries of this mask may be taken, and a density is of them").opt(
        "avoid",
        "Mask",
        (),
        "entries of this mask may not be taken; a density still counts them",
    )
}

type Bounds = (Option<ScriptMask>, Option<ScriptMask>);

fn bounds(args: &mut Args) -> Result<Bounds> {
    Ok((args.opt("within")?, args.opt("avoid")?))
}

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
             error that says how many there are.",
        )
        .arg("scores", "Scores", "the scores")))
        .opt("largest", "boolean", true, "false takes the smallest")
        .returns("Mask", "the mask")
        .example(
            "local m = lota.model.init('tiny')\n\
             local weights = lota.scores.new(m, function(name, w) return w end)\n\
             local mask = lota.mask.from_scores(weights, {density = 0.1})\n\
             assert(mask:count() == math.floor(m:entries() * 0.1 + 0.5))",
        )
        .call(|ctx, args| {
            let scores: ScriptScores = args.get("scores")?;
            let (budget, scope) = budget(args)?;
            let (within, avoid) = bounds(args)?;
            let largest = args.get("largest")?;
            let (within, avoid) = (within.as_deref(), avoid.as_deref());
            Ok(mask::top(&*scores, budget, scope, within, avoid, largest, &ctx.host)?)
        }),
    );
    r.add(
        bounded(
            Primitive::new(
                "mask.threshold",
                "The entries whose score is greater than a threshold in magnitude.",
            )
            .arg("scores", "Scores", "the scores")
            .opt("above", "number", 0.0, "the threshold"),
        )
        .returns("Mask", "the mask")
        .example(
            "local m = lota.model.init('tiny')\n\
             local weights = lota.scores.new(m, function(name, w) return w end)\n\
             local mask = lota.mask.threshold(weights, {above = 0.03})",
        )
        .call(|ctx, args| {
            let scores: ScriptScores = args.get("scores")?;
            let above = args.get("above")?;
            let (within, avoid) = bounds(args)?;
            Ok(mask::threshold(&*scores, above, within.as_deref(), avoid.as_deref(), &ctx.host)?)
        }),
    );
    r.add(
        Primitive::new("mask.nm", "In every m neighbours of a row, the n with the largest scores by magnitude.")
            .arg("scores", "Scores", "the scores; parameters without scores stay out")
            .opt("n", "integer", 2, "how many to keep")
            .opt("m", "integer", 4, "of how many neighbours")
            .returns("Mask", "the mask")
            .example(
                "local m = lota.model.init('tiny')\n\
                 local weights = lota.scores.new(m, function(name, w) return name:find('mlp') and w or nil end)\n\
                 local mask = lota.mask.nm(weights, {n = 2, m = 4})",
            )
            .call(|ctx, args| {
                let scores: ScriptScores = args.get("scores")?;
                let (n, m) = (args.get("n")?, args.get("m")?);
                Ok(mask::nm(&*scores, n, m, &ctx.host)?)
            }),
    );
    r.add(
        budgeted(
            Primitive::new("mask.units", "The whole rows, columns or blocks with the largest scores on average.")
                .details("A density is a fraction of the number of units. Magnitudes are averaged; ties go to the unit that comes first.")
                .arg("scores", "Scores", "the scores; parameters without scores stay out")
                .need("unit", "string|list of integer", "row, column, or {height, width} of a block"),
        )
        .opt("largest", "boolean", true, "false takes the smallest")
        .returns("Mask", "the mask")
        .example(
            "local m = lota.model.init('tiny')\n\
             local weights = lota.scores.new(m, function(name, w) return name:find('up_proj') and w or nil end)\n\
             assert(lota.mask.units(weights, {unit = 'row', count = 3}):count() == 3 * 32)",
        )
        .call(units),
    );
    r.add(
        Primitive::new(
            "mask.support",
            "Where something is not zero: of scores or a task vector, or the mask of a ticket.",
        )
        .arg("of", "Scores|Ticket", "the scores or the ticket")
        .returns("Mask", "the mask")
        .example(
            "local m = lota.model.init('tiny')\n\
                 local before = m:snapshot()\n\
                 assert(lota.mask.support(m:delta(before)):count() == 0)",
        )
        .call(|ctx, args| match args.get::<Value>("of")? {
            Value::Object(object) => match object.downcast_ref::<ScriptScores>() {
                Some(scores) => Ok(mask::support(&*scores.0, &ctx.host)?),
                None => crate::primitives::shared::mask_of(&object).ok_or_else(|| {
                    args.wrong("of", format!("must be Scores or a Ticket, got {}", object.type_name()))
                }),
            },
            other => Err(args.wrong("of", format!("must be Scores or a Ticket, got {}", other.describe()))),
        }),
    );
}

fn units(ctx: &Ctx, args: &mut Args) -> Result<Mask> {
    let scores: ScriptScores = args.get("scores")?;
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
    let (budget, scope) = budget(args)?;
    Ok(mask::top_units(&*scores, unit, budget, scope, args.get("largest")?, &ctx.host)?)
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
    let (budget, scope) = budget(args)?;
    let (within, avoid) = bounds(args)?;
    let chosen = Mask::of_indices(universe, &params);
    let within = match within {
        Some(within) => mask::intersection(&[&chosen, &within])?,
        None => chosen,
    };
    let (seed, rng): (Option<i64>, Option<Arc<ScriptRng>>) = (args.opt("seed")?, args.opt("rng")?);
    let draw = |rng: &mut Rng| mask::random(&within, avoid.as_deref(), budget, scope, rng, &ctx.host);
    match (seed, rng) {
        (Some(_), Some(_)) => Err(args.wrong("seed", "and option 'rng' exclude each other")),
        (seed, None) => Ok(draw(&mut Rng::new(seed.unwrap_or(0) as u64))?),
        (None, Some(rng)) => Ok(rng.with(draw)?),
    }
}

fn whole(r: &mut Registry) {
    r.add(
        Primitive::new("mask.all", "Every entry of some parameters.")
            .arg("model", "Model", "the model (or a mask, scores or ticket of it)")
            .opt("params", PARAMS, "all", PARAMS_DOC)
            .returns("Mask", "the mask")
            .example(
                "local m = lota.model.init('tiny')\n\
                 assert(lota.mask.all(m):count() == m:entries())\n\
                 assert(lota.mask.all(m, {params = 'adaptable'}):count() < m:entries())",
            )
            .call(|_, args| {
                let universe = of_model(args)?;
                let params = chosen(args, &universe)?;
                Ok(Mask::of_indices(universe, &params))
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
        Primitive::new("mask.match", "Every entry of the parameters whose names match a pattern.")
            .arg("model", "Model", "the model (or a mask, scores or ticket of it)")
            .arg(
                "patterns",
                "string|list of string",
                "patterns: * is any run of characters, {a,b} one of several",
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
                Ok(Mask::matching::<String>(universe, &patterns)?)
            }),
    );
}
