//! Ticket files that are not whole, and files that were being written when the program ended.

use super::*;

fn sample(path: &Path, form: impl Into<Form<'static>>) -> Ticket {
    let ticket = example();
    ticket.save(path, form).expect("saves");
    ticket
}

/// Every form that needs no base.
fn forms() -> impl Iterator<Item = Form<'static>> {
    Codec::ALL.into_iter().flat_map(|codec| ValueType::ALL.map(|values| Form { codec, values, base: None }))
}

fn example() -> Ticket {
    let exec = Exec::cpu();
    let mut ticket = ticket(&exec, &params(1, DType::F32), &random(0.5, None, 1), 1);
    ticket.meta.seed = Some(7);
    ticket.meta.data = Some("gsm8k:1234".into());
    ticket.meta.settings.insert("density".into(), serde_json::json!(0.5));
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
    for form in forms() {
        sample(&path, form);
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
                    "is written by ",
                    "has values of ",
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
    use crate::host::archive::{self, Kind, Part};
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
    }
    let before = bits(&params);
    let mut stack = Stack::new();
    let applied = stack.apply(&exec, &params, &empty, "nothing", false).expect("the right base");
    assert_eq!(bits(&params), before);
    stack.unapply(&exec, &params, applied).expect("is applied");
    assert_eq!(bits(&params), before);
}

#[test]
fn every_form_says_how_it_is_written_and_comes_back() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("t.safetensors");
    let original = example();
    for form in forms() {
        let saved = original.save(&path, form).expect("saves");
        let read = TicketFile::read(&path, None).expect("reads");
        assert_eq!((read.codec, read.values, read.differences), (form.codec, form.values, false));
        assert_eq!((read.bytes, read.index_bytes), (saved.bytes, saved.index_bytes));
        assert_eq!(saved.index_bytes + saved.value_bytes, original.bytes(form.codec, form.values));
        let error = read.error.expect("is known");
        assert_eq!(error, (saved.max_error, saved.relative_error));
        assert_eq!((read.mask(), read.meta()), (original.mask(), original.meta()));
        let back = read.ticket(None).expect("takes no base");
        // The errors told are those that are there.
        let pairs = || original.values.iter().flatten().zip(back.values.iter().flatten());
        let off = |(a, b): (&f32, &f32)| f64::from(*a) - f64::from(*b);
        let (square, of) = (
            pairs().map(off).map(|d| d * d).sum::<f64>(),
            pairs().map(|(a, _)| f64::from(*a).powi(2)).sum::<f64>(),
        );
        assert_eq!(error.0, pairs().map(off).fold(0.0, |m, d| d.abs().max(m)));
        assert!((error.1 - (square / of).sqrt()).abs() <= 1e-12);
        assert_eq!(saved.rounded, pairs().filter(|(a, b)| a.to_bits() != b.to_bits()).count() as u64);
        match form.values {
            ValueType::F32 => assert_eq!(back, original),
            ValueType::Bf16 => assert!(error.1 > 0.0 && error.1 < 0.003, "{error:?}"),
            ValueType::Int8 => assert!(error.1 > 0.0 && error.1 < 0.01, "{error:?}"),
            ValueType::Ternary => assert!(error.1 > 0.1 && error.1 < 0.6, "{error:?}"),
        }
        // Written once more, nothing more is lost.
        let again = back.save(&path, form).expect("saves");
        assert!(
            again.relative_error < 1e-6,
            "{form_values:?}: {}",
            again.relative_error,
            form_values = form.values
        );
    }
}

#[test]
fn a_plain_file_is_of_the_first_version_while_it_can_be() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("t.safetensors");
    for form in forms() {
        sample(&path, form);
        let bytes = std::fs::read(&path).expect("reads");
        let first = bytes.windows(13).any(|w| w == b"\"version\":\"1\"");
        assert_eq!(first, form.codec == Codec::Plain && !form.values.scaled());
    }
}

#[test]
fn differences_take_their_base_and_lose_a_part_of_the_change_only() {
    let exec = Exec::cpu();
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("t.safetensors");
    let params = params(1, DType::F32);
    let mut original = example();
    // Near the base, as after a short training.
    let old = Ticket::extract(&exec, &params, original.mask(), Meta::default()).expect("fits");
    let mut rng = Rng::new(5);
    for (values, old) in original.values.iter_mut().zip(&old.values) {
        values.iter_mut().zip(old).for_each(|(v, old)| *v = old + 1e-3 * rng.normal() as f32);
    }
    for codec in Codec::ALL {
        for values in [ValueType::Int8, ValueType::Ternary] {
            let form = Form { codec, values, base: Some((&exec, &params)) };
            let saved = original.save(&path, form).expect("saves");
            let alone = Ticket::load(&path, None).expect_err("needs the base").to_string();
            assert!(alone.ends_with(
                "holds the differences of its values from its base, and is read with the base model at hand: give that model"
            ), "{alone}");
            let read = TicketFile::read(&path, None).expect("reads");
            assert!(read.differences);
            let other = super::params(2, DType::F32);
            let wrong = read.clone().ticket(Some((&exec, &other))).expect_err("another base").to_string();
            assert!(wrong.contains("holds differences from the base "), "{wrong}");
            let back = read.ticket(Some((&exec, &params))).expect("the base");
            for (new, exact) in back.values.iter().flatten().zip(original.values.iter().flatten()) {
                assert!(f64::from(new - exact).abs() <= saved.max_error + 1e-6);
            }
            assert!(saved.max_error < 4e-3, "{}", saved.max_error);
        }
        // What is exact is written as it is.
        let form = Form { codec, values: ValueType::F32, base: Some((&exec, &params)) };
        original.save(&path, form).expect("saves");
        assert_eq!(Ticket::load(&path, None).expect("takes no base"), original);
    }
}

/// The file with the metadata's `key` set to another value of the same length, and its checksum
/// right.
fn relabelled(path: &Path, key: &str, from: &str, to: &str) -> Vec<u8> {
    let mut bytes = std::fs::read(path).expect("reads");
    let (from, to) = (format!("\"{key}\":\"{from}\""), format!("\"{key}\":\"{to}\""));
    let at = bytes.windows(from.len()).position(|w| w == from.as_bytes()).expect("is there");
    bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    resealed(bytes)
}

fn resealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.len() - blake3::OUT_LEN;
    let hash = blake3::hash(&bytes[..end]);
    bytes[end..].copy_from_slice(hash.as_bytes());
    bytes
}

#[test]
fn codecs_of_the_future_are_refused_by_name() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("t.safetensors");
    let lota = env!("CARGO_PKG_VERSION");
    let refused = |key: &str, from: &str, to: &str, reason: String| {
        sample(&path, Form { codec: Codec::Compact, values: ValueType::Int8, base: None });
        let bytes = relabelled(&path, key, from, to);
        assert_eq!(why_not(&path, &bytes), reason);
    };
    refused(
        "codec_version",
        "1",
        "2",
        format!(
            "is written by version 2 of the codec \"compact\", and this lota ({lota}) reads up to version 1: use a newer lota"
        ),
    );
    refused(
        "codec",
        "compact",
        "compost",
        format!(
            "is written by the codec \"compost\", and this lota ({lota}) knows plain and compact: use a newer lota"
        ),
    );
    refused(
        "values",
        "int8",
        "int3",
        format!(
            "has values of type \"int3\", and this lota ({lota}) knows f32, bf16, int8 and ternary: use a newer lota"
        ),
    );
    refused("values", "int8", "bf16", "is damaged: its values are I8, and should be bf16".into());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn damage_under_a_right_checksum_makes_no_panic(
        codec in 0usize..2, values in 0usize..4,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("t.safetensors");
        sample(&path, Form { codec: Codec::ALL[codec], values: ValueType::ALL[values], base: None });
        let mut bytes = std::fs::read(&path).expect("reads");
        let begin = 8 + u64::from_le_bytes(bytes[..8].try_into().expect("eight")) as usize;
        let body = bytes.len() - blake3::OUT_LEN - begin;
        changes.iter().for_each(|(at, byte)| bytes[begin + at.index(body)] = *byte);
        std::fs::write(&path, resealed(bytes)).expect("writes");
        // It may be another ticket now, but it is one.
        if let Ok(ticket) = Ticket::load(&path, Some(&universe())) {
            let entries: usize = ticket.values.iter().map(Vec::len).sum();
            prop_assert_eq!(entries as u64, ticket.entries());
        }
    }
}
