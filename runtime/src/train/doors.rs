//! A training opened to a method: gradients out and in, values, moments, other entries, other rates.
//!
//! `update(gradients(batches))` is a step. What lies between the two is up to a method: sharpness-aware minimization asks
//! for gradients elsewhere, projections change them, an optimizer of its own sets values instead of updating.

use super::group::check_rate;
use super::selection::Selection;
use super::slot::Slot;
use super::subject::Subject;
use super::trainer::{StepReport, Trainer};
use crate::data::Batch;
use crate::host::Host;
use crate::model::decoder::{LossFn, Want};
use crate::vectors::{Part, Values};
use crate::{Error, Result};

impl Trainer {
    /// The gradients of the loss and the penalty by the trained entries, before clipping. Nothing is changed. Several
    /// batches count as those of [`Trainer::step`] do. The loss, and the tokens of all calls until then, become part of the
    /// next update's report.
    pub fn gradients(
        &mut self,
        subject: Subject<'_>,
        host: &Host,
        batches: &[Batch],
        loss: Option<&mut dyn LossFn>,
    ) -> Result<Values> {
        let _hold = subject.params.hold("Trainer:gradients");
        let grads = self.collect(subject, host, batches, loss)?;
        let parts = self.selection.wants().iter().zip(grads);
        let part = |(want, grad): (&Want, Option<candle_core::Tensor>)| match (want, grad) {
            (Want::At(index), Some(grad)) => Some(Part::At(index.clone(), grad)),
            (_, grad) => grad.map(Part::Dense),
        };
        Values::of_parts(self.selection.universe().clone(), parts.map(part).collect())
    }

    /// A step of the optimizer by these gradients, clipped and at the rate of the schedule.
    ///
    /// # Errors
    /// When they are not of exactly the trained entries, or one is not finite; nothing is changed then.
    pub fn update(&mut self, subject: Subject<'_>, host: &Host, gradients: &Values) -> Result<StepReport> {
        subject.params.check_free()?;
        let _hold = subject.params.hold("Trainer:update");
        self.check_entries(gradients, "gradients")?;
        let grads: Vec<_> =
            gradients.parts().iter().map(|part| part.as_ref().map(|p| p.tensor().clone())).collect();
        self.apply(subject, host, &grads)
    }

    /// The values that the optimizer works on, f32: of bf16 parameters more exact than the weights.
    pub fn values(&self, subject: Subject<'_>) -> Result<Values> {
        self.numbers(subject, |slot, w| slot.values(subject.exec, w, |values| values.to_vec()))
    }

    /// Puts other values in the place of the trained entries; what the optimizer remembers stays.
    pub fn set_values(&mut self, subject: Subject<'_>, values: &Values) -> Result<()> {
        subject.params.check_free()?;
        self.check_entries(values, "values")?;
        for slot in &mut self.slots {
            let Some(part) = values.part(slot.param) else { continue };
            slot.set(subject.exec, subject.params.get(slot.param), part.tensor())?;
        }
        subject.params.touch();
        Ok(())
    }

    /// What the optimizer remembers of the trained entries, by the names of its state.
    pub fn moments(&self, subject: Subject<'_>) -> Result<Vec<(&'static str, Values)>> {
        let states = self.options.optimizer.states().iter().enumerate();
        let moment = |(i, name): (usize, &&'static str)| {
            let values = self.numbers(subject, |slot, _| slot.states()[i].with(<[f32]>::to_vec))?;
            Ok((*name, values))
        };
        states.map(moment).collect()
    }

    /// Trains other entries from now on. What stays trained keeps its value and what the optimizer remembers of it, bit for
    /// bit; of new entries it remembers nothing. The number of steps goes on.
    pub fn select(&mut self, subject: Subject<'_>, selection: Selection) -> Result<()> {
        subject.params.check_free()?;
        subject.params.universe().check_same(selection.universe())?;
        let old_selection = std::mem::replace(&mut self.selection, selection);
        let old = std::mem::take(&mut self.slots);
        if let Err(error) = self.prepare(subject) {
            (self.selection, self.slots) = (old_selection, old);
            return Err(error);
        }
        for slot in &mut self.slots {
            let Ok(before) = old.binary_search_by_key(&slot.param, |slot| slot.param) else { continue };
            if self.rates_set {
                slot.lr = old[before].lr;
            }
            slot.take_over(subject.exec, subject.params.get(slot.param), &old[before])?;
        }
        Ok(())
    }

    /// Sets the learning rate before the schedule: of all parameters that no group gives a rate, or of `params` alone.
    pub fn set_lr(&mut self, lr: f64, params: Option<&[usize]>) -> Result<()> {
        check_rate(Some(lr))?;
        match params {
            None => self.options.lr = lr,
            Some(params) => {
                let mut set = self.slots.iter_mut().filter(|slot| params.contains(&slot.param)).peekable();
                if set.peek().is_none() {
                    return Err(Error::argument("none of these parameters is trained"));
                }
                set.for_each(|slot| slot.lr = Some(lr));
            }
        }
        self.rates_set = true;
        Ok(())
    }

    /// Numbers of the trained entries.
    fn numbers(
        &self,
        subject: Subject<'_>,
        of: impl Fn(&Slot, &candle_core::Tensor) -> Result<Vec<f32>>,
    ) -> Result<Values> {
        let universe = self.selection.universe();
        let mut parts = vec![None; universe.len()];
        for slot in &self.slots {
            let w = subject.params.get(slot.param);
            let numbers = of(slot, w)?;
            let len = numbers.len();
            let tensor = candle_core::Tensor::from_vec(numbers, len, w.device())?;
            parts[slot.param] = Some(match &self.selection.wants()[slot.param] {
                Want::At(index) => Part::At(index.clone(), tensor),
                _ => Part::Dense(tensor.reshape(w.shape())?),
            });
        }
        Values::of_parts(universe.clone(), parts)
    }

    fn check_entries(&self, values: &Values, what: &str) -> Result<()> {
        self.selection.universe().check_same(values.universe())?;
        for (want, (spec, part)) in
            self.selection.wants().iter().zip(self.selection.universe().specs().iter().zip(values.parts()))
        {
            let fits = match (want, part) {
                (Want::No, None) | (Want::Dense, Some(Part::Dense(_))) => true,
                (Want::At(index), Some(Part::At(has, _))) => index.same_entries(has),
                _ => false,
            };
            if !fits {
                return Err(Error::argument(format!(
                    "the {what} of {} are not of the entries that are trained in it; Trainer:gradients and \
                     Trainer:values give such, and values:within(mask) takes them out of others",
                    spec.name
                )));
            }
        }
        Ok(())
    }
}
