//! Masked entries out of a parameter, and back into it in place.

use candle_core::{DType, Tensor};
use half::bf16;
use rayon::prelude::*;

use super::sampled::pieces;
use super::slice::{Weight, WeightMut, read, tensor, write};
use super::{Exec, SparseIndex, check};
use crate::{Error, Result};

/// The masked entries of `w` (f32 or bf16, any shape `index` was made for) as f32 `[nnz]`.
pub fn gather(exec: &Exec, w: &Tensor, index: &SparseIndex) -> Result<Tensor> {
    index.check("gather", w.dims())?;
    if exec.fast(w) {
        let w = read(w)?;
        let w = w.lock();
        let w = w.weight()?;
        let mut values = vec![0.0; index.nnz()];
        pieces(exec, index, &mut values, |first, last, values| {
            let at = positions(index, first, last);
            match w {
                Weight::F32(w) => values.iter_mut().zip(at).for_each(|(value, at)| *value = w[at]),
                Weight::BF16(w) => values.iter_mut().zip(at).for_each(|(value, at)| *value = w[at].to_f32()),
            }
        });
        return tensor(values, &[index.nnz()]);
    }
    let flat = w.flatten_all()?.index_select(&index.flat(w.device())?, 0)?;
    Ok(flat.to_dtype(DType::F32)?)
}

/// Overwrites the masked entries of `w` with `values` (f32 `[nnz]`), rounded to the dtype of `w`.
/// All tensors that share the memory of `w` see the change.
pub fn scatter_in_place(exec: &Exec, w: &Tensor, index: &SparseIndex, values: &Tensor) -> Result<()> {
    index.check("scatter", w.dims())?;
    check::shape("scatter", "the values", values, &[index.nnz()])?;
    if !w.is_contiguous() {
        return Err(Error::argument("scatter: a parameter that is changed in place must be contiguous"));
    }
    if index.nnz() == 0 {
        return Ok(());
    }
    if exec.fast(w) {
        let values = read(values)?;
        let values = values.lock();
        let values = values.f32()?;
        return write(w, |w| match w {
            WeightMut::F32(w) => overwrite(exec, w, index, values, |value| value),
            WeightMut::BF16(w) => overwrite(exec, w, index, values, bf16::from_f32),
        });
    }
    let target = w.flatten_all()?;
    target.scatter_set(&index.flat(w.device())?, &values.to_dtype(w.dtype())?, 0)?;
    Ok(())
}

/// Flat positions of the entries of rows `first..last`.
fn positions(index: &SparseIndex, first: usize, last: usize) -> impl Iterator<Item = usize> + '_ {
    (first..last).flat_map(move |row| index.row(row).map(move |k| row * index.cols() + index.col(k)))
}

fn overwrite<T: Send>(
    exec: &Exec,
    w: &mut [T],
    index: &SparseIndex,
    values: &[f32],
    round: impl Fn(f32) -> T + Sync + Send,
) {
    // Rows that hold about a million values together.
    let block = ((1 << 20) / index.cols().max(1)).max(1);
    let work = |(i, part): (usize, &mut [T])| {
        let (first, last) = (i * block, ((i + 1) * block).min(index.rows()));
        let start = first * index.cols();
        let values = &values[index.row_ptr()[first] as usize..index.row_ptr()[last] as usize];
        for (at, value) in positions(index, first, last).zip(values) {
            part[at - start] = round(*value);
        }
    };
    let size = (block * index.cols()).max(1);
    if exec.threads() == 1 {
        w.chunks_mut(size).enumerate().for_each(work);
    } else {
        exec.run(|| w.par_chunks_mut(size).enumerate().for_each(work));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{fast, plain, random, random_bf16, values};

    #[test]
    fn only_masked_entries_change() -> Result<()> {
        for (rows, cols) in [(5, 9), (70, 131), (1, 40)] {
            let kept: Vec<u32> = (0..(rows * cols) as u32).filter(|i| i % 7 == 3 || i % 11 == 0).collect();
            let index = SparseIndex::from_sorted(rows, cols, kept.iter().copied())?;
            let new = random(9, &[index.nnz()]);
            for make in [random, random_bf16] {
                for exec in [fast(), plain()] {
                    let w = make(1, &[rows, cols]);
                    let before = values(&w);
                    scatter_in_place(&exec, &w, &index, &new)?;
                    let rounded = values(&new.to_dtype(w.dtype())?);
                    let mut expected = before;
                    for (at, value) in kept.iter().zip(&rounded) {
                        expected[*at as usize] = *value;
                    }
                    assert_eq!(values(&w), expected);
                    assert_eq!(values(&gather(&exec, &w, &index)?), rounded);
                }
            }
        }
        Ok(())
    }

    #[test]
    fn vectors_have_one_row_and_other_shapes_are_refused() -> Result<()> {
        let index = SparseIndex::from_sorted(1, 6, [1, 4])?;
        let w = random(1, &[6]);
        scatter_in_place(&fast(), &w, &index, &Tensor::new(&[5f32, 6.0], w.device())?)?;
        assert_eq!((values(&w)[1], values(&w)[4]), (5.0, 6.0));
        assert!(gather(&fast(), &random(1, &[7]), &index).is_err());
        assert!(scatter_in_place(&fast(), &w, &index, &random(1, &[3])).is_err());
        Ok(())
    }
}
