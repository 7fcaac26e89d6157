//! Merges that are stopped, killed or asked for again: what is made is never made twice, and never mixed.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use lota_runtime::Result;
use lota_runtime::host::{Event, Events, Host, Lock};
use lota_runtime::merge::{Existing, FolderOptions, Held, Input};
use lota_runtime::ops::Exec;
use serde_json::{Value, json};

use super::folders::{linear, llama, plan, read, saved, two};

/// A merge of models in a folder: what came of it, how many tensors were made, and the notices.
fn merge(
    config: &Value,
    dir: &Path,
    out: &str,
    existing: Existing,
    stop_after: Option<usize>,
) -> (Result<Vec<std::path::PathBuf>>, usize, Vec<String>) {
    let (made, notices) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
    let mut host = Host::default();
    let (cancel, count, told) = (host.cancel.clone(), made.clone(), notices.clone());
    host.events = Events::new(move |event| match event {
        Event::Progress { task, .. }
            if task == "merge" && Some(count.fetch_add(1, Ordering::SeqCst) + 1) == stop_after =>
        {
            cancel.cancel();
        }
        Event::Notice(text) => told.lock().expect("not poisoned").push(text.clone()),
        _ => {}
    });
    let exec = Exec::new(candle_core::Device::Cpu, 1).expect("a thread");
    let options = FolderOptions { existing, ..FolderOptions::default() };
    let result = plan(config, dir).expect("plans").write(&dir.join(out), &options, &exec, &host);
    let told = notices.lock().expect("not poisoned").clone();
    (result, made.load(Ordering::SeqCst), told)
}

fn weights(folder: &Path) -> Vec<u8> {
    std::fs::read(folder.join("model.safetensors")).expect("reads")
}

/// The hidden files and folders beside a result.
fn hidden(dir: &Path) -> Vec<String> {
    let names = std::fs::read_dir(dir)
        .expect("lists")
        .flatten()
        .map(|e| e.file_name().to_string_lossy().into_owned());
    names.filter(|n| n.starts_with('.')).collect()
}

#[test]
fn a_stopped_merge_leaves_nothing_in_place_and_goes_on() {
    let dir = tempfile::tempdir().expect("a folder");
    two(dir.path());
    let out = dir.path().join("out");
    let (made, _, _) = merge(&linear(), dir.path(), "out", Existing::Refuse, Some(7));
    assert!(made.is_err_and(|e| e.is_cancelled()));
    assert!(!out.exists());
    let total = plan(&linear(), dir.path()).expect("plans").tensors();
    let (made, seen, told) = merge(&linear(), dir.path(), "out", Existing::Refuse, None);
    made.expect("writes");
    assert_eq!(seen, total - 7);
    assert_eq!(told, [format!("going on with the merge that was stopped: 7 of {total} tensors are there")]);
    merge(&linear(), dir.path(), "straight", Existing::Refuse, None).0.expect("writes");
    assert_eq!(weights(&out), weights(&dir.path().join("straight")));
    assert_eq!(hidden(dir.path()), [""; 0]);
}

/// Begins a merge, changes something, and asks for it again: the result must be that of the second alone.
fn begun_then(dir: &Path, first: &Value, change: impl FnOnce(), second: &Value) {
    let (made, ..) = merge(first, dir, "out", Existing::Refuse, Some(5));
    assert!(made.is_err_and(|e| e.is_cancelled()));
    assert!(dir.join(".out.merge").exists());
    change();
    let (made, seen, told) = merge(second, dir, "out", Existing::Refuse, None);
    made.expect("writes");
    assert!(told.iter().all(|t| !t.contains("going on")), "{told:?}");
    assert_eq!(seen, plan(second, dir).expect("plans").tensors());
    merge(second, dir, "clean", Existing::Refuse, None).0.expect("writes");
    assert_eq!(weights(&dir.join("out")), weights(&dir.join("clean")));
}

#[test]
fn what_was_begun_with_other_settings_is_not_taken_up() {
    let dir = tempfile::tempdir().expect("a folder");
    two(dir.path());
    let mut other = linear();
    other["models"][0]["parameters"]["weight"] = json!(5);
    begun_then(dir.path(), &linear(), || {}, &other);
}

#[test]
fn what_was_begun_with_another_model_is_not_taken_up() {
    let dir = tempfile::tempdir().expect("a folder");
    two(dir.path());
    let replace = || drop(saved(dir.path(), "b", &llama(3, 32, false), 9));
    begun_then(dir.path(), &linear(), replace, &linear());
}

#[test]
fn what_was_begun_with_other_rows_for_tokens_is_not_taken_up() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/merges/vocabulary");
    let dir = tempfile::tempdir().expect("a folder");
    for model in ["a", "b"] {
        std::fs::create_dir(dir.path().join(model)).expect("a folder");
        for file in ["config.json", "model.safetensors", "tokenizer.json"] {
            std::fs::copy(fixtures.join(model).join(file), dir.path().join(model).join(file))
                .expect("copies");
        }
    }
    let with = |source: Value| {
        let mut config = linear();
        config["tokenizer"] = json!({"source": "union", "tokens": {"x": {"source": source, "force": true}}});
        config
    };
    begun_then(dir.path(), &with(json!("b")), || {}, &with(json!({"kind": "zero"})));
}

#[test]
fn files_that_were_changed_since_are_not_taken_up() {
    for damage in ["gone", "short", "header"] {
        let dir = tempfile::tempdir().expect("a folder");
        two(dir.path());
        let harm = || {
            let file = dir.path().join(".out.merge/model.safetensors");
            let mut bytes = std::fs::read(&file).expect("reads");
            match damage {
                "gone" => return std::fs::remove_file(&file).expect("removes"),
                "short" => bytes.truncate(bytes.len() - 1),
                _ => bytes[20] ^= 1,
            }
            std::fs::write(&file, bytes).expect("writes");
        };
        begun_then(dir.path(), &linear(), harm, &linear());
    }
}

#[test]
fn models_in_memory_are_told_apart_by_their_weights() {
    let dir = tempfile::tempdir().expect("a folder");
    let (a, b) =
        (saved(dir.path(), "a", &llama(1, 32, true), 1), saved(dir.path(), "b", &llama(1, 32, true), 2));
    let identity = |path: &Path| Held::of("builtin", &read(path)).identity().expect("hashes");
    assert_eq!(identity(&a), identity(&a));
    assert_ne!(identity(&a), identity(&b));
    let file = dir.path().join("x.gguf");
    let loaded = || Held::of("x.gguf", &read(&a)).read_from([file.clone()]).identity();
    assert!(loaded().is_err(), "a file that is gone cannot stand for the weights");
    std::fs::write(&file, [1u8; 5000]).expect("writes");
    let one = loaded().expect("hashes");
    std::fs::write(&file, [2u8; 5000]).expect("writes");
    assert_ne!(loaded().expect("hashes"), one);
}

#[test]
fn a_finished_merge_is_not_made_again() {
    let dir = tempfile::tempdir().expect("a folder");
    two(dir.path());
    let (out, beside) = (dir.path().join("out"), dir.path().join(".out.merge"));
    merge(&linear(), dir.path(), "out", Existing::Refuse, None).0.expect("writes");
    let clean = weights(&out);
    // As a crash before the rename leaves it.
    std::fs::rename(&out, &beside).expect("renames");
    let (made, seen, told) = merge(&linear(), dir.path(), "out", Existing::Refuse, None);
    assert!(made.expect("is put in place").iter().all(|file| file.exists()));
    assert_eq!((seen, weights(&out)), (0, clean.clone()));
    assert!(told[0].starts_with("going on with the merge that was stopped: "), "{told:?}");
    // The same with another chat template: tensors are kept, small files are made.
    std::fs::rename(&out, &beside).expect("renames");
    let mut other = linear();
    other["chat_template"] = json!("chatml");
    let (made, seen, _) = merge(&other, dir.path(), "out", Existing::Refuse, None);
    made.expect("writes");
    assert_eq!((seen, weights(&out)), (0, clean));
    assert!(out.join("chat_template.jinja").exists());
    // And back: the template of that try does not stay.
    std::fs::rename(&out, &beside).expect("renames");
    merge(&linear(), dir.path(), "out", Existing::Refuse, None).0.expect("writes");
    assert!(!out.join("chat_template.jinja").exists());
    // Of another merge nothing is used.
    std::fs::rename(&out, &beside).expect("renames");
    let mut other = linear();
    other["models"][0]["parameters"]["weight"] = json!(5);
    let (made, seen, _) = merge(&other, dir.path(), "out", Existing::Refuse, None);
    made.expect("writes");
    assert_eq!(seen, plan(&other, dir.path()).expect("plans").tensors());
    assert_eq!(hidden(dir.path()), [""; 0]);
}

#[test]
fn a_crash_between_the_two_renames_is_repaired() {
    let dir = tempfile::tempdir().expect("a folder");
    two(dir.path());
    let (out, beside, old) =
        (dir.path().join("out"), dir.path().join(".out.merge"), dir.path().join(".out.old"));
    let mut other = linear();
    other["models"][0]["parameters"]["weight"] = json!(5);
    merge(&linear(), dir.path(), "first", Existing::Refuse, None).0.expect("writes");
    merge(&other, dir.path(), "second", Existing::Refuse, None).0.expect("writes");
    let (first, second) = (weights(&dir.path().join("first")), weights(&dir.path().join("second")));
    // `second` was replacing `first`, both are whole.
    std::fs::rename(dir.path().join("first"), &old).expect("renames");
    std::fs::rename(dir.path().join("second"), &beside).expect("renames");
    let (made, seen, told) = merge(&other, dir.path(), "out", Existing::Replace, None);
    assert!(made.expect("is put in place").iter().all(|file| file.exists()));
    assert_eq!((seen, weights(&out)), (0, second));
    assert!(told[0].contains("the new folder is complete and is put in place"), "{told:?}");
    assert_eq!(hidden(dir.path()), [""; 0]);
    // Only the old one is left: it is put back, and is what this very merge makes or not.
    merge(&linear(), dir.path(), "third", Existing::Refuse, None).0.expect("writes");
    std::fs::remove_dir_all(&out).expect("removes");
    std::fs::rename(dir.path().join("third"), &old).expect("renames");
    let (made, seen, told) = merge(&linear(), dir.path(), "out", Existing::Refuse, None);
    made.expect("is there");
    assert_eq!((seen, weights(&out)), (0, first.clone()));
    assert!(told[0].contains("the old folder is put back"), "{told:?}");
    std::fs::rename(&out, &old).expect("renames");
    let (made, ..) = merge(&other, dir.path(), "out", Existing::Refuse, None);
    assert!(made.expect_err("another merge's").to_string().contains("is there already"));
    assert_eq!((weights(&out), hidden(dir.path())), (first, vec![]));
}

#[test]
fn a_leftover_of_the_folder_that_was_replaced_does_not_block() {
    let dir = tempfile::tempdir().expect("a folder");
    two(dir.path());
    merge(&linear(), dir.path(), "out", Existing::Refuse, None).0.expect("writes");
    let old = dir.path().join(".out.old");
    std::fs::create_dir(&old).expect("a folder");
    std::fs::write(old.join("config.json"), "{}").expect("writes");
    merge(&linear(), dir.path(), "out", Existing::Replace, None).0.expect("replaces");
    assert_eq!(hidden(dir.path()), [""; 0]);
    // What is no part of a model is somebody's, and nothing of it is removed.
    std::fs::create_dir(&old).expect("a folder");
    std::fs::write(old.join("notes.txt"), "x").expect("writes");
    let refused = merge(&linear(), dir.path(), "out", Existing::Replace, None)
        .0
        .expect_err("it holds a file of another");
    assert!(refused.to_string().contains("notes.txt"), "{refused}");
    assert!(old.join("notes.txt").exists());
}

#[test]
fn folders_that_are_there_are_kept_made_again_or_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    two(dir.path());
    let out = dir.path().join("out");
    let mut other = linear();
    other["models"][0]["parameters"]["weight"] = json!(5);
    merge(&linear(), dir.path(), "out", Existing::Refuse, None).0.expect("writes");
    for existing in [Existing::Keep, Existing::Renew] {
        let (made, seen, _) = merge(&linear(), dir.path(), "out", existing, None);
        assert!(made.is_ok() && seen == 0, "{existing:?}");
    }
    let refused = merge(&other, dir.path(), "out", Existing::Keep, None).0.expect_err("another merge's");
    assert!(refused.to_string().contains("is there already, and is not overwritten"), "{refused}");
    let (made, seen, _) = merge(&other, dir.path(), "out", Existing::Renew, None);
    assert!(made.is_ok() && seen > 0);
    // Another program writes the weights: it is no longer what the merge made.
    let bytes = weights(&out);
    std::thread::sleep(std::time::Duration::from_millis(20));
    std::fs::write(out.join("model.safetensors"), bytes).expect("writes");
    let (made, seen, _) = merge(&other, dir.path(), "out", Existing::Renew, None);
    assert!(made.is_ok() && seen > 0);
    std::fs::remove_file(out.join("lota_merge.json")).expect("removes");
    let refused = merge(&other, dir.path(), "out", Existing::Renew, None).0.expect_err("not of a merge");
    assert!(refused.to_string().contains("was not made by a merge"), "{refused}");
}

#[test]
fn folders_that_are_there_are_not_lost() {
    let dir = tempfile::tempdir().expect("a folder");
    two(dir.path());
    let plan = plan(&linear(), dir.path()).expect("plans");
    let write = |name: &str, replace| {
        let existing = if replace { Existing::Replace } else { Existing::Refuse };
        let options = FolderOptions { existing, ..FolderOptions::default() };
        plan.write(&dir.path().join(name), &options, &Exec::cpu(), &Host::default())
    };
    let text = write("a", true).expect_err("an input").to_string();
    assert!(text.contains("is one of the models that are merged"), "{text}");
    write("out", false).expect("writes");
    let text = write("out", false).expect_err("there").to_string();
    assert!(text.contains("is there already"), "{text}");
    // Files of a model are replaced, also those that the new one has not.
    std::fs::write(dir.path().join("out/merges.txt"), "x").expect("writes");
    write("out", true).expect("replaces");
    assert!(!dir.path().join("out/merges.txt").exists() && dir.path().join("out/config.json").exists());
    // What belongs to no model is named and kept.
    std::fs::write(dir.path().join("out/notes.md"), "mine").expect("writes");
    std::fs::create_dir_all(dir.path().join("out/runs/one")).expect("a folder");
    let before = weights(&dir.path().join("out"));
    let text = write("out", true).expect_err("holds files of others").to_string();
    assert!(text.contains("belong to no model: notes.md, runs; move them away"), "{text}");
    assert_eq!(std::fs::read_to_string(dir.path().join("out/notes.md")).expect("reads"), "mine");
    assert_eq!((weights(&dir.path().join("out")), hidden(dir.path())), (before, vec![]));
}

#[test]
fn files_put_into_the_folder_while_a_merge_runs_are_kept() {
    let dir = tempfile::tempdir().expect("a folder");
    two(dir.path());
    merge(&linear(), dir.path(), "out", Existing::Refuse, None).0.expect("writes");
    let notes = dir.path().join("out/notes.md");
    let mut host = Host::default();
    let at = notes.clone();
    host.events = Events::new(move |event| {
        if matches!(event, Event::Progress { .. }) {
            std::fs::write(&at, "mine").expect("writes");
        }
    });
    let options = FolderOptions { existing: Existing::Replace, ..FolderOptions::default() };
    let plan = plan(&linear(), dir.path()).expect("plans");
    let refused = plan.write(&dir.path().join("out"), &options, &Exec::cpu(), &host).expect_err("a new file");
    assert!(refused.to_string().contains("notes.md"), "{refused}");
    assert_eq!(std::fs::read_to_string(&notes).expect("reads"), "mine");
    // Once it is moved away, what was made is put in place.
    std::fs::remove_file(&notes).expect("removes");
    let (made, seen, _) = merge(&linear(), dir.path(), "out", Existing::Replace, None);
    assert!(made.is_ok() && seen == 0);
}

#[test]
fn a_folder_that_holds_an_input_is_not_replaced() {
    let dir = tempfile::tempdir().expect("a folder");
    let models = dir.path().join("models");
    std::fs::create_dir(&models).expect("a folder");
    two(&models);
    let plan = plan(&linear(), &models).expect("plans");
    let options = FolderOptions { existing: Existing::Replace, ..FolderOptions::default() };
    let refused =
        plan.write(&models, &options, &Exec::cpu(), &Host::default()).expect_err("holds the inputs");
    assert!(refused.to_string().contains("which is merged: write to another folder"), "{refused}");
    assert!(models.join("a/model.safetensors").exists());
}

#[test]
fn the_second_writer_is_told_who_is_the_first() {
    let dir = tempfile::tempdir().expect("a folder");
    two(dir.path());
    let held = Lock::beside(&dir.path().join("out"), &Events::default()).expect("free");
    let (made, seen, _) = merge(&linear(), dir.path(), "out", Existing::Refuse, None);
    let refused = made.expect_err("held").to_string();
    assert!(refused.contains("writing it already") && seen == 0, "{refused}");
    assert!(!dir.path().join(".out.merge").exists());
    drop(held);
    merge(&linear(), dir.path(), "out", Existing::Refuse, None).0.expect("writes");
    assert_eq!(hidden(dir.path()), [""; 0]);
}

#[cfg(unix)]
#[test]
fn a_link_where_the_result_is_made_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    two(dir.path());
    let elsewhere = dir.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).expect("a folder");
    for name in [".out.merge", ".out.old"] {
        let link = dir.path().join(name);
        std::os::unix::fs::symlink(&elsewhere, &link).expect("a link");
        let (made, ..) = merge(&linear(), dir.path(), "out", Existing::Refuse, None);
        let refused = made.expect_err("a link").to_string();
        assert!(refused.contains("is in the way of a folder"), "{refused}");
        std::fs::remove_file(link).expect("removes");
    }
    assert_eq!(std::fs::read_dir(&elsewhere).expect("lists").count(), 0);
}
