//! From examples to the batches a decoder takes: no padding, one segment an example.

use super::{Batch, Example, NO_LABEL};

/// The batch of some examples, given with the numbers they are known by. Every example is its own
/// segment, so none attends to another, and its positions count from 0.
pub fn collate<'a>(examples: impl IntoIterator<Item = (u32, &'a Example)>) -> Batch {
    let mut batch = Batch::new();
    for (id, example) in examples {
        let mut labels: Vec<i32> = example.labels.iter().skip(1).copied().collect();
        labels.resize(example.len(), NO_LABEL);
        batch.append(&example.tokens, &labels, id);
    }
    batch
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_move_one_place_to_the_left_inside_their_example() {
        let a = Example::new(&[1, 2], &[3, 4]);
        let b = Example::new(&[5], &[6]);
        let batch = collate([(7, &a), (9, &b)]);
        assert_eq!(batch.tokens, [1, 2, 3, 4, 5, 6]);
        assert_eq!(batch.labels, [-100, 3, 4, -100, 6, -100]);
        assert_eq!(batch.positions, [0, 1, 2, 3, 0, 1]);
        assert_eq!(batch.segments, [0, 4, 6]);
        assert_eq!(batch.examples, [7, 9]);
    }
}
