//! What all blocks of one pass share.

use super::observe::Look;
use crate::Result;
use crate::host::{Cancel, Host};
use crate::model::Params;
use crate::model::config::{Activation, Config, Rope};
use crate::ops::Exec;
use crate::ops::dropout::Dropout;
use crate::ops::glu::Act;
use crate::ops::rms_norm::RmsNorm;
use crate::ops::rope::Rotation;

/// One pass over one batch.
pub(super) struct Run<'a> {
    pub exec: &'a Exec,
    /// Asked before every product and every attention, so that a long prompt can be stopped within a block.
    pub cancel: &'a Cancel,
    pub config: &'a Config,
    pub params: &'a Params,
    pub segments: &'a [u32],
    /// One for each of the configuration's rotary embeddings.
    pub rotations: Vec<Rotation>,
    pub norm: RmsNorm,
    pub act: Act,
    /// Of the input of factors of low rank, in a training step.
    pub dropout: Option<Dropout>,
    /// Who is shown what flows through the linear layers.
    pub observer: Option<&'a dyn Look>,
}

impl<'a> Run<'a> {
    pub fn new(
        exec: &'a Exec,
        host: &'a Host,
        config: &'a Config,
        params: &'a Params,
        segments: &'a [u32],
        positions: &[u32],
    ) -> Result<Self> {
        let tokens = segments.last().map_or(0, |&end| end as usize);
        // The input of a block and its sum, and the widest that lie beside each other in it.
        let row = 4 * config.hidden_size
            + 3 * config.intermediate_size
            + 2 * config.q_size()
            + 2 * config.kv_size();
        host.room.ask_for(tokens, row.saturating_mul(size_of::<f32>()))?;
        let rotations: Result<Vec<_>> =
            config.ropes.iter().map(|r| rotation(exec, r, segments, positions)).collect();
        let act = match config.activation {
            Activation::Silu => Act::Silu,
            Activation::GeluTanh => Act::GeluTanh,
            Activation::GeluErf => Act::GeluErf,
        };
        Ok(Self {
            exec,
            cancel: &host.cancel,
            config,
            params,
            segments,
            rotations: rotations?,
            norm: norm(config),
            act,
            dropout: None,
            observer: None,
        })
    }
}

/// The constants of a configuration's norms.
pub(super) fn norm(config: &Config) -> RmsNorm {
    RmsNorm { eps: config.norm_eps as f32, offset: config.norm_offset }
}

/// The rotation of every token of a batch. Where frequencies depend on length, each sequence has those
/// of its own length, so that it does not matter what it is packed with.
fn rotation(exec: &Exec, rope: &Rope, segments: &[u32], positions: &[u32]) -> Result<Rotation> {
    let factor = rope.attention_factor();
    if rope.switches_above().is_none() {
        return Rotation::at(exec, &rope.frequencies(), positions, factor);
    }
    let parts: Result<Vec<_>> = segments
        .windows(2)
        .map(|pair| {
            let positions = &positions[pair[0] as usize..pair[1] as usize];
            let tokens = positions.last().map_or(0, |&p| p as usize + 1);
            Rotation::at(exec, &rope.frequencies_for(tokens), positions, factor)
        })
        .collect();
    Rotation::cat(&parts?)
}
