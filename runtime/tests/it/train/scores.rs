//! Scores from gradients.

use candle_core::{DType, Tensor};
use lota_runtime::data::Batch;
use lota_runtime::mask::{Budget, Scope, top};
use lota_runtime::model::ParamSpec;
use lota_runtime::model::decoder::Checkpoint;
use lota_runtime::train::{ScoreKind, grad_scores};

use super::{Tiny, stream};

#[test]
fn scores_from_gradients_are_what_their_names_say() {
    for tiny in [Tiny::new(DType::F32), Tiny::new(DType::F32).reference()] {
        let batches: Vec<Batch> = stream(9, 2).epoch().collect();
        let choose = |spec: &ParamSpec| spec.adaptable();
        let score = |batches: &[Batch], kind: ScoreKind<'_>| {
            grad_scores(tiny.subject(), &tiny.host, batches, &choose, kind, None, Checkpoint::None)
                .expect("scores")
        };
        let read = |scores: &lota_runtime::vectors::Values| -> Vec<Option<Vec<f32>>> {
            let flat = |t: &Tensor| t.flatten_all().and_then(|t| t.to_vec1::<f32>()).expect("f32");
            scores.parts().iter().map(|p| p.as_ref().map(|p| flat(p.tensor()))).collect()
        };
        // The gradients of each batch on its own, by the callback.
        let mut each: Vec<Vec<Vec<f32>>> = vec![Vec::new(); tiny.params.tensors().len()];
        let universe = tiny.decoder.universe().clone();
        let mut keep = |spec: &ParamSpec, grad: &Tensor, sum: Option<Tensor>| {
            let index = universe.index_of(&spec.name).expect("is there");
            each[index].push(grad.flatten_all()?.to_vec1()?);
            assert_eq!(sum.is_none(), each[index].len() == 1);
            Ok(grad.copy()?)
        };
        score(&batches, ScoreKind::Custom(&mut keep));
        let labelled: Vec<f32> = batches.iter().map(|b| b.labelled() as f32).collect();
        let total: f32 = labelled.iter().sum();
        let gradient = read(&score(&batches, ScoreKind::Gradient));
        let fisher = read(&score(&batches, ScoreKind::Fisher));
        for (i, spec) in universe.specs().iter().enumerate() {
            assert_eq!(gradient[i].is_some(), spec.adaptable());
            let (Some(gradient), Some(fisher)) = (&gradient[i], &fisher[i]) else { continue };
            for k in 0..gradient.len() {
                let parts = each[i].iter().map(|g| g[k]);
                let mean: f32 = parts.clone().zip(&labelled).map(|(g, n)| g * n / total).sum();
                let square: f32 = parts.map(|g| g * g / batches.len() as f32).sum();
                assert!((gradient[k] - mean.abs()).abs() < 1e-5, "{} {mean}", gradient[k]);
                assert!((fisher[k] - square).abs() < 1e-5 * square.max(1.0));
            }
        }
        let mask = top(
            &score(&batches, ScoreKind::Gradient),
            Budget::Density(0.1),
            Scope::Global,
            None,
            None,
            true,
            &tiny.host,
        );
        assert!(mask.expect("selects").count() > 0);
    }
}
