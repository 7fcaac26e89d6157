//! peft's SHiRA: for each linear layer `shira_indices`, rows and columns, and `shira_weight`, differences that are added.
//!
//! peft demands exactly `r (out + in)` entries of each layer, with one `r` for all: what is over is filled up with an entry
//! that is there already and the difference 0.

use std::path::Path;

use serde_json::json;

use super::super::file::Saved;
use super::peft::{self, Kind, Linear};
use super::tensors::{Tensor, write_i32};
use super::{Base, Foreign, Ticket};
use crate::host::Host;
use crate::{Error, Result};

const INDEX: &str = "shira_indices";
const VALUES: &str = "shira_weight";

/// How such an adapter is read.
pub(super) const KIND: Kind = Kind {
    format: Foreign::Shira,
    index: INDEX,
    values: VALUES,
    settings: &["mask_type", "random_seed", "r"],
    check: |_| Ok(()),
    place: |index, i, shape| {
        let n = *index.shape().get(1)?;
        let (row, col) = (index.number(i)?, index.number(n + i)?);
        (row < shape[0] as u64 && col < shape[1] as u64).then(|| row * shape[1] as u64 + col)
    },
    index_shape: |n| vec![2, n],
};

/// Writes a ticket as such an adapter.
pub(super) fn save(ticket: &Ticket, folder: &Path, base: Base<'_>, host: &Host) -> Result<Saved> {
    let layers = peft::linear(ticket, base, Foreign::Shira, host)?;
    let rank = |layer: &Linear<'_>| layer.deltas.len().div_ceil(layer.shape[0] + layer.shape[1]);
    let r = layers.iter().map(rank).max().unwrap_or(1);
    for layer in &layers {
        let [out, inner] = layer.shape;
        if r * (out + inner) > out * inner {
            return Err(Error::argument(format!(
                "SHiRA holds r (out + in) entries of each layer, with one r for all: this ticket takes r = {r}, which is \
                 more than layer {} of shape {:?} has. Write it as supertuning",
                layer.module, layer.shape
            )));
        }
    }
    let mut tensors = Vec::new();
    for layer in &layers {
        let n = r * (layer.shape[0] + layer.shape[1]);
        let columns = layer.shape[1] as u32;
        tensors.push(Tensor {
            name: layer.tensor(INDEX),
            dtype: "I32",
            shape: vec![2, n],
            write: Box::new(move |out| {
                write_i32(out, layer.filled(n).map(|at| at / columns))?;
                write_i32(out, layer.filled(n).map(|at| at % columns))
            }),
        });
        tensors.push(layer.values(VALUES, n));
    }
    let config = json!({
        "r": r,
        "mask_type": "random",
        "random_seed": null,
        "fan_in_fan_out": false,
        "init_weights": true,
    });
    peft::save(ticket, folder, base, Foreign::Shira, &layers, tensors, config, host)
}
