//! What a merge is, as hashes of all that decides what it gives.

use std::path::Path;

use serde_json::Value;

use super::FolderOptions;
use crate::Result;
use crate::merge::files::{json_text, tokenizer_files};
use crate::merge::plan::{Plan, Task};

/// The name of the configuration beside the weights.
pub(super) const CONFIG: &str = "mergekit_config.yml";

/// Hashes that differ where results might.
pub(super) struct Identity {
    /// Of what decides the tensors; `None` for a method that may change from one run to the next.
    pub tensors: Option<String>,
    /// Of the other files.
    pub files: String,
    /// The names of the other files, and what is in them.
    pub others: Vec<(String, Vec<u8>)>,
}

impl Identity {
    pub(super) fn of(plan: &Plan, options: &FolderOptions) -> Result<Self> {
        let tensors = plan.method.repeatable().then(|| tensors(plan, options)).transpose()?;
        let config = json_text(Path::new("config.json"), &Value::Object(plan.config.clone()))?;
        let mut others = vec![("config.json".to_string(), config.into_bytes())];
        others.extend(tokenizer_files(plan)?);
        if let Some(source) = &options.source {
            others.push((CONFIG.to_string(), source.clone().into_bytes()));
        }
        let mut hash = Hash::default();
        for (name, bytes) in &others {
            hash.add(name);
            hash.bytes(bytes);
        }
        Ok(Self { tensors, files: hash.text(), others })
    }
}

fn tensors(plan: &Plan, options: &FolderOptions) -> Result<String> {
    let mut hash = Hash::default();
    hash.add(&format!(
        "{} {} {} {}",
        env!("CARGO_PKG_VERSION"),
        plan.method.spec().name,
        options.seed,
        options.shard_bytes
    ));
    for input in &plan.inputs {
        hash.add(&input.identity()?);
    }
    for job in &plan.jobs {
        hash.add(&format!("{} {:?} {:?}", job.name, job.shape, job.out));
        match &job.task {
            Task::Copy { feed, dtype } => hash.add(&format!("copy {} {} {dtype}", feed.input, feed.name)),
            Task::Merge { feeds, base, params, float } => {
                hash.add(&format!("{base:?} {params:?} {float:?}"));
                for feed in feeds {
                    hash.add(&format!("{} {}", feed.input, feed.name));
                    if let Some(rows) = &feed.rows {
                        rows.hash(&mut hash.0);
                    }
                }
            }
        }
    }
    Ok(hash.text())
}

/// A hash of texts, each with its length in front, so that where one ends matters.
#[derive(Default)]
struct Hash(blake3::Hasher);

impl Hash {
    fn add(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    fn text(&self) -> String {
        self.0.finalize().to_hex().to_string()
    }
}
