//! Both paths of the output layer, and finite differences.

use std::sync::Arc;

use super::*;
use crate::SparseIndex;
use crate::testing::{alone, check_gradient, close, fast, plain, random, random_bf16, same_bits};

const HEADS: [Head; 3] = [
    Head { scale: None, softcap: None },
    Head { scale: Some(0.7), softcap: None },
    Head { scale: Some(1.5), softcap: Some(2.0) },
];

fn labels(tokens: usize, vocab: usize) -> Labels {
    let label = |t: usize| if t % 3 == 1 { -100 } else { ((t * 37 + 5) % vocab) as i32 };
    Labels::new(&(0..tokens).map(label).collect::<Vec<_>>())
}

#[test]
fn both_paths_agree() -> Result<()> {
    let (f, p, one) = (fast(), plain(), alone());
    for (tokens, width, vocab) in [(2, 5, 3), (40, 33, 101), (400, 16, 350)] {
        let labels = labels(tokens, vocab);
        let h = random(1, &[tokens, width]);
        let weights = random(2, &[labels.len()]);
        let kept = (0..(vocab * width) as u32).filter(|i| i % 9 == 4);
        let index = Arc::new(SparseIndex::from_sorted(vocab, width, kept)?);
        for w in [random(3, &[vocab, width]), random_bf16(3, &[vocab, width])] {
            for head in HEADS {
                let expected = logp(&p, head, &h, &w, &labels)?;
                close("logp", &logp(&f, head, &h, &w, &labels)?, &expected, 2e-6);
                let dense = backward(&p, head, &h, &w, &labels, &weights, &Want::Dense)?;
                let found = backward(&f, head, &h, &w, &labels, &weights, &Want::Dense)?;
                close("logp", &found.logp, &expected, 2e-6);
                close("hidden", &found.dh, &dense.dh, 1e-5);
                let (dw, pw) = (found.dw.expect("asked for"), dense.dw.expect("asked for"));
                close("weight", &dw, &pw, 1e-5);
                let again = backward(&one, head, &h, &w, &labels, &weights, &Want::Dense)?;
                same_bits("hidden", &found.dh, &again.dh);
                same_bits("weight", &dw, &again.dw.expect("asked for"));
                let gathered = crate::scatter::gather(&p, &pw, &index)?;
                for exec in [&f, &p] {
                    let at = backward(exec, head, &h, &w, &labels, &weights, &Want::At(index.clone()))?;
                    close("masked", &at.dw.expect("asked for"), &gathered, 1e-5);
                }
            }
        }
    }
    Ok(())
}

#[test]
fn finite_differences_agree() -> Result<()> {
    let f = fast();
    let labels = labels(11, 29);
    let (h, w, weights) = (random(1, &[11, 13]), random(2, &[29, 13]), random(3, &[labels.len()]));
    for head in HEADS {
        let found = backward(&f, head, &h, &w, &labels, &weights, &Want::Dense)?;
        check_gradient("hidden", &h, &weights, &found.dh, |h| logp(&f, head, h, &w, &labels));
        check_gradient("weight", &w, &weights, &found.dw.expect("asked for"), |w| {
            logp(&f, head, &h, w, &labels)
        });
    }
    Ok(())
}

#[test]
fn no_labels_cost_nothing_and_wrong_ones_are_refused() -> Result<()> {
    let none = Labels::new(&[-100; 4]);
    let (h, w) = (random(1, &[4, 3]), random(2, &[7, 3]));
    for exec in [fast(), plain()] {
        let found = backward(&exec, Head::default(), &h, &w, &none, &random(1, &[0]), &Want::Dense)?;
        close("hidden", &found.dh, &h.zeros_like()?, 0.0);
        close("weight", &found.dw.expect("asked for"), &w.zeros_like()?, 0.0);
        assert_eq!(logp(&exec, Head::default(), &h, &w, &none)?.dims(), [0]);
        assert!(logp(&exec, Head::default(), &h, &w, &Labels::new(&[0, 7, 0, 0])).is_err());
    }
    Ok(())
}
