//! The program's commands about tickets.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::json;

/// Makes two tickets that share no entries on the built-in model, a third one that shares some with the first, and the
/// fingerprints of what they make of it.
const MAKE: &str = r#"
local lota = require "lota"
local m = lota.model.builtin()
local base, before = m:fingerprint(), m:snapshot()
local function ticket(mask, factor, seed)
  for _, p in ipairs(m:params()) do
    local name = p.name
    if name:find "_proj.weight" then m:set_param(name, m:param(name):mul(factor)) end
  end
  local t = lota.ticket.new(m, mask, {base = base, method = "test", seed = seed, density = 0.01, note = "a b"})
  m:restore(before)
  return t
end
local one = lota.mask.random(m, {density = 0.01, seed = 1})
local two = lota.mask.random(m, {density = 0.01, seed = 2, avoid = one})
local three = lota.mask.random(m, {density = 0.3, seed = 3, within = one}) | two
local tickets = {ticket(one, 2, 1), ticket(two, 3, 2), ticket(three, 5, 3)}
for i, t in ipairs(tickets) do t:save(i .. ".safetensors", {values = i == 2 and "bf16" or "f32"}) end
tickets[2] = lota.ticket.load "2.safetensors"
tickets[1]:apply(m)
print(m:fingerprint())
tickets[2]:apply(m)
print(m:fingerprint())
tickets[3]:apply(m)
print(m:fingerprint(), #one, #three, base)
"#;

fn lota(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lota"));
    command.args(args).current_dir(folder).stdin(Stdio::null()).output().expect("the program runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn good(out: Output) -> String {
    assert!(out.status.success(), "{}", text(&out.stderr));
    text(&out.stdout)
}

fn folder() -> (tempfile::TempDir, Vec<String>) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("make.lua"), MAKE).expect("writes");
    let made = good(lota(folder.path(), &["run", "make.lua"]));
    (folder, made.split_whitespace().map(str::to_string).collect())
}

#[test]
fn tickets_are_described_for_people_and_for_programs() {
    let (folder, made) = folder();
    let [.., count, _, base] = &made[..] else { panic!("{made:?}") };
    let facts = good(lota(folder.path(), &["ticket", "info", "2.safetensors", "--json"]));
    let facts: serde_json::Value = serde_json::from_str(&facts).expect("is JSON");
    let size = std::fs::metadata(folder.path().join("2.safetensors")).expect("is there").len();
    assert_eq!(facts["bytes"], size);
    assert_eq!(facts["entries"].to_string(), *count);
    let per_entry = facts["per_entry"].as_f64().expect("a number");
    assert_eq!(per_entry, size as f64 / count.parse::<f64>().expect("a number"));
    assert_eq!(facts["values"], "bf16");
    assert_eq!(facts["base"], base.as_str());
    assert_eq!((&facts["method"], facts["seed"].as_u64()), (&"test".into(), Some(2)));
    assert_eq!(facts["settings"], serde_json::json!({"density": 0.01, "note": "a b"}));
    let lines = good(lota(folder.path(), &["ticket", "info", "1.safetensors"]));
    for line in [
        format!("entries        {count}"),
        "values         f32".into(),
        "method         test".into(),
        "note           a b".into(),
    ] {
        assert!(lines.lines().any(|l| l == line), "{line} is not in\n{lines}");
    }
    let missing = lota(folder.path(), &["ticket", "info", "4.safetensors"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stderr).starts_with("error: 4.safetensors: "), "{}", text(&missing.stderr));
}

#[test]
fn a_model_with_tickets_is_written_and_is_what_they_make_of_it() {
    let (folder, made) = folder();
    let print = |model: &str| {
        let code = format!("lota.model.load('{model}'):fingerprint()");
        good(lota(folder.path(), &["eval", "-e", &code])).trim().to_string()
    };
    let apply = |args: &[&str]| lota(folder.path(), &[&["ticket", "apply", "builtin"], args].concat());
    let said = good(apply(&["1.safetensors", "out"]));
    assert!(said.starts_with(&format!("1.safetensors: {} entries\n", made[3])), "{said}");
    assert_eq!(print("out"), made[0]);
    good(apply(&["2.safetensors", "1.safetensors", "both"]));
    assert_eq!(print("both"), made[1]);
    // The third one shares entries with both of the others: their order matters.
    good(apply(&["1.safetensors", "2.safetensors", "3.safetensors", "all", "--shard", "500KB"]));
    assert_eq!(print("all"), made[2]);
    good(apply(&["3.safetensors", "2.safetensors", "1.safetensors", "other"]));
    assert_eq!(print("other"), made[1]);
    for file in ["config.json", "tokenizer.json"] {
        assert!(folder.path().join("all").join(file).exists(), "{file}");
    }
}

#[test]
fn a_ticket_of_another_base_is_not_applied_unasked() {
    let (folder, _) = folder();
    good(lota(folder.path(), &["ticket", "apply", "builtin", "1.safetensors", "changed"]));
    let refused = lota(folder.path(), &["ticket", "apply", "changed", "2.safetensors", "out"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        text(&refused.stderr).contains("2.safetensors: the ticket was made on another base"),
        "{refused:?}"
    );
    assert!(!folder.path().join("out").exists());
    good(lota(folder.path(), &["ticket", "apply", "changed", "2.safetensors", "out", "--any-base"]));
    assert!(folder.path().join("out").exists());
    assert_eq!(lota(folder.path(), &["ticket", "apply", "builtin", "out"]).status.code(), Some(2));
}

#[test]
fn tickets_change_their_form_and_say_what_it_costs() {
    let (folder, _) = folder();
    let at = folder.path();
    let facts = |file: &str| -> serde_json::Value {
        let text = good(lota(at, &["ticket", "info", file, "--json"]));
        serde_json::from_str(&text).expect("is JSON")
    };
    let said = good(lota(
        at,
        &["ticket", "convert", "1.safetensors", "small", "--codec", "compact", "--values", "int8"],
    ));
    assert!(said.starts_with("small: "), "{said}");
    assert!(said.contains(" values changed: at most by "), "{said}");
    let (plain, small) = (facts("1.safetensors"), facts("small"));
    assert_eq!(
        (&plain["codec"], &plain["values"], &plain["max_error"]),
        (&json!("plain"), &json!("f32"), &json!(0.0))
    );
    assert_eq!(
        (&small["codec"], &small["values"], &small["values_of"]),
        (&json!("compact"), &json!("int8"), &json!("weights"))
    );
    assert_eq!(plain["bound_bytes"], small["bound_bytes"]);
    let number = |v: &serde_json::Value| v.as_f64().expect("a number");
    assert!(number(&small["index_bytes"]) < 1.05 * number(&small["bound_bytes"]));
    assert!(number(&small["relative_error"]) > 0.0 && number(&small["relative_error"]) < 0.01);
    // In rows this short, a scale a row takes much of what int8 saves.
    assert!(number(&small["bytes"]) < number(&plain["bytes"]));
    let lines = good(lota(at, &["ticket", "info", "small"]));
    for line in ["codec          compact", "values         int8", "values of      weights"] {
        assert!(lines.lines().any(|l| l == line), "{line} is not in\n{lines}");
    }
    // Exactly there and back.
    good(lota(at, &["ticket", "convert", "1.safetensors", "exact", "--codec", "compact"]));
    good(lota(at, &["ticket", "convert", "exact", "back"]));
    assert_eq!(
        std::fs::read(at.join("back")).expect("reads"),
        std::fs::read(at.join("1.safetensors")).expect("reads")
    );
    // What is there already is asked about, also where it is what is read.
    let before = std::fs::read(at.join("small")).expect("reads");
    for words in [
        &["ticket", "convert", "1.safetensors", "small"][..],
        &["ticket", "convert", "small", "small"],
        &["ticket", "from", "--base", "builtin", "--tuned", "builtin", "--out", "small"],
    ] {
        let refused = lota(at, words);
        assert!(!refused.status.success(), "{words:?}");
        assert!(text(&refused.stderr).contains("small is there already"), "{}", text(&refused.stderr));
    }
    assert_eq!(std::fs::read(at.join("small")).expect("reads"), before);
    // What int8 has lost stays lost, and stays told.
    good(lota(at, &["ticket", "convert", "small", "wide"]));
    let told = facts("wide")["settings"]["rounded_before"].clone();
    assert!(told.as_str().is_some_and(|told| told.starts_with("int8: at most by ")), "{told}");
    good(lota(at, &["ticket", "convert", "wide", "wide", "--replace"]));
    assert_eq!(facts("wide")["settings"]["rounded_before"], told);
    // As differences from the base: smaller errors, and the base is needed again.
    let base = ["--values", "ternary", "--base", "builtin"];
    good(lota(at, &[&["ticket", "convert", "1.safetensors", "delta"][..], &base].concat()));
    assert_eq!(facts("delta")["values_of"], "differences from the base");
    let refused = lota(at, &["ticket", "convert", "delta", "out"]);
    assert!(
        text(&refused.stderr).contains("holds the differences of its values from its base"),
        "{refused:?}"
    );
    good(lota(at, &["ticket", "convert", "delta", "out", "--base", "builtin"]));
    good(lota(at, &["ticket", "apply", "builtin", "delta", "model"]));
    let wrong = lota(at, &["ticket", "convert", "1.safetensors", "x", "--codec", "compct"]);
    assert!(text(&wrong.stderr).contains("did you mean 'compact'?"), "{}", text(&wrong.stderr));
}

#[test]
fn two_models_make_the_ticket_between_them() {
    let (folder, made) = folder();
    let at = folder.path();
    good(lota(at, &["model", "convert", "builtin", "base", "--dtype", "f32"]));
    good(lota(at, &["ticket", "apply", "builtin", "1.safetensors", "tuned"]));
    let count = &made[3];
    // Every entry that the ticket changed, and a part of them.
    let code = format!(
        "local t, u = lota.ticket.load '1.safetensors', lota.ticket.from('base', 'tuned', {{count = {count}}})\n\
         return t:mask() == u:mask(), t:info().base == u:info().base, \
         t:values 'model.layers.0.mlp.up_proj.weight':equals(u:values 'model.layers.0.mlp.up_proj.weight')"
    );
    assert_eq!(good(lota(at, &["eval", "-e", &code])), "true\ttrue\ttrue\n");
    let from =
        ["ticket", "from", "--base", "base", "--tuned", "tuned", "--density", "0.005", "--codec", "compact"];
    let said = good(lota(at, &[&from[..], &["--out", "some"]].concat()));
    assert!(said.starts_with("some: "), "{said}");
    let facts = good(lota(at, &["ticket", "info", "some"]));
    for line in ["method         difference", "base_model     base", "tuned_model    tuned"] {
        assert!(facts.lines().any(|l| l == line), "{line} is not in\n{facts}");
    }
    good(lota(at, &["ticket", "apply", "base", "some", "again"]));
    let refused = lota(at, &["ticket", "from", "--base", "base", "--tuned", "base"]);
    assert!(text(&refused.stderr).contains("only 0 of "), "{}", text(&refused.stderr));
}

#[test]
fn adapters_are_made_described_and_merged() {
    let (folder, _) = folder();
    let at = folder.path();
    good(lota(at, &["model", "convert", "builtin", "base", "--dtype", "f32"]));
    let tune = "local m = lota.model.load 'base'\n\
                for _, p in ipairs(m:params()) do\n\
                  if p.name:find 'up_proj.weight' then\n\
                    local rows, cols = p.shape[1], p.shape[2]\n\
                    m:set_param(p.name, m:param(p.name) + lota.ones({rows, 2}):matmul(lota.ones({2, cols})):mul(0.01))\n\
                  end\n\
                end\n\
                m:save('tuned', {dtype = 'f32'})";
    good(lota(at, &["eval", "-e", tune]));
    let said =
        good(lota(at, &["lora", "extract", "--base", "base", "--tuned", "tuned", "--rank", "3", "adapter"]));
    assert!(
        said.lines().any(|l| l.starts_with("model.layers.0.mlp.up_proj") && l.ends_with("lacks 0.00 %")),
        "{said}"
    );
    let info = good(lota(at, &["lora", "info", "adapter"]));
    assert!(info.lines().any(|l| l == "rank       3"), "{info}");
    good(lota(at, &["lora", "apply", "base", "adapter", "merged"]));
    // The built-in model's head is its embedding: what changes one of them makes them two.
    let embed = "local m = lota.model.load 'base'\n\
                 local l = lota.lora.attach(m, {rank = 2, targets = 'embed_tokens'})\n\
                 l:set_param('model.embed_tokens.lora_embedding_B', lota.randn({128, 2}, {rng = lota.rng(1)}))\n\
                 lota.lora.of(l):save 'embed'\n\
                 os.execute(('%s lora apply base embed untied >out.txt'):format(arg0))\n\
                 return (lota.model.load('untied'):logits('ab') - l:logits('ab')):abs():max():item() < 1e-3";
    let embed = format!("local arg0 = {:?}\n{embed}", env!("CARGO_BIN_EXE_lota"));
    assert_eq!(good(lota(at, &["eval", "-e", &embed])), "true\n");
    let far = "local a, b = lota.model.load 'merged', lota.model.load 'tuned'\n\
               return lota.task_vector(a, b):abs():max() < 1e-5";
    assert_eq!(good(lota(at, &["eval", "-e", far])), "true\n");
    // Of a ticket, which needs its base.
    let said = good(lota(
        at,
        &["lora", "extract", "--base", "builtin", "--ticket", "1.safetensors", "--rank", "4", "small"],
    ));
    assert!(said.contains("  lacks "), "{said}");
    assert_eq!(lota(at, &["lora", "extract", "--base", "builtin", "out"]).status.code(), Some(2));
    let config = at.join("adapter/adapter_config.json");
    let text_of = std::fs::read_to_string(&config).expect("reads");
    std::fs::write(&config, text_of.replace("\"use_dora\": false", "\"use_dora\": true")).expect("writes");
    let refused = lota(at, &["lora", "info", "adapter"]);
    assert!(
        text(&refused.stderr).contains("adapter/adapter_config.json: use_dora: uses DoRA"),
        "{refused:?}"
    );
}
