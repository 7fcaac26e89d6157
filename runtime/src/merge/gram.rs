//! Inner products of inputs, and sums of them: what the methods that work with angles are made of.
//!
//! The points such a method moves through are sums of its inputs. So it needs their inner products,
//! one pass over the entries, and then the coefficients of the last point, a second.

use super::group::{Group, Piece, Sink, Unit};
use super::kernels::{self, dot};
use crate::Result;

/// Inner products of some vectors, all with all.
#[derive(Clone, Debug)]
pub struct Gram {
    n: usize,
    products: Vec<f64>,
}

impl Gram {
    /// All zero.
    pub fn zero(n: usize) -> Self {
        Self { n, products: vec![0.0; n * n] }
    }

    /// The products of these vectors.
    fn of(vectors: &[&[f32]]) -> Self {
        let n = vectors.len();
        let mut gram = Self::zero(n);
        for i in 0..n {
            for j in i..n {
                let product = dot(vectors[i], vectors[j]);
                gram.products[i * n + j] = product;
                gram.products[j * n + i] = product;
            }
        }
        gram
    }

    fn add(&mut self, other: &Self) {
        self.products.iter_mut().zip(&other.products).for_each(|(a, b)| *a += b);
    }

    /// The product of two of the vectors.
    pub fn get(&self, i: usize, j: usize) -> f64 {
        self.products[i * self.n + j]
    }

    /// The length of one of them.
    pub fn norm(&self, i: usize) -> f64 {
        self.get(i, i).sqrt()
    }

    /// The product of two sums of the vectors, given by their coefficients.
    pub fn between(&self, a: &[f64], b: &[f64]) -> f64 {
        let mut sum = 0.0;
        for (i, x) in a.iter().enumerate().filter(|(_, x)| **x != 0.0) {
            for (j, y) in b.iter().enumerate() {
                sum += x * y * self.get(i, j);
            }
        }
        sum
    }

    /// The length of a sum of them.
    pub fn length(&self, a: &[f64]) -> f64 {
        self.between(a, a).max(0.0).sqrt()
    }
}

/// What is measured together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Along {
    /// The whole tensor as one vector.
    Whole,
    /// Each row.
    Rows,
    /// Each column; a tensor of one dimension is one column.
    Columns,
}

/// Writes, for the whole tensor or each row or column of it, the sum of the inputs `which` that
/// `coefficients` gives for their inner products. With a base, inputs count by their difference from
/// it, and it is added to the sum.
pub fn combine(
    group: &Group<'_>,
    sink: &dyn Sink,
    which: &[usize],
    base: Option<usize>,
    along: Along,
    coefficients: impl Fn(&Gram) -> Result<Vec<f64>> + Sync,
) -> Result<()> {
    let n = which.len();
    let mut read = which.to_vec();
    read.extend(base);
    let along = match along {
        Along::Columns if group.shape.len() < 2 => Along::Whole,
        Along::Rows if group.shape.len() < 2 => Along::Whole,
        other => other,
    };
    let cols = group.cols();
    match along {
        Along::Whole => {
            let parts = group.fold(Unit::Entries, &read, |_, values| {
                let deltas = Deltas::new(values, n);
                Ok(Gram::of(&deltas.slices(values)))
            })?;
            let mut gram = Gram::zero(n);
            parts.iter().for_each(|part| gram.add(part));
            let c: Vec<f32> = coefficients(&gram)?.iter().map(|c| *c as f32).collect();
            group.write(sink, Unit::Entries, &read, |_, values, out| {
                let deltas = Deltas::new(values, n);
                sum(&deltas.slices(values), &c, values.get(n).copied(), out);
                Ok(())
            })
        }
        Along::Rows => group.write(sink, Unit::Rows, &read, |_, values, out| {
            let deltas = Deltas::new(values, n);
            let slices = deltas.slices(values);
            for (row, out) in out.chunks_mut(cols).enumerate() {
                let at = row * cols..(row + 1) * cols;
                let rows: Vec<&[f32]> = slices.iter().map(|s| &s[at.clone()]).collect();
                let c: Vec<f32> = coefficients(&Gram::of(&rows))?.iter().map(|c| *c as f32).collect();
                sum(&rows, &c, values.get(n).map(|b| &b[at]), out);
            }
            Ok(())
        }),
        Along::Columns => {
            let grams = columns(group, &read, n, cols)?;
            let c = grams.iter().map(&coefficients).collect::<Result<Vec<_>>>()?;
            group.write(sink, Unit::Rows, &read, |_: Piece, values, out| {
                let deltas = Deltas::new(values, n);
                let slices = deltas.slices(values);
                for (i, out) in out.iter_mut().enumerate() {
                    let mixed: f32 = slices
                        .iter()
                        .zip(&c[i % cols])
                        .map(|(s, c)| s[i] * *c as f32)
                        .fold(0.0, |a, b| a + b);
                    *out = values.get(n).map_or(mixed, |base| base[i] + mixed);
                }
                Ok(())
            })
        }
    }
}

/// The inner products of each column.
fn columns(group: &Group<'_>, read: &[usize], n: usize, cols: usize) -> Result<Vec<Gram>> {
    let parts = group.fold(Unit::Rows, read, |_, values| {
        let deltas = Deltas::new(values, n);
        let slices = deltas.slices(values);
        let mut grams = vec![Gram::zero(n); cols];
        for i in 0..n {
            for j in i..n {
                for (at, (x, y)) in slices[i].iter().zip(slices[j]).enumerate() {
                    grams[at % cols].products[i * n + j] += f64::from(*x) * f64::from(*y);
                }
            }
        }
        for gram in &mut grams {
            for i in 0..n {
                for j in 0..i {
                    gram.products[i * n + j] = gram.products[j * n + i];
                }
            }
        }
        Ok(grams)
    })?;
    let mut all = vec![Gram::zero(n); cols];
    for part in &parts {
        all.iter_mut().zip(part).for_each(|(all, part)| all.add(part));
    }
    Ok(all)
}

/// The first `n` inputs less the one after them, if there is one.
struct Deltas(Option<Vec<Vec<f32>>>);

impl Deltas {
    fn new(values: &[&[f32]], n: usize) -> Self {
        let less = |base: &&[f32]| {
            values[..n].iter().map(|v| v.iter().zip(*base).map(|(v, b)| v - b).collect()).collect()
        };
        Self(values.get(n).map(less))
    }

    fn slices<'s>(&'s self, values: &[&'s [f32]]) -> Vec<&'s [f32]> {
        match &self.0 {
            Some(deltas) => deltas.iter().map(Vec::as_slice).collect(),
            None => values.to_vec(),
        }
    }
}

/// `out = base + sum of c[i] * vectors[i]`.
fn sum(vectors: &[&[f32]], c: &[f32], base: Option<&[f32]>, out: &mut [f32]) {
    for (vector, c) in vectors.iter().zip(c) {
        kernels::add_scaled(out, vector, *c);
    }
    if let Some(base) = base {
        kernels::add(out, base);
    }
}
