//! Stop strings: text that ends a generation, found as it grows.

/// Text as it is generated. What may be the beginning of a stop string is held back.
#[derive(Debug, Default)]
pub(super) struct Growing {
    text: String,
    /// Bytes of `text` that were given out.
    shown: usize,
}

impl Growing {
    /// Adds a piece. Returns what can be shown now, and whether a stop string has come; the text
    /// then ends before it.
    pub fn push(&mut self, piece: &str, stops: &[String]) -> (String, bool) {
        // A stop string may begin in what was there before, but not in what was shown.
        let from = self.shown;
        self.text.push_str(piece);
        let found = stops.iter().filter_map(|s| self.text[from..].find(s.as_str())).min();
        if let Some(at) = found {
            self.text.truncate(from + at);
            return (self.show(self.text.len()), true);
        }
        let held = stops.iter().map(|s| overlap(&self.text[from..], s)).max().unwrap_or(0);
        (self.show(self.text.len() - held), false)
    }

    /// What was held back, when nothing more comes.
    pub fn finish(&mut self) -> String {
        self.show(self.text.len())
    }

    /// The whole text.
    pub fn into_text(self) -> String {
        self.text
    }

    fn show(&mut self, until: usize) -> String {
        let piece = self.text[self.shown..until].to_string();
        self.shown = until;
        piece
    }
}

/// The length of the longest end of `text` that begins `stop`.
fn overlap(text: &str, stop: &str) -> usize {
    stop.char_indices()
        .map(|(at, _)| at)
        .skip(1)
        .filter(|&length| text.ends_with(&stop[..length]))
        .max()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_a_stop_string_waits() {
        let stops = ["\n\nQ:".to_string(), "END".to_string()];
        let mut growing = Growing::default();
        assert_eq!(growing.push("one", &stops), ("one".to_string(), false));
        assert_eq!(growing.push(" E", &stops), (" ".to_string(), false));
        assert_eq!(growing.push("N\n", &stops), ("EN".to_string(), false));
        assert_eq!(growing.push("\nQ", &stops), (String::new(), false));
        assert_eq!(growing.push("?\n\nQ: more", &stops), ("\n\nQ?".to_string(), true));
        assert_eq!(growing.into_text(), "one EN\n\nQ?");
    }

    #[test]
    fn what_waited_is_shown_at_the_end() {
        let stops = ["é!".to_string()];
        let mut growing = Growing::default();
        assert_eq!(growing.push("caf\u{e9}", &stops), ("caf".to_string(), false));
        assert_eq!(growing.finish(), "\u{e9}");
        assert_eq!(growing.into_text(), "caf\u{e9}");
    }
}
