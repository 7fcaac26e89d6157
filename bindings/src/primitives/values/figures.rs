//! Figures of values: sums, norms, extremes, quantiles.

use std::sync::Arc;

use lota_runtime::vectors::Figures;
use lota_script::{Error, Map, Op, Registry, Result};

use super::{example, method};
use crate::primitives::shared::ScriptValues;

type Figure = fn(&Figures) -> f64;

#[rustfmt::skip] // a table: one figure a line
const FIGURES: [(&str, &str, &str, Figure); 5] = [
    ("max", "The largest number.", "signs:max() == 1", |f| f.max),
    ("min", "The smallest number.", "signs:min() == -1", |f| f.min),
    ("sum", "The sum of all numbers, in f64.", "(signs * signs + 2):sum() == signs:nonzero() + 2 * signs:count()", |f| f.sum),
    ("mean", "The mean of all numbers.", "(signs * 0 + 3):mean() == 3", Figures::mean),
    ("norm", "The Euclidean norm of all numbers together.", "math.abs(signs:norm() ^ 2 - signs:nonzero()) < 1e-6", Figures::norm),
];

fn some(figures: Figures) -> Result<Figures> {
    match figures.count {
        0 => Err(Error::argument("no entry has a number")),
        _ => Ok(figures),
    }
}

pub(super) fn register(r: &mut Registry) {
    r.add(
        method("nonzero", "How many numbers are not 0.")
            .returns("integer", "how many")
            .example(example("assert(s:nonzero() > 0)"))
            .call(|_, args| Ok(args.this::<ScriptValues>()?.get().nonzero()?)),
    );
    r.add(
        method("count", "How many entries have a number.")
            .returns("integer", "how many")
            .operator(Op::Len)
            .example(example("assert(s:count() == 6 * 32 * 64 and #s == s:count())"))
            .call(|_, args| Ok(args.this::<ScriptValues>()?.get().count())),
    );
    r.add(
        method("equals", "Whether both have the same numbers for the same entries of the same model.")
            .arg("other", "Values", "the other values")
            .returns("boolean", "whether they are equal; where one has NaN, they are not")
            .operator(Op::Eq)
            .example(example("assert(s == s * 1 and not s:equals(s + 1))"))
            .call(|_, args| {
                let other = args.get::<Arc<ScriptValues>>("other")?.get();
                Ok(args.this::<ScriptValues>()?.get().equals(&other)?)
            }),
    );
    for (name, doc, holds, pick) in FIGURES {
        r.add(
            method(name, doc)
                .returns("number", "the figure; where there are no numbers, an error")
                .example(example(&format!("local signs = s:sign()\nassert({holds})")))
                .call(move |_, args| Ok(pick(&some(args.this::<ScriptValues>()?.get().figures()?)?))),
        );
    }
    r.add(
        method("dot", "The sum of the products of the numbers at each entry, in f64.")
            .arg("other", "Values", "values of the same entries")
            .returns("number", "the sum")
            .example(example("assert(math.abs(s:dot(s) - s:norm() ^ 2) < 1e-6)"))
            .call(|_, args| {
                let other = args.get::<Arc<ScriptValues>>("other")?.get();
                Ok(args.this::<ScriptValues>()?.get().dot(&other)?)
            }),
    );
    r.add(
        method("quantile", "The number below which a fraction of the numbers lies.")
            .details("Between two of them by linear interpolation, as torch.quantile.")
            .arg("q", "number", "the fraction, from 0 to 1")
            .returns("number", "the quantile")
            .example(example("assert(s:quantile(0) == s:min() and s:quantile(1) == s:max())"))
            .call(|ctx, args| {
                let values = args.this::<ScriptValues>()?.get();
                ctx.reserve(4 * values.count() as usize)?;
                Ok(values.quantile(args.get("q")?)?)
            }),
    );
    r.add(
        method("by", "Count, sum, norm and extremes of the numbers of each parameter.")
            .returns("list of map", "for each parameter with values: name, count, sum, norm, min, max")
            .example(example("for _, row in ipairs(s:by()) do assert(row.min <= row.max) end"))
            .call(|_, args| {
                let values = args.this::<ScriptValues>()?.get();
                let mut rows = Vec::new();
                for (index, spec, _) in values.present() {
                    let Some(one) = values.figures_of(index)? else { continue };
                    rows.push(
                        Map::new()
                            .with("name", spec.name.clone())
                            .with("count", one.count)
                            .with("sum", one.sum)
                            .with("norm", one.norm())
                            .with("min", one.min)
                            .with("max", one.max),
                    );
                }
                Ok(rows)
            }),
    );
}
