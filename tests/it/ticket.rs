//! The program's commands about tickets.

use std::path::Path;
use std::process::{Command, Output, Stdio};

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
for i, t in ipairs(tickets) do t:save(i .. ".safetensors", {dtype = i == 2 and "bf16" or "f32"}) end
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
        format!("entries      {count}"),
        "values       f32".into(),
        "method       test".into(),
        "note         a b".into(),
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
