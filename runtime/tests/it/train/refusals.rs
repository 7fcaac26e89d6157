//! Steps that are refused or cut off change nothing.

use candle_core::{DType, Tensor};
use lota_runtime::data::Batch;
use lota_runtime::host::Host;
use lota_runtime::model::decoder::LossFn;
use lota_runtime::train::{Clip, Companions, Schedule, TrainOptions, Trainer};

use super::{Tiny, adamw, stream};

#[test]
fn options_that_contradict_each_other_are_explained() {
    let tiny = Tiny::new(DType::F32);
    let refused =
        |options| Trainer::new(tiny.subject(), tiny.all(), options).expect_err("is wrong").to_string();
    let text = refused(TrainOptions { per_block: true, clip: Clip::Global(1.0), ..adamw(1e-3) });
    assert!(text.contains("per_block") && text.contains("clip per parameter"), "{text}");
    assert!(refused(TrainOptions { schedule: Schedule::Linear, ..adamw(1e-3) }).contains("steps"));
    assert!(refused(adamw(f64::NAN)).contains("learning rate"));
    assert!(refused(TrainOptions { clip: Clip::Global(0.0), ..adamw(1.0) }).contains("above 0"));
    let mut trainer = tiny.trainer(tiny.all(), TrainOptions { per_block: true, ..adamw(1e-3) });
    let (mut batches, before) = (stream(8, 4), tiny.hash());
    let two = [batches.next(), batches.next()];
    let text = trainer.step(tiny.subject(), &tiny.host, &two).expect_err("two batches").to_string();
    assert!(text.contains("per_block"), "{text}");
    let empty = trainer.step(tiny.subject(), &tiny.host, &[Batch::of_tokens(&[[5u32, 6]])]);
    assert!(empty.expect_err("no label").to_string().contains("label"));
    assert_eq!(before, tiny.hash());
}

#[test]
fn a_cancelled_step_leaves_everything_as_it_was() {
    let mut tiny = Tiny::new(DType::F32);
    let mut trainer = tiny.trainer(tiny.all(), adamw(1e-2));
    let mut batches = stream(8, 4);
    tiny.step(&mut trainer, &[batches.next()]);
    let (before, dir) = (tiny.hash(), tempfile::tempdir().expect("a folder"));
    let file = |name: &str| dir.path().join(name);
    let save = |trainer: &Trainer, name| {
        trainer.save(tiny.subject(), &tiny.host, &file(name), &Companions::default()).expect("saves");
        std::fs::read(file(name)).expect("reads")
    };
    let state = save(&trainer, "before");
    let host = Host::default();
    // Cancelled by the loss function: in the middle of the pass.
    struct Stop(Host);
    impl LossFn for Stop {
        fn weights(&mut self, _: &Batch, logp: &Tensor) -> lota_runtime::Result<(f64, Tensor)> {
            self.0.cancel.cancel();
            Ok((0.0, logp.ones_like()?))
        }
    }
    let stopped = trainer.step_with(tiny.subject(), &host, &[batches.next()], &mut Stop(host.clone()));
    assert!(stopped.is_err_and(|error| error.is_cancelled()));
    assert_eq!((before, state), (tiny.hash(), save(&trainer, "after")));
    tiny.host = Host::default();
    tiny.step(&mut trainer, &[batches.next()]);
    assert_eq!(trainer.steps(), 2);
}

#[test]
fn a_gradient_that_is_not_finite_is_refused_and_named() {
    let tiny = Tiny::new(DType::F32);
    let mut trainer = tiny.trainer(tiny.all(), adamw(1e-2));
    struct Bad;
    impl LossFn for Bad {
        fn weights(&mut self, _: &Batch, logp: &Tensor) -> lota_runtime::Result<(f64, Tensor)> {
            Ok((1.0, (logp.ones_like()? * f64::NAN)?))
        }
    }
    let before = tiny.hash();
    let text = trainer.step_with(tiny.subject(), &tiny.host, &[stream(8, 4).next()], &mut Bad);
    let text = text.expect_err("is not finite").to_string();
    assert!(text.contains("model.embed_tokens.weight") && text.contains("not finite"), "{text}");
    assert_eq!((before, 0), (tiny.hash(), trainer.steps()));
}

#[test]
fn the_weights_are_held_while_a_step_works_with_them() {
    /// A loss that tries to take a step of another trainer.
    struct Nested<'a> {
        tiny: &'a Tiny,
        other: Trainer,
        told: Vec<String>,
    }
    impl LossFn for Nested<'_> {
        fn weights(&mut self, batch: &Batch, logp: &Tensor) -> lota_runtime::Result<(f64, Tensor)> {
            let step = self.other.step(self.tiny.subject(), &self.tiny.host, std::slice::from_ref(batch));
            self.told.push(step.expect_err("the weights are held").to_string());
            self.told.push(self.tiny.params.check_free().expect_err("the same").to_string());
            Ok((0.0, logp.zeros_like()?))
        }
    }
    let tiny = Tiny::new(DType::F32);
    let before = tiny.hash();
    let mut trainer = tiny.trainer(tiny.all(), TrainOptions { lr: 0.0, ..adamw(1e-3) });
    let mut loss = Nested { tiny: &tiny, other: tiny.trainer(tiny.all(), adamw(1e-3)), told: Vec::new() };
    trainer.step_with(tiny.subject(), &tiny.host, &[stream(8, 4).next()], &mut loss).expect("a step");
    assert_eq!(loss.told.len(), 2);
    assert!(loss.told.iter().all(|told| told.contains("while a training step computes")), "{:?}", loss.told);
    assert_eq!((tiny.hash(), loss.other.steps()), (before, 0));
    tiny.params.check_free().expect("the step is over");
    loss.other.step(tiny.subject(), &tiny.host, &[stream(8, 4).next()]).expect("a step");
}
