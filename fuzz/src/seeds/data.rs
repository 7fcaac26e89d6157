//! Rows of data in every format.

use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;

use crate::{Seed, written};

const TEXTS: [(&str, &str, &str); 9] = [
    (
        "jsonl",
        "objects",
        "\u{feff}{\"q\":\"a, b\",\"n\":[1,-2.5e3,null,true]}\n\n{\"q\":\"\\u00e9\\ud83d\\ude00\",\"n\":{\"x\":{}}}\n",
    ),
    ("jsonl", "numbers", "{\"a\":18446744073709551615,\"b\":-9223372036854775808,\"c\":1e308}\n{\"a\":0.1}"),
    ("jsonl", "damaged", "{\"a\":1}\n{\"a\":\n"),
    ("json", "array", "[{\"q\":\"a\",\"n\":[{\"b\":1}]},\n {\"q\":\"c\\n\\\"d\\\"\",\"n\":2}]"),
    ("json", "objects", "{\"a\":1} {\"a\":2}\n{\"a\":null}"),
    ("csv", "quotes", "q,n\r\n\"a, b\",1\r\n\"c\n\"\"d\"\"\",2\r\n"),
    ("csv", "plain", "\u{feff}a,b\n1,x y\n,\n"),
    ("tsv", "quotes", "q\tn\na, b\t1\n\"c\n\"\"d\"\"\"\t2\n"),
    ("tsv", "open", "a\tb\n\"x\ty\n"),
];

pub fn seeds() -> Vec<Seed> {
    let text = |&(target, name, text): &(&'static str, &str, &str)| {
        (target, name.to_string(), text.as_bytes().to_vec())
    };
    let mut all: Vec<Seed> = TEXTS.iter().map(text).collect();
    let packed = [
        ("plain", Compression::UNCOMPRESSED),
        ("snappy", Compression::SNAPPY),
        ("gzip", Compression::GZIP(Default::default())),
        ("zstd", Compression::ZSTD(Default::default())),
        ("lz4", Compression::LZ4_RAW),
    ];
    for (name, compression) in packed {
        all.push(("parquet", name.to_string(), rows(compression)));
    }
    all
}

/// Numbers, texts, nulls, lists and maps.
fn rows(compression: Compression) -> Vec<u8> {
    let schema = "message rows { required int64 id (TIMESTAMP(MILLIS,true)); optional binary text (UTF8);
        required double x; optional group tags (LIST) { repeated group list { required binary element (UTF8); } } }";
    let schema = Arc::new(parquet::schema::parser::parse_message_type(schema).expect("parses"));
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_created_by("seed".to_string())
        .build();
    written(|path| {
        let out = std::fs::File::create(path).expect("creates");
        let mut writer = SerializedFileWriter::new(out, schema, Arc::new(properties)).expect("opens");
        let mut group = writer.next_row_group().expect("a group");
        let texts = |words: &[&str]| words.iter().map(|w| ByteArray::from(*w)).collect::<Vec<_>>();
        let mut column = group.next_column().expect("ok").expect("id");
        column.typed::<Int64Type>().write_batch(&[1 << 40, 2], None, None).expect("writes");
        column.close().expect("closes");
        let mut column = group.next_column().expect("ok").expect("text");
        column.typed::<ByteArrayType>().write_batch(&texts(&["one"]), Some(&[1, 0]), None).expect("writes");
        column.close().expect("closes");
        let mut column = group.next_column().expect("ok").expect("x");
        column.typed::<DoubleType>().write_batch(&[0.5, f64::NAN], None, None).expect("writes");
        column.close().expect("closes");
        let mut column = group.next_column().expect("ok").expect("tags");
        let tags = column.typed::<ByteArrayType>();
        tags.write_batch(&texts(&["p", "q"]), Some(&[2, 2, 0]), Some(&[0, 1, 0])).expect("writes");
        column.close().expect("closes");
        group.close().expect("closes");
        writer.close().expect("closes");
    })
}
