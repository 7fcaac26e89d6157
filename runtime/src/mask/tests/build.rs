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
