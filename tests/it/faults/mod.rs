//! What is on the disk when writing fails, whatever is written and however it fails: for each thing that lota writes
//! (`tests/faults/rows.lua`) and each fault, every single change to the disk on the way is made to fail.
//!
//! What must be true of each: there is the old version or the new one, bit for bit; the error names what was written and
//! says what to do; nothing is left beside it, or the next write removes it; the next write succeeds.

mod child;
mod hub;
mod refusing;
mod torn;

use std::collections::BTreeMap;
use std::io::Error;
use std::path::{Path, PathBuf};

use lota::runtime::host::Files;
use lota::runtime::host::disk::Op;
use lota::runtime::host::disk::watch::{Step, Watch};
use lota::{Engine, Language};

pub use self::refusing::Refusing;

/// The rows of `tests/faults/rows.lua`.
const ROWS: [&str; 9] =
    ["mask", "ticket", "values", "training", "model", "model beside a file", "adapter", "merge", "run"];

/// All files below a folder with their bytes; a folder ends with a slash.
type Content = BTreeMap<String, Vec<u8>>;

fn content(folder: &Path) -> Content {
    fn add(folder: &Path, name: &str, all: &mut Content) {
        for entry in std::fs::read_dir(folder).expect("lists").map(|entry| entry.expect("an entry")) {
            let name = format!("{name}{}", entry.file_name().to_string_lossy());
            if entry.file_type().expect("a kind").is_dir() {
                all.insert(format!("{name}/"), Vec::new());
                add(&entry.path(), &format!("{name}/"), all);
            } else {
                all.insert(name, std::fs::read(entry.path()).expect("reads"));
            }
        }
    }
    let mut all = Content::new();
    add(folder, "", &mut all);
    all
}

/// Makes a folder hold exactly this.
fn restore(folder: &Path, content: &Content) {
    drop(std::fs::remove_dir_all(folder));
    std::fs::create_dir_all(folder).expect("a folder");
    for (name, bytes) in content {
        match name.ends_with('/') {
            true => std::fs::create_dir_all(folder.join(name)).expect("a folder"),
            false => std::fs::write(folder.join(name), bytes).expect("writes"),
        }
    }
}

/// A row in a folder of its own, with its versions.
struct Row {
    what: &'static str,
    _dir: tempfile::TempDir,
    /// Where everything is written.
    out: PathBuf,
    /// What is written there: `x`.
    path: PathBuf,
    engine: Engine,
    nothing: Content,
    old: Content,
    new: Content,
    /// The new version where no old one was.
    fresh: Content,
}

fn engine() -> Engine {
    let engine = Engine::builder(Language::Lua).files(Files::everything());
    let engine = engine.output(|_| ()).build().expect("an engine");
    engine.run(include_str!("../../faults/rows.lua"), "rows.lua").expect("defines write and read");
    engine
}

impl Row {
    fn new(what: &'static str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let folder = dir.path().canonicalize().expect("is there");
        let out = folder.join("out");
        let path = out.join("x");
        let engine = engine();
        engine.call::<()>("prepare", (folder.display().to_string(),)).expect("prepares");
        std::fs::create_dir(&out).expect("a folder");
        if what == "model beside a file" {
            std::fs::create_dir(&path).expect("a folder");
            std::fs::write(path.join("notes.md"), "mine").expect("writes");
        }
        let none = Content::new();
        let nothing = content(&out);
        let mut row = Self {
            what,
            _dir: dir,
            out,
            path,
            engine,
            nothing,
            old: none.clone(),
            new: none.clone(),
            fresh: none,
        };
        let made = |seed| {
            row.write(seed).expect("writes");
            assert_eq!(row.read(), Ok(seed), "{what}");
            content(&row.out)
        };
        let (old, new) = (made(1), made(2));
        restore(&row.out, &row.nothing);
        let fresh = made(2);
        assert!(old != new && old.contains_key("x") | old.contains_key("x/"), "{what}: {:?}", old.keys());
        (row.old, row.new, row.fresh) = (old, new, fresh);
        row
    }

    fn write(&self, seed: i64) -> Result<(), String> {
        let path = self.path.display().to_string();
        self.engine.call::<()>("write", (self.what, path, seed)).map_err(|e| e.to_string())
    }

    fn read(&self) -> Result<i64, String> {
        let path = self.path.display().to_string();
        self.engine.call::<i64>("read", (self.what, path)).map_err(|e| e.to_string())
    }

    /// What is written, without what lies beside it.
    fn written(&self) -> Content {
        let all = content(&self.out).into_iter();
        let inside = |name: &str| name == "x" || name.starts_with("x/") && !name.starts_with("x/.");
        all.filter(|(name, _)| inside(name)).collect()
    }

    /// The two states from which the new version is written: an old one, or none; and what then is to come of it.
    fn starts(&self) -> [(&Content, &Content); 2] {
        [(&self.old, &self.new), (&self.nothing, &self.fresh)]
    }

    /// Whether the old or the new version is there, whole, when a reader has looked at it. A merge that was stopped may
    /// leave neither where there was none.
    fn is_whole(&self, before: &Content, after: &Content, at: &str) -> bool {
        let absent = before == &self.nothing;
        if self.what == "run" {
            return self.is_whole_run(absent, after, at);
        }
        let read = self.read();
        let written = self.written();
        let is = |one: &Content| {
            let one = one.iter().filter(|(name, _)| *name == "x" || name.starts_with("x/"));
            one.eq(written.iter())
        };
        let (is_old, is_new) = (is(before), is(after));
        assert!(is_old || is_new, "{at}: neither version, but {:?}", written.keys());
        match (is_new, absent) {
            (true, _) => assert_eq!(read, Ok(2), "{at}"),
            (false, false) => assert_eq!(read, Ok(1), "{at}"),
            (false, true) => assert!(read.is_err(), "{at}: {read:?}"),
        }
        is_new
    }

    /// The same of a run, which grows by a record at a time: all that it has are whole, and those of before are there.
    fn is_whole_run(&self, absent: bool, after: &Content, at: &str) -> bool {
        let metrics = "x/metrics.jsonl";
        if absent && !self.out.join(metrics).exists() {
            return false;
        }
        let records = self.read().unwrap_or_else(|told| panic!("{at}: {told}"));
        assert!((i64::from(!absent)..=2).contains(&records), "{at}: {records} records");
        let (now, all) = (&self.written()[metrics], &after[metrics]);
        let lines = |bytes: &[u8]| bytes.iter().filter(|b| **b == b'\n').count() as i64;
        assert!(all.starts_with(now) && lines(now) == records, "{at}: {:?}", String::from_utf8_lossy(now));
        records == 2
    }

    /// The next write succeeds and leaves the new version and nothing else.
    fn goes_on(&self, after: &Content, at: &str) {
        self.write(2).unwrap_or_else(|e| panic!("{at}: the next write: {e}"));
        let now = content(&self.out);
        let differs = |name: &&String| now.get(*name) != after.get(*name);
        let wrong: Vec<&String> = now.keys().chain(after.keys()).filter(differs).collect();
        assert!(wrong.is_empty(), "{at}: after the next write these are wrong: {wrong:?}");
    }
}

/// What happens to the change with a number, and to those after it.
struct Fault {
    name: &'static str,
    /// As the system numbers it: ENOSPC, EROFS, EACCES, ENOMEM, EIO.
    error: i32,
    /// Which changes fail.
    hits: fn(Op) -> bool,
    /// Whether all do from that one on.
    lasts: bool,
    /// What the error says is to be done.
    advice: &'static str,
}

const FAULTS: [Fault; 5] = [
    Fault {
        name: "full disk",
        error: 28,
        hits: |op| matches!(op, Op::Folder | Op::Open | Op::Write | Op::Length | Op::Flush),
        lasts: true,
        advice: "free some space",
    },
    Fault { name: "read-only", error: 30, hits: |_| true, lasts: true, advice: "write to another folder" },
    Fault { name: "not allowed", error: 13, hits: |_| true, lasts: false, advice: "change its permissions" },
    Fault { name: "no memory", error: 12, hits: |_| true, lasts: false, advice: "free some memory" },
    Fault {
        name: "a disk that does not answer",
        error: 5,
        hits: |_| true,
        lasts: false,
        advice: "check it and try again",
    },
];

/// The changes to the disk that writing a version makes.
fn changes(row: &Row, before: &Content) -> Vec<Step> {
    restore(&row.out, before);
    let all = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = all.clone();
    let watch = Watch::below(&row.out, move |step| {
        seen.lock().expect("not poisoned").push(step.clone());
        Ok(())
    });
    row.write(2).expect("writes");
    drop(watch);
    let all = all.lock().expect("not poisoned");
    assert!(all.len() > 5, "{}: {all:?}", row.what);
    all.clone()
}

/// Makes each change in turn fail.
fn every_change_fails(row: &Row, fault: &Fault) -> usize {
    let mut tried = 0;
    for (before, after) in row.starts() {
        for step in changes(row, before).iter().filter(|step| (fault.hits)(step.op)) {
            let at = format!("{}, {}, {step:?}", row.what, fault.name);
            restore(&row.out, before);
            let (number, error, hits, lasts) = (step.number, fault.error, fault.hits, fault.lasts);
            let watch = Watch::below(&row.out, move |step| match step.number {
                n if n == number || lasts && n > number && hits(step.op) => {
                    Err(Error::from_raw_os_error(error))
                }
                _ => Ok(()),
            });
            let outcome = row.write(2);
            drop(watch);
            tried += 1;
            // What cannot be removed stays until the next write; so does what a merge has made, to go on from.
            let told = outcome.clone().err().unwrap_or_default();
            let now = content(&row.out);
            if step.op != Op::Remove && !(lasts && hits(Op::Remove)) && row.what != "merge" {
                // A version that counts already, but is not in place yet, is no rest.
                let is_rest = |name: &&String| {
                    (name.contains(".lota") || name.ends_with(".lock")) && !name.contains(".lota.commit")
                };
                let left = now.keys().find(is_rest);
                assert!(left.is_none(), "{at}: {left:?} is left; {told}");
            }
            let is_new = row.is_whole(before, after, &at);
            match outcome {
                Ok(()) => assert!(is_new, "{at}: success is told of the old version"),
                Err(told) => {
                    let path = row.path.display().to_string();
                    assert!(told.contains(&path), "{at}: not named: {told}");
                    assert!(told.contains(fault.advice), "{at}: no advice: {told}");
                    assert!(!told.contains(".lota-"), "{at}: a name that nobody knows: {told}");
                }
            }
            row.goes_on(after, &at);
        }
    }
    tried
}

/// Does something with each row, some at the same time.
fn each_row(work: impl Fn(Row) + Sync) {
    std::thread::scope(|scope| {
        for part in ROWS.chunks(3) {
            let work = &work;
            scope.spawn(move || part.iter().for_each(|what| work(Row::new(what))));
        }
    });
}

#[test]
fn whatever_change_fails_there_is_the_old_version_or_the_new_one() {
    each_row(|row| {
        for fault in &FAULTS {
            let tried = every_change_fails(&row, fault);
            println!("{}, {}: {tried} changes", row.what, fault.name);
        }
    });
}
