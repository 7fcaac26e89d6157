//! How much of a ticket shows in a model that is stored in fewer bits: entries whose value, rounded to a type, is
//! another than the base's, rounded to it.

use candle_core::Tensor;
use half::{bf16, f16};

use super::Ticket;
use crate::Result;
use crate::host::Host;
use crate::model::{Params, each_chunk};
use crate::ops::{Exec, scatter};

/// The entries of a ticket that differ from the base after rounding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visible {
    /// All entries.
    pub entries: u64,
    /// Those that differ where both are rounded to bf16.
    pub bf16: u64,
    /// Those that differ where both are rounded to f16.
    pub f16: u64,
    /// Those that differ where the values are rounded to the base's own type, parameter by parameter.
    pub own: u64,
    /// The own types of the parameters that have entries: of `bf16`, `f16` and `f32` those that occur, in this order.
    pub types: Vec<&'static str>,
}

/// The types that weights are stored in, the first one preferred.
const TYPES: [&str; 3] = ["bf16", "f16", "f32"];

fn to_bf16(v: f32) -> f32 {
    bf16::from_f32(v).to_f32()
}

fn to_f16(v: f32) -> f32 {
    f16::from_f32(v).to_f32()
}

/// The narrowest type that holds all numbers of a parameter: what it was stored in, whatever it is held in now.
fn own_type(tensor: &Tensor) -> Result<usize> {
    let (mut bf16, mut f16) = (true, true);
    each_chunk(tensor, |values| {
        let exact = |round: fn(f32) -> f32| values.iter().all(|&v| v.is_nan() || round(v) == v);
        bf16 = bf16 && exact(to_bf16);
        f16 = f16 && exact(to_f16);
        Ok(())
    })?;
    Ok(if bf16 {
        0
    } else if f16 {
        1
    } else {
        2
    })
}

impl Ticket {
    /// How many entries show after rounding. `base` is the ticket's base, with no tickets applied.
    ///
    /// A parameter's own type is the narrowest of bf16, f16 and f32 that holds all of its numbers. Numbers are compared, not
    /// bits: 0 and -0 do not differ. NaN differs from everything.
    ///
    /// # Errors
    ///
    /// The model is not the ticket's base.
    pub fn visible(&self, exec: &Exec, base: &Params, host: &Host) -> Result<Visible> {
        self.check(base, &base.fingerprint(exec)?)?;
        let mut visible = Visible { entries: self.entries(), bf16: 0, f16: 0, own: 0, types: Vec::new() };
        let mut seen = [false; TYPES.len()];
        for (i, ..) in self.mask.selected() {
            host.cancel.check()?;
            let old: Vec<f32> = scatter::gather(exec, base.get(i), &self.mask.index(i)?)?.to_vec1()?;
            let count = |round: fn(f32) -> f32| {
                let differ = |(new, old): (&f32, &f32)| round(*new) != round(*old);
                self.values[i].iter().zip(&old).filter(|pair| differ(*pair)).count() as u64
            };
            let counts = [count(to_bf16), count(to_f16), count(|v| v)];
            let own = own_type(base.get(i))?;
            seen[own] = true;
            visible.bf16 += counts[0];
            visible.f16 += counts[1];
            visible.own += counts[own];
        }
        visible.types = TYPES.iter().zip(seen).filter(|(_, seen)| *seen).map(|(name, _)| *name).collect();
        Ok(visible)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mask::Mask;
    use crate::model::{ParamSpec, Role, Universe};
    use crate::ticket::Meta;
    use candle_core::Device;

    #[test]
    fn entries_show_where_rounding_leaves_a_difference() {
        let exec = Exec::cpu();
        let spec = |name: &str, len| ParamSpec {
            name: name.into(),
            shape: vec![len],
            role: Role::Norm,
            layer: None,
        };
        let universe = Universe::new(vec![spec("a", 5), spec("b", 2), spec("c", 3)]).expect("valid");
        let tensor = |values: &[f32]| Tensor::new(values, &Device::Cpu).expect("fits");
        // The first is exact in bf16, the second in f16 alone, the third in neither.
        let tensors = vec![
            tensor(&[1.0, 1.0, 1.0, 0.0, to_bf16(3e38)]),
            tensor(&[f16::from_f32(1.001).to_f32(), 2.0]),
            tensor(&[1.0, 1.0000001, f32::NAN]),
        ];
        let base = Params::new(universe.clone(), tensors).expect("fits");
        let values = vec![
            // Shows in both; in f16 alone; in none; 0 and -0; infinite in f16 as the base is there.
            vec![1.5, 1.001, 1.0000001, -0.0, 2.9e38],
            // In f16 the next number; the same.
            vec![1.0, 2.0],
            vec![1.0000001, 1.0000001, f32::NAN],
        ];
        let meta = Meta::new(base.fingerprint(&exec).expect("hashes"), "test");
        let ticket = Ticket::new(Mask::all(universe), values, meta).expect("fits");
        let visible = ticket.visible(&exec, &base, &Host::default()).expect("its base");
        assert_eq!(
            visible,
            Visible {
                entries: 10,
                bf16: 3,
                f16: 4,
                // Of the first as in bf16: 2. Of the second as in f16: 1. Of the third: 2, NaN among them.
                own: 5,
                types: vec!["bf16", "f16", "f32"]
            }
        );
        let other = base.copy().expect("copies");
        let changed = Params::new(
            other.universe().clone(),
            vec![tensor(&[0.0; 5]), tensor(&[0.0; 2]), tensor(&[0.0; 3])],
        );
        let error =
            ticket.visible(&exec, &changed.expect("fits"), &Host::default()).expect_err("another base");
        assert!(error.to_string().contains("was made on another base"), "{error}");
    }
}
