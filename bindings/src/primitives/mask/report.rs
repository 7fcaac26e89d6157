//! Figures about masks by parameter, layer and role.

use lota_runtime::mask::{By, Count, Mask, capacity};
use lota_script::{Args, Ctx, Map, Primitive, Registry, Result, Value};

use super::algebra::TWO;
use crate::primitives::shared::ScriptMask;

const GROUPS: [&str; 4] = ["parameter", "layer", "role", "all"];

fn by(args: &mut Args, name: &str) -> Result<By> {
    let word: String = args.get(name)?;
    By::parse(&word).map_err(|_| args.not_one_of(name, &word, &GROUPS))
}

fn rows(counts: Vec<Count>) -> Vec<Map> {
    let row = |c: Count| {
        let density = c.density();
        Map::new()
            .with("group", c.group)
            .with("entries", c.entries)
            .with("selected", c.selected)
            .with("density", density)
    };
    counts.into_iter().map(row).collect()
}

pub(super) fn register(r: &mut Registry) {
    r.add(
        Primitive::method("Mask", "by", "How many entries are in the mask, by group.")
            .arg(
                "group",
                "string",
                "parameter, layer, role or all; what lies outside the layers is the layer `outside`",
            )
            .returns("map", "the count of each group by its name")
            .example(format!("{TWO}assert(a:by('all').all == a:count())"))
            .call(|_, args| {
                let mask = args.this::<ScriptMask>()?;
                let by = by(args, "group")?;
                let counts = mask.by(by).into_iter().map(|c| (c.group, Value::from(c.selected)));
                Ok(Value::Map(counts.collect()))
            }),
    );
    r.add(
        Primitive::method(
            "Mask",
            "counts",
            "How many entries are in the mask, by group, in order and with densities.",
        )
        .arg("group", "string", "parameter, layer, role or all")
        .returns("list of map", "for each group: group, entries, selected, density")
        .example(format!(
            "{TWO}for _, row in ipairs(a:counts('role')) do assert(row.selected <= row.entries) end"
        ))
        .call(|_, args| {
            let mask = args.this::<ScriptMask>()?;
            Ok(rows(mask.by(by(args, "group")?)))
        }),
    );
    r.add(
        Primitive::method("Mask", "overlap", "How two masks meet, by group.")
            .arg("other", "Mask", "the other mask")
            .opt("by", "string", "all", "parameter, layer, role or all")
            .returns("list of map", "for each group: group, entries, first, second, both, jaccard")
            .example(format!(
                "{TWO}local all = a:overlap(b)[1]\nassert(all.both == (a & b):count())\n\
                 assert(#a:overlap(b, {{by = 'role'}}) > 1)"
            ))
            .call(overlap),
    );
    r.add(
        Primitive::new("mask.capacity", "How much a sequence of masks has claimed, and how much is free.")
            .arg("masks", "list of Mask", "the masks in order")
            .opt("within", "Mask", (), "what can be claimed; the attention and MLP matrices if not given")
            .returns(
                "map",
                "free (fraction), claimed and entries (counts), newly (what each mask was the first to claim), roles and \
                 layers (rows as Mask:counts gives)",
            )
            .example(format!("{TWO}local c = lota.mask.capacity({{a, b}})\nassert(c.newly[1] == a:count() and c.free < 0.8)"))
            .call(capacities),
    );
}

fn overlap(_: &Ctx, args: &mut Args) -> Result<Vec<Map>> {
    let mask = args.this::<ScriptMask>()?;
    let other: ScriptMask = args.get("other")?;
    let groups = mask.overlap(&other, by(args, "by")?)?;
    let row = |o: lota_runtime::mask::Overlap| {
        let jaccard = o.jaccard();
        Map::new()
            .with("group", o.group)
            .with("entries", o.entries)
            .with("first", o.first)
            .with("second", o.second)
            .with("both", o.both)
            .with("jaccard", jaccard)
    };
    Ok(groups.into_iter().map(row).collect())
}

fn capacities(_: &Ctx, args: &mut Args) -> Result<Map> {
    let masks: Vec<ScriptMask> = args.get("masks")?;
    let within: Option<ScriptMask> = args.opt("within")?;
    let masks: Vec<&Mask> = masks.iter().map(|m| &**m).collect();
    let found = capacity(&masks, within.as_deref())?;
    Ok(Map::new()
        .with("free", found.free())
        .with("claimed", found.total.selected)
        .with("entries", found.total.entries)
        .with("newly", found.newly)
        .with("roles", rows(found.roles))
        .with("layers", rows(found.layers)))
}
