//! Tensors: shape and type, then the numbers in rows, with a gap where there are too many.

use candle_core::{DType, Device, IndexOp as _, Tensor};
use lota::api::{Object, ScriptTensor};

use super::Style;

/// Numbers shown at each end of a dimension with a gap.
const EDGE: usize = 3;
/// Above this many numbers, every longer dimension gets a gap.
const MOST: usize = 1000;
const GAP: &str = "...";

/// Shape, type and, unless it is the CPU, device.
pub(super) fn head(tensor: &Tensor) -> String {
    let shape: Vec<String> = tensor.dims().iter().map(ToString::to_string).collect();
    let device = match tensor.device() {
        Device::Cpu => "",
        Device::Cuda(_) => ", cuda",
        Device::Metal(_) => ", metal",
    };
    format!("Tensor({}, {}{device})", shape.join(" x "), tensor.dtype().as_str())
}

/// A tensor with its numbers; one without dimensions shows itself.
pub(super) fn show(object: &Object, style: &Style<'_>) -> Option<String> {
    let tensor = object.downcast_ref::<ScriptTensor>()?.get();
    (tensor.rank() > 0).then(|| match body(&tensor, style) {
        Ok(text) if text.is_empty() => head(&tensor),
        Ok(text) => format!("{}\n{text}", head(&tensor)),
        // A device that fails while it is looked at is told of, not hidden.
        Err(e) => format!("{} (its numbers cannot be read: {e})", head(&tensor)),
    })
}

fn body(tensor: &Tensor, style: &Style<'_>) -> candle_core::Result<String> {
    if tensor.elem_count() == 0 {
        return Ok(String::new());
    }
    let room = style.settings.width.saturating_sub(4) / 10;
    let last = tensor.rank() - 1;
    let shown: Vec<Vec<usize>> = tensor
        .dims()
        .iter()
        .enumerate()
        .map(|(d, len)| {
            let fits = if d < last {
                style.settings.items
            } else if last > 0 {
                room
            } else {
                MOST
            };
            places(*len, if tensor.elem_count() > MOST { 2 * EDGE } else { fits })
        })
        .collect();
    let mut small = tensor.clone();
    for (d, places) in shown.iter().enumerate().filter(|(d, places)| places.len() < tensor.dims()[*d]) {
        let places: Vec<u32> = places.iter().map(|p| *p as u32).collect();
        small = small.index_select(&Tensor::new(places, small.device())?, d)?;
    }
    let small = small.to_device(&Device::Cpu)?.to_dtype(DType::F64)?;
    let format = Format::of(&small.flatten_all()?.to_vec1::<f64>()?);
    let gap = |d: usize| (shown[d].len() < tensor.dims()[d]).then_some(EDGE);
    if last == 0 {
        return Ok(fill(&format.row(&small.to_vec1()?, gap(0)), style));
    }
    let mut out = Vec::new();
    for slice in 0..shown[..last - 1].iter().map(Vec::len).product::<usize>() {
        // The place of this matrix among the shown ones, and in the tensor.
        let (mut rest, mut matrix, mut label) = (slice, small.clone(), vec![":".to_string(); 2]);
        let mut at = Vec::new();
        for places in shown[..last - 1].iter().rev() {
            at.push(rest % places.len());
            label.insert(0, (places[rest % places.len()] as i64 + style.base).to_string());
            rest /= places.len();
        }
        for i in at.into_iter().rev() {
            matrix = matrix.i(i)?;
        }
        if last > 1 {
            out.push(format!("  ({})", label.join(", ")));
        }
        for (i, row) in matrix.to_vec2::<f64>()?.iter().enumerate() {
            if gap(last - 1) == Some(i) {
                out.push(format!("  {GAP}"));
            }
            out.push(format!("  {}", format.row(row, gap(last)).join("  ").trim_end()));
        }
    }
    Ok(out.join("\n"))
}

/// The places shown of a dimension: all, or both ends.
fn places(len: usize, most: usize) -> Vec<usize> {
    if len <= most.max(2 * EDGE) { (0..len).collect() } else { (0..EDGE).chain(len - EDGE..len).collect() }
}

/// A row too long for one line.
fn fill(cells: &[String], style: &Style<'_>) -> String {
    let mut lines: Vec<String> = vec![String::new()];
    for cell in cells {
        let line = lines.last().map_or(0, |l| l.chars().count());
        if line > 0 && line + 2 + cell.chars().count() > style.settings.width {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            *line += &format!("  {cell}");
        }
    }
    lines.join("\n")
}

/// How the numbers of one tensor are written: all alike, so that they stand under each other.
enum Format {
    Whole(usize),
    Fixed(usize),
    Scientific(usize),
}

impl Format {
    fn of(numbers: &[f64]) -> Self {
        let sizes = || numbers.iter().filter(|x| x.is_finite() && **x != 0.0).map(|x| x.abs());
        let (least, most) = (sizes().fold(f64::INFINITY, f64::min), sizes().fold(0.0, f64::max));
        let make: fn(usize) -> Self = if sizes().all(|x| x.fract() == 0.0) && most < 1e9 {
            Self::Whole
        } else if !(1e-3..1e5).contains(&most) || most / least > 1e7 {
            Self::Scientific
        } else {
            Self::Fixed
        };
        let width = numbers.iter().map(|x| make(0).cell(*x).len()).max().unwrap_or(0);
        make(width)
    }

    fn cell(&self, x: f64) -> String {
        match *self {
            _ if !x.is_finite() => format!("{x:>width$}", width = self.width()),
            Self::Whole(width) => format!("{x:>width$.0}"),
            Self::Fixed(width) => format!("{x:>width$.4}"),
            Self::Scientific(width) => format!("{:>width$}", format!("{x:.3e}")),
        }
    }

    fn width(&self) -> usize {
        match *self {
            Self::Whole(width) | Self::Fixed(width) | Self::Scientific(width) => width,
        }
    }

    fn row(&self, row: &[f64], gap: Option<usize>) -> Vec<String> {
        let mut cells: Vec<String> = row.iter().map(|x| self.cell(*x)).collect();
        if let Some(at) = gap {
            cells.insert(at, GAP.to_string());
        }
        cells
    }
}
