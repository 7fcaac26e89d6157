//! Comparing a text that was generated with one that was expected.

/// Whether two texts are the same up to letter case and runs of white space.
pub fn exact_match(answer: &str, expected: &str) -> bool {
    let words = |text: &str| text.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>();
    words(answer) == words(expected)
}

/// The number an answer ends on, as it is graded in GSM8K: the first after `marker`, or without
/// the marker the last anywhere. Commas between digits are dropped.
pub fn answer_number(text: &str, marker: &str) -> Option<f64> {
    match text.split_once(marker).filter(|_| !marker.is_empty()) {
        Some((_, after)) => numbers(after).first().copied(),
        None => None,
    }
    .or_else(|| numbers(text).last().copied())
}

/// All numbers in a text: an optional minus, digits (with commas between them), an optional
/// fraction.
pub fn numbers(text: &str) -> Vec<f64> {
    let bytes = text.as_bytes();
    let digit = |i: usize| bytes.get(i).is_some_and(u8::is_ascii_digit);
    let mut found = Vec::new();
    let mut i = 0;
    while i < bytes.len() {
        if !digit(i) {
            i += 1;
            continue;
        }
        let mut number = String::new();
        // A minus belongs to the number unless it stands between two operands.
        let operand = |c: &u8| c.is_ascii_alphanumeric() || *c == b')';
        if i > 0 && bytes[i - 1] == b'-' && !(i > 1 && operand(&bytes[i - 2])) {
            number.push('-');
        }
        let mut fraction = false;
        loop {
            match bytes.get(i) {
                Some(c) if c.is_ascii_digit() => number.push(char::from(*c)),
                Some(b',') if !fraction && digit(i + 1) => {}
                Some(b'.') if !fraction && digit(i + 1) => {
                    fraction = true;
                    number.push('.');
                }
                _ => break,
            }
            i += 1;
        }
        found.extend(number.parse::<f64>());
    }
    found
}

/// The number of insertions, deletions and replacements of characters that make one text the other
/// (Levenshtein).
pub fn edit_distance(a: &str, b: &str) -> usize {
    strsim::levenshtein(a, b)
}

/// ROUGE-L (Lin 2004): the F1 score of the longest common subsequence of the words, in lower case
/// and without punctuation.
pub fn rouge_l(answer: &str, expected: &str) -> f64 {
    let words = |text: &str| -> Vec<String> {
        let parts = text.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty());
        parts.map(str::to_lowercase).collect()
    };
    let (a, b) = (words(answer), words(expected));
    if a.is_empty() || b.is_empty() {
        return if a.len() == b.len() { 1.0 } else { 0.0 };
    }
    let mut row = vec![0usize; b.len() + 1];
    for x in &a {
        let mut diagonal = 0;
        for (j, y) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = if x == y { diagonal + 1 } else { above.max(row[j]) };
            diagonal = above;
        }
    }
    2.0 * row[b.len()] as f64 / (a.len() + b.len()) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_in_prose() {
        assert_eq!(
            numbers("It cost $1,234.50, i.e. 3-2=1 or -7 (x-4): 5."),
            [1234.5, 3.0, 2.0, 1.0, -7.0, 4.0, 5.0]
        );
        assert_eq!(numbers("1,2 and 1.2.3 and 10,000,000"), [12.0, 1.2, 3.0, 1e7]);
        assert!(numbers("none - at, all.").is_empty());
    }

    #[test]
    fn the_number_after_the_marker_counts_and_else_the_last() {
        let marker = "The final answer is:";
        assert_eq!(answer_number("5 and 6\nThe final answer is:  72 apples of 80", marker), Some(72.0));
        assert_eq!(answer_number("first 5, then 1,006.", marker), Some(1006.0));
        assert_eq!(answer_number("4 then The final answer is: none", marker), Some(4.0));
        assert_eq!(answer_number("none", marker), None);
    }

    #[test]
    fn distances_and_overlaps_of_known_pairs() {
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("", "äöü"), 3);
        assert_eq!(edit_distance("same", "same"), 0);
        assert!((rouge_l("police kill the gunman", "police killed the gunman") - 0.75).abs() < 1e-12);
        assert_eq!(rouge_l("A, b!", "a b"), 1.0);
        assert_eq!(rouge_l("", "a"), 0.0);
        assert!(exact_match(" The  Answer\n", "the answer") && !exact_match("a b", "ab"));
    }
}
