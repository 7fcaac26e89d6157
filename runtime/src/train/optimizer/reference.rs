//! What the optimizers' formulas in candle's operations share.

use candle_core::Tensor;

use crate::Result;

/// A gradient with an L2 penalty of the entries `w`.
pub(super) fn decayed(w: &Tensor, g: &Tensor, decay: f64) -> Result<Tensor> {
    if decay == 0.0 { Ok(g.clone()) } else { Ok((g + (w * decay)?)?) }
}
