//! Masks of parts of parameters: rows, columns, rectangles and attention heads.

use std::sync::Arc;

use lota_runtime::mask::{Block, HeadLayout, Mask};
use lota_runtime::model::Universe;
use lota_script::{Args, Ctx, Primitive, Registry, Result};

use super::algebra::TWO;
use super::bounds::{Bounds, clipped};
use crate::primitives::model::ScriptModel;
use crate::primitives::params::{PARAMS, PARAMS_DOC, chosen};
use crate::primitives::universe::of_model;

/// What all records that cut pieces out of parameters have.
fn cut(record: Primitive) -> Primitive {
    clipped(record.opt("params", PARAMS, "adaptable", PARAMS_DOC)).returns("Mask", "the mask")
}

/// The universe of the argument `model`, and the parameters that the option `params` means.
pub(super) fn pieces(args: &mut Args) -> Result<(Arc<Universe>, Vec<usize>)> {
    let universe = of_model(args)?;
    let params = chosen(args, &universe)?;
    Ok((universe, params))
}

/// Positions of a list that may be negative, which are counted from the end of `size`.
fn positions(args: &mut Args, name: &str, size: usize) -> Result<Vec<usize>> {
    let given: Vec<i64> = args.get(name)?;
    given.into_iter().map(|i| position(args, name, i, size)).collect()
}

fn position(args: &Args, name: &str, i: i64, size: usize) -> Result<usize> {
    let at = if i < 0 { i + size as i64 } else { i };
    usize::try_from(at)
        .ok()
        .filter(|at| *at < size)
        .ok_or_else(|| args.wrong(name, format!("holds a position outside of the {size} there are")))
}

pub(super) fn register(r: &mut Registry) {
    heads(r);
    let model = "the model (or a mask, scores or ticket of it)";
    r.add(
        cut(Primitive::new("mask.rows", "Whole rows of some matrices.")
            .arg("model", "Model", model)
            .need("rows", "list of index", "which rows; they must exist in every one of the matrices"))
        .example(format!("{TWO}assert(lota.mask.rows(m, {{rows = {{1, 2}}, params = '*.up_proj.weight'}}):count() == 2 * 2 * 32)"))
        .call(|_, args| {
            let (universe, params) = pieces(args)?;
            let least = params.iter().map(|p| universe.spec(*p).rows_cols().0).min().unwrap_or(0);
            let rows = positions(args, "rows", least)?;
            Bounds::of(args)?.clip(Mask::rows(universe, &params, &rows)?)
        }),
    );
    r.add(
        cut(Primitive::new("mask.cols", "Whole columns of some matrices.")
            .arg("model", "Model", model)
            .need("cols", "list of index", "which columns; they must exist in every one of the matrices"))
        .example(format!("{TWO}assert(lota.mask.cols(m, {{cols = {{1}}, params = '*.down_proj.weight'}}):count() == 2 * 32)"))
        .call(|_, args| {
            let (universe, params) = pieces(args)?;
            let least = params.iter().map(|p| universe.spec(*p).rows_cols().1).min().unwrap_or(0);
            let columns = positions(args, "cols", least)?;
            Bounds::of(args)?.clip(Mask::columns(universe, &params, &columns)?)
        }),
    );
    r.add(
        cut(Primitive::new("mask.blocks", "Rectangles of some matrices.")
            .arg("model", "Model", model)
            .need(
                "blocks",
                "list of list of index",
                "each {first row, last row, first column, last column}, the last ones included; -1 is the end",
            ))
        .example(format!(
            "{TWO}assert(lota.mask.blocks(m, {{blocks = {{{{1, 4, 1, 8}}}}, params = '*.layers.0.*.up_proj.weight'}}):count() == 32)"
        ))
        .call(blocks),
    );
}

fn blocks(_: &Ctx, args: &mut Args) -> Result<Mask> {
    let (universe, params) = pieces(args)?;
    let given: Vec<Vec<i64>> = args.get("blocks")?;
    let least = |side: fn((usize, usize)) -> usize| {
        params.iter().map(|p| side(universe.spec(*p).rows_cols())).min().unwrap_or(0)
    };
    let (rows, columns) = (least(|s| s.0), least(|s| s.1));
    let mut blocks = Vec::with_capacity(given.len());
    for corners in given {
        let [top, bottom, left, right] = corners[..] else {
            return Err(
                args.wrong("blocks", format!("needs four positions for each block, got {}", corners.len()))
            );
        };
        let range = |from, to, size| -> Result<std::ops::Range<usize>> {
            let (from, to) = (position(args, "blocks", from, size)?, position(args, "blocks", to, size)?);
            if from > to {
                return Err(args.wrong("blocks", "holds a block whose end is before its beginning"));
            }
            Ok(from..to + 1)
        };
        blocks.push(Block { rows: range(top, bottom, rows)?, cols: range(left, right, columns)? });
    }
    Bounds::of(args)?.clip(Mask::blocks(universe, &params, &blocks)?)
}

fn heads(r: &mut Registry) {
    r.add(
        clipped(Primitive::new("mask.heads", "Everything that belongs to some attention heads.")
            .details(
                "Their rows of the query projection, their columns of the output projection and, with key_value, the \
                 rows of the key and value heads that serve them, which grouped heads share.",
            )
            .arg("model", "Model", "the model")
            .need("heads", "list of index", "which query heads")
            .opt("layers", "list of integer", (), "which layers, from 0 as in names; all if not given")
            .opt("key_value", "boolean", false, "with the key and value heads"))
            .returns("Mask", "the mask")
            .example(format!("{TWO}assert(lota.mask.heads(m, {{heads = {{1}}, layers = {{0}}}}):count() == 2 * 8 * 32)"))
            .call(|_, args| {
                let model: Arc<ScriptModel> = args.get("model")?;
                let config = &model.0.config;
                let layout =
                    HeadLayout { query_heads: config.heads, kv_heads: config.kv_heads, head_dim: config.head_dim };
                let heads = positions(args, "heads", config.heads)?;
                let layers: Option<Vec<usize>> = args.opt("layers")?;
                let universe = model.params().universe().clone();
                let mask = Mask::heads(universe, layout, layers.as_deref(), &heads, args.get("key_value")?)?;
                Bounds::of(args)?.clip(mask)
            }),
    );
}
