//! `lota merge`: mergekit's configurations, from the file to the folder.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use safetensors::SafeTensors;

fn lota(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lota"));
    command.args(args).current_dir(folder).stdin(Stdio::null()).output().expect("the program runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn good(out: &Output) -> String {
    assert!(out.status.success(), "{}", text(&out.stderr));
    text(&out.stdout)
}

/// Two random models with tokenizers, `a` and `b`.
fn models() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let make = "local lota = require 'lota'\n\
                for seed, name in ipairs {'a', 'b'} do lota.model.init('tiny', {seed = seed}):save(name) end\n";
    std::fs::write(folder.path().join("make.lua"), make).expect("writes");
    good(&lota(folder.path(), &["run", "make.lua"]));
    folder
}

fn write(folder: &Path, name: &str, content: &str) {
    std::fs::write(folder.join(name), content).expect("writes");
}

const LINEAR: &str = "merge_method: linear\nmodels:\n  - model: a\n    parameters: {weight: 0.75}\n  - model: b\n    \
                      parameters: {weight: 0.25}\ndtype: float32\nout_dtype: bfloat16\n";

#[test]
fn a_configuration_becomes_a_folder() {
    let folder = models();
    write(folder.path(), "merge.yml", LINEAR);
    let out = good(&lota(folder.path(), &["merge", "merge.yml", "out"]));
    assert!(out.lines().any(|l| l == "out/model.safetensors"), "{out}");
    let kept =
        std::fs::read_to_string(folder.path().join("out/mergekit_config.yml")).expect("the configuration");
    assert_eq!(kept, LINEAR);
    let bytes = std::fs::read(folder.path().join("out/model.safetensors")).expect("weights");
    let weights = SafeTensors::deserialize(&bytes).expect("safetensors");
    assert!(weights.tensors().iter().all(|(_, t)| t.dtype() == safetensors::Dtype::BF16));
    let info = good(&lota(folder.path(), &["model", "info", "out"]));
    assert!(info.contains("tokenizer"), "{info}");
    let again = lota(folder.path(), &["merge", "merge.yml", "out"]);
    assert_eq!(text(&again.stderr), "error: merge.config: out is there already, and is not overwritten\n");
    good(&lota(folder.path(), &["merge", "merge.yml", "out", "--replace"]));
}

#[test]
fn what_is_wrong_is_said_before_any_work() {
    let folder = models();
    let refused = |config: &str, args: &[&str]| {
        write(folder.path(), "merge.yml", config);
        let out = lota(folder.path(), &[&["merge", "merge.yml"], args].concat());
        assert!(!out.status.success());
        text(&out.stderr)
    };
    assert_eq!(
        refused("merge_metod: ties\n", &["out"]),
        "error: merge.config: the configuration: unknown key \"merge_metod\"; did you mean \"merge_method\"?\n"
    );
    assert_eq!(
        refused(
            "merge_method: ties\nbase_model: a\nmodels: [{model: b, parameters: {wieght: 1}}]\n",
            &["--check"]
        ),
        "error: merge.check: models[0].parameters: unknown parameter \"wieght\"; did you mean \"weight\"?\n"
    );
    let absent = refused("merge_method: linear\nmodels: [{model: ./c, parameters: {weight: 1}}]\n", &["out"]);
    assert!(absent.contains("\"./c\" is not a model"), "{absent}");
    let yaml = refused("merge_method: [", &["out"]);
    assert!(yaml.starts_with("error: merge.config: merge.yml: not YAML: "), "{yaml}");
    assert!(!folder.path().join("out").exists());
    write(folder.path(), "merge.yml", LINEAR);
    let check = good(&lota(folder.path(), &["merge", "merge.yml", "--check"]));
    assert!(check.contains("method   linear\n") && check.contains("tensors  "), "{check}");
}

#[test]
fn steps_are_made_in_order_and_reports_are_written() {
    let folder = models();
    let steps = format!(
        "name: first\n{LINEAR}---\nmerge_method: ties\nbase_model: a\nmodels:\n  - model: first\n    parameters: {{weight: 1, \
         density: 0.5}}\n  - model: b\n    parameters: {{weight: [0, 1], density: 0.5}}\n"
    );
    write(folder.path(), "merge.yml", &steps);
    let out = good(&lota(folder.path(), &["merge", "merge.yml", "out", "--report", "report"]));
    assert!(out.ends_with("report.md\nreport.svg\n"), "{out}");
    assert!(!folder.path().join("out-steps").exists());
    let table = std::fs::read_to_string(folder.path().join("report.md")).expect("a table");
    assert!(table.starts_with("| layer |") && table.contains("| all |"), "{table}");
    let chart = std::fs::read_to_string(folder.path().join("report.svg")).expect("a chart");
    assert!(chart.contains("conflicts"));
    good(&lota(folder.path(), &["merge", "merge.yml", "kept", "-I", "between"]));
    assert!(folder.path().join("between/first/config.json").exists());
    let same = |a: &str, b: &str| {
        let read = |n: &str| std::fs::read(folder.path().join(n).join("model.safetensors")).expect("weights");
        read(a) == read(b)
    };
    assert!(same("out", "kept"));
}

#[test]
fn a_report_scores_models_on_tasks() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // What the program must find is measured by a script: the built-in model, and what a ticket makes of it.
    let make = "local lota, tasks = require 'lota', require 'lota.tasks'\n\
                local m = lota.model.builtin()\n\
                local task = tasks.open 'copy'\n\
                print(('builtin %.3f'):format(task.score(m, 8)))\n\
                local name, base = 'model.layers.0.mlp.down_proj.weight', m:fingerprint()\n\
                m:set_param(name, m:param(name):mul(0))\n\
                local t = lota.ticket.new(m, lota.mask.all(m, {params = name}), {base = base})\n\
                t:save 't.safetensors'\n\
                m = lota.model.builtin()\n\
                t:apply(m)\n\
                print(('ticket %.3f'):format(task.score(m, 8)))\n";
    write(folder.path(), "make.lua", make);
    let measured = good(&lota(folder.path(), &["run", "make.lua"]));
    let score = |of: &str| {
        let found = measured.lines().find_map(|l| l.strip_prefix(of));
        found.unwrap_or_else(|| panic!("{measured}")).trim().to_string()
    };
    let config = "merge_method: task_arithmetic\nbase_model: builtin\nmodels: [{model: t.safetensors, parameters: {weight: 1}}]\n";
    write(folder.path(), "merge.yml", config);
    let args = ["merge", "merge.yml", "out", "--report", "report", "--tasks", "copy", "--eval", "8"];
    good(&lota(folder.path(), &args));
    let report = std::fs::read_to_string(folder.path().join("report.md")).expect("a report");
    let (base, ticket) = (score("builtin"), score("ticket"));
    assert_ne!(base, ticket, "a report that scores the base for every model must not pass");
    let table = format!(
        "| model | copy |\n| --- | ---: |\n| builtin | {base} |\n| t.safetensors | {ticket} |\n| the merge | {ticket} |\n\n| layer |"
    );
    assert!(report.starts_with(&table), "{table}\n{report}");
    let out = lota(folder.path(), &["merge", "merge.yml", "out", "--tasks", "copy"]);
    assert!(text(&out.stderr).contains("--report <FILE>"), "{}", text(&out.stderr));
}

#[test]
fn tokenizers_are_united() {
    let folder = models();
    let path = folder.path().join("b/tokenizer.json");
    let json = std::fs::read_to_string(&path).expect("a tokenizer");
    let mut json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    // The second model's last token is another one.
    let vocab = json["model"]["vocab"].as_object_mut().expect("a vocabulary");
    let last = vocab
        .iter()
        .max_by_key(|(_, id)| id.as_u64())
        .map(|(t, id)| (t.clone(), id.clone()))
        .expect("tokens");
    let inside = json["added_tokens"].as_array().is_some_and(|a| a.iter().any(|t| t["id"] == last.1));
    assert!(!inside);
    let vocab = json["model"]["vocab"].as_object_mut().expect("a vocabulary");
    vocab.shift_remove(&last.0);
    vocab.insert("<own>".to_string(), last.1.clone());
    if let Some(merges) = json["model"]["merges"].as_array_mut() {
        merges.clear();
    }
    std::fs::write(&path, json.to_string()).expect("writes");
    write(folder.path(), "merge.yml", &format!("{LINEAR}tokenizer_source: union\nchat_template: chatml\n"));
    good(&lota(folder.path(), &["merge", "merge.yml", "out"]));
    let shape = |name: &str| {
        let bytes = std::fs::read(folder.path().join(name).join("model.safetensors")).expect("weights");
        let weights = SafeTensors::deserialize(&bytes).expect("safetensors");
        weights.tensor("model.embed_tokens.weight").expect("an embedding").shape()[0]
    };
    let tokens = |name: &str| {
        let text =
            std::fs::read_to_string(folder.path().join(name).join("tokenizer.json")).expect("a tokenizer");
        text.contains("<own>")
    };
    assert!(tokens("out") && !tokens("a"));
    assert!(shape("out") <= shape("a") + 1);
    let config = std::fs::read_to_string(folder.path().join("out/config.json")).expect("a configuration");
    assert!(config.contains(&format!("\"vocab_size\": {}", shape("out"))), "{config}");
    let template =
        std::fs::read_to_string(folder.path().join("out/chat_template.jinja")).expect("a template");
    assert!(template.contains("<|im_start|>"));
    write(folder.path(), "plain.yml", LINEAR);
    let note = lota(folder.path(), &["merge", "plain.yml", "plain"]);
    assert!(text(&note.stderr).contains("give tokens different ids"), "{}", text(&note.stderr));
}
