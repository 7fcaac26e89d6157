//! A model with factors of low rank beside some of its weights, which it shares with the model it was made of.

use candle_core::{DType, Tensor};

use super::decoder::{Attached, Factored};
use super::{Model, Params, Universe};
use crate::host::Rng;
use crate::{Error, Result};

/// How factors begin. B is zero, so that the model begins as it is; of an embedding A is zero and B normal. This is what
/// peft does under the same names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Init {
    /// A uniform within `1 / sqrt(in)` (Kaiming's with a = sqrt 5).
    #[default]
    Kaiming,
    /// A normal with deviation `1 / rank`.
    Gaussian,
}

impl Init {
    /// The values of A and B of one module. They depend on the seed, the name and the shape alone.
    fn draw(self, root: &Rng, module: &Factored, name: &str, shape: &[usize], second: bool) -> Vec<f32> {
        let mut rng = root.fork(name);
        let count = shape.iter().product();
        if second != module.embedding() {
            return vec![0.0; count];
        }
        let bound = 1.0 / (shape[1] as f64).sqrt();
        let mut value = || match self {
            _ if module.embedding() => rng.normal(),
            Self::Kaiming => bound * (2.0 * rng.uniform() - 1.0),
            Self::Gaussian => rng.normal() / module.rank as f64,
        };
        (0..count).map(|_| value() as f32).collect()
    }
}

impl Model {
    /// The model with new factors, f32, beside the weights of some modules. The weights are those of this model, not
    /// copies: what trains them trains both, and who trains the factors alone leaves them as they are.
    pub fn attach(&self, attached: Attached, init: Init, seed: u64) -> Result<Self> {
        let root = Rng::new(seed);
        self.attach_with(attached, |module, name, shape, second| {
            let values = init.draw(&root, module, name, shape, second);
            Ok(Tensor::from_vec(values, shape, self.params.device())?)
        })
    }

    /// The same with given values: `values` gets the module, and the name and the shape of a factor, and whether it is B.
    pub(crate) fn attach_with(
        &self,
        attached: Attached,
        mut values: impl FnMut(&Factored, &str, &[usize], bool) -> Result<Tensor>,
    ) -> Result<Self> {
        let decoder = self.decoder.attach(attached)?;
        let universe = decoder.universe().clone();
        let modules = decoder.attached().map(|a| a.modules.clone()).unwrap_or_default();
        let mut more = Vec::with_capacity(2 * modules.len());
        for (at, spec) in universe.specs()[self.params.universe().len()..].iter().enumerate() {
            let tensor = values(&modules[at / 2], &spec.name, &spec.shape, at % 2 == 1)?;
            more.push(tensor.to_dtype(DType::F32)?.to_device(self.params.device())?.contiguous()?);
        }
        let scales = modules.iter().map(|module| module.scale as f32).collect();
        let params = self.params.extended(universe, more, scales)?;
        Ok(Self { decoder, params, ..self.clone() })
    }

    /// A copy without factors whose head is a weight of its own, a copy of the embedding if it was that.
    pub fn untied(&self) -> Result<Self> {
        self.plain_copy(true)
    }

    /// A copy of the weights without factors. With `untied`, a head that is the embedding becomes a weight of its own.
    pub(crate) fn plain_copy(&self, untied: bool) -> Result<Self> {
        let config = if untied { self.config.untied() } else { self.config.clone() };
        let decoder = super::Decoder::new(&config)?;
        let universe: &Universe = decoder.universe();
        let tensor = |name: &str| {
            let from = self.params.universe().index_of(name).map(|i| self.params.get(i));
            let head = (name == "lm_head.weight").then(|| self.params.by_name("model.embed_tokens.weight"));
            match (from, head) {
                (Some(tensor), _) | (None, Some(Ok(tensor))) => Ok(tensor.copy()?),
                _ => Err(Error::mismatch(format!("the model has no parameter {name}"))),
            }
        };
        let tensors = universe.specs().iter().map(|s| tensor(&s.name)).collect::<Result<_>>()?;
        let params = Params::new(decoder.universe().clone(), tensors)?;
        Ok(Self { config, decoder, params, ..self.clone() })
    }
}
