//! `health`: what this machine offers, and whether the fast path agrees with the reference.

use std::fmt::Write as _;
use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use lota::Told as _;
use lota::api::{open_device, standard};
use lota::runtime::host::Rng;
use lota::runtime::ops::{Exec, linear};
use lota::stdlib;
use lota::{Error, Result};

use super::common::Common;
use super::output::write_out;

/// Instruction sets the kernels choose from.
fn cpu_features() -> Vec<&'static str> {
    #[cfg(target_arch = "x86_64")]
    {
        let known = [
            ("avx2", is_x86_feature_detected!("avx2")),
            ("fma", is_x86_feature_detected!("fma")),
            ("avx512f", is_x86_feature_detected!("avx512f")),
            ("avx512bf16", is_x86_feature_detected!("avx512bf16")),
            ("amx-bf16", flag("amx_bf16")),
        ];
        known.into_iter().filter(|(_, there)| *there).map(|(name, _)| name).collect()
    }
    #[cfg(target_arch = "aarch64")]
    {
        vec!["neon"]
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    Vec::new()
}

/// A flag as Linux lists it, for what the standard library cannot ask for yet.
#[cfg(target_arch = "x86_64")]
fn flag(name: &str) -> bool {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    text.lines().find(|l| l.starts_with("flags")).is_some_and(|l| l.split_whitespace().any(|f| f == name))
}

fn memory() -> String {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = |name: &str| -> Option<f64> {
        text.lines().find_map(|l| l.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
    };
    match (kib("MemTotal:"), kib("MemAvailable:")) {
        (Some(total), Some(free)) => {
            format!("{:.1} GiB, {:.1} GiB available", total / 1_048_576.0, free / 1_048_576.0)
        }
        _ => "unknown".into(),
    }
}

/// A product by the fast path and by the reference path: the largest difference, and the speed.
fn self_check(exec: &Exec) -> Result<(f32, f64)> {
    let mut rng = Rng::new(1);
    let mut random = |rows: usize, cols: usize| -> Result<Tensor> {
        let numbers: Vec<f32> = (0..rows * cols).map(|_| rng.normal() as f32).collect();
        Tensor::from_vec(numbers, (rows, cols), &Device::Cpu).told()?.to_device(exec.device()).told()
    };
    let (x, w) = (random(256, 576)?, random(1536, 576)?);
    let slow = linear::forward(&exec.clone().with_reference(true), &x, &w, None)?;
    let fast = linear::forward(exec, &x, &w, None)?;
    let difference = (&slow - &fast)
        .told()?
        .abs()
        .told()?
        .max_all()
        .told()?
        .to_dtype(DType::F32)
        .told()?
        .to_scalar::<f32>()
        .told()?;
    let runs = 10;
    let started = Instant::now();
    for _ in 0..runs {
        linear::forward(exec, &x, &w, None)?.narrow(0, 0, 1).told()?.to_device(&Device::Cpu).told()?;
    }
    let seconds = started.elapsed().as_secs_f64() / f64::from(runs);
    Ok((difference, 2.0 * 256.0 * 576.0 * 1536.0 / seconds / 1e9))
}

/// How operations are carried out, as the command line says.
pub(super) fn exec(common: &Common) -> Result<Exec> {
    let device = open_device(&common.device)?;
    super::run::threads(common)?;
    let exec = Exec::new(device, 0)?;
    Ok(exec.with_reference(common.reference).with_compute(common.compute.parse()?))
}

/// What holds an engine in a process of its own on this machine (`lota run --sandbox`).
#[cfg(unix)]
fn isolation() -> String {
    use lota::isolation::{Isolation, Process};
    let dir = tempfile::tempdir();
    let roots = dir.iter().map(|dir| dir.path().to_path_buf());
    let engine = lota::Engine::builder(lota::Language::Lua)
        .files(lota::api::Files::roots(roots))
        .isolation(Isolation::Process(Process::new()))
        .build();
    let engine = match engine {
        Ok(engine) => engine,
        Err(error) => return format!("none: {error}"),
    };
    let in_force = engine.in_force().cloned().unwrap_or_default();
    let landlock =
        in_force.landlock.map_or_else(|| "no Landlock".into(), |version| format!("Landlock {version}"));
    let seccomp = if in_force.seccomp { "seccomp" } else { "no seccomp" };
    format!("a process with limits of memory, files and time; {landlock}; {seccomp}")
}

pub(super) fn print(common: &Common) -> Result<()> {
    let mut out = String::new();
    let features: Vec<&str> = [
        ("hub", cfg!(feature = "hub")),
        ("cuda", cfg!(feature = "cuda")),
        ("metal", cfg!(feature = "metal")),
    ]
    .into_iter()
    .filter(|(_, on)| *on)
    .map(|(name, _)| name)
    .collect();
    let exec = exec(common)?;
    let _ = writeln!(
        out,
        "lota         {} ({} primitives, {} modules)",
        lota::VERSION,
        standard().iter().count(),
        stdlib::MODULES.lua.len()
    );
    let _ = writeln!(out, "built with   {}", features.join(" "));
    let _ = writeln!(out, "processor    {} {}", std::env::consts::ARCH, cpu_features().join(" "));
    let _ = writeln!(out, "threads      {}", exec.threads());
    let _ = writeln!(out, "memory       {}", memory());
    let _ = writeln!(out, "device       {}", common.device);
    let (difference, speed) = self_check(&exec)?;
    let _ = writeln!(
        out,
        "self-check   a product differs from the reference by {difference:.1e}; {speed:.0} GFLOP/s"
    );
    #[cfg(unix)]
    let _ = writeln!(out, "isolation    {}", isolation());
    write_out(&out);
    // f32 sums of 576 products of normal numbers, in two orders.
    if difference > 1e-3 || difference.is_nan() {
        return Err(Error::runtime(
            "the fast path and the reference path disagree; run with --reference and report this",
        ));
    }
    Ok(())
}
