//! What tickets take in every form, against the entropy of their positions, and how fast they are
//! written and read, on masks in the shapes of SmolLM2-135M: by chance, with rows and columns of
//! their own density, and the mask of a training, if its file is given.
//!
//! Run with `cargo bench -p lota-runtime --bench ticket [-- BITS]`, where BITS is a safetensors file
//! with the bits of each parameter's mask, the lowest first, under its name. An entry counts as
//! eight bytes, as it is in memory: a position of four and a value of four. Reading is all of it:
//! file, checksum, positions, sets, values.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use lota_runtime::host::Rng;
use lota_runtime::mask::Mask;
use lota_runtime::model::{ParamSpec, Role, Universe};
use lota_runtime::ticket::{Codec, Form, Meta, Ticket, ValueType, entropy_bound};
use lota_runtime::{Error, Result};
use rayon::prelude::*;
use roaring::RoaringBitmap;

fn universe() -> Result<Arc<Universe>> {
    let mut specs = Vec::new();
    for layer in 0..30 {
        for (part, shape, role) in [
            ("self_attn.q_proj", [576, 576], Role::Attention),
            ("self_attn.k_proj", [192, 576], Role::Attention),
            ("self_attn.v_proj", [192, 576], Role::Attention),
            ("self_attn.o_proj", [576, 576], Role::Attention),
            ("mlp.gate_proj", [1536, 576], Role::Mlp),
            ("mlp.up_proj", [1536, 576], Role::Mlp),
            ("mlp.down_proj", [576, 1536], Role::Mlp),
        ] {
            let name = format!("model.layers.{layer}.{part}.weight");
            specs.push(ParamSpec { name, shape: shape.to_vec(), role, layer: Some(layer) });
        }
    }
    Universe::new(specs)
}

/// A mask by chance. With `spread`, rows and columns have densities of their own: a log-normal
/// factor of this deviation each.
fn by_chance(universe: &Arc<Universe>, density: f64, spread: f64) -> Result<Mask> {
    let rng = Rng::new(1);
    let sets = universe.specs().par_iter().map(|spec| {
        let mut rng = rng.fork(&spec.name);
        let (rows, cols) = spec.rows_cols();
        let mut factors = |n: usize| {
            (0..n).map(|_| (spread * rng.normal() - spread * spread / 2.0).exp()).collect::<Vec<_>>()
        };
        let (of_row, of_col) = (factors(rows), factors(cols));
        let mut taken = Vec::new();
        for (r, row) in of_row.iter().enumerate() {
            for (c, col) in of_col.iter().enumerate() {
                if rng.uniform() < density * row * col {
                    taken.push((r * cols + c) as u32);
                }
            }
        }
        taken.into_iter().collect::<RoaringBitmap>()
    });
    Mask::new(universe.clone(), sets.collect())
}

/// The mask whose bits a file holds.
fn of_file(universe: &Arc<Universe>, path: &Path) -> Result<Mask> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
    let file =
        safetensors::SafeTensors::deserialize(&bytes).map_err(|e| Error::format(path, e.to_string()))?;
    let mut sets = Vec::new();
    for spec in universe.specs() {
        let bits = file.tensor(&spec.name).map_err(|e| Error::format(path, e.to_string()))?;
        sets.push(RoaringBitmap::from_lsb0_bytes(0, bits.data()));
    }
    Mask::new(universe.clone(), sets)
}

/// The least time of a few runs, in seconds.
fn least<T>(mut work: impl FnMut() -> Result<T>) -> Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let start = Instant::now();
        let done = work()?;
        best = best.min(start.elapsed().as_secs_f64());
        drop(done);
    }
    Ok(best)
}

fn measure(name: &str, mask: Mask, folder: &Path) -> Result<()> {
    let (entries, bound) = (mask.count(), entropy_bound(&mask));
    println!(
        "{name}: {entries} entries, density {:.4} %, entropy bound {bound:.0} bytes ({:.3} an entry)",
        100.0 * mask.density(),
        bound / entries as f64
    );
    let rng = Rng::new(2);
    let values = mask
        .sets()
        .par_iter()
        .enumerate()
        .map(|(i, set)| {
            let mut rng = rng.fork(&i.to_string());
            (0..set.len()).map(|_| 0.02 * rng.normal() as f32).collect()
        })
        .collect();
    let ticket = Ticket::new(mask, values, Meta::new("base", "bench"))?;
    let path = folder.join("ticket.safetensors");
    println!("  codec    values   bytes/entry  positions  over bound     error   write MB/s    read MB/s");
    for codec in Codec::ALL {
        for values in ValueType::ALL {
            let form = Form { codec, values, base: None };
            let saved = ticket.save(&path, form)?;
            let write = least(|| ticket.save(&path, form))?;
            let read = least(|| Ticket::load(&path, None))?;
            let megabytes = 8.0 * entries as f64 / 1e6;
            println!(
                "  {:<8} {:<8} {:>11.3} {:>10} {:>10.2} % {:>7.3} % {:>12.0} {:>12.0}",
                codec.as_str(),
                values.as_str(),
                saved.per_entry(),
                saved.index_bytes,
                100.0 * (saved.index_bytes as f64 / bound - 1.0),
                100.0 * saved.relative_error,
                megabytes / write,
                megabytes / read
            );
        }
    }
    Ok(())
}

fn main() -> Result<()> {
    // `cargo test --benches` runs this too, where only its compiling matters.
    if !std::env::args().any(|arg| arg == "--bench") {
        return Ok(());
    }
    let universe = universe()?;
    let dir = tempfile::tempdir().map_err(|e| Error::argument(e.to_string()))?;
    for density in [0.1, 0.01, 0.001] {
        measure("by chance", by_chance(&universe, density, 0.0)?, dir.path())?;
        measure("by chance, rows and columns apart", by_chance(&universe, density, 0.7)?, dir.path())?;
    }
    let files = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).map(PathBuf::from);
    for file in files {
        let name = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        measure(&name, of_file(&universe, &file)?, dir.path())?;
    }
    Ok(())
}
