//! Tokenizers and chat templates.

use serde_json::json;

use crate::{Seed, fixture};

pub fn seeds() -> Vec<Seed> {
    let mut all: Vec<Seed> = Vec::new();
    for name in ["gemma", "llama3", "mistral", "phi3", "qwen3", "smollm2"] {
        all.push((
            "template",
            name.to_string(),
            fixture(&format!("runtime/tests/fixtures/templates/{name}.jinja")),
        ));
    }
    for (name, text) in TEMPLATES {
        all.push(("template", (*name).to_string(), text.as_bytes().to_vec()));
    }
    let of_a_merge = fixture("runtime/tests/fixtures/merges/vocabulary/a/tokenizer.json");
    all.push(("tokenizer", "words".into(), of_a_merge));
    all.push(("tokenizer", "bytes".into(), fixture("assets/tiny/tokenizer.json")));
    for (name, tokenizer) in tokenizers() {
        let config = json!({"bos_token": "<s>", "eos_token": {"content": "</s>"}, "unk_token": "w5"});
        let text = format!("{tokenizer}\0{config}");
        all.push(("tokenizer", name.to_string(), text.into_bytes()));
    }
    all
}

const TEMPLATES: &[(&str, &str)] = &[
    (
        "filters",
        "{%- generation -%}{% for k, v in messages[2].items() %}{{ k | upper ~ v | tojson(indent=2) }}{% endfor %}\
         {%- endgeneration %}{{ messages | map(attribute='role') | join(',') }}{{ strftime_now('%d %b %Y %H:%M') }}",
    ),
    (
        "methods",
        "{{ messages[1].content.strip().split(' ')[::-1] }}{{ 'a%sb'.replace('%s', 'x').title().startswith('A') }}\
         {% set ns = namespace(n=0) %}{% for i in range(9) %}{% set ns.n = ns.n + i * 2 %}{% endfor %}{{ ns.n // 7 }}",
    ),
    (
        "macros",
        "{% macro m(x, d=0) %}{% if d < 3 %}{{ m(x ~ x, d + 1) }}{% else %}{{ x }}{% endif %}{% endmacro %}{{ m('ab') }}",
    ),
    (
        "raises",
        "{% if tools is none %}{{ raise_exception('no tools') }}{% endif %}{{ tools | tojson(sort_keys=true) }}",
    ),
];

/// One of each kind of model, with different steps around.
fn tokenizers() -> Vec<(&'static str, serde_json::Value)> {
    let added = json!([{"id": 1, "content": "<s>", "special": true, "single_word": false, "lstrip": false,
        "rstrip": false, "normalized": false},
        {"id": 2, "content": "</s>", "special": true, "single_word": false, "lstrip": true, "rstrip": true,
        "normalized": true}]);
    let whole = |normalizer, pre, post, decoder, model| {
        json!({"version": "1.0", "truncation": null, "padding": null, "added_tokens": added.clone(),
            "normalizer": normalizer, "pre_tokenizer": pre, "post_processor": post, "decoder": decoder, "model": model})
    };
    let template = json!({"type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}});
    let null = || json!(null);
    vec![
        (
            "bpe",
            whole(
                json!({"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Replace",
                    "pattern": {"String": " "}, "content": "\u{2581}"}]}),
                json!({"type": "Split", "pattern": {"Regex": "\\s+|[a-z]+(?=\\d)"}, "behavior": "Isolated",
                    "invert": false}),
                template,
                json!({"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"},
                    {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}),
                json!({"type": "BPE", "dropout": null, "unk_token": "w5", "continuing_subword_prefix": null,
                    "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true, "ignore_merges": false,
                    "vocab": {"w5": 0, "<s>": 1, "</s>": 2, "a": 3, "b": 4, "ab": 5, "c": 6, "\u{2581}": 7},
                    "merges": [["a", "b"]]}),
            ),
        ),
        (
            "unigram",
            whole(
                json!({"type": "NFKC"}),
                json!({"type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "first", "split": true}),
                json!({"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 1], "trim_offsets": true,
                    "add_prefix_space": true}),
                json!({"type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "first", "split": true}),
                json!({"type": "Unigram", "unk_id": 0, "byte_fallback": false,
                    "vocab": [["w5", 0.0], ["<s>", 0.0], ["</s>", 0.0], ["\u{2581}a", -1.5], ["b", -2.0]]}),
            ),
        ),
        (
            "wordpiece",
            whole(
                json!({"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                    "strip_accents": null, "lowercase": true}),
                json!({"type": "Sequence", "pretokenizers": [{"type": "BertPreTokenizer"}, {"type": "Digits",
                    "individual_digits": true}]}),
                json!({"type": "BertProcessing", "sep": ["</s>", 2], "cls": ["<s>", 1]}),
                json!({"type": "WordPiece", "prefix": "##", "cleanup": true}),
                json!({"type": "WordPiece", "unk_token": "w5", "continuing_subword_prefix": "##",
                    "max_input_chars_per_word": 100, "vocab": {"w5": 0, "<s>": 1, "</s>": 2, "ab": 3, "##c": 4}}),
            ),
        ),
        (
            "wordlevel",
            whole(
                null(),
                json!({"type": "WhitespaceSplit"}),
                null(),
                null(),
                json!({"type": "WordLevel", "unk_token": "w5", "vocab": {"w5": 0, "<s>": 1, "</s>": 2, "w3": 3}}),
            ),
        ),
    ]
}
