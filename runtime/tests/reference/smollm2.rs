//! SmolLM2-135M-Instruct against reference values: tokenizer, logits, greedy tokens, loss and
//! gradients.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use candle_core::{DType, Device, Tensor};
use lota_runtime::data::{Batch, Padded};
use lota_runtime::host::Host;
use lota_runtime::model::decoder::{Checkpoint, CrossEntropy, Grad, Want};
use lota_runtime::model::{ChatOptions, GenerateOptions, LoadOptions, Model, load};
use serde_json::Value;

use crate::data::Need;

/// The model, loaded once, and the folder of reference values.
fn setup() -> &'static (Model, PathBuf) {
    static LOADED: OnceLock<(Model, PathBuf)> = OnceLock::new();
    LOADED.get_or_init(|| {
        let file = Need::SmolLm2.path();
        let model = load(&file.to_string_lossy(), &LoadOptions::default(), &Host::default());
        (model.expect("the model loads"), Need::Shared.path().join("oracles"))
    })
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).expect("the file is there")).expect("JSON")
}

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().expect("a list").iter().map(|v| v.as_u64().expect("an id") as u32).collect()
}

fn logits(model: &Model, tokens: &[u32]) -> Tensor {
    let batch = Batch::of_tokens(&[tokens]);
    model.decoder.logits(&model.exec, &Host::default(), &model.params, &batch).expect("runs")
}

pub fn tokenizes_every_reference_string() {
    let (model, oracles) = setup();
    let tokenizer = model.tokenizer().expect("built from the metadata");
    let reference = json(&oracles.join("tokenizer.json"));
    let strings = reference["strings"].as_array().expect("a list");
    assert_eq!(strings.len(), 65);
    for s in strings {
        let text = s["text"].as_str().expect("text");
        let expected = ids(&s["ids"]);
        assert_eq!(tokenizer.encode(text, true).expect("tokenizes"), expected, "{text:?}");
        assert_eq!(tokenizer.decode(&expected, false).expect("decodes"), s["decoded"], "{text:?}");
        let mut stream = tokenizer.stream(false);
        let mut pieces: String = expected.iter().map(|&id| stream.push(id).expect("decodes")).collect();
        pieces.push_str(&stream.finish().expect("decodes"));
        assert_eq!(pieces, s["decoded"], "{text:?} one by one");
    }
    // A tokenizer that went through tokenizer.json is the same.
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tokenizer.json");
    std::fs::write(&path, tokenizer.to_json().expect("writes")).expect("writes");
    let again = lota_runtime::model::Tokenizer::open(&path, &lota_runtime::host::Room::default())
        .expect("reads back");
    for s in strings {
        assert_eq!(again.encode(s["text"].as_str().expect("text"), true).expect("tokenizes"), ids(&s["ids"]));
    }
}

pub fn renders_the_reference_conversations() {
    let (model, oracles) = setup();
    let reference = json(&oracles.join("tokenizer.json"));
    let strings = reference["strings"].as_array().expect("a list");
    let rendered: Vec<&str> = strings.iter().filter_map(|s| s["text"].as_str()).collect();
    for messages in reference["chat_messages"].as_array().expect("a list") {
        // The reference strings hold one with the prompt of an answer, one without.
        let found = [true, false].into_iter().any(|add_generation_prompt| {
            let options = ChatOptions { add_generation_prompt, ..ChatOptions::default() };
            rendered.contains(&model.chat(messages, &options).expect("renders").as_str())
        });
        assert!(found, "{messages} is not rendered as any reference string");
    }
}

pub fn has_the_reference_logits() {
    let (model, oracles) = setup();
    let file = candle_core::safetensors::load(oracles.join("logits16_f32.safetensors"), &Device::Cpu);
    let file = file.expect("reads");
    let tokens: Vec<u32> =
        file["input_ids"].to_vec1::<i64>().expect("ids").iter().map(|&id| id as u32).collect();
    let expected = &file["logits"];
    let difference = |a: &Tensor, b: &Tensor| -> f32 {
        (a - b).and_then(|d| d.abs()?.flatten_all()?.max(0)?.to_scalar()).expect("same shape")
    };
    let worst = difference(&logits(model, &tokens), expected);
    println!("largest difference of a logit: {worst:e}");
    assert!(worst <= 2e-3, "logits differ by {worst:e}");
    let hidden = model
        .decoder
        .hidden(&model.exec, &Host::default(), &model.params, &Batch::of_tokens(&[&tokens]))
        .expect("runs");
    let worst = difference(&hidden, &file["hidden_last_normed"]);
    assert!(worst <= 2e-3, "the last hidden state differs by {worst:e}");
}

pub fn has_the_reference_largest_logits() {
    let (model, oracles) = setup();
    for prompt in json(&oracles.join("logits_generation.json"))["prompts"].as_array().expect("a list") {
        let text = prompt["prompt"].as_str().expect("text");
        let tokens = ids(&prompt["input_ids"]);
        assert_eq!(model.tokenizer().expect("has one").encode(text, true).expect("tokenizes"), tokens);
        let all = logits(model, &tokens);
        let last: Vec<f32> = all.get(tokens.len() - 1).and_then(|t| t.to_vec1()).expect("logits");
        let mut order: Vec<u32> = (0..last.len() as u32).collect();
        order.sort_by(|&a, &b| last[b as usize].total_cmp(&last[a as usize]));
        let top = ids(&prompt["last_top20_ids"]);
        assert_eq!(order[..20], top, "{text:?}");
        for (id, expected) in top.iter().zip(prompt["last_top20_logits"].as_array().expect("a list")) {
            let difference = (f64::from(last[*id as usize]) - expected.as_f64().expect("a number")).abs();
            assert!(difference <= 2e-3, "{text:?}: the logit of {id} differs by {difference:e}");
        }
    }
}

pub fn has_the_reference_loss_and_gradients() {
    let (model, oracles) = setup();
    let batches = Padded::read(&oracles.join("batches_gsm8k.safetensors")).and_then(|p| p.batches());
    let batch = &batches.expect("reads")[0];
    let reference = json(&oracles.join("grads_step0_gsm8k.json"));
    let universe = model.params.universe();
    let wants = vec![Want::Dense; universe.len()];
    let norm = |t: &Tensor| -> f64 {
        let square: f32 = t.to_dtype(DType::F32).and_then(|t| t.sqr()?.sum_all()?.to_scalar()).expect("sums");
        f64::from(square).sqrt()
    };
    let mut worst: (f64, String) = (0.0, String::new());
    let mut seen = 0;
    let mut sink = |i: usize, grad: Grad| {
        let name = &universe.spec(i).name;
        let expected = reference["grad_norm"][name].as_f64().expect("every parameter has a norm");
        let relative = (norm(grad.tensor()) / expected - 1.0).abs();
        if relative > worst.0 {
            worst = (relative, name.clone());
        }
        let first: Vec<f32> = grad.tensor().flatten_all()?.narrow(0, 0, 8)?.to_vec1()?;
        let largest = reference["grad_absmax"][name].as_f64().expect("a number");
        for (a, b) in first.iter().zip(reference["grad_first8"][name].as_array().expect("a list")) {
            let difference = (f64::from(*a) - b.as_f64().expect("a number")).abs();
            assert!(difference <= 1e-3 * largest, "{name}: {a} and {b}");
        }
        seen += 1;
        Ok(())
    };
    let out = model
        .decoder
        .backward(
            &model.exec,
            &Host::default(),
            &model.params,
            batch,
            &mut CrossEntropy::default(),
            &wants,
            Checkpoint::Block,
            &mut sink,
        )
        .expect("runs");
    println!("loss {}, worst gradient norm {:e} at {}", out.loss, worst.0, worst.1);
    assert_eq!(seen, universe.len());
    assert!((out.loss - 1.669_436_2).abs() <= 2e-4, "loss {}", out.loss);
    assert!(worst.0 <= 1e-3, "the norm of {} is off by {:e}", worst.1, worst.0);
}

pub fn generates_the_reference_tokens() {
    let (model, oracles) = setup();
    let reference = json(&oracles.join("logits_generation.json"));
    let prompts = reference["prompts"].as_array().expect("a list");
    let inputs: Vec<Vec<u32>> = prompts.iter().map(|p| ids(&p["input_ids"])).collect();
    for (eos, key) in [(Some(vec![]), "greedy_32_ids_ignoring_eos"), (None, "greedy_ids_stopping_at_eos")] {
        let options = GenerateOptions { max_tokens: 32, eos, ..GenerateOptions::default() };
        let generated = model.generate(&inputs, &options, &Host::default(), None).expect("generates");
        for (prompt, found) in prompts.iter().zip(generated) {
            assert_eq!(found.tokens, ids(&prompt[key]), "{} of {}", key, prompt["prompt"]);
        }
    }
}

pub fn speed_of_generation() {
    let (model, _) = setup();
    let options = GenerateOptions { max_tokens: 128, eos: Some(vec![]), ..GenerateOptions::default() };
    for _ in 0..3 {
        let start = std::time::Instant::now();
        let generated = model.generate_text(&["The capital of France is"], &options, &Host::default(), None);
        let count = generated.expect("generates")[0].tokens.len();
        println!("{:.1} tokens/s", count as f64 / start.elapsed().as_secs_f64());
    }
}
