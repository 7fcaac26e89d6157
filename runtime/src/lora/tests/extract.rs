//! Adapters made of task vectors: as near as there can be, and the error told is the one there is.

use proptest::prelude::*;

use super::*;
use crate::host::Rng;

const OPTIONS: ExtractOptions = ExtractOptions { rank: 3, oversample: 4, power: 2, seed: 1 };

/// Columns of length 1 that stand upright on each other, by Gram and Schmidt.
fn orthonormal(rows: usize, count: usize, rng: &mut Rng) -> Vec<Vec<f64>> {
    let mut columns: Vec<Vec<f64>> = Vec::new();
    while columns.len() < count {
        let mut new: Vec<f64> = (0..rows).map(|_| rng.normal()).collect();
        for _ in 0..2 {
            for old in &columns {
                let along: f64 = new.iter().zip(old).map(|(a, b)| a * b).sum();
                new.iter_mut().zip(old).for_each(|(a, b)| *a -= along * b);
            }
        }
        let length = new.iter().map(|v| v * v).sum::<f64>().sqrt();
        columns.push(new.into_iter().map(|v| v / length).collect());
    }
    columns
}

/// A matrix with these singular values, row by row.
fn with_values(rows: usize, cols: usize, values: &[f64], seed: u64) -> Vec<f32> {
    let mut rng = Rng::new(seed);
    let (u, v) = (orthonormal(rows, values.len(), &mut rng), orthonormal(cols, values.len(), &mut rng));
    let entry = |i: usize, j: usize| {
        values.iter().zip(u.iter().zip(&v)).map(|(s, (u, v))| s * u[i] * v[j]).sum::<f64>()
    };
    (0..rows * cols).map(|at| entry(at / cols, at % cols) as f32).collect()
}

fn one(rows: usize, cols: usize) -> Arc<Universe> {
    let spec =
        ParamSpec { name: format!("{UP}.weight"), shape: vec![rows, cols], role: Role::Mlp, layer: Some(0) };
    Universe::new(vec![spec]).expect("valid")
}

fn scores(rows: usize, cols: usize, data: &[f32]) -> Values {
    let tensor = Tensor::from_slice(data, (rows, cols), &Device::Cpu).expect("fits");
    Values::new(one(rows, cols), vec![Some(tensor)]).expect("fits")
}

fn lacking(adapter: &Adapter, data: &[f32]) -> f64 {
    let near = flat(&adapter.modules[0].delta(&Exec::cpu()).expect("multiplies"));
    near.iter().zip(data).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>().sqrt()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn as_near_as_any_of_that_rank(
        rows in 4usize..70, cols in 4usize..70, rank in 1usize..12, decay in 0.3f64..0.95, seed in any::<u64>(),
        size in prop_oneof![Just(1.0), Just(1e-6), Just(1e-22), Just(1e15)],
    ) {
        let count = rows.min(cols);
        let values: Vec<f64> = (0..count).map(|i| size * decay.powi(i as i32)).collect();
        let data = with_values(rows, cols, &values, seed);
        let options = ExtractOptions { rank, ..OPTIONS };
        let (adapter, report) =
            Adapter::extract(&scores(rows, cols, &data), &[0], &options, &Exec::cpu(), &Host::default()).expect("extracts");
        prop_assert_eq!(adapter.modules[0].rank(), rank.min(count));
        let best = values.iter().skip(rank).map(|s| s * s).sum::<f64>().sqrt();
        let norm = values.iter().map(|s| s * s).sum::<f64>().sqrt();
        let (error, floor) = (report[0].error, 3e-6 * norm);
        prop_assert!(error <= 1.03 * best + floor, "{error} against {best}");
        prop_assert!(error >= best - floor, "{error} against {best}");
        prop_assert!((report[0].norm / norm - 1.0).abs() < 1e-5);
        prop_assert!((lacking(&adapter, &data) - error).abs() <= floor);
    }
}

#[test]
fn the_same_seed_gives_the_same_bits_on_any_number_of_threads() {
    let data = with_values(50, 40, &[3.0, 2.0, 1.5, 1.4, 1.3, 1.2, 1.1, 1.0], 3);
    let run = |threads, seed| {
        let exec = Exec::new(Device::Cpu, threads).expect("starts");
        let options = ExtractOptions { seed, ..OPTIONS };
        let (adapter, _) = Adapter::extract(&scores(50, 40, &data), &[0], &options, &exec, &Host::default())
            .expect("extracts");
        flat(&adapter.modules[0].a)
    };
    assert_eq!(run(1, 5), run(3, 5));
    assert_ne!(run(1, 5), run(1, 6));
}

#[test]
fn a_ticket_becomes_an_adapter_of_its_change() {
    let exec = Exec::cpu();
    let host = Host::default();
    let params = params(DType::F32);
    // Two rows and one column of the up projection: of rank 3 at most. And something elsewhere.
    let rows = Mask::rows(universe(), &[3], &[2, 7]).expect("fits");
    let column = Mask::columns(universe(), &[3], &[4]).expect("fits");
    let mask = crate::mask::union(&[&rows, &column]).expect("same");
    let mut rng = Rng::new(3);
    let old = Ticket::extract(&exec, &params, &mask, Meta::default()).expect("fits");
    let values = (0..params.tensors().len())
        .map(|p| old.values(p).iter().map(|v| v + 0.01 * rng.normal() as f32).collect())
        .collect();
    let meta = Meta::new(params.fingerprint(&exec).expect("hashes"), "test");
    let ticket = Ticket::new(mask.clone(), values, meta).expect("fits");
    let (adapter, report) =
        Adapter::extract_ticket(&ticket, &params, &[1, 3, 4], &OPTIONS, &exec, &host).expect("extracts");
    // What did not change has no factors.
    assert_eq!(adapter.modules.iter().map(|m| m.name.as_str()).collect::<Vec<_>>(), [UP]);
    assert_eq!(adapter.config.targets, json!(["up_proj"]));
    assert!(report[0].error <= 1e-5 * report[0].norm, "{report:?}");
    // On the base it makes what the ticket makes.
    adapter.apply(&exec, &params, 1.0).expect("applies");
    let after = Ticket::extract(&exec, &params, &mask, Meta::default()).expect("fits");
    for (got, expected) in after.values(3).iter().zip(ticket.values(3)) {
        assert!((got - expected).abs() < 1e-5, "{got}, not {expected}");
    }
    // The base is another one now.
    let text =
        Adapter::extract_ticket(&ticket, &params, &[3], &OPTIONS, &exec, &host).expect_err("another base");
    assert!(text.to_string().starts_with("the ticket was made on another base"), "{text}");
}

#[test]
fn what_cannot_be_extracted_says_why() {
    let exec = Exec::cpu();
    let host = Host::default();
    let zeros = universe()
        .specs()
        .iter()
        .map(|s| Tensor::zeros(s.shape.clone(), DType::F32, &Device::Cpu).ok())
        .collect();
    let source = Values::new(universe(), zeros).expect("fits");
    let text = |params: &[usize], rank| {
        let options = ExtractOptions { rank, ..OPTIONS };
        Adapter::extract(&source, params, &options, &exec, &host).expect_err("cannot").to_string()
    };
    assert_eq!(text(&[1], 0), "the rank of an adapter is at least 1");
    assert_eq!(text(&[1, 3], 2), "there is nothing to extract: none of these parameters changed");
    assert_eq!(
        text(&[1, 5], 2),
        "parameter model.norm.weight (norm, shape [6]) cannot have an adapter of low rank here: only the matrices of \
         attention and MLP can"
    );
    let mut data = vec![0.5; 12];
    data[7] = f32::NAN;
    let found =
        Adapter::extract(&scores(3, 4, &data), &[0], &OPTIONS, &exec, &host).expect_err("not a number");
    assert_eq!(found.to_string(), format!("the change of parameter {UP}.weight holds NaN"));
}
