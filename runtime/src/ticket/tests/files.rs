//! Ticket files that are not whole, and files that were being written when the program ended.

use super::*;

fn sample(path: &Path, kind: ValueType) -> Ticket {
    let exec = Exec::cpu();
    let mut ticket = ticket(&exec, &params(1, DType::F32), &random(0.5, None, 1), 1);
    ticket.meta.seed = Some(7);
    ticket.meta.data = Some("gsm8k:1234".into());
    ticket.meta.settings.insert("density".into(), serde_json::json!(0.5));
    ticket.save(path, kind).expect("saves");
    ticket
}

/// Loads these bytes as a ticket of the right model, and says why it is refused.
fn why_not(path: &Path, bytes: &[u8]) -> String {
    std::fs::write(path, bytes).expect("writes");
    let reason = text(Ticket::load(path, Some(&universe())));
    reason.strip_prefix(&format!("{}: ", path.display())).expect("names the file").to_string()
}

#[test]
fn a_flipped_bit_in_any_byte_is_refused_with_the_reason() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("t.safetensors");
    for kind in [ValueType::F32, ValueType::Bf16] {
        sample(&path, kind);
        let bytes = std::fs::read(&path).expect("reads");
        let begin = 8 + u64::from_le_bytes(bytes[..8].try_into().expect("eight")) as usize;
        for at in 0..bytes.len() {
            for bit in [at % 8, (at + 5) % 8] {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                let reason = why_not(&path, &damaged);
                let known = [
                    "is damaged: ",
                    "is cut short: ",
                    "is not a ticket file",
                    "is a ticket file of version ",
                    "not of the same model: ",
                ];
                assert!(known.iter().any(|k| reason.starts_with(k)), "bit {bit} of byte {at}: {reason}");
                // Behind the header, nothing but the checksum can tell.
                let checksum = "is damaged: its checksum does not fit its contents; this ticket must be copied or made again";
                assert!(at < begin || reason == checksum, "bit {bit} of byte {at}: {reason}");
            }
        }
    }
}

#[test]
fn every_cut_and_every_addition_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("t.safetensors");
    sample(&path, ValueType::F32);
    let bytes = std::fs::read(&path).expect("reads");
    for len in 0..bytes.len() {
        let reason = why_not(&path, &bytes[..len]);
        let expected = if len < 8 { "is not a ticket file" } else { "is cut short: it has " };
        assert!(reason.starts_with(expected), "{len} bytes: {reason}");
        let behind = why_not(&path, &bytes[bytes.len() - len..]);
        assert!(behind.starts_with("is "), "the last {len} bytes: {behind}");
    }
    for at in (0..=bytes.len()).step_by(17) {
        let grown = [&bytes[..at], &[0x20], &bytes[at..]].concat();
        assert!(why_not(&path, &grown).starts_with("is "), "a byte more at {at}");
        let doubled = [&bytes[..at], &bytes[..]].concat();
        assert!(at == 0 || why_not(&path, &doubled).starts_with("is "), "begun again at {at}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_bytes_at_all_make_a_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..400), at in any::<prop::sample::Index>(),
        many in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("t.safetensors");
        sample(&path, ValueType::F32);
        let whole = std::fs::read(&path).expect("reads");
        why_not(&path, &bytes);
        // Noise in place of some bytes, and some bytes changed.
        let mut noisy = whole.clone();
        let from = at.index(whole.len());
        let to = (from + bytes.len()).min(whole.len());
        noisy[from..to].copy_from_slice(&bytes[..to - from]);
        let mut changed = whole.clone();
        many.iter().for_each(|(at, byte)| changed[at.index(whole.len())] = *byte);
        for damaged in [noisy, changed] {
            if damaged != whole {
                why_not(&path, &damaged);
            }
        }
    }
}

#[test]
fn a_ticket_of_another_model_is_refused_by_name() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("t.safetensors");
    sample(&path, ValueType::F32);
    let mut specs = universe().specs().to_vec();
    specs[2].shape = vec![8, 4];
    let other = Universe::new(specs).expect("valid");
    assert_eq!(
        text(Ticket::load(&path, Some(&other))),
        format!(
            "{}: not of the same model: parameter up_proj.weight has shape [8, 4] in one and [4, 8] in the other",
            path.display()
        )
    );
}

/// Where the other process is to die, or nothing in this one.
const PLACE: &str = "LOTA_TEST_DIES_AT";

#[test]
fn a_program_that_dies_while_it_writes_leaves_the_old_file() {
    use crate::mask::archive::{self, Kind, Part};
    const KIND: Kind = Kind { format: "lota-ticket", noun: "ticket", version: 1 };
    if let Some(path) = std::env::var_os(PLACE) {
        // This is the other process: it ends without a word in the middle of the second tensor.
        let part = |name: &str, last: bool| Part {
            name: name.to_string(),
            dtype: "U8",
            len: 4 << 20,
            write: Box::new(move |out| {
                out.write_all(&vec![1; 3 << 20])?;
                if last {
                    std::process::abort();
                }
                out.write_all(&vec![1; 1 << 20])
            }),
        };
        let parts = vec![part("a", false), part("b", true)];
        let saved = archive::save(Path::new(&path), &KIND, &[], parts);
        unreachable!("it was to die, and not to end with {saved:?}");
    }
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("t.safetensors");
    let old = sample(&path, ValueType::F32);
    let before = std::fs::read(&path).expect("reads");
    let this = "ticket::tests::files::a_program_that_dies_while_it_writes_leaves_the_old_file";
    let out = std::process::Command::new(std::env::current_exe().expect("a program"))
        .args([this, "--exact", "--nocapture"])
        .env(PLACE, &path)
        .output()
        .expect("runs");
    assert!(!out.status.success());
    assert!(out.status.code().is_none(), "it died by itself: {out:?}");
    // It had got somewhere: what it wrote lies beside, under a name that nobody reads.
    let beside: Vec<u64> = std::fs::read_dir(dir.path())
        .expect("lists")
        .map(|entry| entry.expect("is there"))
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(".lota-"))
        .map(|entry| entry.metadata().expect("is there").len())
        .collect();
    assert!(beside.len() == 1 && beside[0] > 4 << 20, "{beside:?}");
    assert_eq!(std::fs::read(&path).expect("reads"), before);
    assert_eq!(Ticket::load(&path, Some(&universe())).expect("loads"), old);
}

#[test]
fn an_empty_ticket_is_a_ticket() {
    let exec = Exec::cpu();
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("t.safetensors");
    let params = params(1, DType::F32);
    let empty = ticket(&exec, &params, &Mask::none(universe()), 1);
    for kind in [ValueType::F32, ValueType::Bf16] {
        let saved = empty.save(&path, kind).expect("saves");
        assert_eq!((saved.entries, saved.index_bytes, saved.value_bytes, saved.rounded), (0, 0, 0, 0));
        assert_eq!(saved.per_entry(), 0.0);
        assert_eq!(Ticket::load(&path, Some(&universe())).expect("loads"), empty);
        assert_eq!(stored_as(&path).expect("reads"), ValueType::F32);
    }
    let before = bits(&params);
    let mut stack = Stack::new();
    let applied = stack.apply(&exec, &params, &empty, "nothing", false).expect("the right base");
    assert_eq!(bits(&params), before);
    stack.unapply(&exec, &params, applied).expect("is applied");
    assert_eq!(bits(&params), before);
}

#[test]
fn the_type_of_stored_values_is_known() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("t.safetensors");
    for kind in [ValueType::F32, ValueType::Bf16] {
        sample(&path, kind);
        assert_eq!(stored_as(&path).expect("reads"), kind);
    }
}
