//! How text is cut into words before merging, by the name GGUF files give it
//! (`tokenizer.ggml.pre`).

/// A way of cutting text into words.
pub(super) struct Splitting {
    /// Every digit is a word of its own, before anything else.
    pub single_digits: bool,
    /// Regular expressions, applied one after the other; each match is a word, and so is what lies
    /// between. None: GPT-2's.
    pub patterns: &'static [&'static str],
    /// A word that is a token is taken whole, without merging.
    pub whole_words: bool,
    /// Characters are composed first (Unicode NFC).
    pub compose: bool,
    /// Texts begin with a beginning of sequence unless the file says otherwise.
    pub begins: bool,
}

const GPT2: Splitting =
    Splitting { single_digits: false, patterns: &[], whole_words: false, compose: false, begins: false };

const GPT2_PATTERN: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)";

/// Contractions in either case, digits by threes (cl100k and after).
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// The same with single digits.
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Words are also cut where lower case turns to upper (o200k).
const GPT4O: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// The same without contractions and with single digits (Mistral's Tekken).
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// What files without a name of their own use.
const DEFAULT: &[&str] = &[r"[\p{P}\$\+<=>\^~\|]+", GPT2_PATTERN, r"\p{N}+", r"[0-9][0-9][0-9]"];

const FALCON: &[&str] = &[r"[\p{P}\$\+<=>\^~\|`]+", GPT2_PATTERN, r"[0-9][0-9][0-9]"];

/// The names that are known, by the way they mean.
const GPT2_NAMES: &[&str] = &["gpt-2", "mpt", "olmo", "jais", "phi-2", "granite-docling"];
const DIGITS_NAMES: &[&str] =
    &["smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"];
const LLAMA3_NAMES: &[&str] = &["llama3", "llama-v3", "llama-bpe", "falcon3", "pixtral"];
const DBRX_NAMES: &[&str] = &["dbrx", "smaug-bpe", "chatglm-bpe"];
const QWEN2_NAMES: &[&str] = &["qwen2", "deepseek-r1-qwen", "megrez"];
const OTHER_NAMES: &[&str] = &["stablelm2", "gpt-4o", "tekken", "falcon", "default"];

/// The way of a name.
pub(super) fn of(name: &str) -> Option<Splitting> {
    Some(match name {
        _ if GPT2_NAMES.contains(&name) => GPT2,
        _ if DIGITS_NAMES.contains(&name) => Splitting { single_digits: true, ..GPT2 },
        _ if LLAMA3_NAMES.contains(&name) => {
            Splitting { patterns: &[LLAMA3], whole_words: true, begins: true, ..GPT2 }
        }
        _ if DBRX_NAMES.contains(&name) => Splitting { patterns: &[LLAMA3], ..GPT2 },
        _ if QWEN2_NAMES.contains(&name) => Splitting { patterns: &[QWEN2], compose: true, ..GPT2 },
        "stablelm2" => Splitting { patterns: &[QWEN2], ..GPT2 },
        "gpt-4o" => Splitting { patterns: &[GPT4O], ..GPT2 },
        "tekken" => Splitting { patterns: &[TEKKEN], whole_words: true, begins: true, ..GPT2 },
        "falcon" => Splitting { patterns: FALCON, ..GPT2 },
        "default" => Splitting { patterns: DEFAULT, ..GPT2 },
        _ => return None,
    })
}

/// All names that are known, for messages.
pub(super) fn known() -> String {
    [GPT2_NAMES, DIGITS_NAMES, LLAMA3_NAMES, DBRX_NAMES, QWEN2_NAMES, OTHER_NAMES].concat().join(", ")
}

#[cfg(test)]
mod tests {
    use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
    use tokenizers::{
        OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, SplitDelimiterBehavior,
    };

    use super::*;

    fn words(name: &str, text: &str) -> Vec<String> {
        let mut pieces = PreTokenizedString::from(text);
        for pattern in of(name).expect("known").patterns {
            let pattern = SplitPattern::Regex((*pattern).to_string());
            let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false).expect("compiles");
            split.pre_tokenize(&mut pieces).expect("splits");
        }
        let splits = pieces.get_splits(OffsetReferential::Original, OffsetType::Byte);
        splits.into_iter().map(|(word, _, _)| word.to_string()).collect()
    }

    #[test]
    fn every_known_name_compiles_and_loses_nothing() {
        let text = "I'LL pay $1234.50\n\n  for  camelCase, naïve 你好 x²!  ";
        for name in known().split(", ") {
            assert_eq!(words(name, text).concat(), text, "{name}");
        }
        assert!(of("no-such").is_none());
    }

    #[test]
    fn digits_go_alone_or_by_threes() {
        assert_eq!(words("qwen2", "a 1234"), ["a", " ", "1", "2", "3", "4"]);
        assert_eq!(words("llama-bpe", "a 1234"), ["a", " ", "123", "4"]);
        assert_eq!(words("llama-bpe", "He'LL go\n\n x"), ["He", "'LL", " go", "\n\n", " x"]);
        assert_eq!(words("gpt-4o", "camelCase's x"), ["camel", "Case's", " x"]);
        assert_eq!(words("default", "a+b 12345"), ["a", "+", "b", " ", "123", "45"]);
    }
}
