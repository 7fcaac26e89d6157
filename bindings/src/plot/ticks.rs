//! Round numbers along an axis.

use super::LARGEST;

/// Powers of ten that a logarithmic axis has lines between; over more they would be grey.
const MINOR: f64 = 6.0;

/// An axis: its ends, its ticks, and the map from values to positions.
pub(super) struct Axis {
    low: f64,
    high: f64,
    log: bool,
    /// Values with a grid line, ascending.
    pub ticks: Vec<f64>,
    /// Values between them with a fainter line and no label: the multiples of powers of ten of a logarithmic axis.
    pub minor: Vec<f64>,
    labels: Labels,
}

/// How ticks are written.
enum Labels {
    /// With this many digits after the point.
    Digits(usize),
    /// As short as possible: powers of ten and their small multiples. Where some are written as 1e-5, all that are far from 1 are.
    Shortest,
}

impl Axis {
    /// An axis that covers `values` (non-finite ones, and with `log` those not above 0, do not
    /// count), whose ends are ticks, with about `count` round ticks.
    pub(super) fn over(values: impl Iterator<Item = f64>, count: usize, log: bool) -> Self {
        let (low, high) = extent(values, log);
        if log {
            let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
            let last = last.max(first + 1);
            let ticks = decades(first, last, count.max(2));
            let ends = (scaled(1, first), scaled(1, last));
            return Self {
                low: ends.0,
                high: ends.1,
                log,
                ticks,
                minor: Vec::new(),
                labels: Labels::Shortest,
            };
        }
        let (step, digits) = round_step(high - low, count);
        let (first, last) = ((low / step).floor(), (high / step).ceil());
        let ticks = multiples(first, last, step);
        let (low, high) = (first * step, last * step);
        Self { low, high, log, ticks, minor: Vec::new(), labels: Labels::Digits(digits) }
    }

    /// An axis that ends where `values` do, but for `margin` (a fraction of its length) at either end,
    /// with about `count` round ticks inside. An axis that would begin just above 0 begins at 0.
    pub(super) fn fitted(values: impl Iterator<Item = f64>, count: usize, log: bool, margin: f64) -> Self {
        let (mut low, mut high) = extent(values, log);
        if log {
            let room = (high / low).powf(margin);
            let wider = (low / room, high * room);
            if wider.0 > 0.0 && wider.1.is_finite() {
                (low, high) = wider;
            }
            return Self::logarithmic(low, high, count);
        }
        let near_zero = low >= 0.0 && low <= 0.1 * high;
        let room = (high - low) * margin;
        low = if near_zero { 0.0 } else { low - room };
        high += room;
        let (step, digits) = round_step(high - low, count);
        let ticks = multiples((low / step - 1e-9).ceil(), (high / step + 1e-9).floor(), step);
        Self { low, high, log, ticks, minor: Vec::new(), labels: Labels::Digits(digits) }
    }

    /// Over several powers of ten their ticks are these; over few, 1, 2 and 5 times them; over less than
    /// one, equal steps.
    fn logarithmic(low: f64, high: f64, count: usize) -> Self {
        let span = (high / low).log10();
        let within = |ticks: Vec<f64>| ticks.into_iter().filter(|t| (low..=high).contains(t)).collect();
        let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
        let (ticks, labels) = if span >= 3.0 {
            (within(decades(first, last, count)), Labels::Shortest)
        } else if span >= 1.0 {
            let all = (first..=last).flat_map(|power| [1, 2, 5].map(|m| scaled(m, power)));
            (within(all.collect()), Labels::Shortest)
        } else {
            let (step, digits) = round_step(high - low, count);
            (multiples((low / step).ceil(), (high / step).floor(), step), Labels::Digits(digits))
        };
        let between = (first..=last).flat_map(|power| (2..10).map(move |m| scaled(m, power)));
        let minor = match (1.0..=MINOR).contains(&span) {
            true => within(between.filter(|t| !ticks.contains(t)).collect()),
            false => Vec::new(),
        };
        Self { low, high, log: true, ticks, minor, labels }
    }

    /// Where `value` lies: 0 at the low end, 1 at the high end; `None` where it has no place.
    pub(super) fn place(&self, value: f64) -> Option<f64> {
        if !has_place(value, self.log) {
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
        let digits = match self.labels {
            Labels::Shortest => {
                let short = self.ticks.iter().all(|tick| (1e-3..1e5).contains(tick));
                let near = (0.1..100.0).contains(&tick);
                return if short || near { format!("{tick}") } else { format!("{tick:e}") };
            }
            Labels::Digits(digits) => digits,
        };
        let size = self.low.abs().max(self.high.abs());
        if size >= 1e6 || digits > 6 {
            let text = format!("{tick:.3e}");
            let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.');
            return if tick == 0.0 { "0".to_string() } else { format!("{mantissa}e{exponent}") };
        }
        let text = format!("{tick:.digits$}");
        if text.trim_start_matches('-').chars().all(|c| c == '0' || c == '.') {
            text.trim_start_matches('-').to_string()
        } else {
            text
        }
    }
}

/// The least distance that an axis shows: steps of less have no power of ten.
const LEAST_SPAN: f64 = 1e-290;

/// Whether an axis has a place for a value. A band around a value reaches a little further than the value may.
fn has_place(value: f64, log: bool) -> bool {
    let most = 4.0 * LARGEST;
    value.abs() <= most && (!log || value >= most.recip())
}

/// The least and the greatest of the values that have a place, apart from each other.
fn extent(values: impl Iterator<Item = f64>, log: bool) -> (f64, f64) {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for v in values.filter(|v| has_place(*v, log)) {
        low = low.min(v);
        high = high.max(v);
    }
    if low > high {
        return if log { (1.0, 10.0) } else { (0.0, 1.0) };
    }
    // A constant, or values so close that an f64 has no room for ticks between them.
    if high - low <= (low.abs().max(high.abs()) * 1e-9).max(LEAST_SPAN) && !log {
        let pad = if low.abs() < LEAST_SPAN { 0.5 } else { low.abs() * 0.1 };
        return (low - pad, high + pad);
    }
    if log && high / low <= 1.0 + 1e-9 {
        return (low * 0.9, high * 1.1);
    }
    (low, high)
}

/// The round step that cuts `range` into about `count` parts, and the digits it needs after the point.
fn round_step(range: f64, count: usize) -> (f64, usize) {
    let rough = range / count.max(2) as f64;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].iter().map(|m| m * power).find(|s| *s >= rough * 0.999);
    let step = step.unwrap_or(10.0 * power);
    let mut digits = (-step.log10().floor()).max(0.0) as usize;
    if (step * 10f64.powi(digits as i32)).fract().abs() > 1e-6 {
        digits += 1;
    }
    (step, digits)
}

/// `first * step` to `last * step`.
fn multiples(first: f64, last: f64, step: f64) -> Vec<f64> {
    (0..=((last - first).round() as usize)).map(|i| (first + i as f64) * step).collect()
}

/// Powers of ten, about `count` of them where there are more.
fn decades(first: i32, last: i32, count: usize) -> Vec<f64> {
    let stride = ((last - first) as usize).div_ceil(count.max(10));
    (first..=last).step_by(stride.max(1)).map(|power| scaled(1, power)).collect()
}

/// The f64 nearest to `times * 10^power`.
fn scaled(times: i32, power: i32) -> f64 {
    format!("{times}e{power}").parse().unwrap_or(f64::INFINITY)
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

    fn fitted(values: &[f64], log: bool) -> (f64, f64, Vec<String>) {
        let axis = Axis::fitted(values.iter().copied(), 6, log, 0.03);
        assert!(values.iter().all(|v| axis.place(*v).is_none_or(|p| (0.0..=1.0).contains(&p))));
        assert!(axis.ticks.iter().all(|t| axis.place(*t).is_some_and(|p| (-1e-6..=1.0 + 1e-6).contains(&p))));
        assert!(axis.ticks.len() >= 2 && axis.ticks.windows(2).all(|w| w[0] < w[1]), "{:?}", axis.ticks);
        let unused =
            values.iter().filter_map(|v| axis.place(*v)).fold((1f64, 0f64), |u, p| (u.0.min(p), u.1.max(p)));
        (unused.0, 1.0 - unused.1, axis.ticks.iter().map(|t| axis.label(*t)).collect())
    }

    #[test]
    fn a_fitted_axis_leaves_no_part_empty() {
        for (values, log, want) in [
            (&[1.02, 3.9][..], false, &["1", "2", "3"][..]),
            (&[0.02, 3.9], false, &["0", "1", "2", "3", "4"]),
            (&[1.02, 3.9], true, &["1", "2", "3", "4"]),
            (&[0.04, 3.9], true, &["0.05", "0.1", "0.2", "0.5", "1", "2"]),
            (&[0.0009, 50.0], true, &["0.001", "0.01", "0.1", "1", "10"]),
            (&[-3.0, 160.0], false, &["0", "50", "100", "150"]),
            (&[9e-6, 20.0], true, &["1e-5", "1e-4", "1e-3", "1e-2", "0.1", "1", "10"]),
        ] {
            let (below, above, labels) = fitted(values, log);
            assert!(below <= 0.06 && above <= 0.06, "{values:?}: {below} and {above} are empty");
            assert_eq!(labels, want, "{values:?}");
        }
        fitted(&[7.0, 7.0], false);
        fitted(&[7.0, 7.0], true);
        fitted(&[1e-300, 1e300], true);
    }

    #[test]
    fn a_logarithmic_axis_has_powers_of_ten_and_no_place_for_zero() {
        assert_eq!(labels(&[0.002, 30.0, 0.0], true), ["0.001", "0.01", "0.1", "1", "10", "100"]);
        for values in
            [&[1e300, -1e300][..], &[4e300, -4e300], &[0.0, 5e-324], &[1e-310, 1.0], &[1e308, 1.0, 2.0]]
        {
            for axis in [
                Axis::over(values.iter().copied(), 5, false),
                Axis::fitted(values.iter().copied(), 5, false, 0.03),
                Axis::over(values.iter().copied(), 5, true),
                Axis::fitted(values.iter().copied(), 5, true, 0.03),
            ] {
                let places = values.iter().chain(&axis.ticks).filter_map(|v| axis.place(*v));
                assert!(
                    places.into_iter().all(|p| (-0.1..=1.1).contains(&p)),
                    "{values:?}: {:?}",
                    axis.ticks
                );
                assert!(!axis.ticks.is_empty() && axis.ticks.windows(2).all(|w| w[0] < w[1]), "{values:?}");
                assert!(axis.ticks.iter().all(|t| axis.label(*t).parse::<f64>().is_ok()), "{values:?}");
            }
        }
        let axis = Axis::over([1.0, 100.0].into_iter(), 5, true);
        assert_eq!(axis.place(0.0), None);
        assert!((axis.place(10.0).expect("positive") - 0.5).abs() < 1e-12);
    }
}
