//! Laws that hold for every configuration and every batch.

use std::collections::HashMap;
use std::sync::Arc;

use candle_core::{IndexOp, Tensor};
use lota_runtime::Result;
use lota_runtime::data::{Batch, NO_LABEL};
use lota_runtime::host::{Host, Rng};
use lota_runtime::model::Decoder;
use lota_runtime::model::decoder::{Checkpoint, CrossEntropy, Grad, Want};
use lota_runtime::ops::{SparseIndex, scatter};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::common::{bits, decoder, difference, exec, largest, params, tokens};
use crate::zoo;

/// A family's settings with sizes of our choosing.
fn config() -> impl Strategy<Value = Value> {
    let families = zoo::all().len();
    let sizes = (1usize..4, 1usize..4, 1usize..6, 1usize..5, 3usize..40, 1usize..8);
    (0..families, sizes, any::<bool>()).prop_map(|(family, sizes, tied)| {
        let (kv_heads, group, half_head, layers, inner, window) = sizes;
        let mut json = zoo::all().remove(family).json;
        if let Some(scaling) = json.get_mut("rope_scaling").filter(|s| s["type"] == "longrope") {
            scaling["short_factor"] = vec![1.5; 2 * half_head].into();
            scaling["long_factor"] = vec![3.0; 2 * half_head].into();
        }
        let heads = kv_heads * group;
        let head_dim = 4 * half_head;
        let sized = json!({
            "num_attention_heads": heads, "num_key_value_heads": kv_heads, "head_dim": head_dim,
            "hidden_size": heads * head_dim, "num_hidden_layers": layers, "intermediate_size": inner,
            "tie_word_embeddings": tied, "vocab_size": 37,
        });
        for (key, value) in sized.as_object().expect("an object") {
            json[key] = value.clone();
        }
        if json["sliding_window"].is_u64() {
            json["sliding_window"] = json!(window);
        }
        if json["no_rope_layers"].is_array() {
            json["no_rope_layers"] = (0..layers).map(|i| i % 2).collect();
        }
        json
    })
}

fn gradients(
    decoder: &Decoder,
    seed: u64,
    batch: &Batch,
    wants: &[Want],
    checkpoint: Checkpoint,
) -> HashMap<usize, Tensor> {
    let mut found = HashMap::new();
    let mut sink = |param: usize, grad: Grad| -> Result<()> {
        found.insert(param, grad.into_tensor());
        Ok(())
    };
    let (params, mut loss) = (params(decoder, seed), CrossEntropy::default());
    decoder
        .backward(&exec(), &Host::default(), &params, batch, &mut loss, wants, checkpoint, &mut sink)
        .expect("a backward pass");
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn packing_and_caching_change_nothing(json in config(), seed: u64, lens in prop::collection::vec(1usize..12, 1..4)) {
        let decoder = decoder(&json);
        let (params, exec) = (params(&decoder, seed), exec());
        let mut rng = Rng::new(seed).fork("tokens");
        let sequences: Vec<Vec<u32>> = lens.iter().map(|&n| tokens(&mut rng, n, 37)).collect();
        let packed = decoder.logits(&exec, &Host::default(), &params, &Batch::of_tokens(&sequences)).expect("runs");
        let mut at = 0;
        for ids in &sequences {
            let alone = decoder.logits(&exec, &Host::default(), &params, &Batch::of_tokens(&[ids])).expect("runs");
            let part = packed.narrow(0, at, ids.len()).expect("rows");
            let allowed = 1e-5 * largest(&alone).max(1.0);
            prop_assert!(difference(&part, &alone) <= allowed);
            let mut cache = decoder.cache(1);
            let mut done = 0;
            while done < ids.len() {
                let next = (done + 1 + rng.below(4) as usize).min(ids.len());
                let logits = decoder.read(&exec, &Host::default(), &params, &mut cache, &[&ids[done..next]]).and_then(|read| read.logits()).expect("steps");
                prop_assert!(difference(&logits.i(0).expect("a row"), &alone.i(next - 1).expect("a row")) <= allowed);
                done = next;
            }
            at += ids.len();
        }
    }

    #[test]
    fn what_is_wanted_does_not_depend_on_what_else_is(json in config(), seed: u64, lens in prop::collection::vec(2usize..12, 1..4)) {
        let decoder = decoder(&json);
        let mut rng = Rng::new(seed).fork("batch");
        let mut batch = Batch::new();
        for (example, &len) in lens.iter().enumerate() {
            let ids = tokens(&mut rng, len, 37);
            let mut labels: Vec<i32> = (0..len).map(|_| if rng.uniform() < 0.5 { NO_LABEL } else { 3 }).collect();
            labels[0] = 5;
            batch.append(&ids, &labels, example as u32);
        }
        let universe = decoder.universe();
        let all = vec![Want::Dense; universe.len()];
        let dense = gradients(&decoder, seed, &batch, &all, Checkpoint::None);
        prop_assert_eq!(dense.len(), universe.len());
        let mut wants = Vec::new();
        for spec in universe.specs() {
            let (rows, cols) = spec.rows_cols();
            wants.push(match rng.below(4) {
                0 => Want::Dense,
                1 => {
                    let entries = (0..spec.entries() as u32).filter(|_| rng.uniform() < 0.3);
                    Want::At(Arc::new(SparseIndex::from_sorted(rows, cols, entries).expect("an index")))
                }
                _ => Want::No,
            });
        }
        let kept = gradients(&decoder, seed, &batch, &wants, Checkpoint::None);
        let again = gradients(&decoder, seed, &batch, &wants, Checkpoint::Block);
        for (i, want) in wants.iter().enumerate() {
            prop_assert_eq!(kept.contains_key(&i), want.any());
            prop_assert_eq!(again.contains_key(&i), want.any());
            let Some(found) = kept.get(&i) else { continue };
            prop_assert_eq!(bits(found), bits(&again[&i]));
            match want {
                Want::At(index) => {
                    let expected = scatter::gather(&exec(), &dense[&i], index).expect("gathers");
                    let allowed = 2e-5 * largest(&dense[&i]).max(0.1);
                    prop_assert!(difference(found, &expected) <= allowed, "{}", universe.spec(i).name);
                }
                _ => prop_assert_eq!(bits(found), bits(&dense[&i])),
            }
        }
    }
}
