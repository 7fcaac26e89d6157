//! Readers, examples and batches: errors that say where, and laws that hold for any data.

use std::path::Path;
use std::sync::{Arc, Mutex};

use lota_runtime::data::{
    Batch, BatchOptions, Batches, Example, ExampleOptions, Format, Keep, Order, Padded, Pair, ReadLimits,
    encode_most, examples, read,
};
use lota_runtime::host::{Event, Events, Host, Rng};
use lota_runtime::model::{TokenizerTraining, train_tokenizer};
use lota_runtime::{Error, Result};
use proptest::prelude::*;
use serde_json::json;

fn file(name: &str, content: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join(name);
    std::fs::write(&path, content).expect("writes");
    (dir, path)
}

fn all(path: &Path) -> Result<Vec<lota_runtime::data::Row>> {
    read(path, None, ReadLimits::default(), &Host::default())
}

fn rows(name: &str, content: &str) -> Result<Vec<serde_json::Value>> {
    let (_dir, path) = file(name, content.as_bytes());
    Ok(all(&path)?.into_iter().map(serde_json::Value::Object).collect())
}

#[test]
fn json_lines_json_and_tables_give_the_same_rows() {
    let want = vec![json!({"q": "a, b", "n": "1"}), json!({"q": "c\n\"d\"", "n": "2"})];
    let lines = "\u{feff}{\"q\":\"a, b\",\"n\":\"1\"}\n\n{\"q\":\"c\\n\\\"d\\\"\",\"n\":\"2\"}";
    assert_eq!(rows("x.jsonl", lines).expect("reads"), want);
    assert_eq!(rows("lines.json", lines).expect("reads"), want);
    let array = "[{\"q\":\"a, b\",\"n\":\"1\"},\n {\"q\":\"c\\n\\\"d\\\"\",\"n\":\"2\"}]";
    assert_eq!(rows("x.json", array).expect("reads"), want);
    assert_eq!(rows("x.csv", "q,n\r\n\"a, b\",1\r\n\"c\n\"\"d\"\"\",2\r\n").expect("reads"), want);
    assert_eq!(rows("x.tsv", "q\tn\na, b\t1\n\"c\n\"\"d\"\"\"\t2\n").expect("reads"), want);
}

#[test]
fn errors_of_readers_name_the_file_and_the_line() {
    let told = |name: &str, content: &str, parts: &[&str]| {
        let text = rows(name, content).expect_err("is wrong").to_string();
        for part in parts.iter().chain([&name]) {
            assert!(text.contains(part), "`{text}` does not say `{part}`");
        }
    };
    told("a.jsonl", "{\"a\":1}\n{\"a\":}\n", &["line 2", "column 6"]);
    told("a.jsonl", "{\"a\":1}\n\n7\n", &["line 3", "a number"]);
    told("a.json", "[{\"a\":1},\n{\"a\"]", &["line 2"]);
    told("a.json", "[{\"a\":1}, null]", &["row 2", "null"]);
    told("a.csv", "a,b\n1,2\n3\n", &["line 3", "1 fields", "2"]);
    told("a.csv", "a,a\n1,2\n", &["two columns", "`a`"]);
    told("a.txt", "", &["`txt`", "jsonl"]);
    told("a.parquet", "PAR1", &["Parquet"]);
    assert!(matches!(all(Path::new("absent.jsonl")), Err(Error::Host(lota_runtime::host::Error::Io { .. }))));
    assert!(Format::named("xlsx").is_err_and(|e| e.to_string().contains("parquet")));
    let (_dir, path) = file("latin.jsonl", b"{\"a\":1}\n{\"a\":\"\xe9\"}\n");
    assert!(all(&path).is_err_and(|e| e.to_string().contains("line 2")));
}

#[test]
fn parquet_rows_keep_types_nulls_and_lists() {
    use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
    use parquet::file::writer::SerializedFileWriter;
    let (_dir, path) = file("x.parquet", b"");
    let schema = "message rows { required int64 id; optional binary text (UTF8); required double x;
        optional group tags (LIST) { repeated group list { required binary element (UTF8); } } }";
    let schema = Arc::new(parquet::schema::parser::parse_message_type(schema).expect("parses"));
    let out = std::fs::File::create(&path).expect("creates");
    let mut writer = SerializedFileWriter::new(out, schema, Default::default()).expect("opens");
    let mut group = writer.next_row_group().expect("a group");
    let texts = |words: &[&str]| words.iter().map(|w| ByteArray::from(*w)).collect::<Vec<_>>();
    let mut column = group.next_column().expect("ok").expect("id");
    column.typed::<Int64Type>().write_batch(&[1 << 60, 2], None, None).expect("writes");
    column.close().expect("closes");
    let mut column = group.next_column().expect("ok").expect("text");
    column.typed::<ByteArrayType>().write_batch(&texts(&["one"]), Some(&[1, 0]), None).expect("writes");
    column.close().expect("closes");
    let mut column = group.next_column().expect("ok").expect("x");
    column.typed::<DoubleType>().write_batch(&[0.5, f64::NAN], None, None).expect("writes");
    column.close().expect("closes");
    let mut column = group.next_column().expect("ok").expect("tags");
    let writer_of_tags = column.typed::<ByteArrayType>();
    writer_of_tags.write_batch(&texts(&["p", "q"]), Some(&[2, 2, 0]), Some(&[0, 1, 0])).expect("writes");
    column.close().expect("closes");
    group.close().expect("closes");
    writer.close().expect("closes");
    let got: Vec<_> = all(&path).expect("reads").into_iter().map(serde_json::Value::Object).collect();
    assert_eq!(
        got,
        [
            json!({"id": 1i64 << 60, "text": "one", "x": 0.5, "tags": ["p", "q"]}),
            json!({"id": 2, "text": null, "x": null, "tags": null})
        ]
    );
    let told = Arc::new(std::sync::Mutex::new(String::new()));
    let heard = told.clone();
    let events = Events::new(move |e| heard.lock().expect("not poisoned").push_str(&format!("{e:?}")));
    let host = Host { events, ..Host::default() };
    read(&path, None, ReadLimits::default(), &host).expect("reads");
    let told = told.lock().expect("not poisoned");
    assert!(
        told.contains("column `x`: 1 values are NaN or infinite; they are left out of their rows"),
        "{told}"
    );
}

/// A tokenizer with one token a byte.
fn bytes(text: &str) -> Result<Vec<u32>> {
    Ok(text.bytes().map(u32::from).collect())
}

fn pair(prompt: &str, target: &str) -> Pair {
    Pair { prompt: prompt.into(), target: target.into() }
}

#[test]
fn examples_are_cut_only_when_too_long_and_what_was_cut_is_told() {
    let notices = Arc::new(Mutex::new(Vec::new()));
    let heard = notices.clone();
    let host = Host {
        events: Events::new(move |e| {
            if let Event::Notice(text) = e {
                heard.lock().expect("not poisoned").push(text.clone());
            }
        }),
        ..Host::default()
    };
    let options = ExampleOptions { max_len: 10, max_prompt: 4, bos: Some(1), eos: Some(2), keep: Keep::End };
    let pairs = [pair("abcdef", "x"), pair("abcdefgh", "xy"), pair("abcdefgh", "0123456789")];
    let made = examples(&pairs, &bytes, &options, &host).expect("makes");
    let text = |e: &Example| e.tokens.iter().map(|&t| char::from(t as u8)).collect::<String>();
    assert_eq!(text(&made.items[0]), "\u{1}abcdefx\u{2}");
    assert_eq!(text(&made.items[1]), "\u{1}fghxy\u{2}");
    assert_eq!(text(&made.items[2]), "\u{1}fgh012345");
    assert_eq!(made.items[1].labels, [-100, -100, -100, -100, 'x' as i32, 'y' as i32, 2]);
    let t = made.truncation;
    assert_eq!((t.examples, t.prompts, t.targets, t.prompt_tokens, t.target_tokens), (2, 2, 1, 10, 5));
    let told = notices.lock().expect("not poisoned").join("\n");
    assert!(told.contains("2 of 3 examples") && told.contains("10 tokens"), "{told}");

    let start = ExampleOptions { keep: Keep::Start, ..options };
    let made = examples(&pairs[1..2], &bytes, &start, &Host::default()).expect("makes");
    assert_eq!(text(&made.items[0]), "\u{1}abcxy\u{2}");
}

/// Random text of about so many bytes: words, numbers, punctuation, other scripts, whitespace of every kind; every third
/// without a space.
fn long_text(seed: u64, bytes: usize) -> String {
    let mut rng = Rng::new(seed);
    let pieces =
        ["the", "law", "Camel", "12345", "7", "...", "naïve", "你好", "\n\n", "\t", "  ", "'ll", "x=y;", "é"];
    let mut text = String::new();
    while text.len() < bytes {
        text.push_str(pieces[rng.below(pieces.len() as u64) as usize]);
        if !seed.is_multiple_of(3) && rng.uniform() < 0.7 {
            text.push(' ');
        }
    }
    text
}

#[test]
fn a_long_text_is_cut_as_if_it_were_tokenized_whole() {
    let host = Host::default();
    let training = TokenizerTraining { vocab: 400, ..TokenizerTraining::default() };
    let tokenizer =
        train_tokenizer(&[long_text(1, 20_000), long_text(3, 20_000)], &training, &host).expect("trains");
    let (max_len, max_prompt) = (300, 100);
    for seed in 1..13 {
        let (prompt, target) = (long_text(seed, 300_000), long_text(seed + 1, 250_000));
        let whole = |text: &str| tokenizer.encode(text, false).expect("tokenizes");
        let (all, learnt) = (whole(&prompt), whole(&target));
        for keep in [Keep::Start, Keep::End] {
            let longest = Mutex::new(0);
            let encode = |text: &str| {
                let mut longest = longest.lock().expect("not poisoned");
                *longest = text.len().max(*longest);
                tokenizer.encode(text, false)
            };
            let options = ExampleOptions { max_len, max_prompt, keep, ..ExampleOptions::default() };
            let made = examples(&[pair(&prompt, &target)], &encode, &options, &host).expect("makes");
            let kept = match keep {
                Keep::Start => &all[..max_prompt],
                Keep::End => &all[all.len() - max_prompt..],
            };
            assert_eq!(
                made.items[0].tokens,
                [kept, &learnt[..max_len - max_prompt]].concat(),
                "{seed} {keep:?}"
            );
            let t = made.truncation;
            assert_eq!((t.examples, t.prompts, t.targets), (1, 1, 1));
            assert_eq!(encode_most(&encode, &prompt, keep, max_prompt).expect("tokenizes"), kept);
            let short = encode_most(&encode, "the law", keep, max_prompt).expect("tokenizes");
            assert_eq!(short, whole("the law"), "what is not too long is whole");
            // A text without a space is read whole: nothing says where its words begin.
            let longest = longest.into_inner().expect("not poisoned");
            let whole = seed.is_multiple_of(3) || (seed + 1).is_multiple_of(3);
            assert!(whole || longest < 100_000, "{longest}");
        }
    }
}

#[test]
fn examples_without_anything_to_learn_and_senseless_lengths_are_errors() {
    let host = Host::default();
    let none = ExampleOptions::default();
    assert!(
        examples(&[pair("a", "")], &bytes, &none, &host).is_err_and(|e| e.to_string().contains("example 1"))
    );
    assert!(examples(&[pair("", "a")], &bytes, &none, &host).is_err());
    assert!(examples(&[pair("", "ab")], &bytes, &none, &host).is_ok());
    let tight = ExampleOptions { max_len: 8, max_prompt: 8, ..none };
    assert!(examples(&[], &bytes, &tight, &host).is_err_and(|e| e.to_string().contains("max_prompt")));
}

#[test]
fn padding_goes_and_comes_back_on_either_side() {
    let padded = Padded {
        shape: [1, 2, 4],
        input_ids: vec![5, 6, 7, 0, 0, 0, 8, 9],
        labels: vec![-100, 6, 7, -100, -100, -100, -100, 9],
        attention_mask: vec![1, 1, 1, 0, 0, 0, 1, 1],
    };
    let batch = padded.batches().expect("converts").remove(0);
    assert_eq!(batch.tokens, [5, 6, 7, 8, 9]);
    assert_eq!(batch.labels, [6, 7, -100, 9, -100]);
    assert_eq!(batch.positions, [0, 1, 2, 0, 1]);
    assert_eq!(batch.segments, [0, 3, 5]);
    let items = padded.examples().expect("converts");
    assert_eq!(Padded::from_examples(&items, 3).examples().expect("converts"), items);
    let wrong = Padded { input_ids: vec![-1, 6, 7, 0, 0, 0, 8, 9], ..padded };
    assert!(wrong.batches().is_err_and(|e| e.to_string().contains("sequence 0, position 0")));
}

fn some_examples() -> impl Strategy<Value = Vec<Example>> {
    prop::collection::vec((1usize..20, 1usize..12), 1..60).prop_map(|sizes| {
        let mut id = 0u32..;
        sizes
            .into_iter()
            .map(|(p, t)| {
                let mut take = |n: usize| id.by_ref().take(n).collect::<Vec<_>>();
                let prompt = take(p);
                Example::new(&prompt, &take(t))
            })
            .collect()
    })
}

fn some_options() -> impl Strategy<Value = BatchOptions> {
    (1usize..9, prop::option::of(32usize..80), any::<[bool; 3]>(), any::<u64>()).prop_map(
        |(size, max_tokens, [shuffle, bucket, packed], seed)| BatchOptions {
            size,
            max_tokens,
            order: if shuffle { Order::Shuffle } else { Order::Sequential },
            bucket,
            packed,
            seed,
        },
    )
}

fn consistent(batch: &Batch, examples: &[Example]) {
    let total = batch.tokens.len();
    assert_eq!((batch.labels.len(), batch.positions.len()), (total, total));
    assert_eq!(batch.segments.len(), batch.examples.len() + 1);
    assert_eq!((batch.segments[0], batch.segments[batch.examples.len()]), (0, total as u32));
    for (ends, &id) in batch.segments.windows(2).zip(&batch.examples) {
        let (from, to) = (ends[0] as usize, ends[1] as usize);
        let example = &examples[id as usize];
        assert_eq!(batch.tokens[from..to], example.tokens[..]);
        assert_eq!(batch.labels[from..to - 1], example.labels[1..]);
        assert_eq!(batch.labels[to - 1], -100);
        assert!(batch.positions[from..to].iter().copied().eq(0..(to - from) as u32));
    }
}

proptest! {
    #[test]
    fn every_epoch_gives_every_example_once_within_the_limits(items in some_examples(), options in some_options()) {
        let items = Arc::new(items);
        let mut stream = Batches::new(items.clone(), options.clone()).expect("fits");
        for epoch in 0..3 {
            let mut seen: Vec<u32> = Vec::new();
            let mut left = stream.len();
            while left > 0 {
                let batch = stream.next();
                if seen.is_empty() {
                    left = stream.len(); // The stream has turned to this epoch.
                }
                left -= 1;
                prop_assert_eq!(stream.state().epoch, epoch);
                consistent(&batch, &items);
                prop_assert!(options.packed || batch.examples.len() <= options.size);
                prop_assert!(options.max_tokens.is_none_or(|m| batch.tokens.len() <= m));
                seen.extend(&batch.examples);
            }
            if options.order == Order::Sequential && !options.bucket && !options.packed {
                prop_assert!(seen.is_sorted());
            }
            seen.sort_unstable();
            prop_assert!(seen.iter().copied().eq(0..items.len() as u32));
        }
    }

    #[test]
    fn a_stream_is_a_function_of_its_seed_and_goes_on_where_it_was_saved(
        items in some_examples(), options in some_options(), steps in 0usize..40,
    ) {
        let items = Arc::new(items);
        let mut a = Batches::new(items.clone(), options.clone()).expect("fits");
        for _ in 0..steps {
            a.next();
        }
        let saved = serde_json::to_string(&a.state()).expect("serialises");
        let mut b = Batches::new(items.clone(), options.clone()).expect("fits");
        b.restore(&serde_json::from_str(&saved).expect("parses")).expect("is the same stream");
        for _ in 0..20 {
            prop_assert_eq!(a.next(), b.next());
        }
        let other = BatchOptions { seed: options.seed ^ 1, ..options };
        prop_assert!(Batches::new(items, other).expect("fits").restore(&a.state()).is_err());
    }
}

#[test]
fn shuffles_differ_by_epoch_and_seed_and_a_partial_batch_is_kept() {
    let items = Arc::new((0..10).map(|i| Example::new(&[i], &[i])).collect::<Vec<_>>());
    let epochs = |seed| {
        let mut stream =
            Batches::new(items.clone(), BatchOptions { seed, ..Default::default() }).expect("fits");
        assert_eq!(stream.len(), 3);
        (0..6).map(|_| stream.next().examples).collect::<Vec<_>>()
    };
    let a = epochs(1);
    assert_eq!(a.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 2, 4, 4, 2]);
    assert_ne!(a[..3], a[3..]);
    assert_ne!(a, epochs(2));
}

#[test]
fn packing_fills_batches_and_buckets_bring_like_lengths_together() {
    let items: Vec<_> =
        (0..200u32).map(|i| Example::new(&vec![i; (i as usize * 37) % 60 + 1], &[i])).collect();
    let items = Arc::new(items);
    let total: usize = items.iter().map(Example::len).sum();
    let packed = BatchOptions { packed: true, max_tokens: Some(256), ..Default::default() };
    let stream = Batches::new(items.clone(), packed).expect("fits");
    assert!(stream.len() <= total.div_ceil(256) + 2, "{} batches", stream.len());
    let spread = |bucket| {
        let options = BatchOptions { bucket, ..Default::default() };
        let stream = Batches::new(items.clone(), options).expect("fits");
        let spread = |b: Batch| {
            let lengths: Vec<_> = b.segments.windows(2).map(|w| w[1] - w[0]).collect();
            lengths.iter().max().unwrap_or(&0) - lengths.iter().min().unwrap_or(&0)
        };
        stream.epoch().map(spread).sum::<u32>()
    };
    assert!(spread(true) * 5 < spread(false));
    let long = BatchOptions { max_tokens: Some(30), ..Default::default() };
    assert!(Batches::new(items, long).is_err_and(|e| e.to_string().contains("max_tokens = 30")));
}

#[test]
fn a_row_that_is_not_text_is_named_by_file_and_place() {
    for (name, content, told) in [
        ("rows.jsonl", &b"{\"a\": \"x\"}\n\n{\"a\": \"caf\xe9\"}\n"[..], "line 3: not UTF-8 text"),
        ("rows.csv", b"a,b\n1,2\n3,\xff\n", "line 3: not UTF-8 text"),
        ("rows.tsv", b"a\tb\n\xc3\t2\n", "line 2: not UTF-8 text"),
        ("head.csv", b"a,\xff\n1,2\n", "line 1: not UTF-8 text"),
        ("rows.json", b"[{\"a\": 1},\n {\"a\": \"\xff\"}]", "row 2: not UTF-8 text (line 2 of the file)"),
        ("more.json", b"{\"a\": 1}\n{\"\xff\": 2}", "row 2: not UTF-8 text (line 2 of the file)"),
    ] {
        let (_dir, path) = file(name, content);
        let text = all(&path).expect_err(name).to_string();
        assert_eq!(text, format!("{}: {told}", path.display()));
    }
}
