//! Output heads that are the embedding, and files that hold another head although their configuration says so.
//!
//! Such files exist: a model whose head was trained apart keeps `tie_word_embeddings: true` from its base. The head that is
//! stored is the one that was trained, so it counts, as in transformers 5.

use super::weights::{Shards, Source as _};
use super::{Config, Decoder, ParamSpec, Role, Universe};
use crate::host::Host;
use crate::{Error, Result};

/// The name of the output head's weight.
pub(crate) const HEAD: &str = "lm_head.weight";
/// The name of the embedding.
pub(crate) const EMBEDDING: &str = "model.embed_tokens.weight";

/// Entries that are compared at a time.
const PIECE: usize = 1 << 18;

/// The configuration of a folder with these weights: untied, and told as a notice, where the files hold a head that differs from
/// the embedding.
pub(crate) fn as_stored(config: Config, shards: &Shards, host: &Host) -> Result<Config> {
    if !config.tied {
        return Ok(config);
    }
    let untied = config.untied();
    let universe = Decoder::new(&untied)?.universe().clone();
    let (Some(head), Some(embedding)) = (find(&universe, Role::Head), find(&universe, Role::Embed)) else {
        return Ok(config);
    };
    if shards.shape(&head.name).is_none() || same(shards, &head.name, &embedding.name)? {
        return Ok(config);
    }
    host.events.notice(notice(&shards.file(&head.name).display().to_string(), &head.name, &embedding.name));
    Ok(untied)
}

/// What is told of a head that is stored beside `tie_word_embeddings: true`.
pub(crate) fn notice(file: &str, head: &str, embedding: &str) -> String {
    format!(
        "{file}: {head} differs from {embedding}, and config.json says that they are one (tie_word_embeddings): the head that \
         is stored counts, and the model has one of its own"
    )
}

fn find(universe: &Universe, role: Role) -> Option<&ParamSpec> {
    universe.specs().iter().find(|spec| spec.role == role)
}

/// Whether two tensors of the files hold the same numbers. One that is not there, or is not of a floating type, is like no
/// other.
pub(crate) fn same(shards: &Shards, a: &str, b: &str) -> Result<bool> {
    let (Some(first), Some(second)) = (shards.raw(a), shards.raw(b)) else { return Ok(false) };
    if first.shape != second.shape {
        return Ok(false);
    }
    if first.dtype == second.dtype && !shards.is_indirect(a) && !shards.is_indirect(b) {
        let equal = first.bytes == second.bytes;
        first.release(0..first.bytes.len());
        second.release(0..second.bytes.len());
        return Ok(equal);
    }
    let entries: usize =
        first.shape.iter().try_fold(1_usize, |product, n| product.checked_mul(*n)).ok_or_else(|| {
            Error::format(first.file, format!("tensor {a} has more entries than there are numbers"))
        })?;
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for start in (0..entries).step_by(PIECE) {
        let len = PIECE.min(entries - start);
        left.clear();
        right.clear();
        shards.piece(a, start, len, &mut left)?;
        shards.piece(b, start, len, &mut right)?;
        if left != right {
            return Ok(false);
        }
    }
    Ok(true)
}
