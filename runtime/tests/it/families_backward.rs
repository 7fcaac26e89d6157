//! Gradients of every parameter of every family.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor, Var};
use lota_runtime::Result;
use lota_runtime::data::{Batch, NO_LABEL};
use lota_runtime::host::{Host, Rng};
use lota_runtime::model::decoder::{Checkpoint, CrossEntropy, Grad, LossFn, LossOut, Reduction, Want};
use lota_runtime::ops::{SparseIndex, scatter};

use crate::common::{all_dense, bits, decoder, difference, exec, gradients, labelled, largest, params};
use crate::families::weights;
use crate::plain::{Plain, Weights};
use crate::zoo;

/// Three sequences, of which some positions have labels.
fn batch(seed: u64) -> Batch {
    labelled(seed, &[9, 4, 11])
}

/// The log-probabilities of a batch's labels by the plain composition.
fn plain_logp(plain: &Plain, weights: &Weights, batch: &Batch) -> Tensor {
    let parts: Vec<Tensor> = batch
        .segments
        .windows(2)
        .map(|pair| {
            let range = pair[0] as usize..pair[1] as usize;
            plain.logp(weights, &batch.tokens[range.clone()], &batch.labels[range]).expect("runs")
        })
        .collect();
    Tensor::cat(&parts, 0).expect("joins")
}

#[test]
fn gradients_equal_autograd_over_the_plain_composition() {
    for case in zoo::all() {
        let decoder = decoder(&case.json);
        let params = params(&decoder, 11);
        let batch = batch(12);
        for reduction in [Reduction::Mean, Reduction::Sum] {
            let weights = weights(&params);
            let count = if reduction == Reduction::Mean { batch.labelled() } else { 3 };
            let sum = plain_logp(&case.plain, &weights, &batch).sum_all().expect("sums");
            let nll = (sum / -(count as f64)).expect("divides");
            let store = nll.backward().expect("candle's backward");
            let mut loss = CrossEntropy::new(reduction);
            let wants = all_dense(&decoder);
            let (out, found) = gradients(&decoder, &params, &batch, &mut loss, &wants, Checkpoint::None);
            let expected = nll.to_scalar::<f64>().expect("a scalar");
            assert!((out.loss - expected).abs() < 1e-4, "{}: loss {} is not {expected}", case.name, out.loss);
            for (i, spec) in decoder.universe().specs().iter().enumerate() {
                let theirs = store.get(weights[&spec.name].as_tensor()).expect("candle found a gradient");
                let Some(Grad::Dense(ours)) = found.get(&i) else { panic!("{} has no gradient", spec.name) };
                let (worst, scale) = (difference(ours, theirs), largest(theirs));
                assert!(scale > 1e-4, "{}: {} has next to no gradient to compare", case.name, spec.name);
                let allowed = 2e-5 * scale.max(0.1);
                assert!(worst <= allowed, "{}: {} differs by {worst} of {scale}", case.name, spec.name);
            }
        }
    }
}

#[test]
fn recomputing_blocks_changes_no_bit() {
    for case in zoo::all() {
        let decoder = decoder(&case.json);
        let (params, batch, wants) = (params(&decoder, 13), batch(14), all_dense(&decoder));
        let of = |checkpoint| {
            gradients(&decoder, &params, &batch, &mut CrossEntropy::default(), &wants, checkpoint)
        };
        let ((a, kept), (b, again)) = (of(Checkpoint::None), of(Checkpoint::Block));
        assert_eq!(a.loss.to_bits(), b.loss.to_bits());
        assert_eq!(kept.len(), decoder.universe().len());
        for (i, grad) in &kept {
            assert_eq!(bits(grad.tensor()), bits(again[i].tensor()), "{} {i}", case.name);
        }
    }
}

#[test]
fn any_parameter_alone_gets_the_same_gradient() {
    for case in zoo::all() {
        let decoder = decoder(&case.json);
        let (params, batch) = (params(&decoder, 15), batch(16));
        let mut loss = CrossEntropy::default();
        let (_, all) =
            gradients(&decoder, &params, &batch, &mut loss, &all_dense(&decoder), Checkpoint::None);
        let mut rng = Rng::new(17);
        for (i, spec) in decoder.universe().specs().iter().enumerate() {
            let name = format!("{}: {}", case.name, spec.name);
            let mut wants = vec![Want::No; decoder.universe().len()];
            wants[i] = Want::Dense;
            for checkpoint in [Checkpoint::None, Checkpoint::Block] {
                let (_, one) = gradients(&decoder, &params, &batch, &mut loss, &wants, checkpoint);
                assert_eq!(one.len(), 1, "{name}: only what is wanted is delivered");
                assert_eq!(bits(one[&i].tensor()), bits(all[&i].tensor()), "{name}");
            }
            let (rows, cols) = spec.rows_cols();
            let entries: Vec<u32> = (0..spec.entries() as u32).filter(|_| rng.uniform() < 0.2).collect();
            let index = Arc::new(SparseIndex::from_sorted(rows, cols, entries).expect("an index"));
            wants[i] = Want::At(index.clone());
            let (_, one) = gradients(&decoder, &params, &batch, &mut loss, &wants, Checkpoint::None);
            let Some(Grad::At(ours)) = one.get(&i) else { panic!("{name}: no gradient at its entries") };
            let dense = scatter::gather(&exec(), all[&i].tensor(), &index).expect("gathers");
            let (worst, scale) = (difference(ours, &dense), largest(all[&i].tensor()));
            assert!(worst <= 1e-5 * scale.max(0.1), "{name}: masked entries differ by {worst} of {scale}");
        }
    }
}

/// `Σ (logp + 1)² / 2`: its derivative depends on the log-probabilities.
struct Squared;

impl LossFn for Squared {
    fn weights(&mut self, _: &Batch, logp: &Tensor) -> Result<(f64, Tensor)> {
        let shifted = (logp + 1.0)?;
        let loss = f64::from((shifted.sqr()?.sum_all()? * 0.5)?.to_scalar::<f32>()?);
        Ok((loss, shifted))
    }
}

#[test]
fn a_loss_over_log_probabilities_agrees_with_finite_differences() {
    let case = zoo::all().remove(0);
    let decoder = decoder(&case.json);
    let (params, batch) = (params(&decoder, 18), batch(19));
    let wants = all_dense(&decoder);
    let (out, found) = gradients(&decoder, &params, &batch, &mut Squared, &wants, Checkpoint::Block);
    assert_eq!(out.values.dims(), [batch.labelled()]);
    // The differences are of the plain composition in f64. Those of a loss computed in f32 are mostly noise: its last
    // bits (about 2e-5 of a loss of 200), divided by a step small enough for the slope, are per cents of it.
    let mut weights = weights(&params);
    let mut rng = Rng::new(20);
    for (i, spec) in decoder.universe().specs().iter().enumerate() {
        // Along a random direction, by central differences.
        let before = weights[&spec.name].as_tensor().copy().expect("copies");
        let direction: Vec<f64> = (0..before.elem_count()).map(|_| rng.normal()).collect();
        let direction = Tensor::from_vec(direction, before.dims(), &Device::Cpu).expect("a tensor");
        let mut loss_at = |h: f64| {
            let moved = (&before + (&direction * h).expect("scales")).and_then(|t| Var::from_tensor(&t));
            weights.insert(spec.name.clone(), moved.expect("adds"));
            let logp = plain_logp(&case.plain, &weights, &batch).to_vec1::<f64>().expect("numbers");
            logp.iter().map(|l| (l + 1.0).powi(2) / 2.0).sum::<f64>()
        };
        let h = 1e-4 / (direction.elem_count() as f64).sqrt();
        let slope = (loss_at(h) - loss_at(-h)) / (2.0 * h);
        weights.insert(spec.name.clone(), Var::from_tensor(&before).expect("a variable"));
        let ours = found[&i].tensor().to_dtype(DType::F64).expect("widens");
        let product = (ours * &direction).and_then(|t| t.sum_all()?.to_scalar::<f64>()).expect("a product");
        let allowed = 1e-5 * f64::from(largest(found[&i].tensor())) * (direction.elem_count() as f64).sqrt();
        let off = (slope - product).abs();
        assert!(off < allowed.max(1e-4), "{}: {product} is not {slope}", spec.name);
    }
}

#[test]
fn a_sink_may_change_the_parameters_it_is_given() {
    let case = zoo::all().remove(0);
    let decoder = decoder(&case.json);
    let (params, batch, wants) = (params(&decoder, 21), batch(22), all_dense(&decoder));
    for checkpoint in [Checkpoint::None, Checkpoint::Block] {
        let mut loss = CrossEntropy::default();
        let (_, expected) = gradients(&decoder, &params, &batch, &mut loss, &wants, checkpoint);
        let mine = params.copy().expect("copies");
        let mut seen = 0;
        let mut sink = |param: usize, grad: Grad| -> Result<()> {
            assert_eq!(bits(grad.tensor()), bits(expected[&param].tensor()), "parameter {param}");
            seen += 1;
            let w = mine.get(param);
            let entries = w.elem_count() as u32;
            let index = SparseIndex::from_sorted(1, entries as usize, 0..entries)?;
            let zeros = Tensor::zeros(entries as usize, w.dtype(), &Device::Cpu)?;
            scatter::scatter_in_place(&exec(), &w.flatten_all()?, &index, &zeros)
        };
        decoder
            .backward(&exec(), &Host::default(), &mine, &batch, &mut loss, &wants, checkpoint, &mut sink)
            .expect("a backward pass");
        assert_eq!(seen, decoder.universe().len());
        assert!(mine.tensors().iter().all(|t| largest(t) == 0.0));
    }
}

#[test]
fn nothing_is_computed_below_what_is_wanted() {
    // Every product and every attention asks whether to go on. Stopped at the moment the last gradient is handed
    // over, a pass that had any of them left would say that it was stopped.
    for case in zoo::all() {
        let decoder = decoder(&case.json);
        let (params, batch) = (params(&decoder, 27), batch(28));
        let all = decoder.universe().len();
        for lowest in 0..all {
            for checkpoint in [Checkpoint::None, Checkpoint::Block] {
                let wants: Vec<Want> =
                    (0..all).map(|i| if i >= lowest { Want::Dense } else { Want::No }).collect();
                // Those of the embedding come last.
                let (host, mut missing) = (Host::default(), all - lowest);
                let mut sink = |_: usize, _: Grad| -> Result<()> {
                    missing -= 1;
                    if missing == 0 {
                        host.cancel.cancel();
                    }
                    Ok(())
                };
                let mut loss = CrossEntropy::default();
                let out = decoder.backward(
                    &exec(),
                    &host,
                    &params,
                    &batch,
                    &mut loss,
                    &wants,
                    checkpoint,
                    &mut sink,
                );
                assert!(
                    out.is_ok(),
                    "{}: something came after {}",
                    case.name,
                    decoder.universe().spec(lowest).name
                );
                assert_eq!(missing, 0, "{}", case.name);
            }
        }
    }
}

#[test]
fn what_cannot_be_done_is_said() {
    let case = zoo::all().remove(0);
    let decoder = decoder(&case.json);
    let (params, batch) = (params(&decoder, 23), batch(24));
    let host = Host::default();
    let run = |batch: &Batch, wants: &[Want], host: &Host| {
        let mut sink = |_: usize, _: Grad| Ok(());
        let mut loss = CrossEntropy::default();
        decoder.backward(&exec(), host, &params, batch, &mut loss, wants, Checkpoint::None, &mut sink)
    };
    let wants = all_dense(&decoder);
    let text = |r: Result<LossOut>| r.expect_err("is wrong").to_string();
    assert!(text(run(&batch, &wants[1..], &host)).contains("wants"));
    let unlabelled = Batch { labels: vec![NO_LABEL; batch.len()], ..batch.clone() };
    assert!(text(run(&unlabelled, &wants, &host)).contains("label"));
    let outside = Batch { tokens: vec![99; batch.len()], ..batch.clone() };
    assert!(text(run(&outside, &wants, &host)).contains("token 99"));
    let mut misfit = wants.clone();
    misfit[3] = Want::At(Arc::new(SparseIndex::from_sorted(2, 2, [0]).expect("an index")));
    assert!(text(run(&batch, &misfit, &host)).contains(&decoder.universe().spec(3).name));
    host.cancel.cancel();
    assert!(run(&batch, &wants, &host).is_err_and(|error| error.is_cancelled()));
}
