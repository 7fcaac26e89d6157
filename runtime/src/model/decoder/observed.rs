//! A forward that is run for what flows through its linear layers alone.

use super::block::{Attend, Block};
use super::observe::{Look as _, Observer, Shown};
use super::run::Run;
use super::{Decoder, Params};
use crate::Result;
use crate::data::Batch;
use crate::host::Host;
use crate::ops::{Exec, linear, rms_norm};

/// A linear layer of a decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinearLayer {
    /// The index of its weight.
    pub weight: usize,
    /// The index of the weight of the first layer that takes the same input: the query projection's for those of keys and
    /// values, the gate's for the one beside it, else its own.
    pub input: usize,
    /// Whether it lies in a block; the output head does not.
    pub in_block: bool,
}

impl Decoder {
    /// Its linear layers in the order of their weights: those of the blocks, then the output head, unless that is the
    /// embedding.
    pub fn linear_layers(&self) -> Vec<LinearLayer> {
        let inside = |(layer, first): (super::layout::Linear, super::layout::Linear)| LinearLayer {
            weight: layer.weight,
            input: first.weight,
            in_block: true,
        };
        let mut layers: Vec<_> = self.layout.blocks.iter().flat_map(|b| b.inputs()).map(inside).collect();
        layers.sort_by_key(|layer| layer.weight);
        let head = self.layout.head;
        layers.extend((!self.config.tied).then_some(LinearLayer {
            weight: head,
            input: head,
            in_block: false,
        }));
        layers
    }

    /// Runs a batch for what `observer` sees. Nothing above the highest layer it looks at is computed; where it looks at the
    /// head, the logits of all positions are (before scale and cap).
    pub fn observe(
        &self,
        exec: &Exec,
        host: &Host,
        params: &Params,
        batch: &Batch,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        self.check(params, batch)?;
        let head = (!self.config.tied && observer.looks_at(self.layout.head)).then_some(self.layout.head);
        let blocks = &self.layout.blocks;
        let needed = match head {
            Some(_) => blocks.len(),
            None => {
                let seen = |b: &super::layout::BlockLayout| {
                    b.inputs().iter().any(|(l, _)| observer.looks_at(l.weight))
                };
                blocks.iter().rposition(seen).map_or(0, |last| last + 1)
            }
        };
        let shown = Shown::new(observer);
        let mut run = Run::new(exec, host, &self.config, params, &batch.segments, &batch.positions)?;
        run.observer = Some(&shown);
        let mut x = self.embed(exec, params, &batch.tokens)?;
        for (index, layout) in blocks.iter().enumerate().take(needed) {
            x = Block { run: &run, layout, index }.forward(&x, Attend::Batch)?;
        }
        let Some(head) = head else { return Ok(()) };
        host.cancel.check()?;
        let h = rms_norm::forward(exec, run.norm, &x, params.get(self.layout.norm))?.0;
        let (operand, w) = self.head_operands(exec, params, &h, None)?;
        shown.show(head, &h, &linear::forward(exec, &operand, &w, None)?)
    }
}
