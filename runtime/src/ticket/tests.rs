//! Tests of tickets: exact bits back, in every order that is allowed, and nothing else accepted.

use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use proptest::prelude::*;

use super::*;
use crate::host::{Host, Rng};
use crate::mask::{self, Budget, Scope};
use crate::model::{ParamSpec, Role, Universe};

mod files;
mod from;

fn universe() -> Arc<Universe> {
    let spec = |name: &str, shape: &[usize], role| ParamSpec {
        name: name.to_string(),
        shape: shape.to_vec(),
        role,
        layer: Some(0),
    };
    let specs = vec![
        spec("q_proj.weight", &[6, 5], Role::Attention),
        spec("q_proj.bias", &[6], Role::Bias),
        spec("up_proj.weight", &[4, 8], Role::Mlp),
    ];
    Universe::new(specs).expect("valid")
}

fn params(seed: u64, dtype: DType) -> Params {
    let mut rng = Rng::new(seed);
    let tensor = |spec: &ParamSpec| {
        let values: Vec<f32> = (0..spec.entries()).map(|_| rng.normal() as f32).collect();
        let tensor = Tensor::from_vec(values, spec.shape.clone(), &Device::Cpu).expect("fits");
        if spec.role == Role::Bias { tensor } else { tensor.to_dtype(dtype).expect("converts") }
    };
    let tensors = universe().specs().iter().map(tensor).collect();
    Params::new(universe(), tensors).expect("fits")
}

fn bits(params: &Params) -> Vec<u32> {
    let flat = |t: &Tensor| t.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>();
    params.tensors().iter().flat_map(|t| flat(t).expect("floats")).map(f32::to_bits).collect()
}

/// The model after a pretended training of some entries, and the ticket of it.
fn ticket(exec: &Exec, base: &Params, mask: &Mask, seed: u64) -> Ticket {
    let mut rng = Rng::new(seed);
    let values = mask.sets().iter().map(|s| (0..s.len()).map(|_| rng.normal() as f32).collect()).collect();
    Ticket::new(mask.clone(), values, Meta::new(base.fingerprint(exec).expect("hashes"), "test"))
        .expect("fits")
}

fn random(density: f64, avoid: Option<&Mask>, seed: u64) -> Mask {
    let all = Mask::all(universe());
    let mut rng = Rng::new(seed);
    mask::random(&all, avoid, Budget::Density(density), Scope::Global, &mut rng, &Host::default())
        .expect("enough")
}

fn text<T>(result: Result<T>) -> String {
    result.err().expect("must fail").to_string()
}

fn any_mask() -> impl Strategy<Value = Mask> {
    (0.01f64..1.0, any::<u64>()).prop_map(|(density, seed)| random(density, None, seed))
}

proptest! {
    #[test]
    fn what_is_taken_off_leaves_no_trace(
        masks in proptest::collection::vec(any_mask(), 1..5), order in any::<u64>(), bf16 in any::<bool>(),
        reference in any::<bool>(),
    ) {
        let exec = Exec::cpu().with_reference(reference);
        let params = params(1, if bf16 { DType::BF16 } else { DType::F32 });
        let before = bits(&params);
        let base = params.fingerprint(&exec).expect("hashes");
        let tickets: Vec<Ticket> = masks.iter().zip(0..).map(|(m, i)| ticket(&exec, &params, m, i)).collect();
        let mut stack = Stack::new();
        let clone = params.clone();
        let mut applied: Vec<Applied> = tickets
            .iter()
            .map(|t| stack.apply(&exec, &params, t, "t", false).expect("the right base"))
            .collect();
        let last = Ticket::extract(&exec, &params, tickets[tickets.len() - 1].mask(), Meta::default()).expect("same");
        for (i, ..) in last.mask().selected() {
            let rounded = |v: f32| if params.get(i).dtype() == DType::BF16 { half::bf16::from_f32(v).to_f32() } else { v };
            let written: Vec<f32> = tickets[tickets.len() - 1].values(i).iter().map(|&v| rounded(v)).collect();
            prop_assert_eq!(last.values(i), written);
        }
        // Outside all masks nothing has moved.
        let touched = mask::union(&masks.iter().collect::<Vec<_>>()).expect("same");
        let flags = (0..3).flat_map(|p| (0..universe().spec(p).entries() as u32).map(move |i| (p, i)));
        for ((p, i), (old, new)) in flags.zip(before.iter().zip(bits(&clone))) {
            prop_assert!(touched.set(p).contains(i) || *old == new);
        }
        // Any order that is allowed leads back.
        let mut rng = Rng::new(order);
        while !applied.is_empty() {
            let at = rng.below(applied.len() as u64) as usize;
            if stack.unapply(&exec, &params, applied[at]).is_ok() {
                applied.remove(at);
            }
        }
        prop_assert_eq!(bits(&params), before);
        prop_assert_eq!(params.fingerprint(&exec).expect("hashes"), base);
    }

    #[test]
    fn a_saved_ticket_comes_back(mask in any_mask(), seed in any::<u64>(), narrow in any::<bool>()) {
        let exec = Exec::cpu();
        let mut original = ticket(&exec, &params(1, DType::F32), &mask, seed);
        original.meta.seed = Some(seed);
        original.meta.data = Some("gsm8k:1234".into());
        original.meta.settings.insert("density".into(), serde_json::json!(0.1));
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("t.safetensors");
        let kind = if narrow { ValueType::Bf16 } else { ValueType::F32 };
        let saved = original.save(&path, kind).expect("saves");
        prop_assert_eq!(saved.bytes, std::fs::metadata(&path).expect("is there").len());
        let loaded = Ticket::load(&path, Some(&universe())).expect("loads");
        if narrow {
            let round = |v: &f32| half::bf16::from_f32(*v).to_f32();
            let mut rounded = 0;
            for list in &mut original.values {
                for v in list.iter_mut() {
                    rounded += u64::from(round(v).to_bits() != v.to_bits());
                    *v = round(v);
                }
            }
            prop_assert_eq!(saved.rounded, rounded);
            if saved.max_error > 0.0 {
                let lost = loaded.meta.settings.get("rounded_before").cloned().unwrap_or_default();
                prop_assert!(lost.as_str().is_some_and(|lost| lost.starts_with("bf16: at most by ")), "{}", lost);
                original.meta.settings.insert("rounded_before".into(), lost);
            }
        }
        prop_assert_eq!(loaded, original);
    }
}

proptest! {
    #[test]
    fn disjoint_tickets_come_and_go_in_any_order(
        owners in proptest::collection::vec(0usize..5, 68), moves in proptest::collection::vec(0usize..4, 0..40),
        bf16 in any::<bool>(), reference in any::<bool>(),
    ) {
        let exec = Exec::cpu().with_reference(reference);
        let params = params(1, if bf16 { DType::BF16 } else { DType::F32 });
        let before = bits(&params);
        // Each entry belongs to one of four tickets, or to none.
        let mut sets = vec![vec![roaring::RoaringBitmap::new(); 3]; 4];
        let mut owner = owners.iter();
        for (p, spec) in universe().specs().iter().enumerate() {
            for (i, owner) in (0..spec.entries() as u32).zip(owner.by_ref()) {
                if let Some(sets) = sets.get_mut(*owner) {
                    sets[p].insert(i);
                }
            }
        }
        let masks: Vec<Mask> = sets.into_iter().map(|sets| Mask::new(universe(), sets).expect("fits")).collect();
        let tickets: Vec<Ticket> = masks.iter().zip(0..).map(|(m, i)| ticket(&exec, &params, m, i)).collect();
        let mut stack = Stack::new();
        let mut on = [None; 4];
        for which in moves {
            on[which] = match on[which] {
                None => Some(stack.apply(&exec, &params, &tickets[which], "t", false).expect("the right base")),
                Some(applied) => {
                    stack.unapply(&exec, &params, applied).expect("shares nothing");
                    None
                }
            };
            // What is on is there, and everything else is as it was: one entry at a time.
            let mut expected = before.clone();
            let mut start = 0;
            for (p, spec) in universe().specs().iter().enumerate() {
                for (ticket, _) in tickets.iter().zip(on).filter(|(_, on)| on.is_some()) {
                    for (i, value) in ticket.mask().set(p).iter().zip(ticket.values(p)) {
                        let narrow = params.get(p).dtype() == DType::BF16;
                        let value = if narrow { half::bf16::from_f32(*value).to_f32() } else { *value };
                        expected[start + i as usize] = value.to_bits();
                    }
                }
                start += spec.entries() as usize;
            }
            prop_assert_eq!(bits(&params), expected);
        }
        stack.unapply_all(&exec, &params).expect("all of them");
        prop_assert_eq!(bits(&params), before);
    }
}

#[test]
fn disjoint_tickets_come_off_in_any_order() {
    let exec = Exec::cpu();
    let params = params(1, DType::BF16);
    let before = bits(&params);
    let first = random(0.3, None, 1);
    let second = random(0.3, Some(&first), 2);
    let (a, b) = (ticket(&exec, &params, &first, 1), ticket(&exec, &params, &second, 2));
    let mut stack = Stack::new();
    let on_a = stack.apply(&exec, &params, &a, "a", false).expect("the right base");
    let on_b = stack.apply(&exec, &params, &b, "b", false).expect("the right base, under a");
    let both = bits(&params);
    stack.unapply(&exec, &params, on_a).expect("disjoint");
    let on_a = stack.apply(&exec, &params, &a, "a", false).expect("the right base, under b");
    assert_eq!(bits(&params), both);
    stack.unapply(&exec, &params, on_b).expect("disjoint");
    stack.unapply(&exec, &params, on_a).expect("the only one");
    assert_eq!(bits(&params), before);
    assert_eq!(
        text(stack.unapply(&exec, &params, on_a)),
        "this ticket is not applied to this model (or has been taken off already)"
    );
}

#[test]
fn a_ticket_under_another_waits_for_it() {
    let exec = Exec::cpu();
    let params = params(1, DType::F32);
    let before = bits(&params);
    let rows = |rows: &[usize]| Mask::rows(universe(), &[0], rows).expect("fits");
    let low = ticket(&exec, &params, &rows(&[0, 1]), 1);
    let high = ticket(&exec, &params, &rows(&[1, 2]), 2);
    let mut stack = Stack::new();
    let on_low = stack.apply(&exec, &params, &low, "low", false).expect("applies");
    let on_high = stack.apply(&exec, &params, &high, "high", false).expect("applies");
    let refusal = "ticket \"low\" cannot be taken off before \"high\", which was applied later and shares 5 entries \
                   with it: take \"high\" off first";
    assert_eq!(text(stack.unapply(&exec, &params, on_low)), refusal);
    assert_eq!(text(stack.swap(&exec, &params, on_low, &high, "other", false)), refusal);
    assert_eq!(stack.applied().map(|(_, name)| name).collect::<Vec<_>>(), ["low", "high"]);
    let on_other = stack.swap(&exec, &params, on_high, &low, "again", false).expect("swaps");
    assert!(stack.holds(on_other) && !stack.holds(on_high));
    stack.unapply_all(&exec, &params).expect("last first");
    assert_eq!(bits(&params), before);
}

#[test]
fn a_ticket_of_another_base_is_refused() {
    let exec = Exec::cpu();
    let (other, params) = (params(2, DType::F32), params(1, DType::F32));
    let foreign = ticket(&exec, &other, &random(0.2, None, 1), 1);
    let mut stack = Stack::new();
    let print = |p: &Params| p.fingerprint(&exec).expect("hashes")[..16].to_string();
    assert_eq!(
        text(stack.apply(&exec, &params, &foreign, "t", false)),
        format!(
            "the ticket was made on another base: the fingerprint of that model is {}, and that of this one is {}",
            print(&other),
            print(&params)
        )
    );
    let before = bits(&params);
    let applied = stack.apply(&exec, &params, &foreign, "t", true).expect("without the check");
    assert_ne!(bits(&params), before);
    stack.unapply(&exec, &params, applied).expect("takes off");
    assert_eq!(bits(&params), before);
    // A change of the bare base is noticed: its own tickets no longer fit.
    let own = ticket(&exec, &params, &random(0.2, None, 1), 1);
    params.get(0).slice_set(&params.get(0).zeros_like().expect("zeros"), 0, 0).expect("writes");
    params.touch();
    assert!(
        text(stack.apply(&exec, &params, &own, "t", false))
            .starts_with("the ticket was made on another base")
    );
}

fn refusal(path: &Path, bytes: &[u8]) -> String {
    std::fs::write(path, bytes).expect("writes");
    let text = text(Ticket::load(path, Some(&universe())));
    text.strip_prefix(&format!("{}: ", path.display())).expect("names the file").to_string()
}

#[test]
fn damaged_and_future_files_are_refused_with_the_reason() {
    let exec = Exec::cpu();
    let original = ticket(&exec, &params(1, DType::F32), &random(0.5, None, 1), 1);
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("t.safetensors");
    let saved = original.save(&path, ValueType::F32).expect("saves");
    assert_eq!((saved.entries, saved.value_bytes), (34, 136));
    assert_eq!(saved.per_entry(), saved.bytes as f64 / 34.0);
    let bytes = std::fs::read(&path).expect("reads");
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().expect("eight")) as usize;
    // The first bytes after the header are values: only the checksum can tell.
    let mut damaged = bytes.clone();
    damaged[header] ^= 1;
    let checksum =
        "is damaged: its checksum does not fit its contents; this ticket must be copied or made again";
    assert_eq!(refusal(&path, &damaged), checksum);
    assert_eq!(
        refusal(&path, &bytes[..bytes.len() - 5]),
        format!(
            "is cut short: it has {} bytes of {}; copy or download it again",
            bytes.len() - 5,
            bytes.len()
        )
    );
    let version = b"\"version\":\"1\"";
    let at = bytes.windows(version.len()).position(|w| w == version).expect("is there");
    let mut future = bytes.clone();
    future[at + 11] = b'3';
    assert_eq!(
        refusal(&path, &future),
        format!(
            "is a ticket file of version 3, and this lota ({}) reads up to version 2: use a newer lota",
            env!("CARGO_PKG_VERSION")
        )
    );
    original.mask().save(&path).expect("saves");
    let mask = std::fs::read(&path).expect("reads");
    assert_eq!(refusal(&path, &mask), "is not a ticket file");
}

#[test]
fn values_must_fit_the_mask() {
    let mask = Mask::rows(universe(), &[0], &[0]).expect("fits");
    let wrong = Ticket::new(mask.clone(), vec![vec![0.0; 4], vec![], vec![]], Meta::default());
    assert_eq!(text(wrong), "parameter q_proj.weight has 5 entries in the mask and 4 values");
    assert_eq!(
        text(Ticket::new(mask, vec![], Meta::default())),
        "a ticket of this model needs 3 lists of values, one for each parameter, and got 0"
    );
}
