//! What is gathered from linear layers, in every family: which layers are seen, that outputs are those of their weights, and
//! that both paths of the operations agree.

use std::collections::BTreeSet;

use candle_core::{DType, Tensor};
use lota_runtime::data::Batch;
use lota_runtime::host::{Cancel, Host, Rng};
use lota_runtime::model::{Decoder, ParamSpec, Params};
use lota_runtime::ops::Exec;
use lota_runtime::stats::{Each, Kind, Stats, Wanted, collect};

use crate::common::{bits, decoder, difference, exec, largest, params, tokens};
use crate::zoo;

fn batch(seed: u64) -> Batch {
    let mut rng = Rng::new(seed);
    Batch::of_tokens(&[9usize, 4, 11].map(|len| tokens(&mut rng, len, 37)))
}

const FORWARD: [Kind; 4] = [Kind::InputNorm, Kind::OutputNorm, Kind::OutputMagnitude, Kind::Gram];

fn every(decoder: &Decoder) -> Wanted {
    let modules = decoder.linear_layers().iter().map(|layer| layer.weight).collect();
    Wanted { kinds: FORWARD.to_vec(), modules }
}

fn gathered(exec: &Exec, decoder: &Decoder, params: &Params, batches: &[Batch]) -> Stats {
    collect(exec, &Host::default(), decoder, params, batches, &every(decoder), None).expect("gathers")
}

#[test]
fn every_linear_layer_of_every_family_is_seen_with_its_own_input_and_output() {
    for case in zoo::all() {
        let decoder = decoder(&case.json);
        let params = params(&decoder, 3);
        let universe = decoder.universe();
        let batch = batch(1);
        let mut seen = BTreeSet::new();
        let mut look = |spec: &ParamSpec, x: &Tensor, y: &Tensor| {
            let index = universe.get(&spec.name)?;
            assert!(seen.insert(index), "{}: {} was seen twice", case.name, spec.name);
            assert_eq!([y.dim(1)?, x.dim(1)?], spec.shape[..], "{}: {}", case.name, spec.name);
            let product = x.matmul(&params.get(index).t()?)?;
            let bias = universe.index_of(&spec.name.replace(".weight", ".bias"));
            let product = match bias {
                Some(bias) => product.broadcast_add(params.get(bias))?,
                None => product,
            };
            assert!(difference(&product, y) < 1e-4 * largest(y), "{}: {}", case.name, spec.name);
            assert_eq!(x.dim(0)?, batch.len());
            Ok(())
        };
        let wanted = Wanted { kinds: Vec::new(), modules: every(&decoder).modules };
        let each: &mut Each<'_> = &mut look;
        let host = Host::default();
        collect(&exec(), &host, &decoder, &params, &[&batch], &wanted, Some(each)).expect("runs");
        let linear = |i: &usize| {
            let spec = universe.spec(*i);
            spec.adaptable() || spec.name == "lm_head.weight"
        };
        let expected: BTreeSet<usize> = (0..universe.len()).filter(linear).collect();
        assert_eq!(seen, expected, "{}", case.name);
    }
}

#[test]
fn both_paths_and_any_cut_into_batches_gather_the_same() {
    for case in zoo::all() {
        let decoder = decoder(&case.json);
        let params = params(&decoder, 3);
        let whole = batch(2);
        let parts: Vec<Batch> = whole.each().collect();
        let first = gathered(&exec(), &decoder, &params, std::slice::from_ref(&whole));
        let others = [
            gathered(&exec(), &decoder, &params, &parts),
            gathered(&Exec::cpu().with_reference(true), &decoder, &params, &[whole]),
        ];
        for other in others {
            assert_eq!(other.about(), first.about());
            for kind in FORWARD {
                assert_eq!(other.of(kind).count(), decoder.linear_layers().len());
                for (i, spec, tensor) in other.of(kind) {
                    let ours = first.get(kind, i).expect("the same layers");
                    let far = difference(ours, tensor) / largest(ours);
                    assert!(far < 1e-4, "{}: {} of {} by {far:e}", case.name, kind.as_str(), spec.name);
                }
            }
        }
    }
}

#[test]
fn sums_do_not_depend_on_the_number_of_threads_and_layers_share_what_they_are_given() {
    let decoder = decoder(&zoo::all()[0].json);
    let params = params(&decoder, 3);
    let on = |threads: usize| {
        let exec = Exec::new(candle_core::Device::Cpu, threads).expect("threads");
        gathered(&exec, &decoder, &params, &[batch(4), batch(5)])
    };
    let (one, four) = (on(1), on(4));
    for kind in FORWARD {
        for (i, spec, tensor) in one.of(kind) {
            assert_eq!(bits(tensor), bits(four.get(kind, i).expect("is there")), "{}", spec.name);
        }
    }
    let index =
        |name: &str| decoder.universe().get(&format!("model.layers.0.{name}.weight")).expect("is there");
    let id = |name: &str| one.get(Kind::Gram, index(name)).expect("is there").id();
    assert_eq!(id("self_attn.q_proj"), id("self_attn.v_proj"));
    assert_eq!(id("mlp.gate_proj"), id("mlp.up_proj"));
    assert_ne!(id("self_attn.q_proj"), id("self_attn.o_proj"));
    let gram = one.get(Kind::Gram, index("mlp.down_proj")).expect("is there");
    assert_eq!((gram.dims(), gram.dtype()), ([40, 40].as_slice(), DType::F32));
}

#[test]
fn a_pass_can_be_stopped_and_what_makes_no_sense_is_refused() {
    let decoder = decoder(&zoo::all()[0].json);
    let params = params(&decoder, 3);
    let run = |host: &Host, batches: &[Batch], wanted: &Wanted| {
        collect(&exec(), host, &decoder, &params, batches, wanted, None).map(drop).map_err(|e| e.to_string())
    };
    let all = every(&decoder);
    let host = Host { cancel: Cancel::default(), ..Host::default() };
    host.cancel.cancel();
    assert!(run(&host, &[batch(1)], &all).is_err());
    let host = Host::default();
    let says = |what: Result<(), String>, text: &str| {
        let error = what.expect_err("is refused");
        assert!(error.contains(text), "{error}");
    };
    says(run(&host, &[], &all), "no batches");
    says(run(&host, &[batch(1)], &Wanted { kinds: Vec::new(), ..all.clone() }), "no kind");
    says(run(&host, &[batch(1)], &Wanted { modules: Vec::new(), ..all.clone() }), "no linear layer");
    says(
        run(&host, &[batch(1)], &Wanted { modules: vec![0], ..all.clone() }),
        "the weight of no linear layer",
    );
    says(run(&host, &[batch(1)], &Wanted { kinds: vec![Kind::Fisher], ..all }), "from gradients");
}
