//! `karcher`: the point of the sphere from which the way to all models is least in squares (the
//! Karcher or Riemannian mean), at their mean length.

use crate::Result;
use crate::merge::gram::{Along, Gram, combine};
use crate::merge::settings::{ANY, Kind, Scalar, Scope};
use crate::merge::{Group, Method, Sink, Spec};

pub(super) struct Karcher(Spec);

impl Karcher {
    pub(super) fn new() -> Self {
        let whole = |spec: Spec, name, default, doc| {
            spec.param(name, Kind::Integer, Scope::Shared, Some(Scalar::Number(default)), doc)
        };
        let spec = Spec::new(
            "karcher",
            "The Riemannian mean of directions, at the mean length.",
            "arXiv 2603.04972",
        );
        Self(
            whole(spec, "max_iter", 10.0, "steps at most")
                .between(1.0, ANY.1)
                .number("tol", 1e-5, "angles and steps below this count as none")
                .between(0.0, ANY.1),
        )
    }
}

impl Method for Karcher {
    fn spec(&self) -> &Spec {
        &self.0
    }

    fn merge(&self, group: &Group<'_>, sink: &dyn Sink) -> Result<()> {
        let all: Vec<usize> = (0..group.entries.len()).collect();
        if all.len() == 1 {
            return group.copy(sink, 0);
        }
        let steps = group.params.number("max_iter").max(0.0) as usize;
        let tol = group.params.number("tol");
        combine(group, sink, &all, None, Along::Whole, |gram| Ok(mean(gram, all.len(), steps, tol)))
    }
}

/// The coefficients of the mean.
fn mean(gram: &Gram, n: usize, steps: usize, tol: f64) -> Vec<f64> {
    let norms: Vec<f64> = (0..n).map(|i| gram.norm(i)).collect();
    let valid: Vec<usize> = (0..n).filter(|&i| norms[i] > tol).collect();
    if valid.is_empty() {
        return vec![0.0; n];
    }
    let share = 1.0 / valid.len() as f64;
    let unit = |i: usize| {
        let mut c = vec![0.0; n];
        c[i] = 1.0 / norms[i];
        c
    };
    let scaled = |c: &[f64], by: f64| c.iter().map(|x| x * by).collect::<Vec<f64>>();
    let mut point = vec![0.0; n];
    valid.iter().for_each(|&i| point[i] = share / norms[i]);
    let length = gram.length(&point);
    point = if length < tol { unit(valid[0]) } else { scaled(&point, 1.0 / length) };
    for _ in 0..steps {
        let mut tangent = vec![0.0; n];
        for &i in &valid {
            let cos = gram.between(&point, &unit(i)).clamp(-1.0, 1.0);
            let angle = cos.acos();
            if angle < tol {
                continue;
            }
            let step = share * angle / angle.sin();
            tangent[i] += step / norms[i];
            tangent.iter_mut().zip(&point).for_each(|(t, p)| *t -= step * cos * p);
        }
        let length = gram.length(&tangent);
        if length < tol {
            break;
        }
        let (cos, sin) = (length.cos(), length.sin() / length);
        point.iter_mut().zip(&tangent).for_each(|(p, t)| *p = cos * *p + sin * t);
        let norm = gram.length(&point);
        if norm > tol {
            point = scaled(&point, 1.0 / norm);
        }
    }
    scaled(&point, norms.iter().sum::<f64>() / n as f64)
}
