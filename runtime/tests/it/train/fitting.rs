//! Schedules, and training for a number of steps.

use candle_core::DType;
use lota_runtime::train::{FitOptions, Schedule, StepReport, TrainOptions, Trainer, fit};

use super::{Tiny, adamw, stream};

#[test]
fn schedules_rise_and_fall_where_they_should() {
    let factors = |mut schedule: Schedule, warmup, total| -> Vec<f64> {
        (0..8).map(|step| schedule.factor(step, warmup, total).expect("a factor")).collect()
    };
    assert_eq!(factors(Schedule::Constant, 3, None), [0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0]);
    assert_eq!(factors(Schedule::Linear, 1, Some(6)), [0.5, 1.0, 0.8, 0.6, 0.4, 1.0 - 0.8, 0.0, 0.0]);
    let cosine = factors(Schedule::Cosine, 0, Some(4));
    let want = [1.0, 0.5 + 0.5f64.sqrt() / 2.0, 0.5, 0.5 - 0.5f64.sqrt() / 2.0, 0.0];
    assert!(cosine.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-12), "{cosine:?}");
    let halves =
        Schedule::Custom(Box::new(|step, total| Ok(0.5f64.powi(step as i32) * total.map_or(1.0, |_| 2.0))));
    assert_eq!(factors(halves, 1, Some(9))[..3], [1.0, 1.0, 0.5]);
    let mut negative = Schedule::Custom(Box::new(|_, _| Ok(-1.0)));
    assert!(negative.factor(0, 0, None).is_err_and(|e| e.to_string().contains("-1")));
}

#[test]
fn fit_stops_when_the_callback_says_so_and_uses_the_schedule() {
    let tiny = Tiny::new(DType::F32);
    let options = TrainOptions { schedule: Schedule::Linear, total: Some(10), ..adamw(1.0) };
    let mut trainer = tiny.trainer(tiny.all(), options);
    let mut on_step = |_: &Trainer, step: &StepReport| Ok(step.step < 3);
    let fitted = FitOptions::new(10);
    let done = fit(&mut trainer, tiny.subject(), &tiny.host, &mut stream(8, 4), &fitted, None, &mut on_step);
    let done = done.expect("trains");
    assert!(done.stopped);
    let rates: Vec<f64> = done.steps.iter().map(|s| s.lr).collect();
    assert_eq!(rates, [1.0, 0.9, 0.8]);
}
