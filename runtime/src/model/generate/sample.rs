//! Choosing the next token from logits.

use crate::host::Rng;
use crate::{Error, Result};

/// How the next token is chosen. The defaults choose the likeliest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Divides the logits; 0 takes the likeliest token.
    pub temperature: f64,
    /// Only this many of the likeliest tokens are considered.
    pub top_k: Option<usize>,
    /// Only the fewest tokens whose probabilities reach this together.
    pub top_p: Option<f64>,
    /// Only tokens at least this probable, relative to the likeliest.
    pub min_p: Option<f64>,
    /// Divides the positive logits of tokens that occurred, and multiplies the negative ones; 1 does
    /// nothing.
    pub repetition_penalty: f64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { temperature: 0.0, top_k: None, top_p: None, min_p: None, repetition_penalty: 1.0 }
    }
}

impl Sampling {
    /// An error that names the setting out of range, if one is.
    pub fn check(&self) -> Result<()> {
        let wrong = |what: String| Err(Error::argument(what));
        if !self.temperature.is_finite() || self.temperature < 0.0 {
            return wrong(format!("temperature must be 0 or more, not {}", self.temperature));
        }
        if self.top_k == Some(0) {
            return wrong("top_k must be at least 1".to_string());
        }
        if let Some(p) = self.top_p.filter(|p| !(*p > 0.0 && *p <= 1.0)) {
            return wrong(format!("top_p must be above 0 and at most 1, not {p}"));
        }
        if let Some(p) = self.min_p.filter(|p| !(0.0..=1.0).contains(p)) {
            return wrong(format!("min_p must be from 0 to 1, not {p}"));
        }
        if !self.repetition_penalty.is_finite() || self.repetition_penalty <= 0.0 {
            return wrong(format!("repetition_penalty must be above 0, not {}", self.repetition_penalty));
        }
        Ok(())
    }

    /// The next token. `history` holds the tokens so far, prompt included.
    pub fn pick(&self, logits: &mut [f32], history: &[u32], rng: &mut Rng) -> Result<u32> {
        if self.repetition_penalty != 1.0 {
            self.penalise(logits, history);
        }
        let best = likeliest(logits).ok_or_else(|| Error::argument("the logits are not numbers"))?;
        if self.temperature == 0.0 {
            return Ok(best);
        }
        let candidates = self.candidates(logits, logits[best as usize]);
        let total: f64 = candidates.iter().map(|c| c.1).sum();
        let mut left = rng.uniform() * total;
        for &(id, weight) in &candidates {
            left -= weight;
            if left < 0.0 {
                return Ok(id);
            }
        }
        // Rounding may leave a little over.
        Ok(candidates.last().map_or(best, |c| c.0))
    }

    fn penalise(&self, logits: &mut [f32], history: &[u32]) {
        let mut seen: Vec<u32> = history.to_vec();
        seen.sort_unstable();
        seen.dedup();
        let penalty = self.repetition_penalty as f32;
        for id in seen {
            if let Some(logit) = logits.get_mut(id as usize) {
                *logit = if *logit > 0.0 { *logit / penalty } else { *logit * penalty };
            }
        }
    }

    /// The tokens that may be chosen with their probabilities relative to the likeliest, in an
    /// order that depends on nothing but the logits.
    fn candidates(&self, logits: &[f32], highest: f32) -> Vec<(u32, f64)> {
        let weight = |logit: f32| (f64::from(logit - highest) / self.temperature).exp();
        let mut all: Vec<(u32, f64)> =
            logits.iter().enumerate().map(|(id, &l)| (id as u32, weight(l))).filter(|c| c.1 > 0.0).collect();
        let descending = |a: &(u32, f64), b: &(u32, f64)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        if let Some(k) = self.top_k.filter(|&k| k < all.len()) {
            all.select_nth_unstable_by(k - 1, descending);
            all.truncate(k);
        }
        if let Some(p) = self.top_p.filter(|&p| p < 1.0) {
            let wanted = p * all.iter().map(|c| c.1).sum::<f64>();
            // The few likely tokens usually suffice; the rest then need no sorting.
            let few: Vec<(u32, f64)> = all.iter().copied().filter(|c| c.1 > 1e-3).collect();
            if few.iter().map(|c| c.1).sum::<f64>() >= wanted {
                all = few;
            }
            all.sort_unstable_by(descending);
            let mut sum = 0.0;
            let keep = all.iter().take_while(|c| {
                let before = sum;
                sum += c.1;
                before < wanted
            });
            let keep = keep.count().max(1);
            all.truncate(keep);
        }
        if let Some(p) = self.min_p {
            all.retain(|c| c.1 >= p);
        }
        all.sort_unstable_by_key(|c| c.0);
        all
    }
}

/// The first of the largest logits; `None` if none is a number.
fn likeliest(logits: &[f32]) -> Option<u32> {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    logits.iter().position(|&l| l == highest).map(|id| id as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGITS: [f32; 5] = [0.0, 2.0, 1.0, -1.0, 2.0];

    fn ids(sampling: Sampling) -> Vec<u32> {
        sampling.candidates(&LOGITS, 2.0).iter().map(|c| c.0).collect()
    }

    fn warm() -> Sampling {
        Sampling { temperature: 1.0, ..Sampling::default() }
    }

    #[test]
    fn each_filter_keeps_what_it_says() {
        assert_eq!(ids(warm()), [0, 1, 2, 3, 4]);
        assert_eq!(ids(Sampling { top_k: Some(2), ..warm() }), [1, 4]);
        // Probabilities, largest first: 0.39, 0.39, 0.14, 0.05, 0.02.
        assert_eq!(ids(Sampling { top_p: Some(0.3), ..warm() }), [1]);
        assert_eq!(ids(Sampling { top_p: Some(0.5), ..warm() }), [1, 4]);
        assert_eq!(ids(Sampling { top_p: Some(0.9), ..warm() }), [1, 2, 4]);
        assert_eq!(ids(Sampling { top_p: Some(1.0), ..warm() }), [0, 1, 2, 3, 4]);
        assert_eq!(ids(Sampling { min_p: Some(0.2), ..warm() }), [1, 2, 4]);
    }

    #[test]
    fn zero_temperature_takes_the_first_of_the_likeliest_and_a_penalty_moves_it() {
        let pick = |sampling: Sampling, history: &[u32]| {
            sampling.pick(&mut LOGITS.clone(), history, &mut Rng::new(0)).expect("picks")
        };
        assert_eq!(pick(Sampling::default(), &[]), 1);
        let penalised = Sampling { repetition_penalty: 1.5, ..Sampling::default() };
        assert_eq!(pick(penalised, &[1, 1]), 4);
        assert_eq!(pick(penalised, &[1, 4]), 1);
        assert!(Sampling::default().pick(&mut [f32::NAN], &[], &mut Rng::new(0)).is_err());
    }

    #[test]
    fn frequencies_are_the_probabilities() {
        let mut rng = Rng::new(3);
        let mut counts = [0.0f64; 5];
        for _ in 0..20_000 {
            let id = warm().pick(&mut LOGITS.clone(), &[], &mut rng).expect("picks");
            counts[id as usize] += 1.0 / 20_000.0;
        }
        for (count, probability) in counts.iter().zip([0.0531, 0.393, 0.1444, 0.0195, 0.393]) {
            assert!((count - probability).abs() < 0.015, "{counts:?}");
        }
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let text = |s: Sampling| s.check().expect_err("out of range").to_string();
        assert_eq!(text(Sampling { temperature: -1.0, ..warm() }), "temperature must be 0 or more, not -1");
        assert_eq!(text(Sampling { top_k: Some(0), ..warm() }), "top_k must be at least 1");
        assert_eq!(
            text(Sampling { top_p: Some(0.0), ..warm() }),
            "top_p must be above 0 and at most 1, not 0"
        );
        assert_eq!(text(Sampling { min_p: Some(2.0), ..warm() }), "min_p must be from 0 to 1, not 2");
    }
}
