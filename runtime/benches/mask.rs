//! Time and peak memory of making, combining, saving, loading and indexing masks, for the shapes of
//! SmolLM2-135M (106 M adaptable entries) and of Llama-2-7B (6.5 G), and of putting a ticket on
//! SmolLM2 and taking it off.
//!
//! Run with `cargo bench --workspace --bench mask -- [smollm2|7b|ticket]`. "extra" is the highest resident memory
//! during a step above that at its start (Linux only).

use std::sync::Arc;
use std::time::Instant;

use candle_core::{Device, Tensor};
use lota_runtime::Result;
use lota_runtime::host::{Host, Rng};
use lota_runtime::mask::{self, Budget, Mask, Scope};
use lota_runtime::model::{ParamSpec, Params, Role, Universe};
use lota_runtime::ops::Exec;
use lota_runtime::ticket::{Meta, Stack, Ticket, ValueType};
use lota_runtime::vectors::{Generated, Values};

/// Sizes of a Llama-like model.
struct Shape {
    layers: usize,
    hidden: usize,
    kv: usize,
    inner: usize,
    vocab: usize,
}

const SMOLLM2: Shape = Shape { layers: 30, hidden: 576, kv: 192, inner: 1536, vocab: 49152 };
const LLAMA2_7B: Shape = Shape { layers: 32, hidden: 4096, kv: 4096, inner: 11008, vocab: 32000 };

fn universe(shape: &Shape) -> Result<Arc<Universe>> {
    let spec =
        |name: String, dims: &[usize], role, layer| ParamSpec { name, shape: dims.to_vec(), role, layer };
    let mut specs =
        vec![spec("model.embed_tokens.weight".into(), &[shape.vocab, shape.hidden], Role::Embed, None)];
    for layer in 0..shape.layers {
        let mut add = |part: &str, dims: &[usize], role| {
            specs.push(spec(format!("model.layers.{layer}.{part}.weight"), dims, role, Some(layer)));
        };
        let (h, kv, inner) = (shape.hidden, shape.kv, shape.inner);
        add("self_attn.q_proj", &[h, h], Role::Attention);
        add("self_attn.k_proj", &[kv, h], Role::Attention);
        add("self_attn.v_proj", &[kv, h], Role::Attention);
        add("self_attn.o_proj", &[h, h], Role::Attention);
        add("mlp.gate_proj", &[inner, h], Role::Mlp);
        add("mlp.up_proj", &[inner, h], Role::Mlp);
        add("mlp.down_proj", &[h, inner], Role::Mlp);
        add("input_layernorm", &[h], Role::Norm);
        add("post_attention_layernorm", &[h], Role::Norm);
    }
    specs.push(spec("model.norm.weight".into(), &[shape.hidden], Role::Norm, None));
    Universe::new(specs)
}

/// A field of this process's memory statistics, in MiB.
fn memory(field: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib = line.and_then(|l| l.trim_start_matches(':').split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) / 1024.0
}

/// Runs one step and prints what it took.
fn step<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    // 5 resets the high-water mark of resident memory.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let before = memory("VmRSS");
    let start = Instant::now();
    let result = work()?;
    let seconds = start.elapsed().as_secs_f64();
    let peak = memory("VmHWM");
    println!("  {name:<52} {seconds:>8.3} s   extra {:>7.0} MiB   peak {peak:>7.0} MiB", peak - before);
    Ok(result)
}

/// A well-mixed number in [0, 1) for each entry, one of 2^24, so that ties are common.
fn hashed(param: usize, start: usize, out: &mut [f32]) {
    let key = (param as u32).wrapping_mul(0x9e37_79b9);
    for (i, out) in out.iter_mut().enumerate() {
        let mut x = ((start + i) as u32) ^ key;
        x = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d);
        x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b);
        *out = ((x ^ (x >> 16)) >> 8) as f32 * (1.0 / (1 << 24) as f32);
    }
}

fn combine_and_save(first: &Mask, second: &Mask) -> Result<()> {
    step("union", || mask::union(&[first, second]))?;
    step("intersection", || mask::intersection(&[first, second]))?;
    step("difference", || mask::difference(&[first, second]))?;
    step("symmetric difference", || mask::symmetric_difference(&[first, second]))?;
    step("jaccard and disjoint", || Ok((first.jaccard(second)?, first.is_disjoint(second)?)))?;
    step("capacity of both", || mask::capacity(&[first, second], None))?;
    let adaptable = Mask::matching(first.universe().clone(), &["adaptable"])?;
    step("complement within the adaptable entries", || mask::complement(first, Some(&adaptable)))?;
    let dir = tempfile::tempdir().map_err(|e| lota_runtime::Error::argument(e.to_string()))?;
    let path = dir.path().join("mask.safetensors");
    let bytes = step("save", || first.save(&path))?;
    let loaded = step("load", || Mask::load(&path, Some(first.universe())))?;
    assert!(&loaded == first);
    step("index of every parameter in compressed rows", || {
        (0..first.universe().len()).map(|p| first.index(p)).collect::<Result<Vec<_>>>()
    })?;
    println!(
        "  {} entries in {:.1} MB: {:.2} bytes an entry, {:.3} of an array of bits",
        first.count(),
        bytes as f64 / 1e6,
        bytes as f64 / first.count() as f64,
        bytes as f64 * 8.0 / adaptable.count() as f64
    );
    Ok(())
}

fn smollm2(host: &Host) -> Result<()> {
    let universe = universe(&SMOLLM2)?;
    println!("SmolLM2-135M: {} entries", universe.entries());
    let mut rng = Rng::new(1);
    let scores = Values::from_fn(universe.clone(), |p, spec| {
        if !spec.adaptable() {
            return Ok(None);
        }
        // Products of uniform numbers: a spread of magnitudes, as task vectors have.
        let mut values = vec![0.0; spec.entries() as usize];
        hashed(p, 0, &mut values);
        let scale = 1e-4 * (1.0 + rng.uniform() as f32);
        values.iter_mut().for_each(|v| *v = scale * *v * *v);
        Ok(Some(Tensor::from_vec(values, spec.shape.clone(), &Device::Cpu)?))
    })?;
    let top = |d, scope, avoid: Option<&Mask>| {
        mask::top(&scores, Budget::Density(d), scope, None, avoid, true, host)
    };
    let first = step("largest 1 %, global", || top(0.01, Scope::Global, None))?;
    let tenth = step("largest 10 %, global", || top(0.1, Scope::Global, None))?;
    step("largest 10 %, global, avoiding another 10 %", || top(0.1, Scope::Global, Some(&tenth)))?;
    step("largest 1 %, per parameter", || top(0.01, Scope::PerParameter, None))?;
    step("largest 1 %, per row", || top(0.01, Scope::PerRow, None))?;
    step("smallest 1 %, global", || {
        mask::top(&scores, Budget::Density(0.01), Scope::Global, None, None, false, host)
    })?;
    let narrow = scores.map(|_, t| Ok(t.to_dtype(candle_core::DType::BF16)?))?;
    step("largest 1 %, global, of scores in bf16", || {
        mask::top(&narrow, Budget::Density(0.01), Scope::Global, None, None, true, host)
    })?;
    drop(narrow);
    step("2:4", || mask::nm(&scores, 2, 4, None, None, host))?;
    step("threshold", || mask::threshold(&scores, 1e-4, None, None, host))?;
    let adaptable = Mask::matching(universe.clone(), &["adaptable"])?;
    let second = step("random 1 %, global", || {
        mask::random(&adaptable, None, Budget::Density(0.01), Scope::Global, &mut Rng::new(2), host)
    })?;
    combine_and_save(&first, &second)
}

fn llama2_7b(host: &Host) -> Result<()> {
    let universe = universe(&LLAMA2_7B)?;
    println!("Llama-2-7B: {} entries", universe.entries());
    let adaptable = Mask::matching(universe.clone(), &["adaptable"])?;
    let params = mask::matching_params(&universe, &["adaptable"])?;
    let random = |avoid: Option<&Mask>, seed| {
        mask::random(&adaptable, avoid, Budget::Density(0.01), Scope::Global, &mut Rng::new(seed), host)
    };
    let first = step("random 1 %, global", || random(None, 1))?;
    let second = step("random 1 %, global, avoiding another", || random(Some(&first), 2))?;
    combine_and_save(&first, &second)?;
    drop((first, second));
    let scores = Generated::new(universe.clone(), &params, hashed);
    step("largest 1 % of generated scores, global", || {
        mask::top(&scores, Budget::Density(0.01), Scope::Global, None, None, true, host)
    })?;
    Ok(())
}

/// A ticket of 1 % on weights in the shapes of SmolLM2.
fn ticket(dtype: candle_core::DType, host: &Host) -> Result<()> {
    let universe = universe(&SMOLLM2)?;
    println!("A ticket of 1 % on SmolLM2-135M in {}", dtype.as_str());
    let tensor = |spec: &ParamSpec| -> Result<Tensor> {
        let mut values = vec![0.0; spec.entries() as usize];
        hashed(spec.shape[0], 0, &mut values);
        let dtype = Params::dtype_of(spec.role, dtype);
        Ok(Tensor::from_vec(values, spec.shape.clone(), &Device::Cpu)?.to_dtype(dtype)?)
    };
    let tensors = universe.specs().iter().map(tensor).collect::<Result<_>>()?;
    let params = Params::new(universe.clone(), tensors)?;
    let exec = Exec::cpu();
    let adaptable = Mask::matching(universe, &["adaptable"])?;
    let mask = mask::random(&adaptable, None, Budget::Density(0.01), Scope::Global, &mut Rng::new(2), host)?;
    let base = step("fingerprint of the base", || params.fingerprint(&exec))?;
    let values = mask.sets().iter().map(|set| set.iter().map(|i| i as f32).collect()).collect();
    let ticket = Ticket::new(mask, values, Meta::new(base.clone(), "bench"))?;
    let mut stack = Stack::new();
    stack.base(&exec, &params)?;
    for _ in 0..3 {
        let on = step("apply", || stack.apply(&exec, &params, &ticket, "t", false))?;
        step("un-apply", || stack.unapply(&exec, &params, on))?;
    }
    assert_eq!(params.fingerprint(&exec)?, base);
    step("extract", || Ticket::extract(&exec, &params, ticket.mask(), Meta::default()))?;
    let dir = tempfile::tempdir().map_err(|e| lota_runtime::Error::argument(e.to_string()))?;
    let path = dir.path().join("ticket.safetensors");
    for kind in [ValueType::F32, ValueType::Bf16] {
        let saved = step("save", || ticket.save(&path, kind))?;
        step("load", || Ticket::load(&path, Some(params.universe())))?;
        println!(
            "  {} entries in {:.2} MB: {:.2} bytes an entry, {:.2} of them the index",
            saved.entries,
            saved.bytes as f64 / 1e6,
            saved.per_entry(),
            saved.index_bytes as f64 / saved.entries as f64
        );
    }
    Ok(())
}

fn main() -> Result<()> {
    // `cargo test --benches` runs this too, where only its compiling matters.
    if !std::env::args().any(|arg| arg == "--bench") {
        return Ok(());
    }
    let host = Host::default();
    let named: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wanted = |name: &str| named.is_empty() || named.iter().any(|n| n == name);
    if wanted("smollm2") {
        smollm2(&host)?;
    }
    if wanted("7b") {
        llama2_7b(&host)?;
    }
    if wanted("ticket") {
        ticket(candle_core::DType::F32, &host)?;
        ticket(candle_core::DType::BF16, &host)?;
    }
    Ok(())
}
