//! Every file of the corpus, given to its target.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use lota_fuzz::mend::{Parts, Shape, sealed};
use lota_fuzz::{TARGETS, run};

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// What lies in a folder, sorted.
fn listed(folder: &Path) -> BTreeSet<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    entries.map(|entry| entry.expect("is there").path()).collect()
}

#[test]
fn no_file_of_the_corpus_is_a_finding_and_each_target_reads_one() {
    let mut findings = Vec::new();
    for target in TARGETS {
        let files = listed(&corpus().join(target.name));
        let mut read = 0;
        for file in files {
            let bytes = std::fs::read(&file).expect("reads");
            match run(target, &bytes) {
                Ok(was_read) => read += usize::from(was_read),
                Err(what) => findings.push(format!("{}: {what}", file.display())),
            }
        }
        if read == 0 {
            findings.push(format!(
                "{}: no file is read, so that nothing behind the first checks is tried",
                target.name
            ));
        }
    }
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

#[test]
fn every_folder_of_the_corpus_and_every_dictionary_is_of_a_target() {
    let known = |path: &PathBuf| {
        let name = path.file_stem().map(|name| name.to_string_lossy().into_owned());
        TARGETS.iter().any(|target| Some(target.name) == name.as_deref())
    };
    let dictionaries = Path::new(env!("CARGO_MANIFEST_DIR")).join("dict");
    let all: Vec<PathBuf> = listed(&corpus()).into_iter().chain(listed(&dictionaries)).collect();
    let strange: Vec<&PathBuf> = all.iter().filter(|path| !known(path)).collect();
    assert!(strange.is_empty(), "{strange:?}");
}

/// The fuzzer's changes are worth nothing where they end at the first check of a file.
#[test]
fn what_is_mended_is_whole_again() {
    let mut changed = 0;
    for target in TARGETS.iter().filter(|target| target.shape != Shape::Plain) {
        for file in listed(&corpus().join(target.name)) {
            let bytes = std::fs::read(&file).expect("reads");
            let parts = Parts::of(&bytes, target.shape);
            if parts.body.is_empty() {
                continue;
            }
            // A header that is longer by some spaces would move everything.
            let mut longer = parts.clone();
            longer.header.extend(b"      ");
            let once = longer.join(target.shape, 1 << 20);
            let again = Parts::of(&once, target.shape);
            assert_eq!(again.clone().join(target.shape, 1 << 20), once, "{}", file.display());
            assert_eq!(again.before, parts.before);
            let start = again.before.len();
            let length = u64::from_le_bytes(once[start..start + 8].try_into().expect("eight bytes"));
            assert_eq!(length as usize, again.header.len(), "{}", file.display());
            if target.shape == Shape::Sealed {
                assert_eq!(sealed(once.clone()), once);
            }
            changed += 1;
        }
    }
    assert!(changed > 10, "{changed} files were looked at");
}
