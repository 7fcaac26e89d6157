//! What all blocks of one pass share.

use crate::Result;
use crate::model::Params;
use crate::model::config::{Activation, Config};
use crate::ops::Exec;
use crate::ops::glu::Act;
use crate::ops::rms_norm::RmsNorm;
use crate::ops::rope::Rotation;

/// One pass over one batch.
pub(super) struct Run<'a> {
    pub exec: &'a Exec,
    pub config: &'a Config,
    pub params: &'a Params,
    pub segments: &'a [u32],
    /// One for each of the configuration's rotary embeddings.
    pub rotations: Vec<Rotation>,
    pub norm: RmsNorm,
    pub act: Act,
}

impl<'a> Run<'a> {
    pub fn new(
        exec: &'a Exec,
        config: &'a Config,
        params: &'a Params,
        segments: &'a [u32],
        positions: &[u32],
    ) -> Result<Self> {
        let rotations: Result<Vec<_>> =
            config.ropes.iter().map(|r| Rotation::at(exec, &r.frequencies(), positions, 1.0)).collect();
        let act = match config.activation {
            Activation::Silu => Act::Silu,
            Activation::GeluTanh => Act::GeluTanh,
            Activation::GeluErf => Act::GeluErf,
        };
        Ok(Self {
            exec,
            config,
            params,
            segments,
            rotations: rotations?,
            norm: RmsNorm { eps: config.norm_eps as f32, offset: config.norm_offset },
            act,
        })
    }
}
