//! Files that were cut or changed: each is refused with an error that names it. Nothing panics and nothing is half taken.

use std::collections::BTreeSet;

use lota::runtime::host::Rng;

use super::{Row, each_row, restore};

/// Where a file is cut: at everything its format is made of, a byte before and after, and anywhere.
fn cuts(bytes: &[u8], rng: &mut Rng) -> BTreeSet<usize> {
    let mut at: BTreeSet<usize> = [0, 1, 7, 8, 9].into();
    for end in ends(bytes) {
        at.extend([end.saturating_sub(1), end, end + 1]);
    }
    at.extend((0..12).map(|_| rng.below(bytes.len().max(1) as u64) as usize));
    at.retain(|at| *at < bytes.len());
    at
}

/// Where the header and each tensor of a safetensors file end; of a text, where each line does.
fn ends(bytes: &[u8]) -> Vec<usize> {
    let Some(header) = header(bytes) else {
        return bytes.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| at + 1).collect();
    };
    let json: serde_json::Value = serde_json::from_slice(&bytes[8..header]).expect("a header");
    let tensors = json.as_object().expect("an object").values();
    let offsets = tensors.filter_map(|t| t["data_offsets"][1].as_u64());
    std::iter::once(header).chain(offsets.map(|end| header + end as usize)).collect()
}

/// Where the header of a safetensors file ends; nothing of another file.
fn header(bytes: &[u8]) -> Option<usize> {
    let length = u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?);
    let end = usize::try_from(length).ok()?.checked_add(8)?;
    (end <= bytes.len()).then_some(end)
}

/// Reads a file in place of the whole one. What comes of it is the version that was written, or an error that names it.
fn refused(row: &Row, name: &str, bytes: &[u8], at: &str) -> bool {
    let path = row.out.join(name);
    std::fs::write(&path, bytes).expect("writes");
    match row.read() {
        Ok(seed) => {
            // A run is read to its last whole record.
            let fits = seed == 2 || row.what == "run" && seed < 2;
            assert!(fits, "{at}: taken for version {seed}");
            false
        }
        Err(told) => {
            assert!(told.contains(&row.path.display().to_string()), "{at}: does not name the file: {told}");
            assert!(!told.contains("panic"), "{at}: {told}");
            true
        }
    }
}

#[test]
fn a_torn_or_changed_file_is_refused_by_its_name() {
    each_row(|row| {
        let files: Vec<(&String, &Vec<u8>)> =
            row.new.iter().filter(|(name, _)| !name.ends_with('/') && !name.ends_with("notes.md")).collect();
        let (mut cut, mut changed) = (0, 0);
        for (name, bytes) in files {
            restore(&row.out, &row.new);
            let mut rng = Rng::new(5).fork(name);
            let tensors = header(bytes);
            for at in cuts(bytes, &mut rng) {
                let told = format!("{}: {name} cut at {at} of {}", row.what, bytes.len());
                let is_refused = refused(&row, name, &bytes[..at], &told);
                assert!(is_refused || tensors.is_none(), "{told}: it was read");
                cut += usize::from(is_refused);
                restore(&row.out, &row.new);
            }
            // What ends with a hash knows every one of its bits. Of weights there is none: their header is looked at alone.
            let Some(head) = tensors else { continue };
            let sealed = !name.contains('/');
            let within = if sealed { bytes.len() } else { 8 };
            let near = (0..8).chain([head - 1, head, bytes.len() - 1]).filter(|at| *at < within);
            let places: Vec<usize> = near.chain((0..40).map(|_| rng.below(within as u64) as usize)).collect();
            for at in places {
                let mut wrong = bytes.clone();
                wrong[at] ^= 1 << rng.below(8);
                let told = format!("{}: {name} with byte {at} of {} changed", row.what, bytes.len());
                assert!(refused(&row, name, &wrong, &told), "{told}: it was read");
                changed += 1;
            }
            restore(&row.out, &row.new);
        }
        println!("{}: {cut} cuts and {changed} changed bytes refused", row.what);
        assert!(cut > 0 || row.what == "run", "{}", row.what);
        assert_eq!(row.read(), Ok(2));
    });
}
