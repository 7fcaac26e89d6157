//! Which files a script may reach, and the paths it has been granted.
//!
//! A path that comes from a script's text, or is derived from one, is a [`Granted`]. There are two ways to one:
//! [`Files::grant`] and the methods of a `Granted` that lead on from it, and both check.

use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::file::read_text;
use crate::container::shards::Part;
use crate::{Error, Result, disk, read_bytes};

/// The folders a script may reach. Nothing by default. Copies share the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    everything: bool,
    roots: Arc<[PathBuf]>,
}

impl Files {
    /// Every file, as a command-line program may.
    pub fn everything() -> Self {
        Self { everything: true, roots: Arc::default() }
    }

    /// The files under these folders; relative paths are taken from the first.
    pub fn roots(roots: impl IntoIterator<Item = PathBuf>) -> Self {
        Self { everything: false, roots: roots.into_iter().collect() }
    }

    /// Whether every file may be reached.
    pub fn are_everything(&self) -> bool {
        self.everything
    }

    /// The folders granted, if not everything is.
    pub fn granted(&self) -> &[PathBuf] {
        &self.roots
    }

    /// The file or folder of a path, or a refusal. It need not exist.
    ///
    /// Every link is followed before the path is judged, and what is granted has none. A script has no way to
    /// make a link, but another process with write access to a root could put one there between this call and the
    /// opening: do not grant a root that somebody untrusted writes to.
    pub fn grant(&self, path: impl AsRef<Path>) -> Result<Granted> {
        let path = path.as_ref();
        if path.as_os_str().as_encoded_bytes().contains(&0) {
            return Err(Error::Denied(format!("{path:?}: a path cannot hold a zero byte")));
        }
        if self.everything {
            return Ok(Granted { path: path.to_path_buf(), files: self.clone() });
        }
        let Some(first) = self.roots.first() else {
            return Err(Error::Denied(format!(
                "{}: this script was granted no files; the host must name a root",
                path.display()
            )));
        };
        let real = resolve(&first.join(path))?;
        for root in self.roots.iter() {
            if let Ok(root) = root.canonicalize()
                && real.starts_with(&root)
            {
                return Ok(Granted { path: plain(real, path)?, files: self.clone() });
            }
        }
        Err(Error::Denied(format!("{}: outside the folders granted to this script", path.display())))
    }
}

/// A file or folder that a script may reach. It need not exist.
///
/// It is no [`Path`], so that nothing is derived from it without a check: [`Granted::path`] is for the call that opens it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    path: PathBuf,
    files: Files,
}

impl Granted {
    /// The path, to be opened as it is. Derive no other path from it. Readers that open files in a folder by names of their
    /// own take [`Granted::folder_to_read`].
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path, for a reader that opens files of this folder by names of its own, as that of a model does. A link in the
    /// folder that leads out of what is granted is an error that names it. Of a file this is the path alone, and of a part
    /// of a split file so are the other parts.
    pub fn folder_to_read(&self) -> Result<&Path> {
        if !self.files.everything && self.path.is_dir() {
            let failed = |e| Error::io(&self.path, e);
            for entry in std::fs::read_dir(&self.path).map_err(failed)? {
                self.check_link(&entry.map_err(failed)?.path())?;
            }
        } else if let Some(own) = Part::of(&self.path).filter(|_| !self.files.everything) {
            let parts = (0..own.count).map(|at| self.path.with_file_name(own.name(at)));
            for part in parts.take_while(|part| part.exists()) {
                self.files.grant(part)?;
            }
        }
        Ok(&self.path)
    }

    /// The path, for a reader that opens this file and, if they are there, files of these names beside it.
    pub fn file_to_read(&self, beside: &[&str]) -> Result<&Path> {
        if !self.files.everything {
            beside.iter().try_for_each(|name| self.check_link(&self.path.with_file_name(name)))?;
        }
        Ok(&self.path)
    }

    /// An error if this is a link to something that is not granted. One that leads nowhere cannot be read.
    fn check_link(&self, path: &Path) -> Result<()> {
        if !path.is_symlink() || !path.exists() {
            return Ok(());
        }
        self.files.grant(path).map(drop).map_err(|_| {
            Error::Denied(format!(
                "{}: a link that leads out of the folders granted to this script; put a copy in its place",
                path.display()
            ))
        })
    }

    /// A file or folder inside this folder. A name that leads out of it, by `..`, as an absolute path or through a link,
    /// is refused, even where more is granted.
    pub fn join(&self, name: impl AsRef<Path>) -> Result<Self> {
        let name = name.as_ref();
        let refuse = |why: &str| {
            Err(Error::Denied(format!(
                "{name:?} is not a file in {}: {why}; give a relative name such as \"plots/loss.svg\"",
                self.path.display()
            )))
        };
        for part in name.components() {
            match part {
                Component::Normal(_) | Component::CurDir => {}
                Component::ParentDir => return refuse("`..` leads out of it"),
                Component::RootDir | Component::Prefix(_) => return refuse("it is an absolute path"),
            }
        }
        if name.components().all(|part| part == Component::CurDir) {
            return refuse("it is not a file name");
        }
        let inside = self.files.grant(self.path.join(name))?;
        if !resolve(&inside.path)?.starts_with(resolve(&self.path)?) {
            return refuse("a link on the way leads out of it");
        }
        Ok(inside)
    }

    /// The file or folder beside this one whose name is this one's with an ending: `out-steps` of `out`.
    pub fn with_ending(&self, ending: &str) -> Result<Self> {
        let mut name = self.path.file_name().unwrap_or_default().to_os_string();
        name.push(ending);
        match Path::new(&name).components().collect::<Vec<_>>()[..] {
            [Component::Normal(_)] => self.files.grant(self.path.with_file_name(name)),
            _ => Err(Error::Denied(format!("{}: nothing can lie beside it", self.path.display()))),
        }
    }

    /// What a path written in a file of this folder means: it may lead anywhere that is granted.
    pub fn resolve(&self, path: impl AsRef<Path>) -> Result<Self> {
        self.files.grant(self.path.join(path))
    }

    /// The folder that it lies in, if that is granted too.
    pub fn folder(&self) -> Result<Self> {
        match self.path.parent() {
            Some(folder) if folder.as_os_str().is_empty() => self.files.grant("."),
            Some(folder) => self.files.grant(folder),
            None => Err(Error::Denied(format!("{}: lies in no folder", self.path.display()))),
        }
    }

    /// A path that Rust code derived from this one, such as that of a hidden file beside it.
    pub fn beside(&self, path: impl AsRef<Path>) -> Result<Self> {
        self.files.grant(path)
    }

    /// Makes the folder that it lies in.
    pub fn make_folder(&self) -> Result<()> {
        match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => {
                disk::make_folders(folder).map_err(|e| Error::io(folder, e))
            }
            _ => Ok(()),
        }
    }

    /// The folders on the way to it, and itself, that do not exist.
    pub fn new_folders(&self) -> NewFolders {
        let missing = self.path.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists());
        NewFolders(missing.map(Path::to_path_buf).collect())
    }

    /// Whether it is a folder with something in it.
    pub fn holds_something(&self) -> bool {
        std::fs::read_dir(&self.path).is_ok_and(|mut entries| entries.next().is_some())
    }

    /// Removes it if it is a folder with nothing in it.
    pub fn remove_if_empty(&self) {
        drop(disk::remove_folder(&self.path));
    }

    /// Whether there is a folder.
    pub fn is_dir(&self) -> bool {
        self.path.is_dir()
    }

    /// Whether there is anything.
    pub fn exists(&self) -> bool {
        self.path.exists()
    }

    /// The size of the file; 0 where there is none.
    pub fn bytes(&self) -> u64 {
        self.path.metadata().map_or(0, |file| file.len())
    }

    /// Makes the folder.
    pub fn make(&self) -> Result<()> {
        disk::make_folders(&self.path).map_err(|e| Error::io(&self.path, e))
    }

    /// Makes the first folder that is not there yet of those named as this one and -1, -2, …: `runs/lota-1` of `runs/lota`.
    /// Of several programs that ask at the same time, each gets a folder of its own.
    pub fn make_numbered(&self) -> Result<Self> {
        self.make_folder()?;
        let mut number = 1u64;
        loop {
            let folder = self.with_ending(&format!("-{number}"))?;
            match disk::make_folder(&folder.path) {
                Ok(()) => return Ok(folder),
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
                Err(e) => return Err(Error::io(&folder.path, e)),
            }
        }
    }

    /// The file, open to be read.
    pub fn open(&self) -> Result<std::fs::File> {
        std::fs::File::open(&self.path).map_err(|e| Error::io(&self.path, e))
    }

    /// The bytes of the file.
    pub fn read(&self) -> Result<Vec<u8>> {
        read_bytes(&self.path)
    }

    /// The text of the file.
    pub fn read_to_string(&self) -> Result<String> {
        read_text(&self.path)
    }

    /// Its path as a script gets it.
    pub fn display(&self) -> std::path::Display<'_> {
        self.path.display()
    }
}

/// Folders that were not there before some work. Those that are empty when this is dropped are removed, so that work that
/// failed leaves none.
#[derive(Debug)]
#[must_use = "the empty ones are removed when this is dropped"]
pub struct NewFolders(Vec<PathBuf>);

impl Drop for NewFolders {
    fn drop(&mut self) {
        // The deepest come first. One with something in it stays.
        for folder in &self.0 {
            drop(disk::remove_folder(folder));
        }
    }
}

impl fmt::Display for Granted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(f)
    }
}

/// Refuses what is neither a file nor a folder: a pipe or a device could keep its reader for ever.
fn plain(real: PathBuf, path: &Path) -> Result<PathBuf> {
    match real.metadata() {
        Ok(data) if !data.is_file() && !data.is_dir() => {
            Err(Error::Denied(format!("{}: neither a file nor a folder", path.display())))
        }
        _ => Ok(real),
    }
}

/// The path with every link followed: that of the deepest part that exists, then the rest, in
/// which `..` is not allowed.
fn resolve(path: &Path) -> Result<PathBuf> {
    // By components, without a slash or a dot at its end: to the system `link/` is what the link leads to, never the link.
    let mut existing: PathBuf = Path::new(".").join(path).components().collect();
    let mut rest = Vec::new();
    loop {
        if let Ok(real) = existing.canonicalize() {
            return Ok(rest.iter().rev().fold(real, |p, part| p.join(part)));
        }
        // It exists but leads nowhere: what is written there would be made wherever it points.
        if existing.is_symlink() {
            return Err(Error::Denied(format!("{}: a link that leads nowhere", path.display())));
        }
        match existing.components().next_back() {
            Some(Component::Normal(part)) => rest.push(part.to_os_string()),
            _ => return Err(Error::Denied(format!("{}: the path cannot be resolved", path.display()))),
        }
        existing.pop();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A folder to grant, beside a secret one. In it are files, folders, and links of all kinds.
    fn scene() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let root = dir.path().canonicalize().expect("it exists").join("root");
        for folder in ["root/in/deep", "root/other", "outside"] {
            std::fs::create_dir_all(dir.path().join(folder)).expect("a folder");
        }
        std::fs::write(dir.path().join("outside/secret"), "secret").expect("a file");
        std::fs::write(dir.path().join("secret"), "secret").expect("a file");
        std::fs::write(root.join("in/file"), "plain").expect("a file");
        #[cfg(unix)]
        for (name, to) in [
            ("link", dir.path().join("outside")),
            ("in/up", dir.path().to_path_buf()),
            ("file", dir.path().join("secret")),
            ("dangling", dir.path().join("outside/later")),
            ("within", root.join("in")),
            ("in/aside", root.join("other")),
            ("self", root.join("self")),
        ] {
            std::os::unix::fs::symlink(to, root.join(name)).expect("a link");
        }
        (dir, root)
    }

    #[test]
    fn paths_do_not_leave_their_root() {
        let (dir, root) = scene();
        let files = Files::roots([root.clone()]);
        assert!(files.grant("in/new.txt").is_ok());
        assert!(files.grant("new/deep/file").is_ok());
        let inside = root.join("in/file");
        assert_eq!(files.grant(&inside).expect("is inside").path(), inside);
        let outside = dir.path().join("outside/secret");
        for bad in [
            "../secret",
            "in/../../secret",
            "nowhere/../../secret",
            "/etc/passwd",
            &outside.to_string_lossy(),
        ] {
            assert!(files.grant(bad).is_err(), "{bad}");
        }
        #[cfg(unix)]
        for bad in [
            "link/secret",
            "link",
            "in/up/secret",
            "file",
            "file/",
            "file//",
            "file/.",
            "dangling",
            "dangling/",
            "dangling/x",
            "self",
        ] {
            assert!(files.grant(bad).is_err(), "{bad}");
        }
        assert!(Files::default().grant("x").is_err());
    }

    #[test]
    fn a_name_joined_to_a_folder_stays_in_the_folder() {
        let (_dir, root) = scene();
        for files in [Files::roots([root.clone()]), Files::everything()] {
            let folder = files.grant(root.join("in")).expect("is granted");
            let file = folder.join("plots/loss.svg").expect("is inside");
            assert_eq!(file.path(), root.join("in/plots/loss.svg"));
            for bad in ["../other/x", "..", "", ".", "/etc/passwd", "deep/../../other", "a\0b"] {
                assert!(folder.join(bad).is_err(), "{bad:?}");
            }
            // It is granted, but not in the folder.
            #[cfg(unix)]
            assert!(folder.join("aside/x").is_err());
            assert_eq!(
                folder.resolve("../other/x").expect("is granted").path(),
                files.grant(root.join("in/../other/x")).expect("is granted").path()
            );
            assert_eq!(folder.with_ending("-steps").expect("is granted").path(), root.join("in-steps"));
            assert!(folder.with_ending("/../../x").is_err());
        }
        let top = Files::roots([root.clone()]).grant(".").expect("is granted");
        assert!(top.with_ending("-steps").is_err() && top.folder().is_err(), "both would lie outside");
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_is_read_only_if_its_links_stay_in_what_is_granted() {
        let (dir, root) = scene();
        let link = |to: &Path, at: &str| std::os::unix::fs::symlink(to, root.join(at)).expect("a link");
        let files = Files::roots([root.clone()]);
        let model = files.grant("other").expect("is granted");
        link(&root.join("in/file"), "other/config.json");
        link(&dir.path().join("nowhere"), "other/.#lock");
        assert_eq!(model.folder_to_read().expect("within"), root.join("other"));
        let file = files.grant("in/file").expect("is granted");
        assert!(file.folder_to_read().is_ok() && file.file_to_read(&["absent", "aside"]).is_ok());
        // The other parts of a split file are read with it.
        for part in ["in/m-00001-of-00003.gguf", "in/m-00002-of-00003.gguf"] {
            std::fs::write(root.join(part), "GGUF").expect("writes");
        }
        let part = files.grant("in/m-00002-of-00003.gguf").expect("is granted");
        assert!(part.folder_to_read().is_ok());
        link(&dir.path().join("secret"), "in/m-00003-of-00003.gguf");
        assert!(part.folder_to_read().is_err());
        let refused = file.file_to_read(&["up"]).expect_err("leads out").to_string();
        assert!(refused.contains("in/up: a link that leads out of the folders granted"), "{refused}");
        link(&dir.path().join("secret"), "other/tokenizer.json");
        let refused = model.folder_to_read().expect_err("leads out").to_string();
        assert!(refused.contains("other/tokenizer.json: a link that leads out"), "{refused}");
        // Who may read everything may read through links.
        let all = Files::everything().grant(root.join("other")).expect("is granted");
        assert!(all.folder_to_read().is_ok());
    }

    #[test]
    fn numbered_folders_made_at_the_same_time_are_different_ones() {
        let (_dir, root) = scene();
        let files = Files::roots([root.clone()]);
        std::fs::create_dir_all(root.join("runs/lota-2")).expect("a folder");
        let mut made: Vec<PathBuf> = std::thread::scope(|scope| {
            let make = || files.grant("runs/lota").and_then(|stem| stem.make_numbered()).expect("makes one");
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
            threads.into_iter().map(|t| t.join().expect("no panic").path().to_path_buf()).collect()
        });
        made.sort();
        let wanted = [1, 3, 4, 5, 6, 7, 8, 9].map(|n| root.join(format!("runs/lota-{n}")));
        assert_eq!(made, wanted);
    }

    /// Names made of what paths are made of.
    fn names() -> impl Strategy<Value = String> {
        let parts = vec![
            "..", ".", "/", "//", "in", "deep", "file", "link", "dangling", "within", "aside", "up", "self",
            "new", "...", "a.", " ", "\0", "\\", "~", "C:", "é", "\u{202e}", "-steps", "ROOT", "OUTSIDE",
        ];
        proptest::collection::vec((prop::sample::select(parts), prop::bool::weighted(0.7)), 0..8).prop_map(
            |parts| {
                parts
                    .into_iter()
                    .map(|(part, slash)| format!("{part}{}", if slash { "/" } else { "" }))
                    .collect()
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(600))]

        /// Whatever a script writes: what is granted lies in the root, and so does what is made there.
        #[test]
        fn no_text_leads_outside(texts in proptest::collection::vec(names(), 1..4), way in 0usize..4) {
            let (dir, root) = scene();
            let text = |t: &String| {
                t.replace("ROOT", &root.to_string_lossy()).replace("OUTSIDE", &dir.path().to_string_lossy())
            };
            let files = Files::roots([root.clone()]);
            let mut place = files.grant(text(&texts[0]));
            for more in &texts[1..] {
                place = place.and_then(|place| match way {
                    0 => place.join(text(more)),
                    1 => place.resolve(text(more)),
                    2 => place.with_ending(&text(more)),
                    _ => place.folder(),
                });
            }
            if let Ok(place) = place {
                prop_assert!(place.path().starts_with(&root), "{place}");
                prop_assert_ne!(place.read_to_string().unwrap_or_default(), "secret");
                if let Some(parent) = place.path().parent().filter(|p| p.starts_with(&root))
                    && std::fs::create_dir_all(parent).is_ok()
                {
                    // A folder of that name, or a name too odd for the system, cannot be written.
                    drop(std::fs::write(place.path(), "made"));
                }
                let mut found: Vec<_> =
                    std::fs::read_dir(dir.path()).expect("lists").map(|e| e.expect("lists").file_name()).collect();
                found.sort();
                prop_assert_eq!(found, ["outside", "root", "secret"]);
                let found = std::fs::read_dir(dir.path().join("outside")).expect("lists").count();
                prop_assert_eq!(found, 1);
                for secret in ["secret", "outside/secret"] {
                    prop_assert_eq!(std::fs::read_to_string(dir.path().join(secret)).expect("reads"), "secret");
                }
            }
        }
    }
}
