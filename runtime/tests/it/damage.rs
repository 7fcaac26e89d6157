//! Files that were cut or changed at random: an error that names the file, or a model, but never a panic and
//! never more memory than the file can fill.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::Path;

use lota_runtime::host::{Host, Rng};
use lota_runtime::model::{GenerateOptions, LoadOptions, SaveOptions, load};
use serde_json::json;

use crate::common::exec;
use crate::{folders, gguf};

/// The system's allocator, which remembers the largest piece each thread asked for.
struct Watched;

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

fn note(size: usize) {
    // Threads that are ending have no such value any more.
    let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(size)));
}

// SAFETY: every call is passed on to the system's allocator with its arguments unchanged; noting a number
// allocates nothing (the value is made at compile time and has no destructor).
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller's promise is the one that is needed.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watched = Watched;

/// The files here are below 100 KB; tables of bytes and the like have a size of their own.
const MOST: usize = 16 << 20;

/// `bytes` with something wrong: cut, bits flipped, a stretch overwritten, doubled or taken out. In half of the
/// cases within the first `head` bytes, where what the rest means is said.
fn damaged(bytes: &[u8], head: usize, rng: &mut Rng) -> Vec<u8> {
    let mut out = bytes.to_vec();
    let within = if rng.below(2) == 0 { head.min(bytes.len()) } else { bytes.len() };
    let at = rng.below(within as u64) as usize;
    let end = (at + 1 + rng.below(12) as usize).min(out.len());
    match rng.below(6) {
        0 => out.truncate(at),
        1 => out[at] ^= 1 << rng.below(8),
        2 => (0..8).for_each(|_| out[rng.below(within as u64) as usize] ^= 1 << rng.below(8)),
        3 => out[at..end].fill([0x00, 0xff, b'9', b'"'][rng.below(4) as usize]),
        4 => drop(out.drain(at..end)),
        _ => {
            let again = out[at..end].to_vec();
            out.splice(at..at, again);
        }
    }
    out
}

/// Loads what lies at `path` and uses it a little. True if it was refused.
fn try_out(path: &Path, what: &str) -> bool {
    LARGEST.set(0);
    let options = LoadOptions { exec: exec(), ..LoadOptions::default() };
    let loaded = load(&path.to_string_lossy(), &options, &Host::default());
    let largest = LARGEST.get();
    assert!(largest <= MOST, "{what}: {largest} bytes were asked for at once");
    match loaded {
        Err(error) => {
            let (text, place) = (error.to_string(), path.display().to_string());
            assert!(text.contains(&place), "{what}: `{text}` does not name the file");
            true
        }
        Ok(model) => {
            // Whatever it says is as good as any other, but it must be said.
            let short = GenerateOptions { max_tokens: 2, ..GenerateOptions::default() };
            if let Ok(tokenizer) = model.tokenizer()
                && let Ok(ids) = tokenizer.encode("w5 w3 abc", true)
            {
                let _ = tokenizer.decode(&ids, false);
            }
            let _ = model.generate(&[vec![3, 1]], &short, &Host::default(), None);
            false
        }
    }
}

#[test]
fn damaged_gguf_files_are_refused_or_harmless() {
    let (_dir, path) = gguf::with_tokenizer();
    let bytes = std::fs::read(&path).expect("reads");
    assert!(!try_out(&path, "whole"));
    let (mut rng, mut refused) = (Rng::new(31), 0);
    for case in 0..600 {
        std::fs::write(&path, damaged(&bytes, bytes.len() / 4, &mut rng)).expect("writes");
        refused += usize::from(try_out(&path, &format!("case {case}")));
    }
    assert!((100..600).contains(&refused), "{refused} of 600 were refused");
}

#[test]
fn damaged_folders_are_refused_or_harmless() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().join("model");
    let tokenizer = folders::words(dir.path());
    let model = folders::model("qwen2", json!({})).with_tokenizer(tokenizer);
    model.save(&folder, &SaveOptions::default(), &Host::default()).expect("writes");
    std::fs::write(folder.join("generation_config.json"), r#"{"eos_token_id": [2, 5]}"#).expect("writes");
    assert!(!try_out(&folder, "whole"));
    for (file, head) in [
        ("model.safetensors", 2500),
        ("config.json", 4000),
        ("tokenizer.json", 4000),
        ("tokenizer_config.json", 4000),
        ("generation_config.json", 4000),
    ] {
        let path = folder.join(file);
        let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{file}: {e}"));
        let (mut rng, mut refused) = (Rng::new(32).fork(file), 0);
        for case in 0..300 {
            std::fs::write(&path, damaged(&bytes, head, &mut rng)).expect("writes");
            refused += usize::from(try_out(&folder, &format!("{file}, case {case}")));
        }
        assert!((10..300).contains(&refused), "{file}: {refused} of 300 were refused");
        std::fs::write(&path, bytes).expect("writes");
    }
}
