//! The kinds of statistics, and the shape that each has.

use crate::model::ParamSpec;

/// A kind of statistics. Each is f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// The Euclidean norm of each input feature over all tokens, `[in]` (Wanda, arXiv 2306.11695).
    InputNorm,
    /// The Euclidean norm of each output feature over all tokens, `[out]`.
    OutputNorm,
    /// The mean over all tokens of the magnitude of each output feature, `[out]` (MIGU, arXiv 2406.17245).
    OutputMagnitude,
    /// `XᵀX` of the inputs of all tokens, `[in, in]` (RegMean, arXiv 2212.09849).
    Gram,
    /// The diagonal of the empirical Fisher information, in the parameter's shape (arXiv 1612.00796).
    Fisher,
}

impl Kind {
    /// All kinds, in the order in which they are listed.
    pub const ALL: [Self; 5] =
        [Self::InputNorm, Self::OutputNorm, Self::OutputMagnitude, Self::Gram, Self::Fisher];

    /// The word used in scripts and files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InputNorm => "input_norm",
            Self::OutputNorm => "output_norm",
            Self::OutputMagnitude => "output_magnitude",
            Self::Gram => "gram",
            Self::Fisher => "fisher",
        }
    }

    /// The kind of a word.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// Whether it is about what layers are given, and so the same for layers that are given the same.
    pub fn of_inputs(self) -> bool {
        matches!(self, Self::InputNorm | Self::Gram)
    }

    /// Its shape for the layer of a weight.
    pub fn shape(self, weight: &ParamSpec) -> Vec<usize> {
        let (rows, cols) = weight.rows_cols();
        match self {
            Self::InputNorm => vec![cols],
            Self::OutputNorm | Self::OutputMagnitude => vec![rows],
            Self::Gram => vec![cols, cols],
            Self::Fisher => weight.shape.clone(),
        }
    }
}
