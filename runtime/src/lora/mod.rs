//! LoRA adapters (Hu et al. 2021, arXiv 2106.09685) as peft stores them: read, applied, made of a
//! task vector, attached to a model as factors to be trained, written.
//!
//! An adapter gives some weights a change of low rank, `scale * B A`. An adapter of
//! another kind is an error that names the kind.

mod apply;
mod attach;
mod combine;
mod config;
mod extract;
mod read;
mod svd;
mod write;

use candle_core::Tensor;

pub use attach::{Shape, merged, modules};
pub use config::Config;
pub use extract::{ExtractOptions, Extracted, LEFT_OUT};
pub use read::{CONFIG, WEIGHTS};

/// The change of one weight.
#[derive(Clone, Debug)]
pub struct Module {
    /// The module whose weight it is: `model.layers.0.self_attn.q_proj`.
    pub name: String,
    /// `[rank, in]`, f32, on the CPU.
    pub a: Tensor,
    /// `[out, rank]`, f32, on the CPU.
    pub b: Tensor,
    /// What the product is multiplied with.
    pub scale: f64,
    /// Whether the weight is the transpose of the product: an embedding, or a module that stores
    /// its weight as `[in, out]`.
    pub transposed: bool,
    /// Whether the module is an embedding, whose factors have names of their own in the file.
    pub embedding: bool,
}

impl Module {
    /// The rank of its factors.
    pub fn rank(&self) -> usize {
        self.a.dims()[0]
    }

    /// The name of the parameter it changes.
    pub fn param(&self) -> String {
        format!("{}.weight", self.name)
    }

    /// The shape of the parameter it changes.
    pub fn shape(&self) -> [usize; 2] {
        let (out, inner) = (self.b.dims()[0], self.a.dims()[1]);
        if self.transposed { [inner, out] } else { [out, inner] }
    }
}

/// A parameter that an adapter replaces as a whole: of a module that was trained in full, or a bias.
#[derive(Clone, Debug)]
pub struct Replaced {
    /// The parameter's name.
    pub param: String,
    /// Its values, f32, on the CPU.
    pub values: Tensor,
}

/// A LoRA adapter.
#[derive(Clone, Debug)]
pub struct Adapter {
    /// What its configuration says.
    pub config: Config,
    /// The weights it changes, in order of their names.
    pub modules: Vec<Module>,
    /// The parameters it replaces.
    pub replaced: Vec<Replaced>,
}

impl Adapter {
    /// The number of trained values.
    pub fn values(&self) -> usize {
        let of_module = |m: &Module| m.a.elem_count() + m.b.elem_count();
        self.modules.iter().map(of_module).sum::<usize>()
            + self.replaced.iter().map(|r| r.values.elem_count()).sum::<usize>()
    }
}

#[cfg(test)]
mod tests;
