//! Rotary position embeddings: how configurations describe them, and the frequencies they mean.

use std::f64::consts::PI;

use serde_json::{Map, Value};

use super::fields::Fields;
use crate::{Error, Result};

/// How frequencies are scaled for contexts longer than those of the first training.
#[derive(Clone, Debug, PartialEq)]
pub enum RopeScaling {
    /// No scaling.
    None,
    /// All are divided by `factor`.
    Linear {
        /// The divisor.
        factor: f64,
    },
    /// Low frequencies are divided by `factor`, high ones kept, those between are blended.
    Llama3 {
        /// The divisor of low frequencies.
        factor: f64,
        /// Wavelengths above `original_positions / low_freq_factor` are low frequencies.
        low_freq_factor: f64,
        /// Wavelengths below `original_positions / high_freq_factor` are high frequencies.
        high_freq_factor: f64,
        /// The context the model was trained on at first.
        original_positions: f64,
    },
    /// Each frequency has a divisor of its own: one for sequences up to `original_positions`, another
    /// for longer ones (Phi-3 with a long context).
    LongRope {
        /// The divisors for short sequences.
        short: Vec<f64>,
        /// The divisors for long sequences.
        long: Vec<f64>,
        /// The longest of the short sequences.
        original_positions: usize,
        /// Multiplies cosines and sines.
        attention_factor: f64,
    },
}

/// One rotary embedding.
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    /// The base of the geometric row of frequencies.
    pub theta: f64,
    /// How many of a head's dimensions turn (the first ones); even.
    pub dims: usize,
    /// The change for long contexts.
    pub scaling: RopeScaling,
}

impl Rope {
    /// The `dims / 2` angular frequencies of short sequences, in radians per position.
    pub fn frequencies(&self) -> Vec<f32> {
        self.frequencies_for(0)
    }

    /// The same for a sequence of this many tokens.
    pub fn frequencies_for(&self, tokens: usize) -> Vec<f32> {
        (0..self.dims / 2)
            .map(|i| {
                let plain = (1.0 / self.theta.powf(2.0 * i as f64 / self.dims as f64)) as f32;
                self.scaling.apply(f64::from(plain), i, tokens) as f32
            })
            .collect()
    }

    /// Multiplies cosines and sines.
    pub fn attention_factor(&self) -> f32 {
        match self.scaling {
            RopeScaling::LongRope { attention_factor, .. } => attention_factor as f32,
            _ => 1.0,
        }
    }

    /// The length above which a sequence has other frequencies.
    pub fn switches_above(&self) -> Option<usize> {
        match self.scaling {
            RopeScaling::LongRope { original_positions, .. } => Some(original_positions),
            _ => None,
        }
    }
}

impl RopeScaling {
    fn apply(&self, frequency: f64, index: usize, tokens: usize) -> f64 {
        match self {
            Self::None => frequency,
            Self::Linear { factor } => frequency / factor,
            Self::Llama3 { factor, low_freq_factor, high_freq_factor, original_positions } => {
                let wavelength = 2.0 * PI / frequency;
                if wavelength < original_positions / high_freq_factor {
                    frequency
                } else if wavelength > original_positions / low_freq_factor {
                    frequency / factor
                } else {
                    let smooth = (original_positions / wavelength - low_freq_factor)
                        / (high_freq_factor - low_freq_factor);
                    (1.0 - smooth) * frequency / factor + smooth * frequency
                }
            }
            Self::LongRope { short, long, original_positions, .. } => {
                frequency / if tokens > *original_positions { long[index] } else { short[index] }
            }
        }
    }
}

/// The rotary embedding of layers of `kind` (`full_attention` or `sliding_attention`).
///
/// Looks in `rope_parameters` (per kind or for all layers), as recent transformers write it, then in
/// `rope_scaling` and at the top level. `theta_key` is where an old configuration keeps the base for
/// this kind, `scaled` whether `rope_scaling` concerns it, and `partial` whether the architecture can leave a part
/// of each head unturned.
pub(super) fn rope(
    config: Fields<'_>,
    kind: &str,
    theta_key: &str,
    scaled: bool,
    head_dim: usize,
    partial: bool,
) -> Result<Rope> {
    if let (Some(new), Some(old)) = (config.object("rope_parameters")?, config.object("rope_scaling")?)
        && new != old
    {
        return Err(Error::argument(
            "the config has both `rope_parameters` and `rope_scaling`, and they differ: remove the one that is wrong",
        ));
    }
    let parameters = match config.object("rope_parameters")? {
        Some(all) if all.values().any(Value::is_object) => {
            let nested = all.get(kind).and_then(Value::as_object).ok_or_else(|| {
                Error::argument(format!("`rope_parameters` in the config has no `{kind}`, which layers use"))
            })?;
            Some(nested)
        }
        flat => flat,
    };
    let scaling = if scaled { config.object("rope_scaling")? } else { None };
    let inner = parameters.or(scaling).map(|o| Fields::new(o, "the config's rope parameters"));
    let within = |key: &str| inner.map_or(Ok(None), |f| f.number_or(key));
    let theta = match within("rope_theta")? {
        Some(theta) => theta,
        None => config.number_or(theta_key)?.ok_or_else(|| {
            Error::argument(format!(
                "the config has no `{theta_key}` (nor `rope_theta` inside `rope_parameters`); nothing is \
                 assumed, so add \"{theta_key}\": 10000.0 if this model is older than that field"
            ))
        })?,
    };
    let factor = match within("partial_rotary_factor")? {
        Some(factor) => factor,
        None => config.number_or("partial_rotary_factor")?.unwrap_or(1.0),
    };
    if !partial && factor != 1.0 {
        return Err(Error::argument(format!(
            "`partial_rotary_factor` is {factor}, but this architecture turns whole heads"
        )));
    }
    let dims = (head_dim as f64 * factor) as usize;
    if dims == 0 || !dims.is_multiple_of(2) || dims > head_dim {
        return Err(Error::argument(format!(
            "rotary embedding over {dims} of {head_dim} dimensions: must be even, at least 2 and at most the head"
        )));
    }
    let scaling = match inner {
        Some(fields) => scaling_of(fields, config, dims)?,
        None => RopeScaling::None,
    };
    Ok(Rope { theta, dims, scaling })
}

fn scaling_of(fields: Fields<'_>, config: Fields<'_>, dims: usize) -> Result<RopeScaling> {
    let kind = match fields.text_or("rope_type")? {
        Some(kind) => Some(kind),
        None => fields.text_or("type")?,
    };
    match kind {
        None if fields.value("factor").is_some() => Err(fields.missing("rope_type")),
        None | Some("default") => Ok(RopeScaling::None),
        Some("linear") => Ok(RopeScaling::Linear { factor: fields.number("factor")? }),
        Some("llama3") => {
            let key = "original_max_position_embeddings";
            let original = match config.number_or(key)? {
                Some(n) => n,
                None => fields.number(key)?,
            };
            Ok(RopeScaling::Llama3 {
                factor: fields.number("factor")?,
                low_freq_factor: fields.number("low_freq_factor")?,
                high_freq_factor: fields.number("high_freq_factor")?,
                original_positions: original,
            })
        }
        Some("longrope" | "su") => long_rope(fields, config, dims / 2),
        Some(other) => Err(Error::argument(format!(
            "rope scaling `{other}` is not supported; supported are default, linear, llama3 and longrope"
        ))),
    }
}

/// The divisors are given; the factor on cosines and sines follows from how far the context grew.
fn long_rope(fields: Fields<'_>, config: Fields<'_>, count: usize) -> Result<RopeScaling> {
    let divisors = |key: &str| {
        let list = fields.list_or(key)?.ok_or_else(|| fields.missing(key))?;
        let numbers: Option<Vec<f64>> = list.iter().map(|v| v.as_f64().filter(|x| *x > 0.0)).collect();
        match numbers {
            Some(numbers) if numbers.len() == count => Ok(numbers),
            _ => Err(Error::argument(format!(
                "`{key}` in the config's rope parameters must hold {count} positive numbers"
            ))),
        }
    };
    let original_key = "original_max_position_embeddings";
    // The one at the top comes first, as in transformers.
    let original_positions = match config.size_or(original_key)? {
        Some(n) => n,
        None => fields.size(original_key)?,
    };
    let grown = match fields.number_or("factor")? {
        Some(factor) => factor,
        None => config.size("max_position_embeddings")? as f64 / original_positions as f64,
    };
    let attention_factor = match fields.number_or("attention_factor")? {
        Some(factor) => factor,
        None if grown <= 1.0 => 1.0,
        None => (1.0 + grown.ln() / (original_positions as f64).ln()).sqrt(),
    };
    if !attention_factor.is_finite() {
        return Err(Error::argument(format!(
            "`{original_key}` of {original_positions} is too short to grow from"
        )));
    }
    Ok(RopeScaling::LongRope {
        short: divisors("short_factor")?,
        long: divisors("long_factor")?,
        original_positions,
        attention_factor,
    })
}

/// Whether an object describes rotary embeddings per kind of layer.
pub(super) fn per_kind(parameters: Option<&Map<String, Value>>) -> bool {
    parameters.is_some_and(|p| p.values().any(Value::is_object))
}
