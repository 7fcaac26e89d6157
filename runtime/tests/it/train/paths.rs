//! Ways to compute a step that must all give the same: reference operations, packed matrices, block by block.

use candle_core::DType;
use lota_runtime::mask::Mask;
use lota_runtime::model::decoder::Checkpoint;
use lota_runtime::ops::Compute;
use lota_runtime::train::{Clip, Selection, TrainOptions};

use super::{Tiny, adamw, stream};

#[test]
fn the_reference_path_takes_the_same_steps() {
    for dtype in [DType::F32, DType::BF16] {
        let (fast, slow) = (Tiny::new(dtype), Tiny::new(dtype).reference());
        let run = |tiny: &Tiny| {
            let mut trainer = tiny.trainer(Selection::masked(&tiny.mask()).expect("not empty"), adamw(1e-3));
            let mut batches = stream(8, 4);
            (0..3).map(|_| tiny.step(&mut trainer, &[batches.next()]).loss).collect::<Vec<_>>()
        };
        for (a, b) in run(&fast).iter().zip(run(&slow)) {
            assert!((a - b).abs() < 1e-4, "{dtype:?}: {a} {b}");
        }
        if dtype == DType::BF16 {
            // Both paths round alike, so nearly every weight has the same bits in the end.
            let (a, b) = (fast.values().concat(), slow.values().concat());
            let apart = a.iter().zip(&b).filter(|(a, b)| a != b).count();
            assert!(apart * 100 <= a.len(), "{apart} of {} weights differ", a.len());
        }
    }
}

#[test]
fn matrices_that_are_kept_packed_take_the_same_steps() {
    for (dtype, compute) in
        [(DType::F32, Compute::F32), (DType::BF16, Compute::BF16), (DType::F32, Compute::BF16)]
    {
        let run = |keep_packed: bool, per_block: bool| {
            let mut tiny = Tiny::new(dtype);
            tiny.exec = tiny.exec.with_compute(compute);
            let universe = tiny.decoder.universe().clone();
            // Few entries of some matrices, many of others, none of the rest.
            let sets = universe.specs().iter().enumerate().map(|(i, spec)| {
                let every = [37, 3, 0][i % 3];
                (0..spec.entries() as u32).filter(|k| every != 0 && k % every == 1).collect()
            });
            let mask = Mask::new(universe.clone(), sets.collect()).expect("fits");
            let options = TrainOptions { keep_packed, per_block, ..adamw(1e-2) };
            let mut trainer = tiny.trainer(Selection::masked(&mask).expect("not empty"), options);
            let mut batches = stream(16, 8);
            let mut losses = Vec::new();
            for step in 0..6 {
                if step == 3 {
                    // Somebody else changes what the copies are of.
                    let w = tiny.params.get(2);
                    w.slice_set(&(w * 0.5).expect("a product"), 0, 0).expect("fits");
                    tiny.params.touch();
                }
                losses.push(tiny.step(&mut trainer, &[batches.next()]).loss.to_bits());
            }
            (losses, tiny.hash())
        };
        let plain = run(false, false);
        assert_eq!(plain, run(true, false), "{dtype:?} {compute:?}");
        assert_eq!(plain, run(true, true), "{dtype:?} {compute:?}, block by block");
    }
}

#[test]
fn blocks_updated_as_they_come_take_the_same_step() {
    for checkpoint in [Checkpoint::None, Checkpoint::Block] {
        let (a, b) = (Tiny::new(DType::F32), Tiny::new(DType::F32));
        let clip = Clip::PerParameter(0.05);
        let mut together = a.trainer(a.all(), TrainOptions { clip, ..adamw(1e-3) });
        let mut apart = b.trainer(b.all(), TrainOptions { clip, per_block: true, checkpoint, ..adamw(1e-3) });
        let mut batches = stream(8, 4);
        for _ in 0..3 {
            let batch = batches.next();
            let x = a.step(&mut together, std::slice::from_ref(&batch));
            let y = b.step(&mut apart, &[batch]);
            assert!((x.grad_norm - y.grad_norm).abs() < 1e-6 && x.loss == y.loss);
        }
        assert_eq!(a.hash(), b.hash());
    }
}
