//! What a step does: it learns, sums over batches, and leaves what is not trained alone.

use candle_core::DType;
use lota_runtime::data::{Batch, BatchOptions, Batches};
use lota_runtime::mask::Mask;
use lota_runtime::model::decoder::Reduction;
use lota_runtime::train::{Clip, Optimizer, Selection, Sgd, TrainOptions, frozen_fingerprint};

use super::{Tiny, adamw, largest_difference, some_examples, stream};

#[test]
fn training_learns() {
    let tiny = Tiny::new(DType::F32);
    for selection in [tiny.all(), Selection::masked(&tiny.mask()).expect("not empty")] {
        let mut trainer = tiny.trainer(selection, adamw(3e-3));
        let mut batches = stream(8, 4);
        let losses: Vec<f64> = (0..60).map(|_| tiny.step(&mut trainer, &[batches.next()]).loss).collect();
        assert!(losses[59] < 0.7 * losses[0], "{losses:?}");
    }
}

#[test]
fn a_batch_cut_into_micro_batches_gives_the_same_step() {
    for reduction in [Reduction::Mean, Reduction::Sum] {
        // SGD, so that the step is the gradient itself and not its sign.
        let options = || {
            let sgd = Optimizer::from(Sgd { momentum: 0.0, ..Sgd::default() });
            TrainOptions { reduction, ..TrainOptions::new(sgd, 0.5) }
        };
        let (one, many) = (Tiny::new(DType::F32), Tiny::new(DType::F32));
        let mut whole = one.trainer(one.all(), options());
        let whole = one.step(&mut whole, &[stream(9, 9).next()]);
        let mut parts = stream(9, 2);
        let split = Batches::new(
            some_examples(9),
            BatchOptions { size: 2, order: lota_runtime::data::Order::Sequential, ..parts.options().clone() },
        )
        .expect("fits");
        parts = split;
        let micro: Vec<Batch> = parts.epoch().collect();
        assert_eq!(micro.len(), 5);
        let mut cut = many.trainer(many.all(), options());
        let cut = many.step(&mut cut, &micro);
        assert!((whole.loss - cut.loss).abs() < 1e-5, "{} {}", whole.loss, cut.loss);
        assert!((whole.grad_norm / cut.grad_norm - 1.0).abs() < 1e-5);
        assert_eq!((whole.tokens, whole.labelled), (cut.tokens, cut.labelled));
        let difference = largest_difference(&one.values(), &many.values());
        assert!(difference < 1e-5, "{difference}");
        assert_ne!(one.values(), Tiny::new(DType::F32).values());
    }
}

#[test]
fn entries_outside_the_mask_keep_their_bits() {
    for dtype in [DType::F32, DType::BF16] {
        for tiny in [Tiny::new(dtype), Tiny::new(dtype).reference()] {
            let mask = tiny.mask();
            let selection = Selection::masked(&mask).expect("not empty");
            let (before, frozen) =
                (tiny.values(), frozen_fingerprint(&tiny.params, &selection).expect("hashes"));
            let mut trainer = tiny.trainer(selection, adamw(1e-2));
            let mut batches = stream(8, 4);
            for _ in 0..4 {
                tiny.step(&mut trainer, &[batches.next()]);
            }
            let after = frozen_fingerprint(&tiny.params, trainer.selection()).expect("hashes");
            assert_eq!(frozen, after);
            let mut changed = 0;
            for (i, (old, new)) in before.iter().zip(tiny.values()).enumerate() {
                for (k, (a, b)) in old.iter().zip(&new).enumerate() {
                    let free = mask.set(i).contains(k as u32);
                    assert!(free || a.to_bits() == b.to_bits());
                    changed += u64::from(a != b);
                }
            }
            assert!(changed * 10 > mask.count() * 8, "{changed} of {} moved", mask.count());
        }
    }
}

#[test]
fn a_mask_of_everything_trains_like_whole_parameters() {
    let (whole, masked) = (Tiny::new(DType::F32), Tiny::new(DType::F32));
    let mut dense = whole.trainer(whole.all(), adamw(1e-3));
    // All but one entry, so that the sampled path is taken.
    let universe = masked.decoder.universe();
    let sets = universe.specs().iter().map(|s| (1..s.entries() as u32).collect()).collect();
    let almost = Selection::masked(&Mask::new(universe.clone(), sets).expect("fits")).expect("not empty");
    let mut sparse = masked.trainer(almost, adamw(1e-3));
    let mut batches = stream(8, 4);
    for _ in 0..3 {
        let batch = batches.next();
        whole.step(&mut dense, std::slice::from_ref(&batch));
        masked.step(&mut sparse, &[batch]);
    }
    for (a, b) in whole.values().iter().zip(masked.values()) {
        let difference = a[1..].iter().zip(&b[1..]).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max);
        assert!(difference < 1e-4, "{difference}");
    }
}

#[test]
fn clipping_bounds_the_step() {
    let moved = |clip: Clip| {
        let tiny = Tiny::new(DType::F32);
        let before = tiny.values();
        let sgd = Optimizer::from(Sgd { momentum: 0.0, ..Sgd::default() });
        let mut trainer = tiny.trainer(tiny.all(), TrainOptions { clip, ..TrainOptions::new(sgd, 1.0) });
        let report = tiny.step(&mut trainer, &[stream(8, 4).next()]);
        let norm = |pair: (&Vec<f32>, &Vec<f32>)| {
            pair.0.iter().zip(pair.1).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>()
        };
        (report.grad_norm, before.iter().zip(&tiny.values()).map(norm).collect::<Vec<f64>>())
    };
    let (norm, free) = moved(Clip::None);
    assert!((free.iter().sum::<f64>().sqrt() / norm - 1.0).abs() < 1e-4);
    let (same_norm, global) = moved(Clip::Global(0.01));
    assert!((norm - same_norm).abs() < 1e-9);
    assert!((global.iter().sum::<f64>().sqrt() - 0.01).abs() < 1e-4);
    let (_, each) = moved(Clip::PerParameter(0.01));
    for (free, clipped) in free.iter().zip(each) {
        assert!((clipped.sqrt() - free.sqrt().min(0.01)).abs() < 1e-4);
    }
}
