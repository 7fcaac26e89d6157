//! The pages a reader sees: what README.md, docs/ and the guide show is run, and where they point to is there.
//!
//! Blocks in `lua`, `rhai` and `sh` are run, each in a folder of its own; a block in `output` that follows one is what it
//! prints. Percentages are results of trainings, whose last bits depend on the processor: they may differ by [`POINTS`]; all
//! else is compared as it is. Blocks in `rust` are tests of the library's documentation. Commands that need a network, a model, or more time
//! than a test has are in `text` blocks, which are not run.

use std::path::{Path, PathBuf};
use std::process::Command;

/// By how many points of a hundred a percentage may differ from the one on the page.
const POINTS: f64 = 5.0;

struct Block {
    language: String,
    text: String,
    line: usize,
    /// What it prints, where the page says so.
    output: Option<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// README.md, the pages directly in docs/ and those of the guide.
fn pages() -> Vec<PathBuf> {
    let folders = ["docs", "docs/guide/src"].map(|folder| root().join(folder));
    let entries = folders.iter().flat_map(|folder| std::fs::read_dir(folder).expect("it is there"));
    let mut pages: Vec<_> = entries.map(|e| e.expect("an entry").path()).collect();
    pages.retain(|p| p.extension().is_some_and(|e| e == "md"));
    pages.push(root().join("README.md"));
    pages.sort();
    pages
}

/// The fenced blocks of a page.
fn blocks(page: &Path) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut open: Option<Block> = None;
    for (i, line) in read(page).lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => {
                open = Some(Block {
                    // What follows a comma is for the tests of documentation.
                    language: language.trim().split(',').next().unwrap_or_default().to_string(),
                    text: String::new(),
                    line: i + 1,
                    output: None,
                });
            }
            (Some(_), Some("")) => {
                let block = open.take().expect("it is open");
                match (block.language.as_str(), blocks.last_mut()) {
                    ("output", Some(last)) => last.output = Some(block.text),
                    ("output", None) => panic!("{}:{}: output of nothing", page.display(), block.line),
                    _ => blocks.push(block),
                }
            }
            (Some(block), _) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{}: a block is not closed", page.display());
    blocks
}

/// Runs a block and compares what it prints.
fn run(page: &Path, block: &Block) {
    let place = format!("{}:{}", page.display(), block.line);
    let folder = tempfile::tempdir().expect("a folder");
    let lota = env!("CARGO_BIN_EXE_lota");
    let mut command = if block.language == "sh" {
        let path = std::env::var("PATH").unwrap_or_default();
        let programs = Path::new(lota).parent().expect("it is in a folder").display().to_string();
        let mut command = Command::new("sh");
        command.arg("-euc").arg(&block.text).env("PATH", format!("{programs}:{path}"));
        command
    } else {
        let script = folder.path().join(format!("page.{}", block.language));
        std::fs::write(&script, &block.text).expect("writes");
        let mut command = Command::new(lota);
        command.arg("run").arg(&script);
        command
    };
    let done = command.current_dir(folder.path()).output().expect("starts");
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{place} fails:\n{out}{err}");
    if let Some(expected) = &block.output {
        assert!(alike(&out, expected), "{place} prints something else:\n{out}instead of:\n{expected}");
    }
}

/// Whether two outputs are the same but for percentages that differ by a few points.
fn alike(out: &str, expected: &str) -> bool {
    let ((text, found), (same, wanted)) = (percentages(out), percentages(expected));
    text == same && found.iter().zip(&wanted).all(|(a, b)| (a - b).abs() <= POINTS)
}

/// A text with its percentages (a number, a blank, %) replaced, and these.
fn percentages(text: &str) -> (String, Vec<f64>) {
    let mut words: Vec<&str> = text.split(' ').collect();
    let mut numbers = Vec::new();
    for i in 1..words.len() {
        if let (true, Ok(number)) = (words[i].starts_with('%'), words[i - 1].parse()) {
            numbers.push(number);
            words[i - 1] = "N";
        }
    }
    (words.join(" "), numbers)
}

#[test]
fn only_percentages_may_differ_and_by_a_few_points() {
    let page = "right answers: 0 % before, 100 % after\n42598 of 886016 weights changed\n";
    for (out, same) in [
        (page.to_string(), true),
        (page.replace("100 %", "98 %"), true),
        (page.replace("100 %", "94 %"), false),
        (page.replace("0 % before", "6 % before"), false),
        (page.replace("42598", "42599"), false),
        (page.replace("after", "later"), false),
        (page.replace(", 100 %", ""), false),
    ] {
        assert_eq!(alike(&out, page), same, "{out}");
    }
}

#[test]
fn snippets_of_the_pages_run_and_print_what_the_pages_say() {
    let (mut ran, mut compared) = (0, 0);
    for page in pages() {
        for block in blocks(&page) {
            match block.language.as_str() {
                "sh" if !cfg!(unix) => {}
                "lua" | "rhai" | "sh" => {
                    run(&page, &block);
                    ran += 1;
                    compared += usize::from(block.output.is_some());
                }
                "rust" | "text" | "yaml" => {}
                other => panic!("{}:{}: a block in `{other}` is never run", page.display(), block.line),
            }
        }
    }
    assert!(ran >= 4 && compared >= 2, "{ran} snippets were run, {compared} outputs compared");
}

/// Scripts that `text` blocks start are there: nothing else looks at these blocks.
#[test]
fn scripts_that_the_pages_name_are_there() {
    let mut found = 0;
    for page in pages() {
        let text = read(&page);
        for word in text.split(|c: char| c.is_whitespace() || "`()[]\"".contains(c)) {
            let word = word.trim_end_matches(['.', ',', ':', ';']);
            if word.starts_with("scripts/") && word.contains('.') {
                assert!(root().join(word).is_file(), "{} names {word}, which is not there", page.display());
                found += 1;
            }
        }
    }
    assert!(found > 5, "{found} names of scripts");
}

/// Links to files of the project lead somewhere.
#[test]
fn every_page_of_the_guide_is_in_its_table_of_contents() {
    let folder = root().join("docs/guide/src");
    let contents = read(&folder.join("SUMMARY.md"));
    for page in pages().iter().filter(|page| page.starts_with(&folder)) {
        let name = page.file_name().expect("a page").to_string_lossy();
        assert!(
            name == "SUMMARY.md" || contents.contains(&format!("]({name})")),
            "{name} is missing in SUMMARY.md"
        );
    }
}

#[test]
fn links_of_the_pages_lead_somewhere() {
    let mut found = 0;
    let more = ["ARCHITECTURE.md", "CHANGELOG.md", "docs/reference/README.md"].map(|name| root().join(name));
    for page in pages().into_iter().chain(more) {
        let text = read(&page);
        for (at, _) in text.match_indices("](") {
            let link = text[at + 2..].split([')', '#']).next().unwrap_or_default();
            if link.is_empty() || link.contains("://") || link.contains(char::is_whitespace) {
                continue;
            }
            let target = page.parent().expect("it is in a folder").join(link);
            assert!(target.exists(), "{} links to {link}, which is not there", page.display());
            found += 1;
        }
    }
    assert!(found > 20, "{found} links");
}
