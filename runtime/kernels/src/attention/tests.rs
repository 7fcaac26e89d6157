//! Both paths of attention, finite differences, and the cache.

use super::*;
use crate::testing::{alone, check_gradient, close, fast, plain, random, same_bits};

fn spec(heads: usize, kv_heads: usize, head_dim: usize) -> Attention {
    let scale = 1.0 / (head_dim as f32).sqrt();
    Attention { heads, kv_heads, head_dim, scale, window: None, softcap: None }
}

/// Grouped heads, windows and caps, over several sequences (one of them empty).
fn cases() -> Vec<(Attention, Vec<u32>)> {
    let plain = spec(4, 2, 8);
    vec![
        (spec(1, 1, 5), vec![0, 1]),
        (plain, vec![0, 3, 3, 20, 57]),
        (Attention { window: Some(6), ..plain }, vec![0, 30, 47]),
        (Attention { softcap: Some(0.8), scale: 1.0, ..plain }, vec![0, 17, 40]),
        (Attention { window: Some(1), softcap: Some(2.0), ..spec(3, 3, 7) }, vec![0, 9, 21]),
        (Attention { window: Some(90), ..spec(9, 3, 16) }, vec![0, 150, 203]),
    ]
}

fn inputs(spec: &Attention, tokens: usize) -> [Tensor; 4] {
    let (q, kv) = (spec.heads * spec.head_dim, spec.kv_heads * spec.head_dim);
    [random(1, &[tokens, q]), random(2, &[tokens, kv]), random(3, &[tokens, kv]), random(4, &[tokens, q])]
}

#[test]
fn both_paths_and_finite_differences_agree() -> Result<()> {
    let (f, p, one) = (fast(), plain(), alone());
    for (spec, segments) in cases() {
        let tokens = segments[segments.len() - 1] as usize;
        let [q, k, v, dout] = inputs(&spec, tokens);
        let (out, lse) = forward(&f, &spec, &q, &k, &v, &segments)?;
        let (expected, expected_lse) = forward(&p, &spec, &q, &k, &v, &segments)?;
        close("output", &out, &expected, 3e-6);
        close("log-sum-exp", &lse, &expected_lse, 3e-6);
        let saved = Saved { q: &q, k: &k, v: &v, out: &out, lse: &lse };
        let (dq, dk, dv) = backward(&f, &spec, saved, &dout, &segments)?;
        let (pq, pk, pv) = backward(&p, &spec, saved, &dout, &segments)?;
        close("queries", &dq, &pq, 1e-5);
        close("keys", &dk, &pk, 1e-5);
        close("values", &dv, &pv, 1e-5);
        if tokens < 60 {
            let run = |q: &Tensor, k: &Tensor, v: &Tensor| Ok(forward(&f, &spec, q, k, v, &segments)?.0);
            check_gradient("queries", &q, &dout, &dq, |q| run(q, &k, &v));
            check_gradient("keys", &k, &dout, &dk, |k| run(&q, k, &v));
            check_gradient("values", &v, &dout, &dv, |v| run(&q, &k, v));
        }
        same_bits("output", &out, &forward(&one, &spec, &q, &k, &v, &segments)?.0);
        let (oq, ok, ov) = backward(&one, &spec, saved, &dout, &segments)?;
        same_bits("queries", &dq, &oq);
        same_bits("keys", &dk, &ok);
        same_bits("values", &dv, &ov);
    }
    Ok(())
}

#[test]
fn a_long_sequence_is_cut_for_its_backward_and_still_exact() -> Result<()> {
    let (spec, segments) = (spec(2, 1, 4), [0, 1100]);
    let [q, k, v, dout] = inputs(&spec, 1100);
    let (out, lse) = forward(&fast(), &spec, &q, &k, &v, &segments)?;
    let saved = Saved { q: &q, k: &k, v: &v, out: &out, lse: &lse };
    let (dq, dk, dv) = backward(&fast(), &spec, saved, &dout, &segments)?;
    let (pq, pk, pv) = backward(&plain(), &spec, saved, &dout, &segments)?;
    close("queries", &dq, &pq, 2e-5);
    close("keys", &dk, &pk, 2e-5);
    close("values", &dv, &pv, 2e-5);
    Ok(())
}

#[test]
fn sequences_do_not_see_each_other() -> Result<()> {
    let spec = spec(2, 1, 4);
    let [q, k, v, _] = inputs(&spec, 12);
    let (both, _) = forward(&fast(), &spec, &q, &k, &v, &[0, 5, 12])?;
    let part = |x: &Tensor| x.narrow(0, 5, 7);
    let (second, _) = forward(&fast(), &spec, &part(&q)?, &part(&k)?, &part(&v)?, &[0, 7])?;
    close("second sequence", &both.narrow(0, 5, 7)?, &second, 0.0);
    Ok(())
}

#[test]
fn decoding_step_by_step_equals_the_whole() -> Result<()> {
    for (spec, _) in cases() {
        let lengths = [13usize, 4, 9];
        for exec in [fast(), plain()] {
            let mut cache = Cache::new(3);
            let [q, k, v, _] = inputs(&spec, 26);
            let (whole, _) = forward(&exec, &spec, &q, &k, &v, &[0, 13, 17, 26])?;
            let starts = [0, 13, 17];
            // First 3, 1 and no tokens, then one at a time until each sequence is at its end.
            let mut done = [0usize; 3];
            for step in 0..13 {
                let new: Vec<usize> = (0..3)
                    .map(|s| if step == 0 { [3, 1, 0][s] } else { usize::from(done[s] < lengths[s]) })
                    .collect();
                let take = |x: &Tensor| -> Result<Tensor> {
                    let parts: candle_core::Result<Vec<Tensor>> =
                        (0..3).map(|s| x.narrow(0, starts[s] + done[s], new[s])).collect();
                    Ok(Tensor::cat(&parts?, 0)?)
                };
                let mut segments = vec![0u32];
                new.iter().for_each(|n| segments.push(segments[segments.len() - 1] + *n as u32));
                let out = decode(&exec, &spec, &take(&q)?, &take(&k)?, &take(&v)?, &segments, &mut cache)?;
                close("decoded", &out, &take(&whole)?, 2e-6);
                (0..3).for_each(|s| done[s] += new[s]);
            }
            assert_eq!([cache.tokens(0), cache.tokens(1), cache.tokens(2)], lengths.map(|n| n.min(done[0])));
        }
    }
    Ok(())
}

#[test]
fn a_cache_is_cut_copied_and_thinned() -> Result<()> {
    let spec = spec(2, 2, 4);
    for exec in [fast(), plain()] {
        let [q, k, v, _] = inputs(&spec, 8);
        let mut cache = Cache::new(2);
        let first = decode(&exec, &spec, &q, &k, &v, &[0, 5, 8], &mut cache)?;
        cache.truncate(0, 4)?;
        cache.truncate(1, 0)?;
        assert_eq!((cache.tokens(0), cache.tokens(1)), (4, 0));
        let mut copies = cache.select(&[0, 0, 1], 3);
        copies.retain(|i| i != 2);
        assert_eq!(copies.len(), 2);
        let last = |x: &Tensor| -> Result<Tensor> {
            let row = x.narrow(0, 4, 1)?;
            Ok(Tensor::cat(&[&row, &row], 0)?)
        };
        let again = decode(&exec, &spec, &last(&q)?, &last(&k)?, &last(&v)?, &[0, 1, 2], &mut copies)?;
        close("again", &again, &last(&first)?, 1e-6);
    }
    Ok(())
}

#[test]
fn what_makes_no_attention_is_refused() {
    let [q, k, v, _] = inputs(&spec(4, 2, 8), 6);
    let f = fast();
    assert!(forward(&f, &spec(4, 3, 8), &q, &k, &v, &[0, 6]).is_err());
    assert!(forward(&f, &spec(4, 2, 8), &q, &k, &v, &[0, 5]).is_err());
    assert!(forward(&f, &spec(4, 2, 8), &q, &k, &v, &[0, 4, 3, 6]).is_err());
    assert!(forward(&f, &Attention { window: Some(0), ..spec(4, 2, 8) }, &q, &k, &v, &[0, 6]).is_err());
}
