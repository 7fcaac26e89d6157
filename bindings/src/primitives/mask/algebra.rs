//! Set algebra, comparison and counting.

use lota_runtime::mask::{self, Mask};
use lota_script::{Args, Ctx, Op, Primitive, Registry, Result};

use crate::primitives::shared::ScriptMask;

/// The first lines of every example: a model and two masks.
pub(super) const TWO: &str = "local m = lota.model.init('tiny')\n\
                              local a = lota.mask.random(m, {density = 0.2, seed = 1})\n\
                              local b = lota.mask.random(m, {density = 0.2, seed = 2})\n";

fn example(code: &str) -> String {
    format!("{TWO}{code}")
}

type Combine = fn(&[&Mask]) -> lota_runtime::Result<Mask>;

fn combined(args: &mut Args, combine: Combine) -> Result<Mask> {
    let first: ScriptMask = args.get("a")?;
    let others: Vec<ScriptMask> = args.get("others")?;
    let all: Vec<&Mask> = std::iter::once(&*first).chain(others.iter().map(|m| &**m)).collect();
    Ok(combine(&all)?)
}

pub(super) fn register(r: &mut Registry) {
    let all: [(&str, &str, &str, Op, Combine, &str); 4] = [
        (
            "mask.union",
            "The entries that are in any of the masks.",
            "the other masks",
            Op::Or,
            mask::union,
            "assert(lota.mask.union(a, b) == (a | b))\nassert((a | b):count() >= a:count())",
        ),
        (
            "mask.intersect",
            "The entries that are in all of the masks.",
            "the other masks",
            Op::And,
            mask::intersection,
            "assert(lota.mask.intersect(a, b):count() == (a & b):count())",
        ),
        (
            "mask.difference",
            "The entries of the first mask that are in none of the others.",
            "the masks to take away",
            Op::Sub,
            mask::difference,
            "assert(lota.mask.difference(a, b):disjoint(b))",
        ),
        (
            "mask.symmetric_difference",
            "The entries that are in an odd number of the masks: of two, in exactly one.",
            "the other masks",
            Op::Xor,
            mask::symmetric_difference,
            "assert((a ~ b) == ((a | b) - (a & b)))",
        ),
    ];
    for (name, doc, others, op, combine, code) in all {
        r.add(
            Primitive::new(name, doc)
                .arg("a", "Mask", "the first mask")
                .rest("others", "Mask", others)
                .returns("Mask", "the new mask")
                .operator(op)
                .example(example(code))
                .call(move |_, args| combined(args, combine)),
        );
    }
    r.add(
        Primitive::new("mask.complement", "The entries that are not in the mask.")
            .arg("a", "Mask", "the mask")
            .opt("within", "Mask", (), "only entries of this mask; the whole model if not given")
            .returns("Mask", "the new mask")
            .operator(Op::Not)
            .example(example("assert((~a):count() == m:entries() - a:count())"))
            .call(|_, args| {
                let a: ScriptMask = args.get("a")?;
                let within: Option<ScriptMask> = args.opt("within")?;
                Ok(mask::complement(&a, within.as_deref())?)
            }),
    );
    comparisons(r);
}

fn comparisons(r: &mut Registry) {
    r.add(
        Primitive::method("Mask", "equals", "Whether both masks hold the same entries of the same model.")
            .arg("other", "Mask", "the other mask")
            .returns("boolean", "whether they are equal")
            .operator(Op::Eq)
            .example(example("assert(a:equals(a | a) and not a:equals(b))"))
            .call(|_: &Ctx, args| Ok(**args.this::<ScriptMask>()? == *args.get::<ScriptMask>("other")?)),
    );
    r.add(
        Primitive::method("Mask", "subset", "Whether every entry of this mask is in the other.")
            .arg("other", "Mask", "the other mask")
            .returns("boolean", "whether it is a subset")
            .operator(Op::Le)
            .example(example("assert((a & b):subset(a) and (a & b) <= b)"))
            .call(|_, args| Ok(args.this::<ScriptMask>()?.is_subset(&*args.get::<ScriptMask>("other")?)?)),
    );
    r.add(
        Primitive::method("Mask", "disjoint", "Whether no entry is in both masks.")
            .arg("other", "Mask", "the other mask")
            .returns("boolean", "whether they are disjoint")
            .example(example("assert((a - b):disjoint(b))"))
            .call(|_, args| {
                Ok(args.this::<ScriptMask>()?.is_disjoint(&*args.get::<ScriptMask>("other")?)?)
            }),
    );
    r.add(
        Primitive::method("Mask", "jaccard", "The size of the intersection over the size of the union.")
            .details("1 for two empty masks, which are equal.")
            .arg("other", "Mask", "the other mask")
            .returns("number", "from 0 (disjoint) to 1 (equal)")
            .example(example("assert(a:jaccard(a) == 1)"))
            .call(|_, args| Ok(args.this::<ScriptMask>()?.jaccard(&*args.get::<ScriptMask>("other")?)?)),
    );
    r.add(
        Primitive::method("Mask", "count", "The number of entries in the mask.")
            .returns("integer", "how many")
            .operator(Op::Len)
            .example(example("assert(a:count() == #a)"))
            .call(|_, args| Ok(args.this::<ScriptMask>()?.count())),
    );
    r.add(
        Primitive::method("Mask", "density", "The fraction of entries that are in the mask.")
            .opt("within", "Mask", (), "of the entries of this mask; of the whole model if not given")
            .returns("number", "from 0 to 1")
            .example(example(
                "assert(math.abs(a:density{within = lota.mask.all(m, {params = 'adaptable'})} - 0.2) < 1e-3)",
            ))
            .call(|_, args| {
                let mask = args.this::<ScriptMask>()?;
                match args.opt::<ScriptMask>("within")? {
                    None => Ok(mask.density()),
                    Some(within) => Ok(mask.density_within(&within)?),
                }
            }),
    );
}
