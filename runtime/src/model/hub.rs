//! Models by their id on the Hugging Face hub (`org/name`).
//!
//! What the cache has is used without asking the network. What it lacks is downloaded into it.

use std::path::{Path, PathBuf};

use hf_hub::api::sync::{Api, ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Cache, CacheRepo, Repo, RepoType};

use super::HubOptions;
use crate::host::container::shards::{LAYOUTS, Part};
use crate::host::{Host, disk, read_foreign};
use crate::{Error, Result};

/// The files of a model besides its weights and its vocabulary.
const SMALL: [&str; 4] =
    ["config.json", "generation_config.json", "tokenizer_config.json", "chat_template.jinja"];
/// What a tokenizer is made of where there is no `tokenizer.json`.
const VOCABULARY: [&str; 4] = ["vocab.json", "merges.txt", "added_tokens.json", "special_tokens_map.json"];

/// The folder (or, for `org/name/file.gguf`, the file) of a model in the cache, filled from the hub
/// where something is missing.
pub(crate) fn fetch(id: &str, options: &HubOptions, host: &Host) -> Result<PathBuf> {
    let (repo_id, file) = split(id);
    let cache_dir = options.cache_dir.clone().ok_or_else(|| {
        Error::argument(format!(
            "{id:?} is neither a file nor a folder here, and models of the hub need a cache folder to be kept in"
        ))
    })?;
    let revision = options.revision.clone().unwrap_or_else(|| "main".to_string());
    let repo = Repo::with_revision(repo_id.to_string(), RepoType::Model, revision);
    let cache = Cache::new(cache_dir);
    let files = Files { id: repo_id, cache: cache.repo(repo.clone()), repo, options, host, directory: cache };
    match file {
        Some(file) => files.get(file),
        None => files.model(),
    }
}

/// `org/name` and, where there is more, the name of a file in it.
fn split(id: &str) -> (&str, Option<&str>) {
    match id.match_indices('/').nth(1) {
        Some((at, _)) => (&id[..at], Some(&id[at + 1..])),
        None => (id, None),
    }
}

/// The files of one model.
struct Files<'a> {
    id: &'a str,
    repo: Repo,
    cache: CacheRepo,
    directory: Cache,
    options: &'a HubOptions,
    host: &'a Host,
}

impl Files<'_> {
    /// The folder with all that a model needs.
    fn model(&self) -> Result<PathBuf> {
        let config = self.asked("config.json", || Ok(self.cache.get("config.json")))?;
        let folder = config.and_then(|c| c.parent().map(Path::to_path_buf));
        let cached = match folder {
            Some(folder) if complete(&folder)? => Some(folder),
            _ => None,
        };
        // Other tools may have left out what they did not need.
        if let Some(folder) = &cached
            && (self.options.offline
                || ["tokenizer.json", "merges.txt"].iter().any(|name| folder.join(name).exists()))
        {
            return Ok(folder.clone());
        }
        let (api, remote) = self.remote()?;
        let listed = match (self.asked("its list of files", || remote.info()), cached) {
            (Ok(listed), _) => listed,
            (Err(_), Some(folder)) => {
                self.host.events.notice(format!(
                    "the cache has no tokenizer for {}, and the hub does not answer: it is loaded without one",
                    self.id
                ));
                return Ok(folder);
            }
            (Err(e), None) => return Err(e),
        };
        let names: Vec<&str> = listed.siblings.iter().map(|s| s.rfilename.as_str()).collect();
        if !names.contains(&"config.json") {
            return Err(Error::argument(self.without_config(&names)));
        }
        let mut wanted: Vec<&str> = SMALL.into_iter().filter(|name| names.contains(name)).collect();
        if names.contains(&"tokenizer.json") {
            wanted.push("tokenizer.json");
        } else {
            wanted.extend(VOCABULARY.into_iter().filter(|name| names.contains(name)));
        }
        let weights = weights(&names).ok_or_else(|| {
            Error::argument(format!(
                "the model {} has neither safetensors nor pytorch_model.bin on the hub (only these are read, and GGUF \
                 files by {0}/FILE.gguf)",
                self.id
            ))
        })?;
        wanted.extend(weights);
        let mut folder = None;
        for (i, name) in wanted.iter().enumerate() {
            self.host.cancel.check()?;
            self.host.events.progress("download", i as u64, wanted.len() as u64, *name);
            let path = self.downloaded(&api, &remote, name)?;
            if *name == "config.json" {
                folder = path.parent().map(Path::to_path_buf);
            }
        }
        self.host.events.progress("download", wanted.len() as u64, wanted.len() as u64, "");
        folder.ok_or_else(|| Error::argument(format!("the hub's cache of {} has no folder", self.id)))
    }

    /// One file, and the other parts of a file that is split.
    fn get(&self, name: &str) -> Result<PathBuf> {
        if let Some(part) = Part::of(Path::new(name)) {
            for at in (0..part.count).filter(|at| *at != part.at) {
                let other = Path::new(name).with_file_name(part.name(at));
                self.one(&other.to_string_lossy())?;
            }
        }
        self.one(name)
    }

    fn one(&self, name: &str) -> Result<PathBuf> {
        if let Some(path) = self.asked(name, || Ok(self.cache.get(name)))? {
            return Ok(path);
        }
        self.host.events.progress("download", 0, 1, name);
        let (api, remote) = self.remote()?;
        let path = self.downloaded(&api, &remote, name)?;
        self.host.events.progress("download", 1, 1, "");
        Ok(path)
    }

    /// A file that is in the cache when this returns, whole: one whose sender stopped before its end, without a word where
    /// it had not said how long it is, is removed from the cache again.
    fn downloaded(&self, api: &Api, remote: &ApiRepo, name: &str) -> Result<PathBuf> {
        if let Some(path) = self.asked(name, || Ok(self.cache.get(name)))? {
            return Ok(path);
        }
        let path = self.asked(name, || remote.get(name))?;
        let whole = self.asked(name, || api.metadata(&remote.url(name)))?.size() as u64;
        let got = path.metadata().map_err(|e| Error::io(&path, e))?.len();
        if got == whole {
            return Ok(path);
        }
        // In the cache a name is a link to what has come.
        let come = path.canonicalize();
        for file in [Some(path.clone()), come.ok()].into_iter().flatten() {
            drop(disk::remove_file(&file));
        }
        Err(Error::format(&path, format!("the hub sent {got} of its {whole} bytes: try again")))
    }

    fn remote(&self) -> Result<(Api, ApiRepo)> {
        if self.options.offline {
            return Err(Error::argument(format!(
                "the model {} is not (whole) in the cache {}, and the network is not to be used",
                self.id,
                self.directory.path().display()
            )));
        }
        let mut builder = ApiBuilder::from_cache(self.directory.clone()).with_progress(false);
        if let Some(endpoint) = &self.options.endpoint {
            builder = builder.with_endpoint(endpoint.clone());
        }
        if let Some(token) = &self.options.token {
            builder = builder.with_token(Some(token.clone()));
        }
        let api: Api = self.asked("the connection", || builder.build())?;
        let repo = api.repo(self.repo.clone());
        Ok((api, repo))
    }

    /// Asks the hub or its cache for something of the model: `what` is a file or, in words, something else. A panic in the
    /// hub's library is an error that names both.
    fn asked<T>(&self, what: &str, ask: impl FnOnce() -> Result<T, ApiError>) -> Result<T> {
        let of = format!("{} on the hub: {what}", self.id);
        read_foreign(Path::new(&of), "an answer of the hub", || ask().map_err(|e| self.failed(what, &e)))
    }

    /// What went wrong with a file, and what to do.
    fn failed(&self, what: &str, error: &ApiError) -> Error {
        let cause = error.to_string();
        let hint = if cause.contains("404") {
            "there is no such model or file"
        } else if cause.contains("401") || cause.contains("403") {
            "it needs permission: accept its licence on the hub and pass an access token"
        } else {
            "check the network, or put the model in the cache or a folder and give that"
        };
        Error::argument(format!(
            "the model {} is not in the cache, and {what} cannot be had from the hub ({cause}): {hint}",
            self.id
        ))
    }

    fn without_config(&self, names: &[&str]) -> String {
        let ggufs: Vec<&str> = names.iter().copied().filter(|n| n.ends_with(".gguf")).collect();
        match ggufs.first() {
            Some(first) => format!(
                "the model {0} has no config.json on the hub, but {1} GGUF files: name one, like {0}/{first}",
                self.id,
                ggufs.len()
            ),
            None => format!("the model {} has no config.json on the hub", self.id),
        }
    }
}

/// The names of the files that hold the weights, of all that a model has on the hub.
fn weights<'a>(names: &[&'a str]) -> Option<Vec<&'a str>> {
    let there = |wanted: &str| names.iter().copied().find(|name| *name == wanted);
    LAYOUTS.iter().find_map(|(single, index)| {
        if let Some(single) = there(single) {
            return Some(vec![single]);
        }
        let index = there(index)?;
        let (stem, ending) = single.rsplit_once('.')?;
        let shard = |name: &&str| {
            let number = name.strip_prefix(stem).and_then(|rest| rest.strip_suffix(ending));
            number.is_some_and(|number| number.starts_with('-') && !number.contains('/'))
        };
        Some(names.iter().copied().filter(shard).chain([index]).collect())
    })
}

/// Whether a folder of the cache has weights, all of them.
fn complete(folder: &Path) -> Result<bool> {
    for (single, index) in LAYOUTS {
        if folder.join(single).exists() {
            return Ok(true);
        }
        let index = folder.join(index);
        let Ok(text) = std::fs::read(&index) else { continue };
        let value: serde_json::Value =
            serde_json::from_slice(&text).map_err(|e| Error::format(&index, format!("not JSON: {e}")))?;
        let files = value.get("weight_map").and_then(|m| m.as_object());
        let there = |file: &serde_json::Value| file.as_str().is_some_and(|file| folder.join(file).exists());
        if files.is_some_and(|files| files.values().all(there)) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cached(names: &[&str]) -> tempfile::TempDir {
        let cache = tempfile::tempdir().expect("a folder");
        let model = cache.path().join("models--org--name");
        let snapshot = model.join("snapshots/abc");
        std::fs::create_dir_all(&snapshot).expect("creates");
        std::fs::create_dir_all(model.join("refs")).expect("creates");
        std::fs::write(model.join("refs/main"), "abc").expect("writes");
        for name in names {
            std::fs::write(snapshot.join(name), "{}").expect("writes");
        }
        cache
    }

    fn fetched(cache: &Path, id: &str) -> Result<PathBuf> {
        let options =
            HubOptions { cache_dir: Some(cache.to_path_buf()), offline: true, ..HubOptions::default() };
        fetch(id, &options, &Host::default())
    }

    #[test]
    fn a_whole_model_in_the_cache_needs_no_network() {
        let cache = cached(&["config.json", "model.safetensors", "tokenizer.json", "a.gguf"]);
        let folder = cache.path().join("models--org--name/snapshots/abc");
        assert_eq!(fetched(cache.path(), "org/name").expect("cached"), folder);
        assert_eq!(fetched(cache.path(), "org/name/a.gguf").expect("cached"), folder.join("a.gguf"));
    }

    #[test]
    fn weights_of_torch_are_taken_where_there_are_no_others() {
        let split = ["config.json", "pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"];
        let index = "pytorch_model.bin.index.json";
        let all = [&split[..], &[index]].concat();
        assert_eq!(weights(&all), Some(vec![split[1], split[2], index]));
        assert_eq!(weights(&[&all[..], &["model.safetensors"]].concat()), Some(vec!["model.safetensors"]));
        assert_eq!(weights(&split), None);
        let cache = cached(&["config.json", "pytorch_model.bin", "merges.txt"]);
        let folder = cache.path().join("models--org--name/snapshots/abc");
        assert_eq!(fetched(cache.path(), "org/name").expect("cached"), folder);
    }

    #[test]
    fn all_parts_of_a_split_file_are_asked_for() {
        let cache = cached(&["a-00001-of-00002.gguf"]);
        let text = fetched(cache.path(), "org/name/a-00001-of-00002.gguf").expect_err("one part").to_string();
        assert!(text.contains("is not (whole) in the cache"), "{text}");
        let cache = cached(&["a-00001-of-00002.gguf", "a-00002-of-00002.gguf"]);
        let path = fetched(cache.path(), "org/name/a-00002-of-00002.gguf").expect("cached");
        assert!(path.ends_with("a-00002-of-00002.gguf"));
    }

    #[test]
    fn what_is_missing_is_said() {
        let cache = cached(&["config.json"]);
        let text = fetched(cache.path(), "org/name").expect_err("no weights").to_string();
        assert!(text.starts_with("the model org/name is not (whole) in the cache "), "{text}");
        assert!(text.ends_with("and the network is not to be used"), "{text}");
        let text =
            fetch("org/name", &HubOptions::default(), &Host::default()).expect_err("no cache").to_string();
        assert!(text.contains("need a cache folder"), "{text}");
    }

    #[test]
    fn a_panic_of_the_hubs_library_names_the_model_and_the_file() {
        let (cache, options, host) = (Cache::new("nowhere".into()), HubOptions::default(), Host::default());
        let repo = Repo::new("org/name".to_string(), RepoType::Model);
        let files = Files {
            id: "org/name",
            cache: cache.repo(repo.clone()),
            repo,
            options: &options,
            host: &host,
            directory: cache,
        };
        let panics = || -> Result<PathBuf, ApiError> { panic!("no header") };
        let text = files.asked("config.json", panics).expect_err("panics").to_string();
        assert!(text.starts_with("org/name on the hub: config.json: is damaged"), "{text}");
        assert!(text.contains("no header"), "{text}");
        let gone = || Err::<PathBuf, _>(ApiError::LockAcquisition("x".into()));
        let text = files.asked("tokenizer.json", gone).expect_err("an error").to_string();
        assert!(text.contains("org/name") && text.contains("tokenizer.json cannot be had"), "{text}");
    }

    #[test]
    fn an_unreachable_hub_is_explained() {
        let cache = tempfile::tempdir().expect("a folder");
        let options = HubOptions {
            cache_dir: Some(cache.path().to_path_buf()),
            endpoint: Some("http://127.0.0.1:9".to_string()),
            ..HubOptions::default()
        };
        let text = fetch("org/name", &options, &Host::default()).expect_err("unreachable").to_string();
        assert!(
            text.starts_with("the model org/name is not in the cache, and its list of files cannot be had"),
            "{text}"
        );
        assert!(text.ends_with("put the model in the cache or a folder and give that"), "{text}");
    }
}
