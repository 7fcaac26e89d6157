//! Tests of masks: the laws of the algebra, and selection against a plain sort.

mod algebra;
mod build;
mod file;
mod odd;
mod published;
mod random;
mod search;
mod select;

use std::sync::Arc;

use candle_core::{Device, Tensor};
use proptest::prelude::*;
use roaring::RoaringBitmap;

use super::*;
use crate::model::Role;
use crate::vectors::{Delta, Generated, Part, Source, Values};

/// A small model: an embedding, two layers and a norm.
pub fn universe() -> Arc<Universe> {
    let spec = |name: &str, shape: &[usize], role, layer| ParamSpec {
        name: name.to_string(),
        shape: shape.to_vec(),
        role,
        layer,
    };
    Universe::new(vec![
        spec("model.embed_tokens.weight", &[7, 4], Role::Embed, None),
        spec("model.layers.0.self_attn.q_proj.weight", &[4, 4], Role::Attention, Some(0)),
        spec("model.layers.0.self_attn.q_proj.bias", &[4], Role::Bias, Some(0)),
        spec("model.layers.0.mlp.up_proj.weight", &[6, 4], Role::Mlp, Some(0)),
        spec("model.layers.1.self_attn.q_proj.weight", &[4, 4], Role::Attention, Some(1)),
        spec("model.layers.1.mlp.up_proj.weight", &[6, 4], Role::Mlp, Some(1)),
        spec("model.norm.weight", &[4], Role::Norm, None),
    ])
    .expect("valid")
}

/// Any mask of the small model, some of it in runs.
pub fn any_mask() -> impl Strategy<Value = Mask> {
    let set = |entries: u32| {
        let singles = proptest::collection::vec(0..entries, 0..entries as usize);
        let run = (0..entries, 0..entries);
        (singles, run, any::<bool>()).prop_map(|(singles, (a, b), with_run)| {
            let mut set: RoaringBitmap = singles.into_iter().collect();
            if with_run {
                set.insert_range(a.min(b)..=a.max(b));
            }
            set
        })
    };
    let sets: Vec<_> = universe().specs().iter().map(|spec| set(spec.entries() as u32)).collect();
    sets.prop_map(|sets| Mask::new(universe(), sets).expect("fits"))
}

/// Scores of the small model, with many ties and zeros; some parameters have none.
pub fn any_scores() -> impl Strategy<Value = Values> {
    let value = prop_oneof![
        Just(0.0f32),
        Just(-0.0),
        Just(1.0),
        Just(-1.0),
        Just(0.5),
        -2.0f32..2.0,
        Just(f32::INFINITY)
    ];
    let total = universe().entries() as usize;
    let scored = proptest::collection::vec(prop::bool::weighted(0.8), universe().len());
    (proptest::collection::vec(value, total), scored).prop_map(|(values, scored)| {
        let mut rest = values.as_slice();
        Values::from_fn(universe(), |i, spec| {
            let (here, behind) = rest.split_at(spec.entries() as usize);
            rest = behind;
            let tensor = Tensor::from_slice(here, spec.shape.clone(), &Device::Cpu)?;
            Ok(scored[i].then_some(tensor))
        })
        .expect("fits")
    })
}

/// The error's text.
pub fn text<T>(result: Result<T>) -> String {
    result.err().expect("must fail").to_string()
}
