//! Masks of attention heads.

use std::sync::Arc;

use roaring::RoaringBitmap;

use super::Mask;
use super::build::{Block, add_block};
use crate::model::{ParamSpec, Universe};
use crate::{Error, Result};

/// How the rows of the projections are cut into heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLayout {
    /// Query heads of a layer.
    pub query_heads: usize,
    /// Key and value heads of a layer; each serves as many query heads as there are of them.
    pub kv_heads: usize,
    /// Entries of a head.
    pub head_dim: usize,
}

/// Which part of a projection belongs to a head.
enum Part {
    /// Rows of the query projection.
    Query,
    /// Rows of the key or value projection.
    KeyValue,
    /// Rows of all three in one.
    Fused,
    /// Columns of the output projection.
    Output,
}

impl Mask {
    /// Everything that belongs to these query heads, in these layers (`None`: in all): their rows of
    /// the query projection with its bias, their columns of the output projection, and, with
    /// `key_value`, the rows of the key and value heads that serve them, which grouped heads share.
    pub fn heads(
        universe: Arc<Universe>,
        layout: HeadLayout,
        layers: Option<&[usize]>,
        heads: &[usize],
        key_value: bool,
    ) -> Result<Self> {
        layout.check(heads)?;
        let mut sets = vec![RoaringBitmap::new(); universe.len()];
        let mut any = false;
        for (spec, set) in universe.specs().iter().zip(&mut sets) {
            let Some(layer) = spec.layer else { continue };
            if layers.is_some_and(|layers| !layers.contains(&layer)) {
                continue;
            }
            let Some(part) = part_of(&spec.name) else { continue };
            any = true;
            layout.check_shape(spec, &part)?;
            for &head in heads {
                for block in layout.blocks(spec, &part, head, key_value) {
                    add_block(set, spec, &block)?;
                }
            }
        }
        match (any, layers) {
            (true, _) => Ok(Self::from_sets(universe, sets)),
            (false, None) => {
                Err(Error::argument("the model has no attention projections to take heads from"))
            }
            (false, Some(layers)) => {
                Err(Error::argument(format!("the model has no attention projections in layers {layers:?}")))
            }
        }
    }
}

/// The part that heads have in a parameter of this name, if it is an attention projection.
fn part_of(name: &str) -> Option<Part> {
    let (stem, kind) = name.rsplit_once('.')?;
    match (stem.rsplit('.').next()?, kind) {
        ("q_proj", "weight" | "bias") => Some(Part::Query),
        ("k_proj" | "v_proj", "weight" | "bias") => Some(Part::KeyValue),
        ("qkv_proj", "weight" | "bias") => Some(Part::Fused),
        ("o_proj", "weight") => Some(Part::Output),
        _ => None,
    }
}

impl HeadLayout {
    fn check(&self, heads: &[usize]) -> Result<()> {
        let Self { query_heads: q, kv_heads: kv, head_dim } = *self;
        if kv == 0 || head_dim == 0 || !q.is_multiple_of(kv) {
            return Err(Error::argument(format!(
                "{q} query heads cannot share {kv} key and value heads of {head_dim} entries evenly"
            )));
        }
        match heads.iter().find(|&&head| head >= q) {
            Some(head) => {
                Err(Error::argument(format!("there is no head {head}: the heads are 0 to {}", q - 1)))
            }
            None => Ok(()),
        }
    }

    fn check_shape(&self, spec: &ParamSpec, part: &Part) -> Result<()> {
        let (has, heads) = match part {
            Part::Query => (spec.shape[0], self.query_heads),
            Part::KeyValue => (spec.shape[0], self.kv_heads),
            Part::Fused => (spec.shape[0], self.query_heads + 2 * self.kv_heads),
            Part::Output => (spec.rows_cols().1, self.query_heads),
        };
        if has == heads * self.head_dim {
            return Ok(());
        }
        Err(Error::mismatch(format!(
            "parameter {} has {has} outputs or inputs, not the {} of {heads} heads of {}",
            spec.name,
            heads * self.head_dim,
            self.head_dim
        )))
    }

    /// What belongs to a query head.
    fn blocks(&self, spec: &ParamSpec, part: &Part, head: usize, key_value: bool) -> Vec<Block> {
        let serving = head / (self.query_heads / self.kv_heads);
        let span = |index: usize| index * self.head_dim..(index + 1) * self.head_dim;
        // The outputs of a projection are the rows of its weight and the columns of its bias.
        let outputs = |index: usize| match spec.shape.len() {
            1 => Block { rows: 0..1, cols: span(index) },
            _ => Block { rows: span(index), cols: 0..usize::MAX },
        };
        match part {
            Part::Query => vec![outputs(head)],
            Part::KeyValue if key_value => vec![outputs(serving)],
            Part::KeyValue => Vec::new(),
            Part::Fused if key_value => vec![
                outputs(head),
                outputs(self.query_heads + serving),
                outputs(self.query_heads + self.kv_heads + serving),
            ],
            Part::Fused => vec![outputs(head)],
            Part::Output => vec![Block { rows: 0..usize::MAX, cols: span(head) }],
        }
    }
}
