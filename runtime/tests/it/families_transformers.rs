//! Every family against Hugging Face transformers: logits, gradients and cached greedy generation, from
//! configurations as `save_pretrained` writes them. The values are made by `fixtures/make_families.py`,
//! which says what is in the files.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use lota_runtime::Result;
use lota_runtime::data::{Batch, NO_LABEL};
use lota_runtime::host::Host;
use lota_runtime::model::decoder::{Checkpoint, CrossEntropy, Grad, Want};
use lota_runtime::model::{GenerateOptions, LoadOptions, Model, load};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::Value;

use crate::common::{difference, exec, largest, values};

const FAMILIES: [&str; 16] = [
    "gemma",
    "gemma2",
    "gemma3",
    "granite",
    "llama",
    "llama_linear",
    "llama_llama3",
    "mistral",
    "olmo2",
    "phi3",
    "phi3_longrope",
    "qwen2",
    "qwen2_window",
    "qwen3",
    "smollm3",
    "smollm3_window",
];
const PRODUCTS: usize = 4;

struct Reference {
    header: HashMap<String, String>,
    tensors: HashMap<String, Tensor>,
}

impl Reference {
    fn read(name: &str) -> Self {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/families/{name}.safetensors"));
        let bytes = std::fs::read(&path).expect("the fixture is there");
        let (_, metadata) = SafeTensors::read_metadata(&bytes).expect("is safetensors");
        let header = metadata.metadata().clone().expect("has a header");
        let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu).expect("reads");
        Self { header, tensors }
    }

    fn json(&self, key: &str) -> Value {
        serde_json::from_str(&self.header[key]).expect("is JSON")
    }

    fn floats(&self, key: &str) -> Vec<f32> {
        values(&self.tensors[key])
    }

    fn ids(&self, key: &str) -> Vec<i32> {
        self.tensors[key].to_vec1::<i32>().expect("integers")
    }

    fn tokens(&self, key: &str) -> Vec<u32> {
        self.ids(key).into_iter().map(|id| id as u32).collect()
    }

    /// Both sequences with their labels.
    fn batch(&self) -> Batch {
        let (tokens, labels) = (self.tokens("sequences"), self.ids("labels"));
        let labels: Vec<i32> = labels.iter().map(|&l| if l < 0 { NO_LABEL } else { l }).collect();
        let (mut batch, mut at) = (Batch::new(), 0);
        for (example, length) in self.tokens("lengths").into_iter().enumerate() {
            let range = at..at + length as usize;
            batch.append(&tokens[range.clone()], &labels[range], example as u32);
            at += length as usize;
        }
        batch
    }

    /// A folder as transformers saved it, its weights made anew.
    fn folder(&self, config: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("model");
        std::fs::create_dir(&path).expect("creates");
        std::fs::write(path.join("config.json"), &self.header[config]).expect("writes");
        let offset = self.header["config"].contains("\"gemma");
        let names: BTreeMap<String, Vec<usize>> =
            serde_json::from_value(self.json("names")).expect("names and shapes");
        let bytes: Vec<(&String, &Vec<usize>, Vec<u8>)> = names
            .iter()
            .map(|(name, shape)| {
                (name, shape, weights(name, shape, offset).iter().flat_map(|x| x.to_le_bytes()).collect())
            })
            .collect();
        let views = bytes.iter().map(|(name, shape, bytes)| {
            (name.as_str(), TensorView::new(Dtype::F32, shape.to_vec(), bytes).expect("fits"))
        });
        safetensors::serialize_to_file(views, None, &path.join("model.safetensors")).expect("writes");
        (dir, path)
    }

    fn model(&self, config: &str) -> Model {
        let (_dir, path) = self.folder(config);
        let options = LoadOptions { exec: exec(), ..LoadOptions::default() };
        load(&path.to_string_lossy(), &options, &Host::default()).expect("loads")
    }
}

/// `count` numbers in [-0.5, 0.5), as `uniform` of the generator makes them.
fn uniform(word: &str, count: usize) -> Vec<f32> {
    let seed = word.bytes().fold(0x811C_9DC5u32, |hash, b| (hash ^ u32::from(b)).wrapping_mul(0x0100_0193));
    let number = |i: usize| {
        let mut x = seed.wrapping_add((i as u32).wrapping_mul(0x9E37_79B9));
        x = (x ^ x >> 16).wrapping_mul(0x85EB_CA6B);
        x = (x ^ x >> 13).wrapping_mul(0xC2B2_AE35);
        ((x ^ x >> 16) >> 8) as f32 / (1 << 24) as f32 - 0.5
    };
    (0..count).map(number).collect()
}

fn weights(name: &str, shape: &[usize], offset: bool) -> Vec<f32> {
    let (center, spread) = match (shape, name) {
        ([_], _) if name.ends_with("bias") || offset => (0.0, 0.75),
        ([_], _) => (1.0, 0.75),
        (_, "model.embed_tokens.weight") => (0.0, 0.5),
        (_, "lm_head.weight") => (0.0, 1.75),
        _ => (0.0, (2.5 / (shape[1] as f64).sqrt()) as f32),
    };
    uniform(name, shape.iter().product()).into_iter().map(|u| center + u * spread).collect()
}

#[test]
fn logits_are_those_of_transformers() {
    for name in FAMILIES {
        let reference = Reference::read(name);
        for spelling in ["config", "older"] {
            let model = reference.model(spelling);
            let ours = model
                .decoder
                .logits(&model.exec, &Host::default(), &model.params, &reference.batch())
                .expect("runs");
            let worst = difference(&ours, &reference.tensors["logits"]);
            assert!(worst <= 1e-4, "{name} ({spelling}): logits differ by {worst}");
        }
    }
}

#[test]
fn gradients_are_those_of_transformers() {
    for name in FAMILIES {
        let reference = Reference::read(name);
        let model = reference.model("config");
        let universe = model.decoder.universe().clone();
        let mut found = HashMap::new();
        let mut sink = |param: usize, grad: Grad| -> Result<()> {
            found.insert(universe.spec(param).name.clone(), grad.into_tensor());
            Ok(())
        };
        let (mut loss, wants) = (CrossEntropy::default(), vec![Want::Dense; universe.len()]);
        let out = model
            .decoder
            .backward(
                &model.exec,
                &Host::default(),
                &model.params,
                &reference.batch(),
                &mut loss,
                &wants,
                Checkpoint::None,
                &mut sink,
            )
            .expect("a backward pass");
        let expected: f64 = reference.header["loss"].parse().expect("a number");
        assert!((out.loss - expected).abs() < 1e-5, "{name}: loss {} is not {expected}", out.loss);
        let known = reference.tensors.keys().filter(|key| key.starts_with("grad.")).count();
        assert_eq!(found.len(), known, "{name}: not the parameters that transformers has");
        for (parameter, grad) in &found {
            let digest = reference.floats(&format!("grad.{parameter}"));
            let ours = values(grad);
            let norm = digest[0];
            assert!(norm > 1e-4, "{name}: {parameter} has next to no gradient to compare");
            let square: f64 = ours.iter().map(|&g| f64::from(g).powi(2)).sum();
            let allowed = 1e-3 * norm;
            assert!((square.sqrt() as f32 - norm).abs() <= allowed, "{name}: norm of {parameter}");
            // An error of the length e changes a product by about 0.29 e.
            for (j, wanted) in digest[1..=PRODUCTS].iter().enumerate() {
                let direction = uniform(&format!("{parameter}/{j}"), ours.len());
                let product: f64 =
                    direction.iter().zip(&ours).map(|(u, g)| f64::from(*u) * f64::from(*g)).sum();
                let off = (product as f32 - wanted).abs();
                assert!(
                    off <= 0.29 * allowed,
                    "{name}: product {j} of {parameter} is off by {off} of {norm}"
                );
            }
            let samples = &digest[1 + PRODUCTS..];
            let peak = largest(grad);
            for (i, wanted) in samples.iter().enumerate() {
                let ours = ours[i * (ours.len() - 1) / (samples.len() - 1)];
                assert!((ours - wanted).abs() <= 1e-3 * peak, "{name}: {parameter}: {ours} is not {wanted}");
            }
        }
    }
}

#[test]
fn greedy_tokens_are_those_of_transformers() {
    for name in FAMILIES {
        let reference = Reference::read(name);
        let model = reference.model("config");
        let wanted = reference.tokens("greedy");
        let mut options =
            GenerateOptions { max_tokens: wanted.len(), eos: Some(Vec::new()), ..Default::default() };
        options.sampling.temperature = 0.0;
        let made = model.generate(&[reference.tokens("prompt")], &options, &Host::default(), None);
        assert_eq!(made.expect("generates")[0].tokens, wanted, "{name}");
    }
}
