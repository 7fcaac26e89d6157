//! Which tensors of a model belong to which layer. Only names are used, so that models whose
//! architecture cannot be run here can still be merged.

use std::collections::BTreeMap;

/// The names of a model's tensors.
#[derive(Clone, Debug, Default)]
pub(super) struct Layout {
    /// What stands before the number of a layer, `model.layers.`.
    pub prefix: String,
    /// For each layer, what stands after its number: `.mlp.up_proj.weight`.
    pub layers: BTreeMap<usize, Vec<String>>,
    /// Tensors outside the layers that come before them.
    pub before: Vec<String>,
    /// Tensors outside the layers that come after them.
    pub after: Vec<String>,
}

impl Layout {
    /// Of these names.
    pub fn of(names: &[String]) -> Self {
        let mut count: BTreeMap<&str, usize> = BTreeMap::new();
        names.iter().filter_map(|n| split(n)).for_each(|(prefix, ..)| *count.entry(prefix).or_default() += 1);
        // A model may have several stacks of layers: the largest is the decoder.
        let most = count.iter().max_by_key(|(_, n)| **n).map_or(String::new(), |(p, _)| (*p).to_string());
        let mut layout = Self { prefix: most, ..Self::default() };
        for name in names {
            match split(name) {
                Some((prefix, layer, rest)) if prefix == layout.prefix => {
                    layout.layers.entry(layer).or_default().push(rest.to_string());
                }
                _ if is_embedding(name) => layout.before.push(name.clone()),
                _ => layout.after.push(name.clone()),
            }
        }
        layout
    }

    /// The name of a layer's tensor.
    pub fn name(&self, layer: usize, rest: &str) -> String {
        format!("{}{layer}{rest}", self.prefix)
    }
}

/// `model.layers.`, 3 and `.mlp.up_proj.weight`.
fn split(name: &str) -> Option<(&str, usize, &str)> {
    let mut start = 0;
    for part in name.split('.') {
        let end = start + part.len();
        if start > 0
            && end < name.len()
            && let Ok(layer) = part.parse()
        {
            return Some((&name[..start], layer, &name[end..]));
        }
        start = end + 1;
    }
    None
}

fn is_embedding(name: &str) -> bool {
    ["embed_tokens", "wte", "wpe", "word_embeddings", "embed_in"].iter().any(|part| name.contains(part))
}

/// Whether the rows of a tensor are tokens.
pub(super) fn is_vocabulary(name: &str) -> bool {
    [
        "embed_tokens.weight",
        "lm_head.weight",
        "lm_head.bias",
        "wte.weight",
        "embed_in.weight",
        "embed_out.weight",
    ]
    .iter()
    .any(|end| name.ends_with(end))
}

/// Whether a tensor only holds what is computed from `config.json`: rotary frequencies.
pub(super) fn is_computed(name: &str) -> bool {
    name.ends_with(".rotary_emb.inv_freq")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        let names = [
            "lm_head.weight",
            "model.embed_tokens.weight",
            "model.layers.0.mlp.up.weight",
            "model.layers.11.n",
            "v.0.x",
        ];
        let layout = Layout::of(&names.map(str::to_string));
        assert_eq!(layout.prefix, "model.layers.");
        assert_eq!(layout.layers.keys().copied().collect::<Vec<_>>(), [0, 11]);
        assert_eq!(layout.before, ["model.embed_tokens.weight"]);
        assert_eq!(layout.after, ["lm_head.weight", "v.0.x"]);
        assert_eq!(layout.name(3, &layout.layers[&0][0]), "model.layers.3.mlp.up.weight");
    }
}
