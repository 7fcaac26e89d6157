//! The same formulas in plain candle operations, for any device.

use candle_core::Tensor;

use super::{Now, Optimizer};
use crate::Result;

/// The next values of the flat entries `w` with gradients `g`; `states` are replaced.
pub(in crate::train) fn updated(
    optimizer: &Optimizer,
    now: Now,
    w: &Tensor,
    g: &Tensor,
    states: &mut [Tensor],
) -> Result<Tensor> {
    let Now { lr, t, scale } = now;
    let g = if scale == 1.0 { g.clone() } else { (g * scale)? };
    let l2 = |decay: f64| if decay == 0.0 { Ok(g.clone()) } else { &g + (w * decay)? };
    Ok(match (*optimizer, states) {
        (Optimizer::RmsProp { alpha, eps, momentum, weight_decay }, [v, rest @ ..]) => {
            let g = l2(weight_decay)?;
            *v = ((&*v * alpha)? + (g.sqr()? * (1.0 - alpha))?)?;
            let d = (g / (v.sqrt()? + eps)?)?;
            match rest {
                [b, ..] => {
                    *b = ((&*b * momentum)? + d)?;
                    (w - (&*b * lr)?)?
                }
                [] => (w - (d * lr)?)?,
            }
        }
        (Optimizer::AdamW { betas, eps, weight_decay }, [m, v, ..]) => {
            *m = (&*m + ((g.clone() - &*m)? * (1.0 - betas.0))?)?;
            *v = ((&*v * betas.1)? + (g.sqr()? * (1.0 - betas.1))?)?;
            let root = (1.0 - betas.1.powf(t as f64)).sqrt();
            let size = lr / (1.0 - betas.0.powf(t as f64));
            let d = (&*m / ((v.sqrt()? / root)? + eps)?)?;
            ((w * (1.0 - lr * weight_decay))? - (d * size)?)?
        }
        (Optimizer::Sgd { momentum, dampening, nesterov, weight_decay }, states) => {
            let g = l2(weight_decay)?;
            match states {
                [b, ..] => {
                    let add = if t == 1 { 1.0 } else { 1.0 - dampening };
                    *b = ((&*b * momentum)? + (&g * add)?)?;
                    let d = if nesterov { (g + (&*b * momentum)?)? } else { b.clone() };
                    (w - (d * lr)?)?
                }
                [] => (w - (g * lr)?)?,
            }
        }
        (Optimizer::Lion { betas, weight_decay }, [m, ..]) => {
            let c = ((&*m * betas.0)? + (&g * (1.0 - betas.0))?)?;
            *m = ((&*m * betas.1)? + (&g * (1.0 - betas.1))?)?;
            (w - ((c.sign()? + (w * weight_decay)?)? * lr)?)?
        }
        (optimizer, _) => {
            return Err(crate::Error::argument(format!("{} was not given its state", optimizer.name())));
        }
    })
}
