//! Models: folders as Hugging Face lays them out, and GGUF files.

use std::path::Path;

use candle_core::DType;
use lota_runtime::data::Batch;
use lota_runtime::model::{
    Config, Decoder, GenerateOptions, HubOptions, LoadOptions, Model, SaveOptions, WeightFiles, init, load,
};
use lota_runtime::ops::Exec;

use crate::{TINY, model, place};

fn read(path: &Path) -> Option<Model> {
    load(&path.to_string_lossy(), &LoadOptions::default(), &place::host()).ok()
}

/// Lets a model say something, whatever its weights are.
fn speak(model: &Model) {
    let short = GenerateOptions { max_tokens: 2, ..GenerateOptions::default() };
    if let Ok(tokenizer) = model.tokenizer()
        && let Ok(ids) = tokenizer.encode("w5 w3 abc é", true)
    {
        let _ = tokenizer.decode(&ids, false);
    }
    let _ = model.generate(&[vec![3, 1]], &short, &place::host(), None);
}

/// A model that was read is the same after it was written.
fn survives_writing(model: &Model) {
    let folder = place::path("written");
    let host = place::host();
    model.save(&folder, &SaveOptions { dtype: None, shard_bytes: 600 }, &host).expect("writes what it read");
    let again = read(&folder).expect("reads what it wrote");
    let print = |model: &Model| model.fingerprint().expect("has a fingerprint");
    assert_eq!(print(model), print(&again), "other weights after writing");
}

/// The weights of a folder whose `config.json` is in order.
pub fn safetensors(bytes: &[u8]) -> bool {
    place::file("model/config.json", TINY.as_bytes());
    let weights = place::file("model/model.safetensors", bytes);
    let folder = weights.parent().expect("has a folder");
    let files = WeightFiles::open(&folder.to_string_lossy(), &HubOptions::default(), &place::host());
    let Some(model) = read(folder) else { return false };
    let piecewise = files.and_then(|files| files.fingerprint(&Exec::cpu(), &place::host()));
    let whole = model.fingerprint().expect("has a fingerprint");
    assert_eq!(whole, piecewise.expect("reads piece by piece"), "read whole and in pieces");
    speak(&model);
    survives_writing(&model);
    true
}

/// The index of a folder whose shards are in order.
pub fn index(bytes: &[u8]) -> bool {
    let folder = place::path("sharded");
    if !folder.exists() {
        let shards = SaveOptions { dtype: None, shard_bytes: 600 };
        model(1).save(&folder, &shards, &place::host()).expect("writes");
    }
    place::file("sharded/model.safetensors.index.json", bytes);
    let model = read(&folder);
    model.iter().for_each(speak);
    model.is_some()
}

/// The most weights of a model that is made here after a configuration.
const MOST_WEIGHTS: u64 = 50_000;

/// A `config.json`, and a model of random weights after it if it is small.
pub fn config(bytes: &[u8]) -> bool {
    let path = place::file("config.json", bytes);
    let Ok(config) = Config::read(&path) else { return false };
    let _ = config.not_done();
    let written = config.to_json("float32");
    let again = Config::from_json(&written).expect("reads what it wrote");
    assert_eq!(again.to_json("float32"), written, "another configuration after writing");
    let Ok(decoder) = Decoder::new(&config) else { return false };
    if decoder.universe().entries() > MOST_WEIGHTS || config.layers.len() > 8 {
        return true;
    }
    let (exec, host) = (Exec::cpu(), place::host());
    if let Ok(params) = init::random(&decoder, 1, DType::F32, &exec, &host) {
        let batch = Batch::of_tokens(&[[0, 0, 0]]);
        let _ = decoder.logits(&exec, &host, &params, &batch);
    }
    true
}

/// A GGUF file.
pub fn gguf(bytes: &[u8]) -> bool {
    let path = place::file("model.gguf", bytes);
    let Some(model) = read(&path) else { return false };
    speak(&model);
    survives_writing(&model);
    true
}
