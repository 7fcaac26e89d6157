//! Decompositions of matrices, and systems of linear equations.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use lota_runtime::linalg;
use lota_script::{Args, Ctx, Primitive, Registry, Result};

use super::operand::{float, reserve, shape_text};
use crate::error::Told as _;
use crate::primitives::tensor::ScriptTensor;

/// The size of a decomposition, rows * columns * the smaller of the two, that takes some tens of milliseconds.
const DECOMPOSED: usize = 1 << 24;

/// The numbers of a matrix row by row, its shape, and the tensor whose type and device the results get.
fn matrix(ctx: &Ctx, args: &mut Args) -> Result<(Vec<f64>, usize, usize, Tensor)> {
    let x = args.this::<ScriptTensor>()?.get();
    let (data, rows, cols) = numbers(ctx, args, "self", &x)?;
    Ok((data, rows, cols, float(&x).told()?))
}

/// The numbers of the argument `name`, a matrix, row by row, and its shape.
fn numbers(ctx: &Ctx, args: &Args, name: &str, x: &Tensor) -> Result<(Vec<f64>, usize, usize)> {
    let &[rows, cols] = x.dims() else {
        return Err(args.wrong(name, format!("must be a matrix, and has shape {}", shape_text(x.dims()))));
    };
    if rows == 0 || cols == 0 {
        return Err(
            args.wrong(name, format!("must have rows and columns, and has shape {}", shape_text(x.dims())))
        );
    }
    if x.track_op() {
        return Err(
            args.wrong(name, "depends on variables, and no gradient goes through this: detach() it first")
        );
    }
    // The numbers, their copy inside, and factors no larger than twice the matrix.
    reserve(ctx, x.dims(), 4 * DType::F64.size_in_bytes())?;
    ctx.host.cancel.check()?;
    let work = rows.saturating_mul(cols).saturating_mul(rows.min(cols));
    if work > DECOMPOSED && ctx.meter.limits().time.is_some() {
        let what = format!(
            "has shape {}: a decomposition looks at no clock, so one of a script whose time is limited is of at most {DECOMPOSED} \
             = rows * columns * the smaller of the two",
            shape_text(x.dims())
        );
        return Err(args.wrong(name, what));
    }
    let data = x
        .to_device(&Device::Cpu)
        .told()?
        .to_dtype(DType::F64)
        .told()?
        .flatten_all()
        .told()?
        .to_vec1()
        .told()?;
    Ok((data, rows, cols))
}

fn like(data: Vec<f64>, shape: &[usize], x: &Tensor) -> Result<Tensor> {
    let tensor = Tensor::from_vec(data, shape, &Device::Cpu).told()?;
    tensor.to_dtype(x.dtype()).told()?.to_device(x.device()).told()
}

const NO_GRADIENT: &str = "Computed in f64. No gradient goes through it, and a tensor that depends on variables is an error: \
                           detach() says that a constant is meant.";

pub(super) fn register(r: &mut Registry) {
    r.add(
        Primitive::method("Tensor", "svd", "The singular value decomposition of a matrix: u, s and vt.")
            .details(format!(
                "PyTorch's torch.linalg.svd(x, full_matrices=False): x = u * diag(s) * vt, with k the smaller side of the \
                 matrix. A pair of singular vectors may have either sign. {NO_GRADIENT}"
            ))
            .returns("list of Tensor", "u {rows, k}, s {k} with the largest first, vt {k, columns}")
            .example(
                "local x = lota.tensor({{3, 0}, {0, -4}, {0, 0}})\nlocal f = x:svd()\n\
                 assert(math.abs(f[2]:totable()[1] - 4) < 1e-6)\n\
                 assert(((f[1] * f[2]):matmul(f[3]) - x):abs():max():item() < 1e-6)",
            )
            .call(|ctx, args| {
                let (data, rows, cols, x) = matrix(ctx, args)?;
                let k = rows.min(cols);
                let found = linalg::svd(&data, rows, cols)?;
                Ok(vec![like(found.u, &[rows, k], &x)?, like(found.s, &[k], &x)?, like(found.vt, &[k, cols], &x)?])
            }),
    );
    r.add(
        Primitive::method("Tensor", "qr", "A matrix as an orthogonal one times a triangular one: q and r.")
            .details(format!(
                "PyTorch's torch.linalg.qr(x): x = q * r, with k the smaller side of the matrix. The diagonal of r holds no \
                 negative number, so that a matrix of full rank has one decomposition; PyTorch's signs may differ. \
                 {NO_GRADIENT}"
            ))
            .returns("list of Tensor", "q {rows, k} with orthonormal columns, r {k, columns} with zeros below its diagonal")
            .example(
                "local x = lota.tensor({{3, 1}, {4, 2}})\nlocal f = x:qr()\n\
                 assert(math.abs(f[2]:totable()[1][1] - 5) < 1e-6)\nassert((f[1]:matmul(f[2]) - x):abs():max():item() < 1e-6)",
            )
            .call(|ctx, args| {
                let (data, rows, cols, x) = matrix(ctx, args)?;
                let k = rows.min(cols);
                let found = linalg::qr(&data, rows, cols)?;
                Ok(vec![like(found.q, &[rows, k], &x)?, like(found.r, &[k, cols], &x)?])
            }),
    );
    r.add(
        Primitive::method("Tensor", "solve", "The solution x of the linear equations a * x = b, for a square matrix a.")
            .details(format!(
                "PyTorch's torch.linalg.solve(a, b), by an LU decomposition. A matrix that is singular as far as f64 can tell is \
                 an error. {NO_GRADIENT}"
            ))
            .arg("b", "Tensor", "the right sides: {rows} for one, {rows, n} for n of them")
            .returns("Tensor", "the solutions, in the shape of b")
            .example(
                "local a, b = lota.tensor({{2, 1}, {1, 3}}), lota.tensor({3, 5})\n\
                 assert((a:matmul(a:solve(b):unsqueeze(2)) - b:unsqueeze(2)):abs():max():item() < 1e-6)",
            )
            .call(solve),
    );
}

fn solve(ctx: &Ctx, args: &mut Args) -> Result<Tensor> {
    let (a, rows, cols, like_this) = matrix(ctx, args)?;
    if rows != cols {
        return Err(args.wrong("self", format!("must be square, and has shape {{{rows}, {cols}}}")));
    }
    let given = args.get::<Arc<ScriptTensor>>("b")?.get();
    let column = given.rank() == 1;
    let b = if column { given.unsqueeze(1).told()? } else { given.clone() };
    let (b, height, width) = numbers(ctx, args, "b", &b)?;
    if height != rows {
        let what = format!(
            "must have {rows} rows, as many as the matrix, and has shape {}",
            shape_text(given.dims())
        );
        return Err(args.wrong("b", what));
    }
    like(linalg::solve(&a, rows, &b, width)?, given.dims(), &like_this)
}
