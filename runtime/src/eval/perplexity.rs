//! The mean loss over all labelled tokens of some batches.

use crate::data::Batch;
use crate::host::Host;
use crate::model::Model;
use crate::{Error, Result};

/// What was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Perplexity {
    /// The sum of the losses of all labelled tokens, in nats.
    pub sum: f64,
    /// Labelled tokens.
    pub tokens: u64,
    /// Sequences.
    pub sequences: u64,
}

impl Perplexity {
    /// The mean loss of a labelled token, in nats.
    pub fn loss(&self) -> f64 {
        self.sum / self.tokens as f64
    }

    /// `exp(loss)`.
    pub fn perplexity(&self) -> f64 {
        self.loss().exp()
    }
}

/// Measures a model on batches. Every labelled token counts the same, whatever batch it is in, so
/// the result does not depend on how examples were grouped.
pub fn perplexity<'a>(
    model: &Model,
    batches: impl Iterator<Item = &'a Batch>,
    host: &Host,
) -> Result<Perplexity> {
    let mut found = Perplexity::default();
    let batches: Vec<&Batch> = batches.collect();
    model.decoder.tell_long_in(host, batches.iter().copied());
    let total = batches.len() as u64;
    for (i, batch) in batches.into_iter().enumerate() {
        found.sequences += batch.sequences() as u64;
        if batch.labelled() > 0 {
            let logp = model.decoder.logp(&model.exec, host, &model.params, batch)?.to_vec1::<f32>()?;
            found.tokens += logp.len() as u64;
            found.sum -= logp.iter().map(|l| f64::from(*l)).sum::<f64>();
        }
        host.events.progress("perplexity", i as u64 + 1, total, "");
    }
    if found.tokens == 0 {
        return Err(Error::argument("there is no token with a label to be predicted"));
    }
    if found.sum.is_nan() {
        return Err(Error::argument(
            "the log-probabilities of the examples are not numbers: are there NaN or infinite weights in the model?",
        ));
    }
    Ok(found)
}
