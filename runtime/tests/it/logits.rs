//! Losses over logits, through the decoder: gradients of every parameter, with factors beside the head too.

use std::collections::HashMap;
use std::ops::Range;

use candle_core::{DType, Device, Tensor, Var};
use lota_runtime::Result;
use lota_runtime::data::Batch;
use lota_runtime::host::{Host, Rng};
use lota_runtime::model::decoder::{
    Attached, Checkpoint, CrossEntropy, Factored, Grad, LogitsLoss, LossFn, LossOut, OverLogits, Reduction,
    Rows, Terms,
};
use lota_runtime::model::{Decoder, Params};

use crate::common::{self, all_dense, decoder, difference, exec, labelled, largest, params, values};
use crate::zoo;

/// The loss of a batch and all gradients.
fn gradients(
    decoder: &Decoder,
    params: &Params,
    batch: &Batch,
    loss: &mut dyn LossFn,
) -> (LossOut, HashMap<usize, Grad>) {
    common::gradients(decoder, params, batch, loss, &all_dense(decoder), Checkpoint::Block)
}

fn log_softmax(x: &Tensor) -> candle_core::Result<Tensor> {
    let max = x.detach().max_keepdim(1)?;
    let x = x.broadcast_sub(&max)?;
    x.broadcast_sub(&x.exp()?.sum_keepdim(1)?.log()?)
}

/// The divergence KL(target || model) at each position, of targets that are logits of all labelled positions.
struct Divergence {
    targets: Tensor,
    seen: Vec<Range<usize>>,
}

impl LogitsLoss for Divergence {
    fn chunk(&mut self, rows: Rows<'_>, logits: &Tensor) -> Result<(Tensor, Tensor)> {
        let targets = self.targets.narrow(0, rows.labelled.start, rows.labelled.len())?;
        self.seen.push(rows.labelled);
        let x = Var::from_tensor(logits)?;
        let p = log_softmax(&targets)?;
        let values = (p.exp()? * (p - log_softmax(x.as_tensor())?)?)?.sum(1)?;
        let grads = values.sum_all()?.backward()?;
        Ok((values.detach(), grads.get(x.as_tensor()).expect("it depends on the logits").clone()))
    }
}

/// Cross-entropy of the labels at each position.
struct Entropy;

impl LogitsLoss for Entropy {
    fn chunk(&mut self, rows: Rows<'_>, logits: &Tensor) -> Result<(Tensor, Tensor)> {
        let labelled: Vec<u32> = rows.batch.labels.iter().filter(|l| **l >= 0).map(|l| *l as u32).collect();
        let labels = Tensor::new(&labelled[rows.labelled], logits.device())?.unsqueeze(1)?;
        let x = Var::from_tensor(logits)?;
        let values = log_softmax(x.as_tensor())?.gather(&labels, 1)?.squeeze(1)?.neg()?;
        let grads = values.sum_all()?.backward()?;
        Ok((values.detach(), grads.get(x.as_tensor()).expect("it depends on the logits").clone()))
    }
}

/// A decoder, and the same with factors beside every linear layer, the head and the embedding, whose B is not zero.
fn with_and_without_factors(case: &zoo::Case) -> Vec<Decoder> {
    let plain = decoder(&case.json);
    let module = |name: &str| Factored { module: name.into(), rank: 3, scale: 0.5 };
    let modules = ["lm_head", "model.embed_tokens"].map(module).to_vec();
    let factored = plain.attach(Attached { modules, dropout: 0.0, seed: 0 }).expect("attaches");
    vec![plain, factored]
}

#[test]
fn cross_entropy_over_logits_is_the_built_in_one() {
    for case in zoo::all() {
        for decoder in with_and_without_factors(&case) {
            let (params, batch) = (params(&decoder, 31), labelled(32, &[9, 4, 11]));
            for reduction in [Reduction::Mean, Reduction::Sum] {
                let count = CrossEntropy::new(reduction);
                let (expected, theirs) = gradients(&decoder, &params, &batch, &mut count.clone());
                let mut loss = OverLogits { inner: &mut Entropy, count };
                let (out, ours) = gradients(&decoder, &params, &batch, &mut loss);
                assert!((out.loss - expected.loss).abs() < 1e-5, "{}: {out:?} {expected:?}", case.name);
                assert!(difference(&out.values.neg().expect("negates"), &expected.values) < 1e-5);
                for (i, spec) in decoder.universe().specs().iter().enumerate() {
                    let (ours, theirs) = (ours[&i].tensor(), theirs[&i].tensor());
                    let (worst, scale) = (difference(ours, theirs), largest(theirs));
                    assert!(
                        worst <= 1e-5 * scale.max(0.1),
                        "{}: {} differs by {worst}",
                        case.name,
                        spec.name
                    );
                }
                let without =
                    decoder.loss(&exec(), &Host::default(), &params, &batch, &mut loss).expect("runs");
                assert!((without.loss - expected.loss).abs() < 1e-5);
            }
        }
    }
}

#[test]
fn a_divergence_agrees_with_finite_differences_and_is_nothing_to_itself() {
    for case in zoo::all() {
        for decoder in with_and_without_factors(&case) {
            let (params, batch) = (params(&decoder, 33), labelled(34, &[7, 5]));
            let count = batch.labelled();
            let mut rng = Rng::new(35);
            let targets: Vec<f32> = (0..count * 37).map(|_| rng.normal() as f32).collect();
            let targets = Tensor::from_vec(targets, (count, 37), &Device::Cpu).expect("a tensor");
            let mut divergence = Divergence { targets, seen: Vec::new() };
            let mut loss = OverLogits { inner: &mut divergence, count: CrossEntropy::default() };
            let (out, found) = gradients(&decoder, &params, &batch, &mut loss);
            assert!(out.loss > 0.1, "{}", out.loss);
            assert!(matches!(&divergence.seen[..], [all] if *all == (0..count)));
            // Along the gradient, the loss rises by its norm.
            let norm =
                found.values().map(|g| values(g.tensor()).iter().map(|x| f64::from(*x).powi(2)).sum::<f64>());
            let norm = norm.sum::<f64>().sqrt();
            let mut at = |step: f64| {
                let moved = params.tensors().iter().enumerate().map(|(i, w)| {
                    let change = (found[&i].tensor().reshape(w.shape())? * (step / norm))?;
                    w + change
                });
                let moved = moved.collect::<candle_core::Result<Vec<_>>>().expect("moves");
                let moved = Params::new(decoder.universe().clone(), moved).expect("fits");
                let mut loss = OverLogits { inner: &mut divergence, count: CrossEntropy::default() };
                decoder.loss(&exec(), &Host::default(), &moved, &batch, &mut loss).expect("runs").loss
            };
            let slope = (at(3e-3) - at(-3e-3)) / 6e-3;
            assert!((slope / norm - 1.0).abs() < 1e-2, "{}: {slope} is not {norm}", case.name);

            let hidden = decoder.labelled_hidden(&exec(), &Host::default(), &params, &batch).expect("runs");
            let own = decoder.logits_of(&exec(), &params, &hidden).expect("runs");
            let all = decoder.logits(&exec(), &Host::default(), &params, &batch).expect("runs");
            let rows: Vec<u32> = (0..).zip(&batch.labels).filter(|(_, l)| **l >= 0).map(|(t, _)| t).collect();
            let rows = Tensor::new(rows, &Device::Cpu).expect("a tensor");
            assert!(difference(&own, &all.index_select(&rows, 0).expect("selects")) < 1e-5);
            let mut itself = Divergence { targets: own, seen: Vec::new() };
            let mut loss = OverLogits { inner: &mut itself, count: CrossEntropy::default() };
            let (out, found) = gradients(&decoder, &params, &batch, &mut loss);
            assert!(out.loss.abs() < 1e-6, "{}", out.loss);
            assert!(found.values().all(|g| largest(g.tensor()) < 1e-5));
        }
    }
}

#[test]
fn smoothing_and_z_loss_are_those_of_a_composition() {
    for case in zoo::all().into_iter().take(4) {
        let decoder = decoder(&case.json);
        let (params, batch) = (params(&decoder, 36), labelled(37, &[8, 6]));
        let terms = Terms { smoothing: 0.1, z: 1e-2 };
        let mut built_in = CrossEntropy { terms, ..CrossEntropy::default() };
        let (out, ours) = gradients(&decoder, &params, &batch, &mut built_in);
        // The same written over logits.
        struct Written(Terms);
        impl LogitsLoss for Written {
            fn chunk(&mut self, rows: Rows<'_>, logits: &Tensor) -> Result<(Tensor, Tensor)> {
                let labelled: Vec<u32> =
                    rows.batch.labels.iter().filter(|l| **l >= 0).map(|l| *l as u32).collect();
                let labels = Tensor::new(&labelled[rows.labelled], logits.device())?.unsqueeze(1)?;
                let x = Var::from_tensor(logits)?;
                let logp = log_softmax(x.as_tensor())?;
                let (smoothing, z) = (f64::from(self.0.smoothing), f64::from(self.0.z));
                let picked = (logp.gather(&labels, 1)?.squeeze(1)? * (smoothing - 1.0))?;
                let even = (logp.mean(1)? * -smoothing)?;
                let lse = (x.as_tensor() - &logp)?.mean(1)?;
                let values = ((picked + even)? + (lse.sqr()? * z)?)?;
                let grads = values.sum_all()?.backward()?;
                Ok((values.detach(), grads.get(x.as_tensor()).expect("depends").clone()))
            }
        }
        let mut written = Written(terms);
        let mut loss = OverLogits { inner: &mut written, count: CrossEntropy::default() };
        let (expected, theirs) = gradients(&decoder, &params, &batch, &mut loss);
        assert!((out.loss - expected.loss).abs() < 1e-5, "{out:?} {expected:?}");
        let plain = gradients(&decoder, &params, &batch, &mut CrossEntropy::default()).0;
        assert!((out.loss - plain.loss).abs() > 1e-3, "the terms count");
        for (i, spec) in decoder.universe().specs().iter().enumerate() {
            let (ours, theirs) = (ours[&i].tensor(), theirs[&i].tensor());
            let (worst, scale) = (difference(ours, theirs), largest(theirs));
            assert!(worst <= 2e-5 * scale.max(0.1), "{}: {} differs by {worst}", case.name, spec.name);
            assert_eq!(ours.dtype(), DType::F32);
        }
    }
}
