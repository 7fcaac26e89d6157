//! Both paths of the output layer, and finite differences.

use std::ops::Range;
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
                close("logp", &found.values, &expected, 2e-6);
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

/// Cross-entropy of the labels as a function of logits, by candle's own autograd: `-logp` of each row.
fn entropy(labels: &Labels) -> impl FnMut(&Tensor, Range<usize>) -> Result<(Tensor, Tensor)> + '_ {
    |logits, range| {
        let targets = Tensor::new(&labels.targets()[range], logits.device())?.unsqueeze(1)?;
        let mut found = None;
        let [slopes] = reference::gradients(
            [logits],
            &Tensor::ones(targets.dim(0)?, DType::F32, logits.device())?,
            |[x]| {
                let lse = x.exp()?.sum_keepdim(1)?.log()?;
                let values = (lse - x.gather(&targets, 1)?)?.squeeze(1)?;
                found = Some(values.detach());
                Ok(values)
            },
        )?;
        Ok((found.expect("computed"), slopes))
    }
}

#[test]
fn a_loss_over_logits_in_chunks_of_any_size_is_the_loss() -> Result<()> {
    let (f, p, one) = (fast(), plain(), alone());
    for (tokens, width, vocab) in [(2, 5, 3), (40, 33, 101), (90, 16, 350)] {
        let labels = labels(tokens, vocab);
        let (h, weights) = (random(1, &[tokens, width]), random(2, &[labels.len()]));
        let kept = (0..(vocab * width) as u32).filter(|i| i % 9 == 4);
        let index = Arc::new(SparseIndex::from_sorted(vocab, width, kept)?);
        for w in [random(3, &[vocab, width]), random_bf16(3, &[vocab, width])] {
            for head in HEADS {
                // Its values are -logp.
                let against = weights.neg()?;
                for want in [Want::No, Want::Dense, Want::At(index.clone())] {
                    let expected = backward(&p, head, &h, &w, &labels, &against, &want)?;
                    for rows in [1, 2, 7, labels.len(), 1000] {
                        let mut found = Vec::new();
                        for exec in [&f, &p, &one] {
                            let mut loss = entropy(&labels);
                            let grads =
                                chunked(exec, head, &h, &w, &labels, &weights, &want, rows, &mut loss)?;
                            close("values", &grads.values, &expected.values.neg()?, 2e-6);
                            close("hidden", &grads.dh, &expected.dh, 1e-5);
                            assert_eq!(grads.dw.is_some(), want.any());
                            if let (Some(dw), Some(theirs)) = (&grads.dw, &expected.dw) {
                                close("weight", dw, theirs, 1e-5);
                            }
                            found.push(grads);
                        }
                        same_bits("hidden", &found[0].dh, &found[2].dh);
                    }
                }
            }
        }
    }
    Ok(())
}

#[test]
fn a_loss_over_logits_sees_finished_logits_and_all_rows_in_order() -> Result<()> {
    let labels = labels(31, 19);
    let (h, w) = (random(1, &[31, 8]), random(2, &[19, 8]));
    let zeros = Tensor::zeros(labels.len(), DType::F32, h.device())?;
    for exec in [fast(), plain()] {
        for head in HEADS {
            let (mut seen, mut parts) = (0, Vec::new());
            let mut loss = |logits: &Tensor, range: Range<usize>| {
                assert_eq!((range.start, range.len()), (seen, logits.dim(0)?));
                assert!(range.len() <= 4);
                seen = range.end;
                parts.push(logits.clone());
                Ok((logits.sum(1)?, logits.zeros_like()?))
            };
            chunked(&exec, head, &h, &w, &labels, &zeros, &Want::No, 4, &mut loss)?;
            assert_eq!(seen, labels.len());
            let places = Tensor::new(labels.rows(), h.device())?;
            let expected = logits(&plain(), head, &h, &w)?.index_select(&places, 0)?;
            close("logits", &Tensor::cat(&parts, 0)?, &expected, 2e-6);
        }
        let mut short = |logits: &Tensor, _: Range<usize>| Ok((logits.sum_all()?, logits.zeros_like()?));
        let refused = chunked(&exec, HEADS[0], &h, &w, &labels, &zeros, &Want::No, 4, &mut short);
        assert!(refused.is_err_and(|e| e.to_string().contains("the loss of each row")));
    }
    assert_eq!((chunk_rows(1 << 13), chunk_rows(1 << 30)), (1 << 10, 1));
    Ok(())
}

#[test]
fn terms_are_those_of_the_closed_form() -> Result<()> {
    let (tokens, width, vocab) = (23, 9, 71);
    let (h, w) = (random(1, &[tokens, width]), random(2, &[vocab, width]));
    for terms in [
        Terms { smoothing: 0.2, z: 0.0 },
        Terms { smoothing: 0.0, z: 0.05 },
        Terms { smoothing: 0.1, z: 1e-2 },
    ] {
        let labels = labels(tokens, vocab).with_terms(terms);
        let weights = random(3, &[labels.len()]);
        for head in HEADS {
            let all = logits(&plain(), head, &h, &w)?.to_vec2::<f32>()?;
            let expected: Vec<f32> = (labels.rows().iter().zip(labels.targets()))
                .map(|(row, target)| {
                    let x: Vec<f64> = all[*row as usize].iter().map(|x| f64::from(*x)).collect();
                    let lse = x.iter().map(|x| x.exp()).sum::<f64>().ln();
                    let (smoothing, z) = (f64::from(terms.smoothing), f64::from(terms.z));
                    // PyTorch: (1 - ε) · nll + ε / V · Σ -logp; PaLM: z · log² Z.
                    let (nll, even) = (lse - x[*target as usize], x.iter().map(|x| lse - x).sum::<f64>());
                    -((1.0 - smoothing) * nll + smoothing / vocab as f64 * even + z * lse * lse) as f32
                })
                .collect();
            let expected = Tensor::new(expected, h.device())?;
            for exec in [fast(), plain()] {
                close("values", &logp(&exec, head, &h, &w, &labels)?, &expected, 2e-6);
                let found = backward(&exec, head, &h, &w, &labels, &weights, &Want::Dense)?;
                close("values", &found.values, &expected, 2e-6);
                check_gradient("hidden", &h, &weights, &found.dh, |h| logp(&exec, head, h, &w, &labels));
                check_gradient("weight", &w, &weights, &found.dw.expect("asked for"), |w| {
                    logp(&exec, head, &h, w, &labels)
                });
            }
            let (f, p) = (fast(), plain());
            let fast = backward(&f, head, &h, &w, &labels, &weights, &Want::Dense)?;
            let plain = backward(&p, head, &h, &w, &labels, &weights, &Want::Dense)?;
            close("hidden", &fast.dh, &plain.dh, 1e-5);
            close("weight", &fast.dw.expect("asked for"), &plain.dw.expect("asked for"), 1e-5);
        }
    }
    Ok(())
}
