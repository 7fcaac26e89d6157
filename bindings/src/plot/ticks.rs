//! Round numbers along an axis.

/// An axis: its ends, its ticks, and the map from values to positions.
pub(super) struct Axis {
    low: f64,
    high: f64,
    log: bool,
    /// Values with a grid line, ascending.
    pub ticks: Vec<f64>,
    digits: usize,
}

impl Axis {
    /// An axis that covers `values` (non-finite ones, and with `log` those not above 0, do not
    /// count) with about `count` round ticks.
    pub(super) fn over(values: impl Iterator<Item = f64>, count: usize, log: bool) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for v in values.filter(|v| v.is_finite() && (!log || *v > 0.0)) {
            low = low.min(v);
            high = high.max(v);
        }
        if low > high {
            (low, high) = if log { (1.0, 10.0) } else { (0.0, 1.0) };
        }
        if log { Self::decades(low, high) } else { Self::steps(low, high, count.max(2)) }
    }

    fn steps(mut low: f64, mut high: f64, count: usize) -> Self {
        // A constant, or values so close that an f64 has no room for ticks between them.
        let room = low.abs().max(high.abs()) * 1e-9;
        if high - low <= room {
            let pad = if low == 0.0 { 0.5 } else { low.abs() * 0.1 };
            low -= pad;
            high += pad;
        }
        let rough = (high - low) / count as f64;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 2.5, 5.0, 10.0].iter().map(|m| m * power).find(|s| *s >= rough * 0.999);
        let step = step.unwrap_or(10.0 * power);
        let (first, last) = ((low / step).floor(), (high / step).ceil());
        let ticks = (0..=((last - first).round() as usize)).map(|i| (first + i as f64) * step).collect();
        let mut digits = (-step.log10().floor()).max(0.0) as usize;
        if (step * 10f64.powi(digits as i32)).fract().abs() > 1e-6 {
            digits += 1;
        }
        Self { low: first * step, high: last * step, log: false, ticks, digits }
    }

    fn decades(low: f64, high: f64) -> Self {
        let first = low.log10().floor() as i32;
        let last = (high.log10().ceil() as i32).max(first + 1);
        let stride = ((last - first) as usize).div_ceil(10);
        let ticks = (first..=last).step_by(stride).map(|p| 10f64.powi(p)).collect();
        Self { low: 10f64.powi(first), high: 10f64.powi(last), log: true, ticks, digits: 0 }
    }

    /// Where `value` lies: 0 at the low end, 1 at the high end; `None` where it has no place.
    pub(super) fn place(&self, value: f64) -> Option<f64> {
        if !value.is_finite() || (self.log && value <= 0.0) {
            return None;
        }
        Some(if self.log {
            (value.log10() - self.low.log10()) / (self.high.log10() - self.low.log10())
        } else {
            (value - self.low) / (self.high - self.low)
        })
    }

    /// The text of a tick.
    pub(super) fn label(&self, tick: f64) -> String {
        let size = self.low.abs().max(self.high.abs());
        if self.log {
            return if (1e-3..1e5).contains(&tick) { format!("{tick}") } else { format!("{tick:e}") };
        }
        if size >= 1e6 || self.digits > 6 {
            let text = format!("{tick:.3e}");
            let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.');
            return if tick == 0.0 { "0".to_string() } else { format!("{mantissa}e{exponent}") };
        }
        let text = format!("{tick:.*}", self.digits);
        if text.trim_start_matches('-').chars().all(|c| c == '0' || c == '.') {
            text.trim_start_matches('-').to_string()
        } else {
            text
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(values: &[f64], log: bool) -> Vec<String> {
        let axis = Axis::over(values.iter().copied(), 5, log);
        axis.ticks.iter().map(|t| axis.label(*t)).collect()
    }

    #[test]
    fn ticks_are_round_and_cover_the_values() {
        assert_eq!(labels(&[0.0, 1.0], false), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(&[-3.0, 96.0], false), ["-20", "0", "20", "40", "60", "80", "100"]);
        assert_eq!(labels(&[0.0, 0.01], false)[1], "0.002");
        assert_eq!(labels(&[0.0, 2e7], false), ["0", "5e6", "1e7", "1.5e7", "2e7"]);
    }

    #[test]
    fn constants_nothing_and_infinities_still_make_an_axis() {
        for values in [&[3.0, 3.0][..], &[], &[f64::NAN, f64::INFINITY], &[0.0], &[1e300, 1e300], &[-1e-300]]
        {
            let axis = Axis::over(values.iter().copied(), 5, false);
            assert!(axis.ticks.len() >= 2, "{values:?}");
            assert!(axis.ticks.windows(2).all(|w| w[0] < w[1]), "{values:?}: {:?}", axis.ticks);
            for v in values.iter().filter(|v| v.is_finite()) {
                assert!((0.0..=1.0).contains(&axis.place(*v).expect("finite")));
            }
        }
    }

    #[test]
    fn a_logarithmic_axis_has_powers_of_ten_and_no_place_for_zero() {
        assert_eq!(labels(&[0.002, 30.0, 0.0], true), ["0.001", "0.01", "0.1", "1", "10", "100"]);
        let axis = Axis::over([1.0, 100.0].into_iter(), 5, true);
        assert_eq!(axis.place(0.0), None);
        assert!((axis.place(10.0).expect("positive") - 0.5).abs() < 1e-12);
    }
}
