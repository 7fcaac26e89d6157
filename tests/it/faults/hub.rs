//! Downloads into the hub's cache that are cut off, from a hub of our own: what has not come to its end is never taken for
//! a whole file, and the next try goes on.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use lota::runtime::host::Host;
use lota::runtime::model::{HubOptions, LoadOptions, load};

/// How the hub sends a file.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Sends {
    /// Whole.
    Whole,
    /// The first half, after saying how much there is.
    Half,
    /// The first half, and not how much there is.
    HalfUnsaid,
}

/// A hub with one model.
struct Hub {
    files: BTreeMap<String, Vec<u8>>,
    /// Which file is not sent whole.
    torn: Mutex<(String, Sends)>,
}

impl Hub {
    /// Serves until the program ends; the address.
    fn serve(self: &Arc<Self>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
        let address = format!("http://{}", listener.local_addr().expect("has one"));
        let hub = self.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Who asks may hang up first.
                drop(hub.answer(stream));
            }
        });
        address
    }

    fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let asked = lines.next().unwrap_or_else(|| Ok(String::new()))?;
        let mut range = None;
        for line in lines {
            let line = line?.to_lowercase();
            if let Some(bytes) = line.strip_prefix("range: bytes=") {
                let (from, to) = bytes.split_once('-').expect("a range");
                range = Some((from.parse::<usize>().expect("a number"), to.parse::<usize>().ok()));
            }
            if line.is_empty() {
                break;
            }
        }
        let path = asked.split(' ').nth(1).unwrap_or_default();
        if path.starts_with("/api/models/") {
            let names = self.files.keys().map(|name| serde_json::json!({ "rfilename": name }));
            let all = serde_json::json!({ "sha": "abc", "siblings": names.collect::<Vec<_>>() }).to_string();
            let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\n";
            return write!(stream, "{head}Content-Length: {}\r\n\r\n{all}", all.len());
        }
        let name = path.rsplit('/').next().unwrap_or_default();
        let Some(bytes) = self.files.get(name) else {
            return write!(
                stream,
                "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            );
        };
        let (from, to) = range.unwrap_or((0, None));
        let to = to.map_or(bytes.len(), |to| to + 1).min(bytes.len());
        let part = &bytes[from.min(to)..to];
        let sends = match &*self.torn.lock().expect("not poisoned") {
            (torn, sends) if torn == name && part.len() > 1 => *sends,
            _ => Sends::Whole,
        };
        write!(
            stream,
            "HTTP/1.1 206 Partial Content\r\nConnection: close\r\nx-repo-commit: abc\r\netag: \"{name}\"\r\n\
             Content-Range: bytes {from}-{}/{}\r\n",
            to.saturating_sub(1),
            bytes.len()
        )?;
        if sends != Sends::HalfUnsaid {
            write!(stream, "Content-Length: {}\r\n", part.len())?;
        }
        let sent = if sends == Sends::Whole { part } else { &part[..part.len() / 2] };
        stream.write_all(b"\r\n")?;
        stream.write_all(sent)
    }
}

/// The files of a small model, and its fingerprint.
fn model(folder: &Path) -> (BTreeMap<String, Vec<u8>>, String) {
    let engine = super::engine();
    let source = "local lota = require 'lota'
        function make(folder)
          local tokenizer = lota.tokenizer.train({'a'}, {vocab = 257})
          local m = lota.model.init('tiny', {seed = 1, tokenizer = tokenizer})
          m:save(folder)
          return m:fingerprint()
        end";
    engine.run(source, "make.lua").expect("defines make");
    let path = folder.join("m").display().to_string();
    let fingerprint: String = engine.call("make", (path,)).expect("makes a model");
    let files = std::fs::read_dir(folder.join("m")).expect("lists").map(|entry| {
        let entry = entry.expect("an entry");
        (entry.file_name().into_string().expect("text"), std::fs::read(entry.path()).expect("reads"))
    });
    (files.collect(), fingerprint)
}

#[test]
fn a_download_that_is_cut_off_is_not_taken_for_a_whole_file() {
    let dir = tempfile::tempdir().expect("a folder");
    let (files, fingerprint) = model(dir.path());
    let names: Vec<String> = files.keys().cloned().collect();
    assert!(names.len() >= 3, "{names:?}");
    let hub = Arc::new(Hub { files, torn: Mutex::new((String::new(), Sends::Whole)) });
    let endpoint = hub.serve();
    let fetched = |cache: &PathBuf, offline: bool| -> Result<String, String> {
        let hub = HubOptions {
            cache_dir: Some(cache.clone()),
            endpoint: Some(endpoint.clone()),
            offline,
            ..HubOptions::default()
        };
        let options = LoadOptions { hub, ..LoadOptions::default() };
        let model = load("org/name", &options, &Host::default()).map_err(|e| e.to_string())?;
        Ok(model.fingerprint().expect("has one"))
    };
    for name in &names {
        for sends in [Sends::Half, Sends::HalfUnsaid] {
            let at = format!("{name}, {sends:?}");
            let cache = dir.path().join(format!("{name}-{sends:?}"));
            *hub.torn.lock().expect("not poisoned") = (name.clone(), sends);
            let told = fetched(&cache, false).expect_err(&at);
            assert!(told.contains(name.as_str()) && told.contains("org"), "{at}: {told}");
            // Without its tokenizer a model is one.
            if let Ok(model) = fetched(&cache, true) {
                assert_eq!(model, fingerprint, "{at}: what is in the cache");
            }
            *hub.torn.lock().expect("not poisoned") = (String::new(), Sends::Whole);
            assert_eq!(fetched(&cache, false), Ok(fingerprint.clone()), "{at}: the next try");
            assert_eq!(fetched(&cache, true), Ok(fingerprint.clone()), "{at}: from the cache");
        }
    }
}
