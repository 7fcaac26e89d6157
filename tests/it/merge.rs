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
    write(folder.path(), "out/notes.md", "mine");
    let refused = lota(folder.path(), &["merge", "merge.yml", "out", "--replace"]);
    assert!(text(&refused.stderr).contains("belong to no model: notes.md;"), "{}", text(&refused.stderr));
    assert!(folder.path().join("out/notes.md").exists());
    // Nor is what somebody keeps under the names of the hidden folders.
    std::fs::remove_file(folder.path().join("out/notes.md")).expect("removes");
    for hidden in [".out.old", ".out.merge"] {
        std::fs::create_dir(folder.path().join(hidden)).expect("a folder");
        write(folder.path(), &format!("{hidden}/thesis.txt"), "mine");
        let refused = text(&lota(folder.path(), &["merge", "merge.yml", "out", "--replace"]).stderr);
        assert!(refused.contains(hidden) && refused.contains("thesis.txt"), "{refused}");
        assert!(folder.path().join(hidden).join("thesis.txt").exists(), "{hidden}");
        std::fs::remove_dir_all(folder.path().join(hidden)).expect("removes");
    }
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
    assert!(table.contains("](<report.svg>)"), "the report shows its chart: {table}");
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

/// A merge of two steps, the first of which weighs its model by `weight`.
fn steps(weight: f32) -> String {
    format!(
        "name: one\nmerge_method: linear\nmodels: [{{model: a, parameters: {{weight: {weight}}}}}]\nparameters: {{normalize: \
         false}}\n---\nmerge_method: passthrough\nmodels: [{{model: one}}]\n"
    )
}

#[test]
fn a_step_is_made_again_when_its_document_changes() {
    let folder = models();
    let merge = |weight: f32, args: &[&str]| {
        write(folder.path(), "merge.yml", &steps(weight));
        lota(folder.path(), &[&["merge", "merge.yml"], args].concat())
    };
    let weights = |n: &str| std::fs::read(folder.path().join(n).join("model.safetensors")).expect("weights");
    good(&merge(1.0, &["first", "-I", "between"]));
    let again = merge(1.0, &["again", "-I", "between"]);
    good(&again);
    assert!(
        text(&again.stderr).contains("between/one was made by this very merge"),
        "{}",
        text(&again.stderr)
    );
    good(&merge(3.0, &["second", "-I", "between"]));
    good(&merge(3.0, &["clean", "-I", "clean-between"]));
    assert!(weights("second") == weights("clean") && weights("first") == weights("again"));
    assert!(weights("first") != weights("second"));
    // What no merge has made is neither used nor replaced.
    std::fs::create_dir(folder.path().join("mine")).expect("a folder");
    std::fs::rename(folder.path().join("b"), folder.path().join("mine/one")).expect("renames");
    let refused = merge(3.0, &["third", "-I", "mine"]);
    assert!(text(&refused.stderr).contains("was not made by a merge"), "{}", text(&refused.stderr));
    // That the result is there already is said before any step is made.
    let refused = merge(5.0, &["first", "-I", "never"]);
    assert!(
        text(&refused.stderr).contains("first is there already") && !folder.path().join("never").exists()
    );
    // Of a step that was being removed when the program was killed, the record is left.
    std::fs::remove_file(folder.path().join("between/one/model.safetensors")).expect("removes");
    good(&merge(3.0, &["fifth", "-I", "between"]));
    assert!(weights("fifth") == weights("clean"));
    // Steps that are not kept are removed, and nothing else.
    std::fs::create_dir(folder.path().join("fourth-steps")).expect("a folder");
    write(folder.path(), "fourth-steps/mine.txt", "mine");
    good(&merge(3.0, &["fourth"]));
    let left: Vec<_> =
        std::fs::read_dir(folder.path().join("fourth-steps")).expect("lists").flatten().collect();
    assert_eq!(left.len(), 1);
}

#[test]
fn a_merge_stays_in_the_granted_folder() {
    use lota::api::Files;
    use lota::{Engine, Language};
    let outside = tempfile::tempdir().expect("a temporary folder");
    let root = outside.path().join("root");
    std::fs::create_dir(&root).expect("a folder");
    let engine =
        Engine::builder(Language::Lua).files(Files::roots([root.clone()])).build().expect("an engine");
    let run = |code: &str| engine.run(&format!("local lota = require 'lota'\n{code}"), "merge").map(drop);
    run("lota.model.init('tiny', {seed = 1}):save('a')").expect("saves");
    std::fs::create_dir(root.join("x")).expect("a folder");
    let linear = "{merge_method = 'passthrough', models = {{model = 'a'}}}";
    let based = "{merge_method = 'task_arithmetic', base_model = 'a', models = {{model = 'a', parameters = {weight = 1}}}}";
    let absolute = outside.path().join("absolute").to_string_lossy().into_owned();
    let mut codes = vec![
        format!("lota.merge.config({linear}, '.')"),
        format!("lota.merge.config({linear}, 'x/..')"),
        format!("lota.merge.config({linear}, '../out')"),
        format!("lota.merge.config({linear}, '{absolute}')"),
        format!("lota.merge.config({linear}, 'o1', {{between = '../between'}})"),
        format!("lota.merge.config({based}, 'o2', {{report = '../report'}})"),
        format!("lota.merge.config({based}, 'o3', {{report = '{absolute}'}})"),
    ];
    for name in ["../../escaped", "..", "/etc/escaped", &absolute, "a/b", "a\\b", ".", ".x", ""] {
        let file = format!(
            "name: '{name}'\nmerge_method: passthrough\nmodels: [{{model: a}}]\n---\nmerge_method: passthrough\nmodels: \
             [{{model: '{name}'}}]\n"
        );
        write(&root, "step.yml", &file);
        let refused = run("lota.merge.config('step.yml', 'out')").expect_err(name).to_string();
        assert!(refused.contains("name: "), "{name}: {refused}");
    }
    #[cfg(unix)]
    {
        // Links that another program has put where the merge would write.
        let link = |to: &str| {
            let at = root.join(to);
            std::fs::create_dir_all(at.parent().expect("a parent")).expect("a folder");
            std::os::unix::fs::symlink(outside.path().join("elsewhere"), at).expect("a link");
        };
        std::fs::create_dir(outside.path().join("elsewhere")).expect("a folder");
        for (hidden, out) in
            [(".l1.merge", "l1"), (".l2.old", "l2"), (".l3.lock", "l3"), ("l4", "l4"), ("l5-steps/one", "l5")]
        {
            link(hidden);
            write(&root, &format!("{out}.yml"), &steps(1.0));
            codes.push(format!("lota.merge.config('{out}.yml', '{out}')"));
        }
        link("report.md");
        codes.push(format!("lota.merge.config({based}, 'o4', {{report = 'report'}})"));
    }
    for code in &codes {
        let refused = run(code).expect_err(code).to_string();
        assert!(refused.contains("granted"), "{code}: {refused}");
    }
    let names = |folder: &Path| {
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .expect("lists")
            .flatten()
            .map(|e| e.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    };
    let expected: &[&str] = if cfg!(unix) { &["elsewhere", "root"] } else { &["root"] };
    assert_eq!(names(outside.path()), expected);
    if cfg!(unix) {
        assert_eq!(names(&outside.path().join("elsewhere")), [""; 0]);
    }
    for out in ["o1", "o2", "o3", "o4"] {
        assert!(!root.join(out).exists(), "{out}: refused after the work");
    }
    run(&format!("lota.merge.config({based}, 'good', {{report = 'deep/good'}})")).expect("all inside");
    assert!(root.join("deep/good.svg").exists());
}

#[test]
fn a_report_that_cannot_be_is_refused_before_the_merge_and_can_be_had_after_it() {
    let folder = models();
    write(folder.path(), "linear.yml", LINEAR);
    let refused = lota(folder.path(), &["merge", "linear.yml", "out", "--report", "report"]);
    assert!(text(&refused.stderr).contains("has no base_model"), "{}", text(&refused.stderr));
    let based =
        "merge_method: task_arithmetic\nbase_model: a\nmodels: [{model: b, parameters: {weight: 1}}]\n";
    write(folder.path(), "merge.yml", based);
    let refused = lota(folder.path(), &["merge", "merge.yml", "out", "--report", "merge.yml/report"]);
    assert!(!refused.status.success());
    assert!(!folder.path().join("out").exists());
    // Nor does a refusal leave empty folders, wherever they were to be.
    write(folder.path(), "bad.yml", &based.replace("model: b", "model: never"));
    let args = ["merge", "bad.yml", "deep/out", "--report", "deeper/one/report", "-I", "steps/between"];
    let refused = lota(folder.path(), &args);
    assert!(!refused.status.success());
    for name in ["deep", "deeper", "steps"] {
        assert!(!folder.path().join(name).exists(), "{name}: {}", text(&refused.stderr));
    }
    good(&lota(folder.path(), &["merge", "merge.yml", "out"]));
    good(&lota(folder.path(), &["merge", "merge.yml", "out", "--report", "report"]));
    assert!(folder.path().join("report.svg").exists());
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
