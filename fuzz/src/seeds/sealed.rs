//! The files of our own that end with a hash.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use lota_fuzz::{mask, model, ticket, trainer};
use lota_runtime::host::archive::{Kind as FileKind, Part, save};
use lota_runtime::host::{Host, Rng};
use lota_runtime::mask::Mask;
use lota_runtime::model::Universe;
use lota_runtime::stats::{About, Kind, Stats};
use lota_runtime::ticket::{Codec, Form, ValueType};
use lota_runtime::train::{Companions, Passes, Subject};
use lota_runtime::vectors::Values;
use roaring::RoaringBitmap;

use crate::{Seed, written};

pub fn seeds() -> Vec<Seed> {
    let model = model(1);
    let universe = model.params.universe().clone();
    let mut all: Vec<Seed> = Vec::new();
    let other = lota_fuzz::model(2);
    for codec in Codec::ALL {
        let target = if codec == Codec::Plain { "ticket-plain" } else { "ticket-compact" };
        for values in ValueType::ALL {
            let base = values.scaled().then(|| format!("{}-differences", values.as_str()));
            for (name, base) in std::iter::once((values.as_str().to_string(), None))
                .chain(base.map(|name| (name, Some((&model.exec, &model.params)))))
            {
                let form = Form { codec, values, base };
                let bytes = written(|path| _ = ticket(&other, &model).save(path, form).expect("writes"));
                all.push((target, name, bytes));
            }
        }
    }
    let masks = [("some", mask(&universe)), ("runs", runs(&universe)), ("rows", rows())];
    for (name, mask) in &masks {
        let bytes = written(|path| _ = mask.save(path).expect("writes"));
        all.push(("mask", (*name).to_string(), bytes));
    }
    let dense =
        Values::from_fn(universe.clone(), |i, _| Ok((i % 3 == 0).then(|| model.params.get(i).clone())));
    let dense = dense.expect("fits");
    all.push(("values", "dense".into(), written(|path| _ = dense.save(path).expect("writes"))));
    let sparse = ticket(&other, &model).to_values(&Device::Cpu).expect("fits");
    all.push(("values", "sparse".into(), written(|path| _ = sparse.save(path).expect("writes"))));
    let stats = stats(&universe);
    all.push(("stats", "all".into(), written(|path| _ = stats.save(path).expect("writes"))));
    let subject = Subject { exec: &model.exec, decoder: &model.decoder, params: &model.params };
    let companions = Companions {
        passes: Some(Passes { accumulate: 2, loss: "cross-entropy".into() }),
        rng: Some(Rng::new(4).state()),
        extra: serde_json::json!({"a": [1, null]}),
        ..Companions::default()
    };
    for (name, companions) in [("plain", Companions::default()), ("companions", companions)] {
        let save = |path: &std::path::Path| {
            trainer(&model).save(subject, &Host::default(), path, &companions).expect("writes");
        };
        all.push(("training", name.into(), written(save)));
    }
    all.extend(hostile());
    all
}

/// Files that say much in few bytes.
fn hostile() -> Vec<Seed> {
    let universe = |shape: &str| {
        let spec = format!(r#"[{{"name":"w","shape":{shape},"role":"mlp","layer":null}}]"#);
        ("universe", spec)
    };
    let bytes = |name: &str, bytes: Vec<u8>| Part {
        name: name.into(),
        dtype: "U8",
        len: bytes.len(),
        write: Box::new(move |out| out.write_all(&bytes)),
    };
    let none = |name: &str, dtype| Part { name: name.into(), dtype, len: 0, write: Box::new(|_| Ok(())) };
    let set = |set: RoaringBitmap| {
        let mut out = Vec::new();
        set.serialize_into(&mut out).expect("writes");
        out
    };
    let mut full = RoaringBitmap::new();
    full.insert_range(0..1 << 25);
    full.optimize();
    let ticket = FileKind { format: "lota-ticket", noun: "ticket", version: 2 };
    let mut about: Vec<(&str, String)> = ["base", "method", "made_by"].map(|key| (key, String::new())).into();
    about.extend([universe("[33554432,1]"), ("settings", "{}".into()), ("codec", "plain".into())]);
    about.extend(
        [("codec_version", "1"), ("values", "int8"), ("values_of", "weights")].map(|(k, v)| (k, v.into())),
    );
    about.extend([("max_error", "0".to_string()), ("relative_error", "0".to_string())]);
    let parts = vec![bytes("w.index", set(full)), none("w.values", "I8"), none("w.scales", "F32")];
    let rows = written(|path| _ = save(path, &ticket, &about, parts).expect("writes"));
    let values = FileKind { format: "lota-values", noun: "values", version: 1 };
    let parts = vec![
        bytes("entries.w", set([7].into())),
        Part { name: "values.w".into(), dtype: "F32", len: 1, write: Box::new(|out| out.write_all(&[0; 4])) },
    ];
    let many = written(|path| _ = save(path, &values, &[universe("[4294967296,1]")], parts).expect("writes"));
    vec![
        ("ticket-plain", "found-rows-of-a-full-set".into(), rows),
        ("values", "found-more-rows-than-any-model".into(), many),
    ]
}

/// Whole parameters, and none of others.
fn runs(universe: &std::sync::Arc<Universe>) -> Mask {
    let mut sets = vec![RoaringBitmap::new(); universe.len()];
    for (i, spec) in universe.specs().iter().enumerate().filter(|(i, _)| i % 2 == 0) {
        sets[i].insert_range(0..spec.entries() as u32);
    }
    Mask::new(universe.clone(), sets).expect("fits")
}

/// A large parameter, with entries in several containers of a roaring set.
fn rows() -> Mask {
    let spec = lota_runtime::model::ParamSpec {
        name: "w".into(),
        shape: vec![1 << 10, 1 << 8],
        role: lota_runtime::model::Role::Mlp,
        layer: Some(0),
    };
    let universe = Universe::new(vec![spec]).expect("is one");
    let mut set: RoaringBitmap = (0..1 << 18).step_by(9000).collect();
    set.insert_range(65_000..66_000);
    Mask::new(universe, vec![set]).expect("fits")
}

fn stats(universe: &std::sync::Arc<Universe>) -> Stats {
    let about = About { model: "m".into(), data: "d".into(), tokens: 7, sequences: 2 };
    let mut tables: BTreeMap<Kind, Vec<Option<Tensor>>> = BTreeMap::new();
    for kind in [Kind::InputNorm, Kind::OutputMagnitude, Kind::Gram] {
        let mut table = vec![None; universe.len()];
        let matrices = universe.specs().iter().enumerate().filter(|(_, spec)| spec.adaptable()).take(3);
        let shared: Vec<usize> = matrices.map(|(i, _)| i).collect();
        for &i in &shared {
            let shape = kind.shape(universe.spec(i));
            table[i] = Some(Tensor::ones(shape, DType::F32, &Device::Cpu).expect("fits"));
        }
        // What takes the same input has the same tensor.
        table[shared[1]] = table[shared[0]].clone().filter(|_| kind == Kind::Gram);
        tables.insert(kind, table);
    }
    Stats::new(universe.clone(), tables, about).expect("fits")
}
