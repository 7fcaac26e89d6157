//! `lota merge` killed at any moment, and several of them at once: whatever happens, a folder is the old one or the
//! whole new one, and the next run finishes what was begun.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn spawn(folder: &Path, args: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lota"));
    command.args(args).current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().expect("the program starts")
}

fn good(folder: &Path, args: &[&str]) {
    let out = spawn(folder, args).wait_with_output().expect("ends");
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
}

/// Two random models of some megabytes, and two ways to merge them.
fn models() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let make = "local lota = require 'lota'\n\
        local config = {architectures = {'LlamaForCausalLM'}, model_type = 'llama', vocab_size = 257, hidden_size = 192,\n\
          intermediate_size = 768, num_hidden_layers = 6, num_attention_heads = 4, num_key_value_heads = 4, rms_norm_eps = 1e-5,\n\
          rope_theta = 10000.0, max_position_embeddings = 64, hidden_act = 'silu', tie_word_embeddings = true}\n\
        for seed, name in ipairs {'a', 'b'} do lota.model.init(config, {seed = seed}):save(name) end\n";
    std::fs::write(folder.path().join("make.lua"), make).expect("writes");
    good(folder.path(), &["run", "make.lua"]);
    for (file, density) in [("one.yml", 0.3), ("two.yml", 0.6)] {
        let text = format!(
            "merge_method: ties\nbase_model: a\nmodels: [{{model: b, parameters: {{weight: 1, density: {density}}}}}]\n\
             dtype: float32\n"
        );
        std::fs::write(folder.path().join(file), text).expect("writes");
    }
    folder
}

/// All files of a folder, by name; `None` if it is not there.
fn content(folder: &Path) -> Option<BTreeMap<String, Vec<u8>>> {
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    let read = |e: std::fs::DirEntry| {
        (e.file_name().to_string_lossy().into_owned(), std::fs::read(e.path()).expect("reads"))
    };
    Some(entries.map(read).collect())
}

fn hidden(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).expect("lists").flatten();
    names.map(|e| e.file_name().to_string_lossy().into_owned()).filter(|n| n.starts_with('.')).collect()
}

#[test]
fn a_merge_that_is_killed_is_finished_by_the_next_run() {
    const ROUNDS: u32 = 12;
    let folder = models();
    let at = |name: &str| folder.path().join(name);
    let begun = Instant::now();
    good(folder.path(), &["--quiet", "merge", "one.yml", "one"]);
    let long = begun.elapsed();
    good(folder.path(), &["--quiet", "merge", "two.yml", "two"]);
    let (one, two) = (content(&at("one")).expect("made"), content(&at("two")).expect("made"));
    assert_ne!(one["model.safetensors"], two["model.safetensors"]);
    let mut cut = 0;
    for round in 0..ROUNDS {
        // In every other round the new folder replaces one.
        let replaces = round % 2 == 1;
        drop(std::fs::remove_dir_all(at("out")));
        if replaces {
            good(folder.path(), &["--quiet", "merge", "one.yml", "out"]);
        }
        let args: &[&str] = match replaces {
            true => &["--quiet", "merge", "two.yml", "out", "--replace"],
            false => &["--quiet", "merge", "two.yml", "out"],
        };
        let mut child = spawn(folder.path(), args);
        std::thread::sleep(long * round / (ROUNDS - 1) + Duration::from_millis(u64::from(round * 7 % 5)));
        child.kill().expect("is killed");
        child.wait().expect("ends");
        let done = match content(&at("out")) {
            None => {
                assert!(!replaces || at(".out.old").exists(), "round {round}: the old folder is lost");
                false
            }
            Some(found) => {
                assert!(found == two || replaces && found == one, "round {round}: a mixture");
                found == two
            }
        };
        cut += u32::from(!done);
        if !done || !hidden(folder.path()).is_empty() {
            let out = spawn(folder.path(), args).wait_with_output().expect("ends");
            let told = String::from_utf8_lossy(&out.stderr).into_owned();
            // The first try may have been killed after the folder was in place.
            assert!(
                out.status.success() || done && told.contains("is there already"),
                "round {round}: {told}"
            );
        }
        assert!(content(&at("out")) == Some(two.clone()), "round {round}: not the clean result");
        assert_eq!(hidden(folder.path()), [""; 0], "round {round}");
    }
    assert!(cut > 0, "no try was cut short");
}

#[test]
fn of_two_merges_into_one_folder_each_succeeds_or_is_told_of_the_other() {
    let folder = models();
    let at = |name: &str| folder.path().join(name);
    good(folder.path(), &["--quiet", "merge", "one.yml", "one"]);
    good(folder.path(), &["--quiet", "merge", "two.yml", "two"]);
    let (one, two) = (content(&at("one")).expect("made"), content(&at("two")).expect("made"));
    let mut refused = 0;
    for round in 0..6 {
        let tries = [
            spawn(folder.path(), &["merge", "one.yml", "out"]),
            spawn(folder.path(), &["merge", "two.yml", "out"]),
        ];
        let ends = tries.map(|child| child.wait_with_output().expect("ends"));
        let good = ends.each_ref().map(|end| end.status.success());
        assert!(good[0] != good[1], "round {round}: {good:?}");
        for end in ends.iter().filter(|end| !end.status.success()) {
            let told = String::from_utf8_lossy(&end.stderr);
            assert!(
                told.contains("has been writing it since") || told.contains("is there already"),
                "{told}"
            );
            refused += usize::from(told.contains("has been writing it since"));
        }
        let found = content(&at("out")).expect("made");
        assert!(found == if good[0] { one.clone() } else { two.clone() }, "round {round}");
        assert_eq!(hidden(folder.path()), [""; 0]);
        std::fs::remove_dir_all(at("out")).expect("removes");
    }
    assert!(refused > 0, "the two never met");
}
