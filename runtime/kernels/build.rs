//! Says which of the processor's units the tests can use, so that tests of the others are reported as ignored.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-check-cfg=cfg(cpu_avx512, cpu_avx512bf16, cpu_amx)");
    // Tests of another system do not run here.
    if std::env::var("HOST") == std::env::var("TARGET") {
        found().into_iter().for_each(|unit| println!("cargo:rustc-cfg={unit}"));
    }
}

#[cfg(target_arch = "x86_64")]
fn found() -> Vec<&'static str> {
    let mut found = Vec::new();
    let avx512 = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl");
    if avx512 {
        found.push("cpu_avx512");
    }
    if avx512 && is_x86_feature_detected!("avx512bf16") {
        found.push("cpu_avx512bf16");
        // Linux lists the tile unit only if programs may use it.
        let listed = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        if listed.split_whitespace().any(|flag| flag == "amx_bf16") {
            found.push("cpu_amx");
        }
    }
    found
}

#[cfg(not(target_arch = "x86_64"))]
fn found() -> Vec<&'static str> {
    Vec::new()
}
