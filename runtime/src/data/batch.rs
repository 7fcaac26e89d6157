//! A batch: several token sequences laid end to end, without padding.

use crate::{Error, Result};

/// The label of a position that has none.
pub const NO_LABEL: i32 = -100;

/// Sequences laid end to end. Attention never crosses from one to another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The tokens of all sequences.
    pub tokens: Vec<u32>,
    /// The token to be predicted *at* each position (already shifted), or [`NO_LABEL`].
    pub labels: Vec<i32>,
    /// The place of each token in its own sequence.
    pub positions: Vec<u32>,
    /// The bounds of the sequences: from 0, rising, to the number of tokens.
    pub segments: Vec<u32>,
    /// For each sequence, the example it came from.
    pub examples: Vec<u32>,
}

impl Batch {
    /// A batch without sequences.
    pub fn new() -> Self {
        Self { segments: vec![0], ..Self::default() }
    }

    /// Sequences without labels, to be read or continued.
    pub fn of_tokens(sequences: &[impl AsRef<[u32]>]) -> Self {
        let mut batch = Self::new();
        for (i, tokens) in sequences.iter().enumerate() {
            let labels = vec![NO_LABEL; tokens.as_ref().len()];
            batch.append(tokens.as_ref(), &labels, i as u32);
        }
        batch
    }

    /// One sequence in which every token but the first is to be predicted.
    pub fn of_text(tokens: &[u32]) -> Self {
        let mut labels: Vec<i32> = tokens.iter().skip(1).map(|&t| t as i32).collect();
        labels.resize(tokens.len(), NO_LABEL);
        let mut batch = Self::new();
        batch.append(tokens, &labels, 0);
        batch
    }

    /// The sequences of several batches in one.
    pub fn concat(batches: &[Self]) -> Self {
        let mut all = Self::new();
        for batch in batches {
            let start = all.tokens.len() as u32;
            all.tokens.extend_from_slice(&batch.tokens);
            all.labels.extend_from_slice(&batch.labels);
            all.positions.extend_from_slice(&batch.positions);
            all.segments.extend(batch.segments.iter().skip(1).map(|end| start + end));
            all.examples.extend_from_slice(&batch.examples);
        }
        all
    }

    /// Each sequence as a batch of its own.
    pub fn each(&self) -> impl Iterator<Item = Self> + '_ {
        self.segments.windows(2).zip(&self.examples).map(|(ends, &example)| {
            let range = ends[0] as usize..ends[1] as usize;
            let mut one = Self::new();
            one.append(&self.tokens[range.clone()], &self.labels[range], example);
            one
        })
    }

    /// Adds a sequence with shifted labels. An empty one is left out.
    ///
    /// # Panics
    /// When there is not one label for each token.
    pub fn append(&mut self, tokens: &[u32], labels: &[i32], example: u32) {
        assert_eq!(tokens.len(), labels.len(), "every token needs a label, be it NO_LABEL");
        if tokens.is_empty() {
            return;
        }
        if self.segments.is_empty() {
            self.segments.push(0);
        }
        self.tokens.extend_from_slice(tokens);
        self.labels.extend_from_slice(labels);
        self.positions.extend(0..tokens.len() as u32);
        self.segments.push(self.tokens.len() as u32);
        self.examples.push(example);
    }

    /// The number of tokens.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether there are no tokens.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// The number of sequences.
    pub fn sequences(&self) -> usize {
        self.segments.len().saturating_sub(1)
    }

    /// The number of tokens of each sequence.
    pub fn lengths(&self) -> impl Iterator<Item = usize> + '_ {
        self.segments.windows(2).map(|ends| ends[1].saturating_sub(ends[0]) as usize)
    }

    /// The number of positions with a label.
    pub fn labelled(&self) -> usize {
        self.labels.iter().filter(|l| **l >= 0).count()
    }

    /// For each labelled position in order, the sequence it lies in.
    pub fn labelled_sequences(&self) -> Vec<u32> {
        let mut sequence = 0;
        let mut found = Vec::new();
        for (t, label) in self.labels.iter().enumerate() {
            while t as u32 >= self.segments[sequence + 1] {
                sequence += 1;
            }
            if *label >= 0 {
                found.push(sequence as u32);
            }
        }
        found
    }

    /// An error that says what is wrong, unless the fields fit together and every token and label
    /// is below `vocab`.
    pub fn check(&self, vocab: usize) -> Result<()> {
        let n = self.tokens.len();
        let wrong = |text: String| Err(Error::argument(format!("batch: {text}")));
        if n == 0 {
            return wrong("it has no tokens".to_string());
        }
        if self.labels.len() != n || self.positions.len() != n {
            return wrong(format!(
                "{n} tokens, {} labels and {} positions; each token needs one of both",
                self.labels.len(),
                self.positions.len()
            ));
        }
        let rising = self.segments.windows(2).all(|pair| pair[0] < pair[1]);
        if self.segments.first() != Some(&0) || self.segments.last() != Some(&(n as u32)) || !rising {
            return wrong(format!("segments must rise from 0 to the number of tokens, {n}"));
        }
        if self.examples.len() != self.sequences() {
            return wrong(format!("{} sequences but {} examples", self.sequences(), self.examples.len()));
        }
        if let Some(id) = self.tokens.iter().find(|&&id| id as usize >= vocab) {
            return wrong(format!("token {id} is outside the vocabulary of {vocab}"));
        }
        if let Some(id) = self.labels.iter().find(|&&id| id >= 0 && id as usize >= vocab) {
            return wrong(format!("label {id} is outside the vocabulary of {vocab}"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_keep_their_own_positions_and_labels() {
        let mut batch = Batch::new();
        batch.append(&[5, 6, 7], &[6, 7, NO_LABEL], 3);
        batch.append(&[], &[], 4);
        batch.append(&[8, 9], &[NO_LABEL, 1], 5);
        assert_eq!(batch.positions, [0, 1, 2, 0, 1]);
        assert_eq!(batch.segments, [0, 3, 5]);
        assert_eq!(batch.examples, [3, 5]);
        assert_eq!(batch.labelled(), 3);
        assert_eq!(batch.labelled_sequences(), [0, 0, 1]);
        assert!(batch.check(10).is_ok());
        let each: Vec<Batch> = batch.each().collect();
        assert_eq!((each.len(), each[1].tokens.as_slice(), each[1].examples[0]), (2, [8, 9].as_slice(), 5));
        assert_eq!(Batch::concat(&each), batch);
        let twice = Batch::concat(&[batch.clone(), Batch::new(), batch.clone()]);
        assert_eq!(twice.positions, [0, 1, 2, 0, 1, 0, 1, 2, 0, 1]);
        assert_eq!(twice.segments, [0, 3, 5, 8, 10]);
        assert_eq!(twice.labelled_sequences(), [0, 0, 1, 2, 2, 3]);
        assert!(twice.check(10).is_ok());
        assert_eq!(
            batch.check(9).expect_err("9 is too large").to_string(),
            "batch: token 9 is outside the vocabulary of 9"
        );
    }
}
