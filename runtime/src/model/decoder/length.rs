//! Sequences that are longer than those a model was made for.

use super::Decoder;
use crate::data::Batch;
use crate::host::Host;

impl Decoder {
    /// A notice if any sequence has more tokens than the model was made for (`max_position_embeddings`). It is given once for
    /// all that a call works with, and the call goes on: rotary embeddings have a value for every position, but the model
    /// has not learnt to read those beyond.
    pub fn tell_long(&self, host: &Host, lengths: impl IntoIterator<Item = usize>) {
        let most = self.config.max_positions;
        let (count, longest) = lengths
            .into_iter()
            .filter(|&length| length > most)
            .fold((0usize, 0), |(count, longest), length| (count + 1, longest.max(length)));
        let who = match count {
            0 => return,
            1 => format!("a sequence has {longest} tokens"),
            _ => format!("{count} sequences are long, the longest {longest} tokens"),
        };
        host.events.notice(format!(
            "{who}: the model was made for {most} (max_position_embeddings), and what it says beyond them means little"
        ));
    }

    /// The same for the sequences of batches.
    pub fn tell_long_in<'b>(&self, host: &Host, batches: impl IntoIterator<Item = &'b Batch>) {
        self.tell_long(host, batches.into_iter().flat_map(Batch::lengths));
    }
}
