//! The labelled positions of a batch, and what is computed at each.

/// What cross-entropy adds to the log-probability of a label; nothing by default.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Terms {
    /// The share of the label's probability that is spread evenly over the vocabulary, from 0 up to but not including 1:
    /// `label_smoothing` of PyTorch's `cross_entropy` (Szegedy et al. 2016, arXiv 1512.00567, section 7).
    pub smoothing: f32,
    /// The weight of the square of the logits' log-sum-exp, at least 0: PaLM's z-loss (arXiv 2204.02311, section 5), which
    /// there has 1e-4.
    pub z: f32,
}

impl Terms {
    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// The labelled positions of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Labels {
    pub(super) rows: Vec<u32>,
    pub(super) targets: Vec<u32>,
    pub(super) tokens: usize,
    pub(super) terms: Terms,
}

impl Labels {
    /// From one label per token, negative where there is none.
    pub fn new(labels: &[i32]) -> Self {
        let found = labels.iter().enumerate().filter(|(_, label)| **label >= 0);
        let (rows, targets) = found.map(|(row, label)| (row as u32, *label as u32)).unzip();
        Self { rows, targets, tokens: labels.len(), terms: Terms::default() }
    }

    /// The same with terms: where a log-probability is computed, it is then
    /// `(1 - smoothing) · logp[label] + smoothing · mean(logp) - z · logsumexp²`.
    pub fn with_terms(self, terms: Terms) -> Self {
        Self { terms, ..self }
    }

    /// The number of labelled positions, `n`.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether nothing is labelled.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The labelled positions, rising.
    pub fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// The label at each labelled position.
    pub fn targets(&self) -> &[u32] {
        &self.targets
    }

    /// Rows of chunks that are about equal and have at most `most` of them.
    pub(super) fn step(&self, most: usize) -> usize {
        let count = self.len().max(1);
        count.div_ceil(count.div_ceil(most.max(1)))
    }
}
