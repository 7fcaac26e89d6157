//! `ticket info`.

use std::fmt::Write as _;
use std::path::Path;

use lota_runtime::ticket::Ticket;

use super::run::write_out;
use crate::error::{Error, Result};

pub(super) fn info(file: &Path) -> Result<()> {
    let ticket = Ticket::load(file, None)?;
    let bytes =
        std::fs::metadata(file).map_err(|e| Error::runtime(format!("{}: {e}", file.display())))?.len();
    let (meta, entries) = (ticket.meta(), ticket.entries());
    let all = ticket.mask().universe().entries();
    let mut out = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(out, "{name:<12} {value}");
    };
    line("file", file.display().to_string());
    line("bytes", format!("{bytes} ({:.2} an entry)", bytes as f64 / entries.max(1) as f64));
    line("entries", format!("{entries} of {all} ({:.4} %)", 100.0 * entries as f64 / all.max(1) as f64));
    line("parameters", ticket.mask().selected().count().to_string());
    line("method", meta.method.clone());
    line("base", meta.base.clone());
    if let Some(seed) = meta.seed {
        line("seed", seed.to_string());
    }
    if let Some(data) = &meta.data {
        line("data", data.clone());
    }
    for (name, value) in &meta.settings {
        line(name, value.to_string());
    }
    line("made by", format!("lota {}", meta.lota));
    write_out(&out);
    Ok(())
}
