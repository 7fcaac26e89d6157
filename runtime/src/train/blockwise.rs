//! A step that updates each parameter as soon as its gradient is there, and what becomes of one that ends half-way.
//!
//! Such a step changes weights while the rest of its gradients are still being computed, so it can fail or be cancelled
//! between two updates. Where few entries are trained, what they were is kept until the step is done, and put back.
//! Where many are, that would take the memory which such a step is there to save: then the parameters that have taken
//! the step keep it, and a notice says how many they are.

use super::gradient::{Clip, square_sum};
use super::optimizer::{Now, Optimizer};
use super::penalty::Pull;
use super::slot::{Before, Slot};
use super::subject::{Subject, finite};
use crate::Result;
use crate::host::{Event, Host};
use crate::model::decoder::{Grad, GradSink};

/// Of a selection with at most one entry in this many, what was there is kept during a step.
const KEPT_BELOW: u64 = 10;

/// The optimizer's part of such a step.
pub(super) struct Blockwise<'a> {
    pub subject: Subject<'a>,
    pub optimizer: &'a Optimizer,
    pub clip: Clip,
    pub now: Now,
    /// The schedule's factor in the rate.
    pub factor: f64,
    /// The penalty, if there is one.
    pub penalty: Option<&'a Pull>,
    /// How many entries are trained.
    pub entries: u64,
}

impl Blockwise<'_> {
    /// Lets `pass` compute the gradients, and updates `slots` (ordered by parameter) meanwhile. Returns the norm of all
    /// gradients together, and the penalty.
    pub fn run(
        self,
        host: &Host,
        slots: &mut [Slot],
        pass: impl FnOnce(&mut dyn GradSink) -> Result<()>,
    ) -> Result<(f64, f64)> {
        let subject = self.subject;
        let keep = self.entries.saturating_mul(KEPT_BELOW) <= subject.params.universe().entries();
        let before = keep.then(Vec::new);
        let mut sink = Sink { step: self, slots, squares: 0.0, penalty: 0.0, taken: 0, before };
        let done = pass(&mut sink);
        let Sink { slots, squares, penalty, taken, before, .. } = sink;
        let undone = match (&done, before) {
            (Err(_), Some(before)) => before.into_iter().rev().try_for_each(|(slot, before)| {
                let slot: &mut Slot = &mut slots[slot];
                slot.put_back(subject.exec, subject.params.get(slot.param), before)
            }),
            (Err(_), None) if taken > 0 => {
                let all = slots.len();
                host.events.emit(Event::Notice(format!(
                    "the step ended half-way: {taken} of {all} parameters have taken it, as per_block does"
                )));
                Ok(())
            }
            _ => Ok(()),
        };
        subject.params.touch();
        done.and(undone).map(|()| (squares.sqrt(), penalty))
    }
}

/// Updates each parameter as its gradient comes.
struct Sink<'a, 's> {
    step: Blockwise<'a>,
    slots: &'s mut [Slot],
    squares: f64,
    penalty: f64,
    /// Parameters that have been updated.
    taken: usize,
    /// What each slot was before, in the order of the updates, where it is kept.
    before: Option<Vec<(usize, Before)>>,
}

impl GradSink for Sink<'_, '_> {
    fn grad(&mut self, param: usize, grad: Grad) -> Result<()> {
        let Blockwise { subject, optimizer, clip, now, factor, penalty, .. } = self.step;
        let Ok(slot) = self.slots.binary_search_by_key(&param, |s| s.param) else { return Ok(()) };
        let (exec, w) = (subject.exec, subject.params.get(param));
        let mut grad = grad.into_tensor();
        if let Some(penalty) = penalty {
            self.penalty += penalty.add(subject, &self.slots[slot], &mut grad)?;
        }
        let state = match &self.before {
            Some(_) => "no weight was changed",
            None => "parameters above it have taken this step already, as per_block does",
        };
        let square = finite(subject, param, square_sum(exec, &grad)?, state)?;
        self.squares += square;
        let now = Now { scale: clip.scale(square.sqrt(), f64::INFINITY), ..now };
        if let Some(before) = &mut self.before {
            before.push((slot, self.slots[slot].before(exec, w)?));
        }
        self.taken += 1;
        self.slots[slot].step(exec, w, optimizer, now, factor, &grad)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use candle_core::{DType, Device, Tensor};
    use serde_json::json;

    use super::*;
    use crate::data::Batch;
    use crate::host::{Events, Rng};
    use crate::model::decoder::{Checkpoint, CrossEntropy, Reduction};
    use crate::model::{Config, Decoder, Params};
    use crate::ops::Exec;
    use crate::train::{AdamW, Selection, TrainOptions, Trainer};

    /// Cancels when so many gradients have come.
    struct Cut<'a> {
        sink: &'a mut dyn GradSink,
        left: usize,
        host: Host,
    }

    impl GradSink for Cut<'_> {
        fn grad(&mut self, param: usize, grad: Grad) -> Result<()> {
            self.sink.grad(param, grad)?;
            if self.left == 1 {
                self.host.cancel.cancel();
            }
            self.left = self.left.saturating_sub(1);
            Ok(())
        }
    }

    struct Setting {
        exec: Exec,
        decoder: Decoder,
        params: Params,
        trainer: Trainer,
        batch: Batch,
    }

    impl Setting {
        /// A small decoder of which every `every`-th entry is trained.
        fn new(dtype: DType, every: u32) -> Self {
            let config = Config::from_json(&json!({
                "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 20, "hidden_size": 16,
                "intermediate_size": 24, "num_hidden_layers": 3, "num_attention_heads": 2, "num_key_value_heads": 1,
                "hidden_act": "silu", "max_position_embeddings": 16, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
                "tie_word_embeddings": true, "attention_bias": false, "mlp_bias": false,
                "bos_token_id": 1, "eos_token_id": 2
            }));
            let decoder = Decoder::new(&config.expect("a configuration")).expect("a decoder");
            let (exec, universe, mut rng) = (Exec::cpu(), decoder.universe().clone(), Rng::new(1));
            let tensors = universe.specs().iter().map(|spec| {
                let values: Vec<f32> = (0..spec.entries()).map(|_| 0.2 * rng.normal() as f32).collect();
                let tensor = Tensor::from_vec(values, spec.shape.clone(), &Device::Cpu).expect("fits");
                tensor.to_dtype(Params::dtype_of(spec.role, dtype)).expect("a type")
            });
            let params = Params::new(universe.clone(), tensors.collect()).expect("fits");
            let sets: Vec<_> = universe
                .specs()
                .iter()
                .map(|spec| (0..spec.entries() as u32).filter(|k| k % every == 0).collect())
                .collect();
            let selection = Selection::sets(universe, &sets).expect("not empty");
            let optimizer = AdamW { weight_decay: 0.1, ..AdamW::default() }.into();
            let options = TrainOptions { per_block: true, ..TrainOptions::new(optimizer, 1e-2) };
            let subject = Subject { exec: &exec, decoder: &decoder, params: &params };
            let trainer = Trainer::new(subject, selection, options).expect("fits");
            let batch = Batch::of_tokens(&[[3_u32, 4, 5, 6, 7, 8]]);
            let batch = Batch { labels: vec![9; batch.tokens.len()], ..batch };
            Self { exec, decoder, params, trainer, batch }
        }

        fn step(&mut self) {
            let subject = Subject { exec: &self.exec, decoder: &self.decoder, params: &self.params };
            let batches = std::slice::from_ref(&self.batch);
            self.trainer.step(subject, &Host::default(), batches).expect("a step");
        }

        /// A step that is cancelled after `left` updates; what was told.
        fn cut(&mut self, left: usize) -> usize {
            let told = Arc::new(AtomicUsize::new(0));
            let seen = told.clone();
            let events = Events::new(move |_| {
                seen.fetch_add(1, Relaxed);
            });
            let host = Host { events, ..Host::default() };
            let Self { exec, decoder, params, trainer, batch } = self;
            let step = Blockwise {
                subject: Subject { exec, decoder, params },
                optimizer: &trainer.options.optimizer,
                clip: Clip::None,
                now: Now { lr: 1e-2, t: trainer.step + 1, scale: 1.0 },
                factor: 1.0,
                penalty: None,
                entries: trainer.selection.entries(),
            };
            let mut entropy = CrossEntropy::new(Reduction::Mean);
            let wants = trainer.selection.wants();
            let result = step.run(&host, &mut trainer.slots, |sink| {
                let mut sink = Cut { sink, left, host: host.clone() };
                let (loss, checkpoint) = (&mut entropy, Checkpoint::None);
                decoder.backward(exec, &host, params, batch, loss, wants, checkpoint, &mut sink).map(drop)
            });
            assert!(result.expect_err("it was cut").is_cancelled());
            told.load(Relaxed)
        }

        fn bits(&self) -> Vec<Vec<u32>> {
            let flat = |t: &Tensor| t.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>();
            let bits = |t: &Tensor| flat(t).expect("numbers").into_iter().map(f32::to_bits).collect();
            self.params.tensors().iter().map(bits).collect()
        }
    }

    #[test]
    fn a_step_of_few_entries_that_is_cut_never_was() {
        for dtype in [DType::F32, DType::BF16] {
            let (mut plain, mut cut) = (Setting::new(dtype, 13), Setting::new(dtype, 13));
            for left in [1, 9, 12] {
                let before = cut.bits();
                assert_eq!(cut.cut(left), 0, "nothing to tell");
                assert_eq!(cut.bits(), before);
                plain.step();
                cut.step();
                assert_eq!(cut.bits(), plain.bits(), "{dtype:?}: the optimizer's state is what it was, too");
                assert_ne!(cut.bits(), before);
            }
        }
    }

    #[test]
    fn a_step_of_all_entries_that_is_cut_stays_where_it_got_to() {
        let mut cut = Setting::new(DType::F32, 1);
        let before = cut.bits();
        assert_eq!(cut.cut(9), 1, "a notice");
        let changed = cut.bits().iter().zip(&before).filter(|(now, before)| now != before).count();
        assert!((9..before.len()).contains(&changed), "{changed}");
        cut.step();
    }
}
