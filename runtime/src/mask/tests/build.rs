//! Masks of parameters, rows, columns and blocks, and patterns of names.

use super::*;

#[test]
fn patterns_choose_parameters() {
    assert!(glob_matches("model.layers.*.mlp.*", "model.layers.10.mlp.up_proj.weight"));
    assert!(glob_matches("*.{q,k}_proj.weight", "a.k_proj.weight"));
    assert!(!glob_matches("*.{q,k}_proj.weight", "a.v_proj.weight"));
    assert!(glob_matches("layers.?.x", "layers.3.x") && !glob_matches("layers.?.x", "layers.12.x"));
    assert!(glob_matches("*a*b*", "xaayb") && !glob_matches("*a*b", "xab."));
    assert!(glob_matches("", "") && glob_matches("*", "") && !glob_matches("", "a"));
    let params = |p: &[&str]| matching_params(&universe(), p).expect("matches");
    assert_eq!(params(&["adaptable"]), [1, 3, 4, 5]);
    assert_eq!(params(&["all"]).len(), 7);
    assert_eq!(params(&["*.norm.weight", "model.layers.1.*"]), [4, 5, 6]);
    assert_eq!(
        text(matching_params(&universe(), &["layers.*"])),
        "no parameter matches \"layers.*\": use \"adaptable\", \"all\", or a pattern of names such as \
         \"model.layers.0.self_attn.q_proj.weight\""
    );
}

#[test]
fn rows_columns_and_blocks() {
    let up = 3;
    let entries = |mask: Result<Mask>| mask.expect("fits").set(up).iter().collect::<Vec<_>>();
    assert_eq!(entries(Mask::rows(universe(), &[up], &[1, 5])), [4, 5, 6, 7, 20, 21, 22, 23]);
    assert_eq!(entries(Mask::columns(universe(), &[up], &[3])), [3, 7, 11, 15, 19, 23]);
    let block = |rows, cols| Block { rows, cols };
    assert_eq!(entries(Mask::blocks(universe(), &[up], &[block(1..3, 2..4)])), [6, 7, 10, 11]);
    assert_eq!(entries(Mask::blocks(universe(), &[up], &[block(0..6, 0..4)])).len(), 24);
    assert_eq!(
        text(Mask::rows(universe(), &[up], &[6])),
        "parameter model.layers.0.mlp.up_proj.weight has 6 rows, counted from 0: 6..7 are not among them"
    );
    assert_eq!(
        text(Mask::blocks(universe(), &[up], &[block(0..1, 3..5)])),
        "parameter model.layers.0.mlp.up_proj.weight has 4 columns, counted from 0: 3..5 are not among them"
    );
}

#[test]
fn whole_parameters() {
    let all = Mask::all(universe());
    assert_eq!((all.count(), all.density()), (116, 1.0));
    assert!(Mask::none(universe()).is_empty());
    let mlp = Mask::matching(universe(), &["*.mlp.*"]).expect("matches");
    assert_eq!(mlp.count(), 48);
    assert_eq!(mlp, Mask::of_params(universe(), |spec| spec.role == Role::Mlp));
    assert_eq!(mlp.selected().map(|(i, ..)| i).collect::<Vec<_>>(), [3, 5]);
    assert_eq!(mlp.density_within(&all).expect("same"), 48.0 / 116.0);
}

/// Two query heads that share one key and value head, three entries each; separate or fused.
fn attention(fused: bool) -> Arc<Universe> {
    let spec = |name: &str, shape: &[usize]| ParamSpec {
        name: format!("model.layers.0.self_attn.{name}"),
        shape: shape.to_vec(),
        role: Role::Attention,
        layer: Some(0),
    };
    let mut specs = vec![spec("o_proj.weight", &[4, 6])];
    if fused {
        specs.push(spec("qkv_proj.weight", &[12, 4]));
    } else {
        specs.extend([
            spec("q_proj.weight", &[6, 4]),
            spec("q_proj.bias", &[6]),
            spec("k_proj.weight", &[3, 4]),
        ]);
    }
    Universe::new(specs).expect("valid")
}

#[test]
fn heads_are_rows_of_the_projections_and_columns_of_the_output() {
    let layout = HeadLayout { query_heads: 2, kv_heads: 1, head_dim: 3 };
    let heads = |fused, kv| Mask::heads(attention(fused), layout, None, &[1], kv).expect("fits");
    let entries = |mask: &Mask, p: usize| mask.set(p).iter().collect::<Vec<_>>();
    let mask = heads(false, false);
    assert_eq!(entries(&mask, 0), [3, 4, 5, 9, 10, 11, 15, 16, 17, 21, 22, 23]);
    assert_eq!(entries(&mask, 1), (12..24).collect::<Vec<_>>());
    assert_eq!(entries(&mask, 2), [3, 4, 5]);
    assert!(entries(&mask, 3).is_empty());
    assert_eq!(entries(&heads(false, true), 3), (0..12).collect::<Vec<_>>());
    assert_eq!(entries(&heads(true, false), 1), (12..24).collect::<Vec<_>>());
    assert_eq!(entries(&heads(true, true), 1), (12..48).collect::<Vec<_>>());
    assert_eq!(
        text(Mask::heads(attention(false), layout, None, &[2], true)),
        "there is no head 2: the heads are 0 to 1"
    );
    assert_eq!(
        text(Mask::heads(attention(false), layout, Some(&[3]), &[0], true)),
        "the model has no attention projections in layers [3]"
    );
    let wrong = HeadLayout { head_dim: 4, ..layout };
    assert_eq!(
        text(Mask::heads(attention(false), wrong, None, &[0], true)),
        "parameter model.layers.0.self_attn.o_proj.weight has 6 outputs or inputs, not the 8 of 2 heads of 4"
    );
    let uneven = HeadLayout { query_heads: 3, kv_heads: 2, head_dim: 2 };
    assert_eq!(
        text(Mask::heads(attention(false), uneven, None, &[0], true)),
        "3 query heads cannot share 2 key and value heads of 2 entries evenly"
    );
}

#[test]
fn a_mask_becomes_the_index_of_training() {
    let mask = Mask::rows(universe(), &[3], &[1, 5]).expect("fits");
    let index = mask.index(3).expect("fits");
    assert_eq!((index.rows(), index.cols(), index.nnz()), (6, 4, 8));
    assert_eq!(index.iter().collect::<Vec<_>>(), mask.set(3).iter().collect::<Vec<_>>());
    assert_eq!(mask.index(6).expect("a vector").nnz(), 0);
}

#[test]
fn tensors_must_fit_and_be_numbers() {
    let of =
        |tensor: Tensor| Mask::of_tensors::<Error>(universe(), |p, _| Ok((p == 6).then(|| tensor.clone())));
    let norm = |values: [f64; 4]| Tensor::new(&values, &Device::Cpu).expect("tensor");
    // Too small for f32, and yet not zero.
    let mask = of(norm([0.0, 1e-300, -0.0, -2.0])).expect("fits");
    assert_eq!(mask.set(6).iter().collect::<Vec<_>>(), [1, 3]);
    assert_eq!(mask.count(), 2);
    assert_eq!(
        text(of(norm([f64::NAN; 4]))),
        "the tensor of parameter model.norm.weight holds a value that is not a number (NaN)"
    );
    assert_eq!(
        text(of(norm([1.0; 4]).reshape((2, 2)).expect("reshapes"))),
        "parameter model.norm.weight has shape [4], and its tensor has [2, 2]"
    );
    assert_eq!(
        text(Mask::of_positions::<Error>(universe(), |p, _| Ok(if p == 6 { vec![4] } else { Vec::new() }))),
        "entry 4 is past the end of parameter model.norm.weight, which has 4 entries"
    );
}
