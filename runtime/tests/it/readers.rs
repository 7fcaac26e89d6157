//! Readers of data files on what other programs write, and on files that are damaged or made to hurt.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use lota_runtime::Result;
use lota_runtime::data::{Format, ReadLimits, read};
use lota_runtime::host::{Event, Events, Fault as _, FaultKind, Host};
use parquet::basic::{BrotliLevel, Compression, GzipLevel, ZstdLevel};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::{ByteArray, FixedLenByteArray, Int96};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use serde_json::{Value, json};

/// The numbers of a column, with definition and repetition levels where it has any.
enum Column {
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Int96(Vec<Int96>),
    Bytes(Vec<ByteArray>),
    Fixed(Vec<FixedLenByteArray>),
    Lists(Vec<ByteArray>, Vec<i16>, Vec<i16>),
    Numbers(Vec<i32>, Vec<i16>, Vec<i16>),
}

fn parquet(folder: &Path, schema: &str, columns: Vec<Column>) -> PathBuf {
    packed_parquet(folder, schema, columns, Compression::UNCOMPRESSED)
}

fn packed_parquet(folder: &Path, schema: &str, columns: Vec<Column>, packing: Compression) -> PathBuf {
    let path = folder.join("rows.parquet");
    let schema = format!("message rows {{ {schema} }}");
    let schema = Arc::new(parquet::schema::parser::parse_message_type(&schema).expect("parses"));
    let properties = Arc::new(
        WriterProperties::builder()
            .set_dictionary_enabled(true)
            .set_compression(packing)
            .set_statistics_enabled(EnabledStatistics::None)
            .build(),
    );
    let out = std::fs::File::create(&path).expect("creates");
    let mut writer = SerializedFileWriter::new(out, schema, properties).expect("opens");
    let mut group = writer.next_row_group().expect("a group");
    for column in columns {
        let mut out = group.next_column().expect("ok").expect("a column");
        match (out.untyped(), column) {
            (ColumnWriter::Int32ColumnWriter(w), Column::Int32(v)) => w.write_batch(&v, None, None),
            (ColumnWriter::Int64ColumnWriter(w), Column::Int64(v)) => w.write_batch(&v, None, None),
            (ColumnWriter::Int96ColumnWriter(w), Column::Int96(v)) => w.write_batch(&v, None, None),
            (ColumnWriter::ByteArrayColumnWriter(w), Column::Bytes(v)) => w.write_batch(&v, None, None),
            (ColumnWriter::FixedLenByteArrayColumnWriter(w), Column::Fixed(v)) => {
                w.write_batch(&v, None, None)
            }
            (ColumnWriter::ByteArrayColumnWriter(w), Column::Lists(v, d, r)) => {
                w.write_batch(&v, Some(&d), Some(&r))
            }
            (ColumnWriter::Int32ColumnWriter(w), Column::Numbers(v, d, r)) => {
                w.write_batch(&v, Some(&d), Some(&r))
            }
            _ => panic!("the column is of another type"),
        }
        .expect("writes");
        out.close().expect("closes");
    }
    group.close().expect("closes");
    writer.close().expect("closes");
    path
}

fn all(path: &Path) -> Result<Vec<Value>> {
    let rows = read(path, None, ReadLimits::default(), &Host::default())?;
    Ok(rows.into_iter().map(Value::Object).collect())
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

#[test]
fn dates_times_and_unsigned_numbers_of_parquet_come_out_as_what_they_mean() {
    let dir = folder();
    let schema = "required int32 day (DATE); required int64 ms (TIMESTAMP(MILLIS,true));
        required int64 us (TIMESTAMP(MICROS,false)); required int64 ns (TIMESTAMP(NANOS,false));
        required int64 old (TIMESTAMP_MICROS); required int96 oldest;
        required int32 t (TIME(MILLIS,true)); required int64 tn (TIME(NANOS,true));
        required int64 id (INTEGER(64,false)); required int32 small (INTEGER(32,false));
        required int64 price (DECIMAL(10,2)); required int64 whole (DECIMAL(10,0));
        required fixed_len_byte_array(16) uuid (UUID);";
    let second = 1_577_934_245; // 2020-01-02T03:04:05
    let mut noon = Int96::new();
    noon.set_data(0, 10_060, 2_458_851); // 2020-01-02, in nanoseconds of the day: 10060 * 2^32 is 12:00:07.37…
    let uuid: Vec<u8> = (0..16).collect();
    let path = parquet(
        dir.path(),
        schema,
        vec![
            Column::Int32(vec![18_263, -1]),
            Column::Int64(vec![second * 1000, -1]),
            Column::Int64(vec![second * 1_000_000 + 123_456, 0]),
            Column::Int64(vec![second * 1_000_000_000 + 7, 0]),
            Column::Int64(vec![second * 1_000_000, 0]),
            Column::Int96(vec![noon, noon]),
            Column::Int32(vec![3_661_001, 0]),
            Column::Int64(vec![86_399_000_000_000, 0]),
            Column::Int64(vec![-1, 5]),
            Column::Int32(vec![-1, 7]),
            Column::Int64(vec![-1205, 5]),
            Column::Int64(vec![-12, 5]),
            Column::Fixed(vec![uuid.clone().into(), uuid.into()]),
        ],
    );
    let rows = all(&path).expect("reads");
    let want = json!({
        "day": "2020-01-02", "ms": "2020-01-02T03:04:05Z", "us": "2020-01-02T03:04:05.123456",
        "ns": "2020-01-02T03:04:05.000000007", "old": "2020-01-02T03:04:05Z", "oldest": "2020-01-02T12:00:07.370",
        "t": "01:01:01.001", "tn": "23:59:59", "id": "18446744073709551615", "small": 4_294_967_295u32,
        "price": "-12.05", "whole": "-12", "uuid": "00010203-0405-0607-0809-0a0b0c0d0e0f"
    });
    let (got, want) = (rows[0].as_object().expect("a row"), want.as_object().expect("a row"));
    for (name, value) in want {
        assert_eq!(&got[name], value, "{name}");
    }
    assert_eq!(got.len(), want.len());
    assert_eq!((&rows[1]["day"], &rows[1]["ms"]), (&json!("1969-12-31"), &json!("1969-12-31T23:59:59.999Z")));
    assert_eq!((&rows[1]["id"], &rows[1]["price"]), (&json!(5), &json!("0.05")));
}

#[test]
fn a_column_of_bytes_does_not_make_a_file_unreadable() {
    let dir = folder();
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = told.clone();
    let events = Events::new(move |event| {
        if let Event::Notice(text) = event {
            heard.lock().expect("not poisoned").push(text.clone());
        }
    });
    let bytes = |all: &[&[u8]]| Column::Bytes(all.iter().map(|b| ByteArray::from(b.to_vec())).collect());
    let schema = "required binary image; required binary text; required binary note (UTF8);";
    let columns = vec![
        bytes(&[b"\xff\xd8", b"plain", b"\x80"]),
        bytes(&[b"a", b"b", b"c"]),
        bytes(&[b"x", b"y", b"z"]),
    ];
    let path = parquet(dir.path(), schema, columns);
    let rows = read(&path, None, ReadLimits::default(), &Host { events, ..Host::default() }).expect("reads");
    let rows: Vec<Value> = rows.into_iter().map(Value::Object).collect();
    assert_eq!(
        rows,
        [
            json!({"text": "a", "note": "x"}),
            json!({"image": "plain", "text": "b", "note": "y"}),
            json!({"text": "c", "note": "z"})
        ]
    );
    let told = told.lock().expect("not poisoned");
    assert!(told.len() == 1 && told[0].contains("column `image`: 2 values"), "{told:?}");
}

#[test]
fn a_short_file_cannot_stand_for_gigabytes() {
    let dir = folder();
    let long = ByteArray::from(vec![b'x'; 1 << 17]);
    let lists = "required group a (LIST) { repeated group list { required binary element (UTF8); } }";
    let numbers = "required group a (LIST) { repeated group list { required int32 element; } }";
    let levels = |n: usize| (vec![1; n], (0..n).map(|i| i16::from(i > 0)).collect::<Vec<_>>());
    let n = 8_000_000;
    // A dictionary of one entry for each row, the same in one row's list, and a run in one row's list.
    let (d1, r1) = levels(4000);
    let (d2, r2) = levels(n);
    let bombs = [
        ("required binary a (UTF8);", Column::Bytes(vec![long.clone(); 4000])),
        (lists, Column::Lists(vec![long; 4000], d1, r1)),
        (numbers, Column::Numbers(vec![0; n], d2, r2)),
    ];
    for (schema, column) in bombs {
        let path = parquet(dir.path(), schema, vec![column]);
        let size = path.metadata().expect("is there").len();
        assert!(size < 200_000, "{schema}: {size}");
        let error = all(&path).expect_err("is too large");
        assert!(error.kind() == FaultKind::Limit, "{error}");
        let text = error.to_string();
        assert!(text.contains("rows.parquet") && text.contains("256 MiB"), "{text}");
    }
}

#[test]
fn what_rows_may_take_and_how_many_are_wanted_is_asked_before_they_are_read() {
    let dir = folder();
    let host = Host::default();
    let table = format!("a\n{}", "1\n".repeat(100_000));
    let lines = "{\"a\":1}\n".repeat(100_000);
    let array = format!("[{}{{\"a\":1}}]", "{\"a\":1},".repeat(100_000));
    let deep = format!("{{\"a\":[{}1]}}", "1,".repeat(100_000));
    for (name, text) in [("x.csv", &table), ("x.jsonl", &lines), ("x.json", &array), ("deep.jsonl", &deep)] {
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("writes");
        let limits = ReadLimits { rows: None, memory: Some(1 << 20) };
        let error = read(&path, None, limits, &host).expect_err("too large");
        assert!(error.kind() == FaultKind::Limit, "{name}: {error}");
        assert!(error.to_string().contains("1 MiB"), "{name}: {error}");
        // Reading ends where no more rows are wanted.
        let few = ReadLimits { rows: Some(3), memory: Some(1 << 20) };
        if name != "deep.jsonl" && name != "x.json" {
            assert_eq!(read(&path, None, few, &host).expect("reads").len(), 3, "{name}");
        }
        // The switch is looked at.
        let stopped = Host::default();
        stopped.cancel.cancel();
        let error = read(&path, None, ReadLimits::default(), &stopped).expect_err("stops");
        assert!(error.is_cancelled(), "{name}: {error}");
    }
}

#[test]
fn a_quote_that_is_never_closed_is_an_error_with_its_line() {
    let dir = folder();
    let told = |text: &str| {
        let path = dir.path().join("rows.csv");
        std::fs::write(&path, text).expect("writes");
        all(&path).expect_err("a quote is open").to_string()
    };
    let rest: String = (0..10_000).map(|i| format!("q{i},a{i}\n")).collect();
    for (text, line) in [
        (format!("q,a\nq0,a0\nq1,a1\nq2,\"a2\n{rest}"), "line 4"),
        (format!("q,a\n\"q0,a0\n{rest}"), "line 2"),
        ("q,\"a\n".to_string(), "line 1"),
    ] {
        let text = told(&text);
        assert!(text.contains(line) && text.contains("never closed"), "{text}");
    }
}

#[test]
fn whole_numbers_beyond_64_bits_with_a_sign_stay_exact() {
    let dir = folder();
    let path = dir.path().join("rows.jsonl");
    std::fs::write(&path, "{\"id\":18446744073709551615,\"n\":9223372036854775807}").expect("writes");
    let rows = all(&path).expect("reads");
    assert_eq!(rows, [json!({"id": "18446744073709551615", "n": i64::MAX})]);
}

#[test]
fn a_damaged_parquet_file_is_told_as_that_files_fault() {
    let dir = folder();
    let (d, r) = (vec![1, 1, 0, 1, 1, 1], vec![0, 1, 0, 0, 1, 1]);
    let text =
        |n: usize| (0..n).map(|i| ByteArray::from(format!("some text {i}").into_bytes())).collect::<Vec<_>>();
    let schema = "required int64 id; required binary text (UTF8);
        required group a (LIST) { repeated group list { required binary element (UTF8); } }";
    let columns = vec![Column::Int64(vec![1, 2, 3]), Column::Bytes(text(3)), Column::Lists(text(5), d, r)];
    let path = parquet(dir.path(), schema, columns);
    let good = std::fs::read(&path).expect("reads");
    assert_eq!(all(&path).expect("reads").len(), 3);
    // Every byte is set to several others. Each file is read, or refused by its name; nothing panics.
    let mut refused = 0;
    for at in 0..good.len() {
        for change in [0x01u8, 0x80, 0xff] {
            let mut bad = good.clone();
            bad[at] ^= change;
            std::fs::write(&path, &bad).expect("writes");
            if let Err(error) = all(&path) {
                refused += 1;
                assert!(error.to_string().contains("rows.parquet"), "byte {at}: {error}");
            }
        }
    }
    assert!(refused > good.len() / 4, "{refused} of {} were refused", 3 * good.len());
}

#[cfg(unix)]
#[test]
fn a_device_is_not_read() {
    for format in [Format::Csv, Format::Json, Format::JsonLines, Format::Parquet] {
        let read = read(Path::new("/dev/zero"), Some(format), ReadLimits::default(), &Host::default());
        let told = read.expect_err("has no end").to_string();
        assert!(told.contains("neither a file nor a folder"), "{told}");
    }
}

#[test]
fn every_packing_of_parquet_is_read() {
    let dir = folder();
    for packing in [
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::ZSTD(ZstdLevel::default()),
        Compression::LZ4_RAW,
        Compression::BROTLI(BrotliLevel::default()),
    ] {
        let texts: Vec<String> = (0..200).map(|i| format!("row {}", i * i)).collect();
        let column = Column::Bytes(texts.iter().map(|text| ByteArray::from(text.as_str())).collect());
        let path = packed_parquet(dir.path(), "required binary a (UTF8);", vec![column], packing);
        let rows: Vec<Value> = texts.iter().map(|text| json!({ "a": text })).collect();
        assert_eq!(all(&path).unwrap_or_else(|e| panic!("{packing:?}: {e}")), rows);
    }
}

/// The bytes that gzip and zstd make of a text.
fn packed(text: &str) -> [(&'static str, Vec<u8>); 2] {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(text.as_bytes()).expect("packs");
    [("gz", gzip.finish().expect("packs")), ("zst", zstd::encode_all(text.as_bytes(), 3).expect("packs"))]
}

#[test]
fn packed_texts_are_read_by_their_bytes() {
    let dir = folder();
    let want = vec![json!({"a": "1", "b": "x"}), json!({"a": "2", "b": "y"})];
    for (name, text) in [
        ("x.jsonl", "{\"a\":\"1\",\"b\":\"x\"}\n{\"a\":\"2\",\"b\":\"y\"}\n"),
        ("x.json", "[{\"a\":\"1\",\"b\":\"x\"},\n{\"a\":\"2\",\"b\":\"y\"}]"),
        ("array.jsonl", "[{\"a\":\"1\",\"b\":\"x\"},\n{\"a\":\"2\",\"b\":\"y\"}]"),
        ("x.csv", "a,b\n1,x\n2,y\n"),
        ("x.tsv", "a\tb\n1\tx\n2\ty\n"),
    ] {
        for (ending, bytes) in packed(text) {
            // Two files, one behind the other, are one: so do tools that write piece by piece.
            let (first, second) = text.split_at(text.len() / 2);
            let both = packed(first).into_iter().zip(packed(second)).find(|(a, _)| a.0 == ending);
            let both = both.map(|(a, b)| [a.1, b.1].concat()).expect("packs");
            for bytes in [bytes.clone(), both] {
                for name in [format!("{name}.{ending}"), name.to_string()] {
                    let path = dir.path().join(name);
                    std::fs::write(&path, &bytes).expect("writes");
                    assert_eq!(all(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())), want);
                }
            }
            // One that ends too early is told, wherever it does.
            let path = dir.path().join(format!("{name}.{ending}"));
            for end in [bytes.len() - 1, bytes.len() / 2, 12] {
                std::fs::write(&path, &bytes[..end]).expect("writes");
                let told = all(&path).expect_err("is cut").to_string();
                let kind = if ending == "gz" { "gzip" } else { "zstd" };
                assert!(told.contains("is damaged, or cut short: as ") && told.contains(kind), "{told}");
            }
        }
    }
    let path = dir.path().join("x.parquet");
    std::fs::write(&path, &packed("PAR1")[0].1).expect("writes");
    assert!(all(&path).expect_err("packed").to_string().contains("packed as a whole"));
    std::fs::write(
        &path,
        format!("version https://git-lfs.github.com/spec/v1\noid sha256:{}\n", "0".repeat(64)),
    )
    .expect("writes");
    for name in ["x.parquet", "y.jsonl", "y.csv", "y.json"] {
        let other = dir.path().join(name);
        if other != path {
            std::fs::copy(&path, &other).expect("copies");
        }
        assert!(all(&other).expect_err("a pointer").to_string().contains("is a Git LFS pointer"));
    }
}

#[test]
fn a_packed_file_cannot_stand_for_gigabytes() {
    let dir = folder();
    let limits = ReadLimits { rows: None, memory: Some(1 << 20) };
    for (name, text) in [
        ("empty.jsonl", "\n".repeat(4 << 20)),
        ("line.jsonl", format!("{{\"a\":\"{}\"}}", "x".repeat(4 << 20))),
        ("field.csv", format!("a\n\"{}\"\n", "x".repeat(4 << 20))),
        ("space.json", " ".repeat(4 << 20)),
    ] {
        for (ending, bytes) in packed(&text) {
            assert!(bytes.len() < 50_000, "{name}.{ending}: {}", bytes.len());
            let path = dir.path().join(format!("{name}.{ending}"));
            std::fs::write(&path, bytes).expect("writes");
            let error = read(&path, None, limits, &Host::default()).expect_err("is too large");
            assert!(error.kind() == FaultKind::Limit && error.to_string().contains("1 MiB"), "{error}");
        }
    }
}
