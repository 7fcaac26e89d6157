//! Figures of values: sums and products in f64, extremes and quantiles.

use candle_core::DType;
use rayon::prelude::*;

use super::Source as _;
use super::piece::read_tensor;
use super::values::{Part, Values};
use crate::{Error, Result};

/// Numbers that are added up at a time. A sum is one of the sums of such stretches, so it does not depend on the number
/// of threads.
const STRETCH: usize = 1 << 16;

/// Count, sum, sum of squares and extremes of some values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// How many there are.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// The sum of their squares.
    pub squares: f64,
    /// The least; infinite where there are none, NaN where one is.
    pub min: f64,
    /// The largest; negatively infinite where there are none, NaN where one is.
    pub max: f64,
}

impl Figures {
    const NONE: Self = Self { count: 0, sum: 0.0, squares: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY };

    fn of(values: &[f32]) -> Self {
        let mut all = Self { count: values.len() as u64, ..Self::NONE };
        for &x in values {
            let x = f64::from(x);
            all.sum += x;
            all.squares += x * x;
            all.min = if x < all.min || x.is_nan() { x } else { all.min };
            all.max = if x > all.max || x.is_nan() { x } else { all.max };
        }
        all
    }

    fn and(self, more: Self) -> Self {
        let pick = |a: f64, b: f64, better: bool| if a.is_nan() || (better && !b.is_nan()) { a } else { b };
        Self {
            count: self.count + more.count,
            sum: self.sum + more.sum,
            squares: self.squares + more.squares,
            min: pick(self.min, more.min, self.min <= more.min),
            max: pick(self.max, more.max, self.max >= more.max),
        }
    }

    /// The mean; NaN where there are none.
    pub fn mean(&self) -> f64 {
        self.sum / self.count as f64
    }

    /// The Euclidean norm.
    pub fn norm(&self) -> f64 {
        self.squares.sqrt()
    }
}

impl Values {
    /// The figures of all values.
    pub fn figures(&self) -> Result<Figures> {
        let parts = self.parts().iter().flatten().map(figures_of).collect::<Result<Vec<_>>>()?;
        Ok(parts.into_iter().fold(Figures::NONE, Figures::and))
    }

    /// The figures of the parameter at `index`; `None` if it has no values.
    pub fn figures_of(&self, index: usize) -> Result<Option<Figures>> {
        self.part(index).map(figures_of).transpose()
    }

    /// The sum of the products of the numbers at each entry. Both must be of the same entries.
    pub fn dot(&self, other: &Self) -> Result<f64> {
        self.check_same_entries(other)?;
        let mut sum = 0.0;
        for (a, b) in self.parts().iter().zip(other.parts()) {
            let (Some(a), Some(b)) = (a, b) else { continue };
            sum += dot(a, b)?;
        }
        Ok(sum)
    }

    /// The value below which the fraction `q` of the values lies, between two of them by linear interpolation (as
    /// `torch.quantile` and numpy's default).
    ///
    /// # Errors
    /// When there are no values, one is NaN, or `q` is not from 0 to 1.
    pub fn quantile(&self, q: f64) -> Result<f64> {
        if !(0.0..=1.0).contains(&q) {
            return Err(Error::argument(format!("a quantile must be from 0 to 1, got {q}")));
        }
        let mut all: Vec<f32> = Vec::with_capacity(self.count() as usize);
        for part in self.parts().iter().flatten() {
            read_tensor(part.tensor(), 0, part.tensor().elem_count(), &mut |values| {
                all.extend_from_slice(values);
            })?;
        }
        if all.is_empty() {
            return Err(Error::argument("there are no values, so there is no quantile of them"));
        }
        if all.par_iter().any(|x| x.is_nan()) {
            return Err(Error::argument("a value is not a number (NaN), so there is no quantile"));
        }
        let place = q * (all.len() - 1) as f64;
        let below = place.floor() as usize;
        let (_, &mut low, above) = all.select_nth_unstable_by(below, f32::total_cmp);
        let high = above.iter().copied().min_by(f32::total_cmp).unwrap_or(low);
        let (low, high) = (f64::from(low), f64::from(high));
        Ok(low + (place - below as f64) * (high - low))
    }

    /// Whether every value is a finite number.
    pub fn all_finite(&self) -> Result<bool> {
        Ok(self.figures()?.squares.is_finite())
    }

    /// How many values are not zero.
    pub fn nonzero(&self) -> Result<u64> {
        let mut count = 0;
        for (i, ..) in self.present() {
            let entries = self.universe().spec(i).entries() as usize;
            for start in (0..entries).step_by(STRETCH) {
                self.read(i, start, STRETCH.min(entries - start), &mut |values| {
                    count += values.iter().filter(|x| **x != 0.0).count() as u64;
                })?;
            }
        }
        Ok(count)
    }
}

fn figures_of(part: &Part) -> Result<Figures> {
    let tensor = part.tensor();
    let len = tensor.elem_count();
    let stretch = |start: usize| -> Result<Figures> {
        let mut found = Figures::NONE;
        read_tensor(tensor, start, STRETCH.min(len - start), &mut |values| found = Figures::of(values))?;
        Ok(found)
    };
    let starts: Vec<usize> = (0..len).step_by(STRETCH).collect();
    let all: Vec<Figures> = match tensor.device().is_cpu() {
        true => starts.into_par_iter().map(stretch).collect::<Result<_>>()?,
        false => starts.into_iter().map(stretch).collect::<Result<_>>()?,
    };
    Ok(all.into_iter().fold(Figures::NONE, Figures::and))
}

fn dot(a: &Part, b: &Part) -> Result<f64> {
    let a = a.tensor().flatten_all()?.to_dtype(DType::F32)?;
    let b = b.tensor().flatten_all()?.to_dtype(DType::F32)?.to_device(a.device())?;
    let len = a.elem_count();
    let stretch = |start: usize| -> Result<f64> {
        let mut sum = 0.0;
        let len = STRETCH.min(len - start);
        let mut inner: Result<()> = Ok(());
        read_tensor(&a, start, len, &mut |a| {
            inner = read_tensor(&b, start, len, &mut |b| {
                sum = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            });
        })?;
        inner?;
        Ok(sum)
    };
    let starts: Vec<usize> = (0..len).step_by(STRETCH).collect();
    let sums: Vec<f64> = match a.device().is_cpu() {
        true => starts.into_par_iter().map(stretch).collect::<Result<_>>()?,
        false => starts.into_iter().map(stretch).collect::<Result<_>>()?,
    };
    Ok(sums.into_iter().sum())
}
